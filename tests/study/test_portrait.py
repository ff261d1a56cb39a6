"""What a page shows of a sweep: the chosen settings are among those shown, and a fan is that of all settings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forcedflow.study.sweeps.axes import Axis
from forcedflow.study.sweeps.portrait import BANDS, growth, portrait, thinned
from forcedflow.study.sweeps.robust import heatmap

GRID = Axis("depth", "params", "depth", tuple(np.linspace(0.0, 1.0, 20).tolist()))
WORDS = Axis("mode", "params", "mode", ("absorb", "ride"))
SINGLE = Axis("hold", "params", "hold", (48,))
SMOOTH = Axis("risk", "params", "risk", (), low=0.001, high=0.1, log=True)


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 300), undefined=st.floats(0.0, 1.0))
def test_the_chosen_and_the_best_are_shown(seed: int, count: int, undefined: float) -> None:
    rng = np.random.default_rng(seed)
    points = [{"depth": GRID.values[k % 20], "hold": 48, "risk": SMOOTH.at(float(rng.random()))} for k in range(count)]
    scores, robust = rng.normal(size=count), rng.normal(size=count)
    scores[rng.random(count) < undefined] = np.nan
    known = np.flatnonzero(~np.isnan(scores))
    daily = np.cumprod(1 + rng.normal(0, 0.01, (400, count)), axis=0).astype(np.float64)
    days = np.arange(400) * 86_400_000_000_000
    chosen = (int(known[rng.integers(len(known))]),) if len(known) else (None,)
    shown = portrait((GRID, SINGLE, SMOOTH), range(count), points, scores, robust, chosen, days=days, daily=daily)
    if not len(known):
        assert shown is None
        return
    assert shown is not None
    assert {*chosen, int(known[np.argmax(scores[known])]), int(known[np.argmax(robust[known])])} <= set(shown.settings)
    assert len(shown.settings) == len(set(shown.settings)) == min(len(shown.settings), 100, len(known))
    assert (np.diff(shown.robust) <= 0).all()
    assert shown.scores.tolist() == [scores[k] for k in shown.settings]
    assert [scale.name for scale in shown.scales] == ["depth", "risk"]
    assert ((shown.places >= 0) & (shown.places <= 1)).all()
    assert shown.points[0] == {name: points[shown.settings[0]][name] for name in ("depth", "risk")}
    assert shown.fan is not None
    assert shown.fan.bands.shape == (len(BANDS), 120)
    assert shown.fan.curves.shape == (len(shown.settings), 120)
    grown = daily / daily[0]
    assert shown.fan.curves[:, -1] == pytest.approx(grown[-1, list(shown.settings)], abs=1e-5)
    assert shown.fan.bands[:, -1] == pytest.approx(np.quantile(grown[-1], BANDS), abs=2e-5)


def test_where_values_lie() -> None:
    assert [WORDS.share_of(word) for word in ("absorb", "ride")] == [0.0, 1.0]
    assert SINGLE.share_of(48) == 0.0
    assert SMOOTH.share_of(0.01) == pytest.approx(0.5)
    assert GRID.share_of(GRID.values[19]) == 1.0


def test_few_points_of_a_curve_keep_its_ends() -> None:
    times, grown = growth(np.arange(1000) * 1_000_000_000, np.linspace(100.0, 200.0, 1000), 100.0)
    assert (times[0], times[-1], grown[0], grown[-1]) == (0, 999, 1.0, 2.0)
    assert len(times) == 120
    assert thinned(3).tolist() == [0, 1, 2]


def test_the_plateau_is_what_hangs_together_around_it() -> None:
    """Two hills: the frame takes the one that the plateau's point stands on, up to where the scores fall."""
    x, y = (Axis(name, "params", name, tuple(range(6))) for name in "xy")
    points = [{"x": i, "y": j} for j in range(6) for i in range(6)]
    high = {(0, 0), (0, 1), (1, 0), (1, 1), (4, 4), (4, 5), (5, 5), (3, 3)}
    scores = np.array([1.0 if (p["y"], p["x"]) in high else 0.0 for p in points])
    picture = heatmap((x, y), points, scores, "x", "y", best=6 * 5 + 5, plateau=0, sign=-1.0)
    assert (picture.plateau, picture.best) == ((0, 0), (5, 5))
    assert set(picture.around) == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert picture.scores.min() == -1.0
