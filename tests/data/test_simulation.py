"""The bundled simulated market: its truth, its twin, and the files that are committed."""

from __future__ import annotations

import heapq
import json
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forcedflow.data import load_dataset
from forcedflow.data.agents import PRESETS, AgentKind, SimulationSettings, preset
from forcedflow.data.simulated import (
    BARS_FILE,
    COLUMNS,
    LOT,
    MAP_FILE,
    SimulatedMarket,
    write,
    write_dataset,
)
from forcedflow.data.simulation import Simulation, liquidation_factors, main, simulate
from forcedflow.errors import RecordError, SettingsError, VenueError
from forcedflow.kernels import simulation as kernels
from forcedflow.tables import LAYERS
from forcedflow.venues import load_profile
from naive.simulation import NaiveMarket

needs_jit = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="thousands of bars take minutes without the JIT"
)
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


OTHER = {
    "venue": "hyperliquid",
    "symbol": "BTC",
    "opened_per_day": 20_000.0,
    "volume_per_day": 50_000.0,
    "agents": [
        {"leverage": 3, "weight": 1, "notional": 60_000, "holding_hours": 5, "follow": -1.0},
        {"leverage": 40, "weight": 2, "notional": 6_000, "holding_hours": 2, "follow": 1.0},
    ],
}
FEATURES: dict[str, dict[str, object]] = {
    "plain": {},
    "two venues": {"others": [OTHER]},
    "magnet": {"magnet": 0.5, "others": [OTHER], "trend_bars": 5},
    "void": {"void": 1.0, "void_mass": 0.5, "void_swept": 0.001},
}


def run(chosen: SimulationSettings, blocks: list[int] | None = None) -> Simulation:
    """Run the market over all bars, stopping where ``blocks`` says."""
    running = Simulation(chosen)
    for stop in [*(blocks or []), running.total]:
        running.advance(stop)
    return running


def state(running: Simulation) -> list[np.ndarray]:
    """All that a market remembers, cohorts in their order, and what it wrote."""
    market = running.market
    kept = [running.prices, running.flows, market.now, market.mass, market.sizes]
    for book, size in enumerate(market.sizes):
        slots = market.heaps[0, book, :size]
        slots = slots[np.argsort(market.number[book, slots])]
        columns = (market.number, market.quantity, market.key, market.stopped, market.due)
        kept += [column[book, slots] for column in columns]
    return kept


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


