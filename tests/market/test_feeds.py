"""Open interest by bar, estimates, and what the map is told about holders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forcedflow.data.series import Dataset
from forcedflow.errors import SettingsError, VenueError
from forcedflow.kernels import records
from forcedflow.kernels.liquidation_map import MAX_STOPS, MAX_TIERS, SPREAD_BARS, STAMP
from forcedflow.kernels.stamps import note_stamps, path_needed, rows_at_closes
from forcedflow.market.feeds import Feed
from forcedflow.market.stamps import estimate_open_interest, stamps_of
from forcedflow.market.tape import MarketPass
from forcedflow.settings import MarketSettings
from generators import COARSE, HOUR, Shape, dataset, examples, profile_file, shapes, with_columns
from naive.liquidation_map import NaiveVenue, estimated
from naive.liquidation_map import stamps_of as naive_stamps


@examples(60)
@given(shapes(bars=30))
def test_stamps_belong_to_the_close_they_describe(shape: Shape) -> None:
    market = dataset(shape)
    for venue in market.venues:
        assert venue.open_interest is not None
        found = stamps_of(venue.open_interest, market.bars)
        expected = [s for s in naive_stamps(market, venue) if s.known < len(market.bars)]
        assert found.bar.tolist() == [s.bar for s in expected]
        assert found.known.tolist() == [s.known for s in expected]
        assert found.value.tolist() == [s.value for s in expected]
        assert (market.bars.close_ts[found.known] >= market.bars.close_ts[found.bar]).all()


@examples(60)
@given(shapes(bars=30))
def test_kernels_of_stamps_agree_with_their_twin(shape: Shape) -> None:
    market = dataset(shape)
    bars = market.bars
    for venue in market.venues:
        oi, expected = venue.open_interest, naive_stamps(market, venue)
        assert oi is not None
        rows, at = np.empty((2, len(bars)), np.int64)
        count = rows_at_closes(oi.stamp, bars.ts, bars.interval, rows, at)
        found = records(STAMP, count)
        known = note_stamps(
            oi.value, oi.available_at, rows[:count], at[:count], bars.ts, bars.interval, 7, 0, found
        )  # fmt: skip
        assert found.tolist() == [(s.value, 7 + s.bar, 7 + s.known) for s in expected]
        assert known == sum(s.known < len(bars) for s in expected)
        for settled in (-1, 4):
            bar = [7 + s.bar for s in expected]
            before = [*(bar[:1] if settled < 0 else [settled]), *bar]
            spans = [7 + s.known - max(b, 7 + s.bar - SPREAD_BARS) for s, b in zip(expected, before, strict=False)]
            assert path_needed(found, settled) == max(spans, default=0) + 1


@examples(20)
@given(shapes(bars=60, venues=("volume",)))
def test_estimated_open_interest_is_so_many_days_of_volume(shape: Shape) -> None:
    market = dataset(shape)
    sessions = market.calendar == "sessions"
    found = estimate_open_interest(market.bars, COARSE, sessions=sessions)
    np.testing.assert_allclose(found.value, [s.value for s in estimated(market, COARSE)], rtol=1e-9)
    assert found.bar.tolist() == found.known.tolist() == list(range(len(market.bars)))


@examples(20)
@given(shapes(bars=60, venues=("volume",), gaps=True), st.integers(1, 60))
def test_an_estimate_knows_no_later_bar(shape: Shape, cut: int) -> None:
    bars = dataset(shape).bars
    cut = min(cut, len(bars))
    for sessions in (False, True):
        whole = estimate_open_interest(bars, COARSE, sessions=sessions).value[:cut]
        prefix = estimate_open_interest(bars.between(None, int(bars.close_ts[cut - 1])), COARSE, sessions=sessions)
        assert prefix.value.tolist() == whole.tolist()


def stepped(count: int, volume: float = 10.0) -> Dataset:
    """Make 24 bars a day of constant volume."""
    market = dataset(Shape(bars=count, venues=("volume",)))
    return Dataset("d", "d", with_columns(market.bars, volume=np.full(count, volume)), market.venues)


def test_a_constant_volume_gives_a_constant_estimate() -> None:
    settings = MarketSettings(oi_turnover=0.5)
    assert estimate_open_interest(stepped(50).bars, settings, sessions=False).value == pytest.approx(120.0)
    sessions = estimate_open_interest(stepped(50).bars, settings, sessions=True).value
    assert sessions[:24] == pytest.approx(5.0 * np.arange(1, 25))  # the first day shows how long a day is
    assert sessions[24:] == pytest.approx(120.0)


def test_trading_time_has_sessions_or_the_clock() -> None:
    market = dataset(Shape(bars=5, interval=HOUR))
    assert Feed.of(market, COARSE).session_hours == 0.0
    closed = Dataset("d", "d", market.bars, market.venues, "sessions")
    assert Feed.of(closed, COARSE).session_hours == 1.0


@examples(20)
@given(shapes(bars=30))
def test_the_grid_reaches_every_threshold(shape: Shape) -> None:
    market = dataset(shape)
    feed = Feed.of(market, COARSE)
    for data in market.venues:
        venue = NaiveVenue.of(market, data, COARSE)
        schedules = [venue.tiers, *(tiers for _, _, tiers in venue.changes)]
        assert all(-offset <= feed.room_below for longs, _ in schedules for offset, _ in longs)
        assert all(offset <= feed.room_above for _, shorts in schedules for offset, _ in shorts)


def many(what: str, rows: list[str]) -> str:
    joined = ", ".join(rows)
    return profile_file(f'name = "many"\ntitle = "t"\nsource = "s"\n{what} = [{joined}]\n')


def test_more_tiers_or_stops_than_the_map_takes_are_refused() -> None:
    market = dataset(Shape(bars=3))
    count = MAX_TIERS + 1
    tiers = [f"{{ leverage = {2 + k / 100}, weight = {1 / count!r}, notional = 1000 }}" for k in range(count)]
    with pytest.raises(SettingsError, match=f"{count} tiers, the map takes {MAX_TIERS}"):
        Feed.of(market, MarketSettings(profile=many("tiers", tiers)))
    one = "tiers = [{ leverage = 2, weight = 1, notional = 1000 }]\nstops"
    stops = ["{ kind = 'atr', share = 0.1, multiple = 2.0 }"] * (MAX_STOPS + 1)
    with pytest.raises(SettingsError, match=f"{MAX_STOPS + 1} kinds of stops, the map takes {MAX_STOPS}"):
        Feed.of(market, MarketSettings(profile=many(one, stops)))


def test_a_profile_fitted_on_the_data_is_labelled() -> None:
    text = (
        'name = "fitted"\ntitle = "t"\nsource = "s"\nfitted_window = {{ start = {}, end = {} }}\n'
        "tiers = [{{ leverage = 2, weight = 1, notional = 1000 }}]\n"
    )
    market = dataset(Shape(bars=24))  # from 2026-01-12 01:00
    inside = profile_file(text.format("2026-01-12T20:00:00Z", "2026-03-01T00:00:00Z"))
    before = profile_file(text.format("2025-12-01T00:00:00Z", "2026-01-12T00:00:00Z"))
    notes = Feed.of(market, MarketSettings(profile=inside)).notes
    assert "profile fitted was fitted on data that this run replays: in-sample" in notes
    assert not any("in-sample" in note for note in Feed.of(market, MarketSettings(profile=before)).notes)


def test_a_dataset_without_venues_is_refused() -> None:
    bare = replace(dataset(Shape()), venues=())
    with pytest.raises(VenueError, match="no venue"):
        MarketPass(bare)
