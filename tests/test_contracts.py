"""The contracts of the market pass, on random markets and on slices of real ones: what must hold whatever the market.

Causality, conservation, chunks, scale, mirror and determinism here; agreement with the naive twins in ``kernels/`` and
``market/``.
"""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from forcedflow.data import load_dataset
from forcedflow.data.series import Dataset, Funding, OpenInterest, VenueData
from forcedflow.market.liquidation_map import LiquidationMap
from forcedflow.market.tape import MarketPass
from forcedflow.settings import MarketSettings
from forcedflow.tables import EVENT_FLOATS, MARKET_BARS, EventKind, Events
from generators import (
    COARSE,
    JIT,
    Shape,
    dataset,
    examples,
    off_edges,
    profile,
    reflected,
    repriced,
    scaled,
    shapes,
    state_of,
    with_columns,
)

LONG, SHORT = 0, 1
FINE = MarketSettings(min_coverage=0.02)
REAL = [("btcusdt-5m", 3000), ("btc-venues-1h", 7000), ("silver-1h", -900)]  # their densest stretches
PRICES = (
    "upper",
    "lower",
    "extreme",
    "near",
    "far",
    "peak",
    "close",
    "above_near",
    "above_far",
    "above_peak",
    "below_near",
    "below_far",
    "below_peak",
)


def real(name: str, first: int) -> Dataset:
    """Return some bars of a real market, fewer where nothing is compiled."""
    whole = load_dataset(name)
    ts = whole.bars.ts[first:][: 800 if JIT else 100]
    return whole.between(int(ts[0]), int(ts[-1]) + whole.bars.interval)


def run(market: Dataset, settings: MarketSettings, stop: int | None = None) -> MarketPass:
    live = MarketPass(market, settings)
    live.advance(stop)
    return live


def by_bin(now: LiquidationMap, layer: int) -> dict[int, float]:
    return dict(zip(now.bins.tolist(), now.mass()[layer].tolist(), strict=True))


# 1. Causality


def prefix(market: Dataset, bars: int) -> Dataset:
    """Cut off everything that is stamped after the close of the last of ``bars``."""
    return market.between(None, int(market.bars.close_ts[bars - 1]))


def poisoned(market: Dataset, bars: int) -> Dataset:
    """Spoil every bar after the first ``bars``, and every venue value that is not known by then."""
    now = int(market.bars.close_ts[bars - 1])
    columns = {name: column.copy() for name, column in market.bars.columns().items() if name != "ts"}
    for column in columns.values():
        column[bars:] = np.nan

    def unknown(venue: VenueData) -> VenueData:
        oi, funding = venue.open_interest, venue.funding
        if oi is not None:
            oi = OpenInterest(oi.stamp, oi.available_at, np.where(oi.available_at > now, np.nan, oi.value))
        if funding is not None:
            funding = Funding(funding.ts, funding.available_at, np.where(funding.ts > now, np.nan, funding.rate))
        return replace(venue, open_interest=oi, funding=funding)

    return replace(market, bars=with_columns(market.bars, **columns), venues=tuple(map(unknown, market.venues)))


def assert_causal(market: Dataset, settings: MarketSettings, cut: int) -> None:
    whole = MarketPass(market, settings)
    whole.advance(cut)
    then = state_of(whole)
    assert state_of(run(prefix(market, cut), settings)) == then
    assert state_of(run(poisoned(market, cut), settings, cut)) == then
    whole.advance()
    events, columns = whole.events(), whole.market_bars()
    past = events[events.bar < cut]
    assert all(getattr(past, name).tobytes() == then[f"event {name}"] for name in Events.__slots__)
    assert all(columns[name][:cut].tobytes() == then[f"market {name}"] for name in MARKET_BARS)


@examples(100)
@given(shapes(bars=80), st.integers(1, 80))
def test_a_prefix_replays_to_a_prefix_and_the_future_changes_nothing(shape: Shape, cut: int) -> None:
    market = dataset(shape)
    assert_causal(market, COARSE, min(cut, len(market.bars)))


@examples(15)
@given(shapes(bars=80, venues=("volume",)), st.integers(1, 80))
def test_estimated_open_interest_is_causal(shape: Shape, cut: int) -> None:
    market = dataset(shape)
    assert_causal(market, COARSE, min(cut, len(market.bars)))


@pytest.mark.parametrize(("name", "first"), REAL)
def test_real_markets_are_causal(shared_data: Path, name: str, first: int) -> None:
    market = real(name, first)
    for share in (0.01, 0.4, 0.93):
        assert_causal(market, FINE, max(int(share * len(market.bars)), 1))


# 2. Conservation


