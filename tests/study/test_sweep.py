"""Sweeps: contract 6, levels, several datasets and strategies, search, and what is refused before any work."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import forcedflow as ff
from forcedflow.errors import RecordError, SettingsError
from forcedflow.ledger import count_trials
from forcedflow.report.definitions import SWEEP_MEASURES
from forcedflow.report.scorecard import scorecard
from forcedflow.settings import AccountSettings, MarketSettings
from forcedflow.study.sweeps.score import day_ends, score_settings
from forcedflow.trading.account import with_venue_fees
from generators import COARSE, Shape, dataset, examples, shapes

NAMES = [measure.name for measure in SWEEP_MEASURES]
SPAN: dict[str, Any] = {"start": "2025-01-08", "end": "2025-01-14"}


def card_of(sweep: ff.Sweep, row: int) -> dict[str, Any]:
    """Return a row's scorecard as a single run has it."""
    card: dict[str, Any] = sweep.rows.select(NAMES).slice(row, 1).to_pylist()[0]
    return card


def swept_part(card: dict[str, Any]) -> dict[str, Any]:
    """Return what a sweep takes of a scorecard."""
    return {name: card[name] for name in NAMES}


def alone(sweep: ff.Sweep, row: int, grid: dict[str, Any], strategy: str, **span: Any) -> ff.Run:
    """Run one row's setting by itself."""
    point = {name: sweep.table[name].iloc[row] for name in grid}
    given_: dict[str, Any] = {"params": {}, "market": {}, "account": {}}
    for name, value in point.items():
        place, dot, field = name.rpartition(".")
        given_[place if dot else "params"][field] = value.item() if isinstance(value, np.generic) else value
    return ff.run(sweep.table["dataset"].iloc[row], strategy, **given_, **span)


GRID = {
    "stop_atr": "0.5:2:3",
    "mode": "absorb,ride",
    "market.bin_bps": [5, 20],
    "account.taker_fee": "2bps,5bps",
    "conflict": "ignore",
}


def test_every_row_is_its_own_run() -> None:
    swept = ff.sweep("simulated", "zone_entry", GRID, **SPAN)
    assert len(swept.table) == 24
    for row in (7, 12):
        run = alone(swept, row, GRID, "zone_entry", **SPAN)
        assert card_of(swept, row) == swept_part(run.scorecard)
        daily = swept.daily(row)
        ends = [run.equity["equity"][run.equity["ts"] <= t.value][-1] for t in daily.index[1:]]
        assert daily.tolist() == [100_000.0, *ends]
        assert daily.index[-1].value >= run.equity["ts"][-1]


def test_a_row_whose_fills_meet_forced_flow_is_its_own_run() -> None:
    grid = {"account.participation": [0.0, 0.3]}
    swept = ff.sweep("simulated", "zone_entry", grid, account={"cash": 3e6}, **SPAN)
    for row in (0, 1):
        run = ff.run("simulated", account={"cash": 3e6, "participation": (0.0, 0.3)[row]}, **SPAN)
        assert card_of(swept, row) == swept_part(run.scorecard)
    assert swept.table["forced_share"].tolist()[0] == 0.0 < swept.table["forced_share"].tolist()[1]


def test_every_row_of_a_handler_is_its_own_run(files: dict[str, str]) -> None:
    grid = {"every": [1, 3], "market.bin_bps": [10, 20]}
    swept = ff.sweep("simulated", files["waits"], grid, **SPAN)
    assert len(set(swept.table["sharpe"])) > 1
    for row in (0, 3):
        assert card_of(swept, row) == swept_part(alone(swept, row, grid, files["waits"], **SPAN).scorecard)


