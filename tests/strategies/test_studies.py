"""The worked studies run on real data and draw what they tell."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

import forcedflow as ff

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


def test_contrasts_of_all_strategies(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = told("contrasts.py", monkeypatch, capsys, "--datasets", "dogeusdt-1h")
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| dogeusdt-1h")]
    assert [row[1].strip() for row in rows[:3]] == ["zone_entry", "channel_breakout", "void_exhaustion"]
    placement = ff.run("dogeusdt-1h", "zone_entry").blind["placement"]
    low, high = re.findall(r"\[(.*), (.*)\]", rows[0][5])[0]
    assert (float(low), float(high)) == (round(placement["low"], 2), round(placement["high"], 2))
    assert len(rows) == 4  # the last compares breaks with and without a zone
    assert "in-sample" in text
    assert "by chance alone" in text


@pytest.mark.parametrize("study", sorted(path.name for path in STUDIES.glob("*.py")))
def test_without_the_data_a_study_says_so_in_one_line(
    study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCEDFLOW_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(SystemExit) as end:
        told(study, monkeypatch, capsys)
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{study.removesuffix('.py')}: ")
    assert "FORCEDFLOW_DATA" in line


def test_silver_breaks_know_a_gap(shared_data: Path) -> None:
    """A market with sessions: a break made by the first bar after a closed market says so, and is not traded."""
    tape = ff.make_tape(ff.load_dataset("silver-1h"), snapshots=0)
    breaks = tape.events.of_kind("ChannelBreak")
    bars = tape.bars
    opens_late = np.diff(bars.ts, prepend=bars.ts[0] - bars.interval) > bars.interval
    gap = np.log(bars.open[breaks.bar] / bars.close[breaks.bar - 1])
    after = opens_late[breaks.bar]
    assert 10 < after.sum() < len(breaks) / 2
    np.testing.assert_array_equal(breaks.gap, np.where(after, gap, 0.0))
    orders = {
        gaps: ff.trade(
            bars, tape.events, ff.find_strategy("channel_breakout").model_validate({"gaps": gaps}), ff.AccountSettings()
        ).orders
        for gaps in (False, True)
    }
    assert not opens_late[orders[False]["bar"]].any()
    assert opens_late[orders[True]["bar"]].any()
    sessions = np.diff(bars.ts[np.stack((breaks.bar - breaks.channel_age.astype(int), breaks.bar))], axis=0)[0]
    assert (sessions > breaks.channel_age * bars.interval).any()  # channels live through nights: their age is in bars
