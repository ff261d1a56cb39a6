"""Size on markets without a mechanism: a small seeded version of what docs/size.md holds, and the naive magnet."""

from __future__ import annotations

import numpy as np
import pytest

from forcedflow.study.evidence.evidence import EvidenceSettings, evidence
from forcedflow.study.evidence.hypothesis import hypothesis_names, load_hypothesis
from forcedflow.study.evidence.inference import ALPHA
from forcedflow.study.evidence.size import PairSize, garch_market, sizes, stronger_first
from forcedflow.study.evidence.trials import trial

PAIRS = {(name, null) for name in hypothesis_names() for null in load_hypothesis(name).nulls}


def check(pairs: list[PairSize]) -> None:
    """No pair rejects more often than the family bound, and none is far from uniform."""
    assert {(pair.hypothesis, pair.null) for pair in pairs} == PAIRS
    for pair in pairs:
        assert pair.holds, pair
        assert not pair.uniform_p < ALPHA / len(pairs), pair


def test_nothing_is_found_where_there_is_nothing() -> None:
    check(sizes(row for seed in range(10) for row in trial(garch_market(seed, 3000), seed, placebos=19)))


@pytest.mark.deep
def test_nothing_is_found_on_many_markets() -> None:
    check(sizes(row for seed in range(100, 200) for row in trial(garch_market(seed), seed)))


def test_walks_seem_to_be_drawn_to_the_stronger_cluster_and_the_magnet_test_is_not_fooled() -> None:
    first = touched = 0
    t = []
    for seed in range(8):
        one, days = stronger_first(garch_market(seed, 8000, profile="peers"))
        first, touched = first + one, touched + days
        (finding,) = evidence(
            garch_market(seed, 8000), ["magnet"], nulls=["mirrored"], settings=EvidenceSettings(seed=seed)
        )
        estimate = finding.tests[0].estimate
        assert estimate is not None
        t.append(estimate.t)
    assert touched > 80
    assert 0.6 <= first / touched <= 0.8  # FACTS: 0.65 to 0.8, here with the sampling error of a hundred days
    assert abs(np.mean(t)) < 3 / len(t) ** 0.5


def test_bounds_are_exact_and_uniform_values_pass() -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"hypothesis": "h", "null": null, "p": p, "randomised": p}
        for null in ("a", "b", "c")
        for p in (rng.random(500) if null != "c" else rng.random(500) ** 2)
    ]
    rows.append({"hypothesis": "h", "null": "a", "p": None, "randomised": None})
    a, b, c = sizes(rows)
    assert a.markets == b.markets == 500
    assert a.bound == 36  # binomial(500, 5%) exceeds it with 5% / 3 at most
    assert a.holds
    assert b.holds
    assert a.uniform_p > 0.05 / 3
    assert not c.holds
    assert c.uniform_p < 1e-6


def test_a_null_market_is_what_it_says() -> None:
    """Driftless, symmetric, with clustered volatility and fat tails; the same for the same seed."""
    market = garch_market(11, 6000)
    again = garch_market(11, 6000)
    np.testing.assert_array_equal(market.bars.close, again.bars.close)
    step = np.diff(np.log(market.bars.close))
    assert abs(step.mean()) < 4 * step.std() / len(step) ** 0.5
    size = np.abs(step) - np.abs(step).mean()
    assert (size[1:] * size[:-1]).mean() / size.var() > 0.1
    assert (step**4).mean() / step.var() ** 2 > 3.3
    assert (market.bars.high >= np.maximum(market.bars.open, market.bars.close)).all()
