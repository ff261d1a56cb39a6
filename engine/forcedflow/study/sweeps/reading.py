"""What a table of settings says: its best point and plateau, what each parameter does, how much to believe."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forcedflow.errors import SettingsError
from forcedflow.report.chance import expected_best, probabilistic_sharpe
from forcedflow.study.sweeps.overfit import Overfitting, Superior, overfitting, superior_settings
from forcedflow.study.sweeps.portrait import Portrait, portrait
from forcedflow.study.sweeps.robust import (
    Heatmap,
    Sensitivity,
    best_of,
    heatmap,
    neighbours,
    pairs,
    robust_scores,
    sensitivity,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forcedflow.ledger import Trials
    from forcedflow.study.sweeps.axes import Axis
    from forcedflow.study.sweeps.space import Point
    from forcedflow.tables import FloatArray, IntArray

__all__ = ["Belief", "Choice", "Reading", "Rows", "believe", "plain", "read_rows", "scores_of"]

_MAPS: Final = 3  # heatmaps, of the parameters that matter most


@dataclass(frozen=True, slots=True)
class Rows:
    """Settings of one strategy on one dataset, with what came of them."""

    axes: Sequence[Axis]
    numbers: Sequence[int]
    """Of the settings in their sweep."""
    keys: Sequence[str]
    points: Sequence[Point]
    cards: Sequence[Mapping[str, float | int | None]]
    errors: Sequence[str | None]
    daily: FloatArray | None = None
    """Shape (days + 1, settings): equity at day ends, NaN where a setting failed; None where it was not kept."""
    days: IntArray | None = None
    """Shape (days + 1,): those ends, ns UTC."""


@dataclass(frozen=True, slots=True)
class Belief:
    """How much to believe of a Sharpe ratio that was chosen among others."""

    sharpe: float
    psr: float
    """Probability that the true ratio is above 0, were this the only trial."""
    dsr: float
    """Probability that it is above what the best of ``trials`` without skill reaches."""
    trials: int
    """Distinct settings ever tried on any span of the same files, by the ledger."""
    trials_bars: int
    """Of these, on exactly the same bars."""
    expected_best: float
    """Annualised Sharpe ratio that the best of so many trials without skill is expected to reach."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One setting out of many."""

    setting: int
    key: str
    point: Point
    score: float
    robust: float
    """Median of its score and its neighbours'; NaN where most of them are undefined."""
    neighbours: int
    worst_neighbour: float
    card: Mapping[str, float | int | None]
    belief: Belief


@dataclass(frozen=True, slots=True)
class Reading:
    """What a sweep of one strategy on one dataset says."""

    dataset: str
    data_hash: str
    strategy: str
    score: str
    """The measure that was maximised; with a minus, minimised."""
    settings: int
    failed: int
    """Settings without a scorecard; ``notes`` say why."""
    best: Choice | None
    """The best point: the one to distrust."""
    plateau: Choice | None
    """The best neighbourhood's middle."""
    sensitivity: tuple[Sensitivity, ...]
    heatmaps: tuple[Heatmap, ...]
    pbo: Overfitting | None
    """Of the whole sweep; ``notes`` say why there is none."""
    superior: Superior | None
    """Settings (their numbers) that earn more than nothing, all taken into account; ``notes`` say why there is none."""
    notes: tuple[str, ...]
    portrait: Portrait | None
    """What a page shows of the settings; None where none has a score."""


