"""The account against its naive twin, and what must hold of any account."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forcedflow.data.bars import Bars
from forcedflow.errors import AccountError
from forcedflow.kernels.account import CONFLICTS
from forcedflow.settings import AccountSettings
from forcedflow.tables import EQUITY, FILLS, ORDERS, TRADES, EventKind, Events
from forcedflow.trading.account import Account
from forcedflow.trading.desk import react, trade
from forcedflow.trading.ledger import Trading
from forcedflow.trading.orders import ENTRIES, SIZE_RULES, Policy
from forcedflow.trading.strategy import ask
from naive.account import Ledger
from trading.market import FromColumns, events_of, make_bars, make_events, random_market

SEEDS = st.integers(0, 2**32 - 1)
FREE = AccountSettings(cash=1e9, maker_fee=0, taker_fee=0, half_spread_bps=0)


def random_strategy(rng: np.random.Generator) -> FromColumns:
    return FromColumns(
        conflict=rng.choice(CONFLICTS).item(),
        max_open=int(rng.integers(1, 4)),
        cooldown=int(rng.integers(0, 4)),
        once_per_group=bool(rng.integers(2)),
    )


def random_settings(rng: np.random.Generator) -> AccountSettings:
    """Draw costs; little cash, so that leverage and ruin bind in some cases."""
    return AccountSettings(
        cash=rng.choice([20.0, 200.0, 1000.0, 20_000.0]).item(),
        maker_fee=rng.choice([-0.0001, 0.0, 0.0002]).item(),
        taker_fee=rng.choice([0.0, 0.0005, 0.01]).item(),
        half_spread_bps=rng.choice([0.0, 3.0, 50.0]).item(),
        max_leverage=rng.choice([1.0, 5.0, 80.0]).item(),
        intrabar=rng.choice(["worst", "target_first"]).item(),
    )


def asked_rows(strategy: FromColumns, events: Events) -> list[dict[str, Any]]:
    """Return what the strategy asks for, as the naive ledger takes it."""
    asked = ask(strategy, events)
    return [
        {
            "event": row,
            "side": int(asked.side[row]),
            "kind": ENTRIES[asked.kind[row]],
            "price": float(asked.price[row]),
            "stop": float(asked.stop[row]),
            "target": float(asked.target[row]),
            "size": float(asked.size[row]),
            "size_rule": SIZE_RULES[asked.size_rule[row]],
            "expiry": int(asked.expiry[row]),
            "hold": int(asked.hold[row]),
            "group": int(asked.group[row]),
            "cancel_on": [kind for kind in EventKind if asked.cancel_on[row] >> kind & 1],
            "exit_on": [kind for kind in EventKind if asked.exit_on[row] >> kind & 1],
        }
        for row in range(len(events))
        if asked.side[row] and events.kind[row] in strategy.listens
    ]


def naive_ledger(bars: Bars, events: Events, asked: list[dict[str, Any]], rules: dict[str, Any]) -> Ledger:
    ledger = Ledger(**rules)
    rows = list(zip(bars.open.tolist(), bars.high.tolist(), bars.low.tolist(), bars.close.tolist(), strict=True))
    ledger.run(rows, list(zip(events.bar.tolist(), events.kind.tolist(), events.group.tolist(), strict=True)), asked)
    return ledger


def rules_of(settings: AccountSettings, policy: Policy) -> dict[str, Any]:
    costs = settings.model_dump()
    return costs | {"half_spread": costs.pop("half_spread_bps") * 1e-4} | policy.model_dump()


def assert_same(a: Trading, b: Trading) -> None:
    for table in ("orders", "fills", "trades", "equity"):
        left, right = getattr(a, table), getattr(b, table)
        for name in left:
            np.testing.assert_array_equal(left[name], right[name], err_msg=f"{table}.{name}")
    assert a.ambiguous_bars == b.ambiguous_bars


def assert_ledger(trading: Trading, ledger: Ledger) -> None:
    for column in ("order_id", "bar", "side", "qty", "price", "reason", "liquidity", "fee", "spread_cost"):
        assert trading.fills[column].tolist() == [fill[column] for fill in ledger.fills], column
    for column in ("status", "reason", "status_bar", "qty", "side", "event"):
        assert trading.orders[column].tolist() == [order[column] for order in ledger.orders], column
    books = np.column_stack([trading.equity[column] for column in ("cash", "position", "equity")])
    assert books.tolist() == [list(row) for row in ledger.equity]
    assert trading.trades["ambiguous"].sum() == sum(fill["ambiguous"] for fill in ledger.fills)


@given(SEEDS)
def test_agrees_exactly_with_the_naive_ledger(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bars, events = random_market(seed)
    strategy, settings = random_strategy(rng), random_settings(rng)
    ledger = naive_ledger(bars, events, asked_rows(strategy, events), rules_of(settings, strategy))
    assert_ledger(trade(bars, events, strategy, settings), ledger)


def test_the_random_cases_meet_every_rule() -> None:
    seen: dict[str, set[str]] = {"orders": set(), "fills": set()}
    ambiguous = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        bars, events = random_market(seed)
        trading = trade(bars, events, random_strategy(rng), random_settings(rng))
        seen["orders"] |= set(trading.orders["reason"].tolist())
        seen["fills"] |= set(trading.fills["reason"].tolist())
        ambiguous += trading.ambiguous_bars
    assert seen["fills"] == {"entry", "stop", "target", "hold", "exit_on", "replace", "reverse"}
    assert {"expiry", "cancel_on", "replace", "reverse", "conflict", "max_open"} <= seen["orders"]
    assert {"cooldown", "group", "leverage", "equity"} <= seen["orders"]
    assert ambiguous > 10


@given(SEEDS)
def test_event_by_event_is_the_whole_tape_to_the_bit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bars, events = random_market(seed)
    strategy, settings = random_strategy(rng), random_settings(rng)
    account = Account(bars, settings, strategy)
    row = 0
    while row < len(events):
        block = int(rng.integers(1, 4))
        react(strategy, events[row : row + block], None, account)
        row += block
        if rng.integers(2):
            assert np.isfinite(account.equity)  # reading lets bars be traded: it must not matter when
    account.advance(len(bars.close) - 1)
    assert_same(account.result(), trade(bars, events, strategy, settings))


@given(SEEDS, st.integers(1, 59))
def test_a_prefix_of_the_bars_gives_a_prefix_of_the_result(seed: int, length: int) -> None:
    rng = np.random.default_rng(seed)
    bars, events = random_market(seed)
    strategy, settings = random_strategy(rng), random_settings(rng)
    whole = trade(bars, events, strategy, settings)
    rows = list(zip(bars.open, bars.high, bars.low, bars.close, strict=True))[:length]
    part = trade(make_bars(rows), events[events.bar < length], strategy, settings)
    for table in ("fills", "equity"):
        kept = getattr(whole, table)["bar"] < length
        for name, column in getattr(part, table).items():
            np.testing.assert_array_equal(column, getattr(whole, table)[name][kept], err_msg=f"{table}.{name}")
    placed = whole.orders["bar"] < length
    for name in ("qty", "side", "bar", "price"):
        np.testing.assert_array_equal(part.orders[name], whole.orders[name][placed])


@given(SEEDS)
def test_the_accounts_add_up_at_every_bar(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bars, events = random_market(seed)
    strategy, settings = random_strategy(rng), random_settings(rng)
    equity = trade(bars, events, strategy, settings).equity
    np.testing.assert_allclose(equity["cash"] + equity["position"] * equity["close"], equity["equity"], rtol=1e-12)
    account = Account(bars, settings, strategy)
    for bar in range(len(bars.close)):
        account.advance(bar)
        react(strategy, events[events.bar == bar], None, account)
        trades = account.result().trades
        assert account.equity == equity["equity"][bar]
        assert account.equity - settings.cash == pytest.approx(trades["net"].sum(), rel=1e-9, abs=1e-9 * settings.cash)
        signed = trades["side"] * trades["qty"] * (trades["exit_reason"] == "open")
        assert account.position == pytest.approx(signed.sum(), abs=1e-9)


@given(SEEDS)
def test_mirrored_prices_give_the_mirrored_account(seed: int) -> None:
    """Costs are shares of price and break the symmetry of p -> 400 - p, so there are none; the grid makes it exact."""
    rng = np.random.default_rng(seed)
    bars, events = random_market(seed)
    strategy = random_strategy(rng)
    units = np.zeros(len(events))
    columns = {"coverage": events.coverage, "above_mass": events.above_mass, "age": events.age, "fuel": events.fuel}
    columns |= {"above_near": events.above_near, "above_far": events.above_far, "below_mass": units}
    columns["mass_before"] = np.ones(len(events))

    def made(market: Bars, sides: np.ndarray[Any, Any], **levels: Any) -> Trading:
        rows = list(zip(events.bar, [EventKind(k) for k in events.kind], sides, events.group, strict=True))
        return trade(market, make_events(market, rows, **columns, **levels), strategy, FREE)

    flipped = make_bars(list(zip(400 - bars.open, 400 - bars.low, 400 - bars.high, 400 - bars.close, strict=True)))
    here = made(bars, events.side, near=events.near, far=events.far, peak=events.peak)
    there = made(flipped, -events.side, near=400 - events.near, far=400 - events.far, peak=400 - events.peak)
    for name in ("order_id", "bar", "reason", "liquidity", "qty"):
        np.testing.assert_array_equal(here.fills[name], there.fills[name])
    np.testing.assert_array_equal(here.fills["price"], 400 - there.fills["price"])
    for name in ("net", "r", "mae_r", "mfe_r", "exit_reason"):
        np.testing.assert_array_equal(here.trades[name], there.trades[name])
    np.testing.assert_array_equal(here.equity["equity"], there.equity["equity"])


@given(SEEDS, st.sampled_from(["maker_fee", "taker_fee", "half_spread_bps"]))
def test_more_cost_never_raises_equity(seed: int, cost: str) -> None:
    bars, events = units_only(seed)
    strategy = random_strategy(np.random.default_rng(seed))
    cheap = trade(bars, events, strategy, FREE).equity["equity"]
    dear = trade(bars, events, strategy, FREE.model_copy(update={cost: 0.01})).equity["equity"]
    assert np.all(dear <= cheap)


@given(SEEDS)
def test_half_the_size_is_half_the_result(seed: int) -> None:
    settings = AccountSettings(cash=1e9)
    strategy = random_strategy(np.random.default_rng(seed))
    whole = trade(*units_only(seed, 2.0), strategy, settings).trades
    half = trade(*units_only(seed, 1.0), strategy, settings).trades
    np.testing.assert_array_equal(whole["net"], 2 * half["net"])
    np.testing.assert_array_equal(whole["r"], half["r"])


def units_only(seed: int, size: float = 1.0) -> tuple[Bars, Events]:
    """Make a random market whose orders do not depend on equity."""
    bars, events = random_market(seed)
    ints = np.column_stack([events.bar, events.ts, events.kind, events.side, events.group])
    floats = np.column_stack([getattr(events, name) for name in Events.__slots__[6:]])
    floats[:, Events.__slots__.index("below_mass") - 6] = SIZE_RULES.index("units")
    floats[:, Events.__slots__.index("mass_before") - 6] = size
    return bars, events_of(ints, floats)


@given(SEEDS)
def test_excursions_bound_the_result_and_end_with_the_trade(seed: int) -> None:
    bars, events = random_market(seed)
    trading = trade(bars, events, random_strategy(np.random.default_rng(seed)), FREE)
    trades = {name: column[~np.isnan(trading.trades["r"])] for name, column in trading.trades.items()}
    orders = {name: column[trades["order_id"]] for name, column in trading.orders.items()}
    risk = np.abs(np.where(orders["kind"] == "market", bars.close[orders["bar"]], orders["price"]) - orders["stop"])
    worst, best = trades["mae_r"] * risk, trades["mfe_r"] * risk
    move = trades["side"] * (trades["exit_price"] - trades["entry_price"])
    assert np.all(worst <= np.minimum(move, 0) + 1e-9)
    assert np.all(best >= np.maximum(move, 0) - 1e-9)
    for row, (first, last) in enumerate(zip(trades["entry_bar"], trades["exit_bar"], strict=True)):
        up = bars.high[first : last + 1].max() - trades["entry_price"][row]
        down = bars.low[first : last + 1].min() - trades["entry_price"][row]
        against, favour = (down, up) if trades["side"][row] > 0 else (-up, -down)
        assert worst[row] >= min(against, 0) - 1e-9
        assert best[row] <= max(favour, 0) + 1e-9


def test_tables_have_the_columns_and_types_of_the_schemas() -> None:
    trading = trade(*random_market(1), FromColumns(), FREE)
    for table, schema in (
        (trading.orders, ORDERS),
        (trading.fills, FILLS),
        (trading.trades, TRADES),
        (trading.equity, EQUITY),
    ):
        assert list(table) == list(schema)
        for name, dtype in schema.items():
            assert (table[name].dtype.kind == "U") if dtype == "str" else (table[name].dtype == dtype), name
        assert len({len(column) for column in table.values()}) == 1
        assert len(table["ts" if "ts" in table else "entry_ts"]) > 0


def test_no_events_no_trades() -> None:
    bars, events = random_market(1)
    trading = trade(bars, events[:0], FromColumns(), AccountSettings())
    assert [len(next(iter(t.values()))) for t in (trading.orders, trading.fills, trading.trades)] == [0, 0, 0]
    assert set(trading.equity["equity"]) == {100_000.0}
    assert set(trading.equity["drawdown"]) == {0.0}


def test_drawdown_counts_from_the_initial_equity() -> None:
    bars = make_bars([(100, 100, 100, 100), (100, 100, 90, 90), (90, 110, 90, 110), (110, 110, 99, 99)])
    account = Account(bars, AccountSettings(cash=1000, maker_fee=0, taker_fee=0, half_spread_bps=0), Policy())
    account.observe(make_events(bars, [(0, EventKind.ZONE_NEAR, 1, 0)]))
    account.submit(1, size=10, size_rule="units")
    account.advance(3)
    assert account.result().equity["drawdown"].tolist() == pytest.approx([0, 0.1, 0, 0.1])


def commanded(*commands: str) -> Trading:
    """Buy at bar 0, rest a second order at bar 1, obey the commands at bar 2."""
    bars = make_bars([(100, 100, 100, 100)] * 6)
    account = Account(bars, FREE, Policy(conflict="add", max_open=9))
    for bar in range(3):
        account.observe(make_events(bars, [(bar, EventKind.FORCED_FLOW, 1, 0)]))
        if bar == 0:
            account.submit(1, size=1, size_rule="units")
        if bar == 1:
            account.submit(1, size=1, size_rule="units", entry="limit", price=90, expiry=9)
            assert (account.position, account.working, len(account.open_trades)) == (1, 1, 1)
    for command in commands:
        getattr(account, command)()
    account.advance(5)
    return account.result()


def test_close_leaves_at_the_next_open_and_cancel_cancels() -> None:
    assert commanded().orders["status"].tolist() == ["filled", "working"]
    closed = commanded("close")
    assert closed.trades["exit_reason"].tolist() == ["close"]
    assert closed.trades["exit_bar"].tolist() == [3]
    assert closed.orders["status"].tolist() == ["filled", "working"]
    cancelled = commanded("cancel")
    assert cancelled.orders["status"].tolist() == ["filled", "cancelled"]
    assert cancelled.trades["exit_reason"].tolist() == ["open"]
    both = commanded("cancel", "close")
    assert (both.orders["reason"].tolist(), both.trades["exit_reason"].tolist()) == (["entry", "cancel"], ["close"])


def test_what_comes_late_is_refused() -> None:
    bars, events = random_market(3)
    account = Account(bars, FREE, Policy())
    with pytest.raises(AccountError, match="no event was observed"):
        account.submit(1, size=1, size_rule="units")
    with pytest.raises(AccountError, match="no bar 60"):
        account.advance(60)
    account.advance(40)
    with pytest.raises(AccountError, match="comes late: bar 40 was traded"):
        account.observe(events[events.bar < 40])
    later = events[events.bar >= 40]
    account.observe(later)
    assert account.equity == FREE.cash
    with pytest.raises(AccountError, match="must ascend and lie between"):
        account.place(ask(FromColumns(), later), np.arange(len(later)))


def test_an_order_answers_its_event_and_hears_the_rest_of_its_bar() -> None:
    """ZoneEntry and ZoneSwept in one bar: the order that answers the first is cancelled by the second."""
    bars = make_bars([(100, 100, 100, 100)] * 4)
    rows = [(1, EventKind.ZONE_ENTRY, -1, 7), (1, EventKind.ZONE_SWEPT, -1, 7), (1, EventKind.ZONE_SWEPT, -1, 8)]
    for answers, status in ((0, "cancelled"), (1, "filled")):
        account = Account(bars, FREE, Policy())
        for row in range(3):
            account.observe(make_events(bars, rows)[row : row + 1])
            if row == answers:
                account.submit(1, size=1, size_rule="units", group=7, cancel_on=[EventKind.ZONE_SWEPT])
        account.advance(3)
        assert account.result().orders["status"].tolist() == [status]


def test_a_signal_before_the_entry_does_not_end_the_position() -> None:
    """A whole tape at once: what was said while the order worked is not heard late by the lot."""
    bars = make_bars([(100, 100, 100, 100)] * 4 + [(100, 100, 97, 100)] + [(100, 100, 100, 100)] * 3)
    rows = [(0, EventKind.ZONE_NEAR, -1, 7), (2, EventKind.ZONE_EXIT, -1, 7), (6, EventKind.ZONE_EXIT, -1, 8)]
    events = make_events(bars, rows)
    account = Account(bars, FREE, Policy())
    account.observe(events[:1])
    account.submit(
        1, size=1, size_rule="units", entry="limit", price=98, expiry=9, group=7, exit_on=[EventKind.ZONE_EXIT]
    )
    account.observe(events[1:])
    account.advance(7)
    trades = account.result().trades
    assert trades["entry_bar"].tolist() == [4]
    assert trades["exit_reason"].tolist() == ["open"]


@pytest.mark.parametrize(("leaves", "status"), [(True, "filled"), (False, "refused")])
def test_a_position_that_leaves_makes_room_under_the_leverage_cap(leaves: bool, status: str) -> None:
    bars = make_bars([(100, 100, 100, 100)] * 4)
    account = Account(
        bars, FREE.model_copy(update={"cash": 1000.0, "max_leverage": 1}), Policy(conflict="add", max_open=2)
    )
    for bar in (0, 1):
        account.observe(make_events(bars, [(bar, EventKind.FORCED_FLOW, 1, 0)]))
        if bar == 1 and leaves:
            account.close()
        account.submit(1, size=99, size_rule="units")
    account.advance(3)
    orders = account.result().orders
    assert orders["qty"].tolist() == [10, 10 if leaves else 0]
    assert orders["status"].tolist() == ["filled", status]
    assert orders["reason"][1] == ("entry" if leaves else "leverage")
