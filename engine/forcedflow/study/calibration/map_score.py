"""An estimated map against the true one: what it knows beyond where maps usually are.

Both are read as densities over distance from price, for each side. Three simpler densities know no map: *distance*, the
mean true density by distance on the first part of the data; *spot*, the best blend of that and a Laplace density about
price; *average*, the best blend of it and a Laplace density about the mean price of past days, which is what vendors'
maps mostly are. A placebo (:func:`shifted`), which knows distance as well as the map does, gains nothing over them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from forcedflow.data.times import DAY
from forcedflow.errors import DataError
from forcedflow.market.tape import MarketPass
from forcedflow.study.calibration.forecasts import Gain, best_share, blended_gain, laplace_mass, normalised
from forcedflow.study.extra import from_scipy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forcedflow.data.bars import Bars
    from forcedflow.data.series import Dataset
    from forcedflow.settings import MarketSettings
    from forcedflow.tables import MapSnapshots

__all__ = [
    "BANDS",
    "BandScore",
    "Densities",
    "MapScore",
    "estimated_densities",
    "score_map",
    "score_snapshots",
    "shifted",
    "true_densities",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

BANDS: Final = (0.0, 0.005, 0.01, 0.02, 0.05, 0.10, 0.15)
"""Edges of the bands of distance from price, log price."""
_AVERAGE_DAYS: Final = 3.0
_SCALES: Final = np.geomspace(0.005, 0.5, 25)


@dataclass(frozen=True, slots=True, eq=False)
class Densities:
    """Mass by distance from price at some closes: m closes, D bins, the first one next to price."""

    bar: IntArray
    """Shape (m,), ascending."""
    mass: FloatArray
    """Shape (m, 2, D): below price (longs) and above (shorts), liquidations and stops together, base units."""
    bin_width: float
    """Log price; bin ``d`` reaches from ``d`` to ``d + 1`` widths."""


@dataclass(frozen=True, slots=True)
class BandScore:
    """Within one band of distance: which of its bins are heavy, whatever the band as a whole holds."""

    near: float
    far: float
    truth_share: float
    """Of the true mass within reach."""
    distance: Gain
    """Over the mean density by distance."""
    rank_correlation: float
    """Spearman's, of estimated and true density over their mean by distance."""


@dataclass(frozen=True, slots=True)
class MapScore:
    """Figures of one map; each is near zero for a placebo."""

    closes: int
    """Closes that were scored; as many before them chose the blends."""
    distance: Gain
    spot: Gain
    average: Gain
    bands: tuple[BandScore, ...]
    slope: float
    """Of true on estimated departures from the mean by distance: 1 is calibrated, 0 knows nothing."""
    sharpness: float
    """True mass in the tenth of bins (by usual mass) that the map calls densest, over a tenth, less 1."""
    curve: tuple[tuple[float, float], ...]
    """Estimated and true density over the mean by distance, by tenth of the former."""


def _around(bins: IntArray, mass: FloatArray, price: float, width: float, count: int) -> FloatArray:
    """Return mass by distance, shape (2, count); the bin that holds price belongs to neither side's first bin."""
    both = mass[:2] + mass[2:]
    here = round(np.log(price) / width) - int(bins[0])
    found = np.zeros((2, count))
    for side, step in enumerate((-1, 1)):
        columns = here + step * np.arange(count)
        inside = (columns >= 0) & (columns < both.shape[1])
        found[side, inside] = both[side, columns[inside]]
    return found


def true_densities(truth: MapSnapshots, bars: Bars, reach: float = BANDS[-1]) -> Densities:
    """Return a true map (:attr:`SimulatedMarket.snapshots`) by distance from each close."""
    count = round(reach / truth.bin_width)
    shots = zip(truth.mass.astype(np.float64), bars.close[truth.bar], strict=True)
    mass = [_around(truth.bins, shot, float(price), truth.bin_width, count) for shot, price in shots]
    return Densities(truth.bar, np.array(mass).reshape(-1, 2, count), truth.bin_width)


