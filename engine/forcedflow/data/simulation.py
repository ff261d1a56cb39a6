"""A simulated market whose true map is known: the bundled default dataset, and any other by seed and settings.

``python -m forcedflow.data.simulation --out datasets`` makes the two bundled files in ``datasets/``. Chance is drawn
here, from seeded generators; what the market does with it is in :mod:`forcedflow.kernels.simulation`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forcedflow.data.agents import SimulationSettings, preset
from forcedflow.data.simulated import COLUMNS, COMMAND, LOT, SimulatedMarket, TrueMap, VenueFlows, units, write
from forcedflow.kernels import simulation as kernels
from forcedflow.settings import parse
from forcedflow.tables import FloatArray, IntArray, Side
from forcedflow.venues import liquidation_price

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Simulation", "liquidation_factors", "main", "simulate"]

SIDES: Final = (Side.LONG, Side.SHORT)
"""In the kernel's order."""
MINUTES_PER_YEAR: Final = 365 * 24 * 60
MASS_BINS: Final = 8192
"""Bins of the mass that mechanisms look at; it is kept modulo their number, 8 in log price at 10 basis points."""
BLOCK: Final = 1 << 20
"""Random numbers of a column drawn at a time: memory stays the same however long the market."""


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


def liquidation_factors(settings: SimulationSettings, venue: int = 0) -> FloatArray:
    """Return liquidation price over entry price by a venue's rule at the start, shape (2, kinds), longs first.

    Raises
    ------
    VenueError
        If the venue does not allow a kind's leverage at its notional.
    """
    chosen, entry, at = settings.all_venues[venue], settings.price, settings.start
    found = [
        [
            liquidation_price(chosen.venue, chosen.symbol, side, entry, a.notional / entry, a.leverage, at).price
            for a in chosen.agents
        ]
        for side in SIDES
    ]
    return np.array(found, np.float64) / entry


class _Chance:
    """All chance, always in the same order; that of the cohorts in blocks, so that memory does not grow with bars.

    Columns of cohorts follow one another in their generator as if they were drawn whole: a uniform takes one number
    from it, so its column's start is known; exponentials take one or more, so the first column of them is drawn and
    forgotten to find where the second begins.
    """

    def __init__(self, settings: SimulationSettings) -> None:
        self.settings = settings
        rng = np.random.Generator(np.random.PCG64(settings.seed))
        steps = (settings.warmup_bars + settings.bars) * settings.steps_per_bar
        returns, calm = _value_returns(settings, rng, steps)
        hour = np.arange(steps) * settings.interval_minutes / settings.steps_per_bar / 60
        season = 1 + 0.4 * np.cos(2 * np.pi * (hour - 15) / 24)  # busiest when Europe and America are both awake
        noise = np.exp(0.5 * rng.standard_normal(steps) - 0.125)
        self.returns, self.activity = returns, season * noise * calm
        cohorts = steps * settings.cohorts_per_step
        self._columns: list[list[np.random.Generator]] = [[], [], []]  # pick, habit, life of each book
        for venue in range(max(len(settings.all_venues), 1)):
            source = rng.bit_generator if venue == 0 else np.random.PCG64([settings.seed, venue])
            for column, kind in enumerate(self._columns):
                kind.append(_ahead(source, 2 * column * cohorts))
                kind.append(_ahead(source, (2 * column + 1) * cohorts))
            self._columns[2][-1] = _ahead(source, 4 * cohorts)
            for first in range(0, cohorts, BLOCK):
                self._columns[2][-1].standard_exponential(min(BLOCK, cohorts - first))

    def block(self, first: int, last: int) -> kernels.Draws:
        """Draw what bars ``first`` to ``last - 1`` need; blocks must follow one another."""
        per_bar = self.settings.steps_per_bar * self.settings.cohorts_per_step
        count = (last - first) * per_bar
        pick, habit, life = self._columns
        return kernels.Draws(
            returns=self.returns,
            activity=self.activity,
            offset=first * per_bar,
            pick=np.array([g.random(count) for g in pick]),
            habit=np.array([g.random(count) for g in habit]),
            life=np.array([g.standard_exponential(count) for g in life]),
        )


def _ahead(source: Any, draws: int) -> np.random.Generator:
    """Return a generator that stands ``draws`` numbers further than ``source``."""
    copy = np.random.PCG64()
    copy.state = source.state
    return np.random.Generator(copy.advance(draws))


