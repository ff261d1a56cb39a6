"""Where price next reaches a level, found without a look at every bar.

Highs and lows are kept in a pyramid: the extremes of each bar, of each 16 bars, of each 256, and so on. Blocks are
aligned to the absolute bar, so the pyramid of a prefix is a prefix on every level, and the cost of a search grows
with the logarithm of the distance.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from forcedflow.kernels import FloatArray, IntArray, lean_kernel

__all__ = ["SHIFT", "Extremes", "extremes", "next_touch", "reach"]

SHIFT: Final = 4
"""A block holds ``1 << SHIFT`` of the level below."""

_BLOCK: Final = 1 << SHIFT


class Extremes(NamedTuple):
    """A pyramid of highs and lows; made once for a table of bars, read by every account that trades on it."""

    values: FloatArray
    """Shape (blocks of all levels, 2): high and low, level after level."""
    first: IntArray
    """Shape (levels,): the row of ``values`` at which each level begins."""


def extremes(high: FloatArray, low: FloatArray) -> Extremes:
    """Build the pyramid of some bars."""
    sizes = [len(high)]
    while sizes[-1] > _BLOCK:
        sizes.append(-(-sizes[-1] // _BLOCK))
    first = np.cumsum([0, *sizes[:-1]])
    values = np.empty((sum(sizes), 2))
    for side, (column, extreme) in enumerate(((high, np.maximum), (low, np.minimum))):
        level = column
        for begin, size in zip(first.tolist(), sizes, strict=True):
            level = level if begin == 0 else _blocks(level, extreme)
            values[begin : begin + size, side] = level
    return Extremes(values, first)


def _blocks(column: FloatArray, extreme: np.ufunc) -> FloatArray:
    """Return the extreme of each block; the last may be short."""
    whole = len(column) & -_BLOCK
    of_whole: FloatArray = extreme.reduce(column[:whole].reshape(-1, _BLOCK), axis=1)
    return of_whole if whole == len(column) else np.append(of_whole, extreme.reduce(column[whole:]))


@lean_kernel
def next_touch(index: Extremes, up: float, down: float, start: int, stop: int) -> int:
    """Return the first bar of [start, stop) whose high reaches ``up`` or whose low reaches ``down``, else ``stop``.

    NaN is a level that no price reaches.
    """
    bar, level, shift = start, 0, 0
    top = len(index.first) - 1
    while bar < stop:
        row = index.first[level] + (bar >> shift)
        if index.values[row, 0] >= up or index.values[row, 1] <= down:
            if level == 0:
                return bar
            level -= 1
            shift -= SHIFT
            continue
        bar += 1 << shift
        while level < top and bar & ((1 << (shift + SHIFT)) - 1) == 0:
            level += 1
            shift += SHIFT
    return stop


@lean_kernel
def reach(index: Extremes, start: int, stop: int) -> tuple[float, float]:
    """Return the highest high and the lowest low of the bars [start, stop)."""
    highest, lowest = -np.inf, np.inf
    bar, level, shift = start, 0, 0
    top = len(index.first) - 1
    while bar < stop:
        if level > 0 and bar + (1 << shift) > stop:
            level -= 1
            shift -= SHIFT
            continue
        row = index.first[level] + (bar >> shift)
        highest = max(highest, index.values[row, 0])
        lowest = min(lowest, index.values[row, 1])
        bar += 1 << shift
        while level < top and bar & ((1 << (shift + SHIFT)) - 1) == 0:
            level += 1
            shift += SHIFT
    return highest, lowest