def estimated_densities(
    dataset: Dataset, settings: MarketSettings, closes: Sequence[int] | IntArray, reach: float = BANDS[-1]
) -> Densities:
    """Take the map through a dataset and return it at some closes, by distance from each."""
    market, width = MarketPass(dataset, settings), settings.bin_bps * 1e-4
    count, mass = round(reach / width), []
    for bar in closes:
        market.advance(int(bar) + 1)
        price = float(dataset.bars.close[bar])
        mass.append(_around(market.map.bins, market.map.mass(), price, width, count))
    return Densities(np.asarray(closes, np.int64), np.array(mass).reshape(-1, 2, count), width)


def score_snapshots(dataset: Dataset, settings: MarketSettings, truth: MapSnapshots) -> MapScore:
    """Take the map through a simulated dataset and score it against the true one.

    Raises
    ------
    DataError
        Where the true map's bins have another width than ``settings.bin_bps``, or has too few closes.
    """
    if not np.isclose(truth.bin_width, settings.bin_bps * 1e-4):
        raise DataError(f"the true map has bins of {truth.bin_width * 1e4:g} bps: set market.bin_bps to that")
    true = true_densities(truth, dataset.bars)
    return score_map(estimated_densities(dataset, settings, true.bar), true, dataset.bars)


def shifted(estimated: Densities, closes: int) -> Densities:
    """Return a placebo: each close gets the map of another, so many closes away (cyclic), laid about its own price.

    What a map says about distance in general stays; what it says about this price is gone.
    """
    return replace(estimated, mass=np.roll(estimated.mass, closes, axis=0))


