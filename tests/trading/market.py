"""Hand-made bars and events for the tests of trading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from forcedflow.data.bars import Bars
from forcedflow.tables import EVENT_FLOATS, EventKind, Events
from forcedflow.trading.orders import ENTRIES, SIZE_RULES, Plan
from forcedflow.trading.strategy import Strategy

MINUTE = 60_000_000_000


def make_bars(rows: Sequence[tuple[float, float, float, float]]) -> Bars:
    """Make bars of (open, high, low, close), one a minute."""
    prices = np.array(rows, dtype=np.float64).T
    columns = dict(zip(("open", "high", "low", "close"), prices, strict=True))
    ts = np.arange(len(rows), dtype=np.int64) * MINUTE
    return Bars.from_columns({"ts": ts, "volume": np.ones(len(rows)), **columns}, MINUTE)[0]


def events_of(ints: npt.NDArray[np.int64], floats: npt.NDArray[np.float64]) -> Events:
    """Make events of two blocks: (bar, ts, kind, side, group) and the columns of EVENT_FLOATS; no channel."""
    no_channel = np.zeros((len(ints), 1), np.int64)
    return Events(*np.hstack((ints, no_channel)).T, *floats.T)[:]


def make_events(bars: Bars, rows: Sequence[tuple[int, EventKind, int, int]], **columns: npt.ArrayLike) -> Events:
    """Make events of (bar, kind, side, group); float columns by name, zero where left out."""
    ints = np.array([(bar, (bar + 1) * MINUTE, kind, side, group) for bar, kind, side, group in rows], dtype=np.int64)
    ints = ints.reshape(len(rows), 5)
    floats = np.zeros((len(rows), len(EVENT_FLOATS)))
    floats[:, EVENT_FLOATS.index("close")] = bars.close[ints[:, 0]]
    for name, values in columns.items():
        floats[:, EVENT_FLOATS.index(name)] = values
    return events_of(ints, floats)


class FromColumns(Strategy):
    """Order what the float columns of the events say: a way to trade random plans."""

    listens: ClassVar[tuple[EventKind, ...]] = (EventKind.ZONE_NEAR, EventKind.ZONE_ENTRY)

    def plan(self, events: Events) -> Plan:
        return Plan(
            np.where(events.coverage > 0, events.side, 0),
            entry=np.array(ENTRIES)[events.above_mass.astype(int)],
            price=events.near,
            stop=events.far,
            target=events.peak,
            size=events.mass_before,
            size_rule=np.array(SIZE_RULES)[events.below_mass.astype(int)],
            expiry=events.age,
            hold=events.fuel,
            group=events.group,
            cancel_on=events.above_near.astype(np.int64),
            exit_on=events.above_far.astype(np.int64),
        )


def random_market(seed: int, bars: int = 60, rows: int = 50) -> tuple[Bars, Events]:
    """Make a jumpy market on a grid of quarters, so that levels are met exactly, and events for FromColumns."""
    rng = np.random.default_rng(seed)
    open_, close = np.empty(bars), np.empty(bars)
    last = 100.0
    for i in range(bars):
        open_[i] = last + 0.25 * rng.choice([-6, -1, 0, 0, 0, 1, 6])
        close[i] = open_[i] + 0.25 * rng.integers(-6, 7)
        last = close[i] = max(close[i], 50.0)
    high = np.maximum(open_, close) + 0.25 * rng.integers(0, 8, bars)
    low = np.minimum(open_, close) - 0.25 * rng.integers(0, 8, bars)
    market = make_bars(list(zip(open_, high, low, close, strict=True)))

    at = np.sort(rng.integers(0, bars, rows))
    kinds = rng.choice(list(EventKind), rows)
    sides = rng.choice([-1, 1], rows)
    groups = rng.integers(0, 4, rows)
    entry = rng.integers(0, 3, rows)
    price = np.where(entry == 0, np.nan, close[at] + 0.25 * rng.integers(-12, 13, rows))
    reference = np.where(entry == 0, close[at], price)
    rule = rng.integers(0, 4, rows)
    no_stop = (rng.random(rows) < 0.2) & (rule != SIZE_RULES.index("risk"))
    amount = np.choose(rule, [rng.integers(1, 8, rows), rng.uniform(50, 3000, rows)] + [rng.uniform(0.1, 2, rows)] * 2)
    events = make_events(
        market,
        list(zip(at.tolist(), [EventKind(k) for k in kinds], sides.tolist(), groups.tolist(), strict=True)),
        coverage=(rng.random(rows) < 0.8).astype(float),
        above_mass=entry,
        near=price,
        far=np.where(no_stop, np.nan, reference - sides * 0.25 * rng.integers(1, 14, rows)),
        peak=np.where(rng.random(rows) < 0.2, np.nan, reference + sides * 0.25 * rng.integers(1, 14, rows)),
        mass_before=np.where(rule == SIZE_RULES.index("risk"), amount / 20, amount),
        below_mass=rule,
        age=rng.integers(1, 9, rows),
        fuel=rng.choice([0, 0, 1, 5], rows),
        above_near=rng.choice([0, 1 << EventKind.ZONE_SWEPT, 1 << EventKind.FORCED_FLOW], rows),
        above_far=rng.choice([0, 1 << EventKind.ZONE_EXIT, (1 << EventKind.ZONE_NEAR) + (1 << 2)], rows),
    )
    return market, events
