"""The measures again, slow and obvious: pandas, sums over lists, textbook formulas."""

from __future__ import annotations

import itertools
import math
import statistics
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

DAY = 86_400_000_000_000


def daily_values(ts: Any, equity: Any, initial: float, fill: bool) -> list[float]:
    if len(ts) == 0:
        return [initial]
    series = pd.Series(np.asarray(equity), index=pd.to_datetime(np.asarray(ts) - 1, utc=True))
    days = series.resample("1D").last()
    days = days.ffill() if fill else days.dropna()
    return [initial, *days.tolist()]


def simple_returns(values: Any) -> list[float]:
    return [after / before - 1.0 for before, after in itertools.pairwise(values)]


def mean(x: Any) -> float:
    return math.fsum(x) / len(x) if len(x) else math.nan


def median(x: Any) -> float:
    return statistics.median(x) if len(x) else math.nan


def annual_growth(values: Any, per_year: float) -> float:
    if len(values) < 2:
        return math.nan
    if values[-1] <= 0:
        return -1.0
    try:
        return float((values[-1] / values[0]) ** (per_year / (len(values) - 1)) - 1)
    except OverflowError:
        return math.nan


def annual_volatility(returns: Any, per_year: float) -> float:
    return statistics.stdev(returns) * math.sqrt(per_year) if len(returns) > 1 else math.nan


def annual_sharpe(returns: Any, per_year: float) -> float:
    if len(returns) < 2 or max(returns) == min(returns):
        return math.nan
    return mean(returns) / float(statistics.stdev(returns)) * math.sqrt(per_year)


def annual_sharpe_error(returns: Any, per_year: float) -> float:
    if len(returns) < 2 or max(returns) == min(returns):
        return math.nan
    ratio = mean(returns) / statistics.stdev(returns)
    centre, spread = mean(returns), statistics.pstdev(returns)
    skew = mean([((r - centre) / spread) ** 3 for r in returns])
    kurtosis = mean([((r - centre) / spread) ** 4 for r in returns])
    inside = 1 - skew * ratio + (kurtosis - 1) / 4 * ratio**2
    return math.sqrt(max(inside, 0.0) / (len(returns) - 1) * per_year)


def annual_sortino(returns: Any, per_year: float) -> float:
    losses = [min(r, 0.0) ** 2 for r in returns]
    return mean(returns) / math.sqrt(mean(losses)) * math.sqrt(per_year) if sum(losses) > 0 else math.nan


def max_drawdown(values: Any) -> float:
    return max((1 - values[j] / values[i] for i in range(len(values)) for j in range(i, len(values))), default=0.0)


def longest_under_water(ts: Any, values: Any) -> int:
    """For each high: until the first value that reaches it again, if the next one was below it."""
    longest = 0
    for i in range(len(values) - 1):
        if values[i] < max(values[: i + 1]) or values[i + 1] >= values[i]:
            continue
        back = next((j for j in range(i + 1, len(values)) if values[j] >= values[i]), len(values) - 1)
        longest = max(longest, int(ts[back] - ts[i]))
    return longest


def drawdowns(ts: Any, start: int, equity: Any, initial: float) -> tuple[float, int, int, int, int, int]:
    """Every bar's high is looked for anew; bar -1 is the start."""
    curve, times = [initial, *equity], [start, *ts]
    highs = [max(curve[: i + 1]) for i in range(len(curve))]
    falls = [1.0 - value / high for value, high in zip(curve, highs, strict=True)]
    depth = max(falls)
    peak = trough = recovered = -1
    if depth > 0.0:
        at = falls.index(depth)
        peak, trough = curve.index(highs[at]) - 1, at - 1
        recovered = next((i - 1 for i in range(at, len(curve)) if curve[i] >= highs[at]), -1)
    under = sum(value < high for value, high in zip(curve, highs, strict=True))
    return depth, peak, trough, recovered, longest_under_water(times, curve), under


def ulcer_index(values: Any) -> float:
    falls = [1.0 - values[i] / max(values[: i + 1]) for i in range(len(values))]
    return math.sqrt(math.fsum(fall**2 for fall in falls) / (len(values) - 1)) if len(values) > 1 else math.nan


def conditional_value_at_risk(returns: Any, level: float) -> float:
    """Every return is split into equal crumbs, so that the tail holds a whole number of them."""
    if len(returns) == 0:
        return math.nan
    share = Fraction(1) - Fraction(level).limit_denominator(1000)
    crumbs = sorted(r for r in returns for _ in range(share.denominator))
    tail = crumbs[: share.numerator * len(returns)]
    return -mean(tail)


def hit_rate(net: Any) -> float:
    return mean([float(x > 0) for x in net])


def payoff(net: Any) -> float:
    wins, losses = [x for x in net if x > 0], [-x for x in net if x < 0]
    return mean(wins) / mean(losses) if wins and losses else math.nan


def profit_factor(net: Any) -> float:
    lost = math.fsum(-x for x in net if x < 0)
    return math.fsum(x for x in net if x > 0) / lost if lost > 0 else math.nan


def skewness(returns: Any) -> float:
    if len(returns) < 2 or max(returns) == min(returns):
        return math.nan
    centre, spread = mean(returns), statistics.pstdev(returns)
    return mean([((r - centre) / spread) ** 3 for r in returns])


def kurtosis(returns: Any) -> float:
    if len(returns) < 2 or max(returns) == min(returns):
        return math.nan
    centre, spread = mean(returns), statistics.pstdev(returns)
    return mean([((r - centre) / spread) ** 4 for r in returns])


def omega(returns: Any) -> float:
    return profit_factor(returns)


def value_at_risk(returns: Any, level: float) -> float:
    return -float(np.quantile(returns, 1 - level)) if len(returns) else math.nan
