"""Fit a holder profile to what happened: realised liquidations, or falls of open interest where there are none.

The map is linear in a profile's weights (:mod:`.offsets`), so they are found by least squares over shares
(:mod:`.simplex`), drawn towards a shipped profile as far as blocked cross-validation says; it says too which fading
fits best. Bands come from a bootstrap of days.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from forcedflow.errors import DataError, VenueError
from forcedflow.market.tape import make_tape
from forcedflow.settings import MarketSettings, Settings
from forcedflow.study.calibration.flow_score import FlowRows, FlowScore, Target, flow_rows, precision, score_flow
from forcedflow.study.calibration.forecasts import residuals
from forcedflow.study.calibration.offsets import OffsetFlows, with_holders
from forcedflow.study.calibration.simplex import Moments, choose_penalty, fit_shares, resample
from forcedflow.venues import Distance, Distances, Profile, Tier, Window, load_profile, profile_names, thresholds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forcedflow.data.series import Dataset

__all__ = [
    "Calibration",
    "CalibrationSettings",
    "Contender",
    "calibrate",
    "compare",
    "rows_of",
    "total_variation",
]

FloatArray = npt.NDArray[np.float64]

_LEAST: Final = 1e-6  # shares below are left out of a profile
_SETTLED: Final = 1e-3  # total variation between two rounds


class CalibrationSettings(Settings):
    """What is fitted, and how."""

    kind: Literal["leverage", "distance"] = Field(
        default="leverage",
        description="leverage: tiers through the venue's rule, the same of longs and shorts; distance: of each side",
    )
    leverages: tuple[float, ...] = Field(
        default=(2, 3, 5, 8, 12, 20, 30, 50, 75, 100), min_length=2, max_length=64, description="tiers"
    )
    distances: tuple[float, ...] = Field(
        default=(0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.045, 0.065, 0.09, 0.12, 0.17, 0.25, 0.35, 0.5),
        min_length=2,
        max_length=64,
        description="of liquidation from entry, fractions of price",
    )
    notional: float = Field(default=20_000.0, gt=0, description="representative position, quote currency")
    target: Target | None = Field(
        default=None, description="realised liquidations where the dataset has them, else falls of open interest"
    )
    reported: float | None = Field(
        default=1.0,
        gt=0,
        le=1,
        description="share of liquidations that the data reports; none: fitted (always, of open interest)",
    )
    prior: str = Field(default="hyperliquid-like", description="profile that the fit is drawn to, name or TOML path")
    hazards: tuple[float, ...] = Field(
        default=(0.001, 0.00276, 0.005, 0.01, 0.02),
        min_length=1,
        description="rates of voluntary closing that are tried, an hour",
    )
    penalties: tuple[float, ...] = Field(
        default=(0.0, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0), min_length=1, description="pulls to the prior that are tried"
    )
    group_minutes: int = Field(default=60, ge=1, description="flow is summed over so long before it is compared")
    folds: int = Field(default=5, ge=2, le=50, description="of blocked cross-validation")
    rounds: int = Field(
        default=3, ge=1, le=20, description="passes of the map: openings depend a little on the weights"
    )
    min_coverage: float = Field(
        default=0.5, ge=0, lt=1, description="rows count once so much of open interest is located"
    )
    draws: int = Field(default=200, ge=1, le=10_000, description="bootstrap samples")
    level: float = Field(default=0.9, gt=0, lt=1, description="of the bands")
    seed: int = Field(default=0, ge=0, description="of the bootstrap")


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """A fitted profile, and how far to trust it; K offsets (2 K of distances: longs first), nearest first."""

    profile: Profile
    hazard_per_hour: float
    weights: FloatArray
    """Shape (K,)."""
    draws: FloatArray
    """Shape (draws, K): bootstrap fits."""
    target: Target
    scale: float
    """Realised flow per swept mass: fixed where all liquidations are reported, else fitted."""
    penalty: float
    losses: dict[float, float]
    """Cross-validated loss of each hazard."""
    rows: int
    settings: CalibrationSettings

    def bands(self) -> tuple[FloatArray, FloatArray]:
        """Return lower and upper ends of each weight's band, shape (K,)."""
        low, high = np.quantile(self.draws, [(1 - self.settings.level) / 2, (1 + self.settings.level) / 2], axis=0)
        return low, high

    def profiles(self, count: int | None = None) -> list[Profile]:
        """Return the profiles of the first ``count`` bootstrap draws (all): the members of an ensemble."""
        window = self.profile.fitted_window
        return [
            _profile(w, self.settings, f"{self.profile.name}-{k}", window) for k, w in enumerate(self.draws[:count])
        ]


def rows_of(fitted: Calibration) -> list[tuple[str, float, float, float]]:
    """Return name, weight and band of each offset: leverages as 20x, distances as long 2.0%."""
    low, high = fitted.bands()
    if fitted.settings.kind == "leverage":
        names = [f"{leverage:g}x" for leverage in sorted(fitted.settings.leverages, reverse=True)]
    else:
        names = [f"{side} {d:.2%}" for side in ("long", "short") for d in sorted(fitted.settings.distances)]
    return [(n, float(w), float(a), float(b)) for n, w, a, b in zip(names, fitted.weights, low, high, strict=True)]


