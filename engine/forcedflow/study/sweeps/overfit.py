"""What a "best" of many is worth: the probability of overfitting, and which settings earn more than nothing at all.

Deflated Sharpe ratios are in ``report.chance``. Sources: Bailey, Borwein, Lopez de Prado and Zhu (2017), The
Probability of Backtest Overfitting; Hansen (2005), A Test for Superior Predictive Ability, and Romano and Wolf (2005),
Stepwise Multiple Testing as Formalized Data Snooping, both by ``arch``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np

from forcedflow.errors import SettingsError, extra_needed

if TYPE_CHECKING:
    from forcedflow.tables import FloatArray

__all__ = ["Overfitting", "Superior", "overfitting", "superior_settings"]

_LEVEL: Final = 0.05
_RESAMPLES: Final = 1000
_MOST: Final = 4_000_000  # daily returns: more would take the bootstrap minutes
_BLOCK: Final = 512  # splits at a time: bounds the memory


@dataclass(frozen=True, slots=True)
class Overfitting:
    """The probability of backtest overfitting by combinatorially symmetric cross-validation."""

    pbo: float
    """Share of the splits in which the best half-sample setting ranks in the lower half of the other half."""
    degradation: float
    """Slope of the out-of-sample Sharpe ratio of the chosen setting on its in-sample one; NaN where undefined."""
    loss: float
    """Share of the splits in which the chosen setting loses out of sample."""
    splits: int
    blocks: int
    """S: how many equal blocks of days the splits are made of."""


def overfitting(returns: FloatArray, blocks: int = 16) -> Overfitting:
    """Estimate how often the best setting of one half of the days is below the median in the other half.

    Parameters
    ----------
    returns
        Shape (days, settings): simple returns; the first days that do not fill the blocks are left out.
    blocks
        S, even: every choice of half of the blocks is one split.

    Raises
    ------
    SettingsError
        For fewer than two settings, or fewer than two days a block.
    """
    days, settings = returns.shape
    if blocks < 2 or blocks % 2:
        raise SettingsError(f"PBO needs an even number of blocks, was {blocks}")
    if settings < 2 or days < 2 * blocks:
        raise SettingsError(
            f"PBO needs two settings and {2 * blocks} days, was given {settings} settings and {days} days"
        )
    size = days // blocks
    cut = returns[days - size * blocks :].reshape(blocks, size, settings)
    sums, squares = cut.sum(axis=1), np.square(cut).sum(axis=1)
    halves = np.array(list(combinations(range(blocks), blocks // 2)))
    count = size * blocks // 2
    below, lost, ins, outs = 0.0, 0, [], []
    for chunk in np.array_split(halves, math.ceil(len(halves) / _BLOCK)):
        chosen = np.zeros((len(chunk), blocks))
        np.put_along_axis(chosen, chunk, 1.0, axis=1)
        inside = _ratios(chosen @ sums, chosen @ squares, count)
        outside = _ratios((1.0 - chosen) @ sums, (1.0 - chosen) @ squares, count)
        rows, best = np.arange(len(chunk)), inside.argmax(axis=1)
        reached = outside[rows, best]
        # The relative rank of the best, ties in the middle; its logit is below zero where that is under a half.
        ranks = (outside < reached[:, None]).sum(axis=1) + ((outside == reached[:, None]).sum(axis=1) + 1) / 2
        below += float((ranks / (settings + 1) <= 0.5).sum())
        lost += int((reached < 0.0).sum())
        ins.append(inside[rows, best])
        outs.append(reached)
    x, y = np.concatenate(ins), np.concatenate(outs)
    spread = float(np.square(x - x.mean()).sum())
    slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread if spread > 0.0 else math.nan
    return Overfitting(below / len(halves), slope, lost / len(halves), len(halves), blocks)


def _ratios(sums: FloatArray, squares: FloatArray, count: int) -> FloatArray:
    """Sharpe ratios a day of sums over ``count`` days; 0 of a setting that never moved."""
    mean = sums / count
    variance = np.maximum(squares - sums * mean, 0.0) / (count - 1)
    moved = variance > 1e-24 + 1e-18 * squares
    ratios: FloatArray = np.where(moved, mean / np.sqrt(np.where(moved, variance, 1.0)), 0.0)
    return ratios


@dataclass(frozen=True, slots=True)
class Superior:
    """Which settings earn more than nothing, all settings that were tried taken into account."""

    spa: float
    """p-value (consistent) that the best setting is no better than nothing."""
    settings: tuple[int, ...]
    """Columns that StepM finds better than nothing, at a family level of 5%."""


def superior_settings(returns: FloatArray, *, block: float | None = None, seed: int = 0) -> Superior:
    """Tell which settings of a strategy earn more than nothing: SPA and StepM over daily returns.

    Parameters
    ----------
    returns
        Shape (days, settings): daily returns. Event scores do not belong here.
    block
        Mean length of a block of the stationary bootstrap, days; the square root of their number where left out.

    Raises
    ------
    SettingsError
        Without ``arch``, or where there are too few days or too many returns.
    """
    days, settings = returns.shape
    if days < 20 or settings < 1:
        raise SettingsError(f"tests over settings need at least 20 days and one setting, were given {returns.shape}")
    if returns.size > _MOST:
        raise SettingsError(f"tests over settings take at most {_MOST:,} daily returns, were given {returns.size:,}")
    varying = np.flatnonzero(returns.std(axis=0) > 0)  # a setting that never traded has no variance to divide by
    if not len(varying):
        return Superior(1.0, ())
    try:
        from arch.bootstrap import SPA, StepM  # noqa: PLC0415  (2 s, and an extra)
    except ImportError:
        raise extra_needed("a test over settings", "arch", "evidence") from None
    losses, nothing = -returns[:, varying], np.zeros(days)  # arch compares losses
    length = math.ceil(days**0.5 if block is None else block)
    spa = SPA(nothing, losses, block_size=length, reps=_RESAMPLES, seed=seed)
    spa.compute()
    step = StepM(nothing, losses, size=_LEVEL, block_size=length, reps=_RESAMPLES, seed=seed)
    step.compute()
    better = tuple(int(varying[int(str(k))]) for k in step.superior_models)
    return Superior(float(spa.pvalues["consistent"]), better)
