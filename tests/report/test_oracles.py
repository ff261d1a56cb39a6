"""Measures against other people's libraries, on random and real daily returns: equal to 1e-9 where definitions agree.

Where they do not, the difference is pinned down here and told in docs/scorecard.md.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from conftest import skip
from forcedflow.kernels import measures
from forcedflow.report import chance
from forcedflow.report.equity_measures import Curve, return_measures

DAY = 86_400_000_000_000
YEAR = 365.0


def library(name: str) -> Any:
    if importlib.util.find_spec(name.partition(".")[0]) is None:
        skip(f"{name} is not installed: uv sync --group check")
    return importlib.import_module(name)


def random_returns(seed: int) -> Any:
    drawn = np.random.default_rng(seed).standard_t(4, 731) * 0.02
    drawn[0] = -0.2  # where libraries part ways: a loss before any high
    return drawn


@pytest.fixture(scope="module", params=["random", "other", "bitcoin"])
def returns(request: pytest.FixtureRequest) -> Any:
    if request.param != "bitcoin":
        return random_returns(3 if request.param == "random" else 4)
    folder: Path = request.getfixturevalue("shared_data")
    table = pd.read_csv(folder / "binance_um/BTCUSDT_klines_4h.csv")
    return table["close"].to_numpy()[5::6][:-1][1:] / table["close"].to_numpy()[5::6][:-1][:-1] - 1.0


@pytest.fixture(scope="module")
def series(returns: Any) -> Any:
    return pd.Series(returns, index=pd.date_range("2024-01-01", periods=len(returns), freq="D"))


def values(returns: Any) -> Any:
    return np.concatenate(([1.0], np.cumprod(1.0 + returns)))


def drawdowns(returns: Any) -> Any:
    curve = values(returns)
    equity = {"ts": DAY * np.arange(1, len(curve)), "equity": curve[1:]}
    curve_of = Curve.of(equity | {"position": curve[1:]}, 1.0, 0, "24/7")
    return dict(curve_of.drawdowns) | return_measures(curve_of)


def close(ours: float, theirs: Any, rel: float = 1e-9) -> bool:
    return ours == pytest.approx(float(theirs), rel=rel)


def test_empyrical(returns: Any) -> None:
    ep = library("empyrical")
    ordered, curve = np.sort(returns), values(returns)
    assert close(measures.annual_sharpe(returns, YEAR), ep.sharpe_ratio(returns, annualization=365))
    assert close(measures.annual_sortino(returns, YEAR), ep.sortino_ratio(returns, annualization=365))
    assert close(measures.annual_volatility(returns, YEAR), ep.annual_volatility(returns, annualization=365))
    assert close(measures.annual_growth(curve, YEAR), ep.cagr(returns, annualization=365))
    assert close(curve[-1] - 1.0, ep.cum_returns_final(returns))
    assert close(measures.omega(returns), ep.omega_ratio(returns, annualization=1))
    assert close(measures.value_at_risk(ordered, 0.95), -ep.value_at_risk(returns, 0.05))
    assert close(measures.conditional_value_at_risk(ordered, 0.95), -ep.conditional_value_at_risk(returns, 0.05), 0.02)
    assert close(drawdowns(returns)["max_drawdown"], -ep.max_drawdown(returns))


def test_quantstats(returns: Any, series: Any) -> None:
    qs = library("quantstats.stats")
    assert close(measures.annual_sharpe(returns, YEAR), qs.sharpe(series, periods=365))
    assert close(measures.annual_sortino(returns, YEAR), qs.sortino(series, periods=365))
    assert close(measures.annual_volatility(returns, YEAR), qs.volatility(series, periods=365))
    assert close(measures.annual_growth(values(returns), YEAR), qs.cagr(series, periods=365))
    assert close(measures.omega(returns), qs.omega(series, periods=1))
    assert close(measures.profit_factor(returns), qs.profit_factor(series))
    assert close(measures.payoff(returns), qs.payoff_ratio(series))
    found = drawdowns(returns)
    assert close(found["max_drawdown"], -qs.max_drawdown(series))
    assert close(found["ulcer"] * math.sqrt(len(returns) / (len(returns) - 1)), qs.ulcer_index(series))
    sharpe, error = measures.annual_sharpe(returns, 1.0), measures.annual_sharpe_error(returns, 1.0)
    theirs = float(qs.probabilistic_sharpe_ratio(series))
    assert chance.probabilistic_sharpe(sharpe, error) == pytest.approx(theirs, abs=1e-3)  # unbiased moments there


def test_skfolio(returns: Any) -> None:
    sk = library("skfolio.measures")
    assert close(measures.conditional_value_at_risk(np.sort(returns), 0.95), sk.cvar(returns))
    assert close(measures.skewness(returns), sk.skew(returns))
    assert close(measures.kurtosis(returns), sk.kurtosis(returns))
    found, theirs = drawdowns(returns), sk.get_drawdowns(returns, compounded=True)
    assert close(found["max_drawdown"], sk.max_drawdown(theirs))
    assert close(found["ulcer"], sk.ulcer_index(theirs))
    sharpe, error = measures.annual_sharpe(returns, 1.0), measures.annual_sharpe_error(returns, 1.0)
    assert close(chance.probabilistic_sharpe(sharpe, error), sk.probabilistic_sharpe_ratio(returns))
    trials = np.random.default_rng(1).normal(0.0, 0.04, 50)
    deviation = float(trials.std(ddof=1))
    assert close(chance.expected_best(50, deviation), sk.expected_max_sharpe_ratio(50, deviation))
    theirs = sk.deflated_sharpe_ratio(returns, trials)
    assert close(chance.deflated_sharpe(sharpe, error, 50, deviation), theirs)


def test_scipy(returns: Any) -> None:
    stats = library("scipy.stats")
    assert close(measures.skewness(returns), stats.skew(returns))
    assert close(measures.kurtosis(returns), stats.kurtosis(returns, fisher=False))


def test_vectorbt(returns: Any, series: Any) -> None:
    library("vectorbt")
    accessor = series.vbt.returns(freq="D", year_freq="365D")
    assert close(measures.omega(returns), accessor.omega_ratio())
    assert close(measures.value_at_risk(np.sort(returns), 0.95), -accessor.value_at_risk(cutoff=0.05))
    deviation = 0.03
    sharpe, error = measures.annual_sharpe(returns, 1.0), measures.annual_sharpe_error(returns, 1.0)
    theirs = accessor.deflated_sharpe_ratio(var_sharpe=deviation**2 * YEAR, nb_trials=50)
    assert close(chance.deflated_sharpe(sharpe, error, 50, deviation), theirs)
