"""``forcedflow sweep`` and ``forcedflow compare``, as a shell sees them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import forcedflow as ff
from forcedflow import cli
from forcedflow.ledger import count_trials

SPAN = ("--from", "2025-01-08", "--to", "2025-01-12")
Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run_cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["forcedflow", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    return call


def told(result: tuple[int, str, str]) -> dict[str, Any]:
    code, out, err = result
    assert code == 0, err
    assert out.count("\n") == 1
    value: dict[str, Any] = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    return value


def test_a_sweep_and_its_comparison(run_cli: Cli, tmp_path: Path) -> None:
    grid = ("--grid", "stop_atr=0.5:2:4", "--grid", "mode=absorb,ride", "--grid", "market.bin_bps=10,20")
    swept = told(run_cli("sweep", *grid, "--where", "stop_atr < 2 or mode == 'ride'", *SPAN, "--json"))
    assert swept["settings"] == 14
    folder = Path(swept["sweep"])
    assert folder.parent == Path("results")
    (reading,) = swept["readings"]
    assert reading["settings"] == 14
    assert {"point", "score", "robust", "belief", "card"} <= reading["plateau"].keys()
    found = told(run_cli("compare", folder, "--json"))
    assert {k: v for k, v in swept.items() if k not in {"sweep", "settings"}} == found
    by_drawdown = told(run_cli("compare", folder, "--score=-max_drawdown", "--json"))
    assert by_drawdown["readings"][0]["best"]["score"] == ff.load_sweep(folder).table["max_drawdown"].min()
    page = tmp_path / "page.html"
    assert told(run_cli("compare", folder, "--out", page, "--json"))["page"] == str(page)
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    code, out, _ = run_cli("compare", folder)
    assert code == 0
    assert "best plateau" in out
    assert "█" in out
    rows = told(run_cli("compare", folder, "--query", "select count(*) as n from results", "--json"))
    assert rows == {"rows": [{"n": 14}]}
    assert "14" in run_cli("compare", folder, "--query", "select count(*) as n from results")[1]


def test_samples_searches_and_walks(run_cli: Cli, tmp_path: Path) -> None:
    sampled = told(run_cli("sweep", "--grid", "stop_atr=0.5:2", "--sample", "sobol", "5", *SPAN, "--json"))
    assert sampled["settings"] == 5
    searched = told(
        run_cli(
            "sweep", "--grid", "stop_atr=0.5:2", "--search", "optuna", "--trials", "9", *SPAN, "--json", "--out", "s"
        )
    )
    assert searched["readings"][0]["settings"] == 9
    walked = told(
        run_cli("sweep", "--grid", "stop_atr=1,2", "--walk-forward", "train=2d,test=1d,mode=anchored", *SPAN, "--json")
    )
    assert len(walked["walks"][0]["folds"]) == 2
    held = told(
        run_cli(
            "sweep",
            "--set",
            "market.bin_bps=20",
            "--set",
            "mode=ride",
            "--grid",
            "risk=1%",
            *SPAN,
            "--json",
            "--out",
            "h",
        )
    )
    card = held["readings"][0]["best"]["card"]
    run = ff.run(params={"mode": "ride", "risk": 0.01}, market={"bin_bps": 20}, start=SPAN[1], end=SPAN[3])
    assert card == {name: run.scorecard[name] for name in card}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("sweep", "--grid", "risk"), "--grid needs name=values"),
        (("sweep", "--grid", "rsk=1"), "did you mean risk"),
        (("sweep", "--grid", "risk=1%", "--where", "import os"), "no expression"),
        (("sweep", "--level", "all"), "score"),
        (("sweep", "--resume", "nowhere"), "no sweep"),
        (("sweep", "--walk-forward", "train=1d"), "test"),
        (("compare", "nowhere"), "neither a run"),
        (("compare", "a", "b", "--query", "select 1"), "one sweep"),
        (("compare", "a", "--out", "page.pdf"), "--out must end in .html"),
        (("compare", "a", "--out", "nowhere/page.html"), "there is no folder nowhere"),
        (("compare", "a", "--out", "page.html", "--query", "select 1"), "leave out --out"),
    ],
)
def test_mistakes_are_one_line(run_cli: Cli, arguments: tuple[str, ...], word: str) -> None:
    code, out, err = run_cli(*arguments)
    assert (code, out) == (2, "")
    (line,) = [line for line in err.splitlines() if "compiling kernels" not in line]
    assert line.startswith("forcedflow: ")
    assert word in line


def test_runs_count_and_say_so(run_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCEDFLOW_LEDGER", str(tmp_path / "ledger.jsonl"))
    first = told(run_cli("run", *SPAN, "--json", "--out", "a"))
    assert first["trials"] == 1
    assert told(run_cli("run", *SPAN, "--set", "risk=0.01", "--json", "--out", "b"))["trials"] == 2
    assert "settings tried on this data so far: 2" in run_cli("run", *SPAN, "--out", "d")[1]
    run = ff.load_run(tmp_path / "a")
    assert count_trials(run.config["data_hash"], "").bars == 2


def test_an_interrupted_sweep_says_how_to_go_on(tmp_path: Path) -> None:
    """Ctrl-C on a terminal reaches the parent and its workers alike."""
    folder = tmp_path / "s"
    grid = ["--grid", "stop_atr=0.5:2:16", "--grid", "risk=1%:2%:10", "--grid", "market.bin_bps=5,7,10,14,20"]
    command = [sys.executable, "-m", "forcedflow", "sweep", *grid, "--out", str(folder)]
    process = subprocess.Popen(
        [*command, "--jobs", "2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not list((folder / "parts").glob("*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert out == ""
    (line,) = [line for line in err.splitlines() if "compiling kernels" not in line]
    assert line == f"forcedflow: interrupted; go on with: forcedflow sweep --resume {folder}"
    assert 0 < len(ff.load_sweep(folder).rows) < 800
