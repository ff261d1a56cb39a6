"""Plans: what a strategy may ask for, and how a wrong one is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import naive.plans as naive
from forcedflow.errors import StrategyError
from forcedflow.kernels import orders as kernel
from forcedflow.kernels import records
from forcedflow.kernels.plans import first_fault, write_orders
from forcedflow.tables import EventKind
from forcedflow.trading.orders import ENTRIES, FAULTS, SIZE_RULES, Asked, Plan, checked, one_order, whole
from trading.market import make_bars, make_events

BARS = make_bars([(100, 101, 99, 100)] * 5)
EVENTS = make_events(BARS, [(1, EventKind.ZONE_NEAR, 1, 3), (4, EventKind.ZONE_ENTRY, -1, 5)])


def test_scalars_and_arrays_broadcast() -> None:
    plan = Plan(
        np.array([1, -1]),
        size=0.01,
        entry=["limit", "market"],
        price=[99.0, np.nan],
        stop=[98.0, 102.0],
        group=EVENTS.group,
        exit_on={EventKind.ZONE_SWEPT, EventKind.ZONE_EXIT},
        cancel_on=np.array([1 << EventKind.FORCED_FLOW, 0]),
    )
    asked = whole(checked(plan, EVENTS, "mine"))
    assert asked.kind.tolist() == [1, 0]
    assert asked.size.tolist() == [0.01, 0.01]
    assert asked.size_rule.tolist() == [3, 3]
    assert asked.expiry.tolist() == [1, 1]
    assert asked.group.tolist() == [3, 5]
    assert asked.exit_on.tolist() == [0b1100, 0b1100]
    assert asked.cancel_on.tolist() == [0b10000, 0]


GOOD: dict[str, Any] = {"side": [0, 1], "size": 1.0, "size_rule": "units"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"side": 2}, r"side must be \+1, -1 or 0, was 2"),
        ({"side": 0.5}, "'side' must hold whole numbers"),
        ({"side": [1, 1, 1]}, r"'side' has shape \(3,\); give a scalar, one value for each of the 2 events"),
        ({"entry": "limt"}, "'entry' must be one of market, limit, stop, stop_limit, was 'limt'"),
        ({"entry": "limit"}, "price must be a positive number, was nan"),
        ({"entry": "stop", "price": np.inf}, "price must be a positive number, was inf"),
        ({"price": 99.0}, "price must be NaN for a market order, was 99"),
        ({"size": np.nan}, "size must be a positive number, was nan"),
        ({"size": 0.0}, "size must be a positive number, was 0"),
        ({"size": "much"}, "'size' must hold numbers"),
        ({"size_rule": "risk"}, "stop or trail is needed to size by risk, was nan"),
        ({"size_rule": "all-in"}, "'size_rule' must be one of units, notional, equity, risk, was 'all-in'"),
        ({"stop": 100.0}, r"stop must lie on the losing side of the entry, was 100 \(buy market at 100\)"),
        ({"side": -1, "stop": 99.0}, r"stop must lie on the losing side of the entry, was 99 \(sell market at 100\)"),
        ({"stop": -1.0}, "stop must be a positive number, or NaN for none, was -1"),
        ({"target": 99.0}, "target must lie on the winning side of the entry, was 99"),
        ({"entry": "limit", "price": 98.0, "stop": 99.0}, r"losing side of the entry, was 99 \(buy limit at 98\)"),
        ({"expiry": 0}, "expiry must be at least 1, was 0"),
        ({"hold": -1}, "hold must not be negative, was -1"),
        ({"hold": np.nan}, "'hold' must hold whole numbers"),
        ({"entry": "stop_limit", "price": 101.0}, "limit must be a positive number for a stop_limit, was nan"),
        ({"limit": 101.0}, "limit must be NaN for any order but a stop_limit, was 101"),
        (
            {"entry": "stop_limit", "price": 101.0, "limit": 99.0, "stop": 100.0},
            r"losing side of the entry, was 100 \(buy stop_limit at 99\)",
        ),
        ({"trail": 0.0}, "trail must be a positive log distance, or NaN for none, was 0"),
        ({"oco": -1}, "oco must not be negative, was -1"),
        ({"oco": 0.5}, "'oco' must hold whole numbers"),
        ({"reduce_only": True, "stop": 99.0}, "stop must be NaN for a reduce-only order, was 99"),
        ({"reduce_only": True, "trail": 0.1}, "trail must be NaN for a reduce-only order"),
        ({"reduce_only": True, "hold": 3}, "hold must be 0 for a reduce-only order, was 3"),
        (
            {"reduce_only": True, "entry": "stop_limit", "price": 101.0, "limit": 102.0},
            "reduce_only must be a market, limit or stop order, was 1",
        ),
        ({"size": [[1.0, 2.0], [1.0, -2.0]]}, r"plan row 1, leg 1: size must be a positive number, was -2"),
        ({"size": [[1.0, 2.0]], "group": [[1, 2], [1, 2]]}, "group must be the same for all legs, was 2"),
        ({"size": [[1.0, 2.0]], "price": [[np.nan] * 3]}, r"'price' has shape \(1, 3\).*one number of legs throughout"),
    ],
)
def test_a_wrong_plan_names_strategy_event_bar_and_time(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(StrategyError, match=message) as told:
        checked(Plan(**GOOD | wrong), EVENTS, "mine")
    assert str(told.value).startswith("strategy mine")
    if "plan row" in str(told.value) and wrong.get("side") is None:
        assert "ZoneEntry in bar 4 (1970-01-01T00:05:00Z), plan row 1" in str(told.value)


def test_rows_that_ask_for_nothing_may_hold_anything() -> None:
    asked = checked(Plan(0, size=np.nan, entry="limit", stop=-1.0, expiry=-3), EVENTS, "mine")
    assert asked.side.tolist() == [0, 0]


def test_an_event_kind_of_a_strange_number_is_no_kind() -> None:
    with pytest.raises(StrategyError, match=r"mine.*exit_on.*77"):
        checked(Plan(1, size=1.0, size_rule="units", exit_on=[77]), EVENTS, "mine")  # type: ignore[list-item]


LEVEL = st.one_of(st.just(np.nan), st.sampled_from([-1.0, 0.0, 98.0, 99, 100.0, np.float64(101.0), 102.0]))
COUNT = st.integers(-1, 3)
KINDS = st.sets(st.sampled_from(list(EventKind)))
ORDER = st.fixed_dictionaries(
    {"side": st.sampled_from([1, -1, 1.0, 0, 2]), "size": st.sampled_from([0.5, 2, 0.0, -1.0, np.nan, np.inf])},
    optional={
        "size_rule": st.sampled_from(SIZE_RULES),
        "entry": st.sampled_from(ENTRIES),
        "price": LEVEL,
        "limit": LEVEL,
        "stop": LEVEL,
        "target": LEVEL,
        "trail": st.sampled_from([np.nan, 0.01, 0.3, 0.0, -0.1, np.inf]),
        "expiry": COUNT,
        "hold": COUNT,
        "group": COUNT,
        "oco": COUNT,
        "cancel_on": KINDS,
        "exit_on": KINDS,
    },
)


@given(ORDER)
def test_the_short_way_for_one_order_agrees_with_the_long_one(order: dict[str, Any]) -> None:
    """It takes what the long way takes, with the same numbers, and refuses what that refuses."""
    last = EVENTS[1:]
    rest = {name: value for name, value in order.items() if name not in {"side", "size"}}
    short = one_order(order["side"], order["size"], rest, float(last.close[0]))
    plan = Plan(order["side"], size=order["size"], **rest)
    try:
        asked = checked(plan, last, "mine")
    except StrategyError:
        assert short is None
        return
    if order["side"] == 0:
        assert short is None
        return
    assert short is not None
    side, kind, price, limit, stop, target, trail, ratchet, size, rule, expiry, hold, group, slot, oco, *masks = short
    got = [side, kind, price, limit, stop, target, trail, size, rule, expiry, hold, group, oco, *masks]
    names = [name for name in Asked._fields if name != "legs"]
    np.testing.assert_array_equal(got, [getattr(asked, name)[0] for name in names])
    np.testing.assert_array_equal(ratchet, np.exp(-asked.side * asked.trail)[0])
    assert slot == 0


def test_what_the_short_way_leaves_to_the_long_one() -> None:
    fine: dict[str, Any] = {"size_rule": "units"}
    assert one_order(1, 1.0, fine, 100.0) is not None
    for odd in ({"reduce_only": True}, {"prices": 1.0}, {"stop": [99.0, 98.0]}, {"cancel_on": np.array([1])}):
        assert one_order(1, 1.0, fine | odd, 100.0) is None
    assert one_order([1, 1], 1.0, fine, 100.0) is None
    assert one_order(True, 1.0, fine, 100.0) is None


CODES = {"side": 2, "kind": 4, "size_rule": 4, "expiry": 2, "hold": 2, "group": 2, "oco": 2, "reduce_only": 2}


def random_asked(rng: Any, events: int, legs: int, faulty: float) -> Asked:
    """Return columns with some faults, some of them one value for all."""

    def column(name: str) -> Any:
        count = events * legs if name == "side" or rng.random() < 0.6 else 1
        if name == "side":
            return rng.choice([1, -1, 0], count)
        if name in CODES:
            values = rng.integers(0, CODES[name], count) + (name == "expiry")
            return np.where(rng.random(count) < faulty, values - 1, values) if name in {"expiry", "hold"} else values
        if name in {"cancel_on", "exit_on"}:
            return rng.integers(0, 8, count)
        level = rng.choice([98.0, 99.0, 100.0, 101.0, 102.0], count)
        return np.where(rng.random(count) < 0.7, np.nan, np.where(rng.random(count) < faulty, -1.0, level))

    return Asked(**{name: column(name) for name in Asked._fields if name != "legs"}, legs=legs)


@given(st.integers(0, 1_000_000), st.integers(1, 3), st.sampled_from([0.0, 0.3]))
def test_faults_of_random_plans_are_those_of_the_list(seed: int, legs: int, faulty: float) -> None:
    rng = np.random.default_rng(seed)
    asked = random_asked(rng, int(rng.integers(0, 6)), legs, faulty)
    rows = [
        dict(zip(Asked._fields, row, strict=False))
        for row in zip(*(c.tolist() for c in whole(asked)[:-1]), strict=True)
    ]
    closes = rng.choice([99.0, 100.0, 101.0], len(rows) // legs)
    fault, row = first_fault(asked, closes)
    expected = naive.first_fault(rows, legs, closes.tolist())
    assert expected == (None if fault < 0 else (*FAULTS[fault], row))


@given(st.integers(0, 1_000_000), st.integers(1, 3))
def test_orders_written_down_are_the_rows_that_ask(seed: int, legs: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 6))
    asked, events = random_asked(rng, count, legs, 0.0), np.sort(rng.integers(0, 9, count))
    if rng.random() < 0.3:
        rng.shuffle(events)
    ratchet, slot = rng.random(count * legs), rng.integers(0, 4, 1)
    signals, orders = records(kernel.SIGNAL_ROW, 9), records(kernel.ORDER_ROW, 2 + count * legs)
    signals.bar = np.arange(9) * 10
    floor, heard = int(rng.integers(0, 3)), int(rng.integers(7, 10))
    written = write_orders(asked, ratchet, slot, events, signals, floor, heard, orders, 2)
    full = whole(asked)
    lists = {name: getattr(full, name).tolist() for name in Asked._fields if name != "legs"}
    lists |= {"amount": lists.pop("size"), "ratchet": ratchet.tolist(), "slot": [int(slot[0])] * count * legs}
    expected = naive.orders(lists, legs, events.tolist(), signals.bar.tolist(), floor, heard, 2)
    assert written == (expected is not None)
    for row, order in zip(orders[2:], expected or [], strict=False):
        assert {name: repr(row[name].item()) for name in order} == {name: repr(value) for name, value in order.items()}
    assert not orders[2 + len(expected or []) :].tobytes().strip(b"\0")
