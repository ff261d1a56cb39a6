"""Measures against their naive twins, against libraries, and under changes that must not, or must, change them."""

from __future__ import annotations

import importlib.util
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import naive.measures as naive
from conftest import skip
from forcedflow.kernels import FloatArray, IntArray, kernel, measures, score

DAY = 86_400_000_000_000
YEAR = 365.0

returns_of = arrays(np.float64, st.integers(0, 60), elements=st.floats(-0.3, 0.5).map(lambda x: round(x, 4)))
values_of = arrays(np.float64, st.integers(1, 60), elements=st.floats(1.0, 1e6))
ON_RETURNS = ("annual_volatility", "annual_sharpe", "annual_sharpe_error", "annual_sortino")


def same(ours: float, theirs: float) -> bool:
    return ours == pytest.approx(theirs, rel=1e-9, abs=1e-9, nan_ok=True)


@given(returns_of)
@pytest.mark.parametrize("name", ON_RETURNS)
def test_return_measures_equal_their_twins(name: str, returns: Any) -> None:
    assert same(getattr(measures, name)(returns, YEAR), getattr(naive, name)(returns, YEAR))


@given(returns_of)
@pytest.mark.parametrize("name", ["mean", "hit_rate", "payoff", "profit_factor", "omega", "skewness", "kurtosis"])
def test_trade_measures_equal_their_twins(name: str, net: Any) -> None:
    assert same(getattr(measures, name)(net), getattr(naive, name)(net))


@given(values_of)
def test_curve_measures_equal_their_twins(values: Any) -> None:
    assert same(measures.max_drawdown(values), naive.max_drawdown(values))
    assert same(measures.ulcer_index(values), naive.ulcer_index(values))
    assert same(measures.annual_growth(values, 12.0), naive.annual_growth(values, 12.0))
    assert measures.simple_returns(values).tolist() == naive.simple_returns(values)


@given(returns_of, st.sampled_from([0.9, 0.95, 0.99]))
def test_ordered_measures_equal_their_twins(returns: Any, level: float) -> None:
    assert same(measures.median(np.sort(returns)), naive.median(returns))
    assert same(measures.value_at_risk(np.sort(returns), level), naive.value_at_risk(returns, level))
    ours = measures.conditional_value_at_risk(np.sort(returns), level)
    assert ours == pytest.approx(naive.conditional_value_at_risk(returns, level), abs=1e-9, nan_ok=True)


@kernel
def in_a_kernel(ts: IntArray, returns: FloatArray, ordered: FloatArray) -> tuple[float, ...]:
    """Every measure that Python calls as it is, called by compiled code, as a sweep does."""
    return (
        measures.annual_growth(1.0 + returns, YEAR),
        measures.annual_volatility(returns, YEAR),
        measures.annual_sharpe(returns, YEAR),
        measures.annual_sharpe_error(returns, YEAR),
        measures.annual_sortino(returns, YEAR),
        measures.omega(returns),
        measures.skewness(returns),
        measures.kurtosis(returns),
        measures.value_at_risk(ordered, 0.95),
        measures.conditional_value_at_risk(ordered, 0.95),
        measures.median(ordered),
        measures.hit_rate(returns),
        measures.payoff(returns),
        measures.profit_factor(returns),
        measures.mean(measures.simple_returns(1.0 + returns)),
        measures.mean(measures.daily_values(ts, returns, 0.5, True)),
        measures.ulcer_index(1.0 + returns),
    )


@given(returns_of)
def test_a_kernel_gets_the_same_bits(returns: Any) -> None:
    ts, ordered = np.arange(len(returns), dtype=np.int64) ** 2 * DAY, np.sort(returns)
    plain = getattr(in_a_kernel, "py_func", in_a_kernel)  # the same calls, interpreted; with the JIT off it is one
    np.testing.assert_array_equal(in_a_kernel(ts, returns, ordered), plain(ts, returns, ordered))