def assert_conserved(live: MarketPass) -> None:
    for venue, stored in zip(live.map.venues, live.map.arrays.stored, strict=True):
        assert np.isfinite(stored).all()
        alive = stored.sum(axis=1) * np.tile(venue.scale, 2)
        for name in ("unlocated", "pending", "opened", "overdrawn", "added", "swept", "faded"):
            assert (venue[name] >= 0).all(), name
        assert (stored >= 0).all()
        for side in (LONG, SHORT):
            located = alive[side] + alive[side + 2]
            if venue.settled >= 0:
                assert located + venue.unlocated[side] + venue.pending[side] == pytest.approx(venue.oi, rel=1e-9)
            else:
                assert located == venue.unlocated[side] == venue.pending[side] == 0.0
        np.testing.assert_allclose(alive + venue.swept + venue.faded, venue.added, rtol=1e-9)


def assert_consumed(live: MarketPass) -> None:
    """No mass is left where price was in the last bar taken: none is born dead, and none survives being reached."""
    bars, bar, width = live.dataset.bars, live.bar - 1, live.map.bin_width
    low, high = math.log(bars.low[bar]) / width, math.log(bars.high[bar]) / width
    mark_low = low if bars.mark_low is None else math.log(bars.mark_low[bar]) / width
    mark_high = high if bars.mark_high is None else math.log(bars.mark_high[bar]) / width
    for venue, stored in zip(live.map.venues, live.map.arrays.stored, strict=True):
        for layer in range(4):
            at = live.map.bins + (venue.origin[layer % 2] if layer < 2 else 0.0)
            reached = at >= (mark_low, low)[layer // 2] if layer % 2 == LONG else at <= (mark_high, high)[layer // 2]
            assert not stored[layer, reached].any()


@examples(60)
@given(shapes(bars=60, oi_collapses=False), st.sampled_from([0.0, 0.00276, 1.0]))
def test_every_contract_has_a_long_and_a_short(shape: Shape, hazard: float) -> None:
    live = MarketPass(dataset(shape), COARSE.model_copy(update={"hazard_per_hour": hazard}))
    for stop in range(1, shape.bars + 1):
        live.advance(stop)
        assert_conserved(live)
        assert_consumed(live)


@examples(20)
@given(shapes(bars=60, oi_collapses=True, oi_zero=True, jumps=True, gaps=True, lag=3))
def test_collapse_after_collapse_is_conserved(shape: Shape) -> None:
    live = MarketPass(dataset(shape), COARSE)
    for stop in range(1, shape.bars + 1):
        live.advance(stop)
        assert_conserved(live)


@pytest.mark.parametrize(("name", "first"), REAL)
def test_real_markets_are_conserved(shared_data: Path, name: str, first: int) -> None:
    market = real(name, first)
    live = MarketPass(market, FINE)
    for stop in range(1, len(market.bars) + 1, 7):
        live.advance(stop)
        assert_conserved(live)
        assert_consumed(live)


# 3. Chunks, masks, buffers


def shrink(live: MarketPass) -> None:
    """Give a pass that has not begun a grid of three bins, so that it must grow at once and again and again."""
    arrays = live.map.arrays
    tiny = arrays._replace(stored=np.zeros((len(arrays.venues), 4, 3)))
    tiny.head.first = int(arrays.head.position[0])
    live.map = LiquidationMap(tiny)


def assert_same_in_pieces(market: Dataset, settings: MarketSettings, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pieces = MarketPass(market, settings, event_rows=int(rng.integers(0, 200)), snapshots=int(rng.integers(0, 9)))
    shrink(pieces)
    while pieces.bar < len(market.bars):
        kinds = [kind for kind in EventKind if rng.random() < 0.4]
        pieces.advance(pieces.bar + int(rng.geometric(0.1)), listen=kinds)
    assert state_of(pieces) == state_of(run(market, settings))


@examples(60)
@given(shapes(bars=80), st.integers(0, 2**32 - 1))
def test_chunks_masks_buffers_and_grids_change_nothing(shape: Shape, seed: int) -> None:
    assert_same_in_pieces(dataset(shape), COARSE, seed)


@pytest.mark.parametrize(("name", "first"), REAL)
def test_real_markets_are_the_same_in_pieces(shared_data: Path, name: str, first: int) -> None:
    assert_same_in_pieces(real(name, first), FINE, 1)


# 4. Scale


def assert_same_scaled(market: Dataset, settings: MarketSettings, power: int) -> None:
    one, other = run(market, settings), run(scaled(market, 2.0**power), settings)
    events, larger = one.events(), other.events()
    assert all(getattr(events, name).tobytes() == getattr(larger, name).tobytes() for name in Events.__slots__)
    for name, column in one.market_bars().items():
        factor = 2.0**power if name.startswith(("oi", "swept", "opened", "volume")) else 1.0
        if name == "channel":
            assert column.tolist() == other.market_bars()[name].tolist()
            continue
        assert (column * factor).tobytes() == other.market_bars()[name].tobytes()
    assert (one.map.mass() * 2.0**power).tobytes() == other.map.mass().tobytes()


@examples(30)
@given(shapes(bars=60), st.integers(-20, 20))
def test_volume_and_open_interest_have_no_unit(shape: Shape, power: int) -> None:
    assert_same_scaled(dataset(shape), COARSE, power)


@pytest.mark.parametrize(("name", "first"), REAL)
def test_real_volume_and_open_interest_have_no_unit(shared_data: Path, name: str, first: int) -> None:
    assert_same_scaled(real(name, first), FINE, 7)


def assert_same_repriced(market: Dataset, settings: MarketSettings, bins: int) -> None:
    width = settings.bin_bps * 1e-4
    factor = math.exp(bins * width)
    one, other = run(market, settings), run(repriced(market, factor), settings)
    events, moved = one.events(), other.events()
    for name in ("bar", "ts", "kind", "side", "group"):
        assert getattr(events, name).tolist() == getattr(moved, name).tolist()
    for name in EVENT_FLOATS:
        expected = getattr(events, name) * (factor if name in PRICES else 1.0)
        np.testing.assert_allclose(getattr(moved, name), expected, rtol=1e-9, atol=1e-9, err_msg=name)
    largest = float(one.market_bars()["oi"].max())
    for layer in range(4):
        moved_mass = by_bin(other.map, layer)
        unit = 1.0 / factor if market.venues[0].contract == "inverse" else 1.0
        for k, mass in by_bin(one.map, layer).items():
            assert moved_mass.get(k + bins, 0.0) == pytest.approx(mass * unit, rel=1e-9, abs=1e-9 * largest)


@examples(30)
@given(shapes(bars=60, venues=("linear",), holders="distances", flat=False), st.integers(-500, 500))
def test_prices_have_no_unit(shape: Shape, bins: int) -> None:
    market = dataset(shape)
    assume(off_edges(market, COARSE.bin_bps * 1e-4))
    assert_same_repriced(market, COARSE, bins)


@examples(15)
@given(shapes(bars=60, venues=("inverse",), holders="distances", flat=False), st.integers(-500, 500))
def test_prices_of_inverse_contracts_have_no_unit(shape: Shape, bins: int) -> None:
    market = dataset(shape)
    assume(off_edges(market, COARSE.bin_bps * 1e-4))
    assert_same_repriced(market, COARSE, bins)


@pytest.mark.parametrize(("name", "first"), REAL[:2])
def test_real_prices_have_no_unit(shared_data: Path, name: str, first: int) -> None:
    holders = profile(np.random.default_rng(1), "distances")
    assert_same_repriced(real(name, first), FINE.model_copy(update={"profile": holders}), 41)


# 5. Mirror

SIDES = {
    "above_near": "below_near",
    "above_far": "below_far",
    "above_peak": "below_peak",
    "above_mass": "below_mass",
    "upper": "lower",
    "upper_touches": "lower_touches",
}
SIDES |= {there: here for here, there in SIDES.items()}


SIGNED = ("gap", "momentum", "slope")
LEVELS = {
    "channel_upper": "channel_lower",
    "channel_lower": "channel_upper",
    "swing_low": "swing_high",
    "swing_high": "swing_low",
}


def by_size(events: Events, sign: int) -> Events:
    """Return events in an order that both worlds share; groups are numbered as they come, so they order alike."""
    return events[np.lexsort((events.group, sign * events.side, events.kind, events.bar))]


def assert_mirrored(market: Dataset, settings: MarketSettings) -> None:
    width = settings.bin_bps * 1e-4
    centre = 2 * round(math.log(market.bars.close[0]) / width) + 1
    product = math.exp(centre * width)
    here, there = run(market, settings), run(reflected(market, product), settings)
    events, mirrored = by_size(here.events(), 1), by_size(there.events(), -1)
    assert events.bar.tolist() == mirrored.bar.tolist()
    assert events.kind.tolist() == mirrored.kind.tolist()
    assert events.side.tolist() == (-mirrored.side).tolist()
    groups = set(zip(events.group.tolist(), mirrored.group.tolist(), strict=True))
    assert len({a for a, _ in groups}) == len({b for _, b in groups}) == len(groups)
    for name in EVENT_FLOATS:
        expected = getattr(events, name)
        expected = product / expected if name in PRICES else -expected if name in SIGNED else expected
        found = getattr(mirrored, SIDES.get(name, name))
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9, err_msg=name)
    largest = float(here.market_bars()["oi"].max())
    for name, column in here.market_bars().items():
        if name == "channel":  # identities are given in the order of finding
            assert ((column > 0) == (there.market_bars()[name] > 0)).all()
        elif name.startswith("vol"):
            np.testing.assert_allclose(there.market_bars()[name], column, rtol=1e-9, atol=1e-12)
        elif name in LEVELS:
            np.testing.assert_allclose(there.market_bars()[LEVELS[name]], product / column, rtol=1e-9)
        else:
            other = name.replace("long", "#").replace("short", "long").replace("#", "short")
            np.testing.assert_allclose(there.market_bars()[other], column, rtol=1e-9, atol=1e-9 * largest)
    assert_reflected(here.map, there.map, centre, 1e-9 * largest)


def assert_reflected(here: LiquidationMap, there: LiquidationMap, centre: int, dust: float) -> None:
    for layer, other in ((0, 1), (1, 0), (2, 3), (3, 2)):
        mirrored = by_bin(there, other)
        for k, mass in by_bin(here, layer).items():
            assert mirrored.get(centre - k, 0.0) == pytest.approx(mass, rel=1e-9, abs=dust)


@examples(60)
@given(shapes(bars=60, venues=("linear",), holders="symmetric", flat=False))
def test_the_world_in_a_mirror(shape: Shape) -> None:
    market = dataset(shape)
    assume(off_edges(market, COARSE.bin_bps * 1e-4))
    assert_mirrored(market, COARSE)


@pytest.mark.parametrize(("name", "first"), REAL[:2])
def test_real_markets_in_a_mirror(shared_data: Path, name: str, first: int) -> None:
    holders = profile(np.random.default_rng(2), "symmetric")
    assert_mirrored(real(name, first), FINE.model_copy(update={"profile": holders}))


# 8. Determinism


def digest(market: Dataset, settings: MarketSettings) -> str:
    found = hashlib.sha256()
    for name, values in sorted(state_of(run(market, settings)).items()):
        found.update(name.encode() + values)
    return found.hexdigest()


OTHER = """
import sys
sys.path[:0] = {paths!r}
from test_contracts import COARSE, SHAPE, dataset, digest
print(digest(dataset(SHAPE), COARSE))
"""
SHAPE = Shape(seed=11, bars=100, jumps=True, gaps=True, holders="stops", venues=("linear", "inverse"), lag=2)


def test_the_same_bits_again_and_in_another_process() -> None:
    here = digest(dataset(SHAPE), COARSE)
    assert digest(dataset(SHAPE), COARSE) == here
    program = OTHER.format(paths=[str(Path(__file__).parent)])
    other = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert other.stdout.strip() == here


# All of them, for every kind of channel and of pivot

STRUCTURES = [
    COARSE.model_copy(update={"channel": channel, "pivots": pivots, "reversal_atr": 1.5, "break_closes": closes})
    for channel, pivots, closes in (("pivot", "bars", 1), ("pivot", "reversal", 2), ("donchian", "reversal", 1))
]


@examples(40)
@given(shapes(bars=90), st.sampled_from(STRUCTURES), st.integers(1, 90), st.integers(0, 2**32 - 1))
def test_structure_is_causal_and_the_same_in_pieces(shape: Shape, kinds: MarketSettings, cut: int, seed: int) -> None:
    market = dataset(shape)
    assert_causal(market, kinds, min(cut, len(market.bars)))
    assert_same_in_pieces(market, kinds, seed)


@examples(30)
@given(shapes(bars=90), st.sampled_from(STRUCTURES), st.integers(-20, 20))
def test_structure_has_no_unit_of_volume(shape: Shape, kinds: MarketSettings, power: int) -> None:
    assert_same_scaled(dataset(shape), kinds, power)


@examples(40)
@given(
    shapes(bars=90, venues=("linear",), holders="symmetric", flat=False),
    st.sampled_from(STRUCTURES),
    st.integers(-500, 500),
)
@example(  # both sides had turned far enough at once before there was a first pivot
    Shape(seed=517, bars=90, step=0.002, venues=("linear",), holders="symmetric"), STRUCTURES[1], 0
)
def test_structure_has_no_unit_of_price_and_a_mirror_image(shape: Shape, kinds: MarketSettings, bins: int) -> None:
    market = dataset(shape)
    assume(off_edges(market, COARSE.bin_bps * 1e-4))
    assert_same_repriced(market, kinds, bins)
    assert_mirrored(market, kinds)