def read_rows(rows: Rows, score: str, trials: Trials, *, dataset: str, data_hash: str, strategy: str) -> Reading:
    """Read a table of settings.

    Parameters
    ----------
    score
        A measure to maximise; with a minus in front, to minimise.
    trials
        What the ledger counts; the settings at hand are the least.
    """
    signed = scores_of(rows.cards, score)
    around = neighbours(rows.axes, rows.points)
    robust = robust_scores(signed, around)
    ranking = sensitivity(rows.axes, rows.points, signed)
    sign = -1.0 if score.startswith("-") else 1.0
    spread = _spread(rows.cards)
    counted = (max(trials.files, len(rows.keys)), max(trials.bars, len(rows.keys)))

    def choice(row: int | None) -> Choice | None:
        if row is None:
            return None
        near = signed[around[row]]
        worst = float(sign * np.nanmin(near)) if len(near) and not np.isnan(near).all() else math.nan
        return Choice(
            rows.numbers[row],
            rows.keys[row],
            rows.points[row],
            float(sign * signed[row]),
            float(sign * robust[row]),
            len(near),
            worst,
            rows.cards[row],
            believe(rows.cards[row], spread, *counted),
        )

    errors = [error for error in rows.errors if error]
    notes = [f"{len(errors)} of {len(rows.keys)} settings failed, the first: {errors[0]}"] if errors else []
    pbo, superior, why = _chance(rows)
    best, plateau = best_of(signed, robust), best_of(robust, signed)
    return Reading(
        dataset=dataset,
        data_hash=data_hash,
        strategy=strategy,
        score=score,
        settings=len(rows.keys),
        failed=len(errors),
        best=choice(best),
        plateau=choice(plateau),
        sensitivity=ranking,
        heatmaps=tuple(
            heatmap(rows.axes, rows.points, signed, x, y, best=best, plateau=plateau, sign=sign)
            for x, y in pairs(rows.axes, ranking)[:_MAPS]
        ),
        pbo=pbo,
        superior=superior,
        notes=(*notes, *why),
        portrait=portrait(
            rows.axes,
            rows.numbers,
            rows.points,
            signed,
            robust,
            (best, plateau),
            sign=sign,
            days=rows.days,
            daily=rows.daily,
        ),
    )


def scores_of(cards: Sequence[Mapping[str, float | int | None]], score: str) -> FloatArray:
    """Return each card's score, more is better; NaN where it is undefined."""
    name, sign = score.removeprefix("-"), -1.0 if score.startswith("-") else 1.0
    values = [card.get(name) for card in cards]
    return np.array([math.nan if value is None else sign * value for value in values], dtype=np.float64)


def believe(card: Mapping[str, float | int | None], spread: float, trials: int, trials_bars: int) -> Belief:
    """Return what to believe of a setting's Sharpe ratio.

    Parameters
    ----------
    spread
        Variance of the annualised Sharpe ratios over the settings that were tried; NaN: that of one trial without
        skill, which is its squared standard error.
    """
    sharpe, error = _number(card.get("sharpe")), _number(card.get("sharpe_error"))
    variance = error * error if math.isnan(spread) else spread
    hurdle = expected_best(trials, math.sqrt(variance)) if math.isfinite(variance) else math.nan
    return Belief(
        sharpe,
        probabilistic_sharpe(sharpe, error),
        probabilistic_sharpe(sharpe, error, hurdle),
        trials,
        trials_bars,
        hurdle,
    )


def plain(value: Any) -> Any:  # noqa: PLR0911  (one kind of value, one return)
    """Return data classes, arrays and undefined numbers as JSON has them."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _spread(cards: Sequence[Mapping[str, float | int | None]]) -> float:
    ratios = scores_of(cards, "sharpe")
    ratios = ratios[~np.isnan(ratios)]
    return float(ratios.var(ddof=1)) if len(ratios) > 1 else math.nan


def _chance(rows: Rows) -> tuple[Overfitting | None, Superior | None, tuple[str, ...]]:
    """Return what daily returns say of the sweep as a whole, and why they say nothing where they do not."""
    if rows.daily is None:
        return None, None, ("no PBO: daily equity was not kept; sweep with level compact",)
    traded = np.flatnonzero(~np.isnan(rows.daily).any(axis=0))
    equity = rows.daily[:, traded]
    if equity.size and (equity <= 0.0).any():
        return None, None, ("no PBO: a setting lost everything",)
    returns = equity[1:] / equity[:-1] - 1.0
    why = []
    pbo = superior = None
    try:
        pbo = overfitting(returns)
    except SettingsError as error:
        why.append(f"no PBO: {error}")
    try:
        found = superior_settings(returns)
        superior = Superior(found.spa, tuple(rows.numbers[traded[column]] for column in found.settings))
    except SettingsError as error:
        why.append(f"no SPA: {error}")
    return pbo, superior, tuple(why)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
