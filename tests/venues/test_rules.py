"""Margin rules: the published vectors, the defining equation, and files that contradict themselves."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from forcedflow.errors import VenueError
from forcedflow.tables import Side
from forcedflow.venues import Rule, liquidation_price, load_venue, venue_names

LONG, SHORT = Side.LONG, Side.SHORT
CONTRACTS = [(name, symbol) for name in venue_names() for symbol in load_venue(name).symbols]


def prices(venue: str, symbol: str, entry: float, qty: float, leverage: float, at: str | None = None) -> list[float]:
    """Liquidation prices of a long and of a short."""
    found = [liquidation_price(venue, symbol, side, entry, qty, leverage, at).price for side in (LONG, SHORT)]
    return [price for price in found if price is not None]


# FACTS 2: venue, symbol, quantity, leverage, time, long, short; entry 60,000.
VECTORS = [
    ("binance-um", "BTCUSDT", 0.01, 10, None, 54_216.8675, 65_737.0518),
    ("binance-um", "BTCUSDT", 0.01, 100, None, 59_638.5542, 60_358.5657),
    ("binance-um", "BTCUSDT", 1, 10, None, 54_221.1055, 65_721.3930),
    ("binance-um", "BTCUSDT", 1, 25, None, 57_839.1960, 62_139.3035),
    ("binance-um", "BTCUSDT", 1, 100, None, 59_648.2412, 60_348.2587),
    ("bybit-linear", "BTCUSDT", 1, 10, None, 54_300, 65_700),
    ("bybit-linear", "BTCUSDT", 1, 25, None, 57_900, 62_100),
    ("bybit-linear", "BTCUSDT", 1, 100, None, 59_700, 60_300),
    ("bybit-inverse", "BTCUSD", 60_000, 10, "2025-06-01", 54_794.5205, 66_298.3425),
    ("bybit-inverse", "BTCUSD", 60_000, 10, "2026-06-01", 54_818.1818, 66_333.3333),
    ("okx-linear", "BTCUSDT", 1, 10, None, 54_244.0984, 65_704.3305),
    ("hyperliquid", "BTC", 1, 10, None, 54_683.5443, 65_185.1852),
    ("hyperliquid", "BTC", 1, 40, None, 59_240.5063, 60_740.7407),
]


class TestVectors:
    @pytest.mark.parametrize(("venue", "symbol", "qty", "leverage", "at", "long", "short"), VECTORS)
    def test_published(
        self, venue: str, symbol: str, qty: float, leverage: float, at: str | None, long: float, short: float
    ) -> None:
        assert prices(venue, symbol, 60_000, qty, leverage, at) == pytest.approx([long, short], abs=1e-4)

    def test_closed_forms_without_a_published_number(self) -> None:
        entry, L = 60_000.0, 10
        okx = [1.004 / (1 / entry + 1 / (entry * L)), 0.996 / (1 / entry - 1 / (entry * L))]
        assert prices("okx-inverse", "BTCUSD", entry, 100, L) == pytest.approx(okx, rel=1e-12)
        bitmex = [entry / (1 + 1 / L - 0.004), entry / (1 - 1 / L + 0.004)]
        assert prices("bitmex-inverse", "XBTUSD", entry, 60_000, L) == pytest.approx(bitmex, rel=1e-12)
        bankrupt = liquidation_price("bitmex-inverse", "XBTUSD", LONG, entry, 60_000, L).bankruptcy_price
        assert bankrupt == pytest.approx(entry / (1 + 1 / L), rel=1e-12)

    def test_bankruptcy_of_a_linear_long(self) -> None:
        assert liquidation_price("binance-um", "BTCUSDT", LONG, 60_000, 1, 10).bankruptcy_price == 54_000

    def test_silver_margin_call_moves_with_the_schedule(self) -> None:
        days = ("2026-01-14", "2026-01-29", "2026-02-03")  # T10
        calls = [liquidation_price("comex", "SI", LONG, 100, 5000, 5, day).price for day in days]
        assert calls == pytest.approx([87.912, 89.888, 94.118], abs=5e-4)

    @pytest.mark.parametrize(("day", "initial", "distance"), [("14", 0.099, 0.0099), ("29", 0.121, 0.0124)])
    def test_silver_at_initial_margin(self, day: str, initial: float, distance: float) -> None:
        call = liquidation_price("comex", "SI", LONG, 100, 5000, 1 / initial, f"2026-01-{day}").price
        assert call == pytest.approx(100 * (1 - distance), abs=5e-3)

    def test_silver_changes_after_the_close(self) -> None:
        before, after = (Rule.of("comex", "SI", f"2026-02-02T{t}Z").schedule for t in ("21:59:59", "22:00:00"))
        assert (before.brackets[0].rate, after.brackets[0].rate) == (0.11, 0.15)

    def test_cfd_close_out(self) -> None:
        assert prices("cfd-esma", "XAGUSD", 100, 10, 10) == pytest.approx([95, 105])
        assert prices("cfd-esma", "XAUUSD", 100, 10, 20) == pytest.approx([97.5, 102.5])


class TestBrackets:
    def test_the_bracket_is_the_one_at_the_liquidation_price(self) -> None:
        """T2: a short of 49,000 USDT at entry is liquidated above the cap of 50,000."""
        found = liquidation_price("binance-um", "BTCUSDT", SHORT, 49_000, 1, 10)
        assert found.bracket.rate == 0.005
        assert found.bracket.amount == 50
        assert found.price == pytest.approx(49_000 * (1 + 0.1 + 50 / 49_000) / 1.005)

    def test_a_long_moves_down_several_rows(self) -> None:
        """T2: 2m USDT at entry, hardly any of it borrowed: two rows lower at the liquidation price."""
        found = liquidation_price("binance-um", "BTCUSDT", LONG, 100_000, 20, 1.01)
        entry = Rule.of("binance-um", "BTCUSDT").bracket(2_000_000, 20)
        assert (entry.rate, found.bracket.rate) == (0.0065, 0.004)
        assert found.price == pytest.approx((2_000_000 - 2_000_000 / 1.01) / (1 - 0.004) / 20)

    def test_both_rows_of_a_cap_give_its_price(self) -> None:
        leverage = 1 / ((50_000 * 1.004) / 45_000 - 1)  # a short whose liquidation value is the cap
        found = liquidation_price("binance-um", "BTCUSDT", SHORT, 45_000, 1, leverage)
        assert found.price == pytest.approx(50_000, rel=1e-12)

    def test_schedules_are_versioned(self) -> None:
        old, new = (liquidation_price("binance-um", "BTCUSDT", LONG, 60_000, 10, 10, at) for at in ("2021-05-19", None))
        assert (old.bracket.rate, new.bracket.rate) == (0.01, 0.005)
        assert old.effective_from.year == 1970
        assert new.effective_from == datetime(2024, 10, 1, tzinfo=UTC)

    def test_okx_counts_contracts_and_has_no_amounts(self) -> None:
        found = liquidation_price("okx-linear", "ADAUSDT", LONG, 0.4, 2_000 * 100, 10, "2023-06-01")
        assert (found.bracket.rate, found.bracket.amount) == (0.0075, 0)
        assert found.price == pytest.approx(0.4 * 0.9 / (1 - 0.0075 - 0.0005))

    def test_inverse_caps_count_coin(self) -> None:
        with pytest.raises(VenueError, match=r"a position of 166\.667 exceeds the largest allowed, 150"):
            liquidation_price("bybit-inverse", "BTCUSD", LONG, 60_000, 10_000_000, 10)


@pytest.mark.parametrize(("venue", "symbol"), CONTRACTS)
def test_highest_leverage_liquidates_on_the_right_side_of_entry(venue: str, symbol: str) -> None:
    """T3: a 100x long (or the most the venue allows) ends below its entry, unlike in public maps."""
    rule = Rule.of(venue, symbol)
    qty = rule.quantity(1_000, 60_000)
    long, short = prices(venue, symbol, 60_000, qty, min(100, rule.max_leverage(60_000, qty)))
    assert long < 60_000 < short


@st.composite
def positions(draw: st.DrawFn) -> tuple[Rule, Side, float, float, float]:
    """A rule of any venue at any of its times, and a position that it accepts."""
    venue, symbol = draw(st.sampled_from(CONTRACTS))
    schedule = draw(st.sampled_from(load_venue(venue).symbols[symbol].schedules))
    rule = Rule.of(venue, symbol, schedule.effective_ns)
    entry = math.exp(draw(st.floats(math.log(0.05), math.log(200_000))))
    # Sizes across the rows, the last excepted where it ends: spread evenly over the table, not over size.
    caps = [row.cap or 1e9 for row in schedule.brackets]
    size = draw(st.floats(0.01, 0.999)) * draw(st.sampled_from(caps))
    contracts = size if schedule.caps_in == "contracts" else None
    unit = rule.value(entry, 1.0)
    qty = contracts * rule.face if contracts is not None else size / unit
    least = rule.bracket(rule.value(entry, qty), qty).rate + rule.venue.fee_in_maintenance
    limit = min(rule.max_leverage(entry, qty), 0.99 / least)
    return rule, draw(st.sampled_from(Side)), entry, qty, draw(st.floats(min(1.01, limit), limit))


@given(positions())
def test_equity_equals_maintenance_at_the_price(case: tuple[Rule, Side, float, float, float]) -> None:
    """The defining equation, from quantities and prices alone."""
    rule, side, entry, qty, leverage = case
    found = rule.liquidation_price(side, entry, qty, leverage)
    assume(found.price is not None)
    price = found.price or 0.0
    inverse = rule.venue.contract == "inverse"
    worth = [qty * rule.face / p if inverse else qty * p for p in (entry, price)]
    profit = side * qty * rule.face * (1 / entry - 1 / price) if inverse else side * qty * (price - entry)
    taken = worth[0] if rule.maintenance_on == "entry" else worth[1]
    size = taken if rule.schedule.caps_in == "value" else (qty if inverse else qty / rule.face)
    # Maintenance summed over the rows it passes through, without the amounts.
    if rule.schedule.caps_in == "value":
        edges = [0.0, *(row.cap or math.inf for row in rule.schedule.brackets)]
        edges[-1] = math.inf
        parts = [min(size, b) - a for a, b in itertools.pairwise(edges) if size > a]
        required = math.fsum(p * row.rate for p, row in zip(parts, rule.schedule.brackets, strict=False))
    else:
        required = taken * next(row.rate for row in rule.schedule.brackets if row.cap is None or size <= row.cap)
    required += taken * rule.venue.fee_in_maintenance
    assert worth[0] / leverage + profit - required == pytest.approx(0, abs=1e-9 * worth[0])
    assert rule.margin_at(side, entry, qty, price) == pytest.approx(worth[0] / leverage, abs=1e-9 * worth[0])


@given(positions(), st.floats(0.3, 0.999))
def test_higher_leverage_is_nearer(case: tuple[Rule, Side, float, float, float], share: float) -> None:
    rule, side, entry, qty, leverage = case
    near, far = (rule.liquidation_price(side, entry, qty, x).price for x in (leverage, leverage * share))
    assume(near is not None and far is not None)
    assert side * (entry - near) < side * (entry - far)  # type: ignore[operator]


@given(positions())
def test_bankruptcy_lies_beyond_liquidation(case: tuple[Rule, Side, float, float, float]) -> None:
    rule, side, entry, qty, leverage = case
    found = rule.liquidation_price(side, entry, qty, leverage)
    assume(found.price is not None and found.bankruptcy_price is not None)
    assert side * (found.price - found.bankruptcy_price) > 0  # type: ignore[operator]


@given(st.floats(1.2, 90), st.floats(0.001, 0.04))
def test_an_inverse_long_mirrors_a_linear_short(leverage: float, rate: float) -> None:
    """In 1/P an inverse long is a linear short: the same distance on the other side, for the same rate."""
    linear = Rule.of("okx-linear", "default")
    inverse = Rule.of("okx-inverse", "default")
    row = linear.schedule.brackets[0].model_copy(update={"rate": min(rate, 0.9 / leverage)})
    schedule = linear.schedule.model_copy(update={"brackets": (row,)})
    free = linear.venue.model_copy(update={"fee_in_maintenance": 0.0})
    short, _ = Rule(free, "default", 1.0, schedule).liquidation(SHORT, 100.0, 1.0, 100 / leverage)
    long, _ = Rule(inverse.venue, "default", 1.0, schedule).liquidation(LONG, 100.0, 1.0, 0.01 / leverage)
    assert math.log(short or 0) - math.log(100) == pytest.approx(math.log(100) - math.log(long or 0), rel=1e-9)


class TestPositions:
    def test_extra_margin_moves_the_price_away(self) -> None:
        found = liquidation_price("bybit-linear", "BTCUSDT", LONG, 60_000, 2, 10, extra_margin=1_000)
        assert found.price == pytest.approx(54_300 - 1_000 / 2)

    @pytest.mark.parametrize(
        ("venue", "symbol", "side"), [("hyperliquid", "BTC", LONG), ("okx-inverse", "BTCUSD", SHORT)]
    )
    def test_without_borrowed_money_there_is_no_price(self, venue: str, symbol: str, side: Side) -> None:
        found = liquidation_price(venue, symbol, side, 60_000, 1, 1)
        assert found.price is None
        assert found.bankruptcy_price is None

    def test_a_default_is_flagged(self) -> None:
        assert liquidation_price("binance-um", "PEPEUSDT", LONG, 1, 1, 10).assumed
        assert liquidation_price("binance-um", "XAGUSDT", LONG, 30, 100, 50).assumed
        assert not liquidation_price("binance-um", "BTCUSDT", LONG, 60_000, 1, 10).assumed

    def test_times(self) -> None:
        ns = 1_769_644_800_000_000_000
        times = [datetime(2026, 1, 29, tzinfo=UTC), ns, np.int64(ns), "2026-01-29", "2026-01-29T02:00+02:00"]
        same = [Rule.of("comex", "SI", at).schedule for at in times]  # type: ignore[arg-type]
        assert all(schedule == same[0] for schedule in same)
        assert same[0].brackets[0].rate == 0.11

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("mtgox", "BTC", LONG, 1, 1, 1), "no venue 'mtgox'; shipped: binance-um, "),
            (("comex", "HG", LONG, 1, 1, 1), "comex: no margin rule for 'HG'; known: SI, GC"),
            (("hyperliquid", "BTC", LONG, 60_000, 1, 50), "50x exceeds the maximum of 40x for a position of 60,000"),
            (("hyperliquid", "BTC", LONG, 60_000, 3_000, 40), "exceeds the maximum of 20x"),
            (("binance-um", "BTCUSDT", LONG, 60_000, 1e6, 1), "exceeds the largest allowed, 1.8e[+]09"),
            (("okx-linear", "ADAUSDT", LONG, 1, 2_000_000, 60), "60x leaves no margin above the maintenance of 0.0255"),
            (("binance-um", "BTCUSDT", LONG, -1, 1, 10), "entry must be a positive finite number, was -1"),
            (("binance-um", "BTCUSDT", LONG, 1, math.nan, 10), "qty must be a positive finite number, was nan"),
            (("binance-um", "BTCUSDT", LONG, 1, 1, math.inf), "leverage must be a positive finite number, was inf"),
            (
                ("binance-um", "XAGUSDT", LONG, 1, 1, 1, "2026-01-07"),
                "no schedule at 2026-01-07; the first is effective from",
            ),
            (("comex", "SI", LONG, 1, 1, 1, "2026-01-07T10:00"), "has no time zone"),
            (("comex", "SI", LONG, 1, 1, 1, "yesterday"), "'yesterday' is no ISO date or time"),
        ],
    )
    def test_refusals_say_what(self, arguments: tuple[object, ...], message: str) -> None:
        with pytest.raises(VenueError, match=message):
            liquidation_price(*arguments)  # type: ignore[arg-type]

    def test_negative_extra_margin(self) -> None:
        with pytest.raises(VenueError, match="extra_margin must be"):
            liquidation_price("comex", "SI", LONG, 100, 1, 5, extra_margin=-1)


VENUE = """
id = "mine"
title = "Mine"
contract = "linear"
trigger = "mark"
maintenance_on = "mark"
source = "me"
fees = {{ maker = 0, taker = 0.001, liquidation = 0, source = "me" }}
[[symbols.ABC.schedules]]
effective_from = {start}
source = "me"
brackets = [{rows}]
{more}
"""
MORE = """
[[symbols.{symbol}.schedules]]
effective_from = 2019-01-01T00:00:00Z
source = "me"
brackets = [{{ rate = 0.1 }}]
"""
ROWS = "{ cap = 100, rate = 0.01, max_leverage = 20 }, { cap = 200, rate = 0.02, amount = 1 }"


def venue_file(folder: Path, rows: str = ROWS, start: str = "2020-01-01T00:00:00Z", more: str = "") -> str:
    path = folder / "mine.toml"
    path.write_text(VENUE.format(rows=rows, start=start, more=more))
    return str(path)


class TestFiles:
    def test_shipped(self) -> None:
        assert set(venue_names()) == {
            "binance-um", "bitmex-inverse", "bybit-inverse", "bybit-linear", "cfd-esma", "comex", "hyperliquid",
            "okx-inverse", "okx-linear",
        }  # fmt: skip
        for name in venue_names():
            venue = load_venue(name)
            assert venue.id == name
            assert 0 <= venue.fees.taker < 0.001

    def test_a_users_own(self, tmp_path: Path) -> None:
        found = liquidation_price(venue_file(tmp_path), "ABC", LONG, 150, 1, 5)
        assert found.price == pytest.approx((150 - 30 - 1) / 0.98)
        assert found.venue == "mine"

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ("{ cap = 100, rate = 0.01 }, { cap = 200, rate = 0.02, amount = 2 }",
             r"mine\.toml: symbols\.ABC\.schedules\.0\.brackets: .*bracket 2 \(cap 200\) has amount 2, but .* give 1"),
            ("{ cap = 100, rate = 0.01, amount = 1 }", r"bracket 1 \(cap 100\) has amount 1, but its rates give 0"),
            ("{ cap = 100, rate = 0.01 }, { cap = 90, rate = 0.02 }", r"bracket 2 \(cap 90\) must exceed .* 100"),
            ("{ cap = 100, rate = 0.01 }, { cap = 200, rate = 0.01 }", "must exceed the rate before, 0.01"),
            ("{ rate = 0.01 }, { cap = 200, rate = 0.02 }", r"bracket 2 \(cap 200\) follows one without a cap"),
            ("{ cap = 100, rate = 1.5 }", r"brackets\.0\.rate: Input should be less than 0.9, was 1.5"),
            ("{ cap = 100, rate = 0.01, leverage = 5 }", r"brackets\.0\.leverage: unknown"),
            ("", r"symbols\.ABC\.schedules\.0\.brackets"),
        ],
    )  # fmt: skip
    def test_contradictions_name_file_symbol_and_bracket(self, tmp_path: Path, rows: str, message: str) -> None:
        with pytest.raises(VenueError, match=message):
            load_venue(venue_file(tmp_path, rows))

    @pytest.mark.parametrize("start", ["2020-01-01T00:00:00", "2020-01-01"])
    def test_naive_times_are_refused(self, tmp_path: Path, start: str) -> None:
        with pytest.raises(VenueError, match=r"effective_from: .*timezone"):
            load_venue(venue_file(tmp_path, start=start))

    def test_schedules_in_order(self, tmp_path: Path) -> None:
        earlier = MORE.format(symbol="ABC")
        with pytest.raises(VenueError, match=r"symbols\.ABC: .*ordered by effective_from"):
            load_venue(venue_file(tmp_path, more=earlier))

    def test_a_default_must_say_that_it_is_assumed(self, tmp_path: Path) -> None:
        more = MORE.format(symbol="default")
        with pytest.raises(VenueError, match=r"symbols\.default: every schedule must say assumed = true"):
            load_venue(venue_file(tmp_path, more=more))

    def test_bad_toml(self, tmp_path: Path) -> None:
        with pytest.raises(VenueError, match=r"mine\.toml: not valid TOML: .*line 12"):
            load_venue(venue_file(tmp_path, rows="oops"))

    def test_missing_file(self) -> None:
        with pytest.raises(VenueError, match=r"give the path of a \.toml file"):
            load_venue("nowhere/none.toml")
