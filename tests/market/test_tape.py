"""The market pass against a plain loop: the same events in kind, bar and group, the same numbers."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forcedflow.data import Bars, OpenInterest, VenueData, load_dataset
from forcedflow.data.series import Dataset
from forcedflow.market.tape import MarketPass, make_tape
from forcedflow.settings import MarketSettings
from forcedflow.tables import EVENT_FLOATS, EventKind, SweptMass
from generators import COARSE, Shape, dataset, examples, shapes, state_of
from naive.market_pass import NaivePass

ON_THE_MAP = (
    EventKind.ZONE_ENTRY,
    EventKind.ZONE_SWEPT,
    EventKind.ZONE_EXIT,
    EventKind.FORCED_FLOW,
    EventKind.VOID_ENTRY,
    EventKind.VOID_EXHAUSTION,
    EventKind.ZONE_NEAR,
)
"""What the plain loop knows of; channels have a twin of their own (tests/market/test_structure.py)."""


def numbered(groups: list[int]) -> list[int]:
    """Number groups by size: channels take identities from the same counter."""
    order = {group: k for k, group in enumerate(sorted(set(groups)))}
    return [order[group] if group else -1 for group in groups]


def assert_twins(market: Dataset, settings: MarketSettings) -> int:
    """Compare event tables and market bars; return the number of events."""
    kernel, naive = MarketPass(market, settings), NaivePass(market, settings)
    kernel.advance()
    naive.run()
    events, columns = kernel.events().of_kind(*ON_THE_MAP), kernel.market_bars()
    for name in ("bar", "kind", "side", "ts"):
        assert getattr(events, name).tolist() == [row[name] for row in naive.rows], name
    assert numbered(events.group.tolist()) == numbered([row["group"] for row in naive.rows])
    for name in EVENT_FLOATS:
        if naive.rows and name not in naive.rows[0]:
            continue
        expected = np.array([row[name] for row in naive.rows])
        np.testing.assert_allclose(getattr(events, name), expected, rtol=1e-9, atol=1e-9, err_msg=name)
    for name in naive.market[0]:
        expected = np.array([row[name] for row in naive.market])
        dust = 1e-9 * float(columns["oi"].max()) if name.startswith(("oi", "swept", "opened")) else 1e-9
        np.testing.assert_allclose(columns[name], expected, rtol=1e-9, atol=dust, err_msg=name)
    return len(events)


@examples(150)
@given(shapes(bars=60))
def test_every_event_agrees_with_the_plain_loop(shape: Shape) -> None:
    assert_twins(dataset(shape), COARSE)


@examples(40)
@given(shapes(bars=60), st.sampled_from([0.0, 0.47, 0.9]), st.integers(0, 2), st.sampled_from([0.1, 0.5, 0.95]))
def test_every_event_agrees_under_other_settings(  # half is a share that markets here are located by exactly: a tie
    shape: Shape, coverage: float, bridge: int, swept: float
) -> None:
    changed = {
        "min_coverage": coverage,
        "zone_bridge": bridge,
        "swept_share": swept,
        "zone_valley": 0.3,
        "bin_bps": 90.0,
    }
    assert_twins(dataset(shape), COARSE.model_copy(update=changed))


VOIDS = COARSE.model_copy(
    update={
        "void_atr": 1.0,
        "void_mass": 0.02,
        "exhaust_swept": 0.0,
        "exhaust_flow": 0.5,
        "exhaust_dry_bars": 1,
        "exhaust_vol": 1.2,
    }
)
"""Settings under which short random markets have many voids, and moves that are exhausted in them."""


@examples(60)
@given(shapes(bars=90), st.sampled_from([0.005, 0.02, 0.1]), st.sampled_from([1, 3]), st.sampled_from([6, 20]))
def test_every_void_agrees_with_the_plain_loop(shape: Shape, mass: float, dry: int, window: int) -> None:
    changed = {"void_mass": mass, "exhaust_dry_bars": dry, "exhaust_bars": window, "min_coverage": 0.02}
    assert_twins(dataset(shape), VOIDS.model_copy(update=changed))


def test_twins_have_much_to_agree_on() -> None:
    market = dataset(Shape(seed=3, bars=120, step=0.02, venues=("linear", "inverse"), holders="stops", marks=True))
    assert assert_twins(market, COARSE) > 60
    assert assert_twins(market, VOIDS) > 60
    events = make_tape(market, VOIDS, snapshots=0).events
    assert set(events.kind.tolist()) >= set(ON_THE_MAP)
    assert len(events.of_kind(EventKind.VOID_ENTRY)) > 3


def assert_swept_adds_up(market: Dataset, settings: MarketSettings, piece: int) -> int:
    """Compare the bins that burned with what burned in each bar; return their number."""
    live = MarketPass(market, settings, log_swept=True)
    while live.bar < len(market.bars):
        live.advance(live.bar + piece)
    swept, columns = live.swept(), live.market_bars()
    assert swept is not None
    assert len(swept.start) == len(market.bars) + 1
    bar = np.repeat(np.arange(len(market.bars)), np.diff(swept.start))
    assert len(bar) == len(swept.price) == len(swept.side) == len(swept.mass)
    assert (swept.mass > 0).all()
    for name, side in (("long", -1), ("short", 1)):
        mine = swept.side == side
        summed = np.bincount(bar[mine], swept.mass[mine], len(market.bars))
        expected = columns[f"swept_{name}_liq"] + columns[f"swept_{name}_stop"]
        np.testing.assert_allclose(summed, expected, rtol=1e-9, atol=1e-9 * float(columns["oi"].max()))
        outward = side * np.diff(swept.price[mine])
        assert (outward[np.diff(bar[mine]) == 0] > 0).all()
    return len(bar)


@examples(60)
@given(shapes(bars=60), st.integers(1, 60))
def test_swept_bins_add_up_to_what_was_swept(shape: Shape, piece: int) -> None:
    market = dataset(shape)
    assert_swept_adds_up(market, COARSE, piece)
    listed, whole = MarketPass(market, COARSE, log_swept=True), make_tape(market, COARSE, log_swept=True)
    while listed.bar < len(market.bars):
        listed.advance(listed.bar + piece)
    one, other = listed.swept(), whole.swept
    assert one is not None
    assert other is not None
    assert all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in SweptMass.__slots__)


@pytest.mark.parametrize(("name", "first", "count"), [("btc-venues-1h", 7000, 600), ("silver-1h", -700, 600)])
def test_swept_bins_of_real_markets_add_up(shared_data: Path, name: str, first: int, count: int) -> None:
    whole = load_dataset(name)
    ts = whole.bars.ts[first:][:count]
    cut = whole.between(int(ts[0]), int(ts[-1]))
    assert assert_swept_adds_up(cut, MarketSettings(), 97) > 100


def test_the_list_of_swept_bins_changes_nothing_else() -> None:
    market = dataset(Shape(seed=6, bars=100, step=0.03, venues=("margins", "inverse"), holders="stops"))
    listed, bare = MarketPass(market, COARSE, log_swept=True), MarketPass(market, COARSE)
    listed.advance()
    bare.advance()
    assert bare.swept() is None
    assert state_of(listed) == state_of(bare)


@pytest.mark.parametrize(
    ("name", "first", "count"),
    [("btcusdt-5m", 3000, 150), ("btc-venues-1h", 7300, 120), ("silver-1h", -700, 120)],
)
def test_real_markets_agree_with_the_plain_loop(shared_data: Path, name: str, first: int, count: int) -> None:
    """The crash of October 2025 lies in the second, sessions and estimated open interest in the third."""
    market = load_dataset(name)
    ts = market.bars.ts
    cut = market.between(int(ts[first]), int(ts[first + count]))
    settings = MarketSettings(entry_points=2, min_coverage=0.02, bin_bps=20)
    assert assert_twins(cut, settings) > 3


def test_events_have_a_total_order() -> None:
    events = make_tape(dataset(Shape(seed=4, bars=150, step=0.03, jumps=True)), COARSE, snapshots=0).events
    keys = list(
        zip(events.bar.tolist(), events.kind.tolist(), events.side.tolist(), events.group.tolist(), strict=True)
    )
    assert len(keys) > 50
    assert keys == sorted(set(keys))


def test_averages_use_bars_before_the_one_they_judge() -> None:
    market = dataset(Shape(seed=5, bars=40))
    atr = make_tape(market, COARSE, snapshots=0).market_bars["atr"]
    bars = market.bars
    before = np.concatenate((bars.close[:1], bars.close[:-1]))
    ranges = np.log(np.maximum(bars.high, before)) - np.log(np.minimum(bars.low, before))
    assert atr[:2].tolist() == [0.0, 0.0]
    assert atr[2] == pytest.approx(ranges[1])
    assert atr[39] == pytest.approx(ranges[1:39].mean())


def test_snapshots_are_the_map_at_their_closes() -> None:
    market = dataset(Shape(seed=6, bars=90, jumps=True))
    tape = make_tape(market, COARSE, snapshots=7)
    shots = tape.snapshots
    assert len(shots.bar) == 7
    assert shots.bar[-1] == 89
    assert shots.ts.tolist() == market.bars.close_ts[shots.bar].tolist()
    for k, bar in enumerate(shots.bar.tolist()):
        live = MarketPass(market, COARSE)
        live.advance(bar + 1)
        mass = live.map.mass()
        assert shots.oi[k] == live.map.open_interest
        np.testing.assert_allclose(shots.mass[k].sum(axis=1), mass.sum(axis=1), rtol=1e-5)
        column = int(mass.sum(axis=0).argmax())
        here = int(live.map.bins[column]) - int(shots.bins[0])
        np.testing.assert_array_equal(shots.mass[k][:, here], mass[:, column].astype(np.float32))
    assert make_tape(market, COARSE, snapshots=0).snapshots.mass.shape[0] == 0


def test_implied_liquidation_rate_is_swept_mass_a_day_over_open_interest() -> None:
    tape = make_tape(dataset(Shape(seed=7, bars=100, step=0.02)), COARSE, snapshots=0)
    known = tape.market_bars["coverage_long"] + tape.market_bars["coverage_short"] >= 0.5
    assert 0 < known.sum() < 100
    swept = (tape.market_bars["swept_long_liq"] + tape.market_bars["swept_short_liq"])[known]
    days = known.sum() / 24
    before = tape.market_bars["oi"][np.flatnonzero(known) - 1]  # what there was to be swept
    assert tape.implied_liquidation_rate == pytest.approx((swept / before).sum() / 2 / days)
    nobody = dataset(Shape(seed=7, bars=3))
    assert make_tape(nobody, COARSE, snapshots=0).implied_liquidation_rate is None


def test_listening_returns_after_the_bar_of_the_event() -> None:
    market = dataset(Shape(seed=8, bars=100, step=0.02))
    whole = make_tape(market, COARSE, snapshots=0).events.of_kind(EventKind.ZONE_ENTRY)
    live, heard = MarketPass(market, COARSE), []
    while live.advance(listen=[EventKind.ZONE_ENTRY]):
        heard.append(live.bar - 1)
        assert live.events().bar[-1] == live.bar - 1
    assert heard == sorted(set(whole.bar.tolist()))
    assert live.bar == 100
    assert not live.advance()


def test_a_tape_says_what_its_reader_must_know() -> None:
    market = replace(dataset(Shape(bars=5, venues=("margins",))), notes=("a warning of the data",))
    notes = make_tape(market, COARSE, snapshots=0).notes
    assert notes[0] == "a warning of the data"
    assert all(isinstance(n, str) for n in notes)


@pytest.mark.parametrize("rows", [0, 1, 137])
def test_any_event_buffer_will_do(rows: int) -> None:
    market = dataset(Shape(seed=9, bars=100, step=0.03))
    small = MarketPass(market, COARSE, event_rows=rows)
    small.advance()
    assert small.event_count == len(make_tape(market, COARSE, snapshots=0).events) > 20
    assert not math.isnan(small.events().close.sum())


def test_memory_is_flat_in_the_number_of_bars() -> None:
    """The map is as large after many bars as after few, where price stays in one range."""

    def kept(bars: int) -> int:
        ts = np.arange(bars) * 60_000_000_000
        price = 30_000 * np.exp(0.02 * np.sin(np.arange(bars) / 50))
        columns = {"ts": ts, "open": price, "high": price * 1.001, "low": price * 0.999, "close": price}
        walk, _ = Bars.from_columns(columns | {"volume": np.full(bars, 10.0)})
        held = OpenInterest.from_columns(ts + walk.interval, np.full(bars, 1e4), ts + 2 * walk.interval)
        venue = VenueData("hyperliquid", "BTC", "linear", "hyperliquid-like", held)
        market = MarketPass(Dataset("sine", "sine", walk, (venue,)))
        market.advance()
        arrays = market.map.arrays
        return sum(part.nbytes for name, part in arrays._asdict().items() if name != "stamps")

    assert kept(20_000) == kept(1_000)


def test_a_copy_goes_its_own_way() -> None:
    """What is derived from its arrays is derived from its own: the first goes on, the copy stands still."""
    first = MarketPass(load_dataset("simulated", None, "2025-01-02T06:00"))
    first.advance(150)
    twin = copy.deepcopy(first)
    interest, mass, events = twin.map.open_interest, twin.map.mass(), twin.event_count
    first.advance()
    assert twin.map.open_interest == interest
    np.testing.assert_array_equal(twin.map.mass(), mass)
    assert twin.event_count == events
    twin.advance()
    assert twin.map.open_interest == first.map.open_interest != interest
    np.testing.assert_array_equal(twin.map.mass(), first.map.mass())
    np.testing.assert_array_equal(twin.events().near, first.events().near)
