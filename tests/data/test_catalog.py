"""The catalog, a user's own dataset file, and what is refused with which message."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from forcedflow.data import (
    check_dataset,
    data_root,
    dataset_names,
    describe,
    instant_ns,
    load_dataset,
    shipped_folder,
)
from forcedflow.data.times import HOUR, MINUTE
from forcedflow.errors import CatalogError, DataError
from forcedflow.market.tape import make_tape
from forcedflow.trading.exchange import Exchange

NAMES = ("open", "high", "low", "close")
REAL = (
    *(f"{coin}usdt-{width}" for width in ("5m", "1h") for coin in ("btc", "sol", "doge")),
    *(f"{coin}-venues-1h" for coin in ("btc", "sol", "doge")),
    "silver-1h",
)
OWN = """
title = "My own"
source = "me"
licence = "mine"
{top}
[bars]
file = "bars.parquet"
interval = "5min"
columns = {{ ts = {{ column = "ts", unit = "ns" }} }}
{bars}
[[venues]]
id = "binance-um"
symbol = "BTCUSDT"
profile = "hyperliquid-like"
{venue}
"""
OI = """
[venues.open_interest]
file = "oi.csv"
columns = { ts = { column = "t", unit = "ms" }, value = "oi" }
"""


@pytest.fixture
def own(tmp_path: Path, columns: dict[str, Any]) -> Any:
    """Return a function that writes a dataset file, with what is asked for put in."""
    folder = tmp_path / "mine"
    folder.mkdir()
    parquet.write_table(pa.table(columns), folder / "bars.parquet")
    closes = (columns["ts"] + 5 * MINUTE) // 1_000_000
    (folder / "oi.csv").write_text("t,oi\n" + "".join(f"{t},{1000 + k}\n" for k, t in enumerate(closes)))
    marks = {"t": columns["ts"], "high": columns["high"] * 1.001, "low": columns["low"] * 0.999}
    parquet.write_table(pa.table(marks), folder / "mark.parquet")

    def write(top: str = "", bars: str = "", venue: str = OI) -> Path:
        path = folder / "own.toml"
        path.write_text(OWN.format(top=top, bars=bars, venue=venue))
        return path

    return write


def test_finer_bars_are_drilled_into(own: Any, columns: dict[str, Any]) -> None:
    """A dataset that names its finer bars trades as one that was given them."""
    file = own(
        bars="""
