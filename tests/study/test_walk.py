"""Walk-forward: folds that do not overlap, choices that no test span reaches, equity stitched out of sample."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import forcedflow as ff
from forcedflow.data.times import DAY
from forcedflow.errors import SettingsError
from forcedflow.study.sweeps.config import WalkForward
from forcedflow.study.sweeps.walk import make_folds, stitch
from generators import COARSE, Shape, dataset, examples, shapes, with_columns

HOUR = 3_600_000_000_000
MEASURES = ["total_return", "trades", "sharpe"]


@given(
    st.integers(0, 1000),
    st.sampled_from(["rolling", "anchored"]),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(0, 2),
    st.integers(0, 30),
)
def test_folds(
    seed: int, mode: Literal["rolling", "anchored"], train: int, test: int, purge: int, embargo: int
) -> None:
    bars = dataset(Shape(seed=seed, bars=300, gaps=True)).bars
    walk = WalkForward(mode=mode, train=f"{train}d", test=f"{test}d", purge=f"{purge}d", embargo=f"{embargo}h")
    gap = purge * DAY + embargo * HOUR
    start, end = int(bars.ts[0]), int(bars.close_ts[-1])
    try:
        folds = make_folds(bars, walk)
    except SettingsError:  # an outage may empty a span, so that even long data may hold no fold
        for at in range(start + train * DAY + gap, end, test * DAY):
            trained = (start if mode == "anchored" else at - gap - train * DAY, at - gap)
            spans = (trained, (at, min(at + test * DAY, end)))
            assert not all(((bars.ts >= a) & (bars.close_ts <= b)).any() for a, b in spans)
        return
    tested: list[int] = []
    for fold in folds:
        (first, stop), (begin, end) = fold.train, fold.test
        assert 0 <= first < stop <= begin < end <= len(bars)
        assert bars.ts[begin] - bars.close_ts[stop - 1] >= gap
        assert bars.close_ts[end - 1] - bars.ts[begin] <= test * DAY
        if mode == "anchored":
            assert first == 0
        else:
            assert bars.close_ts[stop - 1] - bars.ts[first] <= train * DAY
        tested += range(begin, end)
    assert tested == sorted(set(tested))


def test_without_gaps_the_tests_are_everything_after_the_first_training() -> None:
    bars = dataset(Shape(bars=24 * 20)).bars
    folds = make_folds(bars, WalkForward(train="5d", test="2d", purge="12h"))
    tested = [row for fold in folds for row in range(*fold.test)]
    assert tested == list(range(24 * 5 + 12, len(bars)))


def test_stitching() -> None:
    ends = [np.array([0, 1, 2]) * DAY, np.array([2 * DAY, 3 * DAY]), np.array([2 * DAY + HOUR, 3 * DAY, 4 * DAY])]
    curves = [np.array([100.0, 110.0, 99.0]), np.array([100.0, 102.0]), np.array([100.0, 50.0, 100.0])]
    found = stitch(ends, curves, "24/7")
    assert found.ends.tolist() == [0, DAY, 2 * DAY, 3 * DAY, 4 * DAY]
    np.testing.assert_allclose(found.equity, [100, 110, 99, 99 * 1.02 * 0.5, 99 * 1.02])
    assert found.card["total_return"] == pytest.approx(0.99 * 1.02 - 1)
    assert found.card["days"] == 4
    assert found.card["max_drawdown"] == pytest.approx(1 - 99 * 1.02 * 0.5 / 110)


def test_what_is_chosen_and_what_it_earned() -> None:
    grid = {"stop_atr": "0.5:2:4", "mode": "absorb,ride", "market.bin_bps": [5, 10]}
    walk = {"train": "10d", "test": "6d", "embargo": "1d"}
    swept = ff.sweep(grid=grid, walk_forward=walk)
    (found,) = swept.walk_forward()
    table = swept.table
    assert swept.readings() == ()
    assert len(found.folds) == 4
    assert len(table) == 16 * 4 * 2
    for fold in found.folds:
        trained = table[(table["fold"] == fold.fold) & table["trains"]]
        assert fold.train_score == trained.set_index("setting")["sharpe"].get(fold.setting)
        assert not (fold.train_robust > trained["sharpe"].max())
        tested = table[(table["fold"] == fold.fold) & ~table["trains"] & (table["setting"] == fold.setting)]
        assert fold.test_card["total_return"] == tested["total_return"].iloc[0]
    grown = np.prod([1 + (fold.test_card["total_return"] or 0.0) for fold in found.folds])
    assert found.out_of_sample.equity[-1] / found.out_of_sample.equity[0] == pytest.approx(grown, rel=1e-12)
    best = ff.sweep(grid=grid, walk_forward=walk | {"choose": "best"}).walk_forward()[0]
    for fold in best.folds:
        trained = table[(table["fold"] == fold.fold) & table["trains"]]
        assert fold.train_score == trained["sharpe"].max()
    assert {fold.setting for fold in best.folds} != {fold.setting for fold in found.folds}


def test_a_fold_is_a_run_of_its_span_for_a_map_without_memory_before_it() -> None:
    """The first anchored training span has nothing before it: it is a plain run of those bars."""
    swept = ff.sweep(grid={"stop_atr": [1, 2]}, walk_forward={"train": "12d", "test": "5d", "mode": "anchored"})
    for row, stop in ((0, 1.0), (len(swept.table) // 2, 2.0)):
        assert (swept.table["fold"][row], swept.table["trains"][row]) == (0, True)
        run = ff.run("simulated", params={"stop_atr": stop}, end="2025-01-13")
        assert {name: swept.table[name][row] for name in MEASURES} == {name: run.scorecard[name] for name in MEASURES}


def poisoned(data: ff.Dataset, after: int, seed: int) -> ff.Dataset:
    """Return the dataset with every bar from ``after`` on another market's, and its venue data too."""
    rng = np.random.default_rng(seed)
    bars = data.bars
    factor = np.where(np.arange(len(bars)) >= after, np.exp(rng.normal(0, 0.05, len(bars)).cumsum()), 1.0)
    named = {name: getattr(bars, name) * factor for name in ("open", "high", "low", "close")}
    venues = []
    for venue in data.venues:
        oi = venue.open_interest
        assert oi is not None
        late = oi.available_at > bars.close_ts[after - 1]
        venues.append(replace(venue, open_interest=replace(oi, value=np.where(late, oi.value * 7, oi.value))))
    return replace(data, bars=with_columns(bars, **named), venues=tuple(venues))


