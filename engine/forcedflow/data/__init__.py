"""Market data: validated bars, venue series with the moment they were known, and the catalog of datasets.

Names load on first use: a command that only prints help pays for none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from forcedflow.data.bars import REPAIRS, Bars
    from forcedflow.data.catalog import (
        check_dataset,
        data_root,
        dataset_names,
        describe,
        load_dataset,
        shipped_folder,
    )
    from forcedflow.data.entry import CatalogEntry
    from forcedflow.data.leakage import leakage_check
    from forcedflow.data.series import Dataset, Funding, LiquidatedVolume, Liquidations, OpenInterest, VenueData
    from forcedflow.data.times import Instant, duration_ns, instant_ns, time_text

__all__ = [
    "REPAIRS",
    "Bars",
    "CatalogEntry",
    "Dataset",
    "Funding",
    "Instant",
    "LiquidatedVolume",
    "Liquidations",
    "OpenInterest",
    "VenueData",
    "check_dataset",
    "data_root",
    "dataset_names",
    "describe",
    "duration_ns",
    "instant_ns",
    "leakage_check",
    "load_dataset",
    "shipped_folder",
    "time_text",
]

_HOMES: Final = {
    "bars": ("REPAIRS", "Bars"),
    "catalog": ("check_dataset", "data_root", "dataset_names", "describe", "load_dataset", "shipped_folder"),
    "entry": ("CatalogEntry",),
    "leakage": ("leakage_check",),
    "series": ("Dataset", "Funding", "LiquidatedVolume", "Liquidations", "OpenInterest", "VenueData"),
    "times": ("Instant", "duration_ns", "instant_ns", "time_text"),
}
_MODULE_OF: Final = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
