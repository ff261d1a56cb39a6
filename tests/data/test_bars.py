"""Bars: what is refused, what is mended, and that nothing else changes."""

from __future__ import annotations

import pickle
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forcedflow.data import Bars
from forcedflow.errors import DataError

MINUTE = 60_000_000_000
Columns = dict[str, Any]


def spoil(columns: Columns, name: str, row: int, value: float) -> Columns:
    column = columns[name].copy()
    column[row] = value
    return columns | {name: column}


def refused(columns: Columns, **options: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        Bars.from_columns(columns, file="bars.csv", **options)
    return caught.value


@pytest.mark.parametrize(
    ("name", "value", "reason", "mend"),
    [
        ("open", np.nan, "not a finite number", "drop_bad_rows"),
        ("volume", np.inf, "not a finite number", "drop_bad_rows"),
        ("close", 0.0, "not a positive price", "drop_bad_rows"),
        ("low", -1.0, "not a positive price", "drop_bad_rows"),
        ("low", 100.9, "above the body", "clip_wicks"),
        ("high", 100.2, "below the body", "clip_wicks"),
        ("low", 150.0, "above the high", None),
        ("volume", -2.0, "is negative", "drop_bad_rows"),
    ],
)
def test_a_bad_value_is_refused_by_file_row_column_value_and_mend(
    name: str, value: float, reason: str, mend: str | None, columns: Columns
) -> None:
    columns = columns | {
        k: np.full(30, v) for k, v in {"open": 100.0, "close": 100.5, "high": 101.0, "low": 99.5}.items()
    }
    error = refused(spoil(columns, name, 7, value))
    assert (error.file, error.row, error.field) == ("bars.csv", 7, name)
    assert reason in error.reason
    assert str(value) in error.reason
    assert mend is None or f"'{mend}'" in error.reason


def test_times_are_refused_by_row(columns: Columns) -> None:
    ts = columns["ts"]
    unsorted = refused(columns | {"ts": np.concatenate([ts[:5], ts[6:7], ts[5:6], ts[7:]])})
    assert (unsorted.row, unsorted.field) == (6, "ts")
    assert "'sort'" in unsorted.reason
    repeated = refused(columns | {"ts": np.concatenate([ts[:5], ts[4:5], ts[6:]])})
    assert (repeated.row, repeated.field) == (5, "ts")
    assert "'drop_duplicates'" in repeated.reason
    odd = refused(spoil(columns, "ts", 9, ts[9] + MINUTE))
    assert odd.row == 9
    assert "mixed intervals" in odd.reason
    assert "name the interval" in refused({k: v[:1] for k, v in columns.items()}).reason
    assert "nanoseconds" in refused(columns | {"ts": ts.astype(float)}).reason


def test_gaps_are_allowed_but_a_change_of_interval_is_not(columns: Columns) -> None:
    ts = columns["ts"].copy()
    ts[10:] += 5 * 12 * MINUTE  # one gap of an hour
    assert Bars.from_columns(columns | {"ts": ts})[0].interval == 5 * MINUTE
    hourly = ts[9] + 60 * MINUTE * np.arange(1, 21)
    mixed = refused(columns | {"ts": np.concatenate([ts[:10], hourly])})
    assert (mixed.row, mixed.field) == (9, "ts")
    assert "3600 s apart, others 300 s" in mixed.reason
    named = columns | {"ts": np.concatenate([ts[:10], hourly])}  # who names the interval may have so many gaps
    assert len(Bars.from_columns(named, 5 * MINUTE)[0]) == 30
    assert "no whole multiple of 600 s" in refused(columns, interval=10 * MINUTE).reason


def test_columns_must_be_whole_known_and_of_one_length(columns: Columns) -> None:
    assert "missing columns ['low']" in refused({k: v for k, v in columns.items() if k != "low"}).reason
    assert "unknown columns ['vwap']" in refused(columns | {"vwap": columns["open"]}).reason
    assert refused(columns | {"close": columns["close"][:-1]}).field == "close"
    assert refused(columns | {"close": np.array(["x"] * 30)}).field == "close"
    assert refused({k: v[:0] for k, v in columns.items()}).reason == "no rows"
    assert "other half" in refused(columns | {"mark_low": columns["low"]}).reason
    crossed = {"mark_low": columns["high"] * 1.01, "mark_high": columns["high"]}
    assert refused(columns | crossed).field == "mark_low"


def test_every_mend_is_logged_and_only_on_demand(columns: Columns) -> None:
    good, nothing = Bars.from_columns(columns, repair=["sort", "drop_duplicates", "clip_wicks", "drop_bad_rows"])
    assert nothing == ()
    order = np.array([*range(12), 13, 12, *range(14, 30), 29])  # two rows swapped, the last repeated
    messy = {k: v[order] for k, v in columns.items()}
    messy = spoil(spoil(messy, "close", 3, np.nan), "high", 8, messy["low"][8])
    names = ["drop_unfinished", "clip_wicks", "drop_duplicates", "sort", "drop_bad_rows"]
    mended, log = Bars.from_columns(messy, repair=names)
    assert [line.split(":")[0] for line in log] == names[::-1]
    assert "1 rows" in log[0]
    assert "row 3" in log[0]
    assert len(mended) == 28
    untouched = np.setdiff1d(np.arange(29), [3, 8])
    np.testing.assert_array_equal(mended.close[np.arange(28) != 7], good.close[untouched])
    assert mended.high[7] == max(good.open[8], good.close[8])


def test_conflicting_duplicates_and_crossed_wicks_stay_errors(columns: Columns) -> None:
    twice = {k: np.insert(v, 5, v[5]) for k, v in columns.items()}
    twice["close"][5] *= 1.0001
    conflict = refused(twice, repair=["drop_duplicates"])
    assert (conflict.row, conflict.field) == (6, "close")
    crossed = refused(spoil(columns, "low", 4, 1e6), repair=["clip_wicks"])
    assert (crossed.row, crossed.field) == (4, "low")
    assert "unknown repair magic" in refused(columns, repair=["magic"]).reason
    assert "every row" in refused(columns | {"open": np.zeros(30)}, repair=["drop_bad_rows"]).reason


def test_arrays_are_private_and_read_only(columns: Columns) -> None:
    bars, _ = Bars.from_columns(columns)
    columns["close"][0] = 1.0
    assert bars.close[0] != 1.0
    with pytest.raises(ValueError, match="read-only"):
        bars.close[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        bars.between(int(bars.ts[3])).close[0] = 1.0
    assert all(array.flags.c_contiguous for array in bars.columns().values())


def test_a_copy_in_another_process_is_as_kernels_want_it(columns: Columns) -> None:
    bars, _ = Bars.from_columns(columns)
    parts: list[pickle.PickleBuffer] = []
    text = pickle.dumps(bars, protocol=5, buffer_callback=parts.append)
    for odd in (0, 1):  # where in a message the arrays lie
        moved = [memoryview(bytearray(odd) + bytearray(part.raw()))[odd:] for part in parts]
        copy = pickle.loads(text, buffers=moved)
        assert copy.interval == bars.interval
        assert copy.columns().keys() == bars.columns().keys()
        for name, column in copy.columns().items():
            assert column.flags.aligned
            assert not column.flags.writeable
            assert column.tolist() == bars.columns()[name].tolist()


def test_between_keeps_bars_that_open_and_complete_inside(columns: Columns) -> None:
    bars, _ = Bars.from_columns(columns)
    part = bars.between(int(bars.ts[3]) - 1, int(bars.close_ts[9]))
    np.testing.assert_array_equal(part.ts, bars.ts[3:10])
    assert len(bars.between(int(bars.ts[3]) + 1, int(bars.close_ts[9]) - 1)) == 5
    assert len(bars.between()) == 30


def test_naive_pandas_times_are_refused(columns: Columns) -> None:
    frame = Bars.from_columns(columns)[0].to_pandas()
    with pytest.raises(DataError, match=re.escape("tz_localize('UTC')")):
        Bars.from_pandas(frame.tz_localize(None))
    with pytest.raises(DataError, match="column 'ts'"):
        Bars.from_pandas(frame.reset_index(drop=True))


@given(
    count=st.integers(2, 40),
    interval=st.sampled_from([MINUTE, 5 * MINUTE, 60 * MINUTE]),
    seed=st.integers(0, 2**32 - 1),
    extra=st.sets(st.sampled_from(["quote_volume", "taker_buy_volume"])),
    zone=st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata"]),
)
def test_pandas_round_trip(count: int, interval: int, seed: int, extra: set[str], zone: str) -> None:
    rng = np.random.default_rng(seed)
    steps = rng.integers(1, 4, count) * interval
    steps[1] = interval
    prices = np.sort(rng.lognormal(0, 1, (4, count)), axis=0)
    columns: Columns = {
        "ts": np.int64(1_700_000_000_000_000_000) + np.cumsum(steps),
        "low": prices[0],
        "open": prices[1],
        "close": prices[2],
        "high": prices[3],
        "volume": rng.exponential(1, count),
    } | {name: rng.exponential(1, count) for name in extra}
    bars, _ = Bars.from_columns(columns, interval)
    again = Bars.from_pandas(bars.to_pandas().tz_convert(zone), interval)
    assert again.interval == interval
    assert again.columns().keys() == bars.columns().keys()
    for name, array in bars.columns().items():
        np.testing.assert_array_equal(getattr(again, name), array)
