"""Holder profiles: thresholds, and what a change of margin does to them."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forcedflow.errors import VenueError
from forcedflow.tables import Side
from forcedflow.venues import (
    Profile,
    Rule,
    liquidation_price,
    load_profile,
    load_venue,
    profile_names,
    schedule_changes,
    thresholds,
    venue_names,
)

CONTRACTS = [(name, symbol) for name in venue_names() for symbol in load_venue(name).symbols]
FOREVER = (0, 2**62)


def tiers(*leverages: float, notional: float = 20_000) -> Profile:
    rows = [{"leverage": x, "weight": 1 / len(leverages), "notional": notional} for x in leverages]
    return Profile.model_validate({"name": "mine", "title": "", "source": "me", "tiers": rows})


class TestShipped:
    def test_names(self) -> None:
        assert set(profile_names()) == {
            "cfd-retail", "futures-margin", "hyperliquid-distances", "hyperliquid-like", "peers", "simulated",
            "uniform-distance",
        }  # fmt: skip
        assert all(load_profile(name).name == name for name in profile_names())

    @pytest.mark.parametrize("name", profile_names())
    @pytest.mark.parametrize(("venue", "symbol"), CONTRACTS)
    def test_each_has_thresholds_everywhere(self, name: str, venue: str, symbol: str) -> None:
        found = thresholds(load_profile(name), venue, symbol)
        assert np.all(found.long_offsets < 0)
        assert np.all(found.short_offsets > 0)
        for offsets, weights in ((found.long_offsets, found.long_weights), (found.short_offsets, found.short_weights)):
            assert np.all(np.diff(np.abs(offsets)) >= 0)
            assert weights.sum() == pytest.approx(1, abs=1e-12)
            assert offsets.dtype == weights.dtype == np.float64
            assert not offsets.flags.writeable

    def test_measured_distances(self) -> None:
        found = load_profile("hyperliquid-distances").distances
        assert found is not None

        def between(a: float, b: float) -> float:
            return math.fsum(row.weight for row in found.long if a < row.distance <= b)

        bands = [between(0.30, 1), between(0.2, 0.3), between(0.15, 0.2), between(0.1, 0.15), between(0.07, 0.1)]
        assert bands == pytest.approx([0.231, 0.151, 0.108, 0.043, 0.148])  # FACTS 3.1
        assert between(0, 0.0532) == pytest.approx(0.1)
        below = [math.fsum(row.weight for row in found.short if row.distance < q) for q in (0.0193, 0.0793, 0.3246)]
        assert below == pytest.approx([0.1, 0.5, 0.9])


class TestThresholds:
    def test_they_are_liquidation_prices(self) -> None:
        found = thresholds(load_profile("peers"), "binance-um", "BTCUSDT")
        prices = [
            liquidation_price("binance-um", "BTCUSDT", Side.LONG, 60_000, 20_000 / 60_000, x).price
            for x in (100, 50, 25, 10, 5)
        ]
        assert np.exp(found.long_offsets) * 60_000 == pytest.approx(np.array(prices), rel=1e-12)
        assert found.long_weights.tolist() == [0.1, 0.2, 0.25, 0.3, 0.15]
        assert found.capped == 0

    @given(st.floats(0.001, 1e6), st.floats(1_000, 4e6))
    def test_linear_ones_do_not_depend_on_entry(self, entry: float, notional: float) -> None:
        profile = tiers(2, 5, 20, notional=notional)
        here = thresholds(profile, "binance-um", "BTCUSDT", reference_entry=entry)
        there = thresholds(profile, "binance-um", "BTCUSDT")
        assert here.long_offsets == pytest.approx(there.long_offsets, abs=1e-12)
        assert here.short_offsets == pytest.approx(there.short_offsets, abs=1e-12)

    @given(st.floats(1_000, 1e6))
    def test_nor_do_inverse_ones_within_the_first_row(self, entry: float) -> None:
        here = thresholds(tiers(2, 20), "bybit-inverse", "BTCUSD", reference_entry=entry)
        assert here.long_offsets == pytest.approx(thresholds(tiers(2, 20), "bybit-inverse", "BTCUSD").long_offsets)

    def test_distances_are_taken_as_measured(self) -> None:
        found = thresholds(load_profile("uniform-distance"), "bybit-inverse", "BTCUSD")
        assert found.long_offsets == pytest.approx(np.log1p(-np.arange(1, 31) / 100))
        assert found.short_offsets == pytest.approx(np.log1p(np.arange(1, 31) / 100))

    def test_leverage_beyond_the_venues_is_taken_at_its_highest_and_told(self) -> None:
        found = thresholds(load_profile("hyperliquid-like"), "hyperliquid", "BTC")
        assert found.capped == pytest.approx(0.04)
        expected = liquidation_price("hyperliquid", "BTC", Side.LONG, 60_000, 1, 40).price
        assert found.long_offsets[0] == pytest.approx(math.log((expected or 0) / 60_000))

    def test_they_follow_the_schedule(self) -> None:
        at = load_venue("comex").symbols["SI"].schedules[-1].effective_ns
        before, after = (thresholds(tiers(5), "comex", "SI", t) for t in (at - 1, at))
        assert np.exp([before.long_offsets[0], after.long_offsets[0]]) == pytest.approx([0.89888, 0.94118], abs=1e-5)
        assert after.effective_ns == at

    @pytest.mark.parametrize(
        ("venue", "symbol", "profile", "message"),
        [
            ("hyperliquid", "BTC", tiers(1, 2), r"profile mine, tier 1 \(1x\): no price liquidates a long of 1x"),
            ("bybit-inverse", "BTCUSD", tiers(1), r"no price liquidates a short of 1x on bybit-inverse"),
            ("binance-um", "BTCUSDT", tiers(2, notional=2e9), r"tier 1 \(2x\): .*exceeds the largest allowed"),
        ],
    )
    def test_a_tier_that_cannot_be_liquidated_is_named(
        self, venue: str, symbol: str, profile: Profile, message: str
    ) -> None:
        with pytest.raises(VenueError, match=message):
            thresholds(profile, venue, symbol)


class TestScheduleChanges:
    def test_silver(self) -> None:
        """Every open long moves by ln((1-m0)/(1-m1)), every short by -ln((1+m1)/(1+m0))."""
        for name in ("futures-margin", "hyperliquid-distances"):
            changes = schedule_changes(load_profile(name), "comex", "SI", *FOREVER)
            rates = [0.09, 0.09, 0.11, 0.15]
            for change, (m0, m1) in zip(changes, itertools.pairwise(rates), strict=True):
                assert change.shift_long == pytest.approx(math.log((1 - m0) / (1 - m1)), abs=1e-12)
                assert change.shift_short == pytest.approx(-math.log((1 + m1) / (1 + m0)), abs=1e-12)
            assert changes[-1].shift_long is not None
            assert changes[-1].shift_long > 0

    def test_an_open_position_keeps_its_margin(self) -> None:
        """T10: 89.888 moves to 94.118 for a position opened with 20%, with no trade."""
        change = schedule_changes(tiers(5), "comex", "SI", *FOREVER)[-1]
        assert change.shift_long is not None
        assert 89.8876 * math.exp(change.shift_long) == pytest.approx(94.1176, abs=1e-4)

    def test_the_window_is_open_at_its_start(self) -> None:
        at = load_venue("comex").symbols["SI"].schedules[2].effective_ns
        profile = tiers(5)
        assert not schedule_changes(profile, "comex", "SI", at, at)
        assert [c.at for c in schedule_changes(profile, "comex", "SI", at - 1, at)] == [at]

    def test_inverse_on_the_mark(self, tmp_path: Path) -> None:
        rates = (0.004, 0.01)
        schedules = "".join(
            f'[[symbols.X.schedules]]\neffective_from = {2020 + k}-01-01T00:00:00Z\nsource = "me"\n'
            f"brackets = [{{ rate = {rate} }}]\n"
            for k, rate in enumerate(rates)
        )
        path = tmp_path / "inverse.toml"
        head = 'id = "i"\ntitle = ""\ncontract = "inverse"\ntrigger = "mark"\nmaintenance_on = "mark"\nsource = "me"\n'
        fees = 'fees = { maker = 0, taker = 0, liquidation = 0, source = "me" }\n'
        path.write_text(head + fees + schedules)
        (change,) = schedule_changes(tiers(2, 10, 50), str(path), "X", *FOREVER)
        assert change.shift_long == pytest.approx(math.log((1 + rates[1]) / (1 + rates[0])), abs=1e-12)
        assert change.shift_short == pytest.approx(-math.log((1 - rates[0]) / (1 - rates[1])), abs=1e-12)

    def test_where_positions_do_not_move_alike_there_is_no_shift(self) -> None:
        """2m USDT: 1% with 1,300 became .65% with 950; and maintenance on entry moves each leverage differently."""
        (change,) = schedule_changes(tiers(2, 10, notional=2e6), "binance-um", "BTCUSDT", *FOREVER)
        assert change.shift_long is None
        (entry,) = schedule_changes(tiers(2, 10), "bitmex-inverse", "XBTUSD", *FOREVER)
        assert (entry.shift_long, entry.shift_short) == (None, None)
        assert entry.thresholds.effective_ns == entry.at

    def test_no_change_of_ones_own_bracket_is_no_shift(self) -> None:
        (change,) = schedule_changes(load_profile("hyperliquid-like"), "binance-um", "BTCUSDT", *FOREVER)
        assert (change.shift_long, change.shift_short) == (0, 0)

    @given(st.floats(1.2, 9), st.sampled_from(Side))
    def test_a_shift_is_what_repricing_gives(self, leverage: float, side: Side) -> None:
        rules = [Rule.of("comex", "SI", at) for at in ("2026-01-29", "2026-02-03")]
        old, new = (rule.liquidation(side, 80.0, 5000, 80 * 5000 / leverage)[0] for rule in rules)
        change = schedule_changes(tiers(5), "comex", "SI", *FOREVER)[-1]
        shift = change.shift_long if side is Side.LONG else change.shift_short
        assert math.log((new or 0) / (old or 1)) == pytest.approx(shift, abs=1e-12)


PROFILE = 'name = "mine"\ntitle = "Mine"\nsource = "me"\n'
TIERS = "tiers = [{ leverage = 5, weight = 0.4, notional = 1 }, { leverage = 9, weight = 0.6, notional = 1 }]\n"


class TestFiles:
    def test_a_users_own(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.toml"
        stops = "\n".join(
            [
                '[[stops]]\nkind = "atr"\nshare = 0.5\nmultiple = 2',
                '[[stops]]\nkind = "round"\nshare = 0.2\nstep = 100\nbeyond_bps = 5',
                '[[stops]]\nkind = "swing"\nshare = 0.3\nbeyond_bps = 5',
            ]
        )
        path.write_text(PROFILE + TIERS + stops)
        assert [stop.kind for stop in load_profile(str(path)).stops] == ["atr", "round", "swing"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (TIERS.replace("0.6", "0.5"), "profile mine: weights of tiers must sum to 1, not 0.9"),
            ("", "profile mine: give either tiers or distances"),
            (
                "[distances]\nnotional = 1\nlong = [{ distance = 0.1, weight = 1 }]\n"
                "short = [{ distance = 0.1, weight = 0.5 }]",
                "weights of distances.short must sum to 1, not 0.5",
            ),
            (
                "[distances]\nnotional = 1\nlong = [{ distance = 1.0, weight = 1 }]\n"
                "short = [{ distance = 1.0, weight = 1 }]",
                "distances.long must be below 1",
            ),
            (
                TIERS
                + 'stops = [{ kind = "atr", share = 0.7, multiple = 1 }, { kind = "atr", share = 0.4, multiple = 2 }]',
                "profile mine: shares of stops must sum to at most 1, not 1.1",
            ),
            (TIERS + 'stops = [{ kind = "hunch", share = 0.7 }]', r"mine\.toml: stops\.0: .*'atr', 'round', 'swing'"),
            (TIERS + "wieght = 1", r"wieght: unknown"),
            (
                TIERS + "fitted_window = { start = 2020-01-01T00:00:00, end = 2021-01-01T00:00:00Z }",
                r"fitted_window\.start",
            ),
            ("tiers = [", r"mine\.toml: not valid TOML"),
        ],
    )
    def test_contradictions_are_named(self, tmp_path: Path, text: str, message: str) -> None:
        path = tmp_path / "mine.toml"
        path.write_text(PROFILE + text)
        with pytest.raises(VenueError, match=message):
            load_profile(str(path))

    def test_unknown_name(self) -> None:
        with pytest.raises(VenueError, match="no profile 'whales'; shipped: cfd-retail, "):
            load_profile("whales")