def test_every_row_is_its_own_run_on_real_data(shared_data: Path) -> None:
    del shared_data
    grid = {"stop_atr": [0.5, 1.5], "market.zone_on": [0.01, 0.02]}
    span: dict[str, Any] = {"start": "2025-12-01", "end": "2025-12-20"}
    swept = ff.sweep("btcusdt-5m", "zone_entry", grid, **span)
    assert swept.table["trades"].sum() > 0
    for row in (1, 2):
        assert card_of(swept, row) == swept_part(alone(swept, row, grid, "zone_entry", **span).scorecard)


@examples(10)
@given(shapes(bars=80), st.lists(st.floats(0.2, 4.0), min_size=1, max_size=3, unique=True))
def test_a_sweep_is_the_loop(shape: Shape, stops: list[float]) -> None:
    """Random markets: a row of a sweep against a replay, event by event."""
    data = replace(dataset(shape), name="random")
    held = COARSE.model_dump(exclude_unset=True)
    bins = [50.0, 80.0]
    swept = ff.sweep(
        data, "zone_entry", {"stop_atr": stops, "market.bin_bps": bins, "mode": "ride,absorb"},
        market={k: v for k, v in held.items() if k != "bin_bps"}, params={"min_coverage": 0.0, "min_reward": 0.0},
    )  # fmt: skip
    for row, point in enumerate(swept.table[["stop_atr", "market.bin_bps", "mode"]].to_dict("records")):
        params = {"stop_atr": point["stop_atr"], "mode": point["mode"], "min_coverage": 0.0, "min_reward": 0.0}
        market = COARSE.model_copy(update={"bin_bps": point["market.bin_bps"]})
        trading = ff.Replay(data, "zone_entry", params=params, market=market).finish()
        start, calendar = int(data.bars.ts[0]), data.calendar
        expected = scorecard(
            trading.equity, trading.trades, trading.fills, initial=100_000.0, start=start, calendar=calendar
        )
        assert card_of(swept, row) == swept_part(expected)


def test_both_forms_of_a_strategy_give_the_same_table(files: dict[str, str]) -> None:
    swept = ff.sweep("simulated", [files["plans"], files["handles"]], {"stop_atr": [1, 2, 3]}, **SPAN)
    assert len(swept.table) == 6
    assert swept.rows.select(NAMES).slice(0, 3).to_pylist() == swept.rows.select(NAMES).slice(3).to_pylist()
    assert [reading.strategy for reading in swept.readings()] == [files["plans"], files["handles"]]
    with pytest.raises(SettingsError, match=r"2 readings"):
        swept.best()


def test_a_span_is_a_run_of_its_own_on_a_warm_map(files: dict[str, str]) -> None:
    """The events of a span are those of a market pass that stops with it, for both forms."""
    data = ff.load_dataset("simulated", end="2025-01-12")
    tape = ff.make_tape(data, snapshots=0)
    account, _ = with_venue_fees(AccountSettings(), data)
    first, stop = 1500, 2400
    plans, handles = (ff.find_strategy(files[name]) for name in ("plans", "handles"))
    of_plan, of_handler = (
        score_settings(tape, kind, [{"stop_atr": s} for s in (1.0, 3.0)], account, "compact", (first, stop))
        for kind in (plans, handles)
    )
    cut = data.between(None, int(data.bars.close_ts[stop - 1]))
    warm = ff.make_tape(cut, snapshots=0).cut(first, stop)
    bars, market = warm.bars, ff.Exchange.of(warm)
    for plan, handler, s in zip(of_plan, of_handler, (1.0, 3.0), strict=True):
        assert plan.card == handler.card
        assert plan.daily is not None
        assert plan.daily.tolist() == (handler.daily.tolist() if handler.daily is not None else None)
        trading = ff.trade(market, warm.events, plans(stop_atr=s), account)  # type: ignore[call-arg]
        expected = scorecard(
            trading.equity, trading.trades, trading.fills, initial=account.cash, start=int(bars.ts[0]), calendar="24/7"
        )
        assert plan.card == expected
        assert len(plan.daily) == len(day_ends(bars, "24/7"))