def total_variation(one: FloatArray, other: FloatArray) -> float:
    """Return half the sum of absolute differences: the share of weight that would have to move."""
    return float(np.abs(np.asarray(one) - np.asarray(other)).sum() / 2)


def _profile(
    weights: FloatArray, settings: CalibrationSettings, name: str, window: Window | None, source: str = "calibrated"
) -> Profile:
    if settings.kind == "leverage":
        return Profile(
            name=name,
            title="Leverage fitted by forcedflow calibrate",
            source=source,
            fitted_window=window,
            tiers=tuple(
                Tier(leverage=leverage, weight=weight, notional=settings.notional)
                for leverage, weight in zip(sorted(settings.leverages, reverse=True), _kept(weights), strict=True)
                if weight > 0
            ),
        )
    sides = [
        tuple(
            Distance(distance=distance, weight=weight)
            for distance, weight in zip(sorted(settings.distances), _kept(side), strict=True)
            if weight > 0
        )
        for side in np.split(weights, 2)
    ]
    return Profile(
        name=name,
        title="Distances fitted by forcedflow calibrate",
        source=source,
        fitted_window=window,
        distances=Distances(notional=settings.notional, long=sides[0], short=sides[1]),
    )


def _kept(weights: FloatArray) -> list[float]:
    kept = np.where(weights >= _LEAST, weights, 0.0)
    return [float(w) for w in kept / kept.sum()]


def _whole(weights: FloatArray, settings: CalibrationSettings) -> Profile:
    """Return a profile with every offset in it, none of them at zero: what a pass is taken apart with."""
    mixed = np.concatenate([0.999 * part + 0.001 / len(part) for part in np.split(weights, _sides(settings))])
    return _profile(mixed, settings, "pass", None)


def _sides(settings: CalibrationSettings) -> int:
    return 1 if settings.kind == "leverage" else 2


def _prior(dataset: Dataset, settings: CalibrationSettings) -> FloatArray:
    """Return the prior's weights on the offsets that are fitted, each at the nearest of them in log."""
    venue, at = dataset.venues[0], int(dataset.bars.ts[0])
    price = float(dataset.bars.close[0])
    count = len(settings.leverages if settings.kind == "leverage" else settings.distances)
    even = np.full(count * _sides(settings), 1.0 / count)
    own = thresholds(_profile(even, settings, "grid", None), venue.venue, venue.symbol, at, reference_entry=price)
    given = thresholds(load_profile(settings.prior), venue.venue, venue.symbol, at, reference_entry=price)
    found = []
    for grid, offsets, weights in (
        (own.long_offsets, given.long_offsets, given.long_weights),
        (own.short_offsets, given.short_offsets, given.short_weights),
    ):
        nearest = np.abs(np.log(np.abs(offsets))[:, None] - np.log(np.abs(grid))).argmin(axis=1)
        found.append(np.bincount(nearest, weights, len(grid)).astype(np.float64))
    prior = found[0] if settings.kind == "leverage" else np.concatenate(found)
    scaled: FloatArray = prior / prior.sum() * _sides(settings)
    return scaled


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    weights: FloatArray
    scale: float
    penalty: float
    loss: float
    moments: Moments


