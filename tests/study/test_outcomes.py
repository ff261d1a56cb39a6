"""Outcomes against loops that read like their definitions."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forcedflow.study.evidence.outcomes import OUTCOMES, Cases, LogBars, excursions, measure


def market(seed: int, bars: int = 60) -> LogBars:
    """Bars with gaps, on a coarse grid so that touches are often exact."""
    rng = np.random.default_rng(seed)
    close = np.cumsum(rng.integers(-3, 4, bars)) / 16.0
    opened = np.concatenate((close[:1], close[:-1])) + (rng.random(bars) < 0.2) * rng.integers(-4, 5, bars) / 16.0
    wick = rng.integers(0, 3, (2, bars)) / 16.0
    return LogBars(opened, np.maximum(opened, close) + wick[0], np.minimum(opened, close) - wick[1], close)


def some_cases(seed: int, bars: int, span: int) -> Cases:
    rng = np.random.default_rng((seed, 1))
    count = 20
    return Cases(
        rng.integers(0, bars - span, count),
        rng.choice((-1, 1), count),
        rng.integers(1, 5, count) / 16.0,
        rng.integers(1, 9, count) / 16.0,
    )


def slowly(
    p: LogBars, bar: int, side: int, atr: float, distance: float, outcome: str, horizon: int, hold: int
) -> float:
    """Walk from bar to bar."""
    start = p.close[bar]
    level, image = start + side * distance, start - side * distance

    def reaches(j: int, price: float, way: int) -> bool:
        return bool(p.high[j] >= price if way > 0 else p.low[j] <= price)

    ahead = range(bar + 1, bar + 1 + horizon)
    at_level = next((j for j in ahead if reaches(j, level, side)), None)
    at_image = next((j for j in ahead if reaches(j, image, -side)), None)
    closes: list[float] = [float(p.close[j]) for j in range(bar, bar + 1 + horizon)]
    end = float(side * (closes[-1] - start) / atr)
    match outcome:
        case "touch":
            return float(at_level is not None)
        case "first_touch":
            first, other = at_level or math.inf, at_image or math.inf
            return float(first < other) - float(other < first)
        case "continuation" | "displacement":
            return end
        case "reversal":
            return -end
        case "volatility":
            return math.sqrt(sum((b - a) ** 2 for a, b in pairwise(closes)) / horizon) / atr
        case "mfe" | "mae":
            sign = side if outcome == "mfe" else -side
            reached = [side * 0.0] + [(p.high[j] - start) if sign > 0 else (start - p.low[j]) for j in ahead]
            return float(max(reached)) / atr * (1 if outcome == "mfe" else -1)
        case "markout":
            if at_level is None:
                return math.nan
            price = side * max(side * level, side * p.open[at_level])
            return float(-side * (p.close[at_level + hold] - price) / atr)
        case "stop":
            entry = p.open[bar + 1]
            if side * (entry - level) >= 0:
                return 0.0
            leave = p.close[bar + horizon] if at_level is None else side * max(side * level, side * p.open[at_level])
            return float(-side * (leave - entry) / atr)
    raise AssertionError(outcome)


@pytest.mark.parametrize("outcome", sorted(OUTCOMES))
@given(seed=st.integers(0, 10_000), horizon=st.integers(1, 9), hold=st.integers(0, 4))
def test_outcome_is_what_a_loop_finds(outcome: str, seed: int, horizon: int, hold: int) -> None:
    prices = market(seed)
    hold = hold if outcome == "markout" else 0
    cases = some_cases(seed, len(prices), horizon + hold)
    found = measure(prices, cases, outcome, horizon, hold)
    rows: Any = zip(cases.bar, cases.side, cases.atr, cases.distance, strict=True)
    slow = [slowly(prices, int(b), int(s), float(a), float(d), outcome, horizon, hold) for b, s, a, d in rows]
    np.testing.assert_allclose(found, slow, atol=1e-12)


@given(seed=st.integers(0, 10_000), horizon=st.integers(1, 9))
def test_nothing_before_the_next_bar_or_after_the_horizon_counts(seed: int, horizon: int) -> None:
    prices = market(seed)
    bar = 20
    case = Cases(np.array([bar]), np.array([1]), np.array([0.25]), np.array([0.25]))
    poisoned = LogBars(*(column.copy() for column in (prices.open, prices.high, prices.low, prices.close)))
    for column in (poisoned.open, poisoned.high, poisoned.low, poisoned.close):
        column[:bar] = 99.0
        column[bar + horizon + 1 :] = -99.0
    poisoned.high[bar] = 99.0
    for outcome in OUTCOMES:
        before, after = (measure(p, case, outcome, horizon) for p in (prices, poisoned))
        np.testing.assert_array_equal(before, after)


@given(seed=st.integers(0, 10_000), horizon=st.integers(1, 9))
def test_excursions_are_what_touches_say(seed: int, horizon: int) -> None:
    prices = market(seed)
    above, below = excursions(prices, horizon)
    bar = np.arange(len(above))
    for side, reach in ((1, above), (-1, below)):
        for distance in (0.0625, 0.25):
            cases = Cases(bar, np.full(len(bar), side), np.ones(len(bar)), np.full(len(bar), distance))
            np.testing.assert_array_equal(measure(prices, cases, "touch", horizon) == 1.0, reach >= distance)
