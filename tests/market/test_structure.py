"""Structure and its events against slow twins that look at all bars so far, at every bar anew."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forcedflow.data import load_dataset
from forcedflow.data.series import Dataset
from forcedflow.market.tape import MarketPass
from forcedflow.settings import MarketSettings
from forcedflow.tables import EventKind
from generators import COARSE, Shape, dataset, examples, shapes
from naive.market_pass import wilder
from naive.structure import NaiveChannels, last_pivots

KINDS = ("regression", "pivot", "donchian")


def taken(market: Dataset, settings: MarketSettings) -> MarketPass:
    live = MarketPass(market, settings)
    live.advance()
    return live


def assert_structure(market: Dataset, settings: MarketSettings) -> int:
    """Compare pivots, volatility, channels and their events; return the number of breaks."""
    live = taken(market, settings)
    columns, events = live.market_bars(), live.events()
    twin = NaiveChannels(market, settings)
    twin.run()
    for bar in range(len(market.bars)):
        lows, highs = last_pivots(market.bars, settings, twin.atr, bar)
        np.testing.assert_array_equal(columns["swing_low"][bar], lows)
        np.testing.assert_array_equal(columns["swing_high"][bar], highs)
    for name, memory in (("vol_short", settings.vol_short_bars), ("vol_long", settings.vol_long_bars)):
        expected = [math.sqrt(wilder(twin.squares[: max(bar - 1, 0)], memory)) for bar in range(len(market.bars))]
        np.testing.assert_allclose(columns[name], expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(columns["channel"] > 0, ~np.isnan(twin.upper))
    np.testing.assert_allclose(columns["channel_upper"], twin.upper, rtol=1e-9)
    np.testing.assert_allclose(columns["channel_lower"], twin.lower, rtol=1e-9)
    found = events.of_kind(EventKind.CHANNEL_BREAK, EventKind.FAKE_OUT)
    assert list(zip(found.bar.tolist(), found.kind.tolist(), found.side.tolist(), strict=True)) == twin.events
    breaks = found.of_kind(EventKind.CHANNEL_BREAK)
    assert len(set(breaks.group.tolist())) == len(breaks)  # the first break of a version only
    assert (found.channel == found.group).all()
    return len(breaks)


@examples(60)
@given(shapes(bars=90), st.sampled_from(KINDS), st.integers(1, 3))
@example(Shape(seed=5561, bars=90, step=0.01, jumps=True), "pivot", 2)  # two channels through the ends of one bar
def test_structure_agrees_with_its_twin(shape: Shape, kind: str, pivot_bars: int) -> None:
    assert_structure(dataset(shape), COARSE.model_copy(update={"channel": kind, "pivot_bars": pivot_bars}))


@pytest.mark.parametrize("kind", KINDS)
def test_twins_have_breaks_to_agree_on(kind: str) -> None:
    market = dataset(Shape(seed=3, bars=400, step=0.01))
    assert assert_structure(market, COARSE.model_copy(update={"channel": kind})) > 5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["btcusdt-5m", "silver-1h"])
def test_real_markets_agree(shared_data: Path, name: str, kind: str) -> None:
    whole = load_dataset(name)
    bars = whole.bars
    market = whole.between(None, int(bars.close_ts[min(700, len(bars) - 1)]))
    assert assert_structure(market, MarketSettings(channel=kind, channel_bars=48)) > 1


def test_a_pivot_exists_from_its_confirmation() -> None:
    market = dataset(Shape(seed=5, bars=80))
    settings = COARSE.model_copy(update={"pivot_bars": 3})
    swing = taken(market, settings).market_bars()["swing_high"]
    (known,) = np.flatnonzero(np.diff(np.nan_to_num(swing)) != 0)[:1] + 1
    assert swing[known] == market.bars.high[known - 3]
    assert swing[known] != market.bars.high[known]


def test_reversals_are_confirmed_by_closes() -> None:
    market = dataset(Shape(seed=5, bars=200, step=0.01))
    settings = COARSE.model_copy(update={"pivots": "reversal", "reversal_atr": 2.0})
    live = taken(market, settings)
    columns, bars = live.market_bars(), market.bars
    for column, way in ((columns["swing_high"], 1), (columns["swing_low"], -1)):
        changes = np.flatnonzero(np.diff(np.nan_to_num(column)) != 0) + 1
        assert len(changes) > 3
        for bar in changes:
            turned = way * math.log(column[bar] / bars.close[bar])
            assert turned >= 2.0 * columns["atr"][bar] * (1 - 1e-12)


def episodes(settings: dict[str, Any]) -> Any:
    market = dataset(Shape(seed=4, bars=600, step=0.02, venues=("linear",), holders="tiers"))
    return taken(market, COARSE.model_copy(update=settings)).events()


LOOSE = {
    "void_atr": 1.0,
    "void_mass": 0.02,
    "exhaust_swept": 0.0,
    "exhaust_flow": 0.5,
    "exhaust_dry_bars": 1,
    "exhaust_vol": 10.0,
}


def test_exhaustion_follows_the_void_that_it_belongs_to() -> None:
    events = episodes(LOOSE)
    entries = {e.group: e for e in events.of_kind(EventKind.VOID_ENTRY)}
    ends = list(events.of_kind(EventKind.VOID_EXHAUSTION))
    assert len(entries) > 3
    assert ends
    assert len({e.group for e in ends}) == len(ends)  # once an episode
    for end in ends:
        begin = entries[end.group]
        assert 0 < end.bar - begin.bar < COARSE.exhaust_bars
        assert end.side == begin.side
        assert end.between < LOOSE["void_mass"]
        assert end.swept >= begin.swept
        assert end.side * math.log(end.extreme / begin.extreme) >= 0


@pytest.mark.parametrize("stricter", [{"exhaust_swept": 10.0}, {"exhaust_vol": 1e-6}, {"void_mass": 0.0}])
def test_each_condition_can_keep_an_exhaustion_away(stricter: dict[str, float]) -> None:
    assert not len(episodes(LOOSE | stricter).of_kind(EventKind.VOID_EXHAUSTION))