class _Problem:
    """Rows of the training window, and the fit at one hazard."""

    def __init__(self, dataset: Dataset, settings: CalibrationSettings, market: MarketSettings) -> None:
        self.dataset, self.settings, self.market = dataset, settings, market
        self.prior = _prior(dataset, settings)
        sides = _sides(settings)
        count = len(self.prior) // sides
        self.groups = [slice(s * count, (s + 1) * count) for s in range(sides)]
        group = max(settings.group_minutes * 60_000_000_000 // dataset.bars.interval, 1)
        start = OffsetFlows.of(dataset, _whole(self.prior, settings), market)  # coverage says where rows begin
        located = (start.tape.market_bars["coverage_long"] + start.tape.market_bars["coverage_short"]) / 2
        enough = located >= settings.min_coverage
        if not enough.any():
            raise DataError(
                f"{dataset.name}: never {settings.min_coverage:.0%} of open interest is located; fit on a longer window"
            )
        self.rows = flow_rows(dataset, settings.target, group=group, first=int(enough.argmax()))
        self.known_scale = settings.reported if self.rows.target == "liquidations" else None
        _, self.day = np.unique(self.rows.day, return_inverse=True)
        self.weight = precision(self.rows, np.ones(len(self.rows.bar), np.bool_))

    def fit(self, hazard: float) -> _Fit:
        """Pass, take apart, fit; again with the weights found, until they stand still."""
        market = self.market.model_copy(update={"hazard_per_hour": hazard})
        before, fitted = self.prior, self._fit_once(self.prior, market)
        for _ in range(self.settings.rounds - 1):
            if total_variation(fitted.weights, before) < _SETTLED:
                break
            before = fitted.weights
            fitted = self._fit_once(before, market)
        return fitted

    def _fit_once(self, weights: FloatArray, market: MarketSettings) -> _Fit:
        moments = self._moments(OffsetFlows.of(self.dataset, _whole(weights, self.settings), market))
        known, chosen = self.known_scale, self.settings
        penalty, loss = choose_penalty(moments, self.prior, chosen.penalties, self.groups, chosen.folds, scale=known)
        found, scale = fit_shares(moments.total(), self.prior, penalty, self.groups, scale=known)
        return _Fit(found, scale, penalty, loss, moments)

    def _moments(self, flows: OffsetFlows) -> Moments:
        long, short, rows = flows.swept[:, 0], flows.swept[:, 1], self.rows
        if self.settings.kind == "distance":
            nothing = np.zeros_like(long)
            long, short = np.hstack([long, nothing]), np.hstack([nothing, short])
        design, response = rows.forecast(long, short), rows.realised
        if rows.target == "open_interest":  # what range, new extremes and volume explain is not the map's
            left = residuals(np.column_stack([response, design]), rows.controls, self.weight)
            return Moments.of(left[:, 1:], left[:, 0], self.day)
        root = np.sqrt(self.weight)
        return Moments.of(design * root[:, None], response * root, self.day)


def calibrate(
    dataset: Dataset, settings: CalibrationSettings | None = None, market: MarketSettings | None = None
) -> Calibration:
    """Fit a profile and the rate of fading on a dataset of one linear venue; cut it to the training window first.

    Raises
    ------
    DataError
        Where the data cannot be taken apart by offset (:meth:`OffsetFlows.of`), lacks what the target needs, or is too
        short.
    VenueError
        Where the venue does not allow a tier's leverage.
    """
    settings = settings or CalibrationSettings()
    problem = _Problem(dataset, settings, market or MarketSettings())
    fits = {hazard: problem.fit(hazard) for hazard in settings.hazards}
    hazard = min(fits, key=lambda h: fits[h].loss)
    fit = fits[hazard]
    draws = resample(
        fit.moments,
        problem.prior,
        fit.penalty,
        problem.groups,
        settings.draws,
        np.random.Generator(np.random.PCG64(settings.seed)),
        scale=problem.known_scale,
    )
    bars = dataset.bars
    window = Window(start=_time(int(bars.ts[0])), end=_time(int(bars.close_ts[-1])))
    what = "realised liquidations" if problem.rows.target == "liquidations" else "falls of open interest"
    source = f"forcedflow calibrate: {what} of {dataset.name}, hazard {hazard:g} an hour, penalty {fit.penalty:g}"
    return Calibration(
        profile=_profile(fit.weights, settings, f"{dataset.name}-calibrated", window, source),
        hazard_per_hour=hazard,
        weights=fit.weights,
        draws=draws,
        target=problem.rows.target,
        scale=fit.scale,
        penalty=fit.penalty,
        losses={h: f.loss for h, f in fits.items()},
        rows=len(problem.rows.bar),
        settings=settings,
    )


def _time(ns: int) -> datetime:
    return datetime.fromtimestamp(ns / 1e9, UTC)


@dataclass(frozen=True, slots=True)
class Contender:
    """A profile scored out of sample; without a score, why it has none."""

    name: str
    hazard_per_hour: float
    score: FlowScore | None
    why_not: str = ""


def compare(
    dataset: Dataset,
    split: int,
    fitted: Mapping[str, tuple[Profile, float]],
    market: MarketSettings | None = None,
    *,
    target: Target | None = None,
    group_minutes: int = 60,
) -> list[Contender]:
    """Score fitted profiles and every shipped one on the bars from ``split`` on, the map replayed from the first bar.

    Parameters
    ----------
    dataset
        Training window and what follows it.
    split
        First bar that is scored; coefficients of the controls come from those before.
    fitted
        Profiles with their hazards, by name. Shipped ones are taken at ``market``'s hazard.
    """
    market = market or MarketSettings()
    group = max(group_minutes * 60_000_000_000 // dataset.bars.interval, 1)
    contenders = dict(fitted) | {name: (load_profile(name), market.hazard_per_hour) for name in profile_names()}
    rows: FlowRows | None = None
    scored = []
    for name, (profile, hazard) in contenders.items():
        chosen = market.model_copy(update={"hazard_per_hour": hazard, "profile": None})
        try:
            tape = make_tape(with_holders(dataset, profile), chosen, snapshots=0)
        except VenueError as error:
            scored.append(Contender(name, hazard, None, str(error)))
            continue
        if rows is None:
            located = tape.market_bars["coverage_long"] >= 0.5
            rows = flow_rows(dataset, target, group=group, first=int(located.argmax()))
        scored.append(Contender(name, hazard, score_flow(tape, rows, split)))
    return scored
