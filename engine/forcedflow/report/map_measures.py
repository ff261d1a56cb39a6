"""Measures of risk by the map: where stops and entries stood among zones, and what fuel lay on the way.

A zone counts as known to a trade if the event that asked for its order carried it: the event's own zone, and the
nearest above and below.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from forcedflow.kernels import measures
from forcedflow.report.trade_measures import closed, finite

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forcedflow.record import Columns, Table
    from forcedflow.tables import Events, FloatArray, IntArray, MapSnapshots

    _Mask = npt.NDArray[np.bool_]

__all__ = [
    "EDGES",
    "MapContext",
    "Places",
    "fuel_ahead",
    "liquidation_distance",
    "map_measures",
    "place_measures",
    "places",
    "stopped_then_target",
]

_ZONES: Final = (("near", "far"), ("above_near", "above_far"), ("below_near", "below_far"))
EDGES: Final = tuple(name for zone in _ZONES for name in zone)
"""Columns of an event that say where the zones are that it carries."""


@dataclass(frozen=True, slots=True)
class MapContext:
    """What the market did while a run was traded, as a record keeps it."""

    orders: Table
    events: Events
    market_bars: Table
    snapshots: MapSnapshots
    counts_ticks: bool = False
    """Volume counts ticks: there is none to trade against."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where each trade stood among the zones that were known when its order was placed, arrays of shape (t,)."""

    known: _Mask
    """An event asked for the order."""
    entry_inside: _Mask
    stop_inside: _Mask
    stop_beyond: _Mask
    """The far edge of a zone lies between entry and stop."""


def map_measures(trades: Table, context: MapContext) -> dict[str, float]:
    """Measure closed trades against the map that their orders knew."""
    ended, stopped = closed(trades), trades["exit_reason"] == "stop"
    share, chance = stopped_then_target(trades, ended, stopped, [context.market_bars])
    opposing, supporting = fuel_ahead(trades, context)
    where = places(trades, context.orders, [{name: getattr(context.events, name) for name in EDGES}])
    return place_measures(trades, ended, stopped, where) | {
        "stopped_then_target": share,
        "stopped_then_target_chance": chance,
        "opposing_fuel": opposing,
        "supporting_fuel": supporting,
    }


def place_measures(trades: Columns, ended: _Mask, stopped: _Mask, where: Places) -> dict[str, float]:
    """Measure what came of closed trades by where they stood among the zones that their orders knew.

    Parameters
    ----------
    trades
        Columns ``stop``, ``r`` and ``mae_r``.
    ended, stopped
        Which of them are closed, and which by their stop.
    where
        What :func:`places` says of them.
    """
    with_stop = np.isfinite(trades["stop"]) & where.known
    r, mae = trades["r"], trades["mae_r"]
    inside, outside = ended & where.known & where.entry_inside, ended & where.known & ~where.entry_inside
    return {
        "stopped": _share(stopped[ended]),
        "stops_inside": _share(where.stop_inside[with_stop]),
        "stops_beyond": _share(where.stop_beyond[with_stop]),
        "stopped_inside": _share(stopped[ended & with_stop & where.stop_inside]),
        "stopped_beyond": _share(stopped[ended & with_stop & where.stop_beyond]),
        "entries_inside": _share(where.entry_inside[where.known]),
        "r_inside": measures.mean(finite(r[inside])),
        "r_outside": measures.mean(finite(r[outside])),
        "mae_inside": measures.mean(finite(mae[inside])),
        "mae_outside": measures.mean(finite(mae[outside])),
    }


def places(trades: Columns, orders: Columns, events: Iterable[Columns]) -> Places:
    """Tell where entries and stops stood among the zones that the ordering event carried.

    Parameters
    ----------
    trades
        Columns ``order_id``, ``side``, ``entry_price`` and ``stop``.
    orders
        Column ``event``.
    events
        Columns ``EDGES``, in one table or in parts one after another.
    """
    row = orders["event"][trades["order_id"]]
    entry, stop, side = trades["entry_price"], trades["stop"], trades["side"]
    entry_inside, stop_inside, stop_beyond = np.zeros((3, len(row)), dtype=bool)
    first = 0
    for part in events:
        here = np.flatnonzero((row >= first) & (row < first + len(part["near"])))
        for zone in _ZONES:
            edges = np.stack([part[name][row[here] - first] for name in zone])
            low, high = edges.min(axis=0), edges.max(axis=0)  # NaN where there is no zone: then nothing holds
            begun, ends = entry[here], stop[here]
            entry_inside[here] |= (low <= begun) & (begun <= high)
            stop_inside[here] |= (low <= ends) & (ends <= high)
            below, above = (ends < low) & (low < begun), (begun < high) & (high < ends)
            stop_beyond[here] |= np.where(side[here] > 0, below, above)
        first += len(part["near"])
    return Places(row >= 0, entry_inside, stop_inside, stop_beyond & ~stop_inside)


def stopped_then_target(trades: Columns, ended: _Mask, stopped: _Mask, bars: Iterable[Columns]) -> tuple[float, float]:
    """Return the share of stopped trades whose target traded afterwards, and what a price without memory would give.

    From the bar after the exit, for as long as the run's longest closed trade: the target counts if it is touched
    before price has gone as far beyond the stop as the stop was from the entry. A bar that touches both counts against.

    Parameters
    ----------
    trades
        Columns ``side``, ``entry_price``, ``stop``, ``target``, ``exit_bar`` and ``bars_held``.
    ended, stopped
        Which of them are closed, and which by their stop.
    bars
        Columns ``high`` and ``low``, in one table or in parts one after another.
    """
    chosen = stopped & np.isfinite(trades["target"])
    if not chosen.any():
        return math.nan, math.nan
    window = max(int(trades["bars_held"][ended].max()), 1)
    entry, stop, target, side = (trades[name][chosen] for name in ("entry_price", "stop", "target", "side"))
    risk, way = np.abs(entry - stop), np.abs(target - stop)
    reached = _reached(trades["exit_bar"][chosen], side, target, stop - side * risk, window, bars)
    return reached / len(side), measures.mean(risk / (risk + way))


