"""The strategies of structure: what they order, where they keep out, and that both sides mirror."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forcedflow.tables import EVENT_FLOATS, EventKind, Events
from forcedflow.trading.orders import Asked
from forcedflow.trading.strategy import ask, check_elementwise, find_strategy
from trading.market import events_of

FOLDER = Path(__file__).parents[2] / "strategies"
BREAKOUT, EXHAUSTION = (find_strategy(FOLDER / f"{name}.py") for name in ("channel_breakout", "void_exhaustion"))
PRICES = {"close", "near", "far", "upper", "lower", "above_near", "below_near", "extreme"}
OTHER_SIDE = {"upper": "lower", "lower": "upper", "above_near": "below_near", "below_near": "above_near"}

BROKEN = {"close": -0.005, "near": -0.006, "far": -0.03, "lower": 0.0, "upper": 0.02, "slope": 0.0, "between": 0.0}
BROKEN |= {"mass_before": 0.05, "fuel": 2.0}
"""A lower boundary at 100 broken, a zone behind it; prices as log distances from 100."""
SPENT = {"close": 0.0, "extreme": -0.01, "above_near": 0.04, "swept": 0.02, "between": 0.0}
"""A fall that swept 2% of open interest, a zone above."""


def event(kind: EventKind, values: dict[str, float], side: int = -1) -> Events:
    """Make one event; for side +1 the mirror image."""
    row = np.full(len(EVENT_FLOATS), np.nan)
    for name, value in ({"atr": 0.01, "coverage": 0.8, "gap": 0.0} | values).items():
        flip = side > 0
        there = OTHER_SIDE.get(name, name) if flip else name
        given_price = 100 * np.exp(-value if flip else value)
        row[EVENT_FLOATS.index(there)] = (
            given_price if name in PRICES else -value if flip and name == "slope" else value
        )
    return events_of(np.array([[5, 6, kind, side, 42]]), row[None])


def asked(strategy: Any, events: Events, **parameters: Any) -> dict[str, Any]:
    answer = ask(strategy(**parameters), events)
    row = {name: getattr(answer, name)[0].item() for name in Asked._fields if name != "legs"}
    return row | {name: np.log(row[name] / 100) for name in ("stop", "target")}


def test_breakout_goes_with_the_break_to_the_far_edge() -> None:
    row = asked(BREAKOUT, event(EventKind.CHANNEL_BREAK, BROKEN), stop_depth=0.5, hold=7)
    assert (row["side"], row["kind"], row["group"], row["hold"]) == (-1, 0, 42, 7)
    assert row["stop"] == pytest.approx(0.01)
    assert row["target"] == pytest.approx(-0.03)
    assert row["exit_on"] == 1 << EventKind.FAKE_OUT


@pytest.mark.parametrize(
    ("change", "parameter"),
    [
        ({"fuel": 0.9}, {"min_fuel": 1.0}),
        ({"mass_before": 0.009}, {"min_mass": 0.01}),
        ({"between": 0.02}, {"max_between": 0.01}),
        ({"coverage": 0.19}, {}),
        ({"gap": -0.01}, {}),
        ({"slope": 0.02}, {}),
        ({"far": np.nan, "near": np.nan}, {}),
        ({"close": -0.03}, {}),
        ({"atr": np.nan}, {}),
        ({}, {"min_reward": 50.0}),
    ],
)
def test_breakout_filters(change: dict[str, float], parameter: dict[str, float]) -> None:
    assert asked(BREAKOUT, event(EventKind.CHANNEL_BREAK, BROKEN))["side"] == -1
    assert asked(BREAKOUT, event(EventKind.CHANNEL_BREAK, BROKEN | change), **parameter)["side"] == 0


def test_a_break_with_nothing_behind_it_can_be_the_control() -> None:
    bare = BROKEN | dict.fromkeys(("near", "far", "mass_before", "fuel", "between"), np.nan)
    backed, alone = event(EventKind.CHANNEL_BREAK, BROKEN), event(EventKind.CHANNEL_BREAK, bare)
    for breaks, sides in (("backed", (-1, 0)), ("bare", (0, -1)), ("all", (-1, -1))):
        rows = [asked(BREAKOUT, events, breaks=breaks, target="width") for events in (backed, alone)]
        assert tuple(row["side"] for row in rows) == sides
        for row in rows:
            assert row["side"] == 0 or row["target"] == pytest.approx(-0.02)  # as far as the channel is wide
    assert asked(BREAKOUT, alone, breaks="all")["target"] == pytest.approx(-0.02)  # there is no zone to go to


def test_exhaustion_turns_against_the_move() -> None:
    row = asked(EXHAUSTION, event(EventKind.VOID_EXHAUSTION, SPENT), stop_atr=0.5, target_atr=8.0)
    assert (row["side"], row["kind"], row["group"]) == (1, 0, 42)
    assert row["stop"] == pytest.approx(-0.015)
    assert row["target"] == pytest.approx(0.04)
    far = asked(EXHAUSTION, event(EventKind.VOID_EXHAUSTION, SPENT | {"above_near": np.nan}), target_atr=8.0)
    assert far["target"] == pytest.approx(0.08)


@pytest.mark.parametrize(
    ("change", "parameter"),
    [
        ({"swept": 0.009}, {"min_swept": 0.01}),
        ({"between": 0.02}, {"max_between": 0.01}),
        ({"coverage": 0.19}, {}),
        ({"atr": np.nan}, {}),
        ({"extreme": 0.02}, {}),
        ({}, {"min_reward": 50.0}),
    ],
)
def test_exhaustion_filters(change: dict[str, float], parameter: dict[str, float]) -> None:
    assert asked(EXHAUSTION, event(EventKind.VOID_EXHAUSTION, SPENT))["side"] == 1
    assert asked(EXHAUSTION, event(EventKind.VOID_EXHAUSTION, SPENT | change), **parameter)["side"] == 0


@pytest.mark.parametrize(
    ("strategy", "kind", "values"),
    [(BREAKOUT, EventKind.CHANNEL_BREAK, BROKEN), (EXHAUSTION, EventKind.VOID_EXHAUSTION, SPENT)],
)
@given(scale=st.floats(0.1, 3.0), atr=st.floats(0.001, 0.05))
def test_a_mirrored_event_gives_the_mirrored_plan(
    strategy: Any, kind: EventKind, values: dict[str, float], scale: float, atr: float
) -> None:
    stretched = {name: value * scale if name in PRICES else value for name, value in values.items()} | {"atr": atr}
    below, above = (asked(strategy, event(kind, stretched, side), min_reward=0.0) for side in (-1, 1))
    assert below["side"] == -above["side"]
    if below["side"]:
        for name in ("stop", "target"):
            assert below[name] == pytest.approx(-above[name], abs=1e-12)


@pytest.mark.parametrize("strategy", [BREAKOUT, EXHAUSTION])
@given(seed=st.integers(0, 2**32 - 1))
def test_the_plan_is_elementwise(strategy: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 37
    floats = np.exp(rng.normal(0, 0.05, (n, len(EVENT_FLOATS))))
    floats[rng.random(floats.shape) < 0.02] = np.nan
    kinds = np.full(n, strategy.listens[0])
    ints = np.column_stack([np.arange(n), np.arange(n), kinds, rng.choice([-1, 1], n), np.arange(n)])
    events = events_of(ints, floats)
    made = strategy()
    check_elementwise(made, events, ask(made, events), seed)
