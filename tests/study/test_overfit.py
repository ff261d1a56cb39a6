"""Sharpe ratios deflated and the probability of overfitting, against two libraries, a slow twin, and known truth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forcedflow.errors import SettingsError
from forcedflow.kernels import measures
from forcedflow.report.chance import deflated_sharpe, expected_best, probabilistic_sharpe
from forcedflow.study.sweeps.overfit import Superior, overfitting, superior_settings
from naive.overfit import probability


def sample() -> npt.NDArray[np.float64]:
    """400 days of 20 settings, from a formula, skewed and with fat tails."""
    t, k = np.arange(400)[:, None], np.arange(20)[None, :]
    waves = 0.01 * np.sin(1.7 * t + k) + 0.00003 * k
    returns: npt.NDArray[np.float64] = (
        waves + 0.006 * ((t * (k + 3) + t * t) % 11 - 5) / 5 + 0.02 * ((t * (k + 1)) % 97 == 0)
    )
    return returns


def ratios(returns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(returns.mean(axis=0) / returns.std(axis=0, ddof=1))


@pytest.mark.parametrize("per_year", [1.0, 365.0])
def test_against_skfolio(per_year: float) -> None:
    """skfolio 1.12.2: measures.probabilistic_sharpe_ratio, deflated_sharpe_ratio, expected_max_sharpe_ratio."""
    returns = sample()
    found = ratios(returns)
    best, root = int(found.argmax()), math.sqrt(per_year)
    sharpe = measures.annual_sharpe(returns[:, best], per_year)
    error = measures.annual_sharpe_error(returns[:, best], per_year)
    spread = float(found.std(ddof=1)) * root
    assert probabilistic_sharpe(sharpe, error, 0.06 * root) == pytest.approx(0.9995761385106946, rel=1e-12)
    assert expected_best(20, spread) / root == pytest.approx(0.21976193850944406, rel=1e-9)
    assert deflated_sharpe(sharpe, error, 20, spread) == pytest.approx(0.5582639469295965, rel=1e-9)


def test_against_vectorbt() -> None:
    metrics: Any = pytest.importorskip("vectorbt.returns.metrics")
    returns = sample()
    found = ratios(returns)
    for k in range(0, 20, 5):
        x = returns[:, k]
        central = x - x.mean()
        moments = [float((central**n).mean()) for n in range(5)]
        theirs = metrics.deflated_sharpe_ratio(
            est_sharpe=found[k],
            var_sharpe=found.var(ddof=1),
            nb_trials=20,
            backtest_horizon=len(x),
            skew=moments[3] / moments[2] ** 1.5,
            kurtosis=moments[4] / moments[2] ** 2,
        )
        error = measures.annual_sharpe_error(x, 1.0)
        assert deflated_sharpe(found[k], error, 20, found.std(ddof=1)) == pytest.approx(theirs, rel=1e-9)


def test_the_hurdle_is_what_the_best_of_many_reaches() -> None:
    rng = np.random.default_rng(1)
    for trials in (20, 100, 500):
        reached = rng.normal(0.0, 0.3, (4000, trials)).max(axis=1).mean()
        assert expected_best(trials, 0.3) == pytest.approx(reached, rel=0.03)
    assert expected_best(1, 0.3) == 0.0


def test_more_trials_deflate_more() -> None:
    chances = [deflated_sharpe(2.0, 0.8, n, math.sqrt(0.5)) for n in (1, 2, 10, 100, 10_000)]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] == probabilistic_sharpe(2.0, 0.8)


@pytest.mark.parametrize(("sharpe", "error"), [(math.nan, 1.0), (1.0, math.nan), (1.0, 0.0), (math.inf, 1.0)])
def test_what_is_undefined_stays_so(sharpe: float, error: float) -> None:
    assert math.isnan(probabilistic_sharpe(sharpe, error))


@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 4, 6]), st.integers(2, 6), st.integers(0, 7))
def test_pbo_is_the_slow_twin(seed: int, blocks: int, settings: int, extra: int) -> None:
    rng = np.random.default_rng(seed)
    returns = rng.normal(0.0, 0.01, (blocks * 3 + extra, settings))
    returns[:, 0] = 0.0  # a setting that never traded
    if settings > 3:
        returns[:, 2] = returns[:, 1]  # two that are the same
    found = overfitting(returns, blocks)
    assert found.pbo == probability(returns, blocks)
    assert found.splits == math.comb(blocks, blocks // 2)


def test_pbo_of_noise_is_a_half_and_of_skill_is_nothing() -> None:
    rng = np.random.default_rng(7)
    noise = [overfitting(rng.normal(0, 0.01, (320, 20)), 8).pbo for _ in range(40)]
    assert np.mean(noise) == pytest.approx(0.5, abs=0.1)
    skilled = rng.normal(0, 0.01, (320, 20))
    skilled[:, 4] += 0.004
    found = overfitting(skilled)
    assert found.pbo < 0.01
    assert found.loss < 0.01
    assert found.splits == 12_870


def test_pbo_says_what_it_needs() -> None:
    with pytest.raises(SettingsError, match="two settings and 32 days, was given 3 settings and 31 days"):
        overfitting(np.zeros((31, 3)))
    with pytest.raises(SettingsError, match="two settings"):
        overfitting(np.zeros((64, 1)))
    with pytest.raises(SettingsError, match="even"):
        overfitting(np.zeros((64, 3)), blocks=5)


def test_settings_that_earn_are_told_from_settings_that_do_not() -> None:
    pytest.importorskip("arch")
    rng = np.random.default_rng(1)
    returns = rng.standard_normal((400, 12)) * 0.01
    nothing = superior_settings(returns)
    assert nothing.spa > 0.05
    assert nothing.settings == ()
    returns[:, 7] += 0.004
    returns[:, 3] = 0.0  # never traded
    found = superior_settings(returns)
    assert found.spa < 0.05
    assert found.settings == (7,)
    assert superior_settings(np.zeros((30, 2))) == Superior(1.0, ())
    with pytest.raises(SettingsError, match="at least 20 days"):
        superior_settings(returns[:10])
    with pytest.raises(SettingsError, match="at most"):
        superior_settings(np.broadcast_to(returns[:, :1], (400, 20_000)))
