"""The account against other bookkeepers, against the venues' rules, and against what no account may do."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import forcedflow as ff
from conftest import skip
from forcedflow.data.series import Funding, VenueData
from forcedflow.errors import VenueError
from forcedflow.kernels.touch import extremes, next_touch
from forcedflow.report.interop import replayed
from forcedflow.report.map_measures import liquidation_distance
from forcedflow.settings import AccountSettings
from forcedflow.tables import EventKind, Side, SweptMass
from forcedflow.trading.account import Account
from forcedflow.trading.exchange import Exchange
from forcedflow.trading.ledger import Trading
from forcedflow.trading.orders import Policy, checked
from forcedflow.venues import Rule, load_venue, venue_names
from trading.market import make_bars, make_events, random_exchange, random_fine, random_market
from trading.test_account import SEEDS, Case, units_only
from trading.test_fills import BRACKET, FLAT, FREE, UP, Row, told, trade_one

# --- vectorbt keeps the same books ---


@pytest.fixture(scope="module")
def _vectorbt() -> None:
    if importlib.util.find_spec("vectorbt") is None:
        skip("vectorbt is not installed: uv sync --group check")


def assert_same_books(trading: Any, cash: float, face: float = 0.0) -> None:
    """Compare cash, position, fees and equity with vectorbt's at every close; funding is added by hand."""
    equity, fills, funding = trading.equity, trading.fills, trading.funding
    portfolio, closes = replayed(fills, equity["close"], face)
    paid = np.bincount(funding["bar"], funding["amount"], len(equity["bar"]))
    theirs = portfolio.cash().to_numpy()[closes] - portfolio.init_cash + cash + np.cumsum(paid)
    assets = portfolio.assets().to_numpy()[closes]
    scale = cash + np.abs(fills["qty"] * (face / fills["price"] if face else fills["price"])).max(initial=0.0)
    close = face / equity["close"] if face else equity["close"]
    np.testing.assert_allclose(equity["cash"], theirs, atol=1e-9 * scale)
    np.testing.assert_allclose(equity["position"], -assets if face else assets, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(equity["equity"], theirs + assets * close, atol=1e-9 * scale)
    fees = portfolio.orders.records["fees"].sum() if len(fills["bar"]) else 0.0
    assert fees == pytest.approx(fills["fee"].sum(), rel=1e-9, abs=1e-9 * scale)


@pytest.mark.usefixtures("_vectorbt")
@pytest.mark.filterwarnings("ignore")
@given(SEEDS)
def test_vectorbt_keeps_the_same_books(seed: int) -> None:
    case = Case.of(seed)
    assert_same_books(case.trade(), case.settings.cash, case.market.face)


@pytest.mark.usefixtures("_vectorbt")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("dataset", "start"), [("btcusdt-5m", "2026-01-01"), ("solusdt-5m", "2026-01-10")])
def test_vectorbt_keeps_the_same_books_on_real_runs(dataset: str, start: str, shared_data: Path) -> None:
    assert shared_data.is_dir()
    run = ff.run(dataset, "zone_entry", start=start, params={"min_reward": 0}, account={"cash": 1e6})
    assert len(run.fills["bar"]) >= 8
    assert len(run.funding["bar"]) > 0
    assert (run.fills["impact_cost"] > 0).any()
    assert_same_books(run, 1e6)
    portfolio, closes = ff.interop.to_vectorbt(run)
    assert len(closes) == run.summary["bars"]
    assert len(portfolio.orders.records) == len(run.fills["bar"])


# --- Own liquidation is the venues' ---


