"""The blind contrasts: zero where the map knows nothing, found where it does, honest about chance."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import forcedflow as ff
from forcedflow.data.bars import Bars
from forcedflow.data.series import Dataset
from forcedflow.market.tape import Tape
from forcedflow.settings import AccountSettings, MarketSettings
from forcedflow.tables import EventKind, MapSnapshots
from forcedflow.trading import blind
from forcedflow.trading.blind import blind_accounts, contrasts, day_bootstrap
from forcedflow.trading.desk import trade
from forcedflow.trading.exchange import Exchange
from forcedflow.trading.orders import Plan
from forcedflow.trading.strategy import Strategy, ask
from trading.market import make_events

MINUTE = 60_000_000_000
FREE = AccountSettings(maker_fee=0, taker_fee=0, half_spread_bps=0)
STEP = 30 * MINUTE
DAY_BARS = 48


class FromTape(Strategy):
    """Enter at the market, with the stop and target that the event names (far, peak)."""

    listens: ClassVar[tuple[EventKind, ...]] = (EventKind.ZONE_ENTRY,)

    entry: str = "market"

    def plan(self, events: ff.Events) -> Plan:
        price = np.nan if self.entry == "market" else events.near
        return Plan(
            events.side,
            entry=self.entry,
            price=price,
            stop=events.far,
            target=events.peak,
            size=0.01,
            hold=40,
            expiry=3,
        )


def walk(rng: np.random.Generator, days: int, sigma: float = 0.002) -> Bars:
    """Make bars of half an hour of a random walk with steps of ``sigma``, the highs and lows those of a finer one."""
    fine = rng.normal(0, sigma / 4, (days * DAY_BARS, 16))
    path = np.log(100) + np.cumsum(fine.ravel()).reshape(fine.shape)
    first = path[:, 0] - fine[:, 0]
    prices = {"open": first, "high": np.maximum(first, path.max(1)), "low": np.minimum(first, path.min(1))}
    return bars_of({name: np.exp(column) for name, column in prices.items()} | {"close": np.exp(path[:, -1])})


def bars_of(prices: dict[str, npt.NDArray[np.float64]]) -> Bars:
    ts = STEP * np.arange(len(prices["close"]), dtype=np.int64)
    return Bars.from_columns({"ts": ts, "volume": np.ones(len(ts)), **prices}, STEP)[0]


def tape_of(bars: Bars, events: ff.Events, atr: npt.ArrayLike) -> Tape:
    none = np.empty(0, np.int64)
    return Tape(
        dataset=Dataset("made", "made", bars, ()),
        settings=MarketSettings(),
        events=events,
        market_bars={
            "atr": np.broadcast_to(np.asarray(atr, dtype=np.float64), len(bars)),
            "vol_long": np.zeros(len(bars)),
            "volume_average": np.zeros(len(bars)),
        },
        snapshots=MapSnapshots(none, none, none, 1e-3, np.empty((0, 4, 0), np.float32), np.empty(0)),
        notes=(),
    )


def entries(
    bars: Bars,
    at: npt.NDArray[np.int64],
    side: npt.NDArray[np.int64],
    stop: npt.ArrayLike,
    target: npt.ArrayLike,
    atr: npt.ArrayLike = 0.004,
    near: npt.ArrayLike = np.nan,
) -> ff.Events:
    """Make ZoneEntry events with stop and target so many ATR from the close."""
    atr = np.broadcast_to(np.asarray(atr, dtype=np.float64), len(at))
    rows = [(int(b), EventKind.ZONE_ENTRY, int(s), k + 1) for k, (b, s) in enumerate(zip(at, side, strict=True))]
    close = bars.close[at]
    made = make_events(
        bars,
        rows,
        atr=atr,
        near=near,
        far=close * np.exp(-side * np.asarray(stop) * atr),
        peak=close * np.exp(side * np.asarray(target) * atr),
    )
    return made.replace(ts=bars.close_ts[at])


def random_case(seed: int, orders: int = 60, days: int = 40, sigma: float = 0.002) -> tuple[Bars, Any, Any, Any]:
    rng = np.random.default_rng(seed)
    bars = walk(rng, days, sigma)
    at = np.sort(rng.choice(len(bars) - 50, orders, replace=False))
    return bars, at, rng.choice([-1, 1], orders), rng


# --- The bootstrap ---


@given(st.integers(0, 2**32 - 1))
def test_the_bootstrap_is_a_loop_over_drawn_days(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.normal(1, 2, rng.integers(1, 30)), rng.normal(0, 1, rng.integers(1, 60))
    one_days, other_days = rng.integers(0, 6, len(one)), rng.integers(0, 6, len(other))
    days = sorted({*one_days, *other_days})
    low, high, error = day_bootstrap(one, one_days, other, other_days, np.random.default_rng(seed))

    drawn = np.random.default_rng(seed).multinomial(len(days), [1 / len(days)] * len(days), blind.RESAMPLES)
    differences = []
    for counts in drawn:
        times = dict(zip(days, counts, strict=True))
        mine = [value for value, day in zip(one, one_days, strict=True) for _ in range(times[day])]
        theirs = [value for value, day in zip(other, other_days, strict=True) for _ in range(times[day])]
        if mine and theirs:
            differences.append(sum(mine) / len(mine) - sum(theirs) / len(theirs))
    assert (low, high) == pytest.approx(tuple(np.percentile(differences, [2.5, 97.5])))
    assert error == pytest.approx(np.std(differences), abs=1e-12)


def test_the_interval_covers_the_truth() -> None:
    """Values that share their day's shock: resampling them one by one would cover far less than 95%."""
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        days, other_days = np.repeat(np.arange(40), 4), np.repeat(np.arange(40), 8)
        one = 0.5 + rng.normal(0, 1, 40)[days] + rng.normal(0, 0.5, 160)
        other = rng.normal(0, 1, 40)[other_days] + rng.normal(0, 0.5, 320)
        low, high, _ = day_bootstrap(one, days, other, other_days, rng)
        covered += low <= 0.5 <= high
    assert 0.89 <= covered / 200 <= 0.99


