"""A streamed run: its record is that of a run of the whole, whatever the chunks, killed and gone on with anywhere."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import forcedflow as ff
from forcedflow import record
from forcedflow.errors import RecordError, SettingsError
from forcedflow.parts import Parted
from forcedflow.record import FILES, Run
from forcedflow.report import payload
from forcedflow.report.equity_measures import Curve, streamed_curve
from forcedflow.report.scorecard import Calendar
from forcedflow.report.tearsheet import tearsheet
from forcedflow.streamed import LEFT_OUT
from generators import examples

CONFIG: dict[str, Any] = {"dataset": "simulated", "strategy": "zone_entry", "account": {"margin": "isolated"}}


@pytest.fixture(scope="module")
def whole() -> Run:
    return ff.run("simulated", "zone_entry", account=CONFIG["account"])


def assert_same(run: Run, whole: Run) -> None:
    for name in ("orders", "fills", "trades", "funding", "equity", "market_bars"):
        for column, values in getattr(whole, name).items():
            found = getattr(run, name)[column]
            if values.dtype.kind == "U":
                assert found.tolist() == values.tolist(), (name, column)
            else:
                assert (found.dtype, found.tobytes()) == (values.dtype, values.tobytes()), (name, column)
    for column in FILES["events"]:
        assert getattr(run.events, column).tobytes() == getattr(whole.events, column).tobytes(), column


def test_the_record_is_that_of_a_run_but_for_what_it_names(whole: Run, tmp_path: Path) -> None:
    result = ff.run_streamed(CONFIG, tmp_path / "run", chunk=1777)
    run = ff.load_run(tmp_path / "run")
    assert_same(run, whole)
    assert len(whole.trades["net"]) > 5
    assert run.scorecard == result.scorecard == whole.scorecard | dict.fromkeys(LEFT_OUT)
    told = run.summary["warnings"]
    assert all(name in told[-1] for name in LEFT_OUT)
    near = {
        name: pytest.approx(whole.summary[name], rel=1e-12) for name in ("coverage_mean", "implied_liquidation_rate")
    }
    left = [warning for warning in whole.summary["warnings"] if "blind" not in warning]
    assert run.summary == whole.summary | near | {"reopened_share": None, "warnings": [*left, told[-1]]}
    compared = ff.compare(tmp_path / "run")
    assert compared.runs[0].card == run.scorecard


def test_columns_of_parts_are_those_of_the_whole_table(whole: Run, tmp_path: Path) -> None:
    """Also those of orders and trades, which parts tell in another order, and of a record whose tables are whole."""
    record.write(whole, tmp_path / "whole")
    ff.run_streamed(CONFIG, tmp_path / "parts", chunk=777)
    told = np.concatenate([part["order_id"] for part in Parted(tmp_path / "parts", "orders").parts("order_id")])
    assert sorted(told) == list(range(len(told))) != told.tolist()
    for folder in ("whole", "parts"):
        for name in ("orders", "fills", "trades", "equity"):
            table, expected = Parted(tmp_path / folder, name), getattr(whole, name)
            assert table.rows == len(next(iter(expected.values())))
            assert [*table] == [*expected]
            rows = np.array([1, 2, table.rows - 1])
            some = table.at(rows)
            for column, values in expected.items():
                np.testing.assert_array_equal(some[column], values[rows])
                np.testing.assert_array_equal(table.at(rows, column)[column], values[rows])
                if values.dtype.kind == "U":
                    text = str(values[1])
                    assert table.same(column, text).tolist() == (values == text).tolist()
                    with pytest.raises(KeyError, match="is text"):
                        table[column]
                else:
                    assert (table[column].dtype, table[column].tobytes()) == (values.dtype, values.tobytes())
    with pytest.raises(RecordError, match="is missing"):
        Parted(tmp_path, "orders")


def test_chunks_make_no_difference_to_the_bytes(tmp_path: Path) -> None:
    hashes = set()
    for chunk in (3000, 10_000):
        folder = tmp_path / str(chunk)
        ff.run_streamed(CONFIG, folder, chunk=chunk)
        names = ("run.json", "scorecard.json", "tearsheet.html")
        hashes.add(b"".join((folder / name).read_bytes() for name in names))
    assert len(hashes) == 1


def scene(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="payload">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    drawn: dict[str, Any] = json.loads(found[1])
    return drawn


@pytest.mark.parametrize("most", [20_000, 300])
def test_its_tearsheet_draws_what_that_of_a_run_draws(
    whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Candles that lie across parts, and trades of which only the largest are shown."""
    monkeypatch.setattr(payload, "_CANDLES", most)
    monkeypatch.setattr(payload, "SHOWN_TRADES", min(most, 4))
    ff.run_streamed(CONFIG, tmp_path / "run", chunk=1777)
    page, of_a_run = (tmp_path / "run" / "tearsheet.html").read_text(), tearsheet(whole)
    found, expected = scene(page), scene(of_a_run)
    left = {name: value for name, value in expected.items() if name in found}
    left["curve"] = {name: value for name, value in left["curve"].items() if not name.startswith("blind")}
    assert found == left | {"map": None}
    assert set(expected) - set(found) == {"hazard", "voids", "zones", "channels", "marks"}
    assert found["trades"]["of"] == len(whole.trades["net"]) > found["trades"]["count"]
    for title in ("Results in R", "Excursions", "From gross to net", "Returns by month"):
        drawn = [re.search(f"<h2>{title}</h2>(.*?)</section>", text, re.DOTALL) for text in (page, of_a_run)]
        assert len({match[1] for match in drawn if match}) == 1
    assert "2025" in page.split("</header>")[0]
    assert page.split("</header>")[0] == of_a_run.split("</header>")[0].replace(
        whole.config["data_hash"][:8], ff.load_run(tmp_path / "run").config["data_hash"][:8]
    )