@pytest.mark.parametrize("feature", FEATURES)
@settings(max_examples=5)
@given(
    seed=st.integers(0, 2**32), closing_share=st.sampled_from([0.0, 0.3, 0.6, 1.0]), impact=st.sampled_from([0, 1, 6])
)
def test_kernel_equals_its_naive_twin(feature: str, seed: int, closing_share: float, impact: float) -> None:
    changes = {
        "closing_share": closing_share,
        "impact": impact,
        "bars": 30,
        "warmup_bars": 0,
        "opened_per_day": 30_000.0,
    }
    running = run(small(seed, **changes | FEATURES[feature]))
    fresh = Simulation(running.settings)
    value, _, price, atr, *_ = fresh.market.now.tolist()
    twin = NaiveMarket(fresh.chance.block(0, fresh.total), fresh.kinds, fresh.rules, value, price, atr)
    for bar in range(fresh.total):
        twin.run_bar()
        for v in range(running.flows.shape[1]):
            longs, shorts = twin.open_interest(v)
            assert running.flows[bar, v, 1] == longs == shorts
    np.testing.assert_allclose(running.prices, twin.prices, rtol=0, atol=1e-9)
    for k, name in enumerate(kernels.FLOWS):
        if name != "open_interest":
            np.testing.assert_array_equal(running.flows[:, :, k], [[f[name] for f in row] for row in twin.flows])
    market = running.market
    for book, size in enumerate(market.sizes):
        listed = sorted(twin.positions[book // 2][book % 2], key=lambda p: p.number)
        slots = market.heaps[0, book, :size]
        slots = slots[np.argsort(market.number[book, slots])]
        assert [p.number for p in listed] == market.number[book, slots].tolist()
        assert [p.lots for p in listed] == market.quantity[book, slots].tolist()
        triggers = np.abs(market.key[book, slots])
        np.testing.assert_allclose(triggers, [p.trigger for p in listed], rtol=1e-12)
    np.testing.assert_allclose(market.now[5:], [twin.momentum, twin.pressure], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("feature", FEATURES)
@settings(max_examples=4)
@given(seed=st.integers(0, 2**32), closing_share=st.floats(0, 1), impact=st.sampled_from([0.0, 4.0]))
def test_longs_equal_shorts_equal_open_interest_at_every_bar_and_no_crossed_position_survives(
    feature: str, seed: int, closing_share: float, impact: float
) -> None:
    running = Simulation(small(seed, closing_share=closing_share, impact=impact, **FEATURES[feature]))
    opened_before = 0
    for bar in range(running.total):
        running.advance(bar + 1)
        market = running.market
        for book, size in enumerate(market.sizes):
            slots = market.heaps[0, book, :size]
            assert sorted(market.heaps[1, book, :size]) == sorted(slots)
            assert market.quantity[book, slots].min(initial=1) > 0
            assert market.quantity[book, slots].sum() == running.flows[bar, book // 2, 1]
            old = slots[market.number[book, slots] < opened_before]
            low, high = running.prices[bar, 2], running.prices[bar, 1]
            assert np.all(-market.key[book, old] < low if book % 2 == 0 else market.key[book, old] > high)
        if market.mass.size:
            assert market.mass.sum(axis=1).tolist() == [running.flows[bar, :, 1].sum()] * 2
            assert market.mass.min() >= 0
        opened_before = (bar + 1) * running.rules.steps_per_bar * running.rules.cohorts


def test_small_markets_see_every_kind_of_order() -> None:
    flows = run(small()).flows[:, 0]
    assert flows.sum(axis=0).min() > 0
    assert flows[:, 1].min() < flows[-1, 1]


@pytest.mark.parametrize("feature", FEATURES)
@settings(max_examples=4)
@given(seed=st.integers(0, 2**32), blocks=st.lists(st.integers(0, 90), max_size=5).map(sorted))
def test_stopping_anywhere_and_drawing_in_blocks_of_any_size_changes_nothing(
    feature: str, seed: int, blocks: list[int]
) -> None:
    chosen = small(seed, **FEATURES[feature])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("forcedflow.data.simulation.BLOCK", 700)
        parts = run(chosen, blocks)
    for a, b in zip(state(run(chosen)), state(parts), strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_impact_price_is_exogenous_and_with_it_forced_orders_move_price() -> None:
    settled = small(impact=0)
    other_holders = small(impact=0, opened_per_day=5_000.0, closing_share=0.1)
    start = Simulation(settled)
    returns, per_bar = start.chance.returns, start.rules.steps_per_bar
    still, moved = simulate(settled), simulate(small(impact=4))
    np.testing.assert_array_equal(still.close, simulate(other_holders).close)
    path = settled.price * np.exp(np.cumsum(returns))[per_bar - 1 :: per_bar]
    np.testing.assert_allclose(still.close, path[settled.warmup_bars :], rtol=0, atol=0.05 + 1e-6)
    assert np.abs(still.close / moved.close - 1).max() > 1e-3


def test_a_forced_sale_pushes_price_down_and_part_of_it_comes_back() -> None:
    chosen = small(bars=40, warmup_bars=0, snapshot_bars=40)
    running = Simulation(chosen)
    running.chance.returns[:] = 0.0
    running.chance.returns[50] = -0.012  # beyond what 100x can bear, in a market where nothing else moves
    running.kinds.stop_share[:] = 0.0
    running.advance(40)
    prices, flows = running.prices, running.flows[:, 0]
    shocked = chosen.price * np.exp(-0.012)
    assert flows[10, 2] > 0
    assert flows[10, 3] == 0
    assert prices[10, 2] < shocked - 10  # the sale took price further
    assert prices[10, 2] < prices[39, 3] < shocked  # most came back, the permanent part did not


def test_a_price_that_touches_the_trigger_exactly_liquidates() -> None:
    running = Simulation(small(bars=1, warmup_bars=0, impact=0))
    running.chance.returns[:] = 0.0
    running.chance.returns[1] = np.log(0.99)
    running.kinds.stop_share[:] = 0.0
    running.kinds.factor[0], running.kinds.factor[1] = 0.99, 2.0
    running.advance(1)
    market, slots = running.market, running.market.heaps[0, 0, : running.market.sizes[0]]
    assert running.prices[0, 2] == 59_400.0
    assert market.number[0, slots].min() >= running.rules.cohorts  # those of the first step are gone
    assert running.flows[0, 0, 2] > 0


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


@given(st.lists(st.tuples(st.sampled_from(["push", "pop", "drop"]), st.integers(-3, 3)), max_size=40))
def test_heap_is_a_heap(steps: list[tuple[str, int]]) -> None:
    count = len(steps) + 1
    keys, heap, places, numbers, size = (
        np.zeros(count),
        np.arange(count),
        np.arange(count),
        np.arange(count)[::-1].copy(),
        0,
    )
    reference: list[tuple[int, int, int]] = []
    for what, key in steps:
        if what == "push" or not reference:
            item = heap[size]  # a free one
            keys[item] = key
            kernels.push(heap, places, size, keys, numbers, item)
            heapq.heappush(reference, (key, int(numbers[item]), int(item)))
            size += 1
        else:
            at = 0 if what == "pop" else abs(key) % size
            row = (int(keys[heap[at]]), int(numbers[heap[at]]), int(heap[at]))
            assert at > 0 or row == min(reference)
            reference.remove(row)
            heapq.heapify(reference)
            kernels.remove(heap, places, size, keys, numbers, at)
            size -= 1
        assert size == len(reference)
        assert sorted(heap) == list(range(count))
        np.testing.assert_array_equal(heap[places], np.arange(count))


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


# --- Markets of other kinds ---


@needs_jit
@pytest.mark.parametrize("name", ["null", "walk"])
def test_a_null_market_moves_as_its_walk_whoever_trades(name: str) -> None:
    chosen = preset(name, {"bars": 400, "warmup_bars": 50, "seed": 5})
    assert chosen.exogenous
    market = simulate(chosen)
    returns = Simulation(chosen).chance.returns.reshape(-1, chosen.steps_per_bar).sum(axis=1)
    np.testing.assert_allclose(np.diff(np.log(market.close)), returns[51:], atol=3e-6)  # to the tick
    assert market.premium.max() == market.premium.min() == 0.0
    forced = market.long_liquidated + market.short_liquidated
    assert (forced.sum() > 0) == (name == "null")
    assert market.open_interest.min() > 0
    assert np.ptp(market.open_interest) > 0


@needs_jit
def test_a_walks_open_interest_knows_nothing_of_price() -> None:
    chosen = {"bars": 3000, "warmup_bars": 0, "seed": 8}
    one, other = (simulate(preset("walk", chosen | {"volatility": v})) for v in (0.5, 0.9))
    np.testing.assert_array_equal(one.open_interest, other.open_interest)
    assert np.any(one.close != other.close)


def pull(market: SimulatedMarket) -> float:
    """Correlation of a bar's return with the imbalance of mass in reach before it."""
    shots = market.snapshots
    here = np.rint(np.log(market.close[shots.bar]) / shots.bin_width).astype(int) - shots.bins[0]
    both, reach = shots.mass[:, :2] + shots.mass[:, 2:], int(market.settings.magnet_reach / 1e-3)
    above = np.array([m[1, h : h + reach].sum() for m, h in zip(both, here, strict=True)])
    below = np.array([m[0, h - reach : h].sum() for m, h in zip(both, here, strict=True)])
    after = np.log(market.close[shots.bar[:-1] + 1] / market.close[shots.bar[:-1]])
    return float(np.corrcoef(((above - below) / (above + below))[:-1], after)[0, 1])


@needs_jit
def test_the_magnet_draws_price_to_the_heavier_side() -> None:
    chosen = {"bars": 2000, "warmup_bars": 300, "seed": 2, "snapshot_bars": 4, "cohorts_per_step": 2}
    assert abs(pull(simulate(preset("null", chosen)))) < 0.135  # three standard errors
    assert pull(simulate(preset("magnet", chosen | {"magnet": 0.4}))) > 0.2


@needs_jit
def test_the_void_turns_price_back_after_a_sweep() -> None:
    chosen = {"bars": 4000, "warmup_bars": 300, "seed": 2, "snapshot_bars": 10_000, "cohorts_per_step": 2}
    mechanism = {"void_mass": 1.0, "void_swept": 0.001, "void_minutes": 5.0}

    def turned(strength: float) -> float:
        """t value of the return after forced flow, against its direction."""
        market = simulate(preset("void", chosen | mechanism | {"void": strength}))
        bought, sold = market.short_liquidated + market.short_stopped, market.long_liquidated + market.long_stopped
        flow = ((bought - sold) / market.open_interest)[:-1]
        hit = np.abs(flow) > 0.001
        after = -np.sign(flow[hit]) * np.diff(np.log(market.close))[hit]
        return float(after.mean() / after.std() * np.sqrt(hit.sum()))

    assert abs(turned(0.0)) < 3
    assert turned(1.0) > 5


def test_trend_followers_are_longs_after_a_rise_and_makers_shorts() -> None:
    agents = [
        {"leverage": 3, "weight": 1, "notional": 60_000, "holding_hours": 20, "follow": -1.0},
        {"leverage": 20, "weight": 1, "notional": 6_000, "holding_hours": 20, "follow": 1.0},
    ]
    running = Simulation(small(impact=0, agents=agents, trend_bars=20, bars=40, warmup_bars=0))
    running.chance.returns[:] = 2e-3
    running.advance(20)
    np.testing.assert_allclose(running.market.chance[:, 0], [1 / (1 + np.exp(4)), 1 / (1 + np.exp(-4))], rtol=1e-6)


def test_funding_is_the_premiums_mean_and_what_interest_leaves() -> None:
    market = simulate(small(bars=200))  # 16 h 40 min
    funding = market.funding()
    assert len(funding) == 2
    assert funding.ts[0] == market.ts[0] + 8 * 3600 * 10**9
    premium = market.premium[:96].mean()
    assert funding.rate[0] == pytest.approx(premium + np.clip(1e-4 - premium, -5e-4, 5e-4), rel=1e-12)
    assert market.premium.std() > 0
    np.testing.assert_allclose(simulate(small(bars=200, impact=0)).funding().rate, 1e-4)


def test_true_map_in_a_heatmaps_form_is_the_same_mass() -> None:
    market = simulate(small(bars=60))
    shots, truth = market.snapshots, market.true_map
    assert shots.bar.tolist() == [6, 13, 20, 27, 34, 41, 48, 55]
    assert shots.mass.sum() == pytest.approx(truth.lots.sum() * LOT, rel=1e-6)
    np.testing.assert_allclose(shots.oi, market.open_interest[shots.bar], rtol=1e-6)
    row = np.flatnonzero(truth.ts == shots.ts[3])[5]
    assert shots.mass[3, truth.layer[row], truth.bin[row] - shots.bins[0]] == np.float32(truth.lots[row] * LOT)


def test_a_written_dataset_is_the_one_in_memory(tmp_path: Path) -> None:
    market = simulate(small(bars=150, others=[OTHER]))
    live = market.dataset()
    read = load_dataset(write_dataset(market, tmp_path / "market"))
    assert read.data_hash == live.data_hash
    assert [v.venue for v in read.venues] == ["binance-um", "hyperliquid"]
    for number, (a, b) in enumerate(zip(read.venues, live.venues, strict=True)):
        assert load_profile(a.profile).tiers == load_profile(b.profile).tiers == market.profile(number).tiers
    kept = SimulationSettings.model_validate(json.loads((tmp_path / "market" / "settings.json").read_text()))
    assert kept == market.settings
    with pytest.raises(RecordError, match="exists"):
        write_dataset(market, tmp_path / "market")
    assert [path.name for path in tmp_path.iterdir()] == ["market"]


def test_unknown_markets_and_settings_are_refused() -> None:
    with pytest.raises(SettingsError, match="coupled"):
        preset("bull")
    with pytest.raises(SettingsError, match="impakt"):
        preset("null", {"impakt": 3})
    with pytest.raises(SettingsError, match="agents"):
        preset("walk", {"others": [OTHER]})
    with pytest.raises(SettingsError, match="below 1"):
        preset("null", {"garch_alpha": 0.1, "garch_beta": 0.9})
    with pytest.raises(SettingsError, match="coarser"):
        simulate("null", price=0.2)
    assert simulate(small(), bars=3).close.tolist() == simulate(small(bars=3)).close.tolist()
    assert set(PRESETS) == {"bundled", "coupled", "null", "walk", "magnet", "void"}
