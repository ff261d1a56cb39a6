"""Inference on events: days as clusters, few of them by the wild bootstrap, families by the largest statistic.

Sources: Cameron and Miller (2015), A Practitioner's Guide to Cluster-Robust Inference (CR1); Cameron, Gelbach and
Miller (2008), Bootstrap-Based Improvements for Inference with Clustered Errors (the null imposed); Webb (2014) for
weights where clusters are very few; Westfall and Young (1993) for the step-down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forcedflow.tables import FloatArray, IntArray

__all__ = [
    "ALPHA",
    "MIN_DAYS",
    "MIN_EVENTS",
    "Estimate",
    "Sample",
    "adjust",
    "decluster",
    "estimate",
    "influence",
    "rank_p",
    "statistic",
]

BoolArray = npt.NDArray[np.bool_]

ALPHA: Final = 0.05
POWER: Final = 0.8
MIN_EVENTS: Final = 10
MIN_DAYS: Final = 5  # with fewer clusters no error can be told
FEW: Final = 40  # clusters below which the t distribution is not trusted
WEBB: Final = 12  # clusters below which two weights make too few resamples
RESAMPLES: Final = 1999


@dataclass(frozen=True, slots=True)
class Sample:
    """Scores of events that do not overlap."""

    y: FloatArray
    """Shape (n,): with ``x`` None, scores whose mean is zero under the null."""
    day: IntArray
    """Shape (n,): the cluster of each."""
    x: FloatArray | None = None
    """Shape (n,): 1 for treated events, 0 for the others."""
    stratum: IntArray | None = None
    """Shape (n,): events are compared within a stratum only."""

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True, slots=True)
class Estimate:
    """An effect, how sure it is, and what could have been seen."""

    effect: float
    error: float
    """Day-clustered (CR1)."""
    t: float
    p: float
    low: float
    """Of a 95% interval, two-sided whatever the test."""
    high: float
    mde: float
    """The effect that such a sample finds with a probability of 80%."""
    n: int
    """Events; of treated ones where events are compared."""
    days: int
    method: str


def decluster(bar: IntArray, span: int) -> IntArray:
    """Return which events to keep, in order of bars, so that none begins within ``span`` bars of the last kept."""
    kept: list[int] = []
    free = -(2**62)
    for row, at in enumerate(bar.tolist()):
        if at >= free:
            kept.append(row)
            free = at + span
    return np.array(kept, np.int64)


@dataclass(frozen=True, slots=True)
class _Sums:
    """What an estimate needs to know of each cluster, shape (clusters,)."""

    day: IntArray
    xy: FloatArray
    xx: FloatArray
    n: int
    parameters: int
    treated: int
    treated_days: int

    @classmethod
    def of(cls, sample: Sample) -> _Sums | None:
        """Return the sums, or None where events or days are too few."""
        y, day = sample.y, sample.day
        if sample.x is None:
            x, parameters = np.ones(len(y)), 1
            treated = np.ones(len(y), np.bool_)
        else:
            stratum = np.zeros(len(y), np.int64) if sample.stratum is None else sample.stratum
            _, stratum = np.unique(stratum, return_inverse=True)
            size = np.bincount(stratum)
            share = (np.bincount(stratum, sample.x) / size)[stratum]
            both = (share > 0) & (share < 1)  # elsewhere there is nothing to compare with
            y = (y - (np.bincount(stratum, y) / size)[stratum])[both]
            x, day = (sample.x - share)[both], day[both]
            treated = sample.x[both] > 0
            parameters = 1 + len(np.unique(stratum[both]))
        days, cluster = np.unique(day, return_inverse=True)
        treated_days = len(np.unique(day[treated]))
        if treated.sum() < MIN_EVENTS or treated_days < MIN_DAYS or len(y) <= parameters:
            return None
        xy, xx = (np.bincount(cluster, part, len(days)).astype(np.float64) for part in (x * y, x * x))
        return cls(days, xy, xx, len(y), parameters, int(treated.sum()), treated_days)

    def fit(self, weight: FloatArray | None = None) -> tuple[Any, Any, Any]:
        """Return effect, error and t; with weights of shape (resamples, clusters), of each resample."""
        xy = self.xy if weight is None else weight * self.xy
        effect = xy.sum(axis=-1) / self.xx.sum()
        score = xy - np.multiply.outer(effect, self.xx)
        clusters = len(self.xx)
        small = clusters / (clusters - 1) * (self.n - 1) / (self.n - self.parameters)
        error = np.sqrt(small * (score**2).sum(axis=-1)) / self.xx.sum()
        with np.errstate(all="ignore"):
            return effect, error, np.where(error > 0, effect / error, 0.0)


def statistic(sample: Sample) -> tuple[float, float]:
    """Return effect and studentised effect; both NaN where events or days are too few."""
    sums = _Sums.of(sample)
    if sums is None:
        return math.nan, math.nan
    effect, _, t = sums.fit()
    return float(effect), float(t)


def influence(sample: Sample) -> tuple[IntArray, FloatArray] | None:
    """Return the days of a sample and what each adds to the effect, or None where events or days are too few."""
    sums = _Sums.of(sample)
    return None if sums is None else (sums.day, sums.xy / sums.xx.sum())


def estimate(sample: Sample, tail: str, rng: np.random.Generator) -> Estimate | None:
    """Return the effect with its inference against an effect of zero, or None where events or days are too few.

    Errors are clustered by day. Where days with (treated) events are fewer than forty, p and interval come from the
    wild cluster bootstrap with the null imposed; else from Student's t with clusters less one degrees of freedom.
    """
    from scipy.special import stdtr, stdtrit  # noqa: PLC0415  (needed where evidence is asked for only)

    sums = _Sums.of(sample)
    if sums is None:
        return None
    effect, error, t = (float(value) for value in sums.fit())
    clusters = len(sums.xx)
    freedom = clusters - 1
    if sums.treated_days < FEW:
        drawn = sums.fit(_weights(clusters, rng))[2]
        p = rank_p(t, drawn, tail)
        reach = float(np.quantile(np.abs(drawn), 1 - ALPHA))
        method = f"wild cluster bootstrap, {sums.treated_days} days"
    else:
        p = {"greater": stdtr(freedom, -t), "less": stdtr(freedom, t), "two-sided": 2 * stdtr(freedom, -abs(t))}[tail]
        reach = float(stdtrit(freedom, 1 - ALPHA / 2))
        method = f"day-clustered t, {clusters} days"
    needed = stdtrit(freedom, 1 - (ALPHA if tail != "two-sided" else ALPHA / 2)) + stdtrit(freedom, POWER)
    return Estimate(
        effect=effect,
        error=error,
        t=t,
        p=float(p),
        low=effect - reach * error,
        high=effect + reach * error,
        mde=float(needed) * error,
        n=sums.treated,
        days=sums.treated_days,
        method=method,
    )


def _weights(clusters: int, rng: np.random.Generator) -> FloatArray:
    """Return a weight for each cluster of each resample: signs, or Webb's six points where clusters are very few."""
    if clusters >= WEBB:
        return rng.choice((-1.0, 1.0), (RESAMPLES, clusters))
    points = np.sqrt(np.array([0.5, 1.0, 1.5]))
    return rng.choice(np.concatenate((-points, points)), (RESAMPLES, clusters))


