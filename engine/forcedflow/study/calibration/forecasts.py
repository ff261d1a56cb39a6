"""How much a forecast knows beyond a simpler one, in nats: fitted on the first part of the data, scored on the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["FLOOR", "Gain", "best_share", "blended_gain", "clustered_error", "laplace_mass", "normalised", "residuals"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

FLOOR: Final = 0.01
"""Share of every forecast that is spread evenly, so that what was thought impossible costs much and not everything."""
_BLENDS: Final = np.linspace(0.0, 1.0, 41)


@dataclass(frozen=True, slots=True)
class Gain:
    """What a forecast adds to a simpler one, out of sample."""

    nats: float
    """Mean log-score gain of the blend over the simpler forecast, per unit of what was to be forecast."""
    error: float
    """Its standard error, clustered; NaN with fewer than three clusters."""
    blend: float
    """Share of the forecast in the blend that was best on the first part: 0 says that it adds nothing there."""
    alone: float
    """Log-score gain of the forecast by itself: below 0 where the simpler one is better."""


def normalised(values: FloatArray) -> FloatArray:
    """Return rows (last axis) that sum to 1, a :data:`FLOOR` of them even; even where a row is empty."""
    total = values.sum(axis=-1, keepdims=True)
    share = np.divide(values, total, out=np.full_like(values, 1 / values.shape[-1]), where=total > 0)
    mixed: FloatArray = (1 - FLOOR) * share + FLOOR / values.shape[-1]
    return mixed


def best_share(truth: FloatArray, forecast: FloatArray, simple: FloatArray) -> float:
    """Return the share of ``forecast`` in the blend with ``simple`` that has the best log score for ``truth``."""
    lift = forecast / simple - 1
    return float(_BLENDS[int(np.argmax([(truth * np.log1p(share * lift)).sum() for share in _BLENDS]))])


def blended_gain(
    truth: FloatArray, forecast: FloatArray, simple: FloatArray, train: BoolArray, day: FloatArray
) -> Gain:
    """Score a blend of two forecasts against one of them.

    Parameters
    ----------
    truth
        Shape (rows, cells): what was to be forecast, not negative; rows count by their sum.
    forecast, simple
        The same shape, rows normalised (:func:`normalised`).
    train
        Shape (rows,): on these the blend is chosen, on the others it is scored.
    day
        Shape (rows,): clusters of the standard error.
    """
    blend = best_share(truth[train], forecast[train], simple[train])
    ratio = forecast[~train] / simple[~train]
    mass, rest = truth[~train].sum(), truth[~train]
    if mass <= 0:
        return Gain(np.nan, np.nan, blend, np.nan)
    gain = (rest * np.log1p(blend * (ratio - 1))).sum(axis=1)
    return Gain(
        nats=float(gain.sum() / mass),
        error=clustered_error(gain, rest.sum(axis=1), day[~train]),
        blend=blend,
        alone=float((rest * np.log(ratio)).sum() / mass),
    )


def clustered_error(values: FloatArray, weights: FloatArray, cluster: FloatArray) -> float:
    """Return the standard error of ``sum(values) / sum(weights)`` over clusters (linearised); NaN under three."""
    _, row = np.unique(cluster, return_inverse=True)
    count = int(row.max(initial=-1)) + 1
    if count < 3 or weights.sum() <= 0:
        return float("nan")
    departure = np.bincount(row, values - weights * values.sum() / weights.sum())
    return float(np.sqrt(count / (count - 1) * (departure**2).sum()) / weights.sum())


def laplace_mass(low: FloatArray, high: FloatArray, centre: FloatArray, scale: float) -> FloatArray:
    """Return the probability that a Laplace distribution gives to each interval ``[low, high]``."""

    def below(x: FloatArray) -> FloatArray:
        z = (x - centre) / scale
        half: FloatArray = 0.5 * np.exp(-np.abs(z))
        return np.where(z < 0, half, 1 - half)

    return below(high) - below(low)


def residuals(values: FloatArray, controls: FloatArray, weight: FloatArray | None = None) -> FloatArray:
    """Return what least squares on ``controls`` (an intercept is added) leaves of each column of ``values``.

    With ``weight`` (shape (rows,)) it is weighted, and so are the residuals: times the root of their weight.
    """
    root = np.ones(len(controls)) if weight is None else np.sqrt(weight)
    design = np.column_stack([np.ones(len(controls)), controls]) * root[:, None]
    weighted = values * root[:, None]
    left: FloatArray = weighted - design @ np.linalg.lstsq(design, weighted, rcond=None)[0]
    return left
