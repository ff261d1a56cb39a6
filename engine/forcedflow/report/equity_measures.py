"""Measures of an equity curve: returns by day, drawdowns by bar, and what chance would make of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from forcedflow.data.times import DAY
from forcedflow.kernels import measures
from forcedflow.kernels.drawdowns import drawdowns
from forcedflow.kernels.touch import extremes
from forcedflow.report import chance

if TYPE_CHECKING:
    from collections.abc import Callable

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
]

Calendar = Literal["24/7", "sessions"]
Falls = tuple[float, int, int, int, int, int]
"""What :func:`forcedflow.kernels.drawdowns.drawdowns` returns."""

_YEAR = 365.25  # days, for counting how many trading days a year has


@dataclass(frozen=True, slots=True)
class Curve:
    """What the scorecard takes of an equity curve: no column a bar, so that a sweep need not make one."""

    daily: FloatArray
    """Shape (days + 1,): the initial equity and then the last of each day."""
    per_year: float
    """Such days in a year."""
    ts: IntArray
    """Shape (bars,): closes, ns UTC."""
    start: int
    """Open of the first bar, ns UTC."""
    exposed: int
    """Bars that close with a position."""
    falls: Falls

    @classmethod
    def of(cls, equity: Table, initial: float, start: int, calendar: Calendar) -> Curve:
        """Read a table of equity."""
        daily = daily_equity(equity, initial, calendar)
        ts = equity["ts"]
        per_year = days_a_year(len(daily) - 1, start, ts, calendar)
        exposed = int(np.count_nonzero(equity["position"]))
        return cls(daily, per_year, ts, start, exposed, falls_of(equity, initial, start))


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
    return drawdowns(extremes(value, value), equity["ts"], start, *one_piece, initial)


def return_measures(
    curve: Curve, reckon: Callable[..., measures.DailyMeasures] = measures.daily_measures
) -> dict[str, float | int]:
    """Measure daily equity; ``reckon`` is :func:`.measures.daily_measures`, as it is or compiled."""
    returns = measures.simple_returns(curve.daily)
    return {
        **reckon(curve.daily, returns, np.sort(returns), curve.per_year)._asdict(),
        "exposure": curve.exposed / len(curve.ts) if len(curve.ts) else math.nan,
        "days": len(returns),
    }


def drawdown_measures(falls: Falls, ts: IntArray, start: int) -> dict[str, float | int]:
    """Measure drawdowns at every bar's close; the initial equity, at ``start``, is the first high."""
    depth, peak, trough, recovered, longest, under = falls
    fell, bars = trough >= 0, len(ts)
    bottom = int(ts[trough]) if fell else start
    return {
        "max_drawdown": depth,
        "drawdown_length": (bottom - (int(ts[peak]) if peak >= 0 else start)) / DAY if fell else math.nan,
        "drawdown_recovery": (int(ts[recovered]) - bottom) / DAY if recovered >= 0 else math.nan,
        "under_water": longest / DAY,
        "time_under_water": under / bars if bars else math.nan,
    }


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
