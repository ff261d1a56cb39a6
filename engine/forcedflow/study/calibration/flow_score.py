"""Forced flow that the map foretold against what happened: realised liquidations, or falls of open interest.

What the map swept in a bar is its forecast of forced flow, given the bar's range and the map at the close before. But
range, new extremes and volume foretell flow without any map, so every figure here is over them: coefficients from the
first part of the data, figures from the second. A placebo (:func:`displaced`) gains nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import numpy.typing as npt

from forcedflow.data.times import DAY, HOUR
from forcedflow.errors import DataError
from forcedflow.study.calibration.forecasts import (
    Gain,
    best_share,
    blended_gain,
    clustered_error,
    laplace_mass,
    normalised,
    residuals,
)
from forcedflow.study.extra import from_scipy

if TYPE_CHECKING:
    from forcedflow.data.bars import Bars
    from forcedflow.data.series import Dataset, LiquidatedVolume
    from forcedflow.market.tape import Tape

__all__ = ["FlowRows", "FlowScore", "Target", "displaced", "flow_rows", "mean_by_reach", "precision", "score_flow"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

Target = Literal["liquidations", "open_interest"]

_EXTREME_HOURS: Final = 24
_AVERAGE_DAYS: Final = 3.0
_REACH_KNOTS: Final = (0.5, 0.8, 0.95)
_SCALES: Final = np.geomspace(0.001, 0.3, 25)
_LAGS: Final = 6
_FLOOR: Final = 0.1  # of the mean square of flow, so that quiet rows do not outweigh all others


@dataclass(frozen=True, slots=True, eq=False)
class FlowRows:
    """What is to be foretold and what foretells it without a map; a row is a bar, or some bars in a row.

    Of liquidations each row appears twice: its longs, then, in the second half, its shorts. Of open interest once.
    """

    target: Target
    bar: IntArray
    """Shape (rows,): first bar of each."""
    realised: FloatArray
    """Shape (rows,): share of open interest before."""
    controls: FloatArray
    """Shape (rows, c)."""
    reach: FloatArray
    """Shape (rows,): how far price went in the direction that forces, log price."""
    spans: FloatArray
    """Shape (2, 3, rows of one side): for longs and shorts, log price before, the farthest reached, and its mean over
    days before."""
    day: IntArray
    """Shape (rows,): clusters of the standard errors."""
    per_day: int
    """Rows of a day."""
    oi: FloatArray
    """Shape (bars,): open interest before each bar, at least a thousandth of its mean."""
    group: int
    """Bars a row."""

    @property
    def sides(self) -> int:
        """Halves of the rows: 2 of liquidations, else 1."""
        return 2 if self.target == "liquidations" else 1

    def forecast(self, long: FloatArray, short: FloatArray) -> FloatArray:
        """Return forecasts of both sides by bar, shape (bars, ...), as rows like ``realised``."""
        bars = self.bar[: len(self.bar) // self.sides, None] + np.arange(self.group)
        oi = self.oi.reshape(-1, *(1,) * (long.ndim - 1))
        parts = [(side / oi)[bars].sum(axis=1) for side in (long, short)]
        return np.concatenate(parts) if self.sides == 2 else parts[0] + parts[1]


def flow_rows(dataset: Dataset, target: Target | None = None, *, group: int = 1, first: int = 0) -> FlowRows:
    """Gather rows of a dataset with one venue.

    Parameters
    ----------
    dataset
        Realised liquidations are taken where it has them as fine as the rows, else falls of open interest.
    target
        In place of that.
    group
        Bars a row.
    first
        Bars left out at the start, where the map has seen too few entries.

    Raises
    ------
    DataError
        Where the dataset lacks what the target needs, has several venues, or too few bars.
    """
    bars = dataset.bars
    if len(dataset.venues) != 1:
        raise DataError(f"{dataset.name}: flow is scored on one venue; take one venue's data at a time")
    venue = dataset.venues[0]
    width = group * bars.interval
    target = target or ("liquidations" if _fine_enough(venue.liquidations, width) else "open_interest")
    first = max(first, 1)
    first += int(np.argmax(bars.ts[first:] % width == 0)) if first < len(bars) else 0  # rows begin on the clock
    rows = max(len(bars) - first, 0) // group
    if rows < 40:
        raise DataError(f"{dataset.name}: {rows} rows are too few to score; 40 are the least")
    interest = _interest(dataset)
    before = np.concatenate((interest[:1], interest[:-1]))
    before = np.maximum(before, 1e-3 * before.mean())
    used = slice(first, first + rows * group)

    def grouped(values: FloatArray) -> FloatArray:
        summed: FloatArray = values[used].reshape(rows, group).sum(axis=1)
        return summed

    volume = bars.volume / np.maximum(_trailing_mean(bars.volume, max(DAY // bars.interval, 1)), 1e-12)
    known = _Paths.of(bars)
    starts = slice(first, first + rows * group, group)
    far = np.stack(
        [known.low[used].reshape(rows, group).min(axis=1), known.high[used].reshape(rows, group).max(axis=1)]
    )
    spans = np.stack([[known.before[starts], side, known.mean[starts]] for side in far])
    bar = np.arange(first, first + rows * group, group)
    if target == "liquidations":
        forced = venue.liquidations
        if forced is None:
            raise DataError(f"{dataset.name}: no realised liquidations; score falls of open interest instead")
        if not _fine_enough(forced, width):
            raise DataError(f"{dataset.name}: realised liquidations are coarser than the rows; take longer rows")
        row = np.searchsorted(bars.close_ts, forced.stamp)
        inside = row < len(bars)
        row = row[inside]
        flows_by_side = (np.bincount(row, side[inside], len(bars)) for side in (forced.long, forced.short))
        sides = [grouped(side / before) for side in flows_by_side]
        known_rows = np.tile(grouped(np.bincount(row, minlength=len(bars)).astype(np.float64)) > 0, 2)
        realised = np.concatenate(sides)
        reach = np.concatenate([grouped(known.down), grouped(known.up)])
        extreme = np.concatenate([grouped(known.new_low), grouped(known.new_high)])
        busy = np.tile(np.log1p(grouped(volume)), 2)
        controls = [*_hinges(reach), extreme, busy]
        bar = np.tile(bar, 2)
    else:
        realised = grouped(-np.diff(interest, prepend=interest[:1]) / before)
        known_rows = np.ones(rows, np.bool_)
        reach = grouped(known.down + known.up)
        busy, lows, highs = np.log1p(grouped(volume)), grouped(known.new_low), grouped(known.new_high)
        controls = [*_hinges(reach), lows, highs, busy]
    if known_rows.sum() < 40:
        raise DataError(f"{dataset.name}: {known_rows.sum()} rows with data are too few to score; 40 are the least")
    return FlowRows(
        target=target,
        bar=bar[known_rows],
        realised=realised[known_rows],
        controls=np.stack(controls, axis=1)[known_rows],
        reach=reach[known_rows],
        spans=spans[:, :, known_rows[:rows]],
        day=bars.ts[bar[known_rows]] // DAY,
        per_day=max(DAY // (bars.interval * group), 1),
        oi=before,
        group=group,
    )


def _fine_enough(forced: LiquidatedVolume | None, width: int) -> bool:
    """Whether there are realised liquidations, and rows so many nanoseconds long are no finer than they."""
    return forced is not None and len(forced) > 1 and bool(np.median(np.diff(forced.stamp)) <= width)


def _interest(dataset: Dataset) -> FloatArray:
    """Return the venue's open interest at each close: the last stamp, whenever it was published."""
    oi = dataset.venues[0].open_interest
    if oi is None:
        raise DataError(
            f"{dataset.name}: no open interest; the map can be run on an estimate, but not scored against it"
        )
    at = oi.at_closes(dataset.bars)
    row = np.searchsorted(at.stamp, dataset.bars.close_ts + dataset.bars.interval) - 1
    values: FloatArray = at.value[np.maximum(row, 0)]
    return values