@given(returns_of)
def test_a_sweep_gets_the_same_bits(returns: Any) -> None:
    ordered, curve = np.sort(returns), np.concatenate(([1.0], np.cumprod(1.0 + returns)))
    of_days, of_trades = (curve, returns, ordered, YEAR), (returns, returns, ordered, returns, returns, returns)
    np.testing.assert_array_equal(score.daily_measures(*of_days), measures.daily_measures(*of_days))
    np.testing.assert_array_equal(score.trade_measures(*of_trades), measures.trade_measures(*of_trades))


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.booleans())
def test_days_equal_pandas_resampling(gaps: list[int], fill: bool) -> None:
    ts = np.cumsum(np.array(gaps, dtype=np.int64)) * (DAY // 24)
    equity = np.linspace(100.0, 130.0, len(ts))
    assert measures.daily_values(ts, equity, 100.0, fill).tolist() == naive.daily_values(ts, equity, 100.0, fill)


def test_a_close_at_midnight_ends_its_day() -> None:
    ts = np.array([DAY // 2, DAY, DAY + 1], dtype=np.int64)
    assert measures.daily_values(ts, np.array([1.0, 2.0, 3.0]), 0.5, True).tolist() == [0.5, 2.0, 3.0]


def test_no_bars_leave_the_initial_equity() -> None:
    assert measures.daily_values(np.empty(0, np.int64), np.empty(0), 7.0, True).tolist() == [7.0]


@pytest.fixture(scope="module")
def returns() -> Any:
    """731 days, the first of which loses a fifth: where libraries part ways (vectorbt forgets it in the drawdown)."""
    drawn = np.random.default_rng(5).normal(0.0006, 0.03, 731)
    drawn[0] = -0.2
    return drawn


@pytest.fixture(scope="module")
def accessor(returns: Any) -> Any:
    if importlib.util.find_spec("vectorbt") is None:
        skip("vectorbt is not installed: uv sync --group check")
    importlib.import_module("vectorbt")  # registers the accessor
    series: Any = pd.Series(returns, index=pd.date_range("2024-01-01", periods=len(returns), freq="D", tz="UTC"))
    return series.vbt.returns(freq="D", year_freq="365D")


def test_vectorbt_agrees(returns: Any, accessor: Any) -> None:
    values = np.concatenate(([1.0], np.cumprod(1.0 + returns)))
    assert measures.annual_sharpe(returns, YEAR) == pytest.approx(accessor.sharpe_ratio(), rel=1e-9)
    assert measures.annual_sortino(returns, YEAR) == pytest.approx(accessor.sortino_ratio(), rel=1e-9)
    assert measures.annual_volatility(returns, YEAR) == pytest.approx(accessor.annualized_volatility(), rel=1e-9)
    assert measures.annual_growth(values, YEAR) == pytest.approx(accessor.annualized(), rel=1e-9)
    assert values[-1] - 1.0 == pytest.approx(accessor.total(), rel=1e-9)
    whole = accessor.cond_value_at_risk(cutoff=0.05)  # rounds the tail of 36.55 days
    assert measures.conditional_value_at_risk(np.sort(returns), 0.95) == pytest.approx(-whole, rel=0.01)
    assert measures.max_drawdown(values[1:]) == pytest.approx(-accessor.max_drawdown(), rel=1e-9)
    assert measures.max_drawdown(values) > -accessor.max_drawdown() + 0.01  # the first day's loss belongs to it


def test_pandas_agrees(returns: Any) -> None:
    series: Any = pd.Series(returns)
    curve: Any = pd.Series(np.concatenate(([1.0], np.cumprod(1.0 + returns))))
    ratio, skew, kurtosis = series.mean() / series.std(), series.skew(), series.kurt() + 3.0
    error = math.sqrt((1.0 - skew * ratio + (kurtosis - 1.0) / 4.0 * ratio**2) / (len(series) - 1) * YEAR)
    tail = series.nsmallest(37).to_numpy()
    assert measures.annual_sharpe(returns, YEAR) == pytest.approx(ratio * YEAR**0.5, rel=1e-9)
    assert measures.annual_volatility(returns, YEAR) == pytest.approx(series.std() * YEAR**0.5, rel=1e-9)
    assert measures.annual_sharpe_error(returns, YEAR) == pytest.approx(error, rel=1e-3)  # pandas unbiases moments
    assert measures.max_drawdown(curve.to_numpy()) == pytest.approx((1.0 - curve / curve.cummax()).max(), rel=1e-9)
    exact = -(tail[:36].sum() + 0.55 * tail[36]) / 36.55
    assert measures.conditional_value_at_risk(np.sort(returns), 0.95) == pytest.approx(exact, rel=1e-9)


@given(returns_of.filter(lambda x: len(x) > 1))
def test_leverage_scales_risk_and_leaves_ratios(returns: Any) -> None:
    for name in ("annual_sharpe", "annual_sortino", "annual_sharpe_error"):
        measure = getattr(measures, name)
        assert same(measure(2.0 * returns, YEAR), measure(returns, YEAR))
    assert measures.annual_volatility(2.0 * returns, YEAR) == 2.0 * measures.annual_volatility(returns, YEAR)
    once, twice = (measures.conditional_value_at_risk(k * np.sort(returns), 0.95) for k in (1.0, 2.0))
    assert twice == 2.0 * once


@given(values_of, st.integers(-20, 20))
def test_the_unit_of_money_does_not_matter(values: Any, power: int) -> None:
    assert measures.max_drawdown(values * 2.0**power) == measures.max_drawdown(values)


@given(values_of)
def test_an_initial_high_never_lowers_the_drawdown(values: Any) -> None:
    assert measures.max_drawdown(np.concatenate(([1e6], values))) >= measures.max_drawdown(values)


def test_undefined_is_nan() -> None:
    nothing, flat = np.empty(0), np.full(9, 0.001)
    for name in ON_RETURNS:
        assert math.isnan(getattr(measures, name)(nothing, YEAR))
    for name in ("annual_sharpe", "annual_sharpe_error", "annual_sortino"):
        assert math.isnan(getattr(measures, name)(flat, YEAR))  # vectorbt says inf
    assert math.isnan(measures.profit_factor(np.array([1.0])))
    assert math.isnan(measures.payoff(np.array([-1.0])))


def test_losing_everything() -> None:
    values = np.array([100.0, 50.0, -5.0])
    assert measures.annual_growth(values, YEAR) == -1.0
    assert measures.annual_growth(np.array([100.0, 5e-324]), YEAR) == -1.0
    assert measures.max_drawdown(values) == pytest.approx(1.05)
