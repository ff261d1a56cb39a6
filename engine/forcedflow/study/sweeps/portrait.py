"""A sweep as a picture has it: some of its settings, where they lie, what they scored, how their equity went."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from forcedflow.study.sweeps.axes import Axis
    from forcedflow.study.sweeps.space import Point
    from forcedflow.tables import FloatArray, IntArray

__all__ = ["BANDS", "Fan", "Portrait", "Scale", "growth", "portrait", "thinned"]

BANDS: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles of a fan, of all settings on each day."""

_SHOWN: Final = 100  # settings
_LEADING: Final = 12  # of them the best neighbourhoods
_TIMES: Final = 120
_TICKS: Final = 5  # of a continuous axis


@dataclass(frozen=True, slots=True)
class Scale:
    """A varied setting as an axis of a picture."""

    name: str
    ticks: tuple[Any, ...]
    places: tuple[float, ...]
    """Of the ticks, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Fan:
    """Equity of settings over their initial equity, at most 120 days of it."""

    times: tuple[int, ...]
    """Seconds since 1970, UTC."""
    bands: FloatArray
    """Shape (5, times): quantiles ``BANDS`` of all settings that did not fail."""
    curves: FloatArray
    """Shape (shown, times): of the settings that the portrait shows."""


@dataclass(frozen=True, slots=True)
class Portrait:
    """Settings of a sweep, at most a hundred: the best ones, and others evenly by their score."""

    scales: tuple[Scale, ...]
    settings: tuple[int, ...]
    """Their numbers, the best neighbourhood first."""
    points: tuple[Point, ...]
    places: FloatArray
    """Shape (shown, scales), 0 to 1: where each lies on each scale."""
    scores: FloatArray
    robust: FloatArray
    fan: Fan | None
    """None where daily equity was not kept."""


def portrait(
    axes: Sequence[Axis],
    numbers: Sequence[int],
    points: Sequence[Point],
    scores: FloatArray,
    robust: FloatArray,
    chosen: Iterable[int | None],
    *,
    sign: float = 1.0,
    days: IntArray | None = None,
    daily: FloatArray | None = None,
) -> Portrait | None:
    """Return what a page shows of a sweep, None where no setting has a score.

    Parameters
    ----------
    scores, robust
        More is better; NaN where undefined.
    chosen
        Rows that must be shown.
    sign
        -1 where the measure itself is better if less: it is shown as it is.
    days, daily
        Ends of days, ns UTC, and equity at them, shape (days, settings).
    """
    rows = _sample(scores, robust, [row for row in chosen if row is not None])
    if not len(rows):
        return None
    varied = [axis for axis in axes if axis.continuous or len(axis.values) > 1]
    scales = tuple(_scale(axis) for axis in varied)
    shown = [points[row] for row in rows]
    places = np.array([[axis.share_of(point[axis.name]) for axis in varied] for point in shown])
    return Portrait(
        scales,
        tuple(numbers[row] for row in rows),
        tuple({axis.name: point[axis.name] for axis in varied} for point in shown),
        places.reshape(len(rows), len(varied)).round(4),
        sign * scores[rows],
        sign * robust[rows],
        None if days is None or daily is None else _fan(days, daily, rows),
    )


def growth(times: IntArray, equity: FloatArray, initial: float) -> tuple[tuple[int, ...], FloatArray]:
    """Return times (s) and equity over the initial one, few enough to draw."""
    kept = thinned(len(times))
    return tuple((times[kept] // 1_000_000_000).tolist()), (equity[kept] / initial).round(5)


def thinned(count: int, most: int = _TIMES) -> IntArray:
    """Return at most so many rows, evenly, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def _sample(scores: FloatArray, robust: FloatArray, chosen: list[int]) -> list[int]:
    known = np.flatnonzero(~np.isnan(scores))
    by_robust = known[np.argsort(-np.nan_to_num(robust[known], nan=-np.inf), kind="stable")]
    by_score = known[np.argsort(-scores[known], kind="stable")]
    wanted = {*chosen, *by_robust[:_LEADING].tolist()}
    wanted |= set(by_score[thinned(len(by_score), max(_SHOWN - len(wanted), 0))].tolist()) if len(by_score) else set()
    return [row for row in by_robust.tolist() if row in wanted]


def _scale(axis: Axis) -> Scale:
    if axis.continuous:
        at = tuple(k / (_TICKS - 1) for k in range(_TICKS))
        return Scale(axis.name, tuple(axis.at(share) for share in at), at)
    return Scale(axis.name, axis.values, tuple(axis.share_of(value) for value in axis.values))


def _fan(days: IntArray, daily: FloatArray, rows: list[int]) -> Fan:
    times, grown = growth(days, daily, 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        grown = (grown / daily[0]).round(5)
    traded = grown[:, ~np.isnan(grown).any(axis=0)]
    bands = np.quantile(traded, BANDS, axis=1) if traded.size else np.full((len(BANDS), len(times)), math.nan)
    return Fan(times, bands.round(5), grown[:, rows].T)