@given(st.integers(0, 10_000))
def test_days_are_those_of_the_daily_equity(seed: int) -> None:
    for calendar in ("24/7", "sessions"):
        data = dataset(Shape(seed=seed, gaps=True, interval=6 * 3_600_000_000_000))
        ends = day_ends(data.bars, calendar)
        kind = ff.find_strategy("zone_entry")
        tape = ff.make_tape(replace(data, calendar=calendar), COARSE, snapshots=0)
        (scored,) = score_settings(tape, kind, [{}], AccountSettings(), "compact")
        assert scored.daily is not None
        assert len(scored.daily) == len(ends)
        assert (np.diff(ends) > 0).all()


def test_levels_keep_what_they_say(tmp_path: Path) -> None:
    grid = {"stop_atr": [1], "market.bin_bps": [10, 20]}
    compact = ff.sweep(grid=grid, **SPAN)
    score = ff.sweep(grid=grid, level="score", **SPAN)
    audit = ff.sweep(grid=grid, level="audit", out=tmp_path / "audit", **SPAN)
    assert "daily" not in score.rows.column_names
    assert score.table.equals(compact.table)
    assert audit.rows.equals(compact.rows)
    with pytest.raises(RecordError, match=r"level compact"):
        score.daily(0)
    with pytest.raises(SettingsError, match=r"give a folder"):
        ff.sweep(grid=grid, level="audit", **SPAN)
    for row in range(2):
        record = ff.load_run(tmp_path / "audit" / "runs" / audit.table["key"][row])
        single = alone(compact, row, grid, "zone_entry", **SPAN)
        assert record.scorecard == single.scorecard
        assert record.config == single.config
        assert record.summary == single.summary
        assert record.blind == single.blind
        assert all(record.equity[name].tobytes() == single.equity[name].tobytes() for name in record.equity)


