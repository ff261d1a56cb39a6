"""The shipped strategy: what it orders, where it keeps out, and that both sides mirror."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forcedflow.tables import EVENT_FLOATS, EventKind, Events
from forcedflow.trading.orders import Asked
from forcedflow.trading.strategy import Strategy, ask, check_elementwise, find_strategy
from trading.market import events_of

ZoneEntry = find_strategy(Path(__file__).parents[2] / "strategies" / "zone_entry.py")

BELOW = {
    "close": 0.0,
    "atr": 0.01,
    "near": -0.02,
    "far": -0.04,
    "above_near": 0.1,
    "mass_before": 0.05,
    "fuel": 3.0,
    "coverage": 0.8,
}
"""A zone below the close of 100; prices as log distances from 100."""


def zone(kind: EventKind, side: int = -1, **changes: float) -> Events:
    """Make one event; for a zone above, the mirror image of the zone below."""
    values = BELOW | changes
    row = np.full(len(EVENT_FLOATS), np.nan)
    for name, value in values.items():
        if name in {"close", "near", "far", "above_near"}:
            mirrored = name.replace("above", "below") if side > 0 else name
            row[EVENT_FLOATS.index(mirrored)] = 100 * np.exp(-side * value)
        else:
            row[EVENT_FLOATS.index(name)] = value
    return events_of(np.array([[5, 6, kind, side, 42]]), row[None])


def made(**parameters: Any) -> Strategy:
    return ZoneEntry(**parameters)


def asked(events: Events, **parameters: Any) -> dict[str, Any]:
    """Ask, and return the row with prices as log distances from 100."""
    answer = ask(made(**parameters), events)
    row = {name: getattr(answer, name)[0].item() for name in Asked._fields if name != "legs"}
    return row | {name: np.log(row[name] / 100) for name in ("price", "stop", "target")}


def test_absorb_rests_a_limit_inside_the_zone() -> None:
    row = asked(zone(EventKind.ZONE_NEAR), depth=0.25, stop_atr=2, target_atr=5, risk=0.01, expiry=7, hold=9)
    assert (row["side"], row["kind"], row["group"], row["expiry"], row["hold"]) == (1, 1, 42, 7, 9)
    assert row["size"] == 0.01
    assert row["price"] == pytest.approx(-0.025)
    assert row["stop"] == pytest.approx(-0.06)
    assert row["target"] == pytest.approx(0.025)
    assert row["cancel_on"] == (1 << EventKind.ZONE_SWEPT) + (1 << EventKind.ZONE_EXIT)
    assert row["exit_on"] == 0


def test_absorb_leaves_where_the_opposite_zone_begins() -> None:
    near = asked(zone(EventKind.ZONE_NEAR, above_near=0.01), target_atr=8)
    assert near["target"] == pytest.approx(0.01)
    none = asked(zone(EventKind.ZONE_NEAR, above_near=np.nan), target_atr=8)
    assert none["target"] == pytest.approx(-0.025 + 0.08)


def test_ride_goes_with_the_flow_to_the_far_edge() -> None:
    row = asked(zone(EventKind.ZONE_ENTRY, close=-0.025), mode="ride", stop_atr=1)
    assert (row["side"], row["kind"], row["expiry"]) == (-1, 0, 1)
    assert np.isnan(row["price"])
    assert row["stop"] == pytest.approx(-0.01)
    assert row["target"] == pytest.approx(-0.04)
    assert row["exit_on"] == (1 << EventKind.ZONE_SWEPT) + (1 << EventKind.ZONE_EXIT)


@pytest.mark.parametrize("mode", ["absorb", "ride"])
@pytest.mark.parametrize(
    ("change", "parameter"),
    [
        ({"fuel": 0.9}, {"min_fuel": 1.0}),
        ({"mass_before": 0.009}, {"min_mass": 0.01}),
        ({"coverage": 0.19}, {}),
        ({}, {"min_reward": 50.0}),
        ({"atr": np.nan}, {}),
    ],
)
def test_filters(mode: str, change: dict[str, Any], parameter: dict[str, float]) -> None:
    kind, close = (EventKind.ZONE_NEAR, 0.0) if mode == "absorb" else (EventKind.ZONE_ENTRY, -0.025)
    assert asked(zone(kind, close=close), mode=mode)["side"] != 0
    assert asked(zone(kind, close=close, **change), mode=mode, **parameter)["side"] == 0


def test_ride_keeps_out_where_nothing_is_left_to_ride() -> None:
    for close in (-0.04, -0.05, -0.039):  # at the far edge, beyond it, too near to it
        assert asked(zone(EventKind.ZONE_ENTRY, close=close), mode="ride")["side"] == 0


def test_ride_keeps_out_where_price_is_behind_its_stop_again() -> None:
    assert asked(zone(EventKind.ZONE_ENTRY, close=-0.009), mode="ride", stop_atr=1)["side"] == 0


@pytest.mark.parametrize(("mode", "kind"), [("absorb", EventKind.ZONE_ENTRY), ("ride", EventKind.ZONE_NEAR)])
def test_each_mode_answers_its_own_event(mode: str, kind: EventKind) -> None:
    assert asked(zone(kind, close=-0.025), mode=mode)["side"] == 0


distances = st.floats(0.001, 0.2)


@given(st.sampled_from(["absorb", "ride"]), distances, distances, distances, distances, st.floats(0.0001, 0.05))
def test_a_mirrored_event_gives_the_mirrored_plan(
    mode: str, to_near: float, width: float, inside: float, opposite: float, atr: float
) -> None:
    kind = EventKind.ZONE_NEAR if mode == "absorb" else EventKind.ZONE_ENTRY
    close = 0.0 if mode == "absorb" else -to_near - inside
    values = {"near": -to_near, "far": -to_near - width, "close": close, "above_near": opposite, "atr": atr}
    below, above = (asked(zone(kind, side, **values), mode=mode, min_reward=0.0) for side in (-1, 1))
    if below["side"] or above["side"]:
        assert below["side"] == -above["side"]
        for name in ("price", "stop", "target"):
            assert below[name] == pytest.approx(-above[name], abs=1e-12, nan_ok=True)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["absorb", "ride"]))
def test_the_plan_is_elementwise(seed: int, mode: str) -> None:
    rng = np.random.default_rng(seed)
    n = 37
    floats = np.exp(rng.normal(0, 0.05, (n, len(EVENT_FLOATS))))
    floats[rng.random(floats.shape) < 0.02] = np.nan
    kinds = rng.choice([EventKind.ZONE_NEAR, EventKind.ZONE_ENTRY], n)
    ints = np.column_stack([np.arange(n), np.arange(n), kinds, rng.choice([-1, 1], n), np.arange(n)])
    events = events_of(ints, floats)
    strategy = made(mode=mode)
    check_elementwise(strategy, events, ask(strategy, events), seed)
