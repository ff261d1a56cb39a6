"""Calibration recovers holders that are known, and says how sure it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from forcedflow.data import load_dataset
from forcedflow.data.series import Dataset
from forcedflow.data.simulation import simulate
from forcedflow.errors import DataError, SettingsError, VenueError
from forcedflow.market.tape import make_tape
from forcedflow.settings import MarketSettings, parse
from forcedflow.study.calibration import survey
from forcedflow.study.calibration.fit import (
    Calibration,
    CalibrationSettings,
    Contender,
    calibrate,
    compare,
    rows_of,
    total_variation,
)
from forcedflow.venues import dump_profile, load_profile
from known_market import HOLDING_HOURS, TRUTH, known_market

KNOWN = CalibrationSettings(leverages=tuple(TRUTH), hazards=(0.00276, 0.01, 0.03), draws=60)
SHARES = np.array([TRUTH[x] for x in sorted(TRUTH, reverse=True)])


@pytest.fixture(scope="module")
def fitted(data: Dataset) -> Calibration:
    """Return a fit on the first two thirds."""
    return calibrate(data.between(None, int(data.bars.ts[12_000])), KNOWN)


def beaten(contenders: list[Contender], by: str) -> list[str]:
    """Names of the contenders that one of them beats in every figure that needs no coefficient."""
    scores = {c.name: c.score for c in contenders}
    best = scores.pop(by)
    assert best is not None
    return [
        name
        for name, s in scores.items()
        if s is not None
        and best.r2_level > s.r2_level
        and best.r2_gain > s.r2_gain
        and best.distance.nats > s.distance.nats
    ]


def test_known_leverage_is_recovered_and_so_is_how_long_holders_stay(fitted: Calibration) -> None:
    assert fitted.target == "liquidations"
    assert total_variation(fitted.weights, SHARES) < 0.1
    assert fitted.hazard_per_hour == 0.01 == pytest.approx(1 / HOLDING_HOURS, rel=0.05)
    assert min(fitted.losses, key=lambda h: fitted.losses[h]) == 0.01
    assert fitted.scale == 1.0
    assert fitted.weights.sum() == pytest.approx(1)
    low, high = fitted.bands()
    assert np.all(low <= high)
    # What is reached often is known to a point or two; the map's bins bias the nearest by half a point.
    np.testing.assert_allclose(fitted.weights[:3], SHARES[:3], atol=0.015)
    assert np.all((high - low)[:3] < 0.03)


def test_it_beats_every_shipped_profile_out_of_sample(data: Dataset, fitted: Calibration) -> None:
    contenders = compare(data, 12_000, {"calibrated": (fitted.profile, fitted.hazard_per_hour)})
    shipped = [c.name for c in contenders if c.name != "calibrated"]
    assert len(shipped) == 7
    assert beaten(contenders, "calibrated") == shipped
    best = contenders[0].score
    assert best is not None
    assert best.r2_level > 0.9


def test_tiers_that_nobody_uses_get_next_to_nothing(data: Dataset) -> None:
    settings = KNOWN.model_copy(update={"leverages": (*TRUTH, 75, 33), "hazards": (0.01,)})
    found = dict(zip(sorted(settings.leverages, reverse=True), calibrate(data, settings).weights, strict=True))
    assert found[75] + found[33] < 0.03


def test_distances_of_each_side_are_fitted_by_themselves(data: Dataset) -> None:
    distances = (0.006, 0.016, 0.046, 0.096, 0.196, 0.331)  # where the tiers are liquidated
    settings = KNOWN.model_copy(update={"kind": "distance", "distances": distances, "hazards": (0.01,)})
    fit = calibrate(data, settings)
    assert fit.weights.shape == (12,)
    for side in np.split(fit.weights, 2):
        assert side.sum() == pytest.approx(1)
        np.testing.assert_allclose(side[:4], SHARES[:4], atol=0.04)  # 3x is hardly ever reached on one side alone
    assert [name for name, *_ in rows_of(fit)][::6] == ["long 0.60%", "short 0.60%"]
    assert fit.profile.distances is not None


def test_open_interest_gives_a_fit_too_with_a_scale(data: Dataset) -> None:
    hidden = replace(data, venues=(replace(data.venues[0], liquidations=None),))
    fit = calibrate(hidden, KNOWN.model_copy(update={"hazards": (0.01,), "group_minutes": 30}))
    assert fit.target == "open_interest"
    assert 0.3 < fit.scale < 0.8  # 0.6 of what leaves meets leavers of the other side
    prior = calibrate(hidden, KNOWN.model_copy(update={"hazards": (0.01,), "penalties": (1e6,), "rounds": 1}))
    off, before = (np.abs(one.weights[:4] - SHARES[:4]) for one in (fit, prior))
    assert off.max() < 0.05  # of those that are reached
    assert off.sum() < 0.75 * before.sum()


def test_the_profile_is_a_file_with_source_and_window_and_its_own_data_is_in_sample(
    data: Dataset, fitted: Calibration, tmp_path: Path
) -> None:
    path = tmp_path / "fit.toml"
    path.write_text(dump_profile(fitted.profile), encoding="utf-8")
    read = load_profile(str(path))
    assert read == fitted.profile
    assert "realised liquidations" in read.source
    window = read.fitted_window
    assert window is not None
    assert window.end.timestamp() * 1e9 == data.bars.ts[12_000]
    chosen = MarketSettings(profile=str(path))
    assert any("in-sample" in note for note in make_tape(data, chosen).notes)
    later = data.between(int(data.bars.ts[12_000]))
    assert not any("in-sample" in note for note in make_tape(later, chosen).notes)


def test_seed_decides_the_bands_and_nothing_else(data: Dataset) -> None:
    short = data.between(None, int(data.bars.ts[9000]))
    one, same, other = (
        calibrate(short, KNOWN.model_copy(update={"hazards": (0.01,), "draws": 8, "seed": seed})) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.draws, same.draws)
    np.testing.assert_array_equal(one.weights, other.weights)
    assert np.any(one.draws != other.draws)
    assert len(one.profiles(3)) == 3
    assert one.profiles()[7].tiers[0].weight == pytest.approx(one.draws[7][0], rel=1e-5)


def test_what_cannot_be_fitted_is_refused(data: Dataset) -> None:
    short = data.between(None, int(data.bars.ts[300]))
    with pytest.raises(DataError, match="longer window"):
        calibrate(short, KNOWN.model_copy(update={"hazards": (0.0001,), "min_coverage": 0.9}))
    with pytest.raises(VenueError, match="profile"):
        calibrate(data, KNOWN.model_copy(update={"prior": "nobody"}))
    with pytest.raises(SettingsError, match="leverage"):
        parse(CalibrationSettings, {"leverages": [3]}, "calibration")


def test_profiles_that_the_venue_refuses_are_named_with_the_reason(data: Dataset) -> None:
    peers = load_profile("peers")
    tiers = (peers.tiers[0].model_copy(update={"leverage": 0.5, "weight": 1.0}),)  # a long that nothing liquidates
    nobody = peers.model_copy(update={"tiers": tiers})
    found = compare(data, 12_000, {"nobody": (nobody, 0.01)}, group_minutes=120)[0]
    assert found.score is None
    assert "liquidates" in found.why_not


def test_real_data_gives_a_fit(shared_data: Path) -> None:
    data = load_dataset("btcusdt-5m", end="2025-12-20")
    fit = calibrate(data, CalibrationSettings(hazards=(0.00276,), draws=5, rounds=1))
    assert fit.target == "open_interest"
    assert 0 <= fit.scale <= 1
    assert fit.weights.min() >= 0


def test_the_survey_says_who_is_better_and_how_far_from_the_truth(data: Dataset) -> None:
    case = survey.study(data, 12_000, KNOWN, TRUTH)
    page = survey.page([case], "the command")
    assert case.distance_to_truth is not None
    assert case.distance_to_truth < 0.1
    assert f"total variation from the truth {case.distance_to_truth:.3f}; better than every shipped profile" in page
    worse = replace(case, contenders=(replace(case.contenders[0], score=case.contenders[1].score), *case.contenders))
    assert "better than every shipped" not in survey.page([worse], "the command")
    nobody = replace(case, contenders=case.contenders[:1])
    assert "nothing could be scored" in survey.page([nobody], "the command")


@pytest.mark.deep
def test_known_leverage_is_recovered_from_200_000_bars() -> None:
    data = simulate(known_market(200_000, volatility=0.7, cohorts_per_step=4, snapshot_bars=10**6)).dataset()
    fit = calibrate(data, KNOWN.model_copy(update={"draws": 200}))
    assert total_variation(fit.weights, SHARES) < 0.03
    spare = KNOWN.model_copy(update={"leverages": (2, 3, 5, 8, 10, 12, 20, 30, 50, 75, 100), "hazards": (0.01,)})
    found = calibrate(data, spare)
    truth = [TRUTH.get(round(x), 0.0) for x in sorted(spare.leverages, reverse=True)]
    assert total_variation(found.weights, np.array(truth)) < 0.1
    early = calibrate(data.between(None, int(data.bars.ts[100_000])), KNOWN)
    contenders = compare(data, 100_000, {"calibrated": (early.profile, early.hazard_per_hour)})
    assert len(beaten(contenders, "calibrated")) == 7
