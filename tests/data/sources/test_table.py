"""The generic reader: three formats, units, zones, and refusals that say where."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from forcedflow.data.sources.table import TimeColumn, column_names, read_columns
from forcedflow.data.times import HOUR, instant_ns
from forcedflow.errors import DataError

WANTED: dict[str, str | TimeColumn] = {"ts": TimeColumn("t", "ms"), "price": "p"}
MS = 1_735_689_600_000


def write(path: Path) -> Path:
    table = pa.table({"t": pa.array([MS, MS + 1], pa.int64()), "p": [1.5, None], "venue": ["a", "b"]})
    if path.suffix == ".parquet":
        parquet.write_table(table, path)
    elif path.suffix == ".feather":
        feather.write_feather(table, str(path))
    else:
        text = f"t,p,venue\n{MS},1.5,a\n{MS + 1},,b\n".encode()
        path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.mark.parametrize("name", ["x.parquet", "x.feather", "x.csv", "x.csv.gz"])
def test_all_formats_read_alike(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name)
    found = read_columns(path, WANTED)
    np.testing.assert_array_equal(found["ts"], np.array([MS, MS + 1]) * 1_000_000)
    np.testing.assert_array_equal(found["price"], [1.5, np.nan])
    assert found["ts"].dtype == np.int64
    assert column_names(path) == ["t", "p", "venue"]
    np.testing.assert_array_equal(read_columns(path, WANTED, where={"venue": "a"})["price"], [1.5])
    with pytest.raises(DataError, match="venue=c: no rows"):
        read_columns(path, WANTED, where={"venue": "c"})


@pytest.mark.parametrize(
    ("text", "unit", "tz", "ahead", "utc"),
    [
        ("1735689600", "s", None, 0, "2025-01-01"),
        ("1735689600.25", "s", None, 0, "2025-01-01T00:00:00.250"),
        ("1735689600000000", "us", None, 0, "2025-01-01"),
        ("1735689600000000000", "ns", None, 0, "2025-01-01"),
        ("2025-01-01 00:00:00", "iso", "UTC", 0, "2025-01-01"),
        ("2025-01-01", "iso", "UTC", 0, "2025-01-01"),
        ("2025-01-01T02:00:00+02:00", "iso", None, 0, "2025-01-01"),
        ("2025-07-01 15:00:00", "iso", "Europe/Athens", 0, "2025-07-01T12:00"),
        # 2025-03-20: New York has summer time, Europe has not
        ("2025-03-20 16:00:00", "iso", "America/New_York", 7 * HOUR, "2025-03-20T13:00"),
        ("2025-03-20 16:00:00", "iso", "Europe/Athens", 0, "2025-03-20T14:00"),
    ],
)
def test_times_of_every_unit_and_zone(
    text: str, unit: str, tz: str | None, ahead: int, utc: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"t\n{text}\n")
    column = TimeColumn("t", unit, tz, ahead)  # type: ignore[arg-type]
    assert read_columns(path, {"ts": column})["ts"].tolist() == [instant_ns(utc)]


@pytest.mark.parametrize(
    ("text", "column", "row", "reason"),
    [
        ("2025-01-01 00:00:00", TimeColumn("t"), 0, "naive times such as 2025-01-01T00:00:00"),
        (str(MS), TimeColumn("t"), None, "numbers need a unit"),
        (str(MS), TimeColumn("t", "s"), 0, "check the unit"),
        (str(MS), TimeColumn("t", "us"), 0, "check the unit"),
        (f"{MS}\n5", TimeColumn("t", "ms"), 1, "check the unit"),
        (f"{MS}\n\n", TimeColumn("u", "ms"), None, "no such column; the file has t"),
        ("soon", TimeColumn("t", "iso"), None, "cannot be read as times"),
        (
            "2025-03-09 02:30:00",
            TimeColumn("t", "iso", "America/New_York"),
            None,
            "doesn't exist|cannot be read as times",
        ),
        ("2025-01-01 00:00:00", TimeColumn("t", "iso", "Mars/Base"), None, "Mars/Base"),
    ],
)
def test_bad_times_are_refused(text: str, column: TimeColumn, row: int | None, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"t\n{text}\n")
    with pytest.raises(DataError, match=reason) as caught:
        read_columns(path, {"ts": column})
    assert caught.value.row == row
    assert caught.value.field == column.column


def test_bad_numbers_and_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("p\n1\n2\nn/k\n")
    with pytest.raises(DataError, match="'n/k'") as caught:
        read_columns(path, {"price": "p"})
    assert (caught.value.row, caught.value.field) == (2, "p")
    with pytest.raises(DataError, match="no such file"):
        read_columns(tmp_path / "missing.csv", {"price": "p"})
    (tmp_path / "x.parquet").write_text("not parquet")
    with pytest.raises(DataError, match="cannot be read as parquet"):
        read_columns(tmp_path / "x.parquet", {"price": "p"})
    (tmp_path / "x.xlsx").touch()
    with pytest.raises(DataError, match="unknown kind of file"):
        read_columns(tmp_path / "x.xlsx", {"price": "p"})


def test_reading_imports_no_pandas(tmp_path: Path) -> None:
    """It costs every run half a second and more."""
    paths = [str(write(tmp_path / name)) for name in ("x.parquet", "x.feather", "x.csv")]
    script = (
        "import sys; from forcedflow.data.sources.table import *\n"
        f"for path in {paths}: read_columns(path, {{'ts': TimeColumn('t', 'ms')}})\n"
        "assert 'pandas' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
