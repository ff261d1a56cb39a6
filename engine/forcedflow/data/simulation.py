"""A simulated market whose true map is known: the bundled default dataset.

``python -m forcedflow.data.simulation --out datasets`` makes the two files in ``datasets/``. Chance is drawn here, from
one seeded generator; what the market does with it is in :mod:`forcedflow.kernels.simulation`.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import AwareDatetime, Field

from forcedflow.kernels import simulation as kernels
from forcedflow.settings import Settings
from forcedflow.tables import LAYERS, FloatArray, IntArray, Side
from forcedflow.venues import liquidation_price

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "BARS_FILE",
    "COLUMNS",
    "COMMAND",
    "LOT",
    "MAP_FILE",
    "AgentKind",
    "SimulatedMarket",
    "SimulationSettings",
    "TrueMap",
    "main",
    "prepare",
    "simulate",
    "write",
]

COLUMNS: Final = ("open", "high", "low", "close", *kernels.FLOWS)
BARS_FILE: Final = "simulated.parquet"
MAP_FILE: Final = "simulated_map.parquet"
COMMAND: Final = "python -m forcedflow.data.simulation --out datasets"
LOT: Final = 0.001
"""Base units of one lot: quantities are whole lots, so that they are conserved exactly."""
TICKS: Final = 10.0
"""Price steps in one unit of quote currency."""
SIDES: Final = (Side.LONG, Side.SHORT)
"""In the kernel's order."""
MINUTES_PER_YEAR: Final = 365 * 24 * 60


class AgentKind(Settings):
    """Holders who trade alike; all of one kind use the same leverage."""

    leverage: float = Field(gt=1, le=125)
    weight: float = Field(gt=0, description="share of what is opened")
    notional: float = Field(gt=0, description="usual position, quote currency: sets the bracket")
    holding_hours: float = Field(gt=0, description="mean time until they leave by themselves")
    stop_share: float = Field(default=0.0, ge=0, le=1, description="share that keeps a stop")
    stop_atr: float = Field(default=1.0, gt=0, description="distance of that stop, average true ranges")


AGENTS: Final = (
    AgentKind(leverage=2, weight=0.14, notional=400_000, holding_hours=300),
    AgentKind(leverage=3, weight=0.18, notional=200_000, holding_hours=240),
    AgentKind(leverage=5, weight=0.27, notional=100_000, holding_hours=200),
    AgentKind(leverage=10, weight=0.24, notional=50_000, holding_hours=120, stop_share=0.2, stop_atr=16),
    AgentKind(leverage=20, weight=0.10, notional=20_000, holding_hours=72, stop_share=0.2, stop_atr=16),
    AgentKind(leverage=25, weight=0.04, notional=15_000, holding_hours=48, stop_share=0.2, stop_atr=16),
    AgentKind(leverage=50, weight=0.02, notional=8_000, holding_hours=24, stop_share=0.5, stop_atr=4),
    AgentKind(leverage=100, weight=0.01, notional=3_000, holding_hours=12, stop_share=0.5, stop_atr=4),
)


