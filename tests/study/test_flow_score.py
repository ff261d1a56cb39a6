"""Forecasts of forced flow that are right, wrong and placebos, against liquidations and against open interest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from forcedflow.data import LiquidatedVolume, load_dataset
from forcedflow.data.series import Dataset, Liquidations
from forcedflow.errors import DataError
from forcedflow.market.tape import Tape, make_tape
from forcedflow.settings import MarketSettings
from forcedflow.study.calibration.flow_score import FlowRows, FlowScore, displaced, flow_rows, score_flow

HAZARD = MarketSettings(hazard_per_hour=1 / 96)
FIRST = 3000


@pytest.fixture(scope="module")
def tape(data: Dataset) -> Tape:
    return make_tape(data, HAZARD, snapshots=0)


@pytest.fixture(scope="module")
def rows(data: Dataset) -> FlowRows:
    return flow_rows(data, group=6, first=FIRST)


def swept(tape: Tape, rows: FlowRows) -> np.ndarray:
    return rows.forecast(tape.market_bars["swept_long_liq"], tape.market_bars["swept_short_liq"])


def figures(score: FlowScore) -> dict[str, float]:
    found = {name: getattr(score, name) for name in ("r2_gain", "slope", "rank_correlation", "timing")}
    return found | {name: getattr(score, name).nats for name in ("distance", "spot", "average")}


def test_the_map_of_true_holders_foretells_liquidations(data: Dataset, tape: Tape, rows: FlowRows) -> None:
    score = score_flow(tape, rows, len(data.bars) // 2)
    assert score.target == "liquidations"
    assert min(figures(score).values()) > 0.05
    assert score.r2_gain > 4 * score.gain_error
    assert score.r2_level > 0.9  # no coefficient was fitted
    assert 0.8 < score.slope < 1.2  # holders from before the data blur it
    foretold, realised = np.array(score.curve).T
    np.testing.assert_allclose(realised, foretold, rtol=0.25)
    assert np.all(np.diff(foretold) > 0)


def test_open_interest_falls_where_the_map_sweeps(data: Dataset, tape: Tape) -> None:
    rows = flow_rows(data, "open_interest", group=6, first=FIRST)
    score = score_flow(tape, rows, len(data.bars) // 2)
    assert rows.sides == 1
    assert score.r2_gain > 3 * score.gain_error > 0
    assert score.rank_correlation > 0.1


@pytest.mark.parametrize("target", ["liquidations", "open_interest"])
@pytest.mark.parametrize("days", [7, 19])
def test_every_figure_is_near_zero_for_a_placebo(data: Dataset, tape: Tape, target: str, days: int) -> None:
    rows = flow_rows(data, target, group=6, first=FIRST)  # type: ignore[arg-type]
    half = len(data.bars) // 2
    placebo = figures(score_flow(None, rows, half, displaced(swept(tape, rows), rows, days)))
    for name, value in placebo.items():
        assert abs(value) < 0.06, name
    assert abs(placebo["r2_gain"]) < 0.005


def test_what_happened_is_its_own_best_forecast(data: Dataset, rows: FlowRows) -> None:
    score = score_flow(None, rows, len(data.bars) // 2, rows.realised)
    assert score.r2_level == pytest.approx(1)
    assert score.r2_controls + score.r2_gain == pytest.approx(1)
    assert score.slope == pytest.approx(1)
    assert score.rank_correlation == pytest.approx(1)


def test_rows_are_sums_of_what_happened(data: Dataset, rows: FlowRows) -> None:
    forced = data.venues[0].liquidations
    oi = data.venues[0].open_interest
    assert forced is not None
    assert oi is not None
    half = len(rows.bar) // 2
    for row in (0, 17, half - 1):
        begin = rows.bar[row]
        bars = slice(begin, begin + 6)
        before = oi.value[begin - 1 : begin + 5]
        assert rows.realised[row] == pytest.approx((forced.long[bars] / before).sum())
        assert rows.realised[half + row] == pytest.approx((forced.short[bars] / before).sum())
        down = np.log(data.bars.close[begin - 1 : begin + 5] / data.bars.low[bars])
        assert rows.reach[row] == pytest.approx(np.maximum(down, 0).sum())
    assert np.all(data.bars.ts[rows.bar] % (6 * data.bars.interval) == 0)


def test_nothing_after_a_row_changes_it(data: Dataset, rows: FlowRows) -> None:
    early = flow_rows(data.between(None, int(data.bars.ts[9000])), group=6, first=FIRST)
    known = len(early.bar) // 2
    np.testing.assert_array_equal(early.realised[:known], rows.realised[:known])
    np.testing.assert_array_equal(early.spans[0, :, :known], rows.spans[0, :, :known])


def test_coarse_liquidations_leave_open_interest_and_ask_for_longer_rows(data: Dataset) -> None:
    venue, bars = data.venues[0], data.bars
    forced = venue.liquidations
    assert forced is not None
    day = 288
    whole = len(bars) // day * day
    daily = LiquidatedVolume.from_columns(
        bars.close_ts[day - 1 : whole : day],
        forced.long[:whole].reshape(-1, day).sum(axis=1),
        forced.short[:whole].reshape(-1, day).sum(axis=1),
    )
    coarse = replace(data, venues=(replace(venue, liquidations=daily),))
    assert flow_rows(coarse, group=6).target == "open_interest"
    with pytest.raises(DataError, match="longer rows"):
        flow_rows(coarse, "liquidations", group=6)
    rows = flow_rows(coarse, group=day)
    assert rows.target == "liquidations"
    np.testing.assert_allclose(rows.realised, flow_rows(data, group=day).realised, rtol=0.12)


def test_what_cannot_be_scored_is_refused(data: Dataset, rows: FlowRows) -> None:
    nothing = replace(data, venues=(replace(data.venues[0], liquidations=None),))
    with pytest.raises(DataError, match="no realised"):
        flow_rows(nothing, "liquidations")
    with pytest.raises(DataError, match="one venue"):
        flow_rows(replace(data, venues=data.venues * 2))
    with pytest.raises(DataError, match="too few"):
        flow_rows(data, first=len(data.bars) - 10)
    with pytest.raises(DataError, match="no open interest"):
        flow_rows(replace(data, venues=(replace(data.venues[0], open_interest=None),)))
    with pytest.raises(DataError, match="fewer than 20"):
        score_flow(None, rows, 0, rows.realised)
    with pytest.raises(DataError, match="tape"):
        score_flow(None, rows, 9000)


def test_prints_are_summed_by_bar_and_one_without_a_side_counts_half_on_each(data: Dataset) -> None:
    bars = data.bars
    ts = np.array([bars.ts[0], bars.ts[3] + 1, bars.ts[3] + 2, bars.ts[3] + 3, bars.close_ts[-1]])
    prints = Liquidations(ts, np.array([1, 1, -1, 0, 1], np.int8), np.ones(5), np.array([1.0, 2, 4, 8, 16]))
    found = LiquidatedVolume.from_prints(prints, bars)
    assert found.long[[0, 3]].tolist() == [1, 6]
    assert found.short[[0, 3]].tolist() == [0, 8]
    assert found.long.sum() == 7


def test_real_liquidations_by_the_day_are_read_and_scored(shared_data: Path) -> None:
    data = load_dataset("btc-venues-1h")
    forced = data.venues[0].liquidations
    assert forced is not None
    assert len(forced) == 50
    assert 50 < forced.long.mean() < 1000  # coins a day
    rows = flow_rows(data, group=24)
    assert rows.target == "liquidations"
    assert len(rows.bar) == 100
    tape = make_tape(data, snapshots=0)
    score = score_flow(tape, rows, int(np.median(rows.bar)))
    assert np.isfinite(list(figures(score).values())).all()
