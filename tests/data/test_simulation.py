"""The bundled simulated market: its truth, its twin, and the files that are committed."""

from __future__ import annotations

import heapq
import os
import subprocess
import sys
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forcedflow.data.simulation import (
    BARS_FILE,
    COLUMNS,
    LOT,
    MAP_FILE,
    AgentKind,
    SimulatedMarket,
    SimulationSettings,
    liquidation_factors,
    main,
    prepare,
    simulate,
    write,
)
from forcedflow.errors import VenueError
from forcedflow.kernels import simulation as kernels
from forcedflow.tables import LAYERS, FloatArray, IntArray
from forcedflow.venues import load_profile
from naive.simulation import NaiveMarket

DATASETS = Path(__file__).parents[2] / "datasets"


def small(seed: int = 1, **changes: object) -> SimulationSettings:
    """A few hours of a wild market, so that every kind of order happens."""
    values = {
        "seed": seed,
        "bars": 60,
        "warmup_bars": 30,
        "volatility": 1.5,
        "opened_per_day": 60_000.0,
        "snapshot_bars": 7,
    }
    agents = [
        {"leverage": 5, "weight": 1, "notional": 60_000, "holding_hours": 4},
        {"leverage": 50, "weight": 2, "notional": 6_000, "holding_hours": 2, "stop_share": 0.4, "stop_atr": 1.5},
        {"leverage": 100, "weight": 2, "notional": 600, "holding_hours": 1},
    ]
    return SimulationSettings.model_validate(values | {"agents": agents} | changes)


def run(chosen: SimulationSettings, blocks: list[int] | None = None) -> tuple[kernels.Market, FloatArray, IntArray]:
    """Run the kernel over all bars, stopping where ``blocks`` says."""
    market, draws, rules = prepare(chosen)
    total = chosen.warmup_bars + chosen.bars
    prices, flows = np.zeros((total, 4)), np.zeros((total, 6), np.int64)
    stops = [0, *(blocks or []), total]
    for first, last in pairwise(stops):
        kernels.advance(market, draws, rules, first, last, prices, flows)
    return market, prices, flows


@pytest.fixture(scope="module")
def bundled() -> SimulatedMarket:
    """The committed market, made again."""
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        pytest.skip("16,000 bars take minutes without the JIT; the small markets run")
    return simulate()


def test_committed_files_are_what_the_code_makes(bundled: SimulatedMarket, tmp_path: Path) -> None:
    for made, name in zip(write(bundled, tmp_path), (BARS_FILE, MAP_FILE), strict=True):
        here, there = pq.read_table(made), pq.read_table(DATASETS / name)
        assert here.schema.equals(there.schema, check_metadata=True)
        assert len(here) == len(there)
        for column in here.column_names:
            a, b = here[column].to_numpy(), there[column].to_numpy()
            if a.dtype.kind == "f":
                np.testing.assert_allclose(a, b, rtol=0, atol=1e-9)
            else:
                np.testing.assert_array_equal(a, b)


def test_committed_files_are_small_and_say_what_they_are() -> None:
    assert sum((DATASETS / name).stat().st_size for name in (BARS_FILE, MAP_FILE)) < 1_000_000
    for name in (BARS_FILE, MAP_FILE):
        notes = pq.read_schema(DATASETS / name).metadata
        assert notes[b"simulated"] == b"yes"
        assert notes[b"command"] == b"python -m forcedflow.data.simulation --out datasets"
        assert SimulationSettings.model_validate_json(notes[b"settings"]) == SimulationSettings()


