"""Measures of an equity curve: returns by day, drawdowns by bar, and what chance would make of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from forcedflow.data.times import DAY
from forcedflow.kernels import measures
from forcedflow.kernels.drawdowns import drawdowns
from forcedflow.kernels.tiers import Tiered
from forcedflow.kernels.touch import SHIFT, extremes
from forcedflow.report import chance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from forcedflow.record import Table
    from forcedflow.tables import FloatArray, IntArray

__all__ = [
    "Calendar",
    "Curve",
    "Falls",
    "chance_measures",
    "daily_equity",
    "days_a_year",
    "drawdown_measures",
    "falls_of",
    "return_measures",
    "streamed_curve",
]

Calendar = Literal["24/7", "sessions"]
Falls = tuple[float, int, int, int, int, int]
"""What :func:`forcedflow.kernels.drawdowns.drawdowns` returns."""

_drawdowns: Final = Tiered(drawdowns)
_YEAR = 365.25  # days, for counting how many trading days a year has


@dataclass(frozen=True, slots=True)
class Curve:
    """What the scorecard takes of an equity curve: no column a bar, so that a sweep need not make one."""

    daily: FloatArray
    """Shape (days + 1,): the initial equity and then the last of each day."""
    per_year: float
    """Such days in a year."""
    bars: int
    exposed: int
    """Bars that close with a position."""
    drawdowns: Mapping[str, float | int]
    """What :func:`drawdown_measures` returns."""

    @classmethod
    def of(cls, equity: Table, initial: float, start: int, calendar: Calendar) -> Curve:
        """Read a table of equity."""
        daily = daily_equity(equity, initial, calendar)
        ts = equity["ts"]
        per_year = days_a_year(len(daily) - 1, start, ts, calendar)
        exposed = int(np.count_nonzero(equity["position"]))
        fell = drawdown_measures(falls_of(equity, initial, start), ts, start)
        return cls(daily, per_year, len(ts), exposed, fell)


def daily_equity(equity: Table, initial: float, calendar: Calendar) -> FloatArray:
    """Return the initial equity and then the last equity of each UTC day."""
    return measures.daily_values(equity["ts"], equity["equity"], initial, calendar == "24/7")


def days_a_year(days: int, start: int, ts: IntArray, calendar: Calendar) -> float:
    """Return 365 in a market that never closes, else the trading days a year that the run saw."""
    if calendar == "24/7":
        return 365.0
    return days / ((int(ts[-1]) - start) / DAY) * _YEAR if days else math.nan


def falls_of(equity: Table, initial: float, start: int) -> Falls:
    """Find the drawdowns of a table: to the kernel it is one unit whose worth is the equity."""
    value = np.ascontiguousarray(equity["equity"], dtype=np.float64)
    one_piece = (np.zeros(1, np.int64), np.zeros(1), np.ones(1))
    blocks = len(value) >> SHIFT  # most are not looked into
    falls: Falls = _drawdowns.call(blocks, extremes(value, value), equity["ts"], start, *one_piece, initial)
    return falls


def return_measures(
    curve: Curve, reckon: Callable[..., measures.DailyMeasures] = measures.daily_measures
) -> dict[str, float | int]:
    """Measure daily equity; ``reckon`` is :func:`.measures.daily_measures`, as it is or compiled."""
    returns = measures.simple_returns(curve.daily)
    return {
        **reckon(curve.daily, returns, np.sort(returns), curve.per_year)._asdict(),
        "exposure": curve.exposed / curve.bars if curve.bars else math.nan,
        "days": len(returns),
    }


def drawdown_measures(falls: Falls, ts: IntArray, start: int) -> dict[str, float | int]:
    """Measure drawdowns at every bar's close; the initial equity, at ``start``, is the first high."""
    depth, peak, trough, recovered, longest, under = falls
    return _fell(
        depth,
        int(ts[peak]) if peak >= 0 else start,
        int(ts[trough]) if trough >= 0 else None,
        int(ts[recovered]) if recovered >= 0 else None,
        longest,
        under,
        len(ts),
    )


