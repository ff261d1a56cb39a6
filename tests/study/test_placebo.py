"""Placebo paths and other holders: what they change, and what they leave as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forcedflow.data import Bars, Dataset
from forcedflow.errors import SettingsError
from forcedflow.market.tape import MarketPass
from forcedflow.settings import MarketSettings
from forcedflow.study.evidence import placebo
from forcedflow.study.evidence.hypothesis import hypothesis_names, load_hypothesis
from forcedflow.study.evidence.placebo import flip, flipped, other_holders, placebos, statistics
from forcedflow.study.evidence.size import garch_market
from forcedflow.venues import load_profile
from generators import Shape, dataset

HYPOTHESES = [load_hypothesis(name) for name in hypothesis_names()]
COLUMNS = ("open", "high", "low", "close", "mark_high", "mark_low")


@pytest.fixture(scope="module")
def market() -> Dataset:
    return garch_market(1, 2500)


def distances(bars: Bars) -> dict[str, np.ndarray]:
    """Log distances of every price of a bar from the close before it."""
    before = np.log(np.concatenate((bars.open[:1], bars.close[:-1])))
    columns = bars.columns()
    return {name: np.log(columns[name]) - before for name in COLUMNS if name in columns}


@given(st.integers(0, 500), st.booleans(), st.booleans())
def test_a_flipped_bar_is_the_bar_or_its_mirror_image(seed: int, gaps: bool, jumps: bool) -> None:
    bars = dataset(Shape(seed=seed, gaps=gaps, jumps=jumps)).bars
    bars = replace(bars, mark_high=bars.high * 1.001, mark_low=bars.low)
    signs = np.random.default_rng(seed).choice((-1, 1), len(bars))
    moved = flip(bars, signs)
    was, now = distances(bars), distances(moved)
    up = signs > 0
    for name in ("open", "close"):
        np.testing.assert_allclose(now[name], signs * was[name], atol=1e-9)
    for high, low in (("high", "low"), ("mark_high", "mark_low")):
        np.testing.assert_allclose(now[high], np.where(up, was[high], -was[low]), atol=1e-9)
        np.testing.assert_allclose(now[low], np.where(up, was[low], -was[high]), atol=1e-9)
    assert moved.volume is bars.volume
    assert moved.ts is bars.ts
    Bars.from_columns(moved.columns(), moved.interval)  # a table that can be trusted


def test_no_flip_is_the_same_market(market: Dataset) -> None:
    same = flip(market.bars, np.ones(len(market.bars), np.int64))
    for name, column in same.columns().items():
        np.testing.assert_allclose(column, market.bars.columns()[name], rtol=1e-9)


def test_a_path_depends_on_seed_and_number_alone(market: Dataset) -> None:
    first = flipped(market, 3, 7).bars.close
    np.testing.assert_array_equal(first, flipped(market, 3, 7).bars.close)
    assert not np.array_equal(first, flipped(market, 3, 8).bars.close)
    assert not np.array_equal(first, flipped(market, 4, 7).bars.close)
    assert flipped(market, 3, 7).venues is market.venues


def test_a_placebo_is_a_replay_of_its_path(market: Dataset) -> None:
    settings = MarketSettings()
    effect, t = placebos(market, settings, HYPOTHESES, count=3, seed=5)
    assert effect.shape == t.shape == (3, len(HYPOTHESES))
    ran = MarketPass(flipped(market, 5, 2), settings)
    ran.advance()
    np.testing.assert_array_equal((effect[2], t[2]), statistics(ran, HYPOTHESES, 5))
    one = placebos(market, settings, HYPOTHESES[1:2], count=3, seed=5)
    np.testing.assert_array_equal(one[1][:, 0], t[:, 1])  # whatever else is asked


def test_processes_change_nothing(market: Dataset) -> None:
    alone = placebos(market, MarketSettings(), HYPOTHESES[:2], count=3, seed=5)
    told: list[tuple[int, int]] = []
    shared = placebos(
        market, MarketSettings(), HYPOTHESES[:2], count=3, seed=5, jobs=2, progress=lambda *n: told.append(n)
    )
    np.testing.assert_array_equal(alone, shared)
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_dealt_holders_are_the_same_ones_with_other_weights(tmp_path: Path) -> None:
    for name in ("hyperliquid-like", "hyperliquid-distances", "futures-margin"):
        market = replace(garch_market(1, 50), venues=(replace(garch_market(1, 50).venues[0], profile=name),))
        folder = tmp_path / name
        folder.mkdir()
        placebo._deal_holders(market, MarketSettings(), folder, 2, 1)
        own, dealt = load_profile(name), load_profile(str(folder / "1-0.toml"))
        assert own.stops == dealt.stops
        for was, now in zip(placebo._groups(own), placebo._groups(dealt), strict=True):
            assert sorted(row.weight for row in was) == sorted(row.weight for row in now)
            moved = [row.weight for row in was] != [row.weight for row in now]
            assert moved == (len({row.weight for row in was}) > 1)
            assert [row.model_copy(update={"weight": 0.5}) for row in was] == [
                row.model_copy(update={"weight": 0.5}) for row in now
            ]


def test_other_holders_differ_by_what_days_say(market: Dataset) -> None:
    ran = MarketPass(market)
    ran.advance()
    own = placebo._samples(ran, HYPOTHESES, 5)
    differences = other_holders(market, MarketSettings(), HYPOTHESES, own, count=2, seed=5)
    assert len(differences) == len(HYPOTHESES)
    magnet = differences[[h.name for h in HYPOTHESES].index("magnet")]
    assert len(magnet) > 0
    assert len(np.unique(magnet.day)) == len(magnet)


def test_one_leverage_cannot_be_shuffled(market: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "one.toml"
    file.write_text(
        'name = "one"\ntitle = "t"\nsource = "s"\ntiers = [{ leverage = 5, weight = 1, notional = 1000 }]\n'
    )
    settings = MarketSettings(profile=str(file))
    with pytest.raises(SettingsError, match="nothing to shuffle"):
        other_holders(market, settings, [], [], count=1, seed=0)
