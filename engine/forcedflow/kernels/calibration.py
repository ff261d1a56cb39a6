"""The liquidation map taken apart by offset: what each part of a profile would have had swept, bar by bar.

The map is linear in a profile's weights once three things are given: what was opened in each bar, which share of the
located mass outlived it, and the weight beyond thresholds already crossed, by which the rest is renormalised. They
come from a pass of the map itself; what comes back, times the weights of that pass, is what that pass swept.
"""

from __future__ import annotations

import math

from forcedflow.kernels import FloatArray, IntArray, Records, lean_kernel
from forcedflow.kernels.liquidation_map import LONG, NO_HIGH, NO_LOW, SPREAD_BARS

__all__ = ["TINY", "swept_by_offset"]

TINY = 1e-100  # a scale below it is folded into the bins


@lean_kernel
def _fold(stored: FloatArray, scale: FloatArray, side: int) -> None:
    """Multiply a side's scale into its bins and start again at 1."""
    for k in range(stored.shape[1]):
        for column in range(stored.shape[2]):
            stored[side, k, column] *= scale[side]
    scale[side] = 1.0


@lean_kernel
def _burn(stored: FloatArray, spans: IntArray, first: int, side: int, k: int, reach: float) -> float:
    """Empty the bins of one offset that price reached and return what was stored there."""
    if side == LONG:
        begin, end = max(math.ceil(reach), spans[side, k, 0]), spans[side, k, 1]
    else:
        begin, end = spans[side, k, 0], min(math.floor(reach), spans[side, k, 1])
    if begin > end:
        return 0.0
    taken = 0.0
    for column in range(begin - first, end - first + 1):
        taken += stored[side, k, column]
        stored[side, k, column] = 0.0
    if side == LONG:
        spans[side, k, 1] = begin - 1
    else:
        spans[side, k, 0] = end + 1
    return taken


@lean_kernel
def _add(
    stored: FloatArray,
    spans: IntArray,
    first: int,
    side: int,
    offsets: FloatArray,
    weights: FloatArray,
    mass: float,
    entry: float,
    reached: float,
) -> None:
    """Put ``mass`` at every offset of a side that price has not crossed, over the weight that is left alive."""
    alive, count = 0, offsets.shape[1]
    while alive < count and (
        entry + offsets[side, alive] >= reached if side == LONG else entry + offsets[side, alive] <= reached
    ):
        alive += 1
    left = 0.0
    for k in range(alive, count):
        left += weights[side, k]
    if left <= 0.0:
        return
    dead = math.ceil(reached) if side == LONG else math.floor(reached)
    for k in range(alive, count):
        position = entry + offsets[side, k]
        lower = math.floor(position)
        upper = position - lower
        if side == LONG:
            if lower + 1 >= dead:
                upper = 0.0
        elif lower <= dead:
            upper = 1.0
        stored[side, k, lower - first] += mass / left * (1.0 - upper)
        stored[side, k, lower - first + 1] += mass / left * upper
        spans[side, k, 0] = min(spans[side, k, 0], lower)
        spans[side, k, 1] = max(spans[side, k, 1], lower + 1)


@lean_kernel
def swept_by_offset(
    path: FloatArray,
    traded: FloatArray,
    stamps: Records,
    opened: FloatArray,
    share: FloatArray,
    offsets: FloatArray,
    weights: FloatArray,
    entry_points: int,
    first: int,
    stored: FloatArray,
    spans: IntArray,
    scale: FloatArray,
    swept: FloatArray,
) -> None:
    """Take the map through all bars, every offset by itself.

    Parameters
    ----------
    path
        Shape (n, 4): bottom and top of each bar's traded range and of the range that liquidates, in bins.
    traded
        Shape (n,): volume.
    stamps
        Open interest as the map takes it, ``liquidation_map.STAMP``: when it held and when it became known.
    opened
        Shape (n, 2): longs and shorts opened by the stamps that became known at each bar's close.
    share
        Shape (n, 2): of the mass that a bar left unswept, what was still there at its close.
    offsets
        Shape (2, K): threshold less entry, bins, nearest first.
    weights
        Shape (2, K): of the pass that ``opened`` and ``share`` come from.
    entry_points
        As ``MarketSettings.entry_points``.
    first
        Bin of the first column of ``stored``.
    stored, spans, scale
        Scratch of shapes (2, K, G), (2, K, 2), (2,): zeros, anything, ones.
    swept
        Shape (n, 2, K): written; base units for a weight of 1.
    """
    spans[:, :, 0], spans[:, :, 1] = NO_LOW, NO_HIGH
    settled, at = -1, 0
    for bar in range(len(path)):
        for side in range(2):
            for k in range(offsets.shape[1]):
                swept[bar, side, k] = scale[side] * _burn(stored, spans, first, side, k, path[bar, 2 + side])
            scale[side] *= share[bar, side]
            if scale[side] < TINY:
                _fold(stored, scale, side)
        through = -1
        while at < len(stamps) and stamps[at].known <= bar:
            through = stamps[at].bar
            at += 1
        if through < 0:
            continue
        begin = max(settled + 1, through - SPREAD_BARS + 1)
        if settled >= 0:
            total = 0.0
            for j in range(begin, through + 1):
                total += traded[j]
            bottom, top = math.inf, -math.inf
            for j in range(bar, begin - 1, -1):  # backwards, so that the worst price since each entry is at hand
                bottom, top = min(bottom, path[j, 0], path[j, 2]), max(top, path[j, 1], path[j, 3])
                if j > through:
                    continue
                weight = traded[j] / total if total > 0.0 else 1.0 / (through + 1 - begin)
                span = path[j, 1] - path[j, 0]
                points = min(max(int(span + 0.5), 1), entry_points)
                for p in range(points):
                    entry = path[j, 0] + span * (p + 0.5) / points
                    for side in range(2):
                        mass = opened[bar, side] * weight / points / scale[side]
                        if mass > 0.0:
                            reached = bottom if side == LONG else top
                            _add(stored, spans, first, side, offsets, weights, mass, entry, reached)
        settled = through