# --- Placement ---


@given(st.integers(0, 2**32 - 1), st.sampled_from(["market", "limit"]))
def test_placement_says_nothing_where_all_distances_are_equal(seed: int, entry: str) -> None:
    bars, at, side, _ = random_case(seed, orders=30, days=10)
    limit = bars.close[at] * np.exp(-0.3 * side * 0.004)
    reference = bars.close[at] if entry == "market" else limit
    events = entries(bars, at, side, 1, 1, near=limit)
    stop, target = reference * np.exp(-2 * side * 0.004), reference * np.exp(3 * side * 0.004)
    events = events.replace(far=stop, peak=target)
    found = contrasts(tape_of(bars, events, 0.004), FromTape(entry=entry), AccountSettings())
    assert found["placement"] is None  # dealing them changes nothing but rounding, which must not look like an effect


def test_placement_is_centred_on_zero_where_distances_know_nothing() -> None:
    inside, means = 0, []
    for seed in range(60):
        bars, at, side, rng = random_case(seed)
        events = entries(bars, at, side, rng.uniform(0.5, 3, 60), rng.uniform(0.5, 3, 60))
        found = contrasts(tape_of(bars, events, 0.004), FromTape(), FREE)["placement"]
        inside += found["low"] <= 0 <= found["high"]
        means.append(found["mean"])
    assert inside / 60 >= 0.85
    assert abs(np.mean(means)) < 3 * np.std(means) / np.sqrt(60)


