"""Least squares over shares, against a general optimiser and on problems whose answer is known."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from forcedflow.errors import SettingsError
from forcedflow.study.calibration.simplex import Moments, choose_penalty, fit_shares, resample

WHOLE = [slice(0, 4)]
EVEN = np.full(4, 0.25)


def problem(seed: int, noise: float = 0.1, rows: int = 240) -> tuple[Moments, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth, design = rng.dirichlet(np.ones(4)), rng.exponential(1, (rows, 4))
    response = design @ truth + noise * rng.standard_normal(rows)
    return Moments.of(design, response, np.arange(rows) // 6), truth


def test_moments_add_up_and_give_the_loss() -> None:
    rng = np.random.default_rng(1)
    design, response, w = rng.normal(size=(30, 4)), rng.normal(size=30), rng.normal(size=4)
    moments = Moments.of(design, response, rng.permutation(np.arange(30) % 5))
    assert moments.total().loss(w) == pytest.approx(((response - design @ w) ** 2).sum())
    np.testing.assert_allclose(moments.total(np.full(5, 2.0)).gram, 2 * design.T @ design)


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), penalty=st.sampled_from([0.0, 0.01, 1.0]), halves=st.booleans())
def test_shares_are_those_of_a_general_optimiser(seed: int, penalty: float, halves: bool) -> None:
    moments = problem(seed, noise=1.0)[0].total()
    groups = [slice(0, 2), slice(2, 4)] if halves else WHOLE
    prior = np.array([0.5, 0.5, 0.5, 0.5]) if halves else np.array([0.4, 0.3, 0.2, 0.1])
    shares, scale = fit_shares(moments, prior, penalty, groups, scale=1.0)
    assert scale == 1.0
    assert shares.min() >= 0
    for group in groups:
        assert shares[group].sum() == pytest.approx(1)
    unit = np.trace(moments.gram) / 4

    def loss(w: np.ndarray) -> float:
        return float(moments.loss(w) + penalty * unit * ((w - prior) ** 2).sum())

    sums = [{"type": "eq", "fun": lambda w, g=group: w[g].sum() - 1} for group in groups]
    found = minimize(loss, prior, method="SLSQP", bounds=[(0, 1)] * 4, constraints=sums, options={"ftol": 1e-12})
    assert loss(shares) == pytest.approx(found.fun, rel=1e-4)


def test_scale_is_fitted_with_the_shares_and_no_more_than_one() -> None:
    moments, truth = problem(3, noise=0.0)
    half = Moments(moments.gram, moments.cross * 0.5, moments.square * 0.25).total()
    shares, scale = fit_shares(half, EVEN, 0.0, WHOLE)
    np.testing.assert_allclose(shares, truth, atol=1e-3)
    assert scale == pytest.approx(0.5, rel=1e-3)
    double = Moments(moments.gram, moments.cross * 2, moments.square * 4).total()
    assert fit_shares(double, EVEN, 0.0, WHOLE)[1] == 1.0
    against = Moments(moments.gram, -moments.cross, moments.square).total()
    assert fit_shares(against, EVEN, 0.1, WHOLE)[1] == 0.0


def test_nothing_swept_leaves_the_prior() -> None:
    empty = Moments(np.zeros((4, 4)), np.zeros(4), np.array(1.0))
    np.testing.assert_array_equal(fit_shares(empty, EVEN, 0.0, WHOLE, scale=1.0)[0], EVEN)


def test_penalty_is_small_for_clean_data_and_large_for_noise() -> None:
    penalties = (1e-4, 1e-2, 1.0, 100.0)
    clean = choose_penalty(problem(5, noise=0.01)[0], EVEN, penalties, WHOLE, 5, scale=1.0)
    assert clean[0] == 1e-4
    rng = np.random.default_rng(2)
    design = rng.exponential(1, (240, 4))
    noise = Moments.of(design, design @ EVEN + 20 * rng.standard_normal(240), np.arange(240) // 6)
    assert choose_penalty(noise, EVEN, penalties, WHOLE, 5, scale=1.0)[0] >= 1.0


def test_bootstrap_is_seeded_and_its_spread_is_that_of_new_data() -> None:
    moments, _ = problem(7, noise=0.5)
    draws = [resample(moments, EVEN, 0.0, WHOLE, 80, np.random.default_rng(1), scale=1.0) for _ in range(2)]
    np.testing.assert_array_equal(draws[0], draws[1])
    rng = np.random.default_rng(0)
    truth = fit_shares(moments.total(), EVEN, 0.0, WHOLE, scale=1.0)[0]
    fresh = []
    for _ in range(80):
        design = rng.exponential(1, (240, 4))
        response = design @ truth + 0.5 * rng.standard_normal(240)
        again = Moments.of(design, response, np.arange(240) // 6).total()
        fresh.append(fit_shares(again, EVEN, 0.0, WHOLE, scale=1.0)[0])
    ratio = draws[0].std(axis=0).sum() / np.std(fresh, axis=0).sum()
    assert 0.6 < ratio < 1.6


def test_without_scipy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(SettingsError, match="evidence"):
        fit_shares(problem(1)[0].total(), EVEN, 0.0, WHOLE)
