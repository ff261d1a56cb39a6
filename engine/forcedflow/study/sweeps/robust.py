"""The plateau rather than the peak: a point's score with its neighbours', and what each parameter changes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forcedflow.study.sweeps.axes import Axis
    from forcedflow.study.sweeps.space import Point
    from forcedflow.tables import FloatArray, IntArray

__all__ = [
    "Heatmap",
    "Sensitivity",
    "best_of",
    "heatmap",
    "neighbours",
    "pairs",
    "robust_scores",
    "sensitivity",
]

_BINS: Final = 5  # of a continuous axis


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """How much a score hangs on one parameter."""

    name: str
    main: float
    """Share of the score's variance that the parameter explains alone (first-order index); NaN where none varies."""
    total: float
    """Share that is left when all others are held (total index): with interactions; NaN unless the grid is whole."""
    values: tuple[Any, ...]
    """Values, or the middles of bins of a continuous axis."""
    means: tuple[float, ...]
    """Mean score at each; NaN where no point has one."""


@dataclass(frozen=True, slots=True)
class Heatmap:
    """Scores over two parameters, the mean over all others."""

    x: str
    y: str
    xs: tuple[Any, ...]
    ys: tuple[Any, ...]
    scores: FloatArray
    """Shape (len(ys), len(xs)); NaN where no point has one."""
    best: tuple[int, int] | None = None
    """Row and column of the cell in which the best point lies."""
    plateau: tuple[int, int] | None = None
    """Of the one in which the best neighbourhood's middle lies."""
    around: tuple[tuple[int, int], ...] = ()
    """Cells of the plateau: its own, and those that hang together with it in the best quarter of all."""


def neighbours(axes: Sequence[Axis], points: Sequence[Point]) -> list[IntArray]:
    """Return the neighbours of each point, rows of ``points``, itself left out.

    On a grid: one step along one numeric axis, everything else the same. Where an axis is continuous or points were
    drawn: the nearest by the largest step over the axes' ranges, two for each numeric axis. Words and switches are
    never neighbours of each other.
    """
    steps = [{value: k for k, value in enumerate(axis.values)} for axis in axes]
    ordered = [k for k, axis in enumerate(axes) if axis.ordered]
    if any(axis.continuous for axis in axes) or len(points) < 0.5 * math.prod(len(axis.values) for axis in axes):
        return _nearest(axes, points, ordered)
    places = [tuple(step[point[a.name]] for a, step in zip(axes, steps, strict=True)) for point in points]
    row_at = {place: row for row, place in enumerate(places)}
    found = []
    for place in places:
        beside = [(*place[:k], place[k] + step, *place[k + 1 :]) for k in ordered for step in (-1, 1)]
        found.append(np.array([row_at[other] for other in beside if other in row_at], dtype=np.int64))
    return found


def _nearest(axes: Sequence[Axis], points: Sequence[Point], ordered: Sequence[int]) -> list[IntArray]:
    places = np.array([[_share(axes[k], point[axes[k].name]) for k in ordered] for point in points])
    places = places.reshape(len(points), len(ordered))
    others = [axis.name for k, axis in enumerate(axes) if k not in ordered]
    alike: dict[tuple[Any, ...], list[int]] = {}
    for row, point in enumerate(points):
        alike.setdefault(tuple(point[name] for name in others), []).append(row)
    found: list[IntArray] = [np.empty(0, np.int64)] * len(points)
    for group in alike.values():
        rows = np.array(group)
        for row in group:
            distance = np.abs(places[rows] - places[row]).max(axis=1, initial=0.0)
            nearest = rows[np.argsort(distance, kind="stable")]
            found[row] = nearest[nearest != row][: 2 * len(ordered)]
    return found


def _share(axis: Axis, value: float) -> float:
    """Return where a number lies on its axis by its size, 0 to 1."""
    if axis.continuous:
        return axis.share_of(value)
    low, high = axis.values[0], axis.values[-1]
    if low == high:
        return 0.0
    if axis.log:
        return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
    share: float = (value - low) / (high - low)
    return share


