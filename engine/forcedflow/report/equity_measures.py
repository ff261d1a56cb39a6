"""Measures of an equity curve: returns by day, drawdowns by bar, and what chance would make of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from forcedflow.data.times import DAY
from forcedflow.kernels import measures
from forcedflow.report import chance

if TYPE_CHECKING:
    from forcedflow.record import Table
    from forcedflow.tables import FloatArray, IntArray

__all__ = ["Calendar", "chance_measures", "daily_equity", "days_a_year", "drawdown_measures", "return_measures"]

Calendar = Literal["24/7", "sessions"]

_YEAR = 365.25  # days, for counting how many trading days a year has


def daily_equity(equity: Table, initial: float, calendar: Calendar) -> FloatArray:
    """Return the initial equity and then the last equity of each UTC day."""
    return measures.daily_values(equity["ts"], equity["equity"], initial, calendar == "24/7")


def days_a_year(days: int, start: int, ts: IntArray, calendar: Calendar) -> float:
    """Return 365 in a market that never closes, else the trading days a year that the run saw."""
    if calendar == "24/7":
        return 365.0
    return days / ((int(ts[-1]) - start) / DAY) * _YEAR if days else math.nan


def return_measures(equity: Table, daily: FloatArray, per_year: float) -> dict[str, float | int]:
    """Measure daily equity, as :func:`daily_equity` returns it; ``per_year`` is how many such days a year has."""
    returns = measures.simple_returns(daily)
    ordered = np.sort(returns)
    return {
        "total_return": daily[-1] / daily[0] - 1.0,
        "cagr": measures.annual_growth(daily, per_year),
        "volatility": measures.annual_volatility(returns, per_year),
        "sharpe": measures.annual_sharpe(returns, per_year),
        "sharpe_error": measures.annual_sharpe_error(returns, per_year),
        "sortino": measures.annual_sortino(returns, per_year),
        "omega": measures.omega(returns),
        "skew": measures.skewness(returns),
        "kurtosis": measures.kurtosis(returns),
        "var_95": measures.value_at_risk(ordered, 0.95),
        "cvar_95": measures.conditional_value_at_risk(ordered, 0.95),
        "exposure": measures.mean((equity["position"] != 0.0).astype(np.float64)),
        "days": len(returns),
    }


def drawdown_measures(equity: Table, initial: float, start: int) -> dict[str, float | int]:
    """Measure drawdowns at every bar's close; the initial equity is the first high."""
    curve, times = np.concatenate(([initial], equity["equity"])), np.concatenate(([start], equity["ts"]))
    high = np.maximum.accumulate(curve)
    drawdown = 1.0 - curve / high
    trough = int(np.argmax(drawdown))
    peak = int(np.argmax(curve[: trough + 1] == high[trough]))
    again = np.flatnonzero(curve[trough:] >= high[trough])
    fell = bool(drawdown[trough] > 0.0)
    return {
        "max_drawdown": measures.max_drawdown(curve),
        "drawdown_length": (times[trough] - times[peak]) / DAY if fell else math.nan,
        "drawdown_recovery": (times[trough + again[0]] - times[trough]) / DAY if fell and len(again) else math.nan,
        "under_water": measures.longest_under_water(times, curve) / DAY,
        "time_under_water": float((drawdown[1:] > 0.0).mean()) if len(curve) > 1 else math.nan,
        "ulcer": math.sqrt(float((drawdown[1:] ** 2).mean())) if len(curve) > 1 else math.nan,
    }


def chance_measures(
    returns: FloatArray, net: FloatArray, trials: int, trial_deviation: float | None
) -> dict[str, float | int]:
    """Measure what luck alone would do.

    Parameters
    ----------
    returns
        Daily returns.
    net
        Net results of closed trades, in order of their exits.
    trials
        Settings that were tried, this one included.
    trial_deviation
        Standard deviation of the trials' daily Sharpe ratios; left out, that of ratios without skill, 1 / sqrt(n - 1).
    """
    sharpe, error = measures.annual_sharpe(returns, 1.0), measures.annual_sharpe_error(returns, 1.0)
    if trial_deviation is None:
        trial_deviation = 1.0 / math.sqrt(len(returns) - 1) if len(returns) > 1 else math.nan
    lost = (net <= 0.0).astype(np.float64)
    streak = chance.longest_run(lost)
    return {
        "psr": chance.probabilistic_sharpe(sharpe, error),
        "deflated_sharpe": chance.deflated_sharpe(sharpe, error, trials, trial_deviation),
        "trials": trials,
        "losing_streak": streak,
        "losing_streak_chance": chance.streak_chance(len(net), measures.mean(lost), streak) if streak else math.nan,
    }