def waves(days: int, rng: np.random.Generator) -> tuple[Bars, npt.NDArray[np.int64], Any, Any]:
    """Make a market that, after each entry, first moves against it by a depth that differs, then far in its favour."""
    moves = np.zeros(days * DAY_BARS)
    at = np.arange(10, len(moves) - 30, 24)
    side, depth = rng.choice([-1, 1], len(at)), rng.choice([0.5, 3.0], len(at))  # ATR
    for bar, s, d in zip(at, side, depth, strict=True):
        moves[bar + 2] = -s * d * 0.004
        moves[bar + 4] = s * (d + 4) * 0.004
        moves[bar + 10] = -s * 4 * 0.004
    close = 100 * np.exp(np.cumsum(moves))
    open_ = np.concatenate(([100.0], close[:-1]))
    prices = {"open": open_, "high": np.maximum(open_, close), "low": np.minimum(open_, close), "close": close}
    return bars_of(prices), at, side, depth


def test_stops_that_know_the_market_help() -> None:
    bars, at, side, depth = waves(30, np.random.default_rng(3))
    events = entries(bars, at, side, depth + 0.25, 3.5)
    found = contrasts(tape_of(bars, events, 0.004), FromTape(), FREE)["placement"]
    assert found["n"] == len(at)
    assert 0 < found["low"] < found["mean"] < found["high"]
    blunt = contrasts(tape_of(bars, entries(bars, at, side, 3.75 - depth, 3.5), 0.004), FromTape(), FREE)["placement"]
    assert blunt["high"] < 0  # the same distances, each at the wrong entry


def test_placement_is_the_mean_of_own_less_dealt_and_keeps_the_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each deal trades the strategy's own orders, with stops and targets of its own orders, in ATR, mirrored."""
    bars, at, side, rng = random_case(5, orders=25, days=20)
    stops, targets = rng.uniform(0.5, 3, 25), rng.uniform(0.5, 3, 25)
    tape = tape_of(bars, entries(bars, at, side, stops, targets), 0.004)
    traded: list[tuple[Any, Any]] = []
    original = blind._Ledger.trade

    def spied(self: Any, events: Any, rows: Any, asked: Any, *rest: Any) -> Any:
        traded.append((asked, original(self, events, rows, asked, *rest)))
        return traded[-1][1]

    monkeypatch.setattr(blind._Ledger, "trade", spied)
    found = contrasts(tape, FromTape(), FREE)["placement"]
    (own, result), deals = traded[0], traded[1 : 1 + blind.DRAWS]
    for asked, _ in deals:
        for same in ("side", "kind", "size", "hold", "expiry", "group"):
            np.testing.assert_array_equal(getattr(asked, same), getattr(own, same))
        pairs = [(-side * np.log(x.stop / bars.close[at]) / 0.004).round(9) for x in (own, asked)]
        others = [(side * np.log(x.target / bars.close[at]) / 0.004).round(9) for x in (own, asked)]
        dealt = set(zip(pairs[1], others[1], strict=True))  # a stop is dealt together with its target
        assert dealt == set(zip(pairs[0], others[0], strict=True))
    mean = np.nanmean(result) - np.mean([np.mean(outcome) for _, outcome in deals])
    assert found["mean"] == pytest.approx(mean)


# --- Selection ---


def test_selection_finds_a_planted_edge_and_nothing_where_there_is_none() -> None:
    inside = 0
    for seed in range(30):
        bars, at, side, _ = random_case(seed)
        found = contrasts(tape_of(bars, entries(bars, at, side, 2, 2), 0.004), FromTape(), FREE)["selection"]
        inside += found["low"] <= 0 <= found["high"]
    assert inside >= 25

    bars, at, side, _ = random_case(7)
    ahead = np.sign(np.log(bars.close[at + 40] / bars.close[at]))
    knowing = entries(bars, at, ahead.astype(np.int64), 2, 2)
    found = contrasts(tape_of(bars, knowing, 0.004), FromTape(), FREE)["selection"]
    assert found["low"] > 0.2
    assert found["n"] == 60


