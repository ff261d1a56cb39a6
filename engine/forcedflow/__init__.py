"""forcedflow: event-driven backtesting on a causal, mass-conserving map of where leveraged traders must trade.

Nothing heavy is imported until it is asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = [
    "AccountSettings",
    "AccountStream",
    "Bars",
    "CalibrationSettings",
    "Dataset",
    "Desk",
    "Ensemble",
    "Event",
    "EventKind",
    "Events",
    "Exchange",
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
    "SimulationSettings",
    "Strategy",
    "Summary",
    "Sweep",
    "Tape",
    "TapeChunk",
    "TapeStream",
    "TradedChunk",
    "__version__",
    "calibrate",
    "check_strategy",
    "compare",
    "contrasts",
    "dataset_names",
    "evidence",
    "find_strategy",
    "interop",
    "liquidation_price",
    "load_dataset",
    "load_hypothesis",
    "load_run",
    "load_sweep",
    "make_tape",
    "nearer",
    "plot",
    "read_map",
    "run",
    "run_streamed",
    "save",
    "simulate",
    "strategy_checks",
    "strategy_names",
    "stream",
    "sweep",
    "tearsheet",
    "trade",
    "worthwhile",
    "write_events",
]

_HOMES = {
    "AccountSettings": "settings",
    "AccountStream": "trading.stream",
    "Bars": "data.bars",
    "CalibrationSettings": "study.calibration.fit",
    "Dataset": "data.series",
    "Desk": "trading.desk",
    "Ensemble": "study.calibration.ensemble",
    "Event": "tables",
    "EventKind": "tables",
    "Events": "tables",
    "Exchange": "trading.exchange",
    "ForcedFlowError": "errors",
    "Hypothesis": "study.evidence.hypothesis",
    "KnownMap": "market.known_map",
    "LiquidationMap": "market.liquidation_map",
    "MapSnapshots": "tables",
    "Market": "replay",
    "MarketSettings": "settings",
    "Plan": "trading.orders",
    "Replay": "replay",
    "Run": "record",
    "Side": "tables",
    "SimulationSettings": "data.agents",
    "Strategy": "trading.strategy",
    "Summary": "report.summary",
    "Sweep": "study.sweeps.results",
    "Tape": "market.tape",
    "TapeChunk": "market.stream",
    "TapeStream": "market.stream",
    "TradedChunk": "trading.stream",
    "calibrate": "study.calibration.fit",
    "check_strategy": "conformance",
    "compare": "study.sweeps.compare",
    "contrasts": "trading.blind",
    "dataset_names": "data.catalog",
    "evidence": "study.evidence.evidence",
    "find_strategy": "trading.strategy",
    "interop": "report.interop:",
    "liquidation_price": "venues.rules",
    "load_dataset": "data.catalog",
    "load_hypothesis": "study.evidence.hypothesis",
    "load_run": "record:read",
    "load_sweep": "study.sweeps.results",
    "make_tape": "market.tape",
    "nearer": "trading.levels",
    "plot": "report.plot:",
    "read_map": "market.known_map",
    "run": "backtest",
    "run_streamed": "streamed",
    "save": "backtest",
    "simulate": "data.simulation",
    "strategy_checks": "conformance",
    "strategy_names": "trading.strategy",
    "stream": "market.stream",
    "sweep": "study.sweeps.sweep",
    "tearsheet": "report.tearsheet",
    "trade": "trading.desk",
    "worthwhile": "trading.levels",
    "write_events": "parts",
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