_KILLED = """
import sys, forcedflow as ff
ff.run_streamed({config!r}, sys.argv[1], chunk=400, resume=True)
"""


def test_killed_at_random_moments_it_goes_on_to_the_same_record(whole: Run, tmp_path: Path) -> None:
    folder, rng, kills = tmp_path / "run", np.random.default_rng(5), 0
    command = [sys.executable, "-c", _KILLED.format(config=CONFIG), str(folder)]
    for part in rng.integers(1, 24, 6):  # at a moment after so many chunks
        with subprocess.Popen(command, env=os.environ | {"FORCEDFLOW_LEDGER": str(tmp_path / "ledger")}) as job:
            while job.poll() is None and len(list(folder.glob("equity-*.parquet"))) < part:
                time.sleep(0.001)
            time.sleep(float(rng.uniform(0.0, 0.02)))
            kills += job.poll() is None
            job.send_signal(signal.SIGKILL)
        assert not (folder / "run.json").exists() or job.returncode == 0
    assert kills >= 3
    subprocess.run(command, check=True, env=os.environ | {"FORCEDFLOW_LEDGER": str(tmp_path / "ledger")})
    run = ff.load_run(folder)
    assert_same(run, whole)
    assert run.scorecard == whole.scorecard | dict.fromkeys(LEFT_OUT)
    assert not list(folder.glob(".*"))


def test_a_stream_that_is_over_is_gone_on_with(whole: Run, tmp_path: Path) -> None:
    ff.run_streamed(CONFIG, tmp_path / "run", chunk=4000)
    with pytest.raises(RecordError, match="holds something already"):
        ff.run_streamed(CONFIG, tmp_path / "run")
    result = ff.run_streamed(CONFIG, tmp_path / "run", resume=True)
    assert result.scorecard == whole.scorecard | dict.fromkeys(LEFT_OUT)
    assert result.summary["warnings"] == ff.load_run(tmp_path / "run").summary["warnings"]


def test_what_a_stream_cannot_do_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no start, end or repair"):
        ff.run_streamed(CONFIG | {"end": "2025-01-05"}, tmp_path / "run")
    ff.run_streamed(CONFIG, tmp_path / "run", chunk=10_000)
    with pytest.raises(RecordError, match="not events alone"):
        ff.write_events("simulated", tmp_path / "run", resume=True)
    ff.write_events("simulated", tmp_path / "events", chunk=10_000)
    with pytest.raises(RecordError, match="not a checkpoint of an account"):
        ff.run_streamed(CONFIG, tmp_path / "events", resume=True)
    (tmp_path / "run" / "run.json").unlink()
    with pytest.raises(RecordError, match="not a run folder"):
        ff.load_run(tmp_path / "run")


def test_the_command_writes_and_resumes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "forcedflow", "run", "simulated", "--stream", "--chunk", "5000", "--json"]
    command += ["--out", str(tmp_path / "run")]
    env = os.environ | {"FORCEDFLOW_LEDGER": str(tmp_path / "ledger")}
    told = [
        json.loads(subprocess.run([*command, *more], check=True, capture_output=True, text=True, env=env).stdout)
        for more in ([], ["--resume"])
    ]
    assert told[0]["bars"] == 10_000
    assert told[0]["scorecard"] == told[1]["scorecard"]
    assert told[1]["trials"] == 1
    lone = subprocess.run([*command[:-2], "--resume"], check=False, capture_output=True, text=True, env=env)
    assert (lone.returncode, "--out" in lone.stderr) == (2, True)


@examples(300)
@given(
    st.integers(0, 100_000),
    st.integers(1, 300),
    st.integers(1, 40),
    st.sampled_from([0, 1, 6]),
    st.sampled_from(["24/7", "sessions"]),
)
def test_a_curve_in_parts_is_that_of_the_whole(seed: int, bars: int, most: int, digits: int, days: Calendar) -> None:
    """Few digits make ties: highs that are only reached again, lows as deep as the one before."""
    rng = np.random.default_rng(seed)
    start = 1_700_000_000_000_000_000
    ts = start + np.cumsum(rng.integers(1, 30, bars)) * 3_600_000_000_000
    equity = np.round(100.0 + np.cumsum(rng.normal(0.0, 0.7, bars)), digits)
    table = {"ts": ts, "equity": equity, "position": np.round(rng.normal(0.0, 0.5, bars))}
    cuts = np.unique(np.concatenate(([0, bars], rng.integers(0, bars, bars // most))))
    parts = [{name: c[a:b] for name, c in table.items()} for a, b in pairwise(cuts)]
    whole, found = Curve.of(table, 100.0, start, days), streamed_curve(parts, 100.0, start, days)[0]
    assert found.daily.tobytes() == whole.daily.tobytes()
    assert (found.per_year, found.bars, found.exposed) == (whole.per_year, whole.bars, whole.exposed)
    assert {k: repr(v) for k, v in found.drawdowns.items()} == {k: repr(v) for k, v in whole.drawdowns.items()}