@examples(4)
@given(shapes(bars=110, gaps=False, lag=0, marks=False, venues=("linear",)), st.integers(0, 2), st.integers(0, 99))
def test_the_future_does_not_change_a_choice(shape: Shape, fold: int, seed: int) -> None:
    shape = replace(shape, bars=110, interval=HOUR)
    data = replace(dataset(shape), name="random")
    sweep: dict[str, Any] = {
        "grid": {"stop_atr": [0.5, 1, 2], "mode": "ride", "market.bin_bps": [50, 80]},
        "params": {"min_coverage": 0.0, "min_reward": 0.0},
        "market": {k: v for k, v in COARSE.model_dump(exclude_unset=True).items() if k != "bin_bps"},
        "walk_forward": {"train": "2d", "test": "1d", "purge": "4h"},
    }
    known = ff.sweep(data, **sweep).walk_forward()[0]
    folds = make_folds(data.bars, WalkForward(**sweep["walk_forward"]))
    end = folds[fold].train[1]
    other = ff.sweep(poisoned(data, end, seed), **sweep).walk_forward()[0]
    for mine, theirs in zip(known.folds[: fold + 1], other.folds, strict=False):
        chosen = (mine.setting, mine.point, mine.train_score, mine.train_robust)
        assert repr(chosen) == repr((theirs.setting, theirs.point, theirs.train_score, theirs.train_robust))
    for k in range(fold):
        if folds[k].test[1] <= end:  # a test goes on while the next choice is purged
            assert known.folds[k].test_card == other.folds[k].test_card


def test_handlers_walk_as_plans_do(files: dict[str, str]) -> None:
    swept = ff.sweep(
        "simulated",
        [files["plans"], files["handles"]],
        {"stop_atr": [1, 3]},
        end="2025-01-12",
        walk_forward={"train": "5d", "test": "2d"},
    )
    plan, handler = swept.walk_forward()
    assert [replace(fold, setting=0) for fold in plan.folds] == [replace(fold, setting=0) for fold in handler.folds]
    assert plan.out_of_sample.equity.tolist() == handler.out_of_sample.equity.tolist()


def test_a_span_in_which_nothing_trades_is_held_in_cash(tmp_path: Path) -> None:
    walk = {"train": "4d", "test": "2d"}
    swept = ff.sweep(
        grid={"stop_atr": [1, 2]}, params={"min_mass": 1.0}, walk_forward=walk, out=tmp_path / "w", end="2025-01-09"
    )
    (found,) = ff.load_sweep(tmp_path / "w").walk_forward()
    assert found.folds == swept.walk_forward()[0].folds or found.folds[0].setting is None
    assert [fold.setting for fold in found.folds] == [None, None]
    assert set(found.out_of_sample.equity.tolist()) == {1.0}
