"""The commands ``simulate``, ``calibrate`` and ``score-map``, and a run on a dataset in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import forcedflow as ff
from forcedflow.cli import app
from forcedflow.data.simulated import find_true_map, read_true_map, write_dataset
from forcedflow.errors import DataError, ForcedFlowError, SettingsError
from forcedflow.venues import load_profile
from known_market import known_market

FAST = ("--set", "hazards=[0.01]", "--set", "rounds=1", "--set", "draws=5")


def command(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def as_json(*arguments: object) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(command(*arguments, "--json"))
    return answer


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    market = ff.simulate(known_market(9000, cohorts_per_step=2, steps_per_bar=2, snapshot_bars=72))
    return write_dataset(market, tmp_path_factory.mktemp("markets") / "known")


def test_simulate_writes_a_dataset_that_the_other_commands_take(tmp_path: Path) -> None:
    made = as_json("simulate", "null", "--out", tmp_path / "null", "--bars", 400, "--seed", 3, "--set", "volatility=1")
    assert made["exogenous"] is True
    assert (
        ff.load_dataset(made["dataset"]).bars.close.tolist()
        == ff.simulate("null", bars=400, seed=3, volatility=1).close.tolist()
    )
    assert "orders move price" in command("simulate", "coupled", "--out", tmp_path / "other", "--bars", 50)
    with pytest.raises(ForcedFlowError, match="exists"):
        command("simulate", "null", "--out", tmp_path / "null")
    with pytest.raises(SettingsError, match="coupled"):
        command("simulate", "bull", "--out", tmp_path / "bull")
    with pytest.raises(SettingsError, match="settings of its own"):
        command("simulate", "null", "--out", tmp_path / "bull", "--set", "market.bin_bps=3")


def test_calibrate_fits_scores_and_writes_a_profile(written: Path, tmp_path: Path) -> None:
    out = tmp_path / "fit.toml"
    answer = as_json("calibrate", written, "--out", out, *FAST)
    assert answer["target"] == "liquidations"
    assert sum(row["weight"] for row in answer["weights"]) == pytest.approx(1)
    assert answer["scores"]["calibrated"]["r2_level"] > answer["scores"]["peers"]["r2_level"]
    assert load_profile(str(out)).fitted_window is not None
    with pytest.raises(SettingsError, match="exists"):
        command("calibrate", written, "--out", out)
    with pytest.raises(SettingsError, match="within the bars"):
        command("calibrate", written, "--split", "2031-01-01")
    told = command("calibrate", written, *FAST, "--split", "2025-01-20")
    assert "100x" in told
    assert "uniform" in told


def test_score_map_tells_both_scores_of_a_simulated_market(written: Path) -> None:
    answer = as_json("score-map", written, "--set", "market.hazard_per_hour=0.01")
    assert answer["flow"]["r2_level"] > 0.5
    assert answer["map"]["distance"]["nats"] > 0
    told = command("score-map", written)
    assert "against the true map" in told
    assert "against liquidations" in told


def test_the_bundled_market_has_its_true_map_and_others_have_none(written: Path, tmp_path: Path) -> None:
    bundled = find_true_map("simulated")
    assert bundled is not None
    bars = ff.load_dataset("simulated").bars
    shots = read_true_map(bundled, bars)
    assert shots.bin_width == pytest.approx(1e-3)
    assert len(shots.bar) == 138
    assert find_true_map("btcusdt-5m") is None
    assert find_true_map(tmp_path / "own.toml") is None
    with pytest.raises(DataError, match="no close in common"):
        read_true_map(bundled, ff.load_dataset("simulated", end="2025-01-01T03:00:00Z").bars)
    with pytest.raises(DataError, match="not the true map"):
        read_true_map(written.with_name("bars.parquet"), bars)


def test_a_dataset_in_memory_runs_as_its_files_do(written: Path) -> None:
    data = ff.load_dataset(written)
    live, read = ff.run(data, end="2025-01-15"), ff.run(written, end="2025-01-15")
    assert live.config["data_hash"] == read.config["data_hash"]
    assert live.scorecard == read.scorecard
    assert live.config["dataset"] == data.name
