"""Scores of maps that are right, wrong and placebos: no figure that cannot fail."""

from __future__ import annotations

import numpy as np
import pytest

from forcedflow.data.series import Dataset
from forcedflow.data.simulated import SimulatedMarket
from forcedflow.errors import DataError
from forcedflow.settings import MarketSettings
from forcedflow.study.calibration.map_score import (
    Densities,
    MapScore,
    estimated_densities,
    score_map,
    score_snapshots,
    shifted,
    true_densities,
)
from forcedflow.study.calibration.offsets import with_holders

HAZARD = MarketSettings(hazard_per_hour=1 / 96)


@pytest.fixture(scope="module")
def truth(market: SimulatedMarket, data: Dataset) -> Densities:
    return true_densities(market.snapshots, data.bars)


@pytest.fixture(scope="module")
def estimate(data: Dataset, truth: Densities) -> Densities:
    return estimated_densities(data, HAZARD, truth.bar)


def figures(score: MapScore) -> dict[str, float]:
    """All that a map could be praised for."""
    found = {name: getattr(score, name).nats for name in ("distance", "spot", "average")}
    found |= {"slope": score.slope, "sharpness": score.sharpness}
    for band in score.bands[1:]:  # within half a percent hardly any mass waits
        found[f"rank {band.near}"], found[f"nats {band.near}"] = band.rank_correlation, band.distance.nats
    return found


def test_true_densities_are_the_mass_beside_each_close(
    market: SimulatedMarket, data: Dataset, truth: Densities
) -> None:
    shots, m = market.snapshots, 100
    price = np.log(data.bars.close[shots.bar[m]])
    bins = shots.bins * shots.bin_width
    near = (bins > price - 0.0495) & (bins < price + 0.0495)
    assert truth.mass[m, :, :50].sum() == pytest.approx(shots.mass[m][:, near].sum(), rel=0.05)
    assert truth.mass.shape == (len(shots.bar), 2, 150)


def test_the_map_of_true_holders_knows_the_true_map_and_a_worse_one_less(
    data: Dataset, truth: Densities, estimate: Densities
) -> None:
    right = score_map(estimate, truth, data.bars)
    assert min(figures(right).values()) > 0.01
    assert right.distance.nats > 10 * right.distance.error
    assert 0.8 < right.slope < 1.2
    assert sum(band.truth_share for band in right.bands) == pytest.approx(1)
    estimates, actual = np.array(right.curve).T
    np.testing.assert_allclose(actual[2:-1], estimates[2:-1], atol=0.15)  # calibrated
    wrong = score_map(estimated_densities(with_holders(data, "cfd-retail"), HAZARD, truth.bar), truth, data.bars)
    assert wrong.distance.nats < right.distance.nats / 2
    assert wrong.sharpness < 0.8 * right.sharpness


def test_the_truth_itself_scores_best(data: Dataset, truth: Densities, estimate: Densities) -> None:
    best, right = score_map(truth, truth, data.bars), score_map(estimate, truth, data.bars)
    assert best.distance.nats > right.distance.nats
    assert best.slope == pytest.approx(1, abs=0.02)
    assert min(band.rank_correlation for band in best.bands) == pytest.approx(1)


@pytest.mark.parametrize("part", [2, 3])
def test_every_figure_is_near_zero_for_a_placebo(
    data: Dataset, truth: Densities, estimate: Densities, part: int
) -> None:
    placebo = figures(score_map(shifted(estimate, len(truth.bar) // part), truth, data.bars))
    right = figures(score_map(estimate, truth, data.bars))
    for name, value in placebo.items():
        assert abs(value) < max(0.2 * right[name], 0.005), name


def test_a_simulated_dataset_is_scored_in_one_call(market: SimulatedMarket, data: Dataset) -> None:
    assert score_snapshots(data, HAZARD, market.snapshots).distance.nats > 0.01
    with pytest.raises(DataError, match="bin_bps"):
        score_snapshots(data, MarketSettings(bin_bps=20), market.snapshots)


def test_maps_that_do_not_belong_together_are_refused(data: Dataset, truth: Densities, estimate: Densities) -> None:
    few = Densities(truth.bar[:10], truth.mass[:10], truth.bin_width)
    with pytest.raises(DataError, match="differ"):
        score_map(estimate, few, data.bars)
    with pytest.raises(DataError, match="too few"):
        score_map(few, few, data.bars)
