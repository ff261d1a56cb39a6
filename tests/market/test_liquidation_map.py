"""The map as a caller reads it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from forcedflow.market.tape import MarketPass
from generators import COARSE, Shape, dataset, examples, shapes
from naive.liquidation_map import LONG, SHORT, NaiveMap


@examples(15)
@given(shapes(bars=30))
def test_mass_is_what_the_cohorts_hold(shape: Shape) -> None:
    market = dataset(shape)
    live, naive = MarketPass(market, COARSE), NaiveMap(market, COARSE)
    live.advance()
    for bar in range(len(market.bars)):
        naive.step(bar, float(live.market_bars()["atr"][bar]))
    mass = live.map.mass()
    near = 1e-9 * 1e5  # open interest
    for side in (LONG, SHORT):
        both = mass[side] + mass[side + 2]
        expected = naive.profile(side)
        for k, value in zip(live.map.bins.tolist(), both.tolist(), strict=True):
            assert value == pytest.approx(expected.get(k, 0.0), rel=1e-9, abs=near)


def test_prices_density_and_sums() -> None:
    live = MarketPass(dataset(Shape(seed=1, bars=60, venues=("linear", "inverse"), holders="stops")), COARSE)
    live.advance()
    now = live.map
    assert now.bin_width == 0.005
    np.testing.assert_allclose(now.prices, np.exp(now.bins * 0.005))
    mass = now.mass()
    np.testing.assert_allclose(now.density() * now.open_interest * 0.5, mass)  # a bin is half a percent wide
    np.testing.assert_allclose(now.between(0, np.inf), mass.sum(axis=1))
    price = float(live.dataset.bars.close[-1])
    below, above = now.between(0, price), now.between(price, np.inf)
    assert below[1] == above[0] == below[3] == above[2] == 0.0  # longs' thresholds lie below price, shorts' above
    for side in (LONG, SHORT):
        assert 0.0 < now.coverage[side] <= 1.0 + 1e-12


def test_without_open_interest_density_is_zero() -> None:
    live = MarketPass(dataset(Shape(bars=2)), COARSE)
    assert live.map.open_interest == 0.0
    assert not live.map.density().any()


def test_room_is_made_without_moving_anything() -> None:
    live = MarketPass(dataset(Shape(seed=2, bars=40)), COARSE)
    live.advance()
    mass, bins = live.map.mass(), live.map.bins
    live.map.make_room(int(bins[0]) - 100, int(bins[-1]) + 3)
    wide, wider = live.map.mass(), live.map.bins
    assert wider[0] <= bins[0] - 100
    assert wider[-1] >= bins[-1] + 3
    inside = np.isin(wider, bins)
    np.testing.assert_array_equal(wide[:, inside], mass)
    assert not wide[:, ~inside].any()
    live.map.make_room(int(bins[0]), int(bins[-1]))  # what is there already
    np.testing.assert_array_equal(live.map.bins, wider)


def test_a_moved_layer_is_read_where_its_thresholds_are() -> None:
    """Silver's margins rise over the month: longs are liquidated at higher prices, shorts at lower ones."""
    live = MarketPass(dataset(Shape(seed=3, bars=110, interval=6 * 3_600_000_000_000, venues=("margins",))), COARSE)
    live.advance()
    longs, shorts = live.map.venues[0].origin
    assert longs > 5  # ln((1 - 0.09) / (1 - 0.15)) is 6.8%, in bins of half a percent
    assert shorts < -5
