"""From a tape to the scores of a hypothesis: which events count, and what they are compared with on the tape itself.

The score of each hypothesis has a mean of zero where, given the past, price is as likely to rise as to fall by any
amount: a level is set against its mirror image, a stop against the same distances dealt among the entries, a move
against nothing, treated events against the others. So a path placebo has a statistic that is centred to begin with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from forcedflow.data.times import DAY
from forcedflow.study.evidence.expression import Expression
from forcedflow.study.evidence.inference import Sample, decluster
from forcedflow.study.evidence.outcomes import Cases, LogBars, measure

if TYPE_CHECKING:
    from forcedflow.data.bars import Bars
    from forcedflow.study.evidence.hypothesis import Hypothesis
    from forcedflow.study.evidence.inference import BoolArray
    from forcedflow.tables import Events, FloatArray, IntArray

__all__ = ["DEALS", "Matter", "family", "gather"]

DEALS: Final = 20
"""Deals of stop distances, and controls for each event."""


def family(hypothesis: Hypothesis) -> str:
    """Return what kind of score it has: ``touch``, ``markout``, ``stop``, ``size``, ``contrast`` or ``move``.

    A ``size`` is the same for a path and its mirror image; a ``contrast`` is of moves of treated events and of others.
    """
    if hypothesis.outcome in {"touch", "first_touch"}:
        return "touch"
    if hypothesis.outcome in {"markout", "stop"}:
        return hypothesis.outcome
    if hypothesis.outcome in {"volatility", "mfe", "mae"}:
        return "size"
    return "contrast" if hypothesis.treated else "move"


@dataclass(frozen=True, slots=True)
class Matter:
    """A hypothesis on one tape: its events, declustered, in order of bars."""

    hypothesis: Hypothesis
    bars: Bars
    prices: LogBars
    cases: Cases
    treated: BoolArray | None
    stratum: IntArray | None
    horizon: int
    hold: int
    asked: int
    """Events that met the condition before overlapping ones were left out."""

    @property
    def day(self) -> IntArray:
        """Shape (cases,): UTC day of each event's close."""
        return self.days_of(self.cases)

    def days_of(self, cases: Cases) -> IntArray:
        """Return the UTC day in which each case begins."""
        day: IntArray = self.bars.close_ts[cases.bar] // DAY
        return day

    def outcome(self, cases: Cases, outcome: str | None = None) -> FloatArray:
        """Measure the hypothesis' outcome, or another, of cases."""
        return measure(self.prices, cases, outcome or self.hypothesis.outcome, self.horizon, self.hold)

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return the scores, those that need nothing but the tape itself."""
        kind = family(self.hypothesis)
        own = self.outcome(self.cases)
        if self.treated is not None:
            return Sample(own, self.day, self.treated.astype(np.float64), self.stratum)
        if kind == "markout":
            return self.fills(np.arange(len(self.cases)), mirrored(self.cases))
        if self.hypothesis.outcome == "touch":
            own = own - self.outcome(mirrored(self.cases))
        elif kind == "stop":
            own = own - self._dealt(rng)
        return Sample(own, self.day)

    def fills(self, like: IntArray, controls: Cases) -> Sample:
        """Return the markouts of the cases' filled orders against those of the controls' (``like``: whose they are).

        Fill by fill, since a level that is filled more often would differ in its sum by whatever a fill is worth.
        """
        y = np.concatenate((self.outcome(self.cases), self.outcome(controls)))
        day = np.concatenate((self.day, self.day[like]))
        x = np.repeat((1.0, 0.0), (len(self.cases), len(controls)))
        filled = np.isfinite(y)
        return Sample(y[filled], day[filled], x[filled])

    def _dealt(self, rng: np.random.Generator) -> FloatArray:
        """Mean outcome of each entry with stop distances, in ATR, dealt among all."""
        cases, total = self.cases, np.zeros(len(self.cases))
        multiple = cases.distance / cases.atr
        for _ in range(DEALS):
            dealt = Cases(cases.bar, cases.side, cases.atr, rng.permutation(multiple) * cases.atr)
            total += self.outcome(dealt) / DEALS
        return total


def mirrored(cases: Cases) -> Cases:
    """Return the same cases on the other side of price."""
    return Cases(cases.bar, -cases.side, cases.atr, cases.distance)


def gather(hypothesis: Hypothesis, bars: Bars, events: Events, prices: LogBars | None = None) -> Matter:
    """Pick the events that a hypothesis is about.

    Left out are events without an ATR, whose level lies behind price or is not known, those whose outcome the data does
    not hold to its end, and those that begin before the outcome of the last kept one is over. ``prices`` are the bars'
    logarithms, where they are at hand.
    """
    horizon, hold = hypothesis.bars(bars.interval)
    rows = np.isin(events.kind, hypothesis.kinds) & (events.atr > 0) & (events.bar + horizon + hold < len(bars))
    if hypothesis.side != "both":
        rows &= events.side == (1 if hypothesis.side == "above" else -1)
    some = events[rows]
    if hypothesis.condition:
        some = some[Expression.of(hypothesis.condition)(some)]
    side, distance = some.side, np.full(len(some), np.nan)
    if hypothesis.level:
        with np.errstate(all="ignore"):
            distance = side * np.log(Expression.of(hypothesis.level)(some) / some.close)
        ahead = np.isfinite(distance) & (distance > 0)
        some, side, distance = some[ahead], side[ahead], distance[ahead].astype(np.float64)
    if hypothesis.outcome == "displacement":
        side = np.ones_like(side)
    kept = decluster(some.bar, horizon + hold)
    asked, some = len(some), some[kept]
    treated = Expression.of(hypothesis.treated)(some) if hypothesis.treated else None
    cases = Cases(some.bar, side[kept], some.atr, distance[kept])
    stratum = _strata(hypothesis, some) if treated is not None else None
    return Matter(hypothesis, bars, prices or LogBars.of(bars), cases, treated, stratum, horizon, hold, asked)


def _strata(hypothesis: Hypothesis, events: Events) -> IntArray:
    """Return the stratum of each event: its side and its third of each matched expression, NaN apart."""
    stratum = (events.side > 0).astype(np.int64)
    for text in hypothesis.match:
        value = Expression.of(text)(events)
        known = value[np.isfinite(value)]
        cuts = np.quantile(known, (1 / 3, 2 / 3)) if len(known) else np.zeros(2)
        third = np.where(np.isfinite(value), np.searchsorted(cuts, value, side="right"), 3)
        stratum = 4 * stratum + third
    return stratum
