"""What luck alone would do, against enumeration and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forcedflow.kernels import measures
from forcedflow.report import chance


@given(st.integers(1, 10), st.floats(0.05, 0.95), st.integers(1, 6))
def test_streaks_equal_an_enumeration(trials: int, probability: float, length: int) -> None:
    found = sum(
        math.prod(probability if hit else 1.0 - probability for hit in hits)
        for hits in itertools.product((False, True), repeat=trials)
        if measures.longest_run(np.array(hits, dtype=float)) >= length
    )
    assert measures.streak_chance(trials, probability, length) == pytest.approx(found, abs=1e-12)


@pytest.mark.parametrize(("hits", "longest"), [([], 0), ([0, 1, 1, 0, 1], 2), ([1, 1, 1], 3), ([0, 0], 0)])
def test_longest_run(hits: list[float], longest: int) -> None:
    assert measures.longest_run(np.array(hits)) == longest


def test_more_trials_deflate_more() -> None:
    found = [chance.deflated_sharpe(0.1, 0.05, trials, 0.04) for trials in (1, 2, 10, 1000)]
    assert found[0] == chance.probabilistic_sharpe(0.1, 0.05) == pytest.approx(0.97725, abs=1e-5)
    assert found == sorted(found, reverse=True)
    assert math.isnan(chance.probabilistic_sharpe(0.1, math.nan))


def test_the_best_of_many_without_skill() -> None:
    """The expected largest of N normal values, to the accuracy of its approximation."""
    drawn = np.random.default_rng(0).normal(0, 1, (4000, 100)).max(axis=1).mean()
    assert chance.expected_best(100, 1.0) == pytest.approx(drawn, rel=0.02)


def test_ruin() -> None:
    calm = np.tile([0.01, -0.005], 50)
    assert chance.risk_of_ruin(calm, 365, 0.5) == 0.0
    assert chance.risk_of_ruin(-calm, 365, 0.5) == 1.0  # a quarter of a percent a day for a year
    assert math.isnan(chance.risk_of_ruin(calm[:19], 365, 0.5))
    coin = np.tile([0.05, -0.05], 50)
    ruin = chance.risk_of_ruin(np.random.default_rng(1).permutation(coin), 365, 0.5)
    assert 0.3 < ruin < 0.9
    assert ruin == chance.risk_of_ruin(np.random.default_rng(1).permutation(coin), 365, 0.5)


def test_ruin_keeps_blocks_together() -> None:
    """Losses that come together ruin more often than the same losses spread out."""
    spread = np.tile([0.03, -0.03], 50)
    together = np.repeat([0.03, -0.03] * 5, 10)
    assert chance.risk_of_ruin(together, 200, 0.3) > chance.risk_of_ruin(spread, 200, 0.3) + 0.2
