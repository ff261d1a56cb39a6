"""The trial ledger: every setting counts once, whoever writes when."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import forcedflow as ff
from forcedflow.backtest import key_of, tried_on
from forcedflow.errors import RecordError
from forcedflow.ledger import Trials, add_trials, count_trials, files_hash, ledger_file, setting_key


def test_a_setting_counts_once(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "ledger.jsonl"
    assert count_trials("bars", "files", file) == Trials(0, 0)
    add_trials("bars", "files", "x", ["a", "b", "a"], file)
    add_trials("bars", "files", "x", ["b", "c"], file)
    add_trials("other bars", "files", "x", ["c", "d"], file)
    add_trials("elsewhere", "other files", "y", ["e"], file)
    add_trials("bars", "files", "x", [], file)
    assert count_trials("bars", "files", file) == Trials(3, 4)
    assert count_trials("other bars", "files", file) == Trials(2, 4)
    assert count_trials("unknown", "unknown", file) == Trials(0, 0)


def test_a_torn_line_spoils_no_other(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    add_trials("bars", "files", "x", ["a"], file)
    with file.open("ab") as torn:
        torn.write(b'\n{"data": "bars", "files": "fi')
    add_trials("bars", "files", "x", ["b"], file)
    with file.open("ab") as odd:
        odd.write(b'[1]\n{"data": "bars"}\n\xff\xfe\n')
    assert count_trials("bars", "files", file) == Trials(2, 2)


WRITER = """
import sys
from pathlib import Path
from forcedflow.ledger import add_trials
for k in range(50):
    add_trials("bars", "files", "x", [f"{sys.argv[2]}-{k}-{n}" for n in range(40)], Path(sys.argv[1]))
"""


def test_processes_write_at_once(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(file), str(who)]) for who in range(3)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    assert count_trials("bars", "files", file) == Trials(6000, 6000)
    lines = [line for line in file.read_text().splitlines() if line]
    assert len(lines) == 150
    assert all(json.loads(line)["tried"] for line in lines)


def test_what_cannot_be_written_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FORCEDFLOW_LEDGER", str(tmp_path / "file" / "ledger.jsonl"))
    with pytest.raises(RecordError, match="FORCEDFLOW_LEDGER"):
        add_trials("bars", "files", "x", ["a"])


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORCEDFLOW_LEDGER")
    assert ledger_file() == Path("results/ledger.jsonl")


def test_keys_tell_settings_apart_and_nothing_else() -> None:
    key = setting_key("hash", {"a": 1, "b": 2.5}, {"m": 1}, {"c": None})
    assert key == setting_key("hash", {"b": 2.5, "a": 1}, {"m": 1}, {"c": None})
    others = {
        setting_key("hush", {"a": 1, "b": 2.5}, {"m": 1}, {"c": None}),
        setting_key("hash", {"a": 1, "b": 2.5000000000000004}, {"m": 1}, {"c": None}),
        setting_key("hash", {"a": 1, "b": 2.5}, {"m": 2}, {"c": None}),
        setting_key("hash", {"a": 1, "b": 2.5}, {"m": 1}, {"c": 0}),
    }
    assert len(others | {key}) == 5
    assert files_hash([("b", "2"), ("a", "1")], "x") == files_hash([("c", "1"), ("d", "2")], "y")
    assert files_hash([], "data") == "data"


def test_saved_runs_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCEDFLOW_LEDGER", str(tmp_path / "ledger.jsonl"))
    first = ff.run("simulated", end="2025-01-03")
    assert count_trials(*tried_on(first)) == Trials(0, 0)
    ff.save(first, tmp_path / "a")
    ff.save(ff.run("simulated", end="2025-01-03"), tmp_path / "b")
    assert count_trials(*tried_on(first)) == Trials(1, 1)
    ff.save(ff.run("simulated", params={"risk": 0.01}, end="2025-01-03"), tmp_path / "c")
    other_span = ff.run("simulated", params={"risk": 0.02}, end="2025-01-04")
    ff.save(other_span, tmp_path / "d")
    assert count_trials(*tried_on(first)) == Trials(2, 3)
    assert count_trials(*tried_on(other_span)) == Trials(1, 3)
    again = ff.load_run(tmp_path / "a")
    assert key_of(again) == key_of(first)
    assert tried_on(again) == tried_on(first)
