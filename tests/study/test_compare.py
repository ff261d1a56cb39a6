"""Runs and sweeps side by side: the figures beside every best, and what a terminal and a program are given."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import forcedflow as ff
from forcedflow.errors import RecordError
from forcedflow.report.chance import deflated_sharpe, probabilistic_sharpe
from forcedflow.study.sweeps.compare import compare
from forcedflow.study.sweeps.overfit import overfitting, superior_settings
from forcedflow.study.sweeps.reading import plain
from forcedflow.study.sweeps.robust import Heatmap
from forcedflow.study.sweeps.text import comparison_blocks, heatmap_rows, number, reading_blocks

SPAN: dict[str, Any] = {"end": "2025-02-04"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, a sweep and a walk-forward."""
    folder = tmp_path_factory.mktemp("compare")
    grid = {"stop_atr": "0.5:2:4", "market.bin_bps": [5, 10, 20], "mode": "absorb,ride"}
    ff.sweep(grid=grid, out=folder / "sweep", **SPAN)
    walk = {"train": "10d", "test": "8d"}
    ff.sweep(grid={"stop_atr": "0.5:2:4"}, walk_forward=walk, out=folder / "walk", **SPAN)
    ff.save(ff.run(params={"mode": "ride"}, **SPAN), folder / "ride")
    ff.save(ff.run(market={"bin_bps": 12}, **SPAN), folder / "absorb")
    return folder


def test_figures_beside_the_best(folder: Path) -> None:
    (reading,) = compare(folder / "sweep").readings
    sweep = ff.load_sweep(folder / "sweep")
    best, plateau = reading.best, reading.plateau
    assert best is not None
    assert plateau is not None
    assert best.score == sweep.table["sharpe"].max() == best.card["sharpe"]
    assert best.robust <= plateau.robust
    sharpe, error = best.card["sharpe"], best.card["sharpe_error"]
    assert sharpe is not None
    assert error is not None
    trials = best.belief.trials
    assert trials >= 24
    assert best.belief.psr == probabilistic_sharpe(sharpe, error)
    assert best.belief.dsr == deflated_sharpe(
        sharpe, error, trials, math.sqrt(float(sweep.table["sharpe"].var(ddof=1)))
    )
    assert best.belief.dsr < best.belief.psr
    daily = np.column_stack([sweep.daily(k).to_numpy() for k in range(24)])
    returns = daily[1:] / daily[:-1] - 1
    assert reading.pbo == overfitting(returns)
    superior = superior_settings(returns)
    assert reading.superior == superior  # every setting traded: columns are numbers
    said = f"(SPA): p {superior.spa:.3f} that the best earns nothing; StepM finds {len(superior.settings)} of 24"
    assert any(said in line for line in reading_blocks(reading)[0].lines)
    assert {s.name for s in reading.sensitivity} == {"stop_atr", "market.bin_bps", "mode"}
    assert len(reading.heatmaps) == 3


def test_another_score_and_one_where_less_is_better(folder: Path) -> None:
    table = ff.load_sweep(folder / "sweep").table
    (reading,) = compare(folder / "sweep", "-max_drawdown").readings
    assert reading.best is not None
    assert reading.best.score == table["max_drawdown"].min()
    assert reading.best.worst_neighbour >= reading.best.score
    (by_r,) = compare(folder / "sweep", "expectancy_r").readings
    assert by_r.best is not None
    assert by_r.best.score == table["expectancy_r"].max()


def test_runs_show_what_differs(folder: Path) -> None:
    found = compare([folder / "ride", folder / "absorb", folder / "walk"])
    assert [run.point for run in found.runs] == [
        {"mode": "ride", "market.bin_bps": 10.0},
        {"mode": "absorb", "market.bin_bps": 12.0},
    ]
    assert found.runs[0].card == ff.load_run(folder / "ride").scorecard
    assert found.runs[0].belief.trials == found.runs[1].belief.trials >= 2
    assert [kind for _, kind in found.sources] == ["run", "run", "walk-forward"]
    assert [row["what"] for row in found.rows()] == ["run", "run", "walk-forward"]
    assert list(found.table["what"]) == ["run", "run", "walk-forward"]
    assert compare(folder / "ride").runs[0].point == {}


def test_everything_is_json(folder: Path) -> None:
    found = compare([folder / name for name in ("ride", "sweep", "walk")])
    text = json.dumps(plain(found), allow_nan=False)
    told = json.loads(text)
    assert told["readings"][0]["plateau"]["point"]["mode"] in {"absorb", "ride"}
    assert len(told["readings"][0]["heatmaps"][0]["scores"]) >= 2
    assert len(told["walks"][0]["folds"]) == 3
    assert told["walks"][0]["out_of_sample"]["equity"][0] == 100_000.0


def test_the_terminal_shows_it(folder: Path) -> None:
    blocks = comparison_blocks(compare([folder / name for name in ("ride", "sweep", "walk")]))
    text = "\n".join("\n".join((*block.lines, *block.header, *map(" ".join, block.rows))) for block in blocks)
    for word in (
        "best plateau",
        "best point",
        "PSR",
        "DSR",
        "PBO",
        "settings tried on simulated",
        "out of sample",
        "█",
    ):
        assert word in text
    assert all(len(row) == len(block.header) for block in blocks for row in block.rows)


def test_unfinished_sweeps_say_so(tmp_path: Path) -> None:
    out = tmp_path / "s"
    ff.sweep(grid={"stop_atr": [1, 2]}, end="2025-01-05", out=out)
    parts = sorted((out / "parts").glob("*.parquet"))
    parts[0].unlink()
    (failure,) = compare(out).failures
    assert "1 settings are not done" in failure
    assert "--resume" in failure
    parts[1].unlink()
    with pytest.raises(RecordError, match=r"no finished task.*--resume"):
        compare(out)
    with pytest.raises(RecordError, match=r"neither a run"):
        compare(tmp_path)


def test_a_sweep_in_which_nothing_trades(tmp_path: Path) -> None:
    ff.sweep(grid={"stop_atr": [1, 2]}, params={"min_mass": 1.0}, end="2025-01-05", out=tmp_path / "s")
    found = compare(tmp_path / "s")
    assert found.readings[0].best is found.readings[0].plateau is None
    assert any("no setting has a sharpe" in line for block in comparison_blocks(found) for line in block.lines)


def test_heatmaps_fit_a_terminal() -> None:
    scores = np.arange(40.0 * 30).reshape(30, 40)
    scores[0, 0] = np.nan
    header, rows = heatmap_rows(Heatmap("x", "y", tuple(range(40)), tuple(range(30)), scores))
    assert len(header) == 13
    assert len(rows) == 12
    assert rows[0][1] == "."
    assert rows[-1][-1].startswith("██")
    assert (header[1], header[-1], rows[-1][0]) == ("0", "39", "29")


def test_undefined_numbers_are_dashes() -> None:
    assert [number(None), number(math.nan), number(3), number(0.1234, "psr"), number(1234.5)] == [
        "-",
        "-",
        "3",
        "12.3%",
        "1.23e+03",
    ]
