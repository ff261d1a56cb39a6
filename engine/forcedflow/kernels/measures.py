"""Measures of a run: one small function each, over arrays, for the scorecard and for sweeps alike.

A measure that is undefined is NaN; the scorecard shows it as ``None``. Losses (drawdown, CVaR) are positive numbers.
``values`` is an equity curve that begins with the initial equity; ``returns`` are simple returns per day;
``per_year`` is the number of such days in a year. Trade measures take closed trades.
Measures of order take ``ordered`` values: the caller sorts, since compiling a sort costs more than all the rest.
What may run over every bar is a kernel; what runs over days or trades is compiled in a sweep's kernels only.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from forcedflow.kernels import FloatArray, IntArray, lean_kernel, shared_function

__all__ = [
    "DailyMeasures",
    "TradeMeasures",
    "annual_growth",
    "annual_sharpe",
    "annual_sharpe_error",
    "annual_sortino",
    "annual_volatility",
    "conditional_value_at_risk",
    "daily_measures",
    "daily_values",
    "hit_rate",
    "kurtosis",
    "longest_run",
    "max_drawdown",
    "mean",
    "median",
    "omega",
    "payoff",
    "profit_factor",
    "simple_returns",
    "skewness",
    "streak_chance",
    "trade_measures",
    "ulcer_index",
    "value_at_risk",
]

_DAY = 86_400_000_000_000  # ns


@shared_function
def daily_values(ts: IntArray, equity: FloatArray, initial: float, fill: bool) -> FloatArray:
    """Return the initial equity and then the last equity of each UTC day.

    Parameters
    ----------
    ts
        Shape (n,): ascending closes, ns UTC. A bar that closes at midnight belongs to the day that ends there.
    equity
        Shape (n,): equity at these closes.
    initial
        Equity before the first bar.
    fill
        Whether a day without bars counts, its equity unchanged (a market that never closes), or is left out (sessions).
    """
    if len(ts) == 0:
        return np.array([initial])
    day = (ts - 1) // _DAY
    ends = np.append(np.flatnonzero(np.diff(day)), len(ts) - 1)
    values = equity[ends]
    if fill:
        values = np.repeat(values, np.diff(np.append(day[ends], day[-1] + 1)))
    return np.concatenate((np.array([initial]), values))


@shared_function
def simple_returns(values: FloatArray) -> FloatArray:
    """Return ``values[t] / values[t - 1] - 1``, shape (n - 1,)."""
    return values[1:] / values[:-1] - 1.0


@shared_function
def mean(x: FloatArray) -> float:
    """Arithmetic mean; NaN of nothing."""
    if len(x) == 0:
        return math.nan
    total = 0.0
    for value in x:
        total += value
    return total / len(x)


@shared_function
def median(ordered: FloatArray) -> float:
    """Middle of ascending values, or the mean of the two middle ones; NaN of nothing."""
    n = len(ordered)
    if n == 0:
        return math.nan
    return float(0.5 * (ordered[(n - 1) // 2] + ordered[n // 2]))


@shared_function
def _central_moment(x: FloatArray, order: int) -> float:
    """Return the mean of ``(x - mean) ** order``."""
    centre = mean(x)
    total = 0.0
    for value in x:
        power = 1.0
        for _ in range(order):
            power *= value - centre
        total += power
    return total / len(x)


@shared_function
def _deviation(x: FloatArray) -> float:
    """Sample standard deviation (n - 1); NaN where it is undefined or only rounding."""
    n = len(x)
    if n < 2:
        return math.nan
    deviation = math.sqrt(_central_moment(x, 2) * n / (n - 1))
    largest = 0.0
    for value in x:
        largest = max(largest, abs(value))
    return deviation if deviation > 1e-12 * largest else math.nan


@shared_function
def skewness(returns: FloatArray) -> float:
    """Third central moment over the cube of the standard deviation, moments of the sample itself (n)."""
    if math.isnan(_deviation(returns)):
        return math.nan
    variance = _central_moment(returns, 2)
    return _central_moment(returns, 3) / (variance * math.sqrt(variance))


@shared_function
def kurtosis(returns: FloatArray) -> float:
    """Fourth central moment over the squared variance, moments of the sample itself (n); 3 for a normal."""
    if math.isnan(_deviation(returns)):
        return math.nan
    variance = _central_moment(returns, 2)
    return _central_moment(returns, 4) / (variance * variance)


@shared_function
def annual_growth(values: FloatArray, per_year: float) -> float:
    """CAGR: ``(end / start) ** (per_year / days) - 1``; -1 once everything is lost."""
    days = len(values) - 1
    if days < 1 or not per_year > 0.0:
        return math.nan
    growth = values[-1] / values[0]
    if growth <= 0.0:  # or what is left is too small a share to be a number
        return -1.0
    exponent = per_year / days * math.log(growth)
    return math.expm1(exponent) if exponent < 700.0 else math.nan  # beyond what a float holds


@shared_function
def annual_volatility(returns: FloatArray, per_year: float) -> float:
    """Sample standard deviation of returns, times the root of ``per_year``."""
    if len(returns) < 2:
        return math.nan
    return math.sqrt(_central_moment(returns, 2) * len(returns) / (len(returns) - 1) * per_year)


@shared_function
def annual_sharpe(returns: FloatArray, per_year: float) -> float:
    """Mean over standard deviation of returns, annualised, no risk-free rate (Sharpe 1994)."""
    return mean(returns) / _deviation(returns) * math.sqrt(per_year)


@shared_function
def annual_sharpe_error(returns: FloatArray, per_year: float) -> float:
    """Return the standard error of the Sharpe ratio for independent, non-normal returns.

    ``sqrt((1 - skew * s + (kurtosis - 1) / 4 * s ** 2) / (n - 1))`` per day with ``s`` the daily ratio (Mertens 2002;
    Bailey and Lopez de Prado 2012), annualised like the ratio itself.
    """
    n = len(returns)
    deviation = _deviation(returns)
    if n < 2 or math.isnan(deviation):
        return math.nan
    ratio = mean(returns) / deviation
    skew, tails = skewness(returns), kurtosis(returns)
    return math.sqrt(max(1.0 - skew * ratio + (tails - 1.0) / 4.0 * ratio * ratio, 0.0) / (n - 1) * per_year)


@shared_function
def annual_sortino(returns: FloatArray, per_year: float) -> float:
    """Mean return over the root mean square of losses, all days counted, target 0 (Sortino and Price 1994)."""
    total = 0.0
    for value in returns:
        loss = min(value, 0.0)
        total += loss * loss
    if total == 0.0:
        return math.nan
    return mean(returns) / math.sqrt(total / len(returns)) * math.sqrt(per_year)


@shared_function
def omega(returns: FloatArray) -> float:
    """Sum of gains over sum of losses of returns, threshold 0 (Keating and Shadwick 2002)."""
    return profit_factor(returns)


@lean_kernel
def max_drawdown(values: FloatArray) -> float:
    """Largest loss from a high so far, as a share of that high; 0 where there was none."""
    high = -math.inf
    worst = 0.0
    for value in values:
        high = max(high, value)
        worst = max(worst, 1.0 - value / high)
    return worst


@shared_function
def ulcer_index(values: FloatArray) -> float:
    """Root mean square of the drawdown, the first value left out, which is none (Martin and McCann 1989)."""
    if len(values) < 2:
        return math.nan
    high = values[0]
    total = 0.0
    for value in values:
        high = max(high, value)
        fell = 1.0 - value / high
        total += fell * fell
    return math.sqrt(total / (len(values) - 1))


@shared_function
def value_at_risk(ordered: FloatArray, level: float) -> float:
    """Loss at the ``1 - level`` quantile of ascending returns, linear between neighbours (Hyndman and Fan, type 7)."""
    if len(ordered) == 0:
        return math.nan
    at = (1.0 - level) * (len(ordered) - 1)
    below = int(at)
    above = min(below + 1, len(ordered) - 1)
    quantile: float = ordered[below] + (at - below) * (ordered[above] - ordered[below])
    return -quantile


@shared_function
def conditional_value_at_risk(ordered: FloatArray, level: float) -> float:
    """Mean loss of the worst ``1 - level`` of ascending returns, the boundary return counted by its fraction.

    The exact sample form of Rockafellar and Uryasev (2002); rounding the tail to whole returns differs.
    """
    tail = (1.0 - level) * len(ordered)
    if tail == 0.0:
        return math.nan
    whole = int(tail)
    total = 0.0
    for i in range(whole):
        total += ordered[i]
    if whole < len(ordered):
        total += (tail - whole) * ordered[whole]
    return -total / tail


@shared_function
def hit_rate(net: FloatArray) -> float:
    """Share of trades with a profit after costs."""
    wins = 0
    for value in net:
        wins += value > 0.0
    return wins / len(net) if len(net) else math.nan


@shared_function
def payoff(net: FloatArray) -> float:
    """Mean profit of winning trades over mean loss of losing trades; NaN unless there are both."""
    won, lost, wins, losses = 0.0, 0.0, 0, 0
    for value in net:
        if value > 0.0:
            won += value
            wins += 1
        elif value < 0.0:
            lost -= value
            losses += 1
    return (won / wins) / (lost / losses) if wins and losses else math.nan


@shared_function
def profit_factor(net: FloatArray) -> float:
    """Sum of profits over sum of losses; NaN where nothing was lost."""
    won, lost = 0.0, 0.0
    for value in net:
        won += max(value, 0.0)
        lost -= min(value, 0.0)
    return won / lost if lost > 0.0 else math.nan


@shared_function
def longest_run(hits: FloatArray) -> int:
    """Return the most values in a row that are not zero."""
    longest, current = 0, 0
    for hit in hits:
        current = current + 1 if hit != 0.0 else 0
        longest = max(longest, current)
    return longest


@shared_function
def streak_chance(trials: int, probability: float, length: int) -> float:
    """Return the probability that independent trials have at least ``length`` hits in a row (Feller, XIII.7).

    A first streak ends with trial n where ``length`` hits follow a miss, before which there was none:
    ``P(n) = P(n - 1) + (1 - P(n - length - 1)) * (1 - p) * p ** length``, and ``P(length) = p ** length``.
    """
    if length <= 0:
        return 1.0
    all_hit = 1.0
    for _ in range(length):
        all_hit *= probability
    reached = np.zeros(max(trials, length) + 1)
    reached[length] = all_hit
    for n in range(length + 1, trials + 1):
        reached[n] = reached[n - 1] + (1.0 - reached[n - length - 1]) * (1.0 - probability) * all_hit
    return float(reached[trials])


class DailyMeasures(NamedTuple):
    """Measures of daily equity, under their names in the scorecard."""

    total_return: float
    cagr: float
    volatility: float
    sharpe: float
    sharpe_error: float
    sortino: float
    omega: float
    skew: float
    kurtosis: float
    var_95: float
    cvar_95: float
    ulcer: float


@shared_function
def daily_measures(daily: FloatArray, returns: FloatArray, ordered: FloatArray, per_year: float) -> DailyMeasures:
    """Measure daily equity; ``returns`` are those of ``daily``, ``ordered`` the same in ascending order."""
    return DailyMeasures(
        daily[-1] / daily[0] - 1.0,
        annual_growth(daily, per_year),
        annual_volatility(returns, per_year),
        annual_sharpe(returns, per_year),
        annual_sharpe_error(returns, per_year),
        annual_sortino(returns, per_year),
        omega(returns),
        skewness(returns),
        kurtosis(returns),
        value_at_risk(ordered, 0.95),
        conditional_value_at_risk(ordered, 0.95),
        ulcer_index(daily),
    )


class TradeMeasures(NamedTuple):
    """Measures of closed trades, under their names in the scorecard."""

    hit_rate: float
    payoff: float
    profit_factor: float
    expectancy_r: float
    median_r: float
    mae_r: float
    mfe_r: float
    bars_held: float
    losing_streak: float
    losing_streak_chance: float


@shared_function
def trade_measures(
    net: FloatArray, r: FloatArray, ordered: FloatArray, mae: FloatArray, mfe: FloatArray, held: FloatArray
) -> TradeMeasures:
    """Measure closed trades.

    Parameters
    ----------
    net
        In order of the exits; zero is not a profit.
    r, ordered
        R-multiples of those that have one, and the same in ascending order.
    mae, mfe
        Excursions in R of those that have one.
    held
        Bars from entry to exit.
    """
    lost = np.zeros(len(net))
    for at in range(len(net)):
        lost[at] = 1.0 if net[at] <= 0.0 else 0.0
    streak = longest_run(lost)
    return TradeMeasures(
        hit_rate(net),
        payoff(net),
        profit_factor(net),
        mean(r),
        median(ordered),
        mean(mae),
        mean(mfe),
        mean(held),
        float(streak),
        streak_chance(len(net), mean(lost), streak) if streak > 0 else math.nan,
    )
