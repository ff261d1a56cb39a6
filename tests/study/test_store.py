"""The results store: whole parts, the same table after any number of kills, and no other sweep in the same folder."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import forcedflow as ff
from forcedflow.errors import RecordError
from forcedflow.study.sweeps import workers
from forcedflow.study.sweeps.store import Store
from forcedflow.study.sweeps.tasks import run_task

SPAN: dict[str, Any] = {"start": "2025-01-08", "end": "2025-01-12"}
GRID = {"stop_atr": "0.5:2:4", "market.bin_bps": [10, 20]}
SWEPT: dict[str, Any] = {
    "grid": {"stop_atr": "0.5:2:8", "market.bin_bps": "5,7,10,14,20", "risk": "1%,2%"},
    "where": "stop_atr < 1.9",
}
COMMAND = [sys.executable, "-m", "forcedflow", "sweep", "--json", "--where", SWEPT["where"]]
COMMAND += [word for name, values in SWEPT["grid"].items() for word in ("--grid", f"{name}={values}")]


def killed_and_resumed(folder: Path, kills: int) -> None:
    """Kill a sweep at random moments, resume it to its end, and compare with one that nobody disturbed."""
    rng = random.Random(kills)
    landed = 0
    for _ in range(5 * kills):
        before = count(folder)
        process = subprocess.Popen([*COMMAND, "--out", str(folder)], stdout=subprocess.DEVNULL, start_new_session=True)
        while process.poll() is None and count(folder) == before:
            time.sleep(0.001)
        time.sleep(rng.uniform(0.0, 0.03))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            landed += 1
        process.wait()
        if landed == kills:
            break
        if count(folder) > 12:  # nearly finished: there must be something left to disturb
            for part in rng.sample(sorted((folder / "parts").glob("*.parquet")), 10):
                part.unlink()
    assert landed == kills
    found, expected = ff.sweep(**SWEPT, out=folder), ff.sweep(**SWEPT)
    assert len(expected.rows) == 5 * 7 * 2
    assert found.rows.equals(expected.rows)
    assert ff.load_sweep(folder).rows.equals(expected.rows)
    assert found.failures == []
    assert not list(folder.rglob("*.tmp"))


def count(folder: Path) -> int:
    return len(list((folder / "parts").glob("*.parquet")))


def test_a_killed_sweep_resumes_to_the_same_table(tmp_path: Path) -> None:
    killed_and_resumed(tmp_path / "s", 2)


@pytest.mark.deep
def test_a_sweep_killed_twenty_times_resumes_to_the_same_table(tmp_path: Path) -> None:
    killed_and_resumed(tmp_path / "s", 20)


def test_what_is_finished_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "s"
    first = ff.sweep(grid=GRID, out=out, **SPAN)
    parts = sorted((out / "parts").glob("*.parquet"))
    assert len(parts) == 8
    parts[3].unlink()
    (out / "parts" / ".x.parquet.abc.tmp").write_bytes(b"torn")
    done: list[Any] = []

    def noted(*given: Any) -> Any:
        done.append(given)
        return run_task(*given)

    monkeypatch.setattr(workers, "run_task", noted)
    again = ff.sweep(grid=GRID, out=out, **SPAN)
    assert len(done) == 1
    assert again.rows.equals(first.rows)
    assert not list(out.rglob(".*.tmp"))


def test_a_search_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search: dict[str, Any] = {
        "grid": {"stop_atr": "0.3:3", "mode": "absorb,ride"},
        "search": "optuna",
        "trials": 20,
        **SPAN,
    }
    whole = ff.sweep(**search)
    calls = iter(range(100))

    def stops(*given: Any) -> Any:
        if next(calls) == 11:
            raise KeyboardInterrupt
        return run_task(*given)

    monkeypatch.setattr(workers, "run_task", stops)
    with pytest.raises(KeyboardInterrupt):
        ff.sweep(**search, out=tmp_path / "s")
    assert len(ff.load_sweep(tmp_path / "s").rows) == 11
    assert ff.sweep(**search, out=tmp_path / "s").rows.equals(whole.rows)
    assert ff.load_sweep(tmp_path / "s").rows.equals(whole.rows)


def test_failed_tasks_are_told_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(task: Any, data: Any = None) -> Any:
        if task.jobs[0].number == 1:
            raise MemoryError("no room")
        return run_task(task, data)

    with monkeypatch.context() as patch:
        patch.setattr(workers, "run_task", fails)
        partly = ff.sweep(grid={"stop_atr": [1, 2, 3]}, out=tmp_path / "s", **SPAN)
        assert partly.failures == [{"settings": [1], "why": "MemoryError: no room"}]
        assert partly.table["setting"].tolist() == [0, 2]
        patch.setattr(workers, "run_task", lambda *_: (_ for _ in ()).throw(MemoryError("none")))
        with pytest.raises(RecordError, match=r"no task.*MemoryError: none"):
            ff.sweep(grid={"stop_atr": [1, 2]}, **SPAN)
    whole = ff.sweep(grid={"stop_atr": [1, 2, 3]}, out=tmp_path / "s", **SPAN)
    assert whole.failures == []
    assert len(whole.table) == 3


def test_a_folder_holds_one_sweep(tmp_path: Path) -> None:
    out = tmp_path / "s"
    ff.sweep(grid=GRID, out=out, **SPAN)
    with pytest.raises(RecordError, match=r"another sweep, with another data_hash, grid, start"):
        ff.sweep(grid={"stop_atr": [1]}, out=out, end=SPAN["end"])
    with pytest.raises(RecordError, match=r"another score"):
        ff.sweep(grid=GRID, out=out, score="calmar", **SPAN)
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "file").write_text("")
    with pytest.raises(RecordError, match=r"holds no sweep"):
        ff.sweep(grid=GRID, out=tmp_path / "else", **SPAN)
    with pytest.raises(RecordError, match=r"no sweep.json"):
        Store(tmp_path / "else")
    text = (out / "sweep.json").read_text()
    (out / "sweep.json").write_text(text.replace('"format": 1', '"format": 0'))
    with pytest.raises(RecordError, match=r"format 0, this version reads 1"):
        ff.load_sweep(out)
    (out / "sweep.json").write_text(text[:50])
    with pytest.raises(RecordError, match=r"damaged"):
        ff.load_sweep(out)
    (out / "sweep.json").write_text(text)
    next((out / "parts").glob("*.parquet")).write_bytes(b"PAR1")
    with pytest.raises(RecordError, match=r"damaged.*remove it"):
        ff.load_sweep(out)


def test_sql_over_the_parts(tmp_path: Path) -> None:
    swept = ff.sweep(grid=GRID, out=tmp_path / "s", **SPAN)
    found = swept.query('select "market.bin_bps" as bins, max(sharpe) as best from results group by 1 order by 1')
    expected = swept.table.groupby("market.bin_bps")["sharpe"].max()
    assert found["bins"].tolist() == [10.0, 20.0]
    assert found["best"].tolist() == expected.tolist()
    with pytest.raises(RecordError, match=r"nowhere"):
        swept.query("select * from nowhere")
    with pytest.raises(RecordError, match=r"out=DIR"):
        ff.sweep(grid={"stop_atr": [1]}, **SPAN).query("select 1")


def test_columns_hold_what_axes_hold(tmp_path: Path, files: dict[str, str]) -> None:
    """A parameter that only one strategy has, words, switches, nothing at all, and a name that a measure has too."""
    text = Path(files["plans"]).read_text().replace("stop_atr: float", "days: int = 3\n    stop_atr: float")
    named = tmp_path / "named.py"
    named.write_text(text)
    grid = {
        "stop_atr": [1, 2],
        "mode": "absorb",
        "once_per_group": [True, False],
        "market.profile": "none",
        "days": [1, 2],
    }
    swept = ff.sweep("simulated", ["zone_entry", str(named)], grid, out=tmp_path / "s", **SPAN)
    schema = swept.rows.schema
    assert schema.field("params.days").type == pa.int64()
    assert schema.field("days").type == pa.int64()
    assert schema.field("once_per_group").type == pa.bool_()
    assert swept.rows["market.profile"].null_count == len(swept.rows) == 4 + 8
    assert swept.table["params.days"].isna().sum() == 4
    points = [reading.best.point for reading in swept.readings() if reading.best is not None]
    assert points[0].keys() == {"stop_atr", "mode", "once_per_group", "market.profile"}
    assert points[1].keys() == {"stop_atr", "once_per_group", "market.profile", "days"}
    part = next((tmp_path / "s" / "parts").glob("*.parquet"))
    assert pq.read_schema(part).equals(schema)