def test_bundled_market_is_plausible(bundled: SimulatedMarket) -> None:
    market, days = bundled, 10_000 / 288
    returns = np.diff(np.log(market.close))
    liquidated = market.long_liquidated + market.short_liquidated
    forced = liquidated + market.long_stopped + market.short_stopped
    assert 0.5 < returns.std() * np.sqrt(365 * 288) < 0.7
    assert 45_000 < market.low.min() < market.high.max() < 80_000
    assert 0.002 < (liquidated / market.open_interest).sum() / days < 0.03
    assert (forced / market.open_interest > 0.02).sum() >= 5  # cascades
    assert np.corrcoef(np.log(market.volume[1:]), np.abs(returns))[0, 1] > 0.4
    assert np.corrcoef(market.volume, forced)[0, 1] > 0.4


def test_bundled_bars_are_sound(bundled: SimulatedMarket) -> None:
    market = bundled
    assert str(np.datetime64(int(market.ts[0]), "ns")) == "2025-01-01T00:00:00.000000000"
    assert np.all(np.diff(market.ts) == 300 * 10**9)
    assert np.all(market.low <= np.minimum(market.open, market.close))
    assert np.all(market.high >= np.maximum(market.open, market.close))
    np.testing.assert_array_equal(market.open[1:], market.close[:-1])
    for name in ("open", "high", "low", "close"):
        np.testing.assert_array_equal(getattr(market, name), np.round(getattr(market, name), 1))
    assert np.all(market.volume >= market.long_liquidated + market.short_liquidated)


def test_true_map_holds_all_open_interest_on_each_side_and_none_that_price_crossed(bundled: SimulatedMarket) -> None:
    truth = bundled.true_map
    width = bundled.settings.bin_bps / 1e4
    closes = bundled.ts + 300 * 10**9
    snapshots = np.unique(truth.ts)
    assert len(snapshots) == 10_000 // bundled.settings.snapshot_bars
    for at in snapshots:
        rows, bar = truth.ts == at, np.searchsorted(closes, at)
        layer, bins, mass = truth.layer[rows], truth.bin[rows], truth.lots[rows] * LOT
        for side in (0, 1):
            assert mass[layer % 2 == side].sum() == pytest.approx(bundled.open_interest[bar], abs=1e-6)
        price = np.log(bundled.close[bar]) / width
        assert bins[layer % 2 == 0].max() - 0.5 <= price <= bins[layer % 2 == 1].min() + 0.5
    assert set(truth.layer) == set(range(len(LAYERS)))
    assert truth.lots.min() > 0


@settings(max_examples=10)
@given(
    seed=st.integers(0, 2**32), closing_share=st.sampled_from([0.0, 0.3, 0.6, 1.0]), impact=st.sampled_from([0, 1, 6])
)
def test_kernel_equals_its_naive_twin(seed: int, closing_share: float, impact: float) -> None:
    chosen = small(seed, closing_share=closing_share, impact=impact, bars=30, warmup_bars=0)
    market, prices, flows = run(chosen)
    start, draws, rules = prepare(chosen)
    value, _, price, atr = start.now.tolist()
    twin = NaiveMarket(draws, rules, value, price, atr)
    for bar in range(chosen.bars):
        twin.run_bar()
        longs, shorts = twin.open_interest
        assert flows[bar, 1] == longs == shorts
    np.testing.assert_allclose(prices, twin.prices, rtol=0, atol=1e-9)
    for k, name in enumerate(kernels.FLOWS):
        if name != "open_interest":
            np.testing.assert_array_equal(flows[:, k], [flow[name] for flow in twin.flows])
    for side, sign in enumerate((-1, 1)):
        alive = np.flatnonzero(market.quantity[side])
        listed = sorted(twin.positions[side], key=lambda p: p.number)
        assert [p.number for p in listed] == alive.tolist()
        assert [p.lots for p in listed] == market.quantity[side, alive].tolist()
        np.testing.assert_allclose(sign * market.key[side, alive], [p.trigger for p in listed], rtol=1e-12)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32), closing_share=st.floats(0, 1), impact=st.sampled_from([0.0, 4.0]))
