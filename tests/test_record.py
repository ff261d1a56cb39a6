"""The run folder: whole or not at all, and the same to the bit when it is read."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forcedflow import record
from forcedflow.errors import RecordError
from forcedflow.tables import MapSnapshots
from report.synthetic import synthetic_run

TABLES = ("orders", "fills", "trades", "equity", "blind_equity", "market_bars")
JSONS = ("config", "summary", "scorecard", "blind", "timings")


@pytest.fixture(scope="module")
def run() -> record.Run:
    return synthetic_run(bars=600, trades=12)


def bits(values: Any) -> tuple[str, bytes]:
    kind = "U" if values.dtype.kind == "U" else values.dtype.str
    return kind, "\0".join(values).encode() if kind == "U" else values.tobytes()


def digests(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def test_a_run_reads_as_it_was_written(run: record.Run, tmp_path: Path) -> None:
    back = record.read(record.write(run, tmp_path / "a" / "run"))
    for name in JSONS:
        assert getattr(back, name) == getattr(run, name)
    for name in TABLES:
        ours, theirs = getattr(run, name), getattr(back, name)
        assert list(map(bits, (ours[c] for c in theirs))) == list(map(bits, theirs.values()))
    assert back.events == run.events
    for f in fields(MapSnapshots):
        ours, theirs = (getattr(r.snapshots, f.name) for r in (run, back))
        assert ours == theirs if f.name == "bin_width" else bits(ours) == bits(theirs), f.name


def test_nan_negative_zero_and_empty_tables_survive(run: record.Run, tmp_path: Path) -> None:
    nothing = {name: column[:0] for name, column in run.trades.items()}
    equity = run.equity | {"cash": np.where(np.arange(600) % 2, np.nan, -0.0)}
    none = replace(run.snapshots, **{n: getattr(run.snapshots, n)[:0] for n in ("bar", "ts", "mass", "oi")})
    odd = replace(run, trades=nothing, equity=equity, events=run.events[:0], snapshots=none)
    back = record.read(record.write(odd, tmp_path / "run"))
    assert bits(back.equity["cash"]) == bits(equity["cash"])
    assert len(back.trades["net"]) == len(back.events) == 0
    assert back.snapshots.mass.shape == none.mass.shape


def test_the_same_run_is_the_same_bytes_but_for_timings(run: record.Run, tmp_path: Path) -> None:
    first = digests(record.write(run, tmp_path / "one"))
    later = digests(record.write(replace(run, timings={"market_pass_s": 9.0}), tmp_path / "two"))
    assert {name for name in first if first[name] != later[name]} == {"timings.json"}


def test_pages_are_part_of_the_whole(run: record.Run, tmp_path: Path) -> None:
    folder = record.write(run, tmp_path / "run", {"tearsheet.html": "<p>"})
    assert (folder / "tearsheet.html").read_text() == "<p>"


def test_an_existing_folder_is_left_alone(run: record.Run, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(RecordError, match="never overwritten; give another folder"):
        record.write(run, tmp_path / "run")
    assert list(tmp_path.iterdir()) == [tmp_path / "run"]


def test_a_full_disk_leaves_nothing(run: record.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(RecordError, match="No space left"):
        record.write(run, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def handed_over(run: record.Run, folder: Path, step: int) -> Path:
    """Write a run whose rows come piece by piece, the way they come while it is made."""
    with record.Recorder(folder) as recorder:
        for first in range(0, len(run.equity["bar"]), step):
            recorder.add("equity", {name: column[first : first + step] for name, column in run.equity.items()}, 600)
        recorder.add("bars", {name: run.market_bars[name][:step] for name in record.BARS}, 600)
        recorder.add_tape(run.events, run.snapshots)
        return recorder.finish(run)


def test_rows_handed_over_early_make_the_same_bytes(
    run: record.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "GROUP", 128)
    whole = digests(record.write(run, tmp_path / "whole"))
    assert pq.ParquetFile(tmp_path / "whole" / "equity.parquet").num_row_groups == 5
    assert digests(handed_over(run, tmp_path / "pieces", 256)) == whole
    back = record.read(handed_over(run, tmp_path / "odd", 100))  # other groups, the same rows
    assert list(map(bits, back.equity.values())) == [bits(run.equity[name]) for name in back.equity]


def test_a_run_that_fails_midway_leaves_neither_folder_nor_thread(run: record.Run, tmp_path: Path) -> None:
    def interrupted() -> None:
        with record.Recorder(tmp_path / "deep" / "run") as recorder:
            recorder.add("equity", run.equity)
            assert len(list((tmp_path / "deep").iterdir())) == 1
            raise KeyboardInterrupt

    before = threading.enumerate()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    assert threading.enumerate() == before


def test_a_disk_that_fills_up_ends_the_run_at_its_next_rows(
    run: record.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    met = threading.Event()

    def full(*_: object, **__: object) -> None:
        met.set()
        raise OSError(28, "No space left on device")

    def endless() -> None:
        with record.Recorder(tmp_path / "run") as recorder:
            while True:
                recorder.add("equity", run.equity, 1 << 60)
                assert met.wait(10)

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    before = threading.enumerate()
    with pytest.raises(RecordError, match="No space left"):
        endless()
    assert list(tmp_path.iterdir()) == []
    assert threading.enumerate() == before


def test_a_killed_writer_leaves_no_run(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; sys.path[:0] = sys.argv[2:]\n"
        "from forcedflow import record; from report.synthetic import synthetic_run\n"
        "flush, count = record.flush, iter(range(99))\n"
        "record.flush = lambda p: os.kill(os.getpid(), signal.SIGKILL) if next(count) == 5 else flush(p)\n"
        "record.write(synthetic_run(bars=300, trades=3), sys.argv[1])\n"
    )
    tests = Path(__file__).parent
    command = [sys.executable, "-c", script, str(tmp_path / "run"), str(tests)]
    assert subprocess.run(command, check=False, env=os.environ).returncode == -signal.SIGKILL
    assert not (tmp_path / "run").exists()
    with pytest.raises(RecordError, match=r"run\.json is missing"):
        record.read(tmp_path / "run")


def test_tables_must_be_of_their_schema(run: record.Run, tmp_path: Path) -> None:
    def refused(trades: dict[str, Any], why: str) -> None:
        with pytest.raises(RecordError, match=why):
            record.write(replace(run, trades=trades), tmp_path / "run")

    refused(run.trades | {"luck": run.trades["net"]}, "trades: columns .'luck'.")
    refused(run.trades | {"net": run.trades["net"][:-1]}, "trades: columns differ in length")
    refused(run.trades | {"net": run.trades["net"].astype(np.float32)}, "trades: column 'net' is float32, not float64")


def test_undefined_numbers_must_be_none(run: record.Run, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"scorecard\.json: .*undefined numbers are None"):
        record.write(replace(run, scorecard={"sharpe": float("nan")}), tmp_path / "run")


def test_damage_is_named(run: record.Run, tmp_path: Path) -> None:
    folder = record.write(run, tmp_path / "run")
    whole = (folder / "fills.parquet").read_bytes()
    (folder / "fills.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RecordError, match=r"fills\.parquet is damaged"):
        record.read(folder)
    pq.write_table(pa.table({"fill_id": [1]}), folder / "fills.parquet")
    with pytest.raises(RecordError, match=r"fills\.parquet: columns"):
        record.read(folder)
    (folder / "run.json").write_text('{"format": 99}')
    with pytest.raises(RecordError, match="format 99, this version reads 6"):
        record.read(folder)


def test_frames_have_times(run: record.Run) -> None:
    frame = run.frame("trades")
    assert str(frame["entry_ts"].iloc[0].tz) == "UTC"
    assert frame["net"].tolist() == run.trades["net"].tolist()
    assert run.frame("events")["kind"].iloc[0] == "ZoneNear"
    with pytest.raises(RecordError, match="no table 'trade'; it has events, orders"):
        run.frame("trade")


def test_costs_are_no_times() -> None:
    assert [name for name in ("ts", "entry_ts", "costs", "bar") if record.is_time(name)] == ["ts", "entry_ts"]
