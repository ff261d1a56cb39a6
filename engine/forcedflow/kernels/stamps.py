"""Open interest by bar: which stamp describes a bar's close, at which close it is known, how far back that reaches."""

from __future__ import annotations

from forcedflow.kernels import FloatArray, IntArray, Records, lean_kernel
from forcedflow.kernels.liquidation_map import SPREAD_BARS

__all__ = ["note_stamps", "path_needed", "rows_at_closes"]


@lean_kernel
def rows_at_closes(stamp: IntArray, ts: IntArray, interval: int, rows: IntArray, bars: IntArray) -> int:
    """Write the first row stamped from a bar's close to before the next one's, and the bar; return how many have one.

    ``rows`` and ``bars`` have room for one each bar. Both come to ascend, and no two bars have the same row.
    """
    row = count = 0
    for bar in range(len(ts)):
        close = ts[bar] + interval
        while row < len(stamp) and stamp[row] < close:
            row += 1
        if row == len(stamp):
            break
        if stamp[row] - close < interval:
            rows[count] = row
            bars[count] = bar
            count += 1
    return count


@lean_kernel
def note_stamps(
    value: FloatArray,
    available_at: IntArray,
    rows: IntArray,
    bars: IntArray,
    ts: IntArray,
    interval: int,
    first: int,
    known: int,
    stamps: Records,
) -> int:
    """Fill in ``STAMP`` rows from rows that describe the closes of some bars; return how many are known in the bars.

    Each is known at the first close, from that of its bar on, at which it is available, and not before its predecessor:
    ``known`` is where the one before the first of them is known. Bars are written as counted from ``first`` on.
    """
    count = 0
    for k in range(len(stamps)):
        known = max(known, bars[k])
        while known < len(ts) and ts[known] + interval < available_at[rows[k]]:
            known += 1
        stamps[k].value = value[rows[k]]
        stamps[k].bar = first + bars[k]
        stamps[k].known = first + known
        if known < len(ts):
            count += 1
    return count


@lean_kernel
def path_needed(stamps: Records, settled: int) -> int:
    """Return over how many bars the map must remember its path: from a stamp to where the next one is known.

    ``settled`` is the bar of the stamp before the first of these, -1 where there is none.
    """
    most = 0
    for k in range(len(stamps)):
        bar = stamps[k].bar
        since = bar if settled < 0 else settled
        most = max(most, stamps[k].known - max(since, bar - SPREAD_BARS))
        settled = bar
    return most + 1
