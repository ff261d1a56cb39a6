"""Combinatorially symmetric cross-validation, split by split."""

from __future__ import annotations

import itertools
import math
import statistics

import numpy as np
import numpy.typing as npt

__all__ = ["probability"]


def sharpe(returns: list[float]) -> float:
    """Mean over sample standard deviation; 0 of a series that does not move."""
    if max(returns) == min(returns):
        return 0.0
    return statistics.fmean(returns) / statistics.stdev(returns)


def probability(returns: npt.NDArray[np.float64], blocks: int) -> float:
    """Return the share of splits whose logit of the best setting's rank is not above zero."""
    days, settings = returns.shape
    size = days // blocks
    first = days - size * blocks
    rows = [list(range(first + b * size, first + (b + 1) * size)) for b in range(blocks)]
    splits = list(itertools.combinations(range(blocks), blocks // 2))
    below = 0
    for split in splits:
        inside = [day for b in split for day in rows[b]]
        outside = [day for b in range(blocks) if b not in split for day in rows[b]]
        ins = [sharpe([float(returns[day, k]) for day in inside]) for k in range(settings)]
        outs = [sharpe([float(returns[day, k]) for day in outside]) for k in range(settings)]
        best = ins.index(max(ins))
        lower = sum(value < outs[best] for value in outs)
        equal = sum(value == outs[best] for value in outs)
        rank = (lower + (equal + 1) / 2) / (settings + 1)
        below += math.log(rank / (1 - rank)) <= 0
    return below / len(splits)
