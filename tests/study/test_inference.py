"""Inference against statsmodels, against loops, and on chance itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forcedflow.study.evidence.inference import (
    Sample,
    adjust,
    decluster,
    estimate,
    influence,
    rank_p,
    statistic,
)


def scores(seed: int, n: int = 200, days: int = 60, shared: float = 0.0) -> Sample:
    """Scores with no effect and, where ``shared``, a part that a day's events have in common."""
    rng = np.random.default_rng(seed)
    day = np.sort(rng.integers(0, days, n))
    return Sample(rng.standard_normal(n) + shared * rng.standard_normal(days)[day], day)


@given(st.lists(st.integers(0, 200), max_size=60).map(sorted), st.integers(1, 30))
def test_declustered_events_do_not_overlap_and_none_is_dropped_without_need(bars: list[int], span: int) -> None:
    bar = np.array(bars, np.int64)
    kept = bar[decluster(bar, span)]
    assert (np.diff(kept) >= span).all()
    assert all(any(k <= at < k + span for k in kept) for at in bars)


def test_errors_of_a_mean_and_of_a_contrast_are_those_of_statsmodels() -> None:
    sm = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(3)
    n = 300
    day, stratum = np.sort(rng.integers(0, 50, n)), rng.integers(0, 4, n)
    x = (rng.random(n) < 0.3).astype(np.float64)
    y = rng.standard_normal(n) + 0.2 * stratum + 0.3 * x
    for sample, design in (
        (Sample(y, day), np.ones((n, 1))),
        (Sample(y, day, x, stratum), np.column_stack((x, *(stratum == s for s in range(4))))),
    ):
        fit = sm.OLS(y, design.astype(np.float64)).fit(cov_type="cluster", cov_kwds={"groups": day})
        found = estimate(sample, "two-sided", np.random.default_rng(0))
        assert found is not None
        assert found.effect == pytest.approx(fit.params[0], rel=1e-9)
        assert found.error == pytest.approx(fit.bse[0], rel=1e-9)
        assert statistic(sample)[1] == pytest.approx(found.t)
        parts = influence(sample)
        assert parts is not None
        assert parts[1].sum() == pytest.approx(found.effect)


def test_strata_without_both_kinds_say_nothing() -> None:
    rng = np.random.default_rng(5)
    day = np.repeat(np.arange(30), 4)
    x, y = np.tile((1.0, 0.0), 60), rng.standard_normal(120)
    lone = np.full(40, 9)
    more = Sample(
        np.concatenate((y, np.full(40, 1e6))),
        np.concatenate((day, np.arange(40))),
        np.concatenate((x, np.ones(40))),
        np.concatenate((np.zeros(120, np.int64), lone)),
    )
    assert statistic(more) == pytest.approx(statistic(Sample(y, day, x)))


@pytest.mark.parametrize("days", [8, 25, 60])
def test_size_holds_where_days_have_much_in_common(days: int) -> None:
    """Where events of a day move together a test without clusters would reject far too often."""
    rejected = naive = 0
    trials = 200
    for seed in range(trials):
        sample = scores(seed, 8 * days, days, shared=1.0)
        found = estimate(sample, "greater", np.random.default_rng(seed))
        assert found is not None
        rejected += found.p <= 0.05
        naive += sample.y.mean() / (sample.y.std() / len(sample) ** 0.5) > 1.645
    assert rejected <= 20  # binomial(200, 5%): more has a chance of one in a thousand
    assert naive > 30


def test_too_few_events_or_days_give_nothing() -> None:
    assert estimate(scores(0, 9), "greater", np.random.default_rng(0)) is None
    few_days = Sample(np.ones(40), np.repeat(np.arange(4), 10))
    assert estimate(few_days, "greater", np.random.default_rng(0)) is None
    assert np.isnan(statistic(few_days)).all()


def test_an_effect_as_large_as_the_minimum_is_found_four_times_in_five() -> None:
    found = 0
    for seed in range(150):
        sample = scores(seed, 400, 80)
        noise = estimate(sample, "greater", np.random.default_rng(seed))
        assert noise is not None
        shifted = estimate(Sample(sample.y + noise.mde, sample.day), "greater", np.random.default_rng(seed))
        assert shifted is not None
        found += shifted.p <= 0.05
    assert 0.7 <= found / 150 <= 0.9


def test_rank_p_counts_ties_and_too_few_against_the_data() -> None:
    drawn = np.array([0.0, 1.0, 2.0, np.nan])
    assert rank_p(1.0, drawn, "greater") == 3 / 5
    assert rank_p(-0.5, drawn, "less") == 1 / 5
    assert rank_p(-1.5, drawn, "two-sided") == 2 / 5
    assert rank_p(1.0, drawn, "greater", 0.0) == 1 / 5


def slow_adjust(observed: np.ndarray, drawn: np.ndarray) -> list[float]:
    """Step-down max-T, one-sided, written as it is told."""
    table = np.vstack((observed, drawn))
    table = (table - table.mean(axis=0)) / table.std(axis=0)
    left, out, running = list(np.argsort(-table[0])), [0.0] * len(observed), 0.0
    while left:
        k = left[0]
        beats = sum(max(row[j] for j in left) >= table[0, k] for row in table[1:])
        running = max(running, (1 + beats) / len(table))
        out[k] = running
        left = left[1:]
    return out


@given(st.integers(0, 1000))
def test_adjusted_p_is_that_of_the_step_down(seed: int) -> None:
    rng = np.random.default_rng(seed)
    observed, drawn = rng.standard_normal(4) * 2, rng.standard_normal((50, 4))
    tails = ["greater"] * 4
    found = adjust(observed, drawn, tails)
    np.testing.assert_allclose(found, slow_adjust(observed, drawn))
    mirrored = adjust(-observed, -drawn, ["less"] * 4)
    np.testing.assert_allclose(found, mirrored)
    assert np.isnan(adjust(np.array([np.nan, 1.0]), drawn[:, :2], tails[:2])).tolist() == [True, False]


def test_family_holds_for_hypotheses_that_are_nearly_one() -> None:
    """Five copies of one statistic are one hypothesis: max-T knows, where Bonferroni would not."""
    rng = np.random.default_rng(2)
    base = rng.standard_normal((1000, 1)) + 1e-6 * rng.standard_normal((1000, 5))
    observed = np.full(5, 2.2) + 1e-6 * rng.standard_normal(5)
    assert adjust(observed, base, ["greater"] * 5).max() < 0.05
