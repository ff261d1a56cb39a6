"""The plateau, not the peak; and what each parameter changes."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forcedflow.study.sweeps.axes import Axis
from forcedflow.study.sweeps.robust import best_of, heatmap, neighbours, pairs, robust_scores, sensitivity


def axis(name: str, *values: Any) -> Axis:
    return Axis(name, "params", name, values)


def grid(*axes: Axis) -> list[dict[str, Any]]:
    return [
        dict(zip([a.name for a in axes], values, strict=True))
        for values in itertools.product(*(a.values for a in axes))
    ]


def test_a_lonely_peak_loses_to_a_plateau() -> None:
    axes = (axis("a", 1, 2, 3, 4, 5, 6, 7), axis("b", 1, 2, 3))
    points = grid(*axes)
    scores = np.zeros(len(points))
    for row, point in enumerate(points):
        if point["a"] >= 5:
            scores[row] = 2.0 - 0.1 * abs(point["a"] - 6) - 0.1 * abs(point["b"] - 2)
        if point == {"a": 2, "b": 2}:
            scores[row] = 9.0
    robust = robust_scores(scores, neighbours(axes, points))
    best, plateau = best_of(scores, robust), best_of(robust, scores)
    assert best is not None
    assert plateau is not None
    assert points[best] == {"a": 2, "b": 2}
    assert points[plateau] == {"a": 6, "b": 2}
    assert robust[best] == 0.0


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 4))
def test_scores_are_the_medians_of_their_surroundings(seed: int, width: int, height: int) -> None:
    rng = np.random.default_rng(seed)
    axes = (axis("a", *range(width)), axis("word", "x", "y"), axis("b", *np.linspace(0.1, 9.5, height).tolist()))
    points = [p for p in grid(*axes) if rng.random() < 0.9]
    if len(points) < 0.5 * width * height * 2:
        return
    scores = rng.normal(size=len(points))
    scores[rng.random(len(points)) < 0.2] = np.nan
    robust = robust_scores(scores, neighbours(axes, points))
    places = [tuple(list(a.values).index(p[a.name]) for a in axes) for p in points]
    for place, found in zip(places, robust, strict=True):
        around = [
            -math.inf if math.isnan(score) else score
            for score, other in zip(scores, places, strict=True)
            if other[1] == place[1] and abs(other[0] - place[0]) + abs(other[2] - place[2]) <= 1
        ]
        middle = sorted(around)[(len(around) - 1) // 2]
        assert found == middle or (math.isinf(middle) and math.isnan(found))


def test_drawn_points_have_their_nearest() -> None:
    continuous = Axis("a", "params", "a", (), 1.0, 100.0, log=True)
    points = [{"a": a, "word": w} for a in (1.0, 2.0, 4.0, 90.0, 100.0) for w in ("x", "y")]
    around = neighbours((continuous, axis("word", "x", "y")), points)
    near = {points[row]["a"] for row in around[0]}
    assert near == {2.0, 4.0}
    assert all(points[row]["word"] == points[k]["word"] for k, rows in enumerate(around) for row in rows)
    assert all(len(rows) == 2 and k not in rows for k, rows in enumerate(around))


def test_nothing_to_choose_from() -> None:
    assert best_of(np.array([])) is None
    assert best_of(np.array([np.nan, np.nan])) is None
    assert best_of(np.array([np.nan, 1.0, 1.0])) == 1
    assert best_of(np.array([1.0, 1.0]), np.array([0.0, 2.0])) == 1


def test_sensitivity_of_a_sum_and_of_a_product() -> None:
    axes = (axis("idle", 0, 1), axis("x", -1, 0, 1), axis("y", -2, 2))
    points = grid(*axes)
    total = np.array([p["x"] + p["y"] for p in points], dtype=float)
    added = {s.name: s for s in sensitivity(axes, points, total)}
    assert added["x"].main == pytest.approx(added["x"].total) == pytest.approx((2 / 3) / (2 / 3 + 4))
    assert added["y"].main == pytest.approx(4 / (2 / 3 + 4))
    assert added["idle"].main == pytest.approx(0)
    assert added["y"].means == (-2.0, 2.0)
    product = np.array([p["x"] * p["y"] for p in points], dtype=float)
    mixed = {s.name: s for s in sensitivity(axes, points, product)}
    assert mixed["x"].main == pytest.approx(0)
    assert mixed["x"].total == pytest.approx(1)
    assert mixed["idle"].total == pytest.approx(0)


def test_sensitivity_ranks_and_leaves_out_what_has_no_score() -> None:
    axes = (axis("weak", 1, 2), axis("strong", 1, 2))
    points = grid(*axes)
    scores = np.array([1.0, 5.0, np.nan, 6.0])
    ranked = sensitivity(axes, points, scores)
    assert [s.name for s in ranked] == ["strong", "weak"]
    assert math.isnan(ranked[0].total)
    assert all(math.isnan(s.main) for s in sensitivity(axes, points, np.ones(4)))
    assert pairs((*axes, axis("one", 1)), ranked) == [("strong", "weak")]


def test_a_heatmap_is_the_mean_over_the_others() -> None:
    axes = (axis("x", 1, 2), axis("y", 3, 4, 5), axis("z", 0, 10))
    points = grid(*axes)
    scores = np.array([100.0 * p["x"] + p["y"] + p["z"] for p in points])
    scores[:2] = np.nan
    found = heatmap(axes, points, scores, "x", "y")
    assert (found.xs, found.ys) == ((1, 2), (3, 4, 5))
    expected = np.array([[np.nan, 208], [109, 209], [110, 210]])
    np.testing.assert_allclose(found.scores, expected)
