"""Venue series: what is refused, when a value was known, what the data hash sees."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from forcedflow.data import Bars, Dataset, Funding, OpenInterest, VenueData
from forcedflow.data.times import MINUTE, duration_ns, instant_ns, time_text
from forcedflow.errors import DataError

STAMP = 1_735_689_600_000_000_000 + 5 * MINUTE * np.arange(1, 7)


@pytest.fixture
def dataset(columns: dict[str, Any]) -> Dataset:
    bars, _ = Bars.from_columns(columns)
    oi = OpenInterest.from_columns(bars.close_ts, np.linspace(10, 11, 30), bars.close_ts + 5 * MINUTE)
    paid = Funding.from_columns(bars.ts[::10], [1e-4, -1e-4, 2e-4])
    return Dataset("toy", "Toy", bars, (VenueData("binance-um", "BTCUSDT", "linear", "p", oi, paid),))


@pytest.mark.parametrize(
    ("stamp", "value", "available_at", "row", "field", "reason"),
    [
        (STAMP, [1, 2, np.nan, 4, 5, 6], None, 2, "value", "not a finite number"),
        (STAMP, [1, 2, 3, 4, -5.5, 6], None, 4, "value", "-5.5 is negative"),
        (STAMP[[0, 2, 1, 3, 4, 5]], range(6), None, 2, "stamp", "after a later time"),
        (STAMP[[0, 1, 1, 3, 4, 5]], range(6), None, 2, "stamp", "repeats"),
        (STAMP, range(6), STAMP - [0, 0, 0, 1, 0, 0], 3, "available_at", "nothing is known before it happens"),
        (STAMP, range(5), None, None, None, "shape"),
    ],
)
def test_bad_open_interest_is_refused_by_row(
    stamp: Any, value: Any, available_at: Any, row: int | None, field: str | None, reason: str
) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        OpenInterest.from_columns(stamp, list(value), available_at, file="oi.csv")
    assert (caught.value.file, caught.value.row, caught.value.field) == ("oi.csv", row, field)


def test_funding_may_be_negative_but_not_missing() -> None:
    assert len(Funding.from_columns(STAMP, [-1e-4] * 6)) == 6
    with pytest.raises(DataError, match="row 0, column 'rate'"):
        Funding.from_columns(STAMP, [np.nan] * 6)


def test_a_finer_series_is_thinned_to_the_closes(columns: dict[str, Any]) -> None:
    bars, _ = Bars.from_columns(columns)
    stamp = bars.ts[0] + MINUTE * np.arange(151)
    stamp[10] += 2_000_000_000  # the venue wrote this one two seconds late
    oi = OpenInterest.from_columns(stamp, np.arange(151.0), stamp + MINUTE)
    thin = oi.at_closes(bars)
    np.testing.assert_array_equal(thin.value, np.arange(5.0, 151.0, 5.0))
    assert thin.stamp[1] == bars.close_ts[1] + 2_000_000_000
    np.testing.assert_array_equal(thin.available_at, thin.stamp + MINUTE)
    holed = OpenInterest.from_columns(*(np.delete(c, slice(12, 31)) for c in (stamp, np.arange(151.0), stamp)))
    # Minutes 12 to 30 are missing: closes 15, 20 and 25 stay without a value, that of 30 takes the state of 31.
    np.testing.assert_array_equal(holed.at_closes(bars).value[:4], [5, 10, 31, 35])


def test_a_span_cuts_bars_and_venues_together(dataset: Dataset) -> None:
    bars = dataset.bars
    part = dataset.between(int(bars.ts[4]), int(bars.close_ts[19]))
    oi, paid = part.venues[0].open_interest, part.venues[0].funding
    assert oi is not None
    assert paid is not None
    np.testing.assert_array_equal(part.bars.ts, bars.ts[4:20])
    np.testing.assert_array_equal(oi.stamp, bars.close_ts[3:20])
    np.testing.assert_array_equal(paid.ts, [bars.ts[10], bars.ts[20]])
    with pytest.raises(DataError, match="covers 2025-01-01T00:00:00Z to 2025-01-01T02:30:00Z"):
        dataset.between("2026-01-01")


def test_the_hash_sees_every_number_and_nothing_else(dataset: Dataset) -> None:
    known = dataset.data_hash
    assert replace(dataset, title="other", notes=("n",), files=(("f", "0"),)).data_hash == known
    venue = dataset.venues[0]
    oi = venue.open_interest
    assert oi is not None
    later = replace(venue, open_interest=replace(oi, available_at=oi.available_at + 1))
    others = [
        dataset.between(end=int(dataset.bars.close_ts[-2])),
        replace(dataset, bars=replace(dataset.bars, close=np.nextafter(dataset.bars.close, 0))),
        replace(dataset, bars=replace(dataset.bars, quote_volume=dataset.bars.volume)),
        replace(dataset, venues=(later,)),
        replace(dataset, venues=(replace(venue, funding=None),)),
        replace(dataset, venues=(replace(venue, symbol="ETHUSDT"),)),
    ]
    assert len({known, *(other.data_hash for other in others)}) == len(others) + 1


def test_times_and_durations() -> None:
    assert [duration_ns(text) // MINUTE for text in ("5min", "1h", "1 d", "120s")] == [5, 60, 1440, 2]
    for text in ("5m", "1.5h", "h", "-1h"):
        with pytest.raises(ValueError, match="not a duration"):
            duration_ns(text)
    assert instant_ns("2025-01-01") == instant_ns("2025-01-01T02:00+02:00") == STAMP[0] - 5 * MINUTE
    assert time_text(instant_ns("2025-10-10T21:15")) == "2025-10-10T21:15:00Z"
    with pytest.raises(DataError, match="not a time"):
        instant_ns("yesterday")
