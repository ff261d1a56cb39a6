"""Walk-forward: choose on a span, trade the next one, go on; and what that earned out of sample.

One market pass serves every span. By causality the events within a span are those of a pass that ended with the span,
so each span has a map warmed up on all bars before it and knows nothing after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from forcedflow.data.times import duration_ns, time_text
from forcedflow.errors import SettingsError
from forcedflow.kernels import measures
from forcedflow.study.sweeps.tasks import Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forcedflow.data.bars import Bars
    from forcedflow.report.scorecard import Calendar
    from forcedflow.study.sweeps.config import WalkForward
    from forcedflow.tables import FloatArray, IntArray

__all__ = ["Fold", "OutOfSample", "make_folds", "parts_of", "stitch"]


@dataclass(frozen=True, slots=True)
class Fold:
    """One choice and its test: bars as half-open ranges."""

    number: int
    train: tuple[int, int]
    test: tuple[int, int]
    times: tuple[str, str, str, str]
    """First and last moment of training, first and last of the test, ISO UTC."""


@dataclass(frozen=True, slots=True)
class OutOfSample:
    """What the choices earned in their test spans, one after the other."""

    ends: IntArray
    """Shape (days + 1,): ends of the days, ns UTC; the first is the start of the first test."""
    equity: FloatArray
    """Shape (days + 1,): each span begins with what the one before left; positions open at its end are marked."""
    card: dict[str, float | int | None]
    """Measures of the stitched daily equity, named as on the scorecard; drawdowns are from day to day here."""


def make_folds(bars: Bars, walk: WalkForward) -> tuple[Fold, ...]:
    """Cut bars into folds; a last test span shorter than the others is kept, if it has a bar.

    Raises
    ------
    SettingsError
        Where not even one training and test span fit.
    """
    train, test = duration_ns(walk.train), duration_ns(walk.test)
    gap = duration_ns(walk.purge) + duration_ns(walk.embargo)
    start, end = int(bars.ts[0]), int(bars.close_ts[-1])
    folds: list[Fold] = []
    test_start = start + train + gap
    while test_start < end:
        train_end = test_start - gap
        train_start = start if walk.mode == "anchored" else train_end - train
        spans = (_bars(bars, train_start, train_end), _bars(bars, test_start, min(test_start + test, end)))
        if all(first < stop for first, stop in spans):
            times = [time_text(int(t)) for first, stop in spans for t in (bars.ts[first], bars.close_ts[stop - 1])]
            folds.append(Fold(len(folds), *spans, times=(times[0], times[1], times[2], times[3])))
        test_start += test
    if not folds:
        covered = f"{time_text(start)} to {time_text(end)}"
        raise SettingsError(
            f"walk-forward: train={walk.train}, purge={walk.purge}, embargo={walk.embargo} leave no test span "
            f"in {covered}"
        )
    return tuple(folds)


def parts_of(folds: Sequence[Fold]) -> tuple[Part, ...]:
    """Return what a task trades: each fold's training and test span."""
    parts = []
    for fold in folds:
        parts += [Part(*fold.train, fold.number, trains=True), Part(*fold.test, fold.number, trains=False)]
    return tuple(parts)


def stitch(ends: Sequence[IntArray], curves: Sequence[FloatArray], calendar: Calendar) -> OutOfSample:
    """Put the daily equities of test spans one after the other.

    Parameters
    ----------
    ends
        Of each span, shape (days + 1,): as :func:`day_ends`.
    curves
        Of each span, shape (days + 1,), as :attr:`Scored.daily`.
    """
    times: list[IntArray] = []
    equity: list[FloatArray] = []
    level = float(curves[0][0])
    for span, curve in zip(ends, curves, strict=True):
        grown = curve * (level / curve[0])
        level = float(grown[-1])
        skip = 1 if times else 0  # the end of the span before
        times.append(span[skip:])
        equity.append(grown[skip:])
    at, values = np.concatenate(times), np.concatenate(equity)
    # Where a span ends within a day, the next begins there: that day has two ends, of which the later counts.
    last = np.append(np.diff(at) > 0, True)
    at, values = at[last], values[last]
    return OutOfSample(at, values, _card(at, values, calendar))


def _card(ends: IntArray, equity: FloatArray, calendar: Calendar) -> dict[str, float | int | None]:
    returns = measures.simple_returns(equity)
    days = (int(ends[-1]) - int(ends[0])) / 86_400e9
    per_year = 365.0 if calendar == "24/7" else len(returns) / days * 365.25
    card: dict[str, Any] = {
        "total_return": equity[-1] / equity[0] - 1.0,
        "cagr": measures.annual_growth(equity, per_year),
        "volatility": measures.annual_volatility(returns, per_year),
        "sharpe": measures.annual_sharpe(returns, per_year),
        "sharpe_error": measures.annual_sharpe_error(returns, per_year),
        "sortino": measures.annual_sortino(returns, per_year),
        "max_drawdown": measures.max_drawdown(equity),
        "cvar_95": measures.conditional_value_at_risk(np.sort(returns), 0.95),
    }
    return {name: float(v) if np.isfinite(v) else None for name, v in card.items()} | {"days": len(returns)}


def _bars(bars: Bars, start: int, end: int) -> tuple[int, int]:
    """Return the bars that open at ``start`` or later and are complete at ``end``."""
    first = int(np.searchsorted(bars.ts, start))
    return first, max(first, int(np.searchsorted(bars.close_ts, end, side="right")))
