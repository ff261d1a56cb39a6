"""An ensemble of one is the map; of several it gives bands that hold them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from forcedflow.data import load_dataset
from forcedflow.data.series import Dataset
from forcedflow.errors import SettingsError
from forcedflow.market.tape import MarketPass, make_tape
from forcedflow.settings import MarketSettings
from forcedflow.study.calibration.ensemble import Ensemble
from forcedflow.study.calibration.fit import CalibrationSettings, calibrate
from forcedflow.tables import EventKind
from forcedflow.venues import load_profile

SETTINGS = MarketSettings()
MEMBERS = [load_profile(name) for name in ("simulated", "peers", "hyperliquid-like")]


@pytest.fixture(scope="module")
def bundled() -> Dataset:
    return load_dataset("simulated", end="2025-01-20")


def test_each_member_is_the_map_itself(bundled: Dataset) -> None:
    band = Ensemble(bundled, MEMBERS, SETTINGS).at(4000)
    live = MarketPass(bundled, SETTINGS)  # held by the first of them
    live.advance(4001)
    columns = live.map.bins - band.bins[0]
    np.testing.assert_array_equal(band.mass[0][:, columns], live.map.mass())
    assert band.mass[0].sum() == pytest.approx(live.map.mass().sum())
    price = float(bundled.bars.close[4000])
    np.testing.assert_allclose(band.between(price * 0.95, price)[0], live.map.between(price * 0.95, price))
    low, high = band.band
    assert np.all(low <= band.quantile(0.5))
    assert np.all(band.quantile(0.5) <= high)
    assert (high - low).max() > 0
    alone = Ensemble(bundled, MEMBERS[:1], SETTINGS).at(4000)
    np.testing.assert_array_equal(*alone.band)


def test_zone_mass_is_the_tapes_before_each_event(bundled: Dataset) -> None:
    events = make_tape(bundled, SETTINGS).events
    ensemble = Ensemble(bundled, MEMBERS, SETTINGS, level=0.5)
    mass = ensemble.zone_mass(events)
    entered = np.isin(events.kind, (EventKind.ZONE_ENTRY, EventKind.ZONE_SWEPT))
    assert entered.sum() > 20
    np.testing.assert_allclose(mass[0][entered], events.mass_before[entered], rtol=1e-9)
    low, high = ensemble.zone_bands(events)
    inside = (mass >= low) & (mass <= high)
    assert np.all(inside[:, entered].any(axis=0))
    np.testing.assert_allclose(low[entered], np.quantile(mass[:, entered], 0.25, axis=0))
    assert np.isnan(mass[:, ~np.isfinite(events.near)]).all()


def test_a_calibrations_draws_are_an_ensemble(data: Dataset) -> None:
    short = data.between(None, int(data.bars.ts[8000]))
    fit = calibrate(short, CalibrationSettings(hazards=(0.01,), draws=6, rounds=1))
    ensemble = Ensemble.of(short, fit, members=4)
    assert ensemble.settings.hazard_per_hour == 0.01
    band = ensemble.at(7000)
    assert band.mass.shape[0] == 4
    assert band.level == 0.9
    # Every member holds all open interest that it has located, on each side.
    held = band.mass[:, :2].sum(axis=2)
    assert np.all(held <= band.open_interest * (1 + 1e-9))


def test_an_empty_ensemble_is_refused(bundled: Dataset) -> None:
    with pytest.raises(SettingsError, match="at least one"):
        Ensemble(bundled, [], SETTINGS)
    with pytest.raises(SettingsError, match="level"):
        replace(Ensemble(bundled, MEMBERS, SETTINGS), level=1.0)
