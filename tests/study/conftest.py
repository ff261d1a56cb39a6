"""One market whose holders are known, for all tests of scores and fits."""

from __future__ import annotations

import os

import pytest

from forcedflow.data.series import Dataset
from forcedflow.data.simulated import SimulatedMarket
from forcedflow.data.simulation import simulate
from known_market import known_market


@pytest.fixture(scope="session")
def market() -> SimulatedMarket:
    """Return 18,000 bars of 5 min."""
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        pytest.skip("20,000 bars take minutes without the JIT")
    return simulate(known_market(18_000, cohorts_per_step=2))


@pytest.fixture(scope="session")
def data(market: SimulatedMarket) -> Dataset:
    """Return the market with its true holders."""
    return market.dataset()
