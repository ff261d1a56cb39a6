"""Strategies for sweeps, and one market whose holders are known for all tests of scores and fits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from forcedflow.data.series import Dataset
from forcedflow.data.simulated import SimulatedMarket
from forcedflow.data.simulation import simulate
from known_market import known_market

HANDLER = '''
from pydantic import Field, PrivateAttr

import forcedflow as ff


class Waits(ff.Strategy):
    """Buys into every so manieth forced sale, looking at the live map."""

    every: int = Field(default=2, ge=1, description="events of which one is traded")
    stop_atr: float = Field(default=2.0, gt=0, description="stop")
    _seen: int = PrivateAttr(default=0)

    def on_forced_flow(self, event, market, account):
        self._seen += 1
        if self._seen % self.every or account.position or not market.map.open_interest > 0:
            return
        stop = event.close * (1 + event.side * self.stop_atr * event.atr)
        account.submit(-event.side, size=0.01, stop=stop, hold=24)
'''
"""A strategy of the handler form."""

TWINS = '''
import numpy as np
from pydantic import Field

import forcedflow as ff


class {name}(ff.Strategy):
    """Fades forced flow."""

    conflict: str = "ignore"
    stop_atr: float = Field(default=2.0, gt=0, description="stop")
    {form}
'''
PLANS = TWINS.format(
    name="Plans",
    form="""
    listens = (ff.EventKind.FORCED_FLOW,)

    def plan(self, events):
        stop = events.close * (1 + events.side * self.stop_atr * events.atr)
        return ff.Plan(-events.side, size=0.01, stop=stop, hold=24)
""",
)
HANDLES = TWINS.format(
    name="Handles",
    form="""
    def on_forced_flow(self, event, market, account):
        stop = event.close * (1 + event.side * self.stop_atr * event.atr)
        account.submit(-event.side, size=0.01, stop=stop, hold=24)
""",
)
"""The same strategy in both forms."""

FAILS = '''
from pydantic import Field

import forcedflow as ff


class Fails(ff.Strategy):
    """Orders a stop on the wrong side where it is told to."""

    listens = (ff.EventKind.FORCED_FLOW,)
    wrong: bool = Field(default=False, description="whether")

    def plan(self, events):
        side = 1 if self.wrong else -1
        return ff.Plan(-events.side, size=0.01, stop=events.close * (1 - side * 0.02 * events.side))
'''


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Paths of the strategies above, by the names of their files."""
    folder = tmp_path / "own"
    folder.mkdir()
    texts = {"waits": HANDLER, "plans": PLANS, "handles": HANDLES, "fails": FAILS}
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    return {name: str(folder / f"{name}.py") for name in texts}


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
