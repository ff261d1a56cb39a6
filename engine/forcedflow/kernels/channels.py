"""Channels: two parallel boundaries fitted to past bars, then frozen and tested by the bars that follow.

Levels are bins of log price. A bar is tested against the channel accepted at the close before it or earlier; it enters
the window of fits only afterwards. A fit looks at the whole window, so it is tried at every eighth part of one: the
cost of a bar does not grow with the window.
"""

from __future__ import annotations

import math

import numpy as np

from forcedflow.kernels import FloatArray, IntArray, Record, inner_kernel, lean_kernel, merged_kernel, small_kernel
from forcedflow.kernels.structure import HIGHS, LOWS, RING

__all__ = ["BREAKS", "CHANNEL", "CLOSES", "FAILS", "NO_CHANNEL", "fit", "is_due", "test_bar"]

NO_CHANNEL, HOLDS, BROKEN = 0, 1, 2
BREAKS, FAILS = 1, 2  # what a bar does to a channel: breaks it, or shows that a break failed
EDGE = 1e-9  # bins, ATR: a close on a boundary is inside, widths this near are one; rounding must not choose
CLOSES = 2  # row of `recent` that holds closes; rows LOWS and HIGHS hold the others

CHANNEL = np.dtype(
    [
        # settings
        ("bars", "i8"),
        ("sigmas", "f8"),
        ("min_touches", "i8"),
        ("touch", "f8"),  # ATR
        ("min_contained", "f8"),
        ("min_width", "f8"),  # ATR
        ("max_width", "f8"),
        ("max_age", "i8"),
        ("break_by", "f8"),  # ATR
        ("break_closes", "i8"),
        ("watch", "i8"),  # bars after a break
        ("align", "f8"),  # ATR
        # the channel
        ("status", "i8"),
        ("version", "i8"),
        ("born", "i8"),  # bar at whose close it was accepted
        ("upper", "f8"),  # levels at that bar
        ("lower", "f8"),
        ("slope", "f8"),  # bins a bar
        ("width", "f8"),  # ATR
        ("touches", "i8", (2,)),
        ("contained", "f8"),
        ("beyond", "i8", (2,)),  # closes in a row beyond each boundary
        ("side", "i8"),  # of the break
        ("broken", "i8"),  # bar
        ("extreme", "f8"),  # farthest level since the break
        ("tested", "i8"),  # version that the current bar was tested against, and its boundaries there
        ("tested_upper", "f8"),
        ("tested_lower", "f8"),
        ("next_try", "i8"),  # no fit is tried before this bar
        ("head", "i8", (2,)),  # of the queues of a Donchian channel
        ("tail", "i8", (2,)),
    ],
    align=True,
)


@merged_kernel
def test_bar(channel: Record, bar: int, position: float, bottom: float, top: float, atr: float) -> int:
    """Test a bar against the channel frozen at the close before; return ``BREAKS``, ``FAILS`` or 0.

    ``position``, ``bottom`` and ``top`` are close, low and high, all in bins like ``atr``.
    """
    upper = channel.upper + channel.slope * (bar - channel.born)
    lower = channel.lower + channel.slope * (bar - channel.born)
    channel.tested, channel.tested_upper, channel.tested_lower = channel.version, upper, lower
    if channel.status == BROKEN:
        boundary = upper if channel.side > 0 else lower
        reached = top if channel.side > 0 else bottom
        channel.extreme = channel.side * max(channel.side * channel.extreme, channel.side * reached)
        if channel.side * (position - boundary) < 0.0:
            channel.status = NO_CHANNEL
            return FAILS
        if bar - channel.broken >= channel.watch:
            channel.status = NO_CHANNEL
        return 0
    margin = channel.break_by * atr
    channel.beyond[LOWS] = channel.beyond[LOWS] + 1 if lower - position > margin else 0
    if channel.beyond[LOWS] >= channel.break_closes:
        channel.status, channel.side, channel.broken, channel.extreme = BROKEN, -1, bar, bottom
        return BREAKS
    channel.beyond[HIGHS] = channel.beyond[HIGHS] + 1 if position - upper > margin else 0
    if channel.beyond[HIGHS] >= channel.break_closes:
        channel.status, channel.side, channel.broken, channel.extreme = BROKEN, 1, bar, top
        return BREAKS
    return 0


