"""The account against its naive twin, and what must hold of any account."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forcedflow.data.bars import Bars
from forcedflow.errors import AccountError
from forcedflow.kernels.orders import CONFLICTS, INTRABARS, MARGINS, REASONS
from forcedflow.settings import AccountSettings
from forcedflow.tables import EQUITY, FILLS, ORDERS, TRADES, EventKind, Events, SweptMass
from forcedflow.trading.account import Account
from forcedflow.trading.desk import react, trade
from forcedflow.trading.exchange import Exchange
from forcedflow.trading.ledger import Trading
from forcedflow.trading.orders import ENTRIES, SIZE_RULES, Policy, whole
from forcedflow.trading.strategy import ask
from naive.account import Ledger
from trading.market import (
    MINUTE,
    FromColumns,
    events_of,
    make_bars,
    make_events,
    random_exchange,
    random_fine,
    random_market,
)

SEEDS = st.integers(0, 2**32 - 1)
FREE = AccountSettings(cash=1e9, maker_fee=0, taker_fee=0, half_spread_bps=0)


def random_strategy(rng: np.random.Generator) -> FromColumns:
    return FromColumns(
        conflict=rng.choice(CONFLICTS).item(),
        max_open=int(rng.integers(1, 4)),
        cooldown=int(rng.integers(0, 4)),
        once_per_group=bool(rng.integers(2)),
        legs=int(rng.integers(1, 4)),
    )


def random_settings(rng: np.random.Generator, face: float = 0.0) -> AccountSettings:
    """Draw costs; little cash, so that leverage and ruin bind in some cases."""
    return AccountSettings(
        cash=rng.choice([20.0, 200.0, 1000.0, 20_000.0]).item() / (100.0 if face else 1.0),
        maker_fee=rng.choice([-0.0001, 0.0, 0.0002]).item(),
        taker_fee=rng.choice([0.0, 0.0005, 0.01]).item(),
        liquidation_fee=rng.choice([0.0, 0.005]).item(),
        half_spread_bps=rng.choice([0.0, 3.0, 50.0]).item(),
        impact=rng.choice([0.0, 1.0, 5.0]).item(),
        participation=rng.choice([0.0, 0.5, 1.0]).item(),
        max_leverage=rng.choice([1.0, 5.0, 80.0]).item(),
        margin=rng.choice(MARGINS).item(),
        leverage=rng.choice([2.0, 8.0, 20.0]).item(),
        intrabar=rng.choice(INTRABARS).item(),
    )


@dataclass(frozen=True)
class Case:
    """A random market, strategy and account."""

    market: Exchange
    events: Events
    strategy: FromColumns
    settings: AccountSettings

    @classmethod
    def of(cls, seed: int, contract: str | None = None, **settings: Any) -> Case:
        rng = np.random.default_rng(seed)
        bars, events = random_market(seed)
        market = random_exchange(seed, bars, contract=contract)
        drawn = random_settings(rng, market.face).model_copy(update=settings)
        return cls(market, events, random_strategy(rng), drawn)

    def trade(self, **settings: Any) -> Trading:
        return trade(self.market, self.events, self.strategy, self.settings.model_copy(update=settings))

    def ledger(self) -> Ledger:
        """Return what the naive twin makes of it."""
        market, bars = self.market, self.market.bars
        fine, start, log = market.detail, market.detail.swept_start, market.detail.swept
        rows = np.column_stack((fine.open, fine.high, fine.low, fine.close)).tolist()
        brackets = market.rules.brackets.tolist()
        costs = self.settings.model_dump()
        costs["half_spread"] = costs.pop("half_spread_bps") * 1e-4
        ledger = Ledger(
            **costs,
            **self.strategy.model_dump(exclude={"legs"}),
            face=market.face,
            funding=list(market.rules.funding.tolist()),
            schedules=[
                {
                    "bar": int(s.bar),
                    "on_entry": bool(s.on_entry),
                    "contract": float(s.contract),
                    "brackets": brackets[s.first : s.last],
                }
                for s in market.rules.schedules
            ],
            liquidity=list(zip(market.prices.volatility.tolist(), market.prices.usual_volume.tolist(), strict=True)),
            volume=bars.volume.tolist(),
            swept=[log[start[i] : start[i + 1]].tolist() for i in range(len(bars))],
            marks=list(zip(market.prices.mark_high.tolist(), market.prices.mark_low.tolist(), strict=True)),
            finer=[[tuple(row) for row in rows[fine.start[i] : fine.start[i + 1]]] for i in range(len(bars))],
        )
        prices = np.column_stack((bars.open, bars.high, bars.low, bars.close))
        events = self.events
        signals = list(zip(events.bar.tolist(), events.kind.tolist(), events.group.tolist(), strict=True))
        ledger.run([tuple(row) for row in prices.tolist()], signals, asked_rows(self.strategy, events))
        return ledger


def asked_rows(strategy: FromColumns, events: Events) -> list[dict[str, Any]]:
    """Return what the strategy asks for, as the naive ledger takes it."""
    plan = ask(strategy, events)
    asked, event = whole(plan), np.repeat(np.arange(len(events)), plan.legs)
    floats = ("price", "limit", "stop", "target", "size")
    return [
        {name: float(getattr(asked, name)[row]) for name in floats}
        | {name: int(getattr(asked, name)[row]) for name in ("side", "expiry", "hold", "group", "oco", "reduce_only")}
        | {
            "event": int(event[row]),
            "kind": ENTRIES[asked.kind[row]],
            "ratchet": float(np.exp(-asked.side[row] * asked.trail[row])),
            "size_rule": SIZE_RULES[asked.size_rule[row]],
            "cancel_on": [kind for kind in EventKind if asked.cancel_on[row] >> kind & 1],
            "exit_on": [kind for kind in EventKind if asked.exit_on[row] >> kind & 1],
        }
        for row in range(len(event))
        if asked.side[row] and events.kind[event[row]] in strategy.listens
    ]


def assert_same(a: Trading, b: Trading) -> None:
    for table in ("orders", "fills", "trades", "funding", "equity"):
        left, right = getattr(a, table), getattr(b, table)
        for name in left:
            np.testing.assert_array_equal(left[name], right[name], err_msg=f"{table}.{name}")
    assert a.ambiguous_bars == b.ambiguous_bars


def assert_ledger(trading: Trading, ledger: Ledger) -> None:
    for column in ("order_id", "bar", "side", "qty", "price", "reason", "liquidity", "fee"):
        assert trading.fills[column].tolist() == [fill[column] for fill in ledger.fills], column
    for column in ("spread_cost", "impact_cost", "forced_qty", "shortfall"):
        assert trading.fills[column].tolist() == [fill[column] for fill in ledger.fills], column
    lots = trading.trades["order_id"][trading.fills["trade_id"]]
    assert lots.tolist() == [fill["lot"] for fill in ledger.fills]
    for column in ("status", "reason", "status_bar", "qty", "side", "event"):
        assert trading.orders[column].tolist() == [order[column] for order in ledger.orders], column
    paid = np.column_stack([trading.funding[column] for column in ("bar", "position", "price", "amount")])
    assert paid.tolist() == [list(row) for row in ledger.paid]
    books = np.column_stack([trading.equity[column] for column in ("cash", "position", "equity")])
    assert books.tolist() == [list(row) for row in ledger.equity]
    ambiguous = {fill["bar"] for fill in ledger.fills if fill["ambiguous"]}
    assert trading.ambiguous_bars == len(ambiguous)


@given(SEEDS)
@settings(max_examples=100)
def test_agrees_exactly_with_the_naive_ledger(seed: int) -> None:
    case = Case.of(seed)
    assert_ledger(case.trade(), case.ledger())


@pytest.mark.deep
@given(SEEDS)
@settings(max_examples=20_000)
def test_agrees_exactly_with_the_naive_ledger_in_many_cases(seed: int) -> None:
    case = Case.of(seed)
    assert_ledger(case.trade(), case.ledger())


def test_the_random_cases_meet_every_rule() -> None:
    orders: set[str] = set()
    fills: set[str] = set()
    met: Counter[str] = Counter()
    for seed in range(200):
        case = Case.of(seed)
        trading = case.trade()
        orders |= set(trading.orders["reason"].tolist())
        fills |= set(trading.fills["reason"].tolist())
        met[f"ambiguous {case.settings.intrabar}"] += trading.ambiguous_bars
        for column in ("forced_qty", "impact_cost", "shortfall"):
            met[column] += int(np.count_nonzero(trading.fills[column]))
        met["funding"] += len(trading.funding["bar"])
        met["partial"] += (np.bincount(trading.fills["trade_id"]) > 2).sum() if len(trading.fills["bar"]) else 0
        dead = (trading.fills["reason"] == "liquidation").sum()
        met[f"dead {case.settings.margin} {'inverse' if case.market.face else 'linear'}"] += dead
    assert fills == {*REASONS[1:11]} - {"close"}
    assert orders >= {*REASONS} - {"close", "cancel", "stop", "target", "hold", "exit_on", "liquidation"}
    assert min(met[f"ambiguous {intrabar}"] for intrabar in INTRABARS) > 2
    for column in ("forced_qty", "impact_cost", "shortfall", "funding", "partial"):
        assert met[column] > 2, column
    for contract in ("linear", "inverse"):
        assert min(met[f"dead {margin} {contract}"] for margin in ("isolated", "cross")) > 3


@given(SEEDS)
def test_event_by_event_is_the_whole_tape_to_the_bit(seed: int) -> None:
    case, rng = Case.of(seed), np.random.default_rng(seed)
    account = Account(case.market, case.settings, case.strategy)
    row = 0
    while row < len(case.events):
        block = int(rng.integers(1, 4))
        react(case.strategy, case.events[row : row + block], None, account)
        row += block
        if rng.integers(2):
            assert np.isfinite(account.equity)  # reading lets bars be traded: it must not matter when
    account.advance(len(case.market.bars) - 1)
    assert_same(account.result(), case.trade())


@given(SEEDS, st.integers(1, 59))
def test_a_prefix_of_the_bars_gives_a_prefix_of_the_result(seed: int, length: int) -> None:
    """And what comes after a bar changes nothing before it."""
    case = Case.of(seed)
    whole, market = case.trade(), case.market
    bars, fine = market.bars.between(None, length * MINUTE), random_fine(seed).between(None, length * MINUTE)
    prices, log = market.prices, market.detail
    kept_rows = log.swept[: log.swept_start[length]]
    swept = SweptMass(log.swept_start[: length + 1], kept_rows["price"], kept_rows["side"], kept_rows["mass"])
    liquidity = prices.volatility[:length], prices.usual_volume[:length]
    short = Exchange(bars, venue=market.venue, liquidity=liquidity, swept=swept, fine=fine)
    part = trade(short, case.events[case.events.bar < length], case.strategy, case.settings)
    for table in ("fills", "funding", "equity"):
        kept = getattr(whole, table)["bar"] < length
        for name, column in getattr(part, table).items():
            np.testing.assert_array_equal(column, getattr(whole, table)[name][kept], err_msg=f"{table}.{name}")
    placed = whole.orders["bar"] < length
    for name in ("side", "bar", "price"):
        np.testing.assert_array_equal(part.orders[name], whole.orders[name][placed])


@given(SEEDS)
def test_the_accounts_add_up_at_every_bar(seed: int) -> None:
    case = Case.of(seed)
    market, cash = case.market, case.settings.cash
    equity = case.trade().equity
    worth = market.worth(equity["close"])
    np.testing.assert_allclose(equity["cash"] + equity["position"] * worth, equity["equity"], rtol=1e-12)
    account = Account(market, case.settings, case.strategy)
    for bar in range(len(market.bars)):
        account.advance(bar)
        react(case.strategy, case.events[case.events.bar == bar], None, account)
        trades = account.result().trades
        assert account.equity == equity["equity"][bar]
        scale = cash + np.abs(trades["net"]).sum() + np.abs(equity["position"][bar] * worth[bar])
        assert account.equity - cash == pytest.approx(trades["net"].sum(), abs=1e-9 * scale)
        np.testing.assert_allclose(trades["gross"] - trades["costs"] + trades["funding"], trades["net"], atol=1e-9)
        signed = [trade.side * trade.qty for trade in account.open_trades]
        assert account.position == pytest.approx(sum(signed), abs=1e-9)


@given(SEEDS)
def test_mirrored_prices_give_the_mirrored_account(seed: int) -> None:
    """Costs and trails are shares of price and break the symmetry of p -> 400 - p, so there are none; on the grid of
    quarters it is exact. An inverse contract has none: its worth is not linear in price.
    """
    rng = np.random.default_rng(seed)
    bars, events = random_market(seed)
    strategy = random_strategy(rng)
    units = np.zeros(len(events))
    columns = {"coverage": events.coverage, "above_mass": events.above_mass, "age": events.age, "fuel": events.fuel}
    columns |= {"above_near": events.above_near, "above_far": events.above_far, "below_mass": units}
    columns |= {"mass_before": np.ones(len(events)), "slope": events.slope, "width": events.width}
    intrabar = rng.choice(["worst", "path", "target_first"]).item()

    def made(market: Bars, sides: np.ndarray[Any, Any], **levels: Any) -> Trading:
        rows = list(zip(events.bar, [EventKind(k) for k in events.kind], sides, events.group, strict=True))
        free = FREE.model_copy(update={"intrabar": intrabar})
        return trade(market, make_events(market, rows, **columns, **levels), strategy, free)

    # A bar that closes where it opened is taken to have fallen first, and its mirror image too: there is no other rule.
    rows = np.column_stack((bars.open, bars.high, bars.low, bars.close))
    rows[rows[:, 0] == rows[:, 3], 1:3] = rows[rows[:, 0] == rows[:, 3], :1]
    bars = make_bars([tuple(row) for row in rows.tolist()])
    flipped = make_bars(list(zip(400 - bars.open, 400 - bars.low, 400 - bars.high, 400 - bars.close, strict=True)))
    levels = {"near": events.near, "upper": events.upper, "far": events.far, "peak": events.peak}
    here = made(bars, events.side, **levels)
    there = made(flipped, -events.side, **{name: 400 - level for name, level in levels.items()})
    for name in ("order_id", "bar", "reason", "liquidity", "qty"):
        np.testing.assert_array_equal(here.fills[name], there.fills[name])
    np.testing.assert_array_equal(here.fills["price"], 400 - there.fills["price"])
    for name in ("net", "r", "mae_r", "mfe_r", "exit_reason"):
        np.testing.assert_array_equal(here.trades[name], there.trades[name])
    np.testing.assert_array_equal(here.equity["equity"], there.equity["equity"])


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
    events = events.replace(lower=np.zeros(len(events)), below_mass=np.zeros(len(events)))
    trading = trade(bars, events, random_strategy(np.random.default_rng(seed)), FREE)
    trades = {name: column[~np.isnan(trading.trades["r"])] for name, column in trading.trades.items()}
    orders = {name: column[trades["order_id"]] for name, column in trading.orders.items()}
    price = np.where(orders["kind"] == "stop_limit", orders["limit"], orders["price"])
    risk = np.abs(np.where(orders["kind"] == "market", bars.close[orders["bar"]], price) - orders["stop"])
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


def test_what_is_announced_is_heard_in_its_time() -> None:
    """Looking at every step shows what hearing the tape event by event shows, and nothing that was only announced."""
    bars, events = random_market(5)
    ahead, along = (Account(bars, FREE, FromColumns(conflict="add", max_open=5)) for _ in range(2))
    ahead.announce(events)
    for row in range(len(events)):
        ahead.hear(1)
        along.observe(events[row : row + 1])
        for account in (ahead, along):
            account.place(ask(FromColumns(), events[row : row + 1]), np.array([row]))
        if row % 3 == 0:
            seen = [(a.bar, a.heard, a.position, a.cash, a.equity, a.working, a.open_trades) for a in (ahead, along)]
            assert repr(seen[0]) == repr(seen[1])
    assert ahead.result().fills["price"].tolist() == along.result().fills["price"].tolist()
    assert len(ahead.result().fills["price"]) > 5
    with pytest.raises(AccountError, match="0 announced events are left, not 1"):
        ahead.hear(1)


@pytest.mark.parametrize("margin", ["none", "cross", "isolated"])
@pytest.mark.parametrize("seed", range(6))
def test_to_look_often_changes_nothing(seed: int, margin: Any) -> None:
    """An account that is not traded because nothing can happen stands where one stands that nobody looked at."""
    bars, events = random_market(seed)
    exchange = random_exchange(seed, bars)
    settings = AccountSettings(cash=1000, margin=margin)
    often, once = (Account(exchange, settings, Policy(conflict="add", max_open=5)) for _ in range(2))
    asked = ask(FromColumns(), events)
    for account in (often, once):
        account.observe(events[:20])
        account.place(ask(FromColumns(), events[:20]), np.arange(20))
    assert len(asked.side) > 20
    for bar in range(int(events.bar[19]), len(bars)):
        often.advance(bar)
        fresh = Account(exchange, settings, Policy(conflict="add", max_open=5))
        fresh.observe(events[:20])
        fresh.place(ask(FromColumns(), events[:20]), np.arange(20))
        fresh.advance(bar)
        assert (often.equity, often.cash, often.position) == (fresh.equity, fresh.cash, fresh.position)
    once.advance(len(bars) - 1)
    for name, column in once.result().fills.items():
        np.testing.assert_array_equal(often.result().fills[name], column)


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