class SimulationSettings(Settings):
    """What the simulated market is like; the defaults make the bundled files."""

    seed: int = Field(default=27, ge=0, description="of the one generator that all chance comes from (PCG64)")
    bars: int = Field(default=10_000, ge=1, description="bars that are kept")
    warmup_bars: int = Field(
        default=5_760, ge=0, description="bars before them, in which the first positions are opened"
    )
    venue: str = Field(default="binance-um", description="whose rule liquidates; linear")
    symbol: str = Field(default="BTCUSDT", description="contract whose brackets hold")
    interval_minutes: Literal[1, 5, 15, 60] = Field(default=5, description="length of a bar")
    steps_per_bar: int = Field(default=5, ge=1, description="price moves and orders are taken this often")
    start: AwareDatetime = Field(
        default=datetime(2025, 1, 1, tzinfo=UTC), description="start of the first bar that is kept"
    )
    price: float = Field(default=60_000.0, gt=1, description="price before the first bar")
    # Value: what price would be without forced orders
    volatility: float = Field(default=0.5, gt=0, description="long-run volatility of its GARCH part, annual")
    garch_alpha: float = Field(default=0.015, ge=0, lt=1, description="weight of the last squared return, a step")
    garch_beta: float = Field(default=0.984, ge=0, lt=1, description="weight of the last variance, a step")
    tail: float = Field(default=5.0, gt=2, description="degrees of freedom of Student's t")
    trend_hours: float = Field(default=18.0, gt=0, description="mean length of a trend")
    trend_size: float = Field(default=0.015, ge=0, description="standard deviation of a trend's drift, log price a day")
    jumps_per_day: float = Field(default=0.3, ge=0, description="sudden moves")
    jump_size: float = Field(default=0.008, ge=0, description="standard deviation of a jump, log price")
    # Trade
    opened_per_day: float = Field(default=13_000.0, ge=0, description="new contracts a day, base units")
    volume_per_day: float = Field(
        default=250_000.0, gt=0, description="usual trade that leaves no position, base units a day"
    )
    closing_share: float = Field(
        default=0.6,
        ge=0,
        le=1,
        description="part of what leaves that meets the other side's leavers: open interest falls by it",
    )
    cohorts_per_step: int = Field(default=4, ge=1, description="newcomers of a side fall into so many cohorts a step")
    agents: tuple[AgentKind, ...] = Field(default=AGENTS, min_length=1, description="kinds of holders")
    atr_bars: float = Field(
        default=48.0, ge=1, description="memory of the average true range that stops are placed by, bars"
    )
    # Impact of forced orders; 0 makes price exogenous
    impact: float = Field(
        default=4.0, ge=0, description="Y in: move = Y x daily volatility x sqrt(forced / daily volume)"
    )
    permanent: float = Field(
        default=0.1,
        ge=0,
        description="linear part that stays, as a share of the move of an order of 1% of daily volume",
    )
    recovery_minutes: float = Field(default=45.0, gt=0, description="half-life of the book's displacement")
    # The true map
    snapshot_bars: int = Field(default=72, ge=1, description="the true map is kept at the close of every so many bars")
    bin_bps: float = Field(default=10.0, gt=0, le=200, description="width of its price bins, basis points of log price")


@dataclass(frozen=True, slots=True)
class TrueMap:
    """Mass by threshold at the close of some bars, in long form; rows ordered by time, layer and bin."""

    ts: IntArray
    """Close of the bar, int64 ns UTC."""
    layer: IntArray
    """Index into ``LAYERS``."""
    bin: IntArray
    """Bin ``k`` is centred on ``exp(k * bin_bps / 10_000)``; a threshold belongs to the nearest bin."""
    lots: IntArray
    """Mass, in lots of ``LOT`` base units. In a snapshot the longs' layers sum to open interest; so do the shorts'."""


@dataclass(frozen=True, slots=True)
class SimulatedMarket:
    """What happened, and what real markets keep to themselves. Arrays of shape (bars,), quantities in base units."""

    settings: SimulationSettings
    ts: IntArray
    """Start of the bar, int64 ns UTC."""
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    open_interest: FloatArray
    """At the bar's close."""
    long_liquidated: FloatArray
    short_liquidated: FloatArray
    long_stopped: FloatArray
    short_stopped: FloatArray
    true_map: TrueMap


def _value_returns(settings: SimulationSettings, rng: np.random.Generator, steps: int) -> tuple[FloatArray, FloatArray]:
    """Return the value's log returns (GARCH-t, trends, jumps) and its relative volatility, of shape (steps,) each."""
    step_minutes = settings.interval_minutes / settings.steps_per_bar
    variance = settings.volatility**2 * step_minutes / MINUTES_PER_YEAR
    shocks = rng.standard_t(settings.tail, steps) / np.sqrt(settings.tail / (settings.tail - 2))
    returns, variances = kernels.garch(shocks, variance, settings.garch_alpha, settings.garch_beta)
    trend = np.cumsum(rng.random(steps) < step_minutes / (60 * settings.trend_hours))
    drift = rng.standard_normal(trend[-1] + 1) * settings.trend_size * step_minutes / 1440
    jumps = (rng.random(steps) < settings.jumps_per_day * step_minutes / 1440) * rng.standard_normal(steps)
    return returns + drift[trend] + jumps * settings.jump_size, np.sqrt(variances / variance)


