from forcedflow.backtest import run as run
from forcedflow.backtest import save as save
from forcedflow.conformance import check_strategy as check_strategy
from forcedflow.conformance import strategy_checks as strategy_checks
from forcedflow.data.agents import SimulationSettings as SimulationSettings
from forcedflow.data.bars import Bars as Bars
from forcedflow.data.catalog import dataset_names as dataset_names
from forcedflow.data.catalog import load_dataset as load_dataset
from forcedflow.data.series import Dataset as Dataset
from forcedflow.data.simulation import simulate as simulate
from forcedflow.errors import ForcedFlowError as ForcedFlowError
from forcedflow.market.known_map import KnownMap as KnownMap
from forcedflow.market.known_map import read_map as read_map
from forcedflow.market.liquidation_map import LiquidationMap as LiquidationMap
from forcedflow.market.stream import TapeChunk as TapeChunk
from forcedflow.market.stream import TapeStream as TapeStream
from forcedflow.market.stream import stream as stream
from forcedflow.market.tape import Tape as Tape
from forcedflow.market.tape import make_tape as make_tape
from forcedflow.parts import write_events as write_events
from forcedflow.record import Run as Run
from forcedflow.record import read as load_run
from forcedflow.replay import Market as Market
from forcedflow.replay import Replay as Replay
from forcedflow.report import interop as interop
from forcedflow.report import plot as plot
from forcedflow.report.summary import Summary as Summary
from forcedflow.report.tearsheet import tearsheet as tearsheet
from forcedflow.settings import AccountSettings as AccountSettings
from forcedflow.settings import MarketSettings as MarketSettings
from forcedflow.streamed import run_streamed as run_streamed
from forcedflow.study.calibration.ensemble import Ensemble as Ensemble
from forcedflow.study.calibration.fit import CalibrationSettings as CalibrationSettings
from forcedflow.study.calibration.fit import calibrate as calibrate
from forcedflow.study.evidence.evidence import evidence as evidence
from forcedflow.study.evidence.hypothesis import Hypothesis as Hypothesis
from forcedflow.study.evidence.hypothesis import load_hypothesis as load_hypothesis
from forcedflow.study.sweeps.compare import compare as compare
from forcedflow.study.sweeps.results import Sweep as Sweep
from forcedflow.study.sweeps.results import load_sweep as load_sweep
from forcedflow.study.sweeps.sweep import sweep as sweep
from forcedflow.tables import Event as Event
from forcedflow.tables import EventKind as EventKind
from forcedflow.tables import Events as Events
from forcedflow.tables import MapSnapshots as MapSnapshots
from forcedflow.tables import Side as Side
from forcedflow.trading.blind import contrasts as contrasts
from forcedflow.trading.desk import Desk as Desk
from forcedflow.trading.desk import trade as trade
from forcedflow.trading.exchange import Exchange as Exchange
from forcedflow.trading.levels import nearer as nearer
from forcedflow.trading.levels import worthwhile as worthwhile
from forcedflow.trading.orders import Plan as Plan
from forcedflow.trading.strategy import Strategy as Strategy
from forcedflow.trading.strategy import find_strategy as find_strategy
from forcedflow.trading.strategy import strategy_names as strategy_names
from forcedflow.trading.stream import AccountStream as AccountStream
from forcedflow.trading.stream import TradedChunk as TradedChunk
from forcedflow.venues.rules import liquidation_price as liquidation_price

__version__: str
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