def _kinds(settings: SimulationSettings) -> kernels.Kinds:
    venues = settings.all_venues
    agents = [agent for venue in venues for agent in venue.agents]
    factors = [liquidation_factors(settings, number) for number in range(len(venues))]
    return kernels.Kinds(
        first=np.cumsum([0, *(len(venue.agents) for venue in venues)] if venues else [0, 0]),
        share=np.array([agent.weight for agent in agents], np.float64),
        follow=np.array([agent.follow for agent in agents], np.float64),
        factor=np.concatenate([np.zeros((2, 0)), *factors], axis=1),
        stop_share=np.array([agent.stop_share for agent in agents], np.float64),
        stop_atr=np.array([agent.stop_atr for agent in agents], np.float64),
        holding=np.array([agent.holding_hours for agent in agents], np.float64),
    )


def _rules(settings: SimulationSettings) -> kernels.Rules:
    """Restate settings per step and in lots."""
    steps_per_day = 1440 * settings.steps_per_bar / settings.interval_minutes
    daily_volatility, daily_lots = settings.volatility / np.sqrt(365), settings.volume_per_day / LOT
    impact = settings.impact * daily_volatility / np.sqrt(daily_lots)
    venues = settings.all_venues
    return kernels.Rules(
        steps_per_bar=settings.steps_per_bar,
        step_minutes=settings.interval_minutes / settings.steps_per_bar,
        cohorts=settings.cohorts_per_step,
        tick=1 / settings.tick,
        born=np.array([v.opened_per_day / LOT / steps_per_day for v in venues] or [0.0]),
        churn=np.array([v.volume_per_day / LOT / steps_per_day for v in venues] or [daily_lots / steps_per_day]),
        step_volatility=daily_volatility / np.sqrt(steps_per_day),
        closing_share=settings.closing_share,
        impact=impact,
        permanent=settings.permanent * impact / np.sqrt(0.01 * daily_lots),
        resilience=0.5 ** (1440 / steps_per_day / settings.recovery_minutes),
        atr_bars=settings.atr_bars,
        momentum_bars=settings.trend_bars,
        bin_width=settings.bin_bps * 1e-4,
        magnet=settings.magnet,
        magnet_reach=settings.magnet_reach,
        void=settings.void,
        void_reach=settings.void_reach,
        void_mass=settings.void_mass,
        void_swept=settings.void_swept,
        pressure_left=0.5 ** (settings.interval_minutes / settings.void_minutes),
    )


def _empty(settings: SimulationSettings, kinds: kernels.Kinds, rules: kernels.Rules) -> kernels.Market:
    """Return a market in which nothing is open."""
    books = 2 * max(len(settings.all_venues), 1)
    slots = max(256, 2 * rules.steps_per_bar * rules.cohorts)
    looks = settings.magnet != 0 or settings.void != 0
    usual_range = rules.step_volatility * np.sqrt(8 * settings.steps_per_bar / np.pi)  # E[high - low] of a Brownian bar
    return kernels.Market(
        quantity=np.zeros((books, slots), np.int64),
        key=np.zeros((books, slots)),
        stopped=np.zeros((books, slots), np.bool_),
        due=np.zeros((books, slots)),
        number=np.zeros((books, slots), np.int64),
        heaps=np.tile(np.arange(slots), (2, books, 1)),
        places=np.tile(np.arange(slots), (2, books, 1)),
        sizes=np.zeros(books, np.int64),
        mass=np.zeros((2, MASS_BINS if looks else 0), np.int64),
        now=np.array([np.log(settings.price), 0.0, settings.price, usual_range, 0.0, 0.0, 0.0]),
        handed=np.zeros(books, np.int64),
        chance=np.zeros((2, len(kinds.share))),
    )


def _larger(market: kernels.Market) -> kernels.Market:
    """Return the same market with twice the slots."""
    slots = market.key.shape[1]
    wide = {
        name: np.concatenate((column, np.zeros_like(column)), axis=1)
        for name in ("quantity", "key", "stopped", "due", "number")
        for column in [getattr(market, name)]
    }
    fresh = np.tile(np.arange(slots, 2 * slots), (*market.heaps.shape[:2], 1))
    return market._replace(
        **wide,
        heaps=np.concatenate((market.heaps, fresh), axis=2),
        places=np.concatenate((market.places, fresh), axis=2),
    )