def liquidation_factors(settings: SimulationSettings) -> FloatArray:
    """Return liquidation price over entry price by the venue's rule at the start, shape (2, kinds), longs first.

    Raises
    ------
    VenueError
        If the venue does not allow a kind's leverage at its notional.
    """
    venue, symbol, entry, at = settings.venue, settings.symbol, settings.price, settings.start
    found = [
        [
            liquidation_price(venue, symbol, side, entry, a.notional / entry, a.leverage, at).price
            for a in settings.agents
        ]
        for side in SIDES
    ]
    return np.array(found, np.float64) / entry


def _draw(settings: SimulationSettings) -> kernels.Draws:
    """Draw all chance, always in this order."""
    rng = np.random.Generator(np.random.PCG64(settings.seed))
    steps = (settings.warmup_bars + settings.bars) * settings.steps_per_bar
    step_minutes = settings.interval_minutes / settings.steps_per_bar
    returns, calm = _value_returns(settings, rng, steps)
    hour = np.arange(steps) * step_minutes / 60
    season = 1 + 0.4 * np.cos(2 * np.pi * (hour - 15) / 24)  # busiest when Europe and America are both awake
    noise = np.exp(0.5 * rng.standard_normal(steps) - 0.125)
    agents, cohorts = settings.agents, (2, steps * settings.cohorts_per_step)
    share = np.cumsum([agent.weight for agent in agents])
    kind = np.searchsorted(share / share[-1], rng.random(cohorts), side="right")
    keeps_stop = rng.random(cohorts) < np.array([a.stop_share for a in agents])[kind]
    life = rng.standard_exponential(cohorts) * np.array([a.holding_hours for a in agents])[kind]
    return kernels.Draws(
        returns=returns,
        activity=season * noise * calm,
        factor=np.take_along_axis(liquidation_factors(settings), kind, axis=1),
        multiple=np.where(keeps_stop, np.array([a.stop_atr for a in agents])[kind], np.inf),
        life=life * 60 / step_minutes,
    )


def _rules(settings: SimulationSettings) -> kernels.Rules:
    """Restate settings per step and in lots."""
    steps_per_day = 1440 * settings.steps_per_bar / settings.interval_minutes
    daily_volatility, daily_lots = settings.volatility / np.sqrt(365), settings.volume_per_day / LOT
    impact = settings.impact * daily_volatility / np.sqrt(daily_lots)
    return kernels.Rules(
        steps_per_bar=settings.steps_per_bar,
        cohorts=settings.cohorts_per_step,
        ticks=TICKS,
        born=settings.opened_per_day / LOT / steps_per_day,
        churn=daily_lots / steps_per_day,
        step_volatility=daily_volatility / np.sqrt(steps_per_day),
        closing_share=settings.closing_share,
        impact=impact,
        permanent=settings.permanent * impact / np.sqrt(0.01 * daily_lots),
        resilience=0.5 ** (1440 / steps_per_day / settings.recovery_minutes),
        atr_bars=settings.atr_bars,
    )


def prepare(settings: SimulationSettings) -> tuple[kernels.Market, kernels.Draws, kernels.Rules]:
    """Return what :func:`forcedflow.kernels.simulation.advance` starts from: an empty market, all chance, the rules."""
    draws, rules = _draw(settings), _rules(settings)
    cohorts = draws.life.shape[1]
    usual_range = rules.step_volatility * np.sqrt(8 * settings.steps_per_bar / np.pi)  # E[high - low] of a Brownian bar
    market = kernels.Market(
        quantity=np.zeros((2, cohorts), np.int64),
        key=np.zeros((2, cohorts)),
        stopped=np.zeros((2, cohorts), np.bool_),
        due=np.zeros((2, cohorts)),
        heaps=np.zeros((2, 2, cohorts), np.int64),
        sizes=np.zeros((2, 2), np.int64),
        now=np.array([np.log(settings.price), 0.0, settings.price, usual_range]),
    )
    return market, draws, rules


