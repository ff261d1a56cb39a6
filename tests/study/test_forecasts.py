"""Log-score gains on forecasts whose worth is known."""

from __future__ import annotations

import numpy as np
import pytest

from forcedflow.study.calibration.forecasts import (
    FLOOR,
    best_share,
    blended_gain,
    clustered_error,
    laplace_mass,
    normalised,
    residuals,
)


def test_rows_are_normalised_with_a_floor_and_an_empty_one_is_even() -> None:
    found = normalised(np.array([[3.0, 1.0], [0.0, 0.0]]))
    np.testing.assert_allclose(found, [[0.75 * (1 - FLOOR) + FLOOR / 2, 0.25 * (1 - FLOOR) + FLOOR / 2], [0.5, 0.5]])


def test_gain_of_the_truth_is_its_divergence_and_of_a_stranger_nothing() -> None:
    rng = np.random.default_rng(1)
    truth = rng.dirichlet(np.full(20, 0.5), 400)
    simple, train, day = normalised(np.ones((400, 20))), np.arange(400) < 200, np.arange(400) // 10
    right = normalised(truth)
    gain = blended_gain(truth, right, simple, train, day.astype(float))
    assert gain.blend == 1.0
    expected = (truth[200:] * np.log(right[200:] * 20)).sum() / 200
    assert gain.nats == gain.alone == pytest.approx(expected)
    assert 0 < gain.error < 0.1
    stranger = blended_gain(truth, right[rng.permutation(400)], simple, train, day.astype(float))
    assert abs(stranger.nats) < 0.02
    assert stranger.alone < -0.5
    nothing = blended_gain(np.zeros_like(truth), right, simple, train, day.astype(float))
    assert np.isnan(nothing.nats)


def test_best_share_lies_between_two_forecasts_where_both_are_right_at_times() -> None:
    truth = np.repeat(np.eye(2), 50, axis=0)
    one, other = normalised(np.tile([1.0, 0.0], (100, 1))), normalised(np.tile([0.0, 1.0], (100, 1)))
    assert best_share(truth, one, other) == 0.5


def test_clustered_error_is_the_usual_one_without_clusters_and_larger_with() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(size=500)
    alone = clustered_error(values, np.ones(500), np.arange(500.0))
    assert alone == pytest.approx(values.std(ddof=1) / np.sqrt(500), rel=1e-2)
    together = np.repeat(values[:50], 10)
    assert clustered_error(together, np.ones(500), np.repeat(np.arange(50.0), 10)) > 2.5 * alone
    assert np.isnan(clustered_error(values, np.ones(500), np.repeat([0.0, 1.0], 250)))


def test_laplace_density_sums_to_one_and_is_symmetric() -> None:
    edges = np.linspace(-2, 4, 601)
    mass = laplace_mass(edges[:-1], edges[1:], np.full(600, 1.0), 0.2)
    assert mass.sum() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(mass, mass[::-1], atol=1e-12)


def test_residuals_are_orthogonal_to_controls_and_weights_count() -> None:
    rng = np.random.default_rng(5)
    values, controls, weight = rng.normal(size=(90, 2)), rng.normal(size=(90, 3)), rng.uniform(0.1, 2, 90)
    left = residuals(values, controls, weight)
    root = np.sqrt(weight)[:, None]
    np.testing.assert_allclose(np.column_stack([root, controls * root]).T @ left, 0, atol=1e-9)
    np.testing.assert_allclose(residuals(values, controls, np.ones(90)), residuals(values, controls))
