"""The map's kernels against the list of cohorts, bin by bin, at every bar."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from forcedflow.data.series import Dataset, OpenInterest
from forcedflow.kernels import records
from forcedflow.kernels.liquidation_map import (
    LONG,
    SCALE_FLOOR,
    SHORT,
    STOP_ATR,
    STOP_ROUND,
    STOP_SWING,
    VENUE,
    base_per_unit,
    stop_position,
)
from forcedflow.market.tape import MarketPass
from forcedflow.settings import MarketSettings
from generators import COARSE, HOUR, JIT, Shape, dataset, examples, shapes, with_entry, with_open_interest
from naive.liquidation_map import NaiveMap


def largest_oi(market: Dataset) -> float:
    found = [v.open_interest.value.max(initial=1.0) for v in market.venues if v.open_interest is not None]
    return float(max(found))


def assert_twins(market: Dataset, settings: MarketSettings) -> None:
    """Every bin of every layer and every sum of every venue, at every bar, to 1e-9 of the largest open interest."""
    kernel, naive = MarketPass(market, settings), NaiveMap(market, settings)
    near = 1e-9 * largest_oi(market)
    for bar in range(len(market.bars)):
        kernel.advance(bar + 1)
        naive.step(bar, float(kernel.market_bars()["atr"][bar]))
        first = int(kernel.map.bins[0])
        for venue, twin, stored in zip(kernel.map.venues, naive.venues, kernel.map.arrays.stored, strict=True):
            scale = np.tile(venue.scale, 2)[:, None]
            expected = np.zeros_like(stored)
            for (layer, node), mass in naive.stored(twin).items():
                expected[layer, node - first] = mass
            np.testing.assert_allclose(stored * scale, expected, rtol=1e-9, atol=near)
            np.testing.assert_allclose(venue.origin, twin.origin, rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(venue.unlocated, twin.unlocated, rtol=1e-9, atol=near)
            np.testing.assert_allclose(venue.opened, twin.opened, rtol=1e-9, atol=near)
            np.testing.assert_allclose(venue.pending, [twin.pending(s, bar) for s in (LONG, SHORT)], atol=near)
            for name in ("added", "swept", "faded"):
                np.testing.assert_allclose(venue[name], getattr(twin, name), rtol=1e-9, atol=near, err_msg=name)


@examples(80)
@given(shapes(bars=40))
def test_every_bin_agrees_with_the_cohorts(shape: Shape) -> None:
    assert_twins(dataset(shape), COARSE)


@examples(15)
@given(shapes(bars=40, gaps=True))
def test_huge_hazards_empty_the_map_and_nothing_breaks(shape: Shape) -> None:
    market = dataset(shape)
    settings = COARSE.model_copy(update={"hazard_per_hour": 10.0})
    assert_twins(market, settings)
    kernel = MarketPass(market, settings)
    kernel.advance()
    assert (kernel.map.venues.scale >= SCALE_FLOOR).all()


def test_scale_is_folded_long_before_it_underflows() -> None:
    """300 hours at a hazard of 10 take exp(-3000), which no float holds, in steps that each do."""
    market = dataset(Shape(bars=300, lag=1))
    stopped = with_open_interest(market, lambda oi: OpenInterest(oi.stamp[:3], oi.available_at[:3], oi.value[:3]))
    kernel = MarketPass(stopped, COARSE.model_copy(update={"hazard_per_hour": 10.0}))
    kernel.advance(5)
    venue = kernel.map.venues[0]
    assert (venue.added[:2] > 0).all()
    kernel.advance()
    assert (venue.scale >= SCALE_FLOOR).all()
    np.testing.assert_allclose(venue.pending, venue.oi, rtol=1e-12)
    assert (kernel.map.mass() < SCALE_FLOOR).all()


@pytest.mark.parametrize("seed", range(3))
def test_long_lags_out_of_order_are_remembered(seed: int) -> None:
    """A stamp is settled after the one before it, and the ring holds the bars since, however late they come."""
    market = dataset(Shape(seed=seed, bars=70, jumps=True, holders="stops"))
    rng = np.random.default_rng(seed)

    def late(oi: OpenInterest) -> OpenInterest:
        return OpenInterest.from_columns(oi.stamp, oi.value, oi.stamp + rng.integers(0, 40, len(oi)) * HOUR)

    assert_twins(with_open_interest(market, late), COARSE)


def test_a_long_interval_is_spread_over_all_its_bars() -> None:
    assert_twins(dataset(Shape(seed=1, bars=120, every=50, lag=3, venues=("linear", "inverse"))), COARSE)


@pytest.mark.skipif(not JIT, reason="5,000 bars take a minute without the JIT")
def test_running_totals_do_not_drift() -> None:
    kernel = MarketPass(dataset(Shape(seed=2, bars=5000, step=0.02, holders="stops")), COARSE)
    for stop in (4095, 4096, 4097, 5000):
        kernel.advance(stop)
        for venue, stored in zip(kernel.map.venues, kernel.map.arrays.stored, strict=True):
            np.testing.assert_allclose(venue.total, stored.sum(axis=1), rtol=1e-11)


@pytest.mark.parametrize("shape", [Shape(seed=5, holders="distances"), Shape(seed=6, venues=("linear", "inverse"))])
def test_swept_mass_converges_to_the_unsnapped_cohorts(shape: Shape) -> None:
    """Entries are spread over one point a bar, so that bins are the only thing that shrinks."""
    market = dataset(replace(shape, bars=60, step=0.015))
    settings = COARSE.model_copy(update={"entry_points": 1})
    naive = NaiveMap(market, settings, snap=False)
    atr = MarketPass(market, settings)
    atr.advance()
    for bar in range(len(market.bars)):
        naive.step(bar, float(atr.market_bars()["atr"][bar]))
    exact = sum(sum(v.swept) for v in naive.venues)
    assert exact > 0
    errors = []
    for bin_bps in (200.0, 20.0, 2.0):
        kernel = MarketPass(market, settings.model_copy(update={"bin_bps": bin_bps}))
        kernel.advance()
        errors.append(abs(float(kernel.map.venues.swept.sum()) - exact) / exact)
    assert errors[2] < 0.01
    assert errors[2] < errors[0]


def test_base_units() -> None:
    venue = records(VENUE, 1)[0]
    assert base_per_unit(venue, 1234.0, 0.001) == 1.0
    venue.inverse, venue.face = 1, 100.0
    assert base_per_unit(venue, math.log(20_000) / 0.001, 0.001) == pytest.approx(100 / 20_000)


@pytest.mark.parametrize(
    ("kind", "value", "beyond", "side", "level", "expected"),
    [
        (STOP_ATR, 2.0, 0.0, LONG, math.nan, 102.5 * math.exp(-0.04)),
        (STOP_ATR, 2.0, 0.0, SHORT, math.nan, 102.5 * math.exp(0.04)),
        (STOP_ROUND, 5.0, 10.0, LONG, math.nan, 100 * math.exp(-0.01)),
        (STOP_ROUND, 5.0, 10.0, SHORT, math.nan, 105 * math.exp(0.01)),
        (STOP_ROUND, 500.0, 0.0, LONG, math.nan, math.nan),  # no round price below
        (STOP_SWING, 0.0, 10.0, LONG, 99.0, 99 * math.exp(-0.01)),
        (STOP_SWING, 0.0, 10.0, SHORT, 99.0, math.nan),  # a swing high below the entry protects no short
        (STOP_SWING, 0.0, 0.0, LONG, math.nan, math.nan),
    ],
)
def test_stops_lie_where_holders_put_them(
    kind: int, value: float, beyond: float, side: int, level: float, expected: float
) -> None:
    width = 0.001
    venue = records(VENUE, 1)[0]
    venue.stop_kind[0], venue.stop_value[0], venue.stop_beyond[0] = kind, value, beyond
    found = with_entry(stop_position)(venue, 0, side, math.log(102.5) / width, 0.02, level, width)
    assert math.exp(found * width) == pytest.approx(expected, nan_ok=True)
