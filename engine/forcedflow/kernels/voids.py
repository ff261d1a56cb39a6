"""Voids: what lies ahead once zones are consumed, and when the move that consumed them is exhausted.

A bar that swept mass and left next to none within reach ahead enters a void: an episode begins. It ends when it runs
out of time or mass lies ahead again. Once in it, the move may be exhausted: enough was swept, the forced flow has dried
up, momentum has decayed from its peak, and short volatility has fallen below long.
"""

from __future__ import annotations

import math

import numpy as np

from forcedflow.kernels import FloatArray, Record, Records, inner_kernel
from forcedflow.kernels.liquidation_map import LONG
from forcedflow.kernels.zones import frontier, mass_between, outward

__all__ = ["VOID", "enters_void", "exhausted", "open_episode"]

DUST = 1e-9  # share of open interest: a bin that rounding left mass in is empty

VOID = np.dtype(
    [
        # settings
        ("reach", "f8"),  # ATR
        ("most", "f8"),  # mass within reach, share of open interest
        ("window", "i8"),  # bars
        ("swept_min", "f8"),  # share of open interest
        ("flow_max", "f8"),  # bars of average volume
        ("dry_bars", "i8"),
        ("decay", "f8"),
        ("vol_ratio", "f8"),
        # by side
        ("dense", "i8", (2,)),  # 1: at the last sweep mass lay ahead
        ("group", "i8", (2,)),  # of the episode; 0: none
        ("since", "i8", (2,)),  # bar
        ("swept", "f8", (2,)),  # within the window and since, share of open interest
        ("ahead", "f8", (2,)),  # share of open interest
        ("wet", "i8", (2,)),  # last bar with forced flow that counts
        ("peak", "f8", (2,)),  # of momentum in the direction of the move
        ("extreme", "f8", (2,)),  # farthest price, in bins
    ],
    align=True,
)


@inner_kernel
def enters_void(
    head: Record,
    venues: Records,
    stored: FloatArray,
    void: Record,
    min_coverage: float,
    side: int,
    touched: int,
    atr: float,
) -> bool:
    """Tell whether a bar that reaches bin ``touched`` sweeps mass of the frozen map and newly leaves a void ahead."""
    away = -1 if side == LONG else 1
    if head.coverage[side] < min_coverage or head.oi <= 0.0:
        return False
    if mass_between(head, venues, stored, side, frontier(venues, side), touched) <= DUST * head.oi:
        return False
    span = int(void.reach * atr) + 1
    ahead = mass_between(head, venues, stored, side, touched + away, touched + away * span) / head.oi
    was_dense: bool = void.dense[side] == 1
    void.dense[side] = ahead >= void.most
    void.ahead[side] = ahead
    is_void: bool = ahead < void.most
    return was_dense and is_void


@inner_kernel
def open_episode(
    head: Record,
    void: Record,
    oi: FloatArray,
    liquidations: FloatArray,
    stops: FloatArray,
    extremes: FloatArray,
    side: int,
    bar: int,
    first: int,
) -> None:
    """Fill in the episode that begins at ``bar``: what was swept, how far price went, within the window up to it.

    Parameters
    ----------
    oi, liquidations, stops
        Open interest, and what was swept of the side's layers, bar by bar up to the one before.
    extremes
        The bars' lows for the side of the longs, else their highs.
    first
        Number of the bar in row 0 of them all.
    """
    void.wet[side], void.peak[side] = bar, 0.0
    swept = (head.burned[side] + head.burned[side + 2]) / head.oi if head.oi > 0.0 else 0.0
    at = bar - first
    extreme = extremes[at]
    for j in range(max(0, at - void.window + 1), at):
        if oi[j] > 0.0:
            swept += (liquidations[j] + stops[j]) / oi[j]
        extreme = min(extreme, extremes[j]) if side == LONG else max(extreme, extremes[j])
    void.swept[side] = swept
    void.extreme[side] = math.log(extreme) / head.width


@inner_kernel
def exhausted(
    head: Record,
    venues: Records,
    stored: FloatArray,
    void: Record,
    side: int,
    bar: int,
    edge: float,
    atr: float,
    momentum: float,
    volume: float,
    vol_short: float,
    vol_long: float,
) -> bool:
    """Follow a side's episode through the close of ``bar``; tell whether its move is exhausted, which ends it.

    ``edge`` is the bar's low or high, ``atr`` in bins, ``volume`` the average before the bar.
    """
    away = -1 if side == LONG else 1
    if (edge - void.extreme[side]) * away > 0.0:
        void.extreme[side] = edge
    flow = head.burned[side] + head.burned[side + 2]
    if bar > void.since[side] and head.oi > 0.0:
        void.swept[side] += flow / head.oi
    if flow > void.flow_max * volume:
        void.wet[side] = bar
    void.peak[side] = max(void.peak[side], away * momentum)
    start = outward(head.position, side)
    ahead = mass_between(head, venues, stored, side, start, start + away * int(void.reach * atr))
    void.ahead[side] = ahead / head.oi if head.oi > 0.0 else 0.0
    if bar - void.since[side] >= void.window or void.ahead[side] >= void.most:
        void.group[side] = 0
        return False
    done: bool = (
        void.swept[side] >= void.swept_min
        and bar - void.wet[side] >= void.dry_bars
        and void.peak[side] > 0.0
        and away * momentum <= void.decay * void.peak[side]
        and vol_short <= void.vol_ratio * vol_long
    )
    return done