def test_several_datasets_of_other_intervals() -> None:
    hour = 3_600_000_000_000
    slow = replace(dataset(Shape(seed=3, bars=60, interval=hour)), name="slow")
    fast = replace(dataset(Shape(seed=3, bars=60, interval=hour // 12)), name="fast")
    swept = ff.sweep([slow, fast], grid={"hold": "4h,8h"}, market=COARSE.model_dump(exclude_unset=True))
    assert swept.table[["dataset", "hold"]].values.tolist() == [["slow", 4], ["slow", 8], ["fast", 48], ["fast", 96]]
    assert [reading.dataset for reading in swept.readings()] == ["slow", "fast"]


def test_a_setting_that_fails_has_its_error(files: dict[str, str]) -> None:
    swept = ff.sweep(strategies=files["fails"], grid={"wrong": "true,false"}, **SPAN)
    errors = swept.rows["error"].to_pylist()
    assert "losing side" in errors[0]
    assert errors[1] is None
    assert math.isnan(swept.table["sharpe"][0])
    (reading,) = swept.readings()
    assert (reading.failed, reading.settings) == (1, 2)
    assert "1 of 2 settings failed" in reading.notes[0]
    assert reading.best is not None
    assert reading.best.setting == 1


def test_a_search_finds_more_than_its_first_points_and_repeats_itself() -> None:
    grid = {"stop_atr": "0.3:3:log", "market.bin_bps": "5,10,20", "mode": "absorb,ride", "hold": "2h:2d"}
    swept = ff.sweep(grid=grid, where="hold > 30", search="optuna", trials=20, seed=3, **SPAN)
    assert len(swept.table) == 20 == len(set(swept.table["key"]))
    assert (swept.table["hold"] > 30).all()
    again = ff.sweep(grid=grid, where="hold > 30", search="optuna", trials=20, seed=3, **SPAN)
    assert again.rows.equals(swept.rows)
    assert not ff.sweep(grid=grid, search="optuna", trials=20, seed=4, **SPAN).rows.equals(swept.rows)
    assert swept.best().score == swept.table["sharpe"].max()


def test_a_search_ends_where_there_is_nothing_new() -> None:
    swept = ff.sweep(grid={"mode": "absorb,ride"}, search="optuna", trials=50, **SPAN)
    assert sorted(swept.table["mode"]) == ["absorb", "ride"]
    with pytest.raises(SettingsError, match=r"refused 100 points"):
        ff.sweep(grid={"stop_atr": "1:2"}, where="stop_atr > 3", search="optuna", **SPAN)


def test_a_sweep_counts_as_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCEDFLOW_LEDGER", str(tmp_path / "ledger.jsonl"))
    swept = ff.sweep(grid={"risk": "0.1%:1%:4"}, **SPAN)
    group = swept.manifest["groups"][0]
    assert count_trials(group["data_hash"], group["files"]).files == 4
    ff.save(ff.run("simulated", params={"risk": 0.001}, **SPAN), tmp_path / "one")
    assert count_trials(group["data_hash"], group["files"]).files == 4
    ff.sweep(grid={"risk": "0.1%,2%"}, end="2025-01-09")
    assert count_trials(group["data_hash"], group["files"]).bars == 4
    assert count_trials(group["data_hash"], group["files"]).files == 5  # another span is no new start
    best = ff.sweep(grid={"risk": "0.1%:1%:4"}, **SPAN).best()
    assert best.belief.trials_bars == 4
    assert best.belief.trials >= 5
    assert best.belief.dsr <= best.belief.psr


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"grid": {"rsk": [1]}}, "did you mean risk"),
        ({"grid": {"risk": [5]}}, "less than or equal"),
        ({"grid": {"risk": "1%:2%"}}, "continuous"),
        ({"grid": {"risk": "1%"}, "where": "risk > 1"}, "leave no point"),
        ({"score": "sharp"}, "no such measure"),
        ({"sample": "latin"}, "random"),
        ({"sample": "random", "search": "optuna"}, "not both"),
        ({"datasets": "simulatd"}, "no dataset"),
        ({"strategies": "zone_entri"}, "no strategy"),
        ({"strategies": ["zone_entry", "zone_entry"]}, "named twice"),
        ({"strategies": ["zone_entry", "channel_breakout"], "search": "optuna"}, "one strategy"),
        ({"walk_forward": {"train": "5d", "test": "1d"}, "search": "optuna"}, "test spans"),
        ({"walk_forward": {"train": "5 days", "test": "1d"}}, "not a duration"),
        ({"walk_forward": {"train": "500d", "test": "1d"}}, "no test span"),
        ({"jobs": 0}, "at least 1"),
        ({"params": {"risk": 0.01}, "grid": {"risk": "1%"}}, "both fixed and swept"),
        ({"cluster": "tcp://127.0.0.1:1"}, "no Dask scheduler"),
    ],
)
def test_mistakes_are_told_before_any_work(given_: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(*_: object) -> None:
        raise AssertionError("worked")

    monkeypatch.setattr("forcedflow.study.sweeps.workers.run_task", work)
    monkeypatch.setattr("forcedflow.study.sweeps.workers.PATIENCE", "0.2s")
    with pytest.raises(ff.ForcedFlowError, match=words):
        ff.sweep(**given_)


def test_the_manifest_says_what_was_swept(tmp_path: Path) -> None:
    ff.sweep(grid={"risk": "1%,2%"}, out=tmp_path / "s", **SPAN)
    manifest = json.loads((tmp_path / "s" / "sweep.json").read_text())
    assert manifest["settings"] == 2
    assert manifest["groups"][0]["axes"][0]["values"] == [0.01, 0.02]
    assert manifest["decides"]["versions"].keys() == {"forcedflow", "numba", "numpy", "python"}
    found = ff.load_sweep(tmp_path / "s")
    assert found.rows.equals(ff.sweep(grid={"risk": "1%,2%"}, **SPAN).rows)
    assert MarketSettings.model_validate(manifest["config"]["market"]) == MarketSettings()