def test_longs_equal_shorts_equal_open_interest_at_every_bar_and_no_crossed_position_survives(
    seed: int, closing_share: float, impact: float
) -> None:
    chosen = small(seed, closing_share=closing_share, impact=impact)
    market, draws, rules = prepare(chosen)
    total = chosen.warmup_bars + chosen.bars
    prices, flows = np.zeros((total, 4)), np.zeros((total, 6), np.int64)
    opened_before = 0
    for bar in range(total):
        kernels.advance(market, draws, rules, bar, bar + 1, prices, flows)
        assert market.quantity.min() >= 0
        assert market.quantity[0].sum() == market.quantity[1].sum() == flows[bar, 1]
        old = market.quantity[:, :opened_before] > 0
        assert np.all(-market.key[0, :opened_before][old[0]] < prices[bar, 2])
        assert np.all(market.key[1, :opened_before][old[1]] > prices[bar, 1])
        opened_before = (bar + 1) * rules.steps_per_bar * rules.cohorts


def test_small_markets_see_every_kind_of_order() -> None:
    _, _, flows = run(small())
    assert flows.sum(axis=0).min() > 0
    assert flows[:, 1].min() < flows[-1, 1]


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32), blocks=st.lists(st.integers(0, 90), max_size=5).map(sorted))
def test_stopping_anywhere_changes_nothing(seed: int, blocks: list[int]) -> None:
    whole, parts = run(small(seed)), run(small(seed), blocks)
    for a, b in zip((*whole[0], *whole[1:]), (*parts[0], *parts[1:]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_impact_price_is_exogenous_and_with_it_forced_orders_move_price() -> None:
    settled = small(impact=0)
    other_holders = small(impact=0, opened_per_day=5_000.0, closing_share=0.1)
    _, draws, rules = prepare(settled)
    still, moved = simulate(settled), simulate(small(impact=4))
    np.testing.assert_array_equal(still.close, simulate(other_holders).close)
    path = settled.price * np.exp(np.cumsum(draws.returns))[rules.steps_per_bar - 1 :: rules.steps_per_bar]
    np.testing.assert_allclose(still.close, path[settled.warmup_bars :], rtol=0, atol=0.05 + 1e-6)
    assert np.abs(still.close / moved.close - 1).max() > 1e-3


def test_a_forced_sale_pushes_price_down_and_part_of_it_comes_back() -> None:
    chosen = small(bars=40, warmup_bars=0, snapshot_bars=40)
    market, draws, rules = prepare(chosen)
    returns = np.zeros_like(draws.returns)
    returns[50] = -0.012  # beyond what 100x can bear, in a market where nothing else moves
    draws = draws._replace(returns=returns, multiple=np.full_like(draws.multiple, np.inf))
    prices, flows = np.zeros((40, 4)), np.zeros((40, 6), np.int64)
    kernels.advance(market, draws, rules, 0, 40, prices, flows)
    shocked = chosen.price * np.exp(-0.012)
    assert flows[10, 2] > 0
    assert flows[10, 3] == 0
    assert prices[10, 2] < shocked - 10  # the sale took price further
    assert prices[10, 2] < prices[39, 3] < shocked  # most came back, the permanent part did not


def test_a_price_that_touches_the_trigger_exactly_liquidates() -> None:
    chosen = small(bars=1, warmup_bars=0, impact=0)
    market, draws, rules = prepare(chosen)
    returns = np.zeros_like(draws.returns)
    returns[1] = np.log(0.99)
    draws = draws._replace(returns=returns, factor=np.full_like(draws.factor, 0.99), multiple=draws.multiple + np.inf)
    draws.factor[1] = 2.0
    prices, flows = np.zeros((1, 4)), np.zeros((1, 6), np.int64)
    kernels.advance(market, draws, rules, 0, 1, prices, flows)
    assert prices[0, 2] == 59_400.0 == -market.key[0, 0]
    assert market.quantity[0, : rules.cohorts].max() == 0
    assert flows[0, 2] > 0


def test_liquidation_follows_the_venues_rule() -> None:
    # FACTS 2.1: Binance USD-M, entry 60,000, 0.01 BTC and 1 BTC
    vectors = [
        (0.01, 10, 54_216.8675, 65_737.0518),
        (0.01, 100, 59_638.5542, 60_358.5657),
        (1, 10, 54_221.1055, 65_721.3930),
        (1, 25, 57_839.1960, 62_139.3035),
        (1, 100, 59_648.2412, 60_348.2587),
    ]
    agents = tuple(
        AgentKind(leverage=lev, weight=1, notional=60_000 * qty, holding_hours=1) for qty, lev, *_ in vectors
    )
    factors = liquidation_factors(SimulationSettings(agents=agents))
    np.testing.assert_allclose(60_000 * factors.T, [vector[2:] for vector in vectors], rtol=0, atol=1e-4)


def test_leverage_beyond_the_venues_limit_is_refused() -> None:
    with pytest.raises(VenueError, match="maximum"):
        simulate(SimulationSettings(agents=(AgentKind(leverage=100, weight=1, notional=5e6, holding_hours=1),)))


def test_profile_is_the_truth_of_the_agents() -> None:
    profile, agents = load_profile("simulated"), SimulationSettings().agents
    assert [(t.leverage, t.weight, t.notional) for t in profile.tiers] == [
        (a.leverage, a.weight, a.notional) for a in agents
    ]
    shares: dict[float, float] = {}
    for agent in agents:
        if agent.stop_share:
            shares[agent.stop_atr] = shares.get(agent.stop_atr, 0) + agent.weight * agent.stop_share
    stops = {stop.multiple: stop.share for stop in profile.stops if stop.kind == "atr"}
    assert stops == pytest.approx(shares)


def test_seed_decides_everything() -> None:
    first, again, other = simulate(small(3)), simulate(small(3)), simulate(small(4))
    for column in COLUMNS:
        np.testing.assert_array_equal(getattr(first, column), getattr(again, column))
    for part in fields(first.true_map):
        np.testing.assert_array_equal(getattr(first.true_map, part.name), getattr(again.true_map, part.name))
    assert np.any(first.close != other.close)


def test_jit_on_and_off_agree() -> None:
    code = """
import sys
from forcedflow.data.simulation import SimulationSettings, simulate
market = simulate(SimulationSettings(bars=40, warmup_bars=20, volatility=3.0))
for column in (market.open, market.high, market.low, market.close, market.volume, market.open_interest):
    sys.stdout.buffer.write(column.tobytes())
"""
    off, on = (
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            env={**os.environ, "NUMBA_DISABLE_JIT": disabled},
        ).stdout
        for disabled in ("1", "0")
    )
    assert len(on) == 6 * 40 * 8
    assert off == on


@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), max_size=40))
def test_heap_is_a_heap(steps: list[tuple[bool, int]]) -> None:
    keys, heap, size = np.zeros(len(steps)), np.zeros(len(steps), np.int64), 0
    reference: list[tuple[int, int]] = []
    for item, (adds, key) in enumerate(steps):
        if adds or not reference:
            keys[item] = key
            size = kernels.push(heap, size, keys, item)
            heapq.heappush(reference, (key, item))
        else:
            assert heap[0] == heapq.heappop(reference)[1]
            size = kernels.pop(heap, size, keys)
        assert size == len(reference)


def test_main_writes_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forcedflow.data.simulation.simulate", lambda: simulate(small()))
    main(["--out", str(tmp_path / "new")])
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [BARS_FILE, MAP_FILE]


@pytest.mark.parametrize("bars", [1, 6])
def test_market_shorter_than_a_snapshot_has_an_empty_map(bars: int, tmp_path: Path) -> None:
    market = simulate(small(bars=bars))
    assert len(market.true_map.ts) == 0
    assert len(market.close) == bars
    write(market, tmp_path)
    assert pq.read_table(tmp_path / MAP_FILE).num_rows == 0
