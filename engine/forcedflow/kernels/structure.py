"""Structure of the bars, streaming: averages, volatility, and pivots that exist from their confirmation.

Everything here is causal. Averages take a bar in only after it was measured by them; a pivot is written down at the bar
that confirms it, never at its extreme.
"""

from __future__ import annotations

import math

import numpy as np

from forcedflow.kernels import FloatArray, Record, lean_kernel, merged_kernel, plain, small_kernel

__all__ = ["HIGHS", "LOWS", "PIVOTS", "RING", "follow", "half_life_average", "note_pivots"]

LOWS, HIGHS = 0, 1  # lows protect longs, highs protect shorts: the map's sides
RING = 8  # pivots of each side that are remembered

PIVOTS = np.dtype(
    [
        ("bars", "i8"),  # bars on each side of a pivot; 0: reversals
        ("reversal", "f8"),  # ATR
        ("count", "i8", (2,)),  # pivots confirmed so far
        ("bar", "i8", (2, RING)),  # of the extreme
        ("price", "f8", (2, RING)),
        ("way", "i8"),  # reversal: +1 a rise is under way, -1 a fall
        ("high_bar", "i8"),  # extremes of the move under way; of bars: those that may become pivots
        ("low_bar", "i8"),
        ("high_price", "f8"),  # their prices: a reversal may be confirmed long after its extreme
        ("low_price", "f8"),
    ],
    align=True,
)
"""Confirmed pivots; the newest is at ``(count - 1) % RING``."""


@small_kernel
def follow(average: float, value: float, seen: int, memory: int) -> float:
    """Return the average after one more ``value``: a mean of the first ``memory`` values, then Wilder's smoothing.

    Wilder (1978), New Concepts in Technical Trading Systems, section III.
    """
    return average + (value - average) / min(seen + 1, memory)


@lean_kernel
def half_life_average(values: FloatArray, half_life: FloatArray, carried: FloatArray, out: FloatArray) -> None:
    """Write the average of ``values[0..i]`` to ``out[i]``: at bar ``j`` weights halve every ``half_life[j]`` bars.

    ``carried``, shape (2,), holds the weighted sum and the sum of weights so far, zeros at first; it is carried on, so
    that the values may come in pieces.
    """
    total, weight = carried
    for i in range(len(values)):
        keep = 0.5 ** (1.0 / half_life[i])
        total = total * keep + values[i]
        weight = weight * keep + 1.0
        out[i] = total / weight
    carried[0], carried[1] = total, weight


@small_kernel
def _note(pivots: Record, side: int, bar: int, price: float) -> None:
    slot = pivots.count[side] % RING
    pivots.bar[side, slot] = bar
    pivots.price[side, slot] = price
    pivots.count[side] += 1


@lean_kernel
def _confirm(pivots: Record, side: int, bar: int, values: FloatArray, first: int) -> None:
    """Judge the extreme of a side that no bar has exceeded for as long as a pivot needs, and choose the next one.

    A pivot of so many bars on each side is the extreme of all bars around it, so that it must be the extreme of the
    bars since the last one that was judged: one candidate a side is enough, and a bar costs the same for any number.
    """
    away = -1.0 if side == LOWS else 1.0
    k = pivots.bars
    at = bar - first
    extreme = at - k
    highest = away * values[extreme]
    stands = bar - k >= k
    for j in range(max(extreme - k, 0), extreme):
        stands &= highest > away * values[j]  # without a branch: it could not be predicted
    if stands:
        _note(pivots, side, bar - k, float(values[extreme]))
    following, best = extreme + 1, away * values[extreme + 1]
    for j in range(extreme + 2, at + 1):
        here = away * values[j]
        following = j if here > best else following
        best = max(here, best)
    if side == LOWS:
        pivots.low_bar, pivots.low_price = first + following, values[following]
    else:
        pivots.high_bar, pivots.high_price = first + following, values[following]


@merged_kernel
def note_pivots(
    pivots: Record, high: FloatArray, low: FloatArray, close: FloatArray, atr: float, bar: int, first: int
) -> None:
    """Write down the pivots that the close of ``bar`` confirms; ``first`` is the number of the bar in row 0.

    Of bars: the extreme of so many bars on each side, the first of equals. Of reversals (directional change): the
    extreme of a move, once a close has turned back from it by ``reversal`` ATR; only a close decides, so the order of
    prices inside a bar does not matter.
    """
    top, bottom, last = high[bar - first], low[bar - first], close[bar - first]
    if bar == 0 or top > pivots.high_price:
        pivots.high_bar, pivots.high_price = bar, top
    if bar == 0 or bottom < pivots.low_price:
        pivots.low_bar, pivots.low_price = bar, bottom
    if pivots.bars > 0:
        if bar - pivots.low_bar == pivots.bars:
            _confirm(pivots, plain(LOWS), bar, low, first)
        if bar - pivots.high_bar == pivots.bars:
            _confirm(pivots, plain(HIGHS), bar, high, first)
        return
    turn = pivots.reversal * atr
    if turn <= 0.0:
        return
    fell = pivots.way >= 0 and math.log(pivots.high_price / last) >= turn
    rose = pivots.way <= 0 and math.log(last / pivots.low_price) >= turn
    if fell and rose:  # before the first pivot only: it turned back from the later extreme
        fell, rose = pivots.high_bar > pivots.low_bar, pivots.low_bar > pivots.high_bar
    if fell:
        _note(pivots, HIGHS, pivots.high_bar, pivots.high_price)
        pivots.way = -1
    elif rose:
        _note(pivots, LOWS, pivots.low_bar, pivots.low_price)
        pivots.way = 1
    if fell or rose:
        pivots.high_bar = pivots.low_bar = bar
        pivots.high_price, pivots.low_price = top, bottom
