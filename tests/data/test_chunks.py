"""Bars in chunks are checked as all at once: rows of the file, borders of chunks, what cannot be read in chunks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forcedflow.data import load_dataset
from forcedflow.data.chunks import chunks_of
from forcedflow.data.series import Dataset
from forcedflow.data.sources.table import TimeColumn, read_batches
from forcedflow.errors import CatalogError, DataError
from forcedflow.trading.exchange import Exchange
from generators import MINUTE, examples

ROWS = 200
START = 1_700_000_000_000_000_000 // MINUTE * MINUTE
TOML = """
title = "t"
source = "s"
licence = "l"
{top}
[bars]
file = "bars.parquet"
interval = "1min"
columns = {{ ts = {{ column = "ts", unit = "ns" }} }}
{bars}
{mark}
[[venues]]
id = "binance-um"
symbol = "BTCUSDT"
profile = "hyperliquid-like"
open_interest = {{ file = "oi.parquet", columns = {{ ts = {{ column = "ts", unit = "ns" }}, value = "value" }}{oi} }}
"""
MARK = '[mark]\nfile = "mark.parquet"\ninterval = "1min"\ncolumns = { ts = { column = "ts", unit = "ns" } }'


def columns() -> dict[str, npt.NDArray[Any]]:
    ts = START + np.arange(ROWS) * MINUTE
    price = 100 + np.sin(np.arange(ROWS))
    return {"ts": ts, "open": price, "high": price + 1, "low": price - 1, "close": price, "volume": np.ones(ROWS)}


def write(folder: Path, table: dict[str, npt.NDArray[Any]], **parts: str) -> Path:
    pq.write_table(pa.table(table), folder / "bars.parquet", row_group_size=64)
    ts = columns()["ts"]
    pq.write_table(pa.table({"ts": ts + MINUTE, "value": 5 + np.cos(np.arange(len(ts)))}), folder / "oi.parquet")
    file = folder / "data.toml"
    file.write_text(TOML.format(**{"top": "", "bars": "", "mark": "", "oi": ""} | parts), encoding="utf-8")
    return file


def taken(file: Path, count: int) -> list[Dataset]:
    chunks, parts = chunks_of(file), []
    while (part := chunks.take(count)) is not None:
        parts.append(part)
    return parts


def test_chunks_say_of_themselves_what_the_dataset_says(tmp_path: Path) -> None:
    whole, (part, *_) = (
        load_dataset(write(tmp_path, columns(), bars='volume = "ticks"')),
        taken(tmp_path / "data.toml", 64),
    )
    assert whole.counts_ticks
    for name in ("title", "calendar", "source", "licence", "counts_ticks"):
        assert getattr(part, name) == getattr(whole, name), name


@pytest.mark.parametrize("count", [1, 7, 64, 1000])
def test_chunks_add_up_to_the_dataset(tmp_path: Path, count: int) -> None:
    bars = columns()
    pq.write_table(pa.table({name: bars[name] for name in ("ts", "high", "low")}), tmp_path / "mark.parquet")
    start, end = (np.datetime64((START + k * MINUTE) // 10**9, "s") for k in (10, 150))
    times = f'start = "{start}Z"\nend = "{end}Z"'
    file = write(tmp_path, bars, top=times, mark=MARK)
    whole, parts = load_dataset(file), taken(file, count)
    assert len(whole.bars) == 140
    for name, column in whole.bars.columns().items():
        assert np.concatenate([part.bars.columns()[name] for part in parts]).tobytes() == column.tobytes()
    assert chunks_of(file).end == whole.span.end
    assert {part.notes for part in parts} == {whole.notes}


def test_skipped_bars_are_not_taken(tmp_path: Path) -> None:
    file = write(tmp_path, columns())
    for skipped in (0, 63, 64, 65, 199, 200):
        chunks = chunks_of(file)
        chunks.skip(skipped)
        part = chunks.take(3)
        found = [] if part is None else part.bars.ts.tolist()
        assert found == [START + k * MINUTE for k in range(skipped, min(skipped + 3, ROWS))]


@examples(20)
@given(st.integers(1, ROWS - 1), st.integers(1, 50), st.sampled_from(["nan", "wick", "repeat", "back", "odd"]))
def test_errors_name_the_row_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, row: int, count: int, defect: str
) -> None:
    bars = columns()
    if defect == "nan":
        bars["close"][row] = np.nan
    elif defect == "wick":
        bars["low"][row] = bars["open"][row] + 0.5
    elif defect == "repeat":
        bars["ts"][row] = bars["ts"][row - 1]
    elif defect == "back":
        bars["ts"][row:] -= 2 * MINUTE
    else:
        bars["ts"][row:] += 7
    file = write(tmp_path_factory.mktemp("bad"), bars)
    with pytest.raises(DataError) as at_once:
        load_dataset(file)
    with pytest.raises(DataError) as in_chunks:
        taken(file, count)
    assert in_chunks.value.row == at_once.value.row == row
    assert in_chunks.value.field == at_once.value.field


FUNDING = 'funding = { file = "funding.parquet", columns = { ts = { column = "ts", unit = "ns" }, value = "value" } }'


@pytest.mark.parametrize("count", [1, 7, 49, 50, 51, 64, 1000])
@pytest.mark.parametrize("in_memory", [False, True])
def test_funding_comes_with_the_bars_it_falls_due_in(tmp_path: Path, count: int, in_memory: bool) -> None:
    """Before the bars, at their borders, in a gap between them, and after: each payment once, and in its bar."""
    bars = columns()
    bars["ts"][50:] += 100 * MINUTE
    at = START + np.array([-5, 0, 3.5, 7, 49.999, 50, 60, 149, 150, 150.5, 163, 170, 299, 299.5, 300, 301]) * MINUTE
    paid = {"ts": at.astype(np.int64), "value": np.arange(len(at)) * 1e-5}
    pq.write_table(pa.table(paid), tmp_path / "funding.parquet")
    file = write(tmp_path, bars)
    file.write_text(file.read_text(encoding="utf-8") + FUNDING, encoding="utf-8")
    whole = load_dataset(file)
    chunks, first, found = chunks_of(whole if in_memory else file), 0, []
    while (part := chunks.take(count)) is not None:
        funding = part.venues[0].funding
        assert funding is not None
        due = np.searchsorted(part.bars.close_ts, funding.ts, side="right")
        found += list(zip((first + due).tolist(), funding.rate.tolist(), strict=True))
        first += len(part.bars)
    rules = Exchange(whole.bars, venue=whole.venues[0]).rules
    assert found == list(zip(rules.funding["bar"].tolist(), rules.funding["rate"].tolist(), strict=True))
    assert len(found) == 13


def test_funding_must_ascend_across_chunks(tmp_path: Path) -> None:
    ts = START + np.array([5, 35, 25, 65]) * MINUTE
    pq.write_table(pa.table({"ts": ts, "value": np.ones(4)}), tmp_path / "funding.parquet")
    file = write(tmp_path, columns())
    file.write_text(file.read_text(encoding="utf-8") + FUNDING, encoding="utf-8")
    for count in (10, 36, 200):
        with pytest.raises(DataError, match=r"does not come after|comes after a later time") as told:
            taken(file, count)
        assert told.value.row == 2


@pytest.mark.parametrize("count", [10, 48, 60])
def test_bars_of_another_interval_are_seen_across_chunks(tmp_path: Path, count: int) -> None:
    bars = columns()
    bars["ts"][90:] += np.arange(ROWS - 90) * 4 * MINUTE
    file = write(tmp_path, bars)
    with pytest.raises(DataError, match="mixed intervals: from here"):
        load_dataset(file)
    with pytest.raises(DataError, match="mixed intervals: from here"):
        taken(file, count)


def test_open_interest_must_ascend_across_chunks(tmp_path: Path) -> None:
    file = write(tmp_path, columns())
    ts = columns()["ts"] + MINUTE
    ts[101:] -= 30 * MINUTE
    pq.write_table(pa.table({"ts": ts, "value": np.ones(ROWS)}), tmp_path / "oi.parquet")
    with pytest.raises(DataError, match=r"does not come after|comes after a later time"):
        taken(file, 10)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"bars": 'repair = ["sort"]'}, "repair sort needs all rows at once; mend the file first"),
        ({"bars": 'where = { symbol = "A" }'}, "rows where symbol=A cannot be chosen in chunks"),
        ({"oi": ', unit = "usd_mean", period = "1min"'}, "unit usd_mean needs prices of other chunks"),
    ],
)
def test_what_needs_all_rows_at_once_is_refused(tmp_path: Path, parts: dict[str, str], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        chunks_of(write(tmp_path, columns(), **parts))


def test_files_that_are_not_as_described_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path, columns(), bars=f'sha256 = "{"0" * 64}"')
    with pytest.raises(CatalogError, match="another version of the file"):
        chunks_of(file)
    file = write(tmp_path, {"ts": columns()["ts"], "open": np.ones(ROWS)})
    with pytest.raises(DataError, match=r"column 'close': no such column; the file has ts, open"):
        taken(file, 10)
    (tmp_path / "bars.parquet").write_bytes(b"nothing")
    with pytest.raises(DataError, match="cannot be read as parquet"):
        taken(file, 10)
    file.write_text(file.read_text("utf-8").replace("bars.parquet", "bars.csv"), "utf-8")
    (tmp_path / "bars.csv").write_text("ts\n", "utf-8")
    with pytest.raises(DataError, match="only Parquet files are read in chunks"):
        chunks_of(file)


def test_a_reader_holds_a_piece_of_the_file_only(tmp_path: Path) -> None:
    """Arrow's own count of its memory does not grow from row group to row group."""
    path = tmp_path / "long.parquet"
    rng = np.random.default_rng(0)
    with pq.ParquetWriter(path, pa.schema([("ts", pa.int64()), ("value", pa.float64())])) as writer:
        for _ in range(10):
            writer.write_table(pa.table({"ts": np.full(262_144, START), "value": rng.random(262_144)}))
    before, held, rows = pa.total_allocated_bytes(), [], 0
    for row, piece in read_batches(path, {"ts": TimeColumn("ts", "ns"), "value": "value"}):
        assert row == rows
        rows += len(piece["ts"])
        held.append(pa.total_allocated_bytes() - before)
    assert rows == 2_621_440
    assert max(held) < held[0] + 4_000_000