@small_kernel
def _window(recent: FloatArray, row: int, begin: int, bar: int) -> FloatArray:
    """Return the levels of bars ``begin`` to ``bar`` in order."""
    at = begin & (recent.shape[1] // 2 - 1)
    return recent[row, at : at + bar - begin + 1]


@lean_kernel
def _accept(
    channel: Record, recent: FloatArray, bar: int, begin: int, upper: float, lower: float, slope: float, atr: float
) -> None:
    """Make boundaries the channel if they pass: width, touches and closes between, over bars ``begin`` to ``bar``."""
    width = (upper - lower) / atr
    if not channel.min_width <= width <= channel.max_width:
        return
    lows, highs, closes = (
        _window(recent, LOWS, begin, bar),
        _window(recent, HIGHS, begin, bar),
        _window(recent, CLOSES, begin, bar),
    )
    reach, back = channel.touch * atr, bar - begin
    inside, up_touches, low_touches = 0, 0, 0
    at_upper, at_lower = False, False
    for j in range(back + 1):  # without a branch: which bars touch cannot be predicted
        moved = slope * (j - back)
        top, bottom = upper + moved, lower + moved
        inside += (bottom - EDGE <= closes[j]) & (closes[j] <= top + EDGE)
        now = highs[j] >= top - reach
        up_touches += now & (not at_upper)
        at_upper = now
        now = lows[j] <= bottom + reach
        low_touches += now & (not at_lower)
        at_lower = now
    contained = inside / (bar + 1 - begin)
    fine: bool = contained >= channel.min_contained and min(up_touches, low_touches) >= channel.min_touches
    if channel.status == HOLDS:  # another base was accepted in this bar: more touches win, the narrower, the flatter
        more = up_touches + low_touches - channel.touches[HIGHS] - channel.touches[LOWS]
        narrower = channel.width - width  # none where both run through the ends of one large bar
        flatter = narrower > -EDGE and abs(slope) < abs(channel.slope)
        fine = fine and (more > 0 or (more == 0 and (narrower > EDGE or flatter)))
    if fine:
        channel.status = HOLDS
        channel.upper, channel.lower, channel.slope = upper, lower, slope
        channel.width, channel.contained = width, contained
        channel.touches[HIGHS], channel.touches[LOWS] = up_touches, low_touches


@lean_kernel
def _fit_regression(channel: Record, recent: FloatArray, bar: int, atr: float) -> None:
    """Least squares of closes on time; half width: so many standard deviations of the residuals (n - 2)."""
    n = channel.bars
    begin = bar - n + 1
    closes = _window(recent, CLOSES, begin, bar)
    last, middle = closes[n - 1], 0.5 * (n - 1)
    total, moment, squares = 0.0, 0.0, 0.0
    for j in range(n):
        y = closes[j] - last
        total += y
        moment += (j - middle) * y
        squares += y * y
    mean, slope = total / n, moment * 12.0 / (n * (n * n - 1.0))
    squares = max(squares - total * mean - moment * slope, 0.0)
    half = channel.sigmas * math.sqrt(squares / (n - 2))
    centre = last + mean + slope * middle
    _accept(channel, recent, bar, begin, centre + half, centre - half, slope, atr)


@lean_kernel
def _fit_pivots(
    channel: Record, pivots: Record, levels: FloatArray, width: float, recent: FloatArray, bar: int, atr: float
) -> None:
    """Draw a line through confirmed pivots that no bar violates, and a parallel through the opposite extreme.

    The line runs through the newest pivot of a side and the oldest in the window that allows it.
    """
    first = bar - channel.bars + 1
    for side in (LOWS, HIGHS):
        away = -1.0 if side == LOWS else 1.0
        count = pivots.count[side]
        newest = (count - 1) % RING
        for k in range(max(count - RING, 0), count):
            levels[k % RING] = math.log(pivots.price[side, k % RING]) / width
        for k in range(max(count - RING, 0), count - 1):
            begin = pivots.bar[side, k % RING]
            if begin < first:
                continue
            level = levels[k % RING]
            slope = (levels[newest] - level) / (pivots.bar[side, newest] - begin)
            base = level + slope * (bar - begin)  # at the current bar
            depth, holds, back = 0.0, True, bar - begin
            near, far = _window(recent, side, begin, bar), _window(recent, 1 - side, begin, bar)
            for j in range(back + 1):
                line = base + slope * (j - back)
                holds = holds and away * (near[j] - line) <= channel.touch * atr
                depth = max(depth, away * (line - far[j]))
            if not holds:
                continue
            other = base - away * depth
            _accept(channel, recent, bar, begin, max(base, other), min(base, other), slope, atr)
            break


@lean_kernel
def _roll(channel: Record, recent: FloatArray, queue: IntArray, bar: int) -> None:
    """Keep the extremes of the last ``channel.bars`` bars: queues whose heads are lowest low and highest high.

    ``queue`` has a row of bars for each side; each bar enters and leaves once.
    """
    mask = recent.shape[1] // 2 - 1
    for side in (LOWS, HIGHS):
        away = -1.0 if side == LOWS else 1.0
        head, tail = channel.head[side], channel.tail[side]
        here = away * recent[side, bar & mask]
        while tail > head and away * recent[side, queue[side, (tail - 1) & mask] & mask] <= here:
            tail -= 1
        queue[side, tail & mask] = bar
        tail += 1
        while queue[side, head & mask] <= bar - channel.bars:
            head += 1
        channel.head[side], channel.tail[side] = head, tail


@lean_kernel
def _take_range(channel: Record, recent: FloatArray, queue: IntArray, atr: float, bar: int, versions: int) -> int:
    """Let the range of the last bars be the channel, which has no slope and is never too old."""
    _roll(channel, recent, queue, bar)
    if bar + 1 < channel.bars or channel.status == BROKEN or atr <= 0.0:
        return versions
    mask = recent.shape[1] // 2 - 1
    channel.upper = recent[HIGHS, queue[HIGHS, channel.head[HIGHS] & mask] & mask]
    channel.lower = recent[LOWS, queue[LOWS, channel.head[LOWS] & mask] & mask]
    channel.slope, channel.width = 0.0, (channel.upper - channel.lower) / atr
    if channel.status == HOLDS:
        return versions
    channel.touches[LOWS], channel.touches[HIGHS] = 0, 0
    channel.contained = 1.0
    return _accepted(channel, bar, versions)


@small_kernel
def _accepted(channel: Record, bar: int, versions: int) -> int:
    channel.status, channel.version, channel.born = HOLDS, versions + 1, bar
    channel.beyond[LOWS], channel.beyond[HIGHS] = 0, 0
    return versions + 1


@small_kernel
def is_due(channel: Record, queue: IntArray | None, bar: int) -> bool:
    """Tell whether :func:`fit` has anything to do in a bar."""
    if queue is not None:
        return True
    if channel.status == HOLDS:
        return bar - channel.born >= channel.max_age  # type: ignore[no-any-return]
    if channel.status != NO_CHANNEL or bar < channel.next_try:
        return False
    every = max(1, channel.bars // 8)
    past = (bar + 1) % every
    channel.next_try = bar + every - past  # noted, since a division in every bar would cost more than all that it finds
    return past == 0  # type: ignore[no-any-return]


@inner_kernel
def fit(
    channel: Record,
    pivots: Record,
    recent: FloatArray,
    queue: IntArray | None,
    levels: FloatArray | None,
    width: float,
    atr: float,
    bar: int,
    versions: int,
) -> int:
    """Take in a bar that was tested already; give up what is too old, accept what fits. Returns versions given so far.

    Parameters
    ----------
    recent
        Shape (3, 2 R), R a power of two over ``channel.bars``: lows, highs and closes of the last R bars as levels, a
        ring that is written twice, R apart, so that the last bars lie in one piece.
    queue
        Shape (2, R): of a Donchian channel, for its rolling extremes. Code for a kind of channel is compiled only
        where the array that it needs is there.
    levels
        Shape (RING,): of a channel through pivots, for their levels.
    width, atr
        Log price of a bin; average true range in bins.
    """
    if queue is not None:
        return _take_range(channel, recent, queue, atr, bar, versions)
    if channel.status == HOLDS and bar - channel.born >= channel.max_age:
        channel.status = NO_CHANNEL
    if bar + 1 < channel.bars or channel.status != NO_CHANNEL or atr <= 0.0:
        return versions
    if (bar + 1) % max(1, channel.bars // 8) != 0:
        return versions
    if levels is not None:
        _fit_pivots(channel, pivots, levels, width, recent, bar, atr)
    else:
        _fit_regression(channel, recent, bar, atr)
    return _accepted(channel, bar, versions) if channel.status == HOLDS else versions
