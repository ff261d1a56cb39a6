"""The worked studies run on real data and draw what they tell."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

STUDIES = Path(__file__).parents[2] / "strategies" / "studies"


def told(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a study as its docstring says; return what it prints."""
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(STUDIES / name), run_name="__main__")
    return capsys.readouterr().out


def test_a_channel_breaks_into_a_zone(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "break.png"
    text = told("channel_into_zone.py", monkeypatch, capsys, "--out", str(picture))
    assert "lower boundaries broke into a zone" in text
    assert "in-sample" in text  # what the profile was fitted on
    assert text.count(", n ") == 10  # five horizons, breaks with a zone behind them and without
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_silver_sweeps_zone_after_zone(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "silver.png"
    text = told("silver_january_2026.py", monkeypatch, capsys, "--out", str(picture))
    assert "estimated from volume" in text
    raised = [line.split()[0] for line in text.splitlines() if "margin 1" in line or "margin 9%" in line]
    assert raised == ["2026-01-13", "2026-01-28", "2026-02-02"]
    assert "2026-01-30T18:00  down" in text
    assert "ChannelBreak" in text
    assert picture.read_bytes().startswith(b"\x89PNG")
