"""Axes: values as people write them, checked against what the setting declares."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

import forcedflow as ff
from forcedflow.errors import SettingsError
from forcedflow.study.sweeps.axes import Axis, declarations, known_name, make_axis

MINUTE = 60_000_000_000


class Knobs(ff.Strategy):
    """Every kind of parameter."""

    listens = (ff.EventKind.FORCED_FLOW,)

    size: float = Field(default=1.0, gt=0, le=100, description="how much")
    wait: int = Field(default=3, ge=0, le=10_000, description="bars to wait")
    rungs: int = Field(default=3, ge=1, le=50, description="orders on the ladder")
    rest: float = Field(default=4.0, ge=0, description="time", json_schema_extra={"unit": "bars"})
    width_bps: float = Field(default=5.0, gt=0, description="width")
    mode: Literal["in", "out"] = Field(default="in", description="which way")
    twice: bool = Field(default=False, description="again")
    file: str | None = Field(default=None, description="a path")

    def plan(self, events: ff.Events) -> ff.Plan:
        """Order nothing."""
        return ff.Plan(0, size=1)


KNOWN = declarations(Knobs)


def axis(name: str, given_: Any, interval: int = 5 * MINUTE) -> Axis:
    return make_axis(KNOWN[name], given_, interval)


@pytest.mark.parametrize(
    ("name", "written", "values"),
    [
        ("size", "1,2,3", (1.0, 2.0, 3.0)),
        ("size", "3, 1,.5,1e1", (0.5, 1.0, 3.0, 10.0)),
        ("size", "0.1:0.5:9", (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)),
        ("size", "1:100:3:log", (1.0, 10.0, 100.0)),
        ("size", "50bps,2%", (0.005, 0.02)),
        ("size", "1%:3%:3", (0.01, 0.02, 0.03)),
        ("size", "7,1:3:2", (1.0, 3.0, 7.0)),
        ("size", [2, np.float64(1.5), 2.0], (1.5, 2.0)),
        ("size", np.linspace(1, 2, 2), (1.0, 2.0)),
        ("size", "5:5", (5.0,)),
        ("width_bps", "5bps,0.1%", (5.0, 10.0)),
        ("wait", "4h,1d", (48, 288)),
        ("wait", ["30min", 7], (6, 7)),
        ("wait", "1h:5h:3", (12, 36, 60)),
        ("wait", "1:10:4", (1, 4, 7, 10)),
        ("wait", "1:4:9", (1, 2, 3, 4)),
        ("rest", "1h", (12.0,)),
        ("rungs", "1:50:3:log", (1, 7, 50)),
        ("mode", "out,in", ("out", "in")),
        ("mode", ["in"], ("in",)),
        ("twice", "true,false", (True, False)),
        ("twice", [False, True], (False, True)),
        ("file", "none,a:b.toml", (None, "a:b.toml")),
        ("market.bin_bps", "5,10", (5.0, 10.0)),
        ("market.atr_bars", "4h", (48,)),
        ("account.taker_fee", "2bps", (0.0002,)),
        ("account.intrabar", "worst,target_first", ("worst", "target_first")),
        ("conflict", "add", ("add",)),
    ],
)
def test_values(name: str, written: Any, values: tuple[Any, ...]) -> None:
    found = axis(name, written)
    assert found.values == values
    assert [type(v) for v in found.values] == [type(v) for v in values]
    assert Axis.of_spec(found.spec()).values == values


def test_a_duration_is_counted_in_the_bars_of_the_data() -> None:
    assert axis("wait", "4h", 60 * MINUTE).values == (4,)
    assert axis("wait", "4h", MINUTE).values == (240,)


@pytest.mark.parametrize(
    ("written", "low", "high", "log"), [("0.5:20", 0.5, 20.0, False), ("1%:1:log", 0.01, 1.0, True)]
)
def test_a_range_without_a_count_is_continuous(written: str, low: float, high: float, log: bool) -> None:
    found = axis("size", written)
    assert (found.continuous, found.low, found.high, found.log) == (True, low, high, log)
    assert found.ordered
    assert Axis.of_spec(found.spec()) == found


@pytest.mark.parametrize(
    ("name", "written", "words"),
    [
        ("size", "0", "size.*greater than 0"),
        ("size", "1:200:5", "size.*less than or equal to 100.*200"),
        ("size", "nan", "size.*finite"),
        ("size", [float("inf")], "size.*finite"),
        ("size", "3:1:5", "ascend"),
        ("size", "1:2:0", "low:high:count"),
        ("size", "1:2:3:4", "low:high:count"),
        ("size", "1:2:3:exp", "low:high:count"),
        ("size", "1:2,3", "stands alone"),
        ("size", "4h", "does not count bars"),
        ("size", "many", "size.*valid number.*many"),
        ("size", "", "size"),
        ("size", [], "no values"),
        ("wait", "1.5", "wait.*integer"),
        ("wait", "7min", "no whole number of bars of 5 min"),
        ("wait", "2m", "not a duration"),
        ("wait", "5%", "no share"),
        ("rungs", "1h", "does not count bars"),
        ("rungs", "0:50:3:log", "rungs"),
        ("mode", "up", "'in' or 'out'.*up"),
        ("twice", "perhaps", "boolean"),
        ("market.bin_bps", "1000", "less than or equal to 200"),
    ],
)
def test_what_a_setting_cannot_take_is_refused(name: str, written: Any, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        axis(name, written)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("sise", "did you mean size"),
        ("bin_bps", "market.bin_bps"),
        ("market.bin_bp", "market.bin_bps"),
        ("zz", "known"),
    ],
)
def test_unknown_names_are_guessed(name: str, hint: str) -> None:
    with pytest.raises(SettingsError, match=hint):
        known_name(name, KNOWN, "sweep")


@given(
    st.sampled_from(["1:50", "1:50:log", "1:50:7", "1:50:7:log"]), st.sampled_from(["size", "rungs"]), st.floats(0, 1)
)
def test_every_share_of_an_axis_is_allowed(written: str, name: str, share: float) -> None:
    found = axis(name, written)
    value = found.at(share)
    assert 1 <= value <= 50
    assert isinstance(value, int) == (name == "rungs")
    assert axis(name, [value]).values == (value,)
    assert found.at(0.0) == 1
    assert found.at(1.0) == pytest.approx(50, rel=1e-12)


def test_even_ratios_are_seen() -> None:
    assert axis("size", "1,2,4,8").log
    assert axis("size", "1:100:5:log").log
    assert not axis("size", "1,2,3,4").log
    assert not axis("wait", "0,1,2,4").log
