"""Spaces: which points a sweep tries."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import forcedflow as ff
from forcedflow.errors import SettingsError
from forcedflow.settings import MarketSettings
from forcedflow.study.sweeps.space import Space, make_space

INTERVAL = 300_000_000_000
ZONE_ENTRY = ff.find_strategy("zone_entry")
BREAKOUT = ff.find_strategy("channel_breakout")


def space(grid: dict[str, Any], *where: str, others: tuple[Any, ...] = (), **fixed: dict[str, Any]) -> Space:
    held: dict[Any, Any] = {"params": {}, "market": {}, "account": {}} | fixed
    return make_space(ZONE_ENTRY, grid, where, held, INTERVAL, others)


def test_the_grid_in_its_order() -> None:
    found = space({"risk": [0.01, 0.02], "market.bin_bps": [5, 10], "mode": ["ride"]})
    assert [tuple(p.values()) for p in found.points()] == [
        (0.01, 5.0, "ride"),
        (0.01, 10.0, "ride"),
        (0.02, 5.0, "ride"),
        (0.02, 10.0, "ride"),
    ]


def test_a_point_becomes_settings() -> None:
    found = space(
        {"risk": [0.01], "market.bin_bps": [5], "account.cash": [500]}, params={"mode": "ride"}, market={"reach": 0.2}
    )
    (point,) = found.points()
    setting = found.setting(point)
    assert setting.params == {"risk": 0.01, "mode": "ride"}
    assert setting.market == MarketSettings(bin_bps=5, reach=0.2)
    assert setting.account.model_fields_set == {"cash"}


def test_constraints_see_defaults_and_what_is_held() -> None:
    points = list(
        space({"hold": [10, 100, 200]}, "hold > 2 * expiry", "market.bin_bps == 7", market={"bin_bps": 7}).points()
    )
    assert [p["hold"] for p in points] == [100, 200]


def test_values_that_do_not_go_together_are_refused_by_name() -> None:
    found = space({"market.zone_on": [0.01, 0.02], "market.zone_off": [0.015]})
    points = list(found.points())
    found.setting(points[1])
    with pytest.raises(SettingsError, match=r"market.zone_on=0.01, market.zone_off=0.015.*--where"):
        found.setting(points[0])
    assert (
        len(
            list(
                space(
                    {"market.zone_on": [0.01, 0.02], "market.zone_off": [0.015]}, "market.zone_off < market.zone_on"
                ).points()
            )
        )
        == 1
    )


@pytest.mark.parametrize(
    ("grid", "where", "fixed", "words"),
    [
        ({"rsk": [1]}, (), {}, "did you mean risk"),
        ({"risk": [0.01]}, ("risky < 1",), {}, "constraint.*did you mean risk"),
        ({"risk": [0.01]}, (), {"params": {"risk": 0.02}}, "both fixed and swept"),
        ({"risk": [0.01]}, (), {"market": {"binbps": 2}}, "did you mean market.bin_bps"),
        ({"risk": [0.01]}, (), {"market": {"bin_bps": 2000}}, "market.bin_bps.*less than or equal"),
        ({"risk": [0.01]}, (), {"params": {"hold": "7min"}}, "no whole number of bars"),
    ],
)
def test_mistakes_are_told(grid: Any, where: Any, fixed: Any, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        space(grid, *where, **fixed)


def test_names_of_another_strategy_are_left_to_it() -> None:
    own, other = sorted(set(BREAKOUT.model_fields) - set(ZONE_ENTRY.model_fields))[:2]
    found = space({"risk": [0.01], own: [1]}, f"{own} > 0", others=(BREAKOUT,), params={other: 1})
    assert [axis.name for axis in found.axes] == ["risk"]
    assert found.constraints == ()


def test_a_continuous_range_is_no_grid() -> None:
    with pytest.raises(SettingsError, match=r"continuous range.*count"):
        list(space({"risk": "0.01:0.02"}).points())


@pytest.mark.parametrize("method", ["random", "sobol"])
@given(st.integers(0, 1000), st.integers(1, 40))
def test_samples_are_distinct_allowed_and_repeatable(method: Literal["random", "sobol"], seed: int, count: int) -> None:
    found = space({"risk": "0.1%:10%:log", "hold": "1:50", "mode": "absorb,ride"}, "hold > 1000 * risk")
    points = found.sample(method, count, seed)
    assert len(points) == count == len({tuple(p.values()) for p in points})
    assert all(p["hold"] > 1000 * p["risk"] and 0.001 <= p["risk"] <= 0.1 and 1 <= p["hold"] <= 50 for p in points)
    assert points == found.sample(method, count, seed)


def test_a_sample_of_a_small_grid_is_all_of_it() -> None:
    found = space({"risk": "1%,2%,3%", "mode": "absorb,ride"}, "mode == 'ride' or risk < 0.03")
    assert {tuple(p.values()) for p in found.sample("random", 100, 1)} == {tuple(p.values()) for p in found.points()}


def test_sobol_leaves_smaller_gaps_than_chance() -> None:
    found = space({"risk": "0.1%:10%"})

    def largest_gap(method: Literal["random", "sobol"], seed: int) -> float:
        return float(np.diff(sorted(p["risk"] for p in found.sample(method, 64, seed))).max())

    assert sum(largest_gap("sobol", s) < largest_gap("random", s) for s in range(20)) >= 19