[finer]
file = "fine.parquet"
interval = "1min"
columns = { ts = { column = "ts", unit = "ns" } }
"""
    )
    corner = np.linspace(0, 1, 6)  # each bar goes straight from open to high to low to close
    path = [np.interp(corner, [0, 0.3, 0.7, 1], row) for row in zip(*(columns[n] for n in NAMES), strict=True)]
    fine = {
        "ts": (columns["ts"][:, None] + MINUTE * np.arange(5)).ravel(),
        "open": np.ravel([p[:-1] for p in path]),
        "close": np.ravel([p[1:] for p in path]),
        "volume": np.ones(150),
    }
    fine["high"], fine["low"] = np.maximum(fine["open"], fine["close"]), np.minimum(fine["open"], fine["close"])
    coarse = {n: fine[n].reshape(-1, 5) for n in NAMES}
    parquet.write_table(
        pa.table(columns | {"high": coarse["high"].max(axis=1), "low": coarse["low"].min(axis=1)}),
        file.parent / "bars.parquet",
    )
    parquet.write_table(pa.table(fine), file.parent / "fine.parquet")
    data = load_dataset(file)
    assert data.fine is not None
    assert (data.fine.interval, len(data.fine)) == (MINUTE, 150)
    assert "fine.parquet" in dict(data.files)
    assert data.between(None, int(data.bars.close_ts[9])).fine is not None
    assert len(Exchange.of(make_tape(data)).detail.open) == 150
    spoilt = fine | {"high": fine["high"] * 1.01}
    parquet.write_table(pa.table(spoilt), file.parent / "fine.parquet")
    with pytest.raises(DataError, match=r"the finer bars of .* have high"):
        Exchange.of(make_tape(load_dataset(file)))


# --- The catalog ---


def test_the_catalog_names_what_the_issue_asks_for() -> None:
    assert dataset_names() == ("simulated", *REAL)
    for name in dataset_names():
        assert describe(name).venues


def test_simulated_is_bundled_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FORCEDFLOW_DATA", str(tmp_path / "none"))
    data = load_dataset("simulated")
    assert any("SIMULATED" in note for note in data.notes)
    oi = data.venues[0].open_interest
    assert oi is not None
    np.testing.assert_array_equal(oi.stamp, data.bars.close_ts)
    np.testing.assert_array_equal(oi.available_at, oi.stamp)


@pytest.mark.parametrize("name", REAL)
def test_every_real_dataset_loads(name: str, shared_data: Path) -> None:
    assert shared_data == data_root()
    data = load_dataset(name)
    bars, (venue,) = data.bars, data.venues
    assert len(bars) > 2000
    assert bars.mark_low is None
    assert data.files
    assert all(len(digest) == 64 for _, digest in data.files)
    if name == "silver-1h":
        assert venue.estimated_oi
        assert any("estimated from volume" in note for note in data.notes)
        return
    oi, paid = venue.open_interest, venue.funding
    assert oi is not None
    assert paid is not None
    assert oi.stamp[0] >= bars.ts[0]
    assert oi.stamp[-1] <= bars.close_ts[-1]
    assert len(oi) > 0.99 * len(bars)
    assert (np.diff(bars.ts) == bars.interval).all()
    assert data.repairs[0].startswith("drop_unfinished")


def test_binance_5m_is_the_common_span_and_known_late(shared_data: Path) -> None:
    data = load_dataset("btcusdt-5m")
    assert (data.bars.ts[0], len(data.bars)) == (instant_ns("2025-12-01"), 17070)
    oi = data.venues[0].open_interest
    assert oi is not None
    np.testing.assert_array_equal(oi.available_at - oi.stamp, 5 * MINUTE)
    # So at the close of a bar the latest value that may be used is the one stamped a bar before.
    known = np.searchsorted(oi.available_at, data.bars.close_ts[100], side="right") - 1
    assert oi.stamp[known] == data.bars.close_ts[99]


def test_an_hour_of_the_5m_set_equals_the_1h_set(shared_data: Path) -> None:
    start, end = "2025-12-10T12:00", "2025-12-10T13:00"
    fine, coarse = load_dataset("solusdt-5m", start, end), load_dataset("solusdt-1h", start, end)
    assert (len(fine.bars), len(coarse.bars)) == (12, 1)
    assert fine.bars.high.max() == coarse.bars.high[0]
    assert fine.bars.volume.sum() == pytest.approx(coarse.bars.volume[0], rel=1e-9)
    fine_oi, coarse_oi = fine.venues[0].open_interest, coarse.venues[0].open_interest
    assert fine_oi is not None
    assert coarse_oi is not None
    assert (fine_oi.stamp[-1], fine_oi.value[-1]) == (coarse_oi.stamp[-1], coarse_oi.value[-1])


def test_the_crash_of_october_2025_is_in_btc_venues(shared_data: Path) -> None:
    data = load_dataset("btc-venues-1h")
    crash = data.between("2025-10-10T20:00", "2025-10-11T01:00")
    assert crash.bars.low.min() < 105_000
    oi = crash.venues[0].open_interest
    assert oi is not None
    assert oi.value[-1] / oi.value[0] < 0.6
    assert 30_000 < oi.value[0] < 45_000  # coins, not dollars
    everything = data.venues[0].open_interest
    assert everything is not None
    np.testing.assert_array_equal(everything.available_at, everything.stamp)  # the stamp is the period's end
    hole = np.diff(everything.stamp)
    assert hole.max() == 19 * HOUR
    assert everything.stamp[hole.argmax() + 1] == instant_ns("2026-01-19T19:00")  # the row of 18:00 to 19:00


def test_silvers_extremes_fall_into_the_right_hour(shared_data: Path) -> None:
    """Broker time is New York + 7 h. In London the fall of 30 January bottomed shortly after 18:00."""
    bars = load_dataset("silver-1h").bars
    top = int(bars.high.argmax())
    assert (round(bars.high[top], 2), bars.ts[top]) == (121.66, instant_ns("2026-01-29T14:00"))
    low = bars.between(instant_ns("2026-01-30"), instant_ns("2026-01-31"))
    assert (round(low.low.min(), 2), low.ts[low.low.argmin()]) == (72.68, instant_ns("2026-01-30T18:00"))


def test_silvers_week_opens_at_six_in_new_york_all_year(shared_data: Path) -> None:
    from datetime import datetime  # noqa: PLC0415
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    bars = load_dataset("silver-1h").bars
    first = np.flatnonzero(np.diff(bars.ts) > 40 * HOUR) + 1
    opens = [datetime.fromtimestamp(ts / 1e9, ZoneInfo("America/New_York")) for ts in bars.ts[first].tolist()]
    sundays = [(day.hour, day.month) for day in opens if day.weekday() == 6]
    assert len(sundays) > 165
    assert {hour for hour, _ in sundays} == {18}
    assert {3, 10, 11} <= {month for _, month in sundays}  # the weeks in which Europe's clocks differ are among them


def test_check_reports_what_a_user_must_know(shared_data: Path) -> None:
    rows = check_dataset("doge-venues-1h")
    text = "\n".join(f"{subject}: {finding}" for subject, finding in rows)
    for part in (
        "8691 of 60 min",
        "one price series serves all venues",
        "drop_unfinished",
        "on the return after",
        "data hash",
    ):
        assert part in text


# --- A user's own dataset ---


def test_own_file_loads_from_any_folder(own: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = own(top='notes = ["a guess"]')
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    data = load_dataset(str(path))
    monkeypatch.chdir(path.parent)
    assert load_dataset("own.toml").data_hash == load_dataset(Path("own.toml")).data_hash == data.data_hash
    assert (data.name, len(data.bars), data.notes) == ("own", 30, ("a guess",))
    expected = hashlib.sha256((path.parent / "bars.parquet").read_bytes()).hexdigest()
    assert data.files[0] == ("bars.parquet", expected)
    oi = data.venues[0].open_interest
    assert oi is not None
    np.testing.assert_array_equal(oi.stamp, data.bars.close_ts)
    assert describe(path).title == "My own"


def test_period_and_lag_say_what_a_row_describes_and_when_it_was_known(own: Any) -> None:
    data = load_dataset(own(venue=OI + 'period = "5min"\nlag = "10min"\n'))
    oi = data.venues[0].open_interest
    assert oi is not None
    assert oi.stamp[0] == data.bars.close_ts[1]
    np.testing.assert_array_equal(oi.available_at - oi.stamp, 10 * MINUTE)


def test_mends_come_from_the_file_and_from_the_caller(own: Any) -> None:
    path = own(bars='repair = ["drop_unfinished"]')
    assert load_dataset(path).repairs == ("drop_unfinished: the last bar dropped, 2025-01-01T02:25:00Z",)
    assert len(load_dataset(own(), repair=["drop_unfinished"]).bars) == 29
    with pytest.raises(DataError, match="unknown repair polish"):
        load_dataset(path, repair=["polish"])


def test_mark_prices_join_only_at_the_bars_own_interval(own: Any) -> None:
    mark = '[mark]\nfile = "mark.parquet"\ninterval = "{}"\ncolumns = {{ ts = {{ column = "t", unit = "ns" }} }}'
    bars = load_dataset(own(bars=mark.format("5min"))).bars
    assert bars.mark_low is not None
    np.testing.assert_allclose(bars.mark_low, bars.low * 0.999)
    with pytest.raises(DataError, match="another interval"):
        load_dataset(own(bars=mark.format("1h")))
    path = own(bars=mark.format("5min"))
    parquet.write_table(parquet.read_table(path.parent / "mark.parquet").slice(2), path.parent / "mark.parquet")
    with pytest.raises(DataError, match="no mark price for 2 bars, the first at 2025-01-01T00:00:00Z"):
        load_dataset(path)


def test_without_open_interest_every_report_is_told(own: Any) -> None:
    data = load_dataset(own(venue=""))
    assert data.venues[0].estimated_oi
    assert data.notes == ("open interest of binance-um is estimated from volume",)
    two = '[[venues]]\nid = "bybit"\nsymbol = "BTCUSDT"\nprofile = "hyperliquid-like"'
    assert "one price series serves all venues" in load_dataset(own(venue=two)).notes


def test_bad_rows_name_the_users_file(own: Any) -> None:
    path = own()
    (path.parent / "oi.csv").write_text("t,oi\n1735689900000,5\n1735690200000,-1\n")
    with pytest.raises(DataError, match=r"oi\.csv, row 1, column 'value': open interest -1.0 is negative"):
        load_dataset(path)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"top": 'colour = "red"'}, r"own\.toml: colour: unknown"),
        ({"bars": "intervall = 5"}, r"own\.toml: bars\.intervall"),
        ({"venue": OI + "lagg = 5"}, r"own\.toml: venues\.0\.open_interest\.lagg"),
        ({"venue": OI + 'lag = "5m"'}, r"venues\.0\.open_interest\.lag: .*not a duration: '5m'"),
        ({"venue": OI + 'unit = "usd"'}, r"venues\.0\.open_interest\.unit"),
        ({"venue": OI + 'unit = "usd_mean"'}, "needs the period"),
        ({"top": "a = "}, r"own\.toml: not readable as TOML"),
        ({"bars": f'sha256 = "{"0" * 64}"'}, "another version of the file"),
        ({"venue": OI.replace("oi.csv", "io.csv")}, r"no file .*io\.csv"),
    ],
)
def test_a_wrong_description_is_refused_by_file_and_key(parts: dict[str, str], reason: str, own: Any) -> None:
    with pytest.raises(CatalogError, match=reason) as caught:
        load_dataset(own(**parts))
    assert "own.toml" in str(caught.value)


def test_unknown_names_and_files() -> None:
    with pytest.raises(CatalogError, match="no dataset 'btc'; the catalog has simulated, btcusdt-5m"):
        load_dataset("btc")
    with pytest.raises(CatalogError, match=r"nowhere\.toml: no such file"):
        load_dataset("nowhere.toml")


def test_missing_data_folder_names_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FORCEDFLOW_DATA", str(tmp_path / "none"))
    with pytest.raises(CatalogError, match="set FORCEDFLOW_DATA"):
        load_dataset("btcusdt-5m")
    monkeypatch.setenv("FORCEDFLOW_DATA", str(tmp_path))
    assert data_root() == tmp_path
    with pytest.raises(CatalogError, match="no file"):
        load_dataset("btcusdt-5m")


def test_shipped_folders_lie_in_the_clone() -> None:
    assert (shipped_folder("datasets") / "catalog.toml").is_file()


def test_importing_the_package_stays_light() -> None:
    script = "import sys, forcedflow.data; assert not {'pandas', 'pyarrow', 'numba', 'pydantic'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
