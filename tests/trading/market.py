"""Hand-made bars and events for the tests of trading."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from forcedflow.data.bars import Bars
from forcedflow.data.series import Funding, VenueData
from forcedflow.tables import EVENT_FLOATS, EventKind, Events, SweptMass
from forcedflow.trading.exchange import Exchange
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
    legs: int = 1

    def plan(self, events: Events) -> Plan:
        # Each further leg of a ladder lies half a point deeper, and asks for half as much.
        deeper = -0.5 * np.arange(self.legs) * events.side[:, None] if self.legs > 1 else 0.0

        def column(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
            return values[:, None] if self.legs > 1 else values

        return Plan(
            np.where(events.coverage > 0, events.side, 0),
            entry=np.array(ENTRIES)[events.above_mass.astype(int)],
            price=column(events.near) + deeper,
            limit=column(events.upper) + deeper,
            stop=column(events.far) + np.where(column(events.above_mass) > 0, deeper, 0.0),
            target=events.peak,
            trail=np.where(events.lower > 0, events.lower, np.nan),
            size=column(events.mass_before) / (1 if self.legs == 1 else 2.0 ** np.arange(self.legs)),
            size_rule=np.array(SIZE_RULES)[events.below_mass.astype(int)],
            expiry=events.age,
            hold=events.fuel,
            group=events.group,
            oco=events.slope,
            reduce_only=events.width,
            cancel_on=events.above_near.astype(np.int64),
            exit_on=events.above_far.astype(np.int64),
        )


def random_path(seed: int, bars: int = 60) -> npt.NDArray[np.float64]:
    """Return three jumpy bars of 20 s for each minute, on a grid of quarters so that levels are met exactly."""
    rng = np.random.default_rng(seed)
    path = np.empty((bars, 3, 4))
    last = 100.0
    for i in range(bars):
        for k in range(3):
            jumps = [-6, -1, 0, 0, 0, 1, 6] if k == 0 else [-1, 0, 0, 0, 1]
            open_ = max(last + 0.25 * rng.choice(jumps), 50.0)
            close = max(open_ + 0.25 * rng.integers(-4, 5), 50.0)
            high = max(open_, close) + 0.25 * rng.integers(0, 6)
            low = min(open_, close) - 0.25 * rng.integers(0, 6)
            path[i, k] = open_, high, low, close
            last = close
    return path


def random_fine(seed: int, bars: int = 60) -> Bars:
    """Return the bars of 20 s that add up to those of :func:`random_market`."""
    rows = random_path(seed, bars).reshape(-1, 4).T
    columns = dict(zip(("open", "high", "low", "close"), rows, strict=True))
    ts = np.arange(rows.shape[1], dtype=np.int64) * (MINUTE // 3)
    return Bars.from_columns({"ts": ts, "volume": np.ones(len(ts)), **columns}, MINUTE // 3)[0]


def random_market(seed: int, bars: int = 60, rows: int = 50) -> tuple[Bars, Events]:
    """Make the market of :func:`random_path` by the minute, and events for FromColumns."""
    path = random_path(seed, bars)
    open_, close = path[:, 0, 0], path[:, -1, 3]
    high, low = path[:, :, 1].max(axis=1), path[:, :, 2].min(axis=1)
    market = make_bars(list(zip(open_, high, low, close, strict=True)))

    rng = np.random.default_rng(seed)
    at = np.sort(rng.integers(0, bars, rows))
    kinds = rng.choice(list(EventKind), rows)
    sides = rng.choice([-1, 1], rows)
    groups = rng.integers(0, 4, rows)
    entry = rng.integers(0, 4, rows)
    price = np.where(entry == 0, np.nan, close[at] + 0.25 * rng.integers(-12, 13, rows))
    limit = np.where(entry == 3, price + 0.25 * rng.integers(-4, 5, rows), np.nan)
    reference = np.where(entry == 0, close[at], price)
    nearest = sides * np.fmin(sides * reference, sides * limit)
    farthest = sides * np.fmax(sides * reference, sides * limit)
    rule = rng.integers(0, 4, rows)
    reduces = (rng.random(rows) < 0.3) & (entry < 3)
    rule[reduces] = rng.integers(0, 3, reduces.sum())
    trail = np.where((rng.random(rows) < 0.3) & ~reduces, rng.uniform(0.004, 0.05, rows), 0.0)
    no_stop = ((rng.random(rows) < 0.2) & ((rule != SIZE_RULES.index("risk")) | (trail > 0))) | reduces
    amount = np.choose(rule, [rng.integers(1, 8, rows), rng.uniform(50, 3000, rows)] + [rng.uniform(0.1, 2, rows)] * 2)
    events = make_events(
        market,
        list(zip(at.tolist(), [EventKind(k) for k in kinds], sides.tolist(), groups.tolist(), strict=True)),
        coverage=(rng.random(rows) < 0.8).astype(float),
        above_mass=entry,
        near=price,
        upper=limit,
        far=np.where(no_stop, np.nan, nearest - sides * 0.25 * rng.choice([1, 2, 3, 6, 13], rows)),
        peak=np.where(
            (rng.random(rows) < 0.2) | reduces, np.nan, farthest + sides * 0.25 * rng.choice([1, 2, 3, 6, 13], rows)
        ),
        lower=trail,
        slope=rng.choice([0, 0, 1, 2], rows),
        width=reduces,
        mass_before=np.where(rule == SIZE_RULES.index("risk"), amount / 20, amount),
        below_mass=rule,
        age=rng.integers(1, 9, rows),
        fuel=np.where(reduces, 0, rng.choice([0, 0, 1, 5], rows)),
        above_near=rng.choice([0, 1 << EventKind.ZONE_SWEPT, 1 << EventKind.FORCED_FLOW], rows),
        above_far=rng.choice([0, 1 << EventKind.ZONE_EXIT, (1 << EventKind.ZONE_NEAR) + (1 << 2)], rows),
    )
    return market, events


RULE = """
id = "{name}"
title = "made up"
contract = "{contract}"
trigger = "mark"
maintenance_on = "{on}"
fee_in_maintenance = {fee}
source = "made up"
[fees]
maker = 0.0002
taker = 0.0005
liquidation = 0.01
source = "made up"
[[symbols.X.schedules]]
effective_from = 1970-01-01T00:00:00Z
source = "made up"
caps_in = "{caps}"
brackets = [
    {{ cap = {0}, rate = 0.02, max_leverage = 50 }},
    {{ cap = {1}, rate = 0.05, max_leverage = 15 }},
    {{ cap = {2}, rate = 0.1 }},
]
[[symbols.X.schedules]]
effective_from = 1970-01-01T00:25:00Z
source = "a hike"
caps_in = "{caps}"
brackets = [{{ cap = {1}, rate = 0.08, max_leverage = 10 }}, {{ rate = 0.2 }}]
"""


@cache
def venue_file(contract: str, on: str, caps: str) -> str:
    """Write a venue of small brackets, whose margin rises after 25 minutes, and return its path."""
    name = f"{contract}-{on}-{caps}"
    scale = {"linear-value": 100.0, "inverse-value": 0.1, "linear-contracts": 1.0, "inverse-contracts": 1.0}
    sizes = [scale[f"{contract}-{caps}"] * k for k in (3, 10, 40)]
    fee = 0.0005 if on == "mark" else 0.0
    text = RULE.format(*sizes, name=name, contract=contract, on=on, caps=caps, fee=fee)
    if contract == "inverse":
        text = text.replace("[[symbols", "[symbols.X]\nface = 10.0\n[[symbols", 1)
    path = Path(mkdtemp()) / f"{name}.toml"
    path.write_text(text)
    return str(path)


def random_venue(rng: np.random.Generator, bars: int = 60, *, contract: str | None = None) -> VenueData:
    """Make a venue with a random rule, and funding every so often, some of it between two bars."""
    contract = contract or rng.choice(["linear", "inverse"]).item()
    path = venue_file(contract, rng.choice(["mark", "entry"]).item(), rng.choice(["value", "contracts"]).item())
    times = np.unique(rng.integers(0, bars * 4, 12)) * (MINUTE // 4)
    funding = Funding.from_columns(times, rng.normal(0, 0.003, len(times)))
    return VenueData(path, "X", contract, "none", None, funding)  # type: ignore[arg-type]


def with_marks(bars: Bars, rng: np.random.Generator) -> Bars:
    """Add a mark price that swings less than the price, but not always."""
    n = len(bars)
    high = np.maximum(bars.high + 0.25 * rng.integers(-6, 3, n), bars.low)
    low = np.minimum(bars.low + 0.25 * rng.integers(-2, 7, n), high)
    return Bars.from_columns(bars.columns() | {"mark_high": high, "mark_low": low}, MINUTE)[0]


def random_swept(rng: np.random.Generator, bars: Bars) -> SweptMass:
    """Make a log of mass swept within the range of each bar."""
    count = rng.integers(0, 4, len(bars))
    start = np.concatenate(([0], np.cumsum(count)))
    bar = np.repeat(np.arange(len(bars)), count)
    price = bars.low[bar] + rng.random(len(bar)) * (bars.high[bar] - bars.low[bar])
    return SweptMass(start, price, rng.choice([-1, 1], len(bar)), rng.exponential(2.0, len(bar)))


def random_exchange(seed: int, bars: Bars, *, contract: str | None = None) -> Exchange:
    """Make a market with everything an account may meet."""
    rng = np.random.default_rng(seed)
    if rng.integers(2):
        bars = with_marks(bars, rng)
    columns = np.column_stack(
        (rng.choice([0.0, 0.002, 0.01], len(bars)), rng.choice([0.0, 50.0, 2000.0], len(bars), p=[0.1, 0.5, 0.4]))
    )
    return Exchange(
        bars,
        venue=random_venue(rng, len(bars), contract=contract),
        liquidity=(columns[:, 0], columns[:, 1]),
        swept=random_swept(rng, bars),
        fine=random_fine(seed, len(bars)),
    )