def robust_scores(scores: FloatArray, around: Sequence[IntArray]) -> FloatArray:
    """Return the median of each point's score and its neighbours', the lower one of two middles.

    A lonely peak scores what surrounds it. An undefined score (NaN) counts as the worst: a setting that did not trade
    is no support for its neighbour. NaN where that makes the median undefined.
    """
    known = np.where(np.isnan(scores), -np.inf, scores)
    medians = [np.sort(np.append(known[near], known[row]))[len(near) // 2] for row, near in enumerate(around)]
    robust = np.array(medians, dtype=np.float64)
    robust[np.isinf(robust)] = np.nan
    return robust


def best_of(scores: FloatArray, ties: FloatArray | None = None) -> int | None:
    """Return the row with the largest score, the first by ``ties`` where several have it; None where all are NaN."""
    if not len(scores) or np.isnan(scores).all():
        return None
    best = np.flatnonzero(scores == np.nanmax(scores))
    if ties is None or np.isnan(ties[best]).all():
        return int(best[0])
    return int(best[np.nanargmax(ties[best])])


def sensitivity(axes: Sequence[Axis], points: Sequence[Point], scores: FloatArray) -> tuple[Sensitivity, ...]:
    """Return how much each parameter matters, the most important first; points without a score are left out.

    On a whole grid these are the Sobol indices of the grid's scores, exactly.
    """
    known = np.flatnonzero(~np.isnan(scores))
    y = scores[known]
    variance = float(y.var()) if len(y) else 0.0
    codes, labels = _codes(axes, [points[row] for row in known.tolist()])
    whole = len(known) == math.prod(max(len(axis.values), 1) for axis in axes) and not any(a.continuous for a in axes)
    found = []
    for k, axis in enumerate(axes):
        means, counts = _means(codes[:, k], y, len(labels[k]))
        filled = counts > 0
        main = total = math.nan
        if variance > 0.0:
            main = float((counts[filled] * np.square(means[filled] - y.mean())).sum()) / len(y) / variance
        if variance > 0.0 and whole:
            rest = np.unique(np.delete(codes, k, axis=1), axis=0, return_inverse=True)[1].ravel()
            others, _ = _means(rest, y, int(rest.max()) + 1)
            total = float(np.square(y - others[rest]).mean()) / variance
        found.append(Sensitivity(axis.name, main, total, labels[k], tuple(means.tolist())))
    return tuple(sorted(found, key=lambda s: -s.main if math.isfinite(s.main) else math.inf))


def heatmap(
    axes: Sequence[Axis],
    points: Sequence[Point],
    scores: FloatArray,
    x: str,
    y: str,
    *,
    best: int | None = None,
    plateau: int | None = None,
    sign: float = 1.0,
) -> Heatmap:
    """Return mean scores over two of the axes; points without a score are left out.

    Parameters
    ----------
    scores
        More is better.
    best, plateau
        Rows of the points to mark.
    sign
        What the scores are multiplied with in the result: -1 where the measure itself is better if less.
    """
    known = np.flatnonzero(~np.isnan(scores))
    codes, labels = _codes(axes, [points[row] for row in known.tolist()])
    names = [axis.name for axis in axes]
    i, j = names.index(x), names.index(y)
    width, height = len(labels[i]), len(labels[j])
    means, _ = _means(codes[:, j] * width + codes[:, i], scores[known], width * height)
    cells = means.reshape(height, width)

    def cell(row: int | None) -> tuple[int, int] | None:
        if row is None:
            return None
        place = _codes(axes, [points[row]])[0][0]
        return int(place[j]), int(place[i])

    middle = cell(plateau)
    around = () if middle is None else _around(cells, middle)
    return Heatmap(x, y, labels[i], labels[j], sign * cells, cell(best), middle, around)


def _around(cells: FloatArray, middle: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Return the cells that hang together with the middle by their sides, and lie in the best quarter of all."""
    quarter = np.nanquantile(cells, 0.75)
    high = (cells >= quarter) & (cells > np.nanmin(cells))  # not everything where most cells tie at the bottom
    found, edge = {middle}, [middle]
    while edge:
        row, column = edge.pop()
        for near in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            inside = 0 <= near[0] < cells.shape[0] and 0 <= near[1] < cells.shape[1]
            if inside and high[near] and near not in found:
                found.add(near)
                edge.append(near)
    return tuple(sorted(found))


def pairs(axes: Sequence[Axis], ranking: Sequence[Sensitivity]) -> list[tuple[str, str]]:
    """Return the pairs of varied axes, those of the most important parameters first."""
    varied = {axis.name for axis in axes if axis.continuous or len(axis.values) > 1}
    return list(combinations([s.name for s in ranking if s.name in varied], 2))


def _codes(axes: Sequence[Axis], points: Sequence[Point]) -> tuple[npt.NDArray[np.int64], list[tuple[Any, ...]]]:
    """Return each point's place on each axis, and the places' labels."""
    codes = np.zeros((len(points), len(axes)), dtype=np.int64)
    labels: list[tuple[Any, ...]] = []
    for k, axis in enumerate(axes):
        if axis.continuous:
            shares = np.array([_share(axis, point[axis.name]) for point in points])
            codes[:, k] = np.minimum((shares * _BINS).astype(np.int64), _BINS - 1)
            labels.append(tuple(axis.at((b + 0.5) / _BINS) for b in range(_BINS)))
        else:
            place = {value: n for n, value in enumerate(axis.values)}
            codes[:, k] = [place[point[axis.name]] for point in points]
            labels.append(axis.values)
    return codes, labels


def _means(codes: npt.NDArray[np.int64], values: FloatArray, count: int) -> tuple[FloatArray, FloatArray]:
    counts = np.bincount(codes, minlength=count).astype(np.float64)
    sums = np.bincount(codes, weights=values, minlength=count)
    with np.errstate(invalid="ignore"):
        means: FloatArray = sums / counts
    return means, counts
