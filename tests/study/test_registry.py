"""The registry: what was asked before what was seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forcedflow.errors import RecordError
from forcedflow.study.evidence.registry import Registry


def test_a_change_after_a_look_is_told_and_a_change_before_one_is_not(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "results" / "hypotheses.jsonl")
    assert not registry.ask("magnet", "a", "data").changed
    assert not registry.ask("magnet", "b", "data").changed  # nothing was seen yet
    registry.see("magnet", "b", "data", verdict="not found")
    again = registry.ask("magnet", "b", "data")
    assert (again.changed, again.looks) == (False, 0)
    assert "before its result was known; 0 other results were seen" in again.sentence
    changed = registry.ask("magnet", "c", "data")
    assert changed.changed
    assert "changed after a look" in changed.sentence
    assert not registry.ask("magnet", "c", "other data").changed
    other = registry.ask("zone_stops", "z", "data")
    assert (other.changed, other.looks) == (False, 1)
    assert "1 other result was seen" in other.sentence


def test_it_only_grows(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "r.jsonl")
    registry.ask("one", "a", "d", nulls=["mirrored"])
    before = registry.path.read_bytes()
    registry.see("one", "a", "d", verdict="found")
    after = registry.path.read_bytes()
    assert after.startswith(before)
    lines = [json.loads(line) for line in after.splitlines()]
    assert [line["what"] for line in lines] == ["asked", "seen"]
    assert lines[0]["nulls"] == ["mirrored"]


def test_a_file_that_is_no_registry_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    file.write_text('{"what": "asked"}\n')
    with pytest.raises(RecordError, match="line 1: not a line of the registry"):
        Registry(file).ask("one", "a", "d")
    assert file.read_text() == '{"what": "asked"}\n'
    with pytest.raises(RecordError, match="cannot write the registry"):
        Registry(file / "below").ask("one", "a", "d")