@given(st.integers(0, 2**32 - 1))
def test_blind_entries_match_hour_and_volatility(seed: int) -> None:
    bars, at, side, rng = random_case(seed, orders=20, days=12)
    atr = 0.004 * np.exp(rng.normal(0, 0.4, len(bars)))
    tape = tape_of(bars, entries(bars, at, side, 2, 2, atr=atr[at]), atr)
    strategy = FromTape()
    ledger = blind._Ledger(tape, tape.events, ask(strategy, tape.events), FREE)
    like, bar = blind._matches(ledger, rng)
    hour, day = bars.close_ts // 3_600_000_000_000 % 24, 86_400_000_000_000 // bars.interval
    for order in range(20):
        own, drawn = at[order], bar[like == order]
        fits = {
            k for k in range(at[0], len(bars))
            if abs(k - own) > day and hour[k] == hour[own] and atr[own] / 1.25 <= atr[k] <= atr[own] * 1.25
        }  # fmt: skip
        assert set(drawn) <= fits
        assert len(drawn) == (blind.DRAWS if fits else 0)


def test_orders_without_their_like_are_left_out_of_both_sides() -> None:
    bars, at, side, _ = random_case(3)
    atr = np.full(len(bars), 0.004)
    atr[at[::6]] = 0.4  # crashes: each order traded there loses or wins a hundred ATR of the others
    atr[at[::6]] *= 2.0 ** np.arange(10)  # and no two are alike
    found = contrasts(tape_of(bars, entries(bars, at, side, 2, 2, atr=atr[at]), atr), FromTape(), FREE)["selection"]
    assert found["n"] == 50


def test_blind_entries_keep_side_and_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    bars, at, side, rng = random_case(11, orders=20, days=20)
    limit = bars.close[at] * np.exp(-0.2 * side * 0.004)
    tape = tape_of(bars, entries(bars, at, side, rng.uniform(1, 3, 20), rng.uniform(1, 3, 20), near=limit), 0.004)
    traded: list[Any] = []
    original = blind._Ledger.trade
    monkeypatch.setattr(blind._Ledger, "trade", lambda *a: traded.append(a) or original(*a))  # type: ignore[func-returns-value]
    contrasts(tape, FromTape(entry="limit"), FREE)
    _, events, _, asked, reference, atr = traded[-1]
    own = traded[-2][3]
    mine = {
        (s, *np.round([np.log(p / c), np.log(t / p), np.log(g / p)], 9))
        for s, p, t, g, c in zip(own.side, own.price, own.stop, own.target, bars.close[at], strict=True)
    }
    theirs = {
        (s, *np.round([np.log(p / c), np.log(t / p), np.log(g / p)], 9))
        for s, p, t, g, c in zip(asked.side, asked.price, asked.stop, asked.target, bars.close[events.bar], strict=True)
    }
    assert theirs <= mine
    assert len(theirs) > 15
    assert (atr == 0.004).all()
    np.testing.assert_array_equal(reference, asked.price)


# --- Whole accounts ---


def test_accounts_blind_in_nothing_are_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Distances that stay where they are, and entries at their own bars, give the run's own equity."""
    bars, at, side, rng = random_case(5, orders=25, days=20)
    stops, targets = rng.uniform(0.5, 3, 25), rng.uniform(0.5, 3, 25)
    tape = tape_of(bars, entries(bars, at, side, stops, targets), 0.004)
    settings, strategy = AccountSettings(), FromTape(conflict="add", max_open=3)
    own = trade(Exchange.of(tape), tape.events, strategy, settings).equity
    monkeypatch.setattr(blind._Ledger, "dealt", lambda self, _: self.asked)
    monkeypatch.setattr(
        blind, "_matches", lambda *_: (np.repeat(np.arange(25), blind.DRAWS), np.repeat(at, blind.DRAWS))
    )
    told = contrasts(tape, strategy, settings)
    assert None not in told.values()
    found = blind_accounts(tape, strategy, settings, told)
    np.testing.assert_array_equal(found["ts"], own["ts"][found["bar"]])
    assert (found["bar"][0], found["bar"][-1]) == (0, len(bars) - 1)
    for end in ("", "_low", "_high"):
        np.testing.assert_array_equal(found[f"placement{end}"], own["equity"][found["bar"]])
        np.testing.assert_allclose(found[f"selection{end}"], own["equity"][found["bar"]], rtol=1e-9)