def _fell(
    depth: float, peak: int, trough: int | None, recovered: int | None, longest: int, under: int, bars: int
) -> dict[str, float | int]:
    """Name what drawdowns were; moments in ns."""
    return {
        "max_drawdown": depth,
        "drawdown_length": (trough - peak) / DAY if trough is not None else math.nan,
        "drawdown_recovery": (recovered - trough) / DAY if trough is not None and recovered is not None else math.nan,
        "under_water": longest / DAY,
        "time_under_water": under / bars if bars else math.nan,
    }


def streamed_curve(parts: Iterable[Table], initial: float, start: int, calendar: Calendar) -> tuple[Curve, Table]:
    """Read a table of equity that comes in parts, as :meth:`Curve.of` reads the whole, to the bit; and keep its days.

    Parameters
    ----------
    parts
        Columns ``ts``, ``equity`` and ``position`` of some bars in a row, one part after another.

    Returns
    -------
    tuple
        The curve; columns ``ts`` and ``equity`` at the last close of each UTC day, and at the last of each part.
    """
    high, peak, at_high = initial, start, start  # moments: the first and the last at that high
    depth, longest, under, bars, exposed = 0.0, 0, 0, 0, 0
    deepest: tuple[int, int] | None = None  # moments of the deepest drawdown: its high, its trough
    recovered: int | None = None
    days: list[tuple[IntArray, FloatArray]] = []
    last = start
    for part in parts:
        ts, equity = part["ts"], part["equity"]
        highs = np.maximum(np.maximum.accumulate(equity), high)
        below, fell = equity < highs, 1.0 - equity / highs
        at, trough = np.flatnonzero(~below), int(np.argmax(fell))
        if fell[trough] > depth:
            first = int(np.searchsorted(highs, highs[trough]))
            depth, recovered = float(fell[trough]), None
            deepest = (int(ts[first]) if highs[trough] > high else peak, int(ts[trough]))
        if deepest is not None and recovered is None:
            since = at[ts[at] > deepest[1]]
            recovered = int(ts[since[0]]) if len(since) else None
        waits = np.diff(ts[at], prepend=at_high)[np.diff(at, prepend=-1 if last == at_high else -2) > 1]
        longest = max(longest, int(waits.max(initial=0)))
        if highs[-1] > high:
            high, peak = float(highs[-1]), int(ts[np.searchsorted(highs, highs[-1])])
        at_high, last = int(ts[at[-1]]) if len(at) else at_high, int(ts[-1])
        under, bars = under + int(below.sum()), bars + len(ts)
        exposed += int(np.count_nonzero(part["position"]))
        rows = np.append(np.flatnonzero(np.diff((ts - 1) // DAY)), len(ts) - 1)
        days.append((ts[rows], equity[rows]))
    ends = {"ts": np.concatenate([ts for ts, _ in days]), "equity": np.concatenate([value for _, value in days])}
    daily = daily_equity(ends, initial, calendar)
    longest = max(longest, last - at_high)
    since_high, trough_at = deepest or (start, None)
    curve = Curve(
        daily,
        days_a_year(len(daily) - 1, start, ends["ts"], calendar),
        bars,
        exposed,
        _fell(depth, since_high, trough_at, recovered, longest, under, bars),
    )
    return curve, ends


def chance_measures(
    sharpe: float, error: float, days: int, per_year: float, trials: int, trial_deviation: float | None
) -> dict[str, float | int]:
    """Measure what luck alone would make of a Sharpe ratio.

    Parameters
    ----------
    sharpe, error
        Annualised ratio and its standard error.
    days, per_year
        Daily returns that they rest on, and how many such days a year has.
    trials
        Settings that were tried, this one included.
    trial_deviation
        Standard deviation of the trials' daily Sharpe ratios; left out, that of ratios without skill, 1 / sqrt(n - 1).
    """
    if trial_deviation is None:
        trial_deviation = 1.0 / math.sqrt(days - 1) if days > 1 else math.nan
    return {
        "psr": chance.probabilistic_sharpe(sharpe, error),
        "deflated_sharpe": chance.deflated_sharpe(sharpe, error, trials, trial_deviation * math.sqrt(per_year)),
        "trials": trials,
    }
