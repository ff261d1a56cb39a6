"""What luck alone would do: Sharpe ratios against many trials, ruin."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from forcedflow.tables import FloatArray

__all__ = ["deflated_sharpe", "expected_best", "probabilistic_sharpe", "risk_of_ruin"]

_NORMAL: Final = NormalDist()
_EULER: Final = 0.5772156649015329
_PATHS: Final = 2000
_MIN_DAYS: Final = 20


def probabilistic_sharpe(sharpe: float, error: float, benchmark: float = 0.0) -> float:
    """Return the probability that the true Sharpe ratio exceeds ``benchmark`` (Bailey and Lopez de Prado 2012).

    All three in one unit, per day or per year; NaN where the ratio is undefined.
    """
    if not (math.isfinite(sharpe) and math.isfinite(error) and error > 0.0):
        return math.nan
    return _NORMAL.cdf((sharpe - benchmark) / error)


def expected_best(trials: int, deviation: float) -> float:
    """Return the Sharpe ratio that the best of ``trials`` without skill is expected to show.

    Parameters
    ----------
    trials
        Independent trials, at least 1; one alone is expected to show nothing.
    deviation
        Standard deviation of the trials' Sharpe ratios.
    """
    if trials <= 1:
        return 0.0
    upper = _NORMAL.inv_cdf(1.0 - 1.0 / trials)
    beyond = _NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return deviation * ((1.0 - _EULER) * upper + _EULER * beyond)


def deflated_sharpe(sharpe: float, error: float, trials: int, deviation: float) -> float:
    """Return the probabilistic Sharpe ratio against the best of ``trials`` (Bailey and Lopez de Prado 2014)."""
    return probabilistic_sharpe(sharpe, error, expected_best(trials, deviation))


def risk_of_ruin(returns: FloatArray, days: int, ruin: float, seed: int = 0) -> float:
    """Return the probability that ``days`` of such returns take away ``ruin`` of equity at some close.

    A circular block bootstrap (Politis and Romano 1992): blocks of the root of the number of returns, 2,000 paths, the
    same for the same seed. NaN under 20 returns.
    """
    count = len(returns)
    if count < _MIN_DAYS or days < 1:
        return math.nan
    length = math.ceil(math.sqrt(count))
    blocks = math.ceil(days / length)
    rng = np.random.default_rng(seed)
    ruined = 0
    for _ in range(_PATHS):
        starts = rng.integers(0, count, blocks)
        rows = (starts[:, np.newaxis] + np.arange(length)) % count
        ruined += bool(np.cumprod(1.0 + returns[rows.ravel()[:days]]).min() <= 1.0 - ruin)
    return ruined / _PATHS