class Simulation:
    """A market that can be taken from bar to bar: what :func:`simulate` drives."""

    def __init__(self, settings: SimulationSettings) -> None:
        self.settings = settings
        self.total = settings.warmup_bars + settings.bars
        self.kinds, self.rules = _kinds(settings), _rules(settings)
        self.market = _empty(settings, self.kinds, self.rules)
        self.chance = _Chance(settings)
        self.bar = 0
        """The next bar."""
        self.prices = np.zeros((self.total, len(kernels.PRICES)))
        self.flows = np.zeros((self.total, len(self.market.sizes) // 2, len(kernels.FLOWS)), np.int64)
        self._draws, self._drawn = self.chance.block(0, 0), 0

    def advance(self, stop: int) -> None:
        """Take bars up to ``stop``, exclusive."""
        per_bar = self.settings.steps_per_bar * self.settings.cohorts_per_step * len(self.market.sizes)
        while self.bar < stop:
            if self.bar == self._drawn:
                self._drawn = min(self.bar + max(BLOCK // per_bar, 1), self.total)
                self._draws = self.chance.block(self.bar, self._drawn)
            until = min(stop, self._drawn)
            self.bar = kernels.advance(
                self.market, self._draws, self.kinds, self.rules, self.bar, until, self.prices, self.flows
            )
            if self.bar < until:
                self.market = _larger(self.market)


def _snapshot(market: kernels.Market, bin_width: float, ts: int) -> IntArray:
    """Return the columns of :class:`TrueMap` for everything open, shape (4, rows)."""
    columns: list[list[Any]] = [[], [], []]
    for book, size in enumerate(market.sizes):
        slots = market.heaps[0, book, :size]
        columns[0].append(book % 2 + len(SIDES) * market.stopped[book, slots])
        columns[1].append(np.rint(np.log(np.abs(market.key[book, slots])) / bin_width).astype(np.int64))
        columns[2].append(market.quantity[book, slots])
    layer, bins, lots = map(np.concatenate, columns)
    lowest = bins.min(initial=0)
    grid = bins.max(initial=0) - lowest + 1
    mass = np.bincount(layer * grid + bins - lowest, weights=lots)  # whole numbers below 2^53: exact
    cells = np.flatnonzero(mass)
    return np.stack([np.full(len(cells), ts), cells // grid, cells % grid + lowest, mass[cells].astype(np.int64)])


def simulate(settings: SimulationSettings | str = "bundled", **changes: Any) -> SimulatedMarket:
    """Run a market whose truth is known: the same settings give the same market.

    Parameters
    ----------
    settings
        Settings, or the name of a market in :data:`~forcedflow.data.agents.PRESETS`; ``bundled`` is the default
        dataset's.
    **changes
        Settings that differ from the named market's.

    Raises
    ------
    SettingsError
        For an unknown market or setting, or one out of bounds.
    VenueError
        Where a venue does not allow an agent's leverage.

    Examples
    --------
    >>> import forcedflow as ff
    >>> market = ff.simulate("null", bars=2_000, seed=3)
    >>> result = ff.run(market.dataset(), "zone_entry")
    """
    if isinstance(settings, str):
        settings = preset(settings, changes)
    elif changes:
        settings = parse(SimulationSettings, settings.model_dump() | changes, "simulation")
    running = Simulation(settings)
    warmup, total = settings.warmup_bars, running.total
    interval = settings.interval_minutes * 60 * 10**9
    ts = int(settings.start.timestamp()) * 10**9 + interval * np.arange(settings.bars)
    snapshots = []
    for stop in range(warmup + settings.snapshot_bars, total + 1, settings.snapshot_bars):
        running.advance(stop)
        snapshots.append(_snapshot(running.market, settings.bin_bps / 1e4, ts[stop - warmup - 1] + interval))
    running.advance(total)
    flows = running.flows[warmup:]
    if not settings.agents:
        flows[:, 0, kernels.FLOWS.index("open_interest")] = _independent_interest(settings)
    ids = [(v.venue, v.symbol) for v in settings.all_venues] or [(settings.venue, settings.symbol)]
    columns = [*running.prices[warmup:, :4].T.copy(), *map(units, flows.sum(axis=1).T)]
    return SimulatedMarket(
        settings=settings,
        ts=ts,
        **dict(zip(COLUMNS, columns, strict=True)),
        premium=running.prices[warmup:, 4].copy(),
        venues=tuple(VenueFlows(*names, *map(units, flows[:, v].T)) for v, names in enumerate(ids)),
        true_map=TrueMap(*np.concatenate([np.zeros((4, 0), np.int64), *snapshots], axis=1)),
    )


def _independent_interest(settings: SimulationSettings) -> IntArray:
    """Return open interest that knows nothing of price, lots: its log returns to its mean."""
    rng = np.random.Generator(np.random.PCG64([settings.seed, 0xA1]))
    days = settings.interval_minutes / 1440
    shocks = rng.standard_normal(settings.bars) * settings.oi_volatility * np.sqrt(days)
    path = kernels.mean_reverting(shocks, 0.5 ** (days / settings.oi_days))
    lots: IntArray = np.rint(settings.open_interest / LOT * np.exp(path)).astype(np.int64)
    return lots


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the bundled dataset: ``python -m forcedflow.data.simulation --out datasets``."""
    parser = argparse.ArgumentParser(prog=COMMAND.partition(" --")[0], description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder that the two files are written to")
    folder: Path = parser.parse_args(arguments).out
    folder.mkdir(parents=True, exist_ok=True)
    write(simulate(), folder)


if __name__ == "__main__":
    main()