def score_map(estimated: Densities, truth: Densities, bars: Bars) -> MapScore:
    """Score a map against the true one: blends and means from the first half of the closes, figures from the second.

    Raises
    ------
    DataError
        Where the two differ in closes or bins, or there are fewer than 20 closes.
    """
    if not np.array_equal(estimated.bar, truth.bar) or estimated.mass.shape != truth.mass.shape:
        raise DataError("the maps differ in closes or bins; take both at the same closes with the same bin width")
    closes, _, count = truth.mass.shape
    if closes < 20:
        raise DataError(f"{closes} closes are too few to score a map; 20 are the least")
    # A row is one side at one close.
    train = np.repeat(np.arange(closes) < closes // 2, 2)
    day = np.repeat(bars.ts[truth.bar] // DAY, 2).astype(np.float64)
    true, raw = truth.mass.reshape(-1, count), estimated.mass.reshape(-1, count)
    guess = normalised(raw)
    usual = truth.mass[: closes // 2].mean(axis=0)
    distance = normalised(np.tile(usual, (closes, 1)))
    spot, average = (_best_blend(true, laplace, distance, train) for laplace in _laplaces(true, truth, bars, train))
    ratio, actual = guess / distance, normalised(true) / distance
    rest, weight = ~train, distance[~train]
    return MapScore(
        closes=closes - closes // 2,
        distance=blended_gain(true, guess, distance, train, day),
        spot=blended_gain(true, guess, spot, train, day),
        average=blended_gain(true, guess, average, train, day),
        bands=tuple(
            _band(true, raw, distance, train, day, truth.bin_width, *edges)
            for edges in pairwise(BANDS)
            if round(edges[1] / truth.bin_width) <= count
        ),
        slope=_slope(ratio[rest], actual[rest], weight),
        sharpness=_sharpness(ratio[rest], actual[rest], weight),
        curve=_curve(ratio[rest], actual[rest], weight),
    )


def _laplaces(true: FloatArray, truth: Densities, bars: Bars, train: npt.NDArray[np.bool_]) -> tuple[FloatArray, ...]:
    """Return Laplace densities about price and about the mean price of past days, scales fitted on the first half."""
    count, width = truth.mass.shape[2], truth.bin_width
    price = np.log(bars.close[truth.bar])
    window = max(round(_AVERAGE_DAYS * DAY / bars.interval), 1)
    sums = np.concatenate(([0.0], np.cumsum(np.log(bars.close))))
    begin = np.maximum(truth.bar + 1 - window, 0)
    mean = (sums[truth.bar + 1] - sums[begin]) / (truth.bar + 1 - begin)
    edges = np.arange(count) * width
    found = []
    for centre in (price, mean):
        best, kept = -np.inf, np.empty(0)
        for scale in _SCALES:
            below = laplace_mass(price[:, None] - edges - width, price[:, None] - edges, centre[:, None], float(scale))
            above = laplace_mass(price[:, None] + edges, price[:, None] + edges + width, centre[:, None], float(scale))
            density = normalised(np.stack([below, above], axis=1).reshape(-1, count))
            score = float((true[train] * np.log(density[train])).sum())
            if score > best:
                best, kept = score, density
        found.append(kept)
    return tuple(found)


def _best_blend(true: FloatArray, one: FloatArray, other: FloatArray, train: npt.NDArray[np.bool_]) -> FloatArray:
    share = best_share(true[train], one[train], other[train])
    blend: FloatArray = share * one + (1 - share) * other
    return blend


def _band(
    true: FloatArray,
    raw: FloatArray,
    distance: FloatArray,
    train: npt.NDArray[np.bool_],
    day: FloatArray,
    width: float,
    near: float,
    far: float,
) -> BandScore:
    cells = slice(round(near / width), round(far / width))
    here = true[:, cells]
    scored = here[~train].reshape(-1, 2, here.shape[1])
    return BandScore(
        near,
        far,
        truth_share=float(scored.sum() / true[~train].sum()),
        distance=blended_gain(here, normalised(raw[:, cells]), normalised(distance[:, cells]), train, day),
        rank_correlation=_rank_correlation(raw[~train, cells].reshape(scored.shape), scored),
    )


def _rank_correlation(guess: FloatArray, true: FloatArray) -> float:
    """Return Spearman's correlation over closes, mean over the bins and sides that ever vary; shapes (m, 2, cells).

    Bin by bin, so that what bins at different distances have in common counts for nothing.
    """
    rankdata = from_scipy("stats", "rankdata")

    totals = (guess.sum(axis=2, keepdims=True), true.sum(axis=2, keepdims=True))
    shares = (m / np.where(t > 0, t, 1.0) for m, t in zip((guess, true), totals, strict=True))
    x, y = (rankdata(share, axis=0) - (len(share) + 1) / 2 for share in shares)
    spread = np.sqrt((x * x).sum(axis=0) * (y * y).sum(axis=0))
    varied = spread > 0
    found = (x * y).sum(axis=0)[varied] / spread[varied]
    return float(found.mean()) if varied.any() else float("nan")


def _slope(ratio: FloatArray, actual: FloatArray, weight: FloatArray) -> float:
    x, y = ratio - 1, actual - 1
    return float((weight * x * y).sum() / (weight * x * x).sum())


def _sharpness(ratio: FloatArray, actual: FloatArray, weight: FloatArray) -> float:
    order = np.argsort(-ratio, axis=None, kind="stable")
    ranked = weight.ravel()[order]
    top = order[np.cumsum(ranked) <= 0.1 * ranked.sum()]
    return float((weight.ravel()[top] * actual.ravel()[top]).sum() / weight.ravel()[top].sum() - 1)


def _curve(ratio: FloatArray, actual: FloatArray, weight: FloatArray) -> tuple[tuple[float, float], ...]:
    order = np.argsort(ratio, axis=None, kind="stable")
    x, y, w = (a.ravel()[order] for a in (ratio, actual, weight))
    tenth = np.minimum((np.cumsum(w) / w.sum() * 10).astype(np.int64), 9)
    total = np.bincount(tenth, w, 10)
    means = (np.bincount(tenth, w * values, 10) / total for values in (x, y))
    return tuple((float(a), float(b)) for a, b in zip(*means, strict=True))