def rank_p(value: float, drawn: FloatArray, tail: str, uniform: float = 1.0) -> float:
    """Return the p-value of a value among values drawn under the null: (1 + those at least as extreme) / (1 + all).

    Parameters
    ----------
    drawn
        Shape (draws,). What is NaN had too few events: it says as little as zero.
    uniform
        1: ties and the value itself count in full, which is the valid test; drawn from (0, 1): the randomised p-value,
        which is uniform under the null however coarse the statistic.
    """
    drawn = np.nan_to_num(drawn, nan=0.0)
    if tail == "less":
        value, drawn = -value, -drawn
    elif tail == "two-sided":
        value, drawn = abs(value), np.abs(drawn)
    above, equal = np.count_nonzero(drawn > value), np.count_nonzero(drawn == value)
    return float((above + uniform * (1 + equal)) / (1 + len(drawn)))


def adjust(observed: FloatArray, drawn: FloatArray, tails: Sequence[str]) -> FloatArray:
    """Return p-values of several hypotheses that hold for the family: step-down max-T over joint replicates.

    Parameters
    ----------
    observed
        Shape (hypotheses,): statistics on the data; NaN where there were too few events (stays NaN).
    drawn
        Shape (replicates, hypotheses): statistics on the same placebos, row by row.
    """
    adjusted = np.full(len(observed), np.nan)
    tested = np.flatnonzero(np.isfinite(observed))
    if not len(tested):
        return adjusted
    table = np.vstack((observed, np.nan_to_num(drawn, nan=0.0)))[:, tested]
    sign = np.array([{"greater": 1.0, "less": -1.0, "two-sided": 0.0}[tails[int(k)]] for k in tested])
    spread = table.std(axis=0)  # the data's row is in it, so that rows remain exchangeable
    table = (table - table.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    table = np.where(sign == 0.0, np.abs(table), sign * table)
    order = np.argsort(-table[0])
    running = 0.0
    for k in range(len(order)):
        largest = table[1:, order[k:]].max(axis=1)
        p = (1 + np.count_nonzero(largest >= table[0, order[k]])) / len(table)
        running = max(running, p)
        adjusted[tested[order[k]]] = running
    return adjusted