def test_accounts_repeat_by_seed_and_follow_the_contrasts() -> None:
    bars, at, side, rng = random_case(9, orders=30, days=20)
    tape = tape_of(bars, entries(bars, at, side, rng.uniform(0.5, 3, 30), rng.uniform(0.5, 3, 30)), 0.004)
    told = contrasts(tape, FromTape(), FREE)
    found = blind_accounts(tape, FromTape(), FREE, told, 3)
    for name in ("placement", "selection"):
        assert (found[f"{name}_low"] <= found[name]).all()
        assert (found[name] <= found[f"{name}_high"]).all()
        assert found[f"{name}_low"][-1] < found[f"{name}_high"][-1]
    again, other = (blind_accounts(tape, FromTape(), FREE, told, seed) for seed in (3, 4))
    for name, column in found.items():
        np.testing.assert_array_equal(column, again[name])
    assert (other["placement"] != found["placement"]).any()
    nothing = blind_accounts(tape, FromTape(), FREE, {"placement": None, "selection": told["selection"]}, 3)
    assert np.isnan(nothing["placement"]).all()
    assert np.isfinite(nothing["selection"]).all()


# --- Both ---


def test_too_little_says_nothing() -> None:
    bars, at, side, _ = random_case(1, orders=30)
    nothing = {"placement": None, "selection": None}
    few = entries(bars, at, side, 2, 2)[:9]
    assert contrasts(tape_of(bars, few, 0.004), FromTape(), FREE) == nothing
    assert contrasts(tape_of(bars, few[:0], 0.004), FromTape(), FREE) == nothing
    far_off = entries(bars, at, side, 2, 2, near=bars.close[at] * np.exp(-side))  # limits that never fill
    far_off = far_off.replace(far=far_off.near * np.exp(-0.1 * side))
    assert contrasts(tape_of(bars, far_off, 0.004), FromTape(entry="limit"), FREE) == nothing
    same_days = np.sort(np.random.default_rng(0).choice(2 * DAY_BARS, 30, replace=False))
    two_days = entries(bars, same_days, side, 2, 2)
    assert contrasts(tape_of(bars, two_days, 0.004), FromTape(), FREE)["placement"] is None


def test_an_event_before_any_range_is_left_out() -> None:
    bars, at, side, _ = random_case(1, orders=30)
    atr = np.where(np.arange(30) < 5, 0.0, 0.004)
    rng = np.random.default_rng(1)
    flat = entries(bars, at, side, rng.uniform(1, 3, 30), rng.uniform(1, 3, 30)).replace(atr=atr)
    assert contrasts(tape_of(bars, flat, 0.004), FromTape(), FREE)["placement"]["n"] == 25


def test_the_seed_decides() -> None:
    bars, at, side, rng = random_case(2)
    tape = tape_of(bars, entries(bars, at, side, rng.uniform(0.5, 3, 60), rng.uniform(0.5, 3, 60)), 0.004)
    first, again, other = (contrasts(tape, FromTape(), FREE, seed) for seed in (4, 4, 5))
    assert first == again
    for name in ("placement", "selection"):
        assert first[name]["mean"] != other[name]["mean"]
        assert first[name]["unit"] == "ATR"
        assert first[name]["mde"] > 0


def test_a_handler_strategy_has_no_contrasts() -> None:
    class Handler(Strategy):
        def on_zone_entry(self, event: Any, market: Any, account: Any) -> None: ...

    bars, at, side, _ = random_case(2)
    tape = tape_of(bars, entries(bars, at, side, 2, 2), 0.004)
    assert contrasts(tape, Handler(), FREE) == {"placement": None, "selection": None}
