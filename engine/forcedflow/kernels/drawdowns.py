"""Drawdowns at every bar's close, found without a look at every bar.

Between two fills an account's equity is ``position * value + cash``, which in floats too only rises, or only falls,
with the value of a unit. So the extremes of a block of closes give those of equity there to the bit. A search descends
only into blocks that reach the high so far; of one that stays below, the lowest close says how far equity fell, and
where in it that was is looked for at the end, in the one block that fell furthest.
"""

from __future__ import annotations

from forcedflow.kernels import FloatArray, IntArray, lean_kernel
from forcedflow.kernels.touch import SHIFT, Extremes

__all__ = ["drawdowns"]


@lean_kernel
def drawdowns(
    values: Extremes,
    ts: IntArray,
    start: int,
    begins: IntArray,
    cash: FloatArray,
    position: FloatArray,
    initial: float,
) -> tuple[float, int, int, int, int, int]:
    """Measure how far, how long and how often equity lay below a high so far.

    Parameters
    ----------
    values
        Pyramid over what a unit is worth at each bar's close, highs and lows alike.
    ts
        Shape (bars,): closes, ns.
    start
        Of the first bar, ns: the time of the first high.
    begins, cash, position
        Shape (pieces,): in the bars from ``begins[k]`` to the one before ``begins[k + 1]``, equity at a close is
        ``position[k] * value + cash[k]``.
    initial
        Equity before the first bar, the first high; positive.

    Returns
    -------
    depth : float
        Largest drawdown, a share of the high before it; 0 for none.
    peak, trough, recovered : int
        Bars of that high, of the first close so low, and of the first close as high again; -1: before the first bar,
        no drawdown, not yet.
    longest : int
        Longest time from a high until it was reached again, or until the end, ns.
    under : int
        Bars that closed below a high.
    """
    high, at_high, last_high = initial, -1, -1  # bars: the first and the last at that high
    depth, peak, trough, recovered = 0.0, -1, -1, -1
    longest, under, below = 0, 0, False
    fell_from, piece, deep, deep_shift = initial, 0, 0, 0  # the high, the piece and the block of the trough
    top = len(values.first) - 1
    for k in range(len(begins)):
        end = begins[k + 1] if k + 1 < len(begins) else len(ts)
        bar, level, shift = begins[k], 0, 0
        while bar < end:
            after, lowest, highest = end, cash[k], cash[k]
            single = position[k] == 0.0  # one equity in all bars from this one to the one before `after`
            whole = True  # the block lies in the piece
            if not single:
                row = values.first[level] + (bar >> shift)
                lowest = position[k] * values.values[row, 0] + cash[k]
                highest = position[k] * values.values[row, 1] + cash[k]
                if lowest > highest:
                    lowest, highest = highest, lowest
                after = min(bar + (1 << shift), end)
                single, whole = level == 0, bar + (1 << shift) <= end
            fell = 1.0 - lowest / high
            if not single and (highest >= high or (fell > depth and not whole)):
                level -= 1
                shift -= SHIFT
                continue
            if highest < high:
                if fell > depth:
                    depth, peak, trough, recovered = fell, at_high, bar, -1
                    fell_from, piece, deep, deep_shift = high, k, level, shift
                under += after - bar
                below = True
            else:
                if below:  # times are looked up here only: to read them all costs more than the search
                    longest = max(longest, ts[bar] - (ts[last_high] if last_high >= 0 else start))
                    recovered = bar if recovered < 0 else recovered
                    below = False
                if highest > high:
                    high, at_high = highest, bar
                last_high = after - 1
            bar = after
            while level < top and bar & ((1 << (shift + SHIFT)) - 1) == 0:
                level += 1
                shift += SHIFT
    if below:
        longest = max(longest, ts[-1] - (ts[last_high] if last_high >= 0 else start))
    while deep > 0:
        deep -= 1
        deep_shift -= SHIFT
        while True:
            row = values.first[deep] + (trough >> deep_shift)
            one = position[piece] * values.values[row, 0] + cash[piece]
            other = position[piece] * values.values[row, 1] + cash[piece]
            if 1.0 - min(one, other) / fell_from >= depth:
                break
            trough += 1 << deep_shift
    return depth, peak, trough, recovered, longest, under