@dataclass(frozen=True, slots=True, eq=False)
class _Paths:
    """What price did in each bar, log; shapes (bars,)."""

    down: FloatArray
    up: FloatArray
    new_low: FloatArray
    new_high: FloatArray
    before: FloatArray
    """The close before."""
    low: FloatArray
    high: FloatArray
    mean: FloatArray
    """Of the closes of days before."""

    @classmethod
    def of(cls, bars: Bars) -> _Paths:
        low, high, close = np.log(bars.low), np.log(bars.high), np.log(bars.close)
        before = np.concatenate((close[:1], close[:-1]))
        window = max(_EXTREME_HOURS * HOUR // bars.interval, 1)
        lowest, highest = -_past_maximum(-low, window), _past_maximum(high, window)
        mean = _trailing_mean(close, max(round(_AVERAGE_DAYS * DAY / bars.interval), 1))
        return cls(
            down=np.maximum(before - low, 0.0),
            up=np.maximum(high - before, 0.0),
            new_low=np.maximum(lowest - low, 0.0),
            new_high=np.maximum(high - highest, 0.0),
            before=before,
            low=low,
            high=high,
            mean=mean,
        )


def _trailing_mean(values: FloatArray, window: int) -> FloatArray:
    """Return the mean of the ``window`` bars before each bar; at the first, of itself."""
    sums = np.concatenate(([0.0], np.cumsum(values)))
    end = np.arange(len(values))
    begin = np.maximum(end - window, 0)
    mean: FloatArray = (sums[end] - sums[begin]) / np.maximum(end - begin, 1)
    mean[0] = values[0]
    return mean


def _past_maximum(values: FloatArray, window: int) -> FloatArray:
    """Return the largest of the ``window`` values before each; at the first, itself."""
    padded = np.concatenate((np.full(window, -np.inf), values[:-1]))
    most: FloatArray = np.lib.stride_tricks.sliding_window_view(padded, window).max(axis=1)
    most[0] = values[0]
    return most


def _hinges(reach: FloatArray) -> list[FloatArray]:
    """Return reach and what it exceeds each of its own quantiles by: any smooth function of distance, as controls."""
    knots = np.quantile(reach, _REACH_KNOTS)
    return [reach, *(np.maximum(reach - knot, 0.0) for knot in knots)]


@dataclass(frozen=True, slots=True)
class FlowScore:
    """Figures of one forecast on the second part of the data; each but ``r2_controls`` is near zero for a placebo."""

    target: Target
    rows: int
    r2_controls: float
    """Of realised flow on range, new extremes and volume; rows weigh by :func:`precision` in this and what follows."""
    r2_gain: float
    """What the forecast adds to that."""
    gain_error: float
    """Standard error of the gain, over days."""
    r2_level: float
    """Of the forecast as it is, without any coefficient: below 0 where it is too large or too small by much."""
    slope: float
    """Realised on forecast flow beside the controls: 1 is calibrated (of liquidations), 0 knows nothing."""
    rank_correlation: float
    """Spearman's, of what the controls leave of both."""
    timing: float
    """Correlation of the same in one row, less the mean at up to 6 rows off: whether the moment is right."""
    distance: Gain
    """When flow came: log-score gain over its mean by reach."""
    spot: Gain
    """Over the best blend of that and a map that is a Laplace density about price."""
    average: Gain
    """Over the best blend of it and a map that is a Laplace density about the mean price of days before."""
    curve: tuple[tuple[float, float], ...]
    """Forecast and realised flow, share of open interest a row, by fifth of the tenth with the largest forecasts."""


def displaced(forecast: FloatArray, rows: FlowRows, days: int = 7) -> FloatArray:
    """Return a placebo: the forecast of other days at the same hour, cyclic within each side."""
    return np.roll(forecast.reshape(rows.sides, -1), days * rows.per_day, axis=1).ravel()


def score_flow(tape: Tape | None, rows: FlowRows, split: int, forecast: FloatArray | None = None) -> FlowScore:
    """Score forced flow as a tape swept it, or any other forecast, from bar ``split`` on.

    Parameters
    ----------
    tape
        The map's pass; may be left out where ``forecast`` is given.
    rows
        Of the same dataset (:func:`flow_rows`).
    split
        Rows before it give the coefficients, rows from it on the figures.
    forecast
        Shape (rows,), in place of what the tape swept.

    Raises
    ------
    DataError
        Where a part has fewer than 20 rows.
    """
    if forecast is None:
        if tape is None:
            raise DataError("nothing to score: give a tape or a forecast")
        market = tape.market_bars
        forecast = rows.forecast(
            market["swept_long_liq"] + market["swept_long_stop"], market["swept_short_liq"] + market["swept_short_stop"]
        )
    train = rows.bar < split
    if min(train.sum(), (~train).sum()) < 20:
        raise DataError(f"a split at bar {split} leaves fewer than 20 rows on one side of it")
    y, z = rows.realised, rows.controls
    weight = precision(rows, train)
    plain = _predicted(z, y, train, weight)
    full = _predicted(np.column_stack([z, forecast]), y, train, weight)
    rest = ~train
    mean = np.average(y[rest], weights=weight[rest])

    def loss(predicted: FloatArray | float) -> FloatArray:
        squared: FloatArray = (weight * (y - predicted) ** 2)[rest]
        return squared

    total, gain = loss(mean).sum(), loss(plain) - loss(full)
    left = residuals(np.column_stack([y, forecast])[rest], z[rest], weight[rest])
    gains = _gains(rows, forecast, train)
    return FlowScore(
        target=rows.target,
        rows=int(rest.sum()),
        r2_controls=float(1 - loss(plain).sum() / total),
        r2_gain=float(gain.sum() / total),
        gain_error=clustered_error(gain, loss(mean), rows.day[rest].astype(np.float64)),
        r2_level=float(1 - loss(forecast).sum() / total),
        slope=float((left[:, 0] * left[:, 1]).sum() / max((left[:, 1] ** 2).sum(), 1e-300)),
        rank_correlation=_rank(rows, forecast, rest),
        timing=_lagged(left, rows.sides),
        distance=gains[0],
        spot=gains[1],
        average=gains[2],
        curve=_curve(forecast[rest], y[rest]),
    )


def precision(rows: FlowRows, train: BoolArray) -> FloatArray:
    """Return weights of least squares: one over the mean square of realised flow at a like reach, mean about 1.

    The spread of flow grows with the range by orders of magnitude; unweighted, one crash decides every figure.
    """
    square = mean_by_reach(rows, train, rows.realised**2)
    usual = (rows.realised[train] ** 2).mean()
    weight: FloatArray = usual / (square + _FLOOR * usual) if usual > 0 else np.ones(len(square))
    return weight


def _predicted(design: FloatArray, y: FloatArray, train: BoolArray, weight: FloatArray) -> FloatArray:
    """Return least-squares predictions of all rows with coefficients from some."""
    scale = np.abs(design[train]).max(axis=0)
    scale[scale == 0] = 1.0  # a control that never happened there has no coefficient
    full = np.column_stack([np.ones(len(design)), design / scale])
    root = np.sqrt(weight[train])
    fitted: FloatArray = full @ np.linalg.lstsq(full[train] * root[:, None], y[train] * root, rcond=None)[0]
    return fitted


def _gains(rows: FlowRows, forecast: FloatArray, train: BoolArray) -> tuple[Gain, Gain, Gain]:
    """Score when within a day flow came: a density over the rows of each day and side."""
    days = len(rows.bar) // rows.sides // rows.per_day

    def by_day(values: FloatArray) -> FloatArray:
        kept = values.reshape(rows.sides, -1)[:, : days * rows.per_day]
        return kept.reshape(rows.sides * days, rows.per_day)

    true = by_day(np.maximum(rows.realised, 0.0))
    early: BoolArray = by_day(train.astype(np.float64)).min(axis=1) > 0
    day = by_day(rows.day.astype(np.float64))[:, 0]
    guess, distance = normalised(by_day(np.maximum(forecast, 0.0))), normalised(by_day(mean_by_reach(rows, train)))
    gains = [blended_gain(true, guess, distance, early, day)]
    for centre in (rows.spans[:, 0], rows.spans[:, 2]):
        best, kept = -np.inf, distance
        for scale in _SCALES:
            density = normalised(by_day(_laplace_flow(rows, centre, float(scale))))
            score = float((true[early] * np.log(density[early])).sum())
            if score > best:
                best, kept = score, density
        share = best_share(true[early], kept[early], distance[early])
        gains.append(blended_gain(true, guess, share * kept + (1 - share) * distance, early, day))
    return gains[0], gains[1], gains[2]


def mean_by_reach(rows: FlowRows, train: BoolArray, values: FloatArray | None = None) -> FloatArray:
    """Return mean realised flow (or ``values``) of the training rows whose reach was like each row's.

    Of realised flow that is a map of distance alone.
    """
    values = np.maximum(rows.realised, 0.0) if values is None else values
    edges = np.unique(np.quantile(rows.reach[train], np.linspace(0, 1, 41)[1:-1]))
    cell = np.searchsorted(edges, rows.reach)
    count = np.bincount(cell[train], minlength=len(edges) + 1)
    flow = np.bincount(cell[train], values[train], len(edges) + 1)
    mean: FloatArray = (flow / np.maximum(count, 1))[cell]
    return mean


def _laplace_flow(rows: FlowRows, centre: FloatArray, scale: float) -> FloatArray:
    before, far = rows.spans[:, 0], rows.spans[:, 1]
    mass = laplace_mass(np.minimum(before, far), np.maximum(before, far), centre, scale)
    mass = np.where([far[0] < before[0], far[1] > before[1]], mass, 0.0)
    return mass.ravel() if rows.sides == 2 else mass.sum(axis=0)


def _rank(rows: FlowRows, forecast: FloatArray, rest: BoolArray) -> float:
    """Return Spearman's correlation of realised and forecast flow, reach and the other controls held fixed."""
    rankdata = from_scipy("stats", "rankdata")

    columns = np.column_stack([rows.realised, forecast, rows.controls])[rest]
    ranked = rankdata(columns, axis=0)
    left = residuals(ranked[:, :2], ranked[:, 2:])
    spread = np.sqrt((left**2).sum(axis=0).prod())
    return float((left[:, 0] * left[:, 1]).sum() / spread) if spread > 0 else float("nan")


def _lagged(left: FloatArray, sides: int) -> float:
    """Return the correlation of two columns in one row, less its mean at up to ``_LAGS`` rows off."""
    spread = np.sqrt((left**2).sum(axis=0).prod())
    if not spread > 0:
        return float("nan")
    here, off = 0.0, 0.0
    for part in np.split(left, sides):
        here += (part[:, 0] * part[:, 1]).sum()
        for lag in range(1, _LAGS + 1):
            off += (part[lag:, 0] * part[:-lag, 1]).sum() + (part[:-lag, 0] * part[lag:, 1]).sum()
    return float((here - off / (2 * _LAGS)) / spread)


def _curve(forecast: FloatArray, realised: FloatArray) -> tuple[tuple[float, float], ...]:
    """Return mean forecast and realised flow by fifth of the tenth of rows with the largest forecasts."""
    top = np.argsort(forecast, kind="stable")[-max(len(forecast) // 10, 5) :]
    return tuple((float(forecast[part].mean()), float(realised[part].mean())) for part in np.array_split(top, 5))
