"""Zones found lazily, outward from price, against all zones of the full profile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forcedflow.kernels import Records, records
from forcedflow.kernels import zones as kernels
from forcedflow.kernels.liquidation_map import HEAD, LONG, NO_HIGH, NO_LOW, SHORT, VENUE, held
from forcedflow.kernels.zones import LIMITS, outward
from forcedflow.settings import MarketSettings
from generators import examples, with_entry
from naive.zones import between, zones

WIDTH, FIRST, BINS = 0.005, 100, 60
bin_mass, find_zone, first_dense, frontier, mass_between, take_stock = map(
    with_entry,
    (
        kernels.bin_mass,
        kernels.find_zone,
        kernels.first_dense,
        kernels.frontier,
        kernels.mass_between,
        kernels.take_stock,
    ),
)


@dataclass(frozen=True)
class Profile:
    """A map made by hand, and its mass by bin."""

    head: Records
    venues: Records
    stored: npt.NDArray[np.float64]
    limits: Records
    settings: MarketSettings
    side: int

    @property
    def mass(self) -> dict[int, float]:
        """Read bin by bin, from the definition of a layer's origin and of an inverse contract's unit."""
        found: dict[int, float] = {}
        for venue, stored in zip(self.venues, self.stored, strict=True):
            for layer in (self.side, self.side + 2):
                moved = int(np.floor(venue.origin[self.side] + 0.5)) if layer < 2 else 0
                for column in np.flatnonzero(stored[layer]):
                    k = FIRST + int(column) + moved
                    unit = venue.face / np.exp(k * WIDTH) if venue.inverse else 1.0
                    found[k] = found.get(k, 0.0) + stored[layer, column] * venue.scale[self.side] * unit
        return found


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    side, count = draw(st.sampled_from([LONG, SHORT])), draw(st.integers(1, 2))
    head, venues, limits = records(HEAD, 1), records(VENUE, count), records(LIMITS, 1)
    stored = np.zeros((count, 4, BINS))
    head.width, head.first = WIDTH, FIRST
    settings = MarketSettings(
        bin_bps=WIDTH * 1e4,
        zone_on=float(rng.uniform(0.02, 0.08)),
        zone_off=0.02,
        zone_valley=draw(st.sampled_from([0.0, 0.3, 0.6, 0.9])),
        zone_bridge=draw(st.integers(0, 3)),
        zone_min_mass=draw(st.sampled_from([0.0, 0.02, 0.1])),
    )
    for v in range(count):
        venue = venues[v]
        venue.inverse, venue.face = int(draw(st.booleans())), np.exp(130 * WIDTH)
        venue.stops, venue.scale[:] = int(draw(st.booleans())), rng.uniform(0.1, 1, 2)
        venue.origin[:] = draw(st.sampled_from([0.0, 0.4, -7.7, 12.5]))
        venue.moved[:] = np.floor(venue.origin + 0.5)
        venue.low[:], venue.high[:] = NO_LOW, NO_HIGH
        for layer in (side, side + 2) if venue.stops else (side,):
            stored[v, layer] = rng.lognormal(0, 1, BINS) * (rng.random(BINS) < 0.7)
            columns = np.flatnonzero(stored[v, layer])
            venue.low[layer], venue.high[layer] = FIRST + columns[0], FIRST + columns[-1]
            venue.total[layer] = stored[v, layer].sum()
        venue.oi = held(venue, side) * rng.uniform(1, 2)
    take_stock(head[0], venues, 130.0)
    limits.on, limits.off, limits.valley = settings.zone_on, settings.zone_off, settings.zone_valley
    limits.bridge, limits.min_mass = settings.zone_bridge, settings.zone_min_mass
    return Profile(head[0], venues, stored, limits[0], settings, side)


@examples(200)
@given(profiles(), st.integers(70, 190), st.integers(0, 80), st.integers(0, 80))
def test_the_first_zone_is_the_first_of_all(given_map: Profile, start: int, length: int, beyond: int) -> None:
    p = given_map
    away = -1 if p.side == LONG else 1
    last_start = start + away * length
    last = last_start + away * beyond
    expected = [
        zone
        for zone in zones(p.mass, p.side, start, last, p.head.oi, p.settings)
        if (last_start - zone.near) * away >= 0
    ]
    found, near, far, peak, mass = find_zone(p.head, p.venues, p.stored, p.limits, p.side, start, last_start, last)
    assert found == bool(expected)
    if expected:
        assert (near, far, peak) == (expected[0].near, expected[0].far, expected[0].peak)
        assert mass == pytest.approx(expected[0].mass, rel=1e-9)
    else:
        assert near == first_dense(p.head, p.venues, p.stored, p.limits, p.side, start, last_start)


@examples(50)
@given(profiles(), st.integers(60, 200), st.integers(60, 200))
def test_mass_and_dense_bins_are_what_the_layers_hold(given_map: Profile, one: int, other: int) -> None:
    p = given_map
    for k in (one, other):
        found = bin_mass(p.head, p.venues, p.stored, p.side, k)
        assert found == pytest.approx(p.mass.get(k, 0.0), rel=1e-9)
    # Beyond the frontier there is nothing, so that sums may begin at it.
    edge = frontier(p.venues, p.side)
    assert all(k <= edge if p.side == LONG else k >= edge for k in p.mass)
    summed = mass_between(p.head, p.venues, p.stored, p.side, one, other)
    assert summed == pytest.approx(between(p.mass, one, other), rel=1e-9)
    away = -1 if p.side == LONG else 1
    dense = p.settings.zone_off * p.head.oi * WIDTH / 0.01
    bins = range(one, one + away * 41, away)
    expected = next((k for k in bins if p.mass.get(k, 0.0) >= dense), one + away * 41)
    assert first_dense(p.head, p.venues, p.stored, p.limits, p.side, one, one + away * 40) == expected


@examples(50)
@given(profiles(), st.floats(100, 160))
def test_stock_is_the_venues_sum_in_base_units(given_map: Profile, position: float) -> None:
    p = given_map
    take_stock(p.head, p.venues, position)
    units = [v.face / np.exp(position * WIDTH) if v.inverse else 1.0 for v in p.venues]
    assert p.head.oi == pytest.approx(sum(v.oi * u for v, u in zip(p.venues, units, strict=True)))
    located = sum(
        p.stored[v, [p.side, p.side + 2]].sum() * p.venues[v].scale[p.side] * units[v] for v in range(len(units))
    )
    assert p.head.coverage[p.side] == pytest.approx(located / p.head.oi)


def test_without_open_interest_nothing_is_covered_and_no_zone_exists() -> None:
    head, venues, limits = records(HEAD, 1)[0], records(VENUE, 1), records(LIMITS, 1)[0]
    head.width, head.first, limits.on = WIDTH, FIRST, 0.01
    take_stock(head, venues, 130.0)
    assert head.oi == 0.0
    assert head.coverage.tolist() == [0.0, 0.0]
    found, *_ = find_zone(head, venues, np.zeros((1, 4, BINS)), limits, LONG, 130, 100, 100)
    assert not found


def test_outward_is_the_first_bin_that_price_has_not_passed() -> None:
    assert (outward(12.3, LONG), outward(12.3, SHORT)) == (12, 13)
    assert (outward(12.0, LONG), outward(12.0, SHORT)) == (12, 12)
    assert (outward(-0.5, LONG), outward(-0.5, SHORT)) == (-1, 0)
