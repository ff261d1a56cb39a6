"""Least squares over shares: weights that are not negative and sum to one, drawn towards a prior.

Everything is computed from moments (Gram matrices) of blocks of rows, so that cross-validation and bootstrap only add
matrices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from forcedflow.study.extra import from_scipy

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Moments", "choose_penalty", "fit_shares", "resample"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_ROUNDS: Final = 30
_STIFF: Final = 1e4  # how much dearer a breach of the sum is than the fit


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Sums over rows of one or more blocks of them; K columns."""

    gram: FloatArray
    """Shape (..., K, K): of the columns with each other."""
    cross: FloatArray
    """Shape (..., K): of the columns with the response."""
    square: FloatArray
    """Shape (...,): of the response with itself."""

    @classmethod
    def of(cls, design: FloatArray, response: FloatArray, block: IntArray) -> Moments:
        """Sum over the rows of each block; ``block`` numbers them from 0 without a gap."""
        count, columns = int(block.max()) + 1, design.shape[1]
        gram, cross = np.zeros((count, columns, columns)), np.zeros((count, columns))
        order = np.argsort(block, kind="stable")
        edges = np.searchsorted(block[order], np.arange(count + 1))
        for b in range(count):
            rows = order[edges[b] : edges[b + 1]]
            gram[b], cross[b] = design[rows].T @ design[rows], design[rows].T @ response[rows]
        return cls(gram, cross, np.bincount(block, response**2, count).astype(np.float64))

    def total(self, counts: FloatArray | None = None) -> Moments:
        """Add blocks up, each ``counts`` times (once where left out)."""
        times = np.ones(len(self.square)) if counts is None else counts
        return Moments(
            np.tensordot(times, self.gram, 1), np.tensordot(times, self.cross, 1), np.asarray(times @ self.square)
        )

    def loss(self, coefficients: FloatArray) -> float:
        """Return the sum of squared residuals of a fit."""
        return float(self.square - 2 * coefficients @ self.cross + coefficients @ self.gram @ coefficients)


def fit_shares(
    moments: Moments, prior: FloatArray, penalty: float, groups: Sequence[slice], *, scale: float | None = None
) -> tuple[FloatArray, float]:
    """Return shares w and scale b that minimise ``|y - b X w|^2 + penalty * s * |w - prior|^2``.

    Parameters
    ----------
    moments
        Of one set of rows.
    prior
        Shape (K,): what the shares are drawn to; ``s`` is the mean square of the columns times b squared.
    penalty
        0 for none.
    groups
        Columns whose shares sum to one.
    scale
        b, where it is known; else it is fitted too, in turn with w, between 0 and 1: nothing swept counts twice.

    Notes
    -----
    Non-negative least squares (Lawson, Hanson, *Solving Least Squares Problems*, 1974) on the Cholesky factor of the
    moments, the sums as stiff rows.
    """
    nnls = from_scipy("optimize", "nnls")

    columns = len(prior)
    shares, size = prior, float(np.trace(moments.gram)) / columns
    if size <= 0:
        return prior, 1.0 if scale is None else scale
    sums = np.zeros((len(groups), columns))
    for row, group in zip(sums, groups, strict=True):
        row[group] = 1.0
    if scale is None:  # begin where the fit without a prior has its scale, lest a prior that fits badly pin it to zero
        factor = np.linalg.cholesky(moments.gram + 1e-10 * size * np.eye(columns))
        free = nnls(factor.T, np.linalg.solve(factor, moments.cross))[0]
        b = min(float(free.sum()) / len(groups), 1.0)
    else:
        b = scale
    for _ in range(1 if scale is not None else _ROUNDS):
        unit = b * b * size if b > 0 else size
        ridge = max(penalty, 1e-10) * unit
        normal = b * b * moments.gram + ridge * np.eye(columns)
        factor = np.linalg.cholesky(normal)
        target = np.linalg.solve(factor, b * moments.cross + ridge * prior)
        stiff = np.sqrt(_STIFF * (unit + ridge) * columns)
        found = nnls(np.vstack([factor.T, stiff * sums]), np.concatenate([target, np.full(len(groups), stiff)]))[0]
        for group in groups:
            found[group] /= found[group].sum()
        moved = np.abs(found - shares).sum()
        shares = found
        if scale is None:
            b = _scale(moments, shares)
            if moved < 1e-8:
                break
    return shares, b


def _scale(moments: Moments, shares: FloatArray) -> float:
    own = float(shares @ moments.gram @ shares)
    return min(max(float(shares @ moments.cross) / own, 0.0), 1.0) if own > 0 else 0.0


def choose_penalty(
    moments: Moments,
    prior: FloatArray,
    penalties: Sequence[float],
    groups: Sequence[slice],
    folds: int,
    *,
    scale: float | None = None,
) -> tuple[float, float]:
    """Return the penalty with the least loss in blocked cross-validation, and that loss.

    A fold is a run of neighbouring blocks: rows near in time are alike, so leaving out single rows would choose no
    penalty at all.
    """
    count = len(moments.square)
    fold = np.arange(count) * min(folds, count) // count
    losses = np.zeros(len(penalties))
    for f in range(fold[-1] + 1):
        held_out = (fold == f).astype(np.float64)
        fitted, scored = moments.total(1 - held_out), moments.total(held_out)
        for k, penalty in enumerate(penalties):
            shares, b = fit_shares(fitted, prior, penalty, groups, scale=scale)
            losses[k] += scored.loss(b * shares)
    best = int(np.argmin(losses))
    return float(penalties[best]), float(losses[best])


def resample(
    moments: Moments,
    prior: FloatArray,
    penalty: float,
    groups: Sequence[slice],
    draws: int,
    rng: np.random.Generator,
    *,
    run: int = 3,
    scale: float | None = None,
) -> FloatArray:
    """Return shares fitted to ``draws`` bootstrap samples of runs of ``run`` blocks, shape (draws, K).

    The circular block bootstrap: Politis, Romano, *A circular block-resampling procedure for stationary data* (1992).
    """
    count = len(moments.square)
    runs = -(-count // run)
    found = np.empty((draws, len(prior)))
    for d in range(draws):
        picked = (rng.integers(count, size=runs)[:, None] + np.arange(run)).ravel()[:count] % count
        times = np.bincount(picked, minlength=count).astype(np.float64)
        found[d] = fit_shares(moments.total(times), prior, penalty, groups, scale=scale)[0]
    return found