def _reached(
    bar: IntArray, side: IntArray, target: FloatArray, bound: FloatArray, window: int, parts: Iterable[Columns]
) -> int:
    """Count how often ``target`` trades before ``bound`` does, in so many bars after ``bar``."""
    order = np.argsort(bar, kind="stable")
    long = side > 0
    up, down = np.where(long, target, bound), np.where(long, bound, target)
    count = begun = first = 0
    waiting: list[int] = []
    for part in parts:
        high, low = part["high"], part["low"]
        end = first + len(high)
        due = int(np.searchsorted(bar, end - 1, sorter=order))  # of a trade that left in the last bar none is here
        waiting += order[begun:due].tolist()
        begun, still = due, []
        for trade in waiting:
            start, stop = max(int(bar[trade]) + 1, first), min(int(bar[trade]) + 1 + window, end)
            hit = _first_touch(high, low, up[trade], down[trade], start - first, stop - first)
            if hit >= 0:
                is_up, is_down = high[hit] >= up[trade], low[hit] <= down[trade]
                count += bool((is_up and not is_down) if long[trade] else (is_down and not is_up))
            elif stop == end:
                still.append(trade)
        waiting, first = still, end
    return count


def _first_touch(high: FloatArray, low: FloatArray, up: float, down: float, start: int, stop: int) -> int:
    """Return the first bar of [start, stop) that reaches a level, -1 for none; most are near, so few are looked at."""
    few = 32
    while start < stop:
        rows = slice(start, min(start + few, stop))
        touched = (high[rows] >= up) | (low[rows] <= down)
        at = int(touched.argmax())
        if touched[at]:
            return start + at
        start, few = rows.stop, 4 * few
    return -1


def fuel_ahead(trades: Table, context: MapContext) -> tuple[float, float]:
    """Return forced orders between price and stop, and between price and target, in bars of average volume.

    Only those that would push price on: forced selling below it, forced buying above. Means over all pairs of a trade
    and a picture of the map at its entry (the last before it) or while it was open. NaN where there are none.
    """
    shots, bars = context.snapshots, context.market_bars
    if not len(shots.bar) or not len(trades["side"]):
        return math.nan, math.nan
    # mass up to each bin, of longs (sold on the way down) and of shorts (bought on the way up)
    longs, shorts = (_cumulated(shots.mass[:, k::2]) for k in (0, 1))
    first = np.maximum(np.searchsorted(shots.bar, trades["entry_bar"], side="right") - 1, 0)
    last = np.maximum(np.searchsorted(shots.bar, trades["exit_bar"]), first + 1)
    count = last - first
    trade = np.repeat(np.arange(len(count)), count)
    shot = np.arange(len(trade)) - np.repeat(np.cumsum(count) - count, count) + first[trade]
    bar = np.maximum(shots.bar[shot], trades["entry_bar"][trade])  # an earlier picture stands for the entry
    volume = bars["volume_average"][bar]
    fits = (shots.bar[shot] <= bar) & (volume > 0.0)
    trade, shot, bar, volume = trade[fits], shot[fits], bar[fits], volume[fits]
    price, long = bars["close"][bar], trades["side"][trade] > 0

    def between(level: FloatArray, rising: _Mask) -> float:
        """Mean mass between price and a level that price rises or falls to; trades without the level are left out."""
        given = np.isfinite(level)
        start, end = (_edge(p[given], shots) for p in (price, level))
        at, rise = shot[given], rising[given]
        up, down = np.maximum(start, end), np.minimum(start, end)
        mass = np.where(rise, shorts[at, up] - shorts[at, start], longs[at, start] - longs[at, down])
        return measures.mean(mass / volume[given])

    return between(trades["stop"][trade], ~long), between(trades["target"][trade], long)


def liquidation_distance(equity: Table, bars: Table) -> float:
    """Return the least distance of price from the account's own liquidation price, in ATR; NaN where it has none.

    Parameters
    ----------
    equity
        With a column ``liquidation``: the price at which the position held at the bar's close would be liquidated, NaN
        where nothing would be.
    bars
        Columns ``high``, ``low``, ``close`` and ``atr``.
    """
    level, rows = equity["liquidation"][:-1], equity["bar"][1:]  # what is held at a close meets the next bar
    below = level < bars["close"][rows - 1]
    away = np.log(np.where(below, bars["low"][rows] / level, level / bars["high"][rows]))
    away = np.maximum(away, 0.0) / bars["atr"][rows]  # it was reached, and may have been gapped through
    away = away[np.isfinite(away)]
    return float(away.min()) if len(away) else math.nan


def _cumulated(layers: npt.NDArray[np.float32]) -> FloatArray:
    """Return the mass of some layers below each border between bins, shape (m, g + 1)."""
    below: FloatArray = np.pad(layers.sum(axis=1, dtype=np.float64).cumsum(axis=1), ((0, 0), (1, 0)))
    return below


def _edge(price: FloatArray, shots: MapSnapshots) -> IntArray:
    """Return the border between bins that is nearest to a price, counted from the first bin."""
    border = np.rint(np.log(price) / shots.bin_width + 0.5).astype(np.int64) - shots.bins[0]
    clipped: IntArray = np.clip(border, 0, len(shots.bins))
    return clipped


def _share(hits: _Mask) -> float:
    return measures.mean(hits.astype(np.float64))
