"""Measures by the map, and of costs, on trades that can be followed by hand."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forcedflow.record import Run, Table
from forcedflow.report.cost_measures import capacity, cost_measures, impact_at, slippage_saved
from forcedflow.report.map_measures import (
    EDGES,
    MapContext,
    fuel_ahead,
    liquidation_distance,
    map_measures,
    places,
    stopped_then_target,
)
from forcedflow.report.trade_measures import closed, edge_ratios
from forcedflow.tables import EVENT_COLUMNS, EVENT_INTS, FILLS, ORDERS, TRADES, Events, MapSnapshots
from generators import examples
from report.synthetic import table

WIDTH = 0.01


def bars(high: list[float], low: list[float]) -> Any:
    count = len(high)
    return {
        "high": np.array(high), "low": np.array(low), "close": (np.array(high) + np.array(low)) / 2,
        "atr": np.full(count, 0.01), "vol_long": np.full(count, 0.02), "volume_average": np.full(count, 100.0),
    }  # fmt: skip


def events(**columns: list[float]) -> Events:
    count = len(next(iter(columns.values())))
    empty = {name: np.full(count, 0 if name in EVENT_INTS else math.nan) for name in EVENT_COLUMNS}
    return Events(**(empty | {name: np.array(column) for name, column in columns.items()}))


def snapshots(bar: list[int], mass: Any, first: int) -> MapSnapshots:
    mass = np.array(mass, dtype=np.float32)
    return MapSnapshots(
        np.array(bar), np.array(bar), first + np.arange(mass.shape[2]), WIDTH, mass, np.full(len(bar), 1e4)
    )


NO_MAP = snapshots([], np.zeros((0, 4, 1)), 0)


# A long from 100 with its stop at 98 and target at 104; another event, another zone, for each of the four.
#   0: entry inside the event's zone 99 to 101, stop past its far edge
#   1: no zone at the entry, stop inside the nearest zone below, 97 to 99
#   2: a short mirrored on the log scale of case 1: stop 102 inside a zone above, 101 to 103
#   3: ordered without an event
CASES = table(
    TRADES,
    {
        "order_id": [0, 1, 2, 3], "side": [1, 1, -1, 1], "entry_price": [100.0] * 4, "stop": [98.0, 98.0, 102.0, 98.0],
        "target": [104.0, 104.0, 96.0, 104.0], "exit_reason": ["stop", "target", "stop", "stop"],
        "r": [-1.0, 2.0, -1.0, -1.0], "mae_r": [-1.0, -0.5, -1.0, -1.0], "bars_held": [1, 1, 1, 1],
        "entry_bar": [0, 0, 0, 0], "exit_bar": [1, 1, 1, 1],
    },
)  # fmt: skip
CONTEXT = MapContext(
    table(ORDERS, {"order_id": [0, 1, 2, 3], "event": [0, 1, 2, -1]}),
    events(
        near=[101.0, math.nan, math.nan], far=[99.0, math.nan, math.nan],
        below_near=[math.nan, 99.0, math.nan], below_far=[math.nan, 97.0, math.nan],
        above_near=[math.nan, math.nan, 101.0], above_far=[math.nan, math.nan, 103.0],
    ),
    bars([101.0, 101.0, 101.0], [99.0, 99.0, 99.0]),
    NO_MAP,
)  # fmt: skip


def test_places_by_hand() -> None:
    edges = {name: getattr(CONTEXT.events, name) for name in EDGES}
    where = places(CASES, CONTEXT.orders, [edges])
    assert where.known.tolist() == [True, True, True, False]
    assert where.entry_inside.tolist() == [True, False, False, False]
    assert where.stop_inside.tolist() == [False, True, True, False]
    assert where.stop_beyond.tolist() == [True, False, False, False]


def test_shares_by_hand() -> None:
    found = map_measures(CASES, CONTEXT)
    assert found["stopped"] == 0.75
    assert (found["stops_inside"], found["stops_beyond"]) == pytest.approx((2 / 3, 1 / 3))
    assert (found["stopped_inside"], found["stopped_beyond"]) == (0.5, 1.0)
    assert (found["entries_inside"], found["r_inside"], found["r_outside"]) == pytest.approx((1 / 3, -1.0, 0.5))
    assert (found["mae_inside"], found["mae_outside"]) == (-1.0, -0.75)
    assert math.isnan(found["opposing_fuel"])


def stopped(high: list[float], low: list[float], side: int = 1, held: int = 10) -> tuple[float, float]:
    """A trade from 100 that was stopped in bar 0 two points away, its target four points on the other side."""
    trade = table(
        TRADES,
        {
            "side": [side], "entry_price": [100.0], "stop": [100.0 - 2 * side], "target": [100.0 + 4 * side],
            "exit_bar": [0], "exit_reason": ["stop"], "bars_held": [held],
        },
    )  # fmt: skip
    return _stopped_then_target(trade, bars(high, low))


def _stopped_then_target(trades: Table, market: Table) -> tuple[float, float]:
    return stopped_then_target(trades, closed(trades), trades["exit_reason"] == "stop", [market])


@pytest.mark.parametrize(
    ("high", "low", "share"),
    [
        ([104, 101, 104], [97, 97, 99], 1.0),  # the exit bar's own high does not count; the target trades in bar 2
        ([99, 101, 104], [97, 96, 99], 0.0),  # as far again beyond the stop first, in bar 1
        ([99, 104, 104], [97, 96, 99], 0.0),  # both in one bar: undecided, against
        ([99, 101, 103], [97, 97, 99], 0.0),  # neither
    ],
)
def test_stopped_and_then(high: list[float], low: list[float], share: float) -> None:
    assert stopped(high, low) == (share, 0.25)  # 2 / (2 + 6)
    flipped = stopped([200 - x for x in low], [200 - x for x in high], side=-1)
    assert flipped == (share, 0.25)


def test_stopped_and_then_ends_with_the_longest_trade() -> None:
    assert stopped([99, 101, 101, 104], [97, 97, 97, 99], held=2)[0] == 0.0
    assert stopped([99, 101, 101, 104], [97, 97, 97, 99], held=3)[0] == 1.0
    nothing = table(TRADES, {"exit_reason": ["target"], "target": [1.0], "bars_held": [1]})
    assert np.isnan(_stopped_then_target(nothing, bars([1.0], [1.0]))).all()


def test_chance_of_stopped_and_then_is_what_a_random_walk_does() -> None:
    rng = np.random.default_rng(2)
    reached = []
    for _ in range(4000):
        path = 98.0 + np.cumsum(rng.choice([-0.25, 0.25], 4000))
        up, down = np.argmax(path >= 104.0), np.argmax(path <= 96.0)
        reached.append(path[up] >= 104.0 and (path[down] > 96.0 or up < down))
    assert np.mean(reached) == pytest.approx(stopped([99, 99], [98, 98])[1], abs=0.02)


def test_fuel_by_hand() -> None:
    """Bins of 1%: price in bin 0; longs' stops 2 below it, shorts' 3 above; 100 a bar of volume."""
    mass = np.zeros((2, 4, 11))
    mass[:, 0, 3] = 40.0  # long liquidations in bin -2
    mass[:, 2, 3] = 10.0  # stops of longs, there too
    mass[:, 1, 8] = 30.0  # short liquidations in bin 3
    mass[1, 0, 0] = 500.0  # bin -5: beyond the stop
    shots = snapshots([0, 2], mass, -5)
    market = bars([1.001] * 4, [0.999] * 4)
    trade = table(
        TRADES,
        {"side": [1], "entry_bar": [1], "exit_bar": [3], "stop": [math.exp(-0.04)], "target": [math.exp(0.05)]},
    )
    context = MapContext(CONTEXT.orders, CONTEXT.events, market, shots)
    assert fuel_ahead(trade, context) == pytest.approx((0.5, 0.3))
    short = trade | {"side": np.array([-1]), "stop": trade["target"], "target": trade["stop"]}
    assert fuel_ahead(short, context) == pytest.approx((0.3, 0.5))
    late = trade | {"entry_bar": np.array([3]), "exit_bar": np.array([3])}  # the last picture before the entry
    assert fuel_ahead(late, context)[0] == pytest.approx(0.5)
    assert np.isnan(fuel_ahead(trade | {"stop": np.array([math.nan])}, context)[0])


def test_the_edge_ratio_by_hand() -> None:
    trade = table(TRADES, {"side": [1, -1], "entry_bar": [0, 1], "entry_price": [100.0, 100.0]})
    market = bars([150, 103, 102, 101], [50, 99, 98, 97])
    # two bars on: the long saw 103 and 98; the short (bars 2 and 3) 97 and 102; the entry bar's 150 and 50 are not seen
    found = edge_ratios(trade, [market], (2, 3, 4))
    assert found["edge_ratio_2"] == pytest.approx((3 + 3) / (2 + 2))
    assert found["edge_ratio_3"] == pytest.approx(3 / 3)  # the short has no third bar
    assert math.isnan(found["edge_ratio_4"])


@examples(100)
@given(st.integers(0, 100_000), st.integers(2, 400), st.integers(0, 40))
def test_measures_of_bars_in_parts_are_those_of_the_whole(seed: int, count: int, many: int) -> None:
    rng = np.random.default_rng(seed)
    path = 100.0 + np.cumsum(rng.normal(0.0, 0.3, count))
    market = bars((path + rng.random(count)).tolist(), (path - rng.random(count)).tolist())
    market["atr"] = np.where(rng.random(count) < 0.1, 0.0, 0.01 * rng.random(count))
    entry, side, risk = np.sort(rng.integers(0, count, many)), rng.choice([-1, 1], many), rng.random(many)
    left, price = np.minimum(entry + rng.integers(0, 90, many), count - 1), path[entry]
    reasons = rng.choice(["stop", "target", "open"], many).astype("U6")
    given = {"side": side, "entry_bar": entry, "exit_bar": left, "bars_held": left - entry, "exit_reason": reasons}
    prices = {"entry_price": price, "stop": price - side * risk, "target": price + 2 * side * risk}
    trades = table(TRADES, {"order_id": np.arange(many)[::-1], **given, **prices})
    edges = {name: rng.choice([np.nan, *path], 50) for name in EDGES}
    orders = table(ORDERS, {"event": rng.integers(-1, 50, many)})
    ended, out = closed(trades) | (left == left.max(initial=0)), reasons == "stop"

    def measured(cuts: Any) -> list[str]:
        """Cut the bars, and the events likewise."""
        parts = [{name: column[a:b] for name, column in market.items()} for a, b in pairwise((0, *cuts, count))]
        events = [{n: c[a:b] for n, c in edges.items()} for a, b in pairwise((0, *np.sort(cuts % 50), 50))]
        where = places(trades, orders, events)
        masks = (where.known, where.entry_inside, where.stop_inside, where.stop_beyond)
        after = stopped_then_target(trades, ended, out, parts) if ended.any() else None
        return [repr(edge_ratios(trades, parts, (1, 3, 48))), repr(after), repr([mask.tolist() for mask in masks])]

    assert measured(np.sort(rng.integers(0, count, rng.integers(1, 9)))) == measured(np.zeros(0, np.int64))


def test_capacity_by_hand() -> None:
    trades = table(TRADES, {"net": [30.0], "gross": [40.0]})
    fills = table(FILLS, {"qty": [4.0, 4.0], "price": [100.0, 100.0], "bar": [0, 1], "impact_cost": [1.0, 1.0]})
    # sqrt(4 / 100) of 2% volatility on a notional of 400 is 1.6, twice; (30 + 2) / 3.2 = 10
    impacts = impact_at(fills, bars([1.0, 1.0], [1.0, 1.0]))
    assert capacity(trades, fills, impacts) == pytest.approx(100.0)
    lost = trades | {"net": np.array([-30.0])}
    assert capacity(lost, fills, impacts) == 0.0


def test_the_bridge_adds_up(run: Run) -> None:
    card = run.scorecard
    assert card["gross"] - card["fees"] - card["spread"] - card["impact"] == pytest.approx(card["net"])
    assert card["break_even_bps"] - card["cost_bps"] == pytest.approx(1e4 * card["net"] / (card["turnover"] * 1e5))
    assert card["funding"] == card["liquidation"] == 0.0
    assert card["liquidation_distance"] is None


def test_columns_to_come_are_read() -> None:
    """Funding is received, negative where paid; an own liquidation's fee is a cost of its own."""
    trades = table(TRADES, {"gross": [10.0], "net": [4.0]}) | {"funding": np.array([-1.5])}
    fills = table(
        FILLS, {"qty": [0.5, 0.5], "price": [100.0, 100.0], "fee": [4.25, 0.25], "reason": ["entry", "liquidation"]}
    ) | {"shortfall": np.zeros(2)}
    found = cost_measures(trades, fills, fills["reason"] == "liquidation", 50.0)
    assert (found["fees"], found["funding"], found["liquidation"]) == (4.25, 1.5, 0.25)
    assert found["gross"] - found["fees"] - found["funding"] - found["liquidation"] == found["net"]
    assert (found["turnover"], found["cost_bps"], found["break_even_bps"]) == (2.0, 600.0, 1000.0)


def test_the_distance_from_the_own_liquidation_by_hand() -> None:
    """A long that would be liquidated at 90, then a short at 110: the bar after each close counts."""
    market = bars([100.0, 100.0, 100.0, 108.0], [100.0, 95.0, 100.0, 100.0])
    level = np.array([90.0, np.nan, 110.0, 110.0])
    equity = {"bar": np.arange(4), "liquidation": level}
    assert liquidation_distance(equity, market) == pytest.approx(math.log(110 / 108) / 0.01)
    level[2] = np.nan
    assert liquidation_distance(equity, market) == pytest.approx(math.log(95 / 90) / 0.01)
    level[0] = 97.0  # price went through it: no distance is left
    assert liquidation_distance(equity, market) == 0.0
    assert math.isnan(liquidation_distance(equity | {"liquidation": np.full(4, np.nan)}, market))


def test_slippage_saved_by_hand() -> None:
    fills = table(FILLS, {"qty": [4.0, 4.0, 4.0], "forced_qty": [3.0, 0.0, 4.0], "impact_cost": [1.0, 1.0, 0.0]})
    assert slippage_saved(fills) == pytest.approx(7.0)  # 4 ** 1.5 - 1 on the first; the others paid all or nothing