def held(rule: Rule, side: int, entry: float, qty: float, rows: list[Row], **given: Any) -> Account:
    """Hold one position of a venue's contract, entered at the open of bar 1 at exactly ``entry``, under its rule."""
    venue = VenueData(rule.venue.id, rule.symbol, rule.venue.contract, "none")
    bars = make_bars([(entry,) * 4, (entry,) * 4, *rows])
    bars = replace(bars, ts=bars.ts + max(rule.schedule.effective_ns, 0))
    costs = {"maker_fee": 0, "taker_fee": 0, "half_spread_bps": 0, "max_leverage": 1e6, "cash": 1e12}
    account = Account(Exchange(bars, venue=venue), AccountSettings(**costs | given), Policy())
    account.observe(make_events(bars, [(0, EventKind.ZONE_NEAR, side, 1)]))
    account.submit(side, size=qty, size_rule="units")
    account.advance(len(rows) + 1)
    return account


RULES = [(name, symbol) for name in venue_names() for symbol in load_venue(name).symbols]


@pytest.mark.parametrize(("name", "symbol"), RULES)
@given(st.sampled_from([1, -1]), st.floats(0.5, 90_000), st.floats(1e2, 3e7), st.floats(1.1, 100))
def test_isolated_liquidation_is_the_venues_price(
    name: str, symbol: str, side: int, entry: float, notional: float, leverage: float
) -> None:
    """Every rule, side and size: brackets and amounts, maintenance on entry and on the mark, linear and inverse."""
    rule = Rule.of(name, symbol)
    qty = rule.quantity(notional, entry)
    try:
        expected = rule.liquidation_price(Side(side), entry, qty, leverage).price
    except VenueError:
        return  # the venue does not open it
    (lot,) = held(rule, side, entry, qty, [], margin="isolated", leverage=leverage).open_trades
    assert lot.qty == qty
    assert lot.liquidation == pytest.approx(np.nan if expected is None else expected, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize(("name", "symbol"), RULES)
@given(st.sampled_from([1, -1]), st.floats(0.5, 90_000), st.floats(1e2, 3e7), st.floats(1.1, 30))
def test_cross_liquidation_is_the_venues_price_for_all_of_the_cash(
    name: str, symbol: str, side: int, entry: float, notional: float, leverage: float
) -> None:
    rule = Rule.of(name, symbol)
    qty = rule.quantity(notional, entry)
    cash = rule.value(entry, qty) / leverage
    limit = min(rule.max_leverage(entry, qty), 1e6)
    if limit < leverage * 1.001 or rule.bracket(rule.value(entry, qty), qty).cap is not None:
        return  # the account must be let in at a leverage cap above its own
    expected, _ = rule.liquidation(Side(side), entry, qty, cash)
    account = held(rule, side, entry, qty, [], cash=cash, max_leverage=limit if limit < 1e6 else leverage * 1.001)
    (lot,) = account.open_trades
    assert lot.qty == qty
    assert lot.liquidation == pytest.approx(np.nan if expected is None else expected, rel=1e-9, nan_ok=True)


# A tenth of a coin, or 6000 contracts of a dollar, at 60 000; .4% of maintenance on Binance, .5% on Bybit. Isolated at
# ten times: (6000 - 600) / .996 / .1, (6000 + 600) / 1.004 / .1, 6000 / (.11 / 1.005), 6000 / (.09 / .995).
# Cross on 1000 dollars, or .02 coins: (6000 - 1000) / .996 / .1 and so on.
BY_HAND = [
    ("binance-um", "isolated", 1, 54_216.867470),
    ("binance-um", "isolated", -1, 65_737.051793),
    ("binance-um", "cross", 1, 50_200.803213),
    ("binance-um", "cross", -1, 69_721.115538),
    ("bybit-inverse", "isolated", 1, 54_818.181818),
    ("bybit-inverse", "isolated", -1, 66_333.333333),
    ("bybit-inverse", "cross", 1, 50_250.0),
    ("bybit-inverse", "cross", -1, 74_625.0),
]


@pytest.mark.parametrize(("name", "margin", "side", "expected"), BY_HAND)
def test_equity_says_where_the_position_would_be_liquidated(name: str, margin: str, side: int, expected: float) -> None:
    """From the close of the bar that entered on; and how near price came to it, in ATR of 1%."""
    linear = name == "binance-um"
    rule = Rule.of(name, "BTCUSDT" if linear else "BTCUSD")
    qty, cash = (0.1, 1000.0) if linear else (6000.0, 0.02)
    rows: list[Row] = [(60_000, 61_000, 59_000, 60_000), (60_000, 60_500, 59_500, 60_000)]
    given = {"margin": margin, "leverage": 10.0, "cash": cash, "max_leverage": 10.0}
    equity = held(rule, side, 60_000.0, qty, [*rows, rows[1]], **given).result().equity
    assert equity["liquidation"] == pytest.approx([np.nan, *[expected] * 4], nan_ok=True)
    bars = {"close": np.full(5, 60_000.0), "atr": np.full(5, 0.01)}
    bars |= {"high": np.array([6e4, 6e4, 61e3, 60.5e3, 60.5e3]), "low": np.array([6e4, 6e4, 59e3, 59.5e3, 59.5e3])}
    nearest = 59_000 / expected if side > 0 else expected / 61_000
    assert liquidation_distance(equity, bars) == pytest.approx(100 * math.log(nearest))


def test_the_liquidation_price_follows_funding_and_the_way_out() -> None:
    """A long pays 1% of 6000: 60 less on the account, (6000 - 940) / .996 / .1; nothing is held after the exit."""
    rows = make_bars([(60_000.0,) * 4] * 7)
    venue = VenueData("binance-um", "BTCUSDT", "linear", "none", None, Funding.from_columns([rows.ts[3]], [0.01]))
    costs = {"maker_fee": 0, "taker_fee": 0, "half_spread_bps": 0, "cash": 1000, "max_leverage": 10, "margin": "cross"}
    account = Account(Exchange(rows, venue=venue), AccountSettings(**costs), Policy())
    account.observe(make_events(rows, [(0, EventKind.ZONE_NEAR, 1, 1)]))
    account.submit(1, size=0.1, size_rule="units", hold=4)
    account.advance(6)
    before, after = 50_200.803213, 50_803.212851
    found = account.result().equity["liquidation"]
    assert found == pytest.approx([np.nan, before, before, after, after, np.nan, np.nan], nan_ok=True)


def test_the_liquidation_price_follows_a_new_maintenance_table() -> None:
    """COMEX silver, 11% and from 2 February 2026 on 15%: (240 000 - 100 000) / .89 / 4000, then / .85 / 4000."""
    bars = make_bars([(60.0,) * 4] * 6)
    raised = load_venue("comex").symbol("SI").schedules[-1].effective_ns
    bars = replace(bars, ts=bars.ts - bars.ts[3] + raised)
    costs = {"maker_fee": 0, "taker_fee": 0, "half_spread_bps": 0, "cash": 1e5, "max_leverage": 3, "margin": "cross"}
    account = Account(
        Exchange(bars, venue=VenueData("comex", "SI", "linear", "none")), AccountSettings(**costs), Policy()
    )
    account.observe(make_events(bars, [(0, EventKind.ZONE_NEAR, 1, 1)]))
    account.submit(1, size=4000, size_rule="units")
    account.advance(5)
    before, after = 39.325843, 41.176471
    found = account.result().equity["liquidation"]
    assert found == pytest.approx([np.nan, before, before, after, after, after], nan_ok=True)


BINANCE = Rule.of("binance-um", "BTCUSDT")


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("margin", ["isolated", "cross"])
def test_own_liquidation_fills_at_its_price_or_the_open_and_costs_its_fee(margin: str, side: int) -> None:
    entry, qty = 60_000.0, 0.1
    price = BINANCE.liquidation(Side(side), entry, qty, 600.0)[0]
    assert price is not None
    edge, far = (price + side * 1, price - side * 500)
    given = {"margin": margin, "leverage": 10.0, "cash": 600.0, "max_leverage": 10.0, "liquidation_fee": 0.0125}

    def after(open_: float, reached: float) -> Trading:
        row = (open_, max(open_, reached), min(open_, reached), open_)
        return held(BINANCE, side, entry, qty, [row], **given).result()

    assert after(entry, edge).trades["exit_reason"].tolist() == ["open"]
    inside, gapped = after(entry, far), after(far, far)
    for trading, paid in ((inside, price), (gapped, far)):
        fill = {name: column[-1] for name, column in trading.fills.items()}
        assert fill["reason"] == "liquidation"
        assert fill["price"] == pytest.approx(paid, rel=1e-12)
        assert fill["fee"] == pytest.approx(0.0125 * qty * paid)
        lost = side * (entry - paid) * qty + fill["fee"]
        assert fill["shortfall"] == pytest.approx(max(lost - 600.0, 0.0))
        assert trading.equity["cash"][-1] == pytest.approx(600.0 - lost)  # what is short stays in the books
    assert gapped.fills["shortfall"][-1] > 0


def test_a_liquidated_account_loses_its_orders_too() -> None:
    bars = make_bars([(100, 100, 100, 100)] * 3 + [(100, 100, 70, 75)] * 2)
    account = Account(
        Exchange(bars, venue=VenueData("binance-um", "BTCUSDT", "linear", "none")),
        AccountSettings(cash=1000, max_leverage=5),
        Policy(conflict="add", max_open=2),
    )
    account.observe(make_events(bars, [(0, EventKind.ZONE_NEAR, 1, 1)]))
    account.submit(1, size=4.5, size_rule="equity")
    account.submit(1, size=1, size_rule="units", entry="limit", price=60, expiry=9)
    account.advance(4)
    trading = account.result()
    assert trading.orders["reason"].tolist() == ["entry", "liquidation"]
    assert trading.fills["reason"].tolist() == ["entry", "liquidation"]
    assert account.equity < 100


def test_a_hike_of_margin_moves_the_price_of_what_is_open() -> None:
    """Silver, 2 February 2026: 9% to 15% of notional moves a call from 87.9 to 94.1, FACTS 2.6."""
    bars = make_bars([(100, 100, 100, 100)] * 3000)
    january = np.datetime64("2026-02-01T00:00:00", "ns").astype(np.int64)
    bars = replace(bars, ts=bars.ts + january)
    account = Account(
        Exchange(bars, venue=VenueData("comex", "SI", "linear", "none")),
        AccountSettings(margin="isolated", leverage=5, taker_fee=0, half_spread_bps=0),
        Policy(),
    )
    account.observe(make_events(bars, [(0, EventKind.ZONE_NEAR, 1, 1)]))
    account.submit(1, size=1, size_rule="units")
    account.advance(1000)
    assert account.open_trades[0].liquidation == pytest.approx(100 * 0.8 / 0.89)
    account.advance(2999)
    assert account.open_trades[0].liquidation == pytest.approx(100 * 0.8 / 0.85)


# --- The three probes of intrabar honesty, under every policy ---

FINE: dict[str, list[Row]] = {
    "stop first": [(100, 101, 96, 98), (98, 106, 98, 105), (105, 105, 99, 100)],
    "target first": [(100, 106, 100, 105), (105, 105, 96, 98), (98, 100, 98, 100)],
}
PROBES: dict[str, tuple[list[Row], dict[str, Any], dict[str, tuple[str, float]]]] = {
    "A: one bar holds stop and target": (
        [UP, (100, 106, 96, 100)],
        BRACKET,
        {"worst": ("stop", 97), "path": ("stop", 97), "target_first": ("target", 104)},
    ),
    "A, and it fell": (
        [UP, (100, 106, 96, 99)],
        BRACKET,
        {"worst": ("stop", 97), "path": ("target", 104), "target_first": ("target", 104)},
    ),
    "B: the stop is touched in the bar of the entry": (
        [(100, 101, 96, 99)],
        BRACKET,
        dict.fromkeys(("worst", "path", "target_first"), ("stop", 97)),
    ),
    "C: the open gaps through the stop": (
        [UP, (90, 106, 89, 91)],
        BRACKET,
        dict.fromkeys(("worst", "path", "target_first"), ("stop", 90)),
    ),
}


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("intrabar", ["worst", "path", "target_first"])
@pytest.mark.parametrize("probe", PROBES)
def test_probe(probe: str, intrabar: str, side: int) -> None:
    rows, order, expected = PROBES[probe]
    if side < 0 and probe == "A: one bar holds stop and target":
        pytest.skip("mirrored, a bar that closes where it opened has another path")
    trading = trade_one(side, rows, order, FREE.model_copy(update={"intrabar": intrabar}))
    reason, _, price, _ = told(side, trading)[-1]
    assert (reason, price) == expected[intrabar]


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(("first", "reason", "price"), [("stop first", "stop", 97), ("target first", "target", 104)])
def test_probe_a_drilled(first: str, reason: str, price: float, side: int) -> None:
    """B and C drilled: the finer bars are traded by ``worst``, so any of its probes holds inside them."""
    rows = [FLAT] * 6 + FINE[first]
    if side < 0:
        rows = [(200 - o, 200 - low, 200 - high, 200 - c) for o, high, low, c in rows]
    third = make_bars(rows)
    fine = replace(third, ts=third.ts // 3, interval=third.interval // 3)
    coarse = [rows[k : k + 3] for k in (0, 3, 6)]
    bars = make_bars([(r[0][0], max(x[1] for x in r), min(x[2] for x in r), r[-1][3]) for r in coarse])
    account = Account(Exchange(bars, fine=fine), FREE.model_copy(update={"intrabar": "drill"}), Policy())
    account.observe(make_events(bars, [(0, EventKind.ZONE_NEAR, side, 1)]))
    stop, target = (97.0, 104.0) if side > 0 else (103.0, 96.0)
    account.submit(side, size=1.0, size_rule="units", stop=stop, target=target)
    account.advance(2)
    assert told(side, account.result())[-1][::2] == (reason, price)
    assert account.result().ambiguous_bars == 0


@given(SEEDS)
def test_drilling_is_trading_on_the_finer_bars(seed: int) -> None:
    """With timers and events scaled; nothing but the drill's bookkeeping may differ."""
    case = Case.of(seed, intrabar="drill", margin="none", impact=0.0, participation=0.0)
    bars, fine = case.market.bars, random_fine(seed)
    events = case.events.replace(fuel=np.zeros(len(case.events)))
    strategy = case.strategy.model_copy(update={"cooldown": 0})
    coarse = ff.trade(Exchange(bars, fine=fine), events, strategy, case.settings)
    moved = events.replace(bar=events.bar * 3 + 2, age=events.age * 3)
    whole = ff.trade(fine, moved, strategy, case.settings.model_copy(update={"intrabar": "worst"}))
    for name in ("order_id", "side", "qty", "price", "reason", "fee"):
        np.testing.assert_array_equal(coarse.fills[name], whole.fills[name], err_msg=name)
    np.testing.assert_array_equal(coarse.fills["bar"], whole.fills["bar"] // 3)
    np.testing.assert_array_equal(coarse.equity["equity"], whole.equity["equity"][2::3])


def test_finer_bars_must_add_up() -> None:
    bars, fine = random_market(3)[0], random_fine(3)
    high = fine.high.copy()
    high[high == bars.high.max()] += 1
    with pytest.raises(ff.ForcedFlowError, match=r"the finer bars of 1970-01-01T.* have high .* where the bar has"):
        Exchange(bars, fine=replace(fine, high=high))
    with pytest.raises(ff.ForcedFlowError, match="intrabar = drill needs the dataset's finer bars"):
        Account(bars, FREE.model_copy(update={"intrabar": "drill"}), Policy())


# --- Forced flow ---

NO_FEES = {"maker_fee": 0.0, "taker_fee": 0.0, "half_spread_bps": 0.0, "impact": 1.0}


def absorbed(swept: list[tuple[float, int, float]], volume: float = 1e9, **given: Any) -> Trading:
    """Rest two bids, 6 units at 98 and 4 at 97; bar 1 falls to 95 and sweeps the rows (price, side, mass)."""
    bars = make_bars([FLAT, (100, 100, 95, 96), (96, 96, 96, 96)])
    bars = replace(bars, volume=np.full(3, volume))
    price, side, mass = (np.array(column) for column in zip(*swept, strict=True))
    log = SweptMass(np.array([0, 0, len(swept), len(swept)]), price, side, mass)
    calm = np.column_stack((np.full(3, 0.01), np.full(3, 100.0)))
    market = Exchange(bars, liquidity=(calm[:, 0], calm[:, 1]), swept=log)
    account = Account(market, AccountSettings(**NO_FEES | {"max_leverage": 1000} | given), Policy())
    account.observe(make_events(bars, [(0, EventKind.ZONE_NEAR, 1, 1)]))
    account.submit(1, size=[6.0, 4.0], size_rule="units", entry="limit", price=[98.0, 97.0], expiry=3)
    account.advance(2)
    return account.result()


def test_forced_flow_fills_without_impact_within_its_bounds() -> None:
    selling = [(98.5, -1, 50.0), (97.5, -1, 4.0), (96.5, -1, 8.0), (95.5, 1, 70.0)]
    assert absorbed(selling).fills["forced_qty"].tolist() == [0, 0]  # participation is 0 unless asked for
    # At or below 98 longs were made to sell 12; half of it is 6, all for the first order. At or below 97: 8, half is
    # 4, and the first order has eaten more than that.
    assert absorbed(selling, participation=0.5).fills["forced_qty"].tolist() == [6, 0]
    assert absorbed(selling, participation=1.0).fills["forced_qty"].tolist() == [6, 2]
    assert absorbed(selling, volume=5.0, participation=1.0).fills["forced_qty"].tolist() == [5, 0]
    fills = absorbed(selling, participation=1.0).fills
    move = 0.01 * np.sqrt(2 / 100) * (2 / 4)
    assert fills["price"].tolist() == pytest.approx([98.0, 97.0 * (1 + move)])
    assert fills["impact_cost"].tolist() == pytest.approx([0, 4 * 97 * move])


def test_nothing_meets_forced_flow_that_was_not_listed() -> None:
    with pytest.raises(ff.ForcedFlowError, match="make the tape with log_swept=True"):
        Account(make_bars([FLAT]), FREE.model_copy(update={"participation": 0.5}), Policy())


# --- What no account may do ---


@given(SEEDS, st.sampled_from(["maker_fee", "taker_fee", "half_spread_bps", "impact"]))
def test_more_cost_never_raises_equity(seed: int, cost: str) -> None:
    """Where sizes do not follow equity and nothing is liquidated, so that the same orders fill."""
    bars, events = units_only(seed)
    market, case = random_exchange(seed, bars), Case.of(seed)
    cheap = AccountSettings(cash=1e9, maker_fee=0, taker_fee=0, half_spread_bps=0, impact=0, margin="none")
    cheap = cheap.model_copy(update={"intrabar": case.settings.intrabar})
    events = events.replace(lower=np.zeros(len(events)))  # a trailing stop follows the price that was paid
    dear = cheap.model_copy(update={cost: 0.01 if cost != "impact" else 1.0})
    first, second = (ff.trade(market, events, case.strategy, one) for one in (cheap, dear))
    np.testing.assert_array_equal(first.fills["qty"], second.fills["qty"])
    assert np.all(second.equity["equity"] <= first.equity["equity"] + 1e-6)


@given(SEEDS)
def test_half_the_size_is_half_the_result(seed: int) -> None:
    """Where impact is off: it grows with size. Powers of two keep the bits."""
    bars, events = units_only(seed, 2.0)
    market, case = random_exchange(seed, bars), Case.of(seed)
    one = case.settings.model_copy(update={"cash": 1e9, "impact": 0.0, "margin": "none", "participation": 0.0})
    whole = ff.trade(market, events, case.strategy, one).trades
    half = ff.trade(market, units_only(seed, 1.0)[1], case.strategy, one).trades
    np.testing.assert_array_equal(whole["net"], 2 * half["net"])
    np.testing.assert_array_equal(whole["r"], half["r"])


@cache
def walk(seed: int, bars: int, steps: int = 1200) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return rows (open, high, low, close) of a driftless walk and of its finer bars, five to a bar.

    In steps so small that a fill at a level, where the walk stepped over it, is no gift that counts.
    """
    rng = np.random.default_rng(seed)
    path = 1000 + np.cumsum(rng.normal(0, 0.4 / np.sqrt(steps), bars * steps))
    points = np.concatenate(([1000.0], path))

    def rows(width: int) -> npt.NDArray[np.float64]:
        inside = np.lib.stride_tricks.sliding_window_view(points, width + 1)[::width]
        return np.column_stack((inside[:, 0], inside.max(axis=1), inside.min(axis=1), inside[:, -1]))

    return rows(steps), rows(steps // 5)


@pytest.mark.parametrize("entry", ["market", "limit", "stop", "stop_limit"])
def test_on_a_driftless_walk_nothing_but_target_first_earns(entry: str) -> None:
    rows, finer = walk(11, 5_000)
    bars = make_bars([tuple(row) for row in rows.tolist()])
    fine = make_bars([tuple(row) for row in finer.tolist()])
    fine = replace(fine, ts=fine.ts // 5, interval=fine.interval // 5)
    market = Exchange(bars, fine=fine)
    rng = np.random.default_rng(5)
    at = np.arange(2, 4_990, 2)
    side = rng.choice([-1, 1], len(at))
    events = make_events(bars, [(int(k), EventKind.ZONE_NEAR, int(s), 0) for k, s in zip(at, side, strict=True)])
    close = bars.close[at]
    price = {"market": close, "limit": close - 0.3 * side}.get(entry, close + 0.3 * side)
    earned = {}
    for intrabar in ("worst", "path", "drill", "target_first"):
        account = Account(market, FREE.model_copy(update={"cash": 1e9, "intrabar": intrabar}), Policy())
        account.observe(events)
        plan = ff.Plan(
            side,
            size=1.0,
            size_rule="units",
            entry=entry,
            price=np.nan if entry == "market" else price,
            limit=price if entry == "stop_limit" else np.nan,
            stop=price - 0.25 * side,
            target=price + 0.25 * side,
        )
        account.place(checked(plan, events, "walk"), np.arange(len(at)))
        account.advance(len(bars) - 1)
        net = account.result().trades["net"]
        assert len(net) > 300
        earned[intrabar] = net.mean() / max(net.std() / np.sqrt(len(net)), 1e-9)  # the worst may be all alike
    assert max(earned["worst"], earned["path"], earned["drill"]) < 3
    if entry == "market":
        assert earned["target_first"] > 3  # so the test could have told


# --- The way to the next bar ---


@given(SEEDS, st.integers(1, 700))
def test_next_touch_is_the_first_bar_that_reaches_a_level(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    low = np.cumsum(rng.normal(0, 1, count))
    high = low + rng.exponential(1, count)
    index = extremes(high, low)
    for _ in range(20):
        up, down = rng.normal(0, 15, 2) + np.array([15.0, -15.0])
        up, down = (np.nan if rng.integers(5) == 0 else up), (np.nan if rng.integers(5) == 0 else down)
        start, stop = np.sort(rng.integers(0, count + 1, 2))
        met = np.flatnonzero((high[start:stop] >= up) | (low[start:stop] <= down))
        expected = start + met[0] if len(met) else stop
        assert next_touch(index, up, down, int(start), int(stop)) == expected
