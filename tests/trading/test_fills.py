"""Every fill rule on a hand-made tape, bought and, mirrored about 100, sold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from forcedflow.settings import AccountSettings
from forcedflow.tables import EventKind
from forcedflow.trading.account import Account
from forcedflow.trading.ledger import Trading
from forcedflow.trading.orders import Policy
from trading.market import make_bars, make_events

FREE = AccountSettings(maker_fee=0, taker_fee=0, half_spread_bps=0, max_leverage=1000)
FLAT = (100.0, 100.0, 100.0, 100.0)
Row = tuple[float, float, float, float]


def trade_one(side: int, rows: list[Row], order: dict[str, Any], settings: AccountSettings = FREE) -> Trading:
    """Place one order of one unit at the close (100) of bar 0; for a sale, all prices are mirrored about 100."""
    if side < 0:
        rows = [(200 - o, 200 - low, 200 - high, 200 - c) for o, high, low, c in rows]
        order = {k: 200 - v if k in {"price", "stop", "target"} else v for k, v in order.items()}
    bars = make_bars([FLAT, *rows])
    account = Account(bars, settings, Policy())
    account.observe(make_events(bars, [(0, EventKind.ZONE_NEAR, side, 1)]))
    account.submit(side, size=1.0, size_rule="units", **order)
    account.advance(len(rows))
    return account.result()


def told(side: int, trading: Trading) -> list[tuple[str, int, float, str]]:
    """Tell the fills as (reason, bar, price as for a buyer, liquidity)."""
    fills = trading.fills
    prices = fills["price"] if side > 0 else 200 - fills["price"]
    return list(
        zip(fills["reason"].tolist(), fills["bar"].tolist(), prices.tolist(), fills["liquidity"].tolist(), strict=True)
    )


MARKET = {"entry": "market"}
LIMIT = {"entry": "limit", "price": 98.0, "expiry": 2}
STOP = {"entry": "stop", "price": 102.0, "expiry": 2}
BRACKET = {"entry": "market", "stop": 97.0, "target": 104.0}
UP: Row = (100, 101, 100, 101)

RULES: dict[str, tuple[list[Row], dict[str, Any], list[tuple[str, int, float, str]]]] = {
    "a market order fills at the next open, gap or not": ([(101, 102, 99, 100)], MARKET, [("entry", 1, 101, "taker")]),
    "a limit fills at its price once traded through": ([(100, 101, 97, 99)], LIMIT, [("entry", 1, 98, "maker")]),
    "a limit that is only touched does not fill": ([(100, 101, 98, 99)], LIMIT, []),
    "a limit that the open has passed fills at the open": ([(96, 99, 95, 99)], LIMIT, [("entry", 1, 96, "taker")]),
    "a limit at the open fills there": ([(98, 99, 98, 99)], LIMIT, [("entry", 1, 98, "taker")]),
    "a limit is good for its last bar": ([UP, (100, 100, 97, 98)], LIMIT, [("entry", 2, 98, "maker")]),
    "and no longer": ([UP, UP, (100, 100, 97, 98)], LIMIT, []),
    "a stop order fills at its price when touched": ([(100, 102, 99, 101)], STOP, [("entry", 1, 102, "taker")]),
    "a stop order that the open has passed fills at the open": (
        [(103, 104, 99, 101)],
        STOP,
        [("entry", 1, 103, "taker")],
    ),
    "a stop fills at its price when touched": (
        [UP, (100, 101, 97, 99)],
        BRACKET,
        [("entry", 1, 100, "taker"), ("stop", 2, 97, "taker")],
    ),
    "a gap through the stop fills at the open": (
        [UP, (95, 105, 94, 99)],
        BRACKET,
        [("entry", 1, 100, "taker"), ("stop", 2, 95, "taker")],
    ),
    "a target that is only touched does not fill": (
        [UP, (100, 104, 99, 103)],
        BRACKET,
        [("entry", 1, 100, "taker")],
    ),
    "a target fills at its price once traded through": (
        [UP, (100, 104.5, 99, 103)],
        BRACKET,
        [("entry", 1, 100, "taker"), ("target", 2, 104, "maker")],
    ),
    "a gap through the target fills at the open": (
        [UP, (105, 106, 90, 91)],
        BRACKET,
        [("entry", 1, 100, "taker"), ("target", 2, 105, "taker")],
    ),
    "stop and target in one bar: the stop": (
        [UP, (100, 106, 96, 100)],
        BRACKET,
        [("entry", 1, 100, "taker"), ("stop", 2, 97, "taker")],
    ),
    "the entry bar's stop counts after a market entry": (
        [(100, 101, 97, 99)],
        BRACKET,
        [("entry", 1, 100, "taker"), ("stop", 1, 97, "taker")],
    ),
    "so does its target": (
        [(100, 105, 99, 101)],
        BRACKET,
        [("entry", 1, 100, "taker"), ("target", 1, 104, "maker")],
    ),
    "an entry at an open beyond the stop leaves at that open": (
        [(96, 99, 95, 98)],
        BRACKET,
        [("entry", 1, 96, "taker"), ("stop", 1, 96, "taker")],
    ),
    "the entry bar's stop counts after a limit inside the bar": (
        [(100, 101, 96, 99)],
        LIMIT | {"stop": 96.0},
        [("entry", 1, 98, "maker"), ("stop", 1, 96, "taker")],
    ),
    "a target touched before the limit's entry would be a gift": (
        [(100, 103, 97, 99)],
        LIMIT | {"target": 100.0},
        [("entry", 1, 98, "maker")],
    ),
    "a close beyond the target proves that it was reached after": (
        [(100, 103, 97, 101)],
        LIMIT | {"target": 100.0},
        [("entry", 1, 98, "maker"), ("target", 1, 100, "maker")],
    ),
    "a limit filled at the open sees the whole bar": (
        [(97, 103, 96, 97)],
        LIMIT | {"target": 100.0},
        [("entry", 1, 97, "taker"), ("target", 1, 100, "maker")],
    ),
    "after a stop entry inside the bar the stop counts": (
        [(100, 102, 98, 101)],
        STOP | {"stop": 98.0},
        [("entry", 1, 102, "taker"), ("stop", 1, 98, "taker")],
    ),
    "and the target": (
        [(100, 106, 99, 101)],
        STOP | {"target": 105.0},
        [("entry", 1, 102, "taker"), ("target", 1, 105, "maker")],
    ),
    "hold: two bars, out at the open of the third": (
        [UP, UP, (103, 103, 103, 103)],
        MARKET | {"hold": 2},
        [("entry", 1, 100, "taker"), ("hold", 3, 103, "taker")],
    ),
}


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("rule", RULES)
def test_fill_rule(rule: str, side: int) -> None:
    rows, order, expected = RULES[rule]
    assert told(side, trade_one(side, rows, order)) == expected


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("rows", "order"),
    [
        ([UP, (100, 106, 96, 100)], BRACKET),
        ([(100, 106, 96, 100)], BRACKET),
        ([(100, 106, 96, 105)], LIMIT | {"stop": 97.0, "target": 104.0}),
        ([(100, 106, 96, 100)], STOP | {"stop": 97.0, "target": 104.0}),
    ],
)
def test_ambiguous_bars_are_counted_and_resolved_by_intrabar(side: int, rows: list[Row], order: dict[str, Any]) -> None:
    worst = trade_one(side, rows, order)
    kind = trade_one(side, rows, order, FREE.model_copy(update={"intrabar": "target_first"}))
    for trading, reason in ((worst, "stop"), (kind, "target")):
        assert trading.ambiguous_bars == 1
        assert trading.trades["ambiguous"].tolist() == [True]
        assert trading.trades["exit_reason"].tolist() == [reason]


@pytest.mark.parametrize("row", [(95, 106, 94, 100), (105, 106, 94, 100)])
def test_a_bar_that_the_open_decides_is_not_ambiguous(row: Row) -> None:
    assert trade_one(1, [UP, row], BRACKET).ambiguous_bars == 0


def test_costs_of_a_round_trip() -> None:
    costly = AccountSettings(maker_fee=0.0002, taker_fee=0.001, half_spread_bps=10, max_leverage=1000)
    trading = trade_one(1, [UP, (100, 105, 99, 104)], BRACKET, costly)
    bought = 100 * 1.001
    entry_fee, exit_fee = bought * 0.001, 104 * 0.0002
    assert trading.fills["price"].tolist() == pytest.approx([bought, 104])
    assert trading.fills["fee"].tolist() == pytest.approx([entry_fee, exit_fee])
    assert trading.fills["spread_cost"].tolist() == pytest.approx([0.1, 0])
    assert trading.trades["gross"][0] == pytest.approx(4)
    assert trading.trades["costs"][0] == pytest.approx(0.1 + entry_fee + exit_fee)
    assert trading.trades["net"][0] == pytest.approx(4 - 0.1 - entry_fee - exit_fee)
    assert trading.equity["equity"][-1] == pytest.approx(100_000 + trading.trades["net"][0])


def test_many_trades_cost_many_times() -> None:
    """T12: N trades cost N times what one costs."""
    rows, n = [FLAT] * 41, 20
    bars = make_bars(rows)
    account = Account(bars, AccountSettings(taker_fee=0.001, half_spread_bps=10, max_leverage=1000), Policy())
    for bar in range(0, 2 * n, 2):
        account.observe(make_events(bars, [(bar, EventKind.ZONE_NEAR, 1, bar)]))
        account.submit(1, size=1.0, size_rule="units", hold=1)
    account.advance(40)
    costs = account.result().trades["costs"]
    assert len(costs) == n
    one = 100 * 0.001 * 2 + 0.001 * (100.1 + 99.9)
    assert costs == pytest.approx(np.full(n, one))
    assert account.equity == pytest.approx(100_000 - n * one)


@pytest.mark.parametrize(
    ("rule", "amount", "qty"), [("units", 3, 3), ("notional", 500, 5), ("equity", 0.5, 500), ("risk", 0.01, 500)]
)
def test_sizes(rule: str, amount: float, qty: float) -> None:
    bars = make_bars([FLAT, UP, UP])
    account = Account(bars, FREE, Policy())
    account.observe(make_events(bars, [(0, EventKind.ZONE_NEAR, 1, 1)]))
    account.submit(1, size=amount, size_rule=rule, stop=98.0)
    account.advance(2)
    assert account.position == pytest.approx(qty)
    assert account.open_trades[0].qty == pytest.approx(qty)


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("rows", "order", "mae", "mfe"),
    [
        # held bars count whole, the bar left by a target only up to it
        ([UP, (100, 103, 98, 100), (100, 106, 99, 100)], BRACKET, -2 / 3, 4 / 3),
        # the bar left by a stop: its low is the stop, its high may have come after
        ([UP, (100, 103.5, 95, 96)], BRACKET, -1, 1 / 3),
        # left at the open: the rest of that bar is somebody else's
        ([UP, (95, 120, 80, 95)], BRACKET, -5 / 3, 1 / 3),
        # entered by a limit inside the bar: its high may have come before, its close did not
        ([(100, 103, 97, 99), (99, 99, 99, 99)], LIMIT | {"stop": 96.0}, -1 / 2, 1 / 2),
        # entered by a stop inside the bar: its low may have come after, its high did
        ([(100, 105, 99, 103), (103, 103, 103, 103)], STOP | {"stop": 98.0}, -3 / 4, 3 / 4),
    ],
)
def test_excursions(side: int, rows: list[Row], order: dict[str, Any], mae: float, mfe: float) -> None:
    trades = trade_one(side, rows, order).trades
    assert trades["mae_r"].tolist() == pytest.approx([mae])
    assert trades["mfe_r"].tolist() == pytest.approx([mfe])


def test_the_adverse_excursion_ends_at_the_stop_that_did_not_fill() -> None:
    kind = FREE.model_copy(update={"intrabar": "target_first"})
    assert trade_one(1, [UP, (100, 106, 90, 100)], BRACKET, kind).trades["mae_r"].tolist() == [-1]


def test_a_position_open_at_the_end_is_marked_not_closed() -> None:
    trading = trade_one(1, [UP, (101, 103, 101, 102)], BRACKET)
    assert trading.trades["exit_reason"].tolist() == ["open"]
    assert trading.trades["exit_price"].tolist() == [102]
    assert trading.trades["net"].tolist() == [2]
    assert trading.fills["reason"].tolist() == ["entry"]
    assert trading.equity["equity"].tolist() == [100_000, 100_001, 100_002]