def _snapshot(market: kernels.Market, bin_width: float, ts: int) -> IntArray:
    """Return the columns of :class:`TrueMap` for everything open, shape (4, rows)."""
    alive = np.flatnonzero(market.quantity)
    layer = alive // market.quantity.shape[1] + len(SIDES) * market.stopped.ravel()[alive]
    bins = np.rint(np.log(np.abs(market.key.ravel()[alive])) / bin_width).astype(np.int64)
    grid = bins.max(initial=0) + 1  # thresholds above price 1 only: bins are positive
    mass = np.bincount(layer * grid + bins, weights=market.quantity.ravel()[alive])  # whole numbers below 2^53: exact
    cells = np.flatnonzero(mass)
    return np.stack([np.full(len(cells), ts), cells // grid, cells % grid, mass[cells].astype(np.int64)])


def simulate(settings: SimulationSettings | None = None) -> SimulatedMarket:
    """Run the market: the same settings give the same market.

    Parameters
    ----------
    settings
        The defaults make the bundled dataset.
    """
    settings = settings or SimulationSettings()
    market, draws, rules = prepare(settings)
    warmup, total = settings.warmup_bars, settings.warmup_bars + settings.bars
    prices, flows = np.zeros((total, 4)), np.zeros((total, len(kernels.FLOWS)), np.int64)
    interval = settings.interval_minutes * 60 * 10**9
    ts = int(settings.start.timestamp()) * 10**9 + interval * np.arange(settings.bars)
    snapshots = []
    stops = [0, *range(warmup + settings.snapshot_bars, total + 1, settings.snapshot_bars)]
    for first, last in pairwise(stops):
        kernels.advance(market, draws, rules, first, last, prices, flows)
        snapshots.append(_snapshot(market, settings.bin_bps / 1e4, ts[last - warmup - 1] + interval))
    kernels.advance(market, draws, rules, stops[-1], total, prices, flows)
    true_map = TrueMap(*np.concatenate([np.zeros((4, 0), np.int64), *snapshots], axis=1))
    columns = [*prices[warmup:].T.copy(), *(_units(column) for column in flows[warmup:].T)]
    return SimulatedMarket(settings, ts, **dict(zip(COLUMNS, columns, strict=True)), true_map=true_map)


def _units(lots: IntArray) -> FloatArray:
    """Return base units, correctly rounded."""
    units: FloatArray = lots / round(1 / LOT)
    return units


def write(market: SimulatedMarket, folder: Path) -> tuple[Path, Path]:
    """Write bars and true map, each whole or not at all, with settings and command in the files' metadata.

    Returns
    -------
    bars, map
        Paths of ``simulated.parquet`` and ``simulated_map.parquet`` in ``folder``.
    """
    bars = pa.table({"ts": market.ts} | {name: getattr(market, name) for name in COLUMNS})
    truth = market.true_map
    layer = pa.DictionaryArray.from_arrays(pa.array(truth.layer, pa.int8()), pa.array(LAYERS))
    true_map = pa.table(
        {
            "ts": truth.ts,
            "layer": layer,
            "bin": pa.array(truth.bin, pa.int32()),
            "lots": pa.array(truth.lots, pa.int32()),
        }
    )
    notes = {"simulated": "yes", "command": COMMAND, "lot": str(LOT), "settings": market.settings.model_dump_json()}
    paths = folder / BARS_FILE, folder / MAP_FILE
    packed = {"ts": "DELTA_BINARY_PACKED"}
    _write_table(bars.replace_schema_metadata(notes), paths[0], list(COLUMNS), packed)
    packed |= {"bin": "DELTA_BINARY_PACKED", "lots": "BYTE_STREAM_SPLIT"}
    _write_table(true_map.replace_schema_metadata(notes), paths[1], ["layer"], packed)
    return paths


def _write_table(table: pa.Table, path: Path, dictionary: list[str], encoding: dict[str, str]) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pq.write_table(
            table,
            scratch,
            compression="zstd",
            compression_level=19,
            use_dictionary=dictionary,  # pyright: ignore[reportArgumentType]  (its stub forgets lists)
            column_encoding=encoding,
        )
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the bundled dataset: ``python -m forcedflow.data.simulation --out datasets``."""
    parser = argparse.ArgumentParser(prog="python -m forcedflow.data.simulation", description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder that the two files are written to")
    folder: Path = parser.parse_args(arguments).out
    folder.mkdir(parents=True, exist_ok=True)
    write(simulate(), folder)


if __name__ == "__main__":
    main()
