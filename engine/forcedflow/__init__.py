"""forcedflow: event-driven backtesting on a causal, mass-conserving map of where leveraged traders must trade.

Nothing heavy is imported until it is asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = [
    "AccountSettings",
    "Bars",
    "Dataset",
    "Desk",
    "Event",
    "EventKind",
    "Events",
    "ForcedFlowError",
    "Hypothesis",
    "KnownMap",
    "LiquidationMap",
    "MapSnapshots",
    "Market",
    "MarketSettings",
    "Plan",
    "Replay",
    "Run",
    "Side",
    "Strategy",
    "Tape",
    "__version__",
    "check_strategy",
    "contrasts",
    "dataset_names",
    "evidence",
    "find_strategy",
    "liquidation_price",
    "load_dataset",
    "load_hypothesis",
    "load_run",
    "make_tape",
    "nearer",
    "plot",
    "read_map",
    "run",
    "save",
    "strategy_checks",
    "strategy_names",
    "tearsheet",
    "trade",
    "worthwhile",
]

_HOMES = {
    "AccountSettings": "settings",
    "Bars": "data.bars",
    "Dataset": "data.series",
    "Desk": "trading.desk",
    "Event": "tables",
    "EventKind": "tables",
    "Events": "tables",
    "ForcedFlowError": "errors",
    "Hypothesis": "study.hypothesis",
    "KnownMap": "market.known_map",
    "LiquidationMap": "market.liquidation_map",
    "MapSnapshots": "tables",
    "Market": "replay",
    "MarketSettings": "settings",
    "Plan": "trading.orders",
    "Replay": "replay",
    "Run": "record",
    "Side": "tables",
    "Strategy": "trading.strategy",
    "Tape": "market.tape",
    "check_strategy": "conformance",
    "contrasts": "trading.blind",
    "dataset_names": "data.catalog",
    "evidence": "study.evidence",
    "find_strategy": "trading.strategy",
    "liquidation_price": "venues.rules",
    "load_dataset": "data.catalog",
    "load_hypothesis": "study.hypothesis",
    "load_run": "record:read",
    "make_tape": "market.tape",
    "nearer": "trading.levels",
    "plot": "report.plot:",
    "read_map": "market.known_map",
    "run": "backtest",
    "save": "backtest",
    "strategy_checks": "conformance",
    "strategy_names": "trading.strategy",
    "tearsheet": "report.tearsheet",
    "trade": "trading.desk",
    "worthwhile": "trading.levels",
}
"""Where each public name lives: ``module``, ``module:other_name``, or ``module:`` for the module itself."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415  (30 ms that an import does not need)

        return version("forcedflow")
    if name not in _HOMES:
        raise AttributeError(f"module 'forcedflow' has no attribute {name!r}")
    home, _, inner = _HOMES[name].partition(":")
    module = importlib.import_module(f"forcedflow.{home}")
    value = module if _HOMES[name].endswith(":") else getattr(module, inner or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
