"""The whole pipeline, map to equity: no result knows the future, and the loop gives what the batch gives."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import PrivateAttr

import forcedflow as ff
from forcedflow.data.series import Funding, OpenInterest
from forcedflow.errors import SettingsError
from forcedflow.market.tape import MarketPass, Tape
from forcedflow.trading.ledger import Trading

SIMULATED, REAL = "simulated", "btcusdt-5m"
BARS = 3000
MARKET = ff.MarketSettings(min_coverage=0.02)  # zones from early on, so that short data has many
PLANS = ("absorb", "ride")
FORMS = (*PLANS, "handler")
CUTS = st.tuples(st.integers(0, 2**32 - 1), st.sampled_from(FORMS))


class Reacts(ff.Strategy):
    """A handler with a memory, which looks at the map, submits, cancels and closes."""

    _entries: int = PrivateAttr(default=0)

    def on_zone_near(self, event: ff.Event, market: ff.Replay, account: Any) -> None:
        ahead = market.map.between(*sorted((event.near, event.far))).sum()
        if ahead > 0.01 * market.map.open_interest and not account.working:
            stop = event.far * np.exp(event.side * event.atr)
            account.submit(-event.side, size=0.01, entry="limit", price=event.near, stop=stop, expiry=60)

    def on_zone_entry(self, event: ff.Event, market: ff.Replay, account: Any) -> None:
        self._entries += 1
        if self._entries % 2:
            account.close()
        else:
            stop = event.close * np.exp(-2 * event.side * event.atr)
            target = event.far if event.side * (event.far - event.close) > 0 else np.nan
            account.submit(event.side, size=0.1, size_rule="equity", stop=stop, target=target, hold=100)

    def on_zone_exit(self, event: ff.Event, market: ff.Replay, account: Any) -> None:
        if account.equity > 100_000:
            account.cancel()


@dataclass(frozen=True)
class Outcome:
    tape: Tape
    trading: Trading


class Outcomes(dict[str, Outcome]):
    """By form; short where hypothesis prints it."""

    def __repr__(self) -> str:
        return "outcomes"


def strategy(form: str) -> ff.Strategy:
    if form == "handler":
        return Reacts()
    eager = {"mode": form, "depth": 0, "min_reward": 0, "min_coverage": 0}
    return ff.find_strategy("zone_entry").model_validate(eager)


def outcome(data: ff.Dataset, form: str, snapshots: int = 40) -> Outcome:
    """Run the pipeline as forcedflow.run does."""
    if form == "handler":
        replay = ff.Replay(data, Reacts(), market=MARKET, snapshots=snapshots)
        return Outcome(trading=replay.finish(), tape=replay.tape())
    tape = ff.make_tape(data, MARKET, snapshots=snapshots)
    return Outcome(tape, ff.trade(ff.Exchange.of(tape), tape.events, strategy(form), ff.AccountSettings()))


def assert_same(one: Any, other: Any, where: str = "") -> None:
    """Equal to the bit, however deep."""
    if is_dataclass(one):
        for f in fields(one):
            assert_same(getattr(one, f.name), getattr(other, f.name), f"{where}.{f.name}")
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for name in one:
            assert_same(one[name], other[name], f"{where}.{name}")
    elif isinstance(one, np.ndarray):
        assert one.shape == other.shape, where
        assert one.tolist() == other.tolist() if one.dtype.kind == "U" else one.tobytes() == other.tobytes(), where
    else:
        assert one == other, where


def known(outcome: Outcome, cut: int) -> dict[str, Any]:
    """Return all that was emitted at closes before bar ``cut``."""
    trading = outcome.trading
    placed, trades = trading.orders["bar"] < cut, trading.trades
    closed = (trades["exit_bar"] < cut) & (trades["exit_reason"] != "open")
    ended = (trading.orders["status"] != "working") & (trading.orders["status_bar"] < cut)
    # An order's size and status come to be known later than the order: when it fills or ends.
    later = {"qty", "status", "reason", "status_bar"}
    return {
        "events": outcome.tape.events[outcome.tape.events.bar < cut],
        "market_bars": _rows(outcome.tape.market_bars, slice(cut)),
        "placed": _rows({name: c for name, c in trading.orders.items() if name not in later}, placed),
        "ended": _rows(trading.orders, ended),
        "fills": _rows(trading.fills, trading.fills["bar"] < cut),
        "trades": _rows({name: c for name, c in trades.items() if name != "trade_id"}, closed),
        "entries": _rows(
            {name: trades[name] for name in ("order_id", "qty", "entry_price")}, trades["entry_bar"] < cut
        ),
        "equity": _rows(trading.equity, slice(cut)),
    }


def _rows(table: dict[str, npt.NDArray[Any]], rows: Any) -> dict[str, npt.NDArray[Any]]:
    return {name: column[rows] for name, column in table.items()}


def known_map(data: ff.Dataset, cut: int) -> tuple[dict[int, bytes], tuple[float, float], float]:
    """Return the bins that hold mass, coverage and open interest of the map at the close before bar ``cut``."""
    market = MarketPass(data, MARKET)
    market.advance(cut)
    mass = market.map.mass()
    held = np.flatnonzero(mass.any(axis=0))
    bins = {int(market.map.bins[k]): mass[:, k].tobytes() for k in held}
    return bins, market.map.coverage, market.map.open_interest


def poisoned(data: ff.Dataset, cut: int, seed: int) -> ff.Dataset:
    """Return other data, the same only in what was known at the close before bar ``cut``."""
    rng = np.random.default_rng(seed)
    bars, now = data.bars, int(data.bars.close_ts[cut - 1])
    rest = len(bars) - cut
    close = bars.close[cut - 1] * np.exp(np.cumsum(rng.normal(0, 0.01, rest)) + rng.choice([-0.3, 0, 0.3]))
    open_ = close * np.exp(rng.normal(0, 0.01, rest))
    wick = np.exp(np.abs(rng.normal(0, 0.01, (2, rest))))
    columns = {
        "ts": bars.ts,
        "open": _spliced(bars.open, open_),
        "high": _spliced(bars.high, np.maximum(open_, close) * wick[0]),
        "low": _spliced(bars.low, np.minimum(open_, close) / wick[1]),
        "close": _spliced(bars.close, close),
        "volume": _spliced(bars.volume, rng.uniform(0, 10 * bars.volume.max(), rest)),
    }
    venues = []
    for venue in data.venues:
        oi, paid = venue.open_interest, venue.funding
        if oi is not None:
            keep = (oi.available_at <= now) | (rng.random(len(oi)) < 0.8)  # some stamps never come
            noise = np.where(oi.available_at <= now, 1.0, rng.uniform(0, 3, len(oi)))
            oi = OpenInterest.from_columns(oi.stamp[keep], (oi.value * noise)[keep], oi.available_at[keep])
        if paid is not None:
            rate = np.where(paid.available_at <= now, paid.rate, rng.normal(0, 0.01, len(paid)))
            paid = Funding.from_columns(paid.ts, rate, paid.available_at)
        venues.append(replace(venue, open_interest=oi, funding=paid))
    return replace(data, bars=ff.Bars.from_columns(columns, bars.interval)[0], venues=tuple(venues))


def _spliced(past: npt.NDArray[np.float64], future: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.concatenate((past[: len(past) - len(future)], future))


@pytest.fixture(scope="module", params=[SIMULATED, REAL])
def data(request: pytest.FixtureRequest) -> ff.Dataset:
    if request.param == REAL:
        request.getfixturevalue("shared_data")
    whole = ff.load_dataset(request.param)
    return whole.between(end=int(whole.bars.close_ts[BARS - 1]))


@pytest.fixture(scope="module")
def outcomes(data: ff.Dataset) -> Outcomes:
    return Outcomes((form, outcome(data, form)) for form in FORMS)


def cut_of(seed: int, full: Outcome) -> int:
    """Choose a cut, half of the time where something has just happened."""
    rng = np.random.default_rng(seed)
    fills = full.trading.fills["bar"]
    near = np.concatenate((fills, full.trading.orders["bar"])) + rng.integers(0, 3)
    cut = rng.choice(near) if rng.random() < 0.5 else rng.integers(1, len(full.tape.bars))
    return int(np.clip(cut, 1, len(full.tape.bars) - 1))


def test_there_is_enough_to_compare(outcomes: Outcomes) -> None:
    for form, full in outcomes.items():
        assert set(full.tape.events.kind) >= set(ff.EventKind) - {ff.EventKind.VOID_EXHAUSTION}, form  # a rare one
        assert len(full.trading.fills["bar"]) >= 6, form
        assert (full.trading.trades["exit_reason"] != "open").sum() >= 3, form


@given(CUTS)
def test_a_prefix_replays_to_a_prefix(data: ff.Dataset, outcomes: Outcomes, chosen: tuple[int, str]) -> None:
    seed, form = chosen
    cut = cut_of(seed, outcomes[form])
    prefix = data.between(end=int(data.bars.close_ts[cut - 1]))
    assert len(prefix.bars) == cut
    assert_same(known(outcome(prefix, form), cut), known(outcomes[form], cut))
    assert known_map(prefix, cut) == known_map(data, cut)


@given(CUTS)
def test_a_poisoned_future_changes_nothing_before_it(
    data: ff.Dataset, outcomes: Outcomes, chosen: tuple[int, str]
) -> None:
    seed, form = chosen
    cut = cut_of(seed, outcomes[form])
    other = outcome(poisoned(data, cut, seed), form)
    assert_same(known(other, cut), known(outcomes[form], cut))

    def drawn(full: Outcome) -> list[tuple[float, ...]]:
        shots = full.tape.snapshots
        return [
            (at, k, shots.bins[b], shots.mass[s, k, b])
            for s, at in enumerate(shots.bar[shots.bar < cut])
            for k, b in np.argwhere(shots.mass[s])
        ]

    assert drawn(other) == drawn(outcomes[form])


def test_the_poison_works(data: ff.Dataset, outcomes: Outcomes) -> None:
    """The poisoned runs do differ after the cut: the tests above would see a look-ahead."""
    cut = len(data.bars) // 2
    for form, full in outcomes.items():
        other = known(outcome(poisoned(data, cut, 1), form), len(data.bars))
        for name, table in known(full, len(data.bars)).items():
            with pytest.raises(AssertionError):
                assert_same(other[name], table)


# --- Sweep = loop ---


@pytest.mark.parametrize("form", PLANS)
def test_a_loop_gives_what_a_batch_gives(data: ff.Dataset, outcomes: Outcomes, form: str) -> None:
    replay = ff.Replay(data, strategy(form), market=MARKET, snapshots=40)
    assert_same(replay.finish(), outcomes[form].trading)
    for name in ("events", "market_bars", "snapshots", "notes"):
        assert_same(getattr(replay.tape(), name), getattr(outcomes[form].tape, name), name)


@settings(max_examples=10)
@given(st.sets(st.sampled_from(list(ff.EventKind)), min_size=1), st.integers(0, 200), st.sampled_from(FORMS))
def test_listening_and_looking_change_nothing(
    data: ff.Dataset, outcomes: Outcomes, kinds: set[ff.EventKind], steps: int, form: str
) -> None:
    """Whatever the loop listens to, wherever it is left and resumed, and whatever it reads meanwhile."""
    replay = ff.Replay(data, strategy(form), market=MARKET, listen=kinds)
    heard = []
    for event in replay:
        assert event.bar == replay.bar == replay.account.bar
        heard.append(event)
        if len(heard) == steps:
            break
        assert replay.account.equity > 0
    heard.extend(replay)
    assert_same(replay.finish(), outcomes[form].trading)
    assert_same(replay.tape().events, outcomes[form].tape.events)
    assert [repr(event) for event in heard] == [repr(event) for event in outcomes[form].tape.events.of_kind(*kinds)]


@settings(max_examples=10)
@given(st.integers(0, 300), st.booleans())
def test_the_map_and_the_tape_stand_at_the_event_whenever_they_are_first_looked_at(
    data: ff.Dataset, outcomes: Outcomes, first: int, early: bool
) -> None:
    """The market runs ahead of the loop, and nobody can tell: not before the first event either."""
    replay = ff.Replay(data, market=MARKET)
    held = replay.map if early else None  # kept by whoever looked once
    if held is not None:
        assert (replay.bar, held.open_interest) == (-1, 0.0)
    steps = 0
    for event in replay:
        steps += 1
        if steps <= first:
            continue
        held = held or replay.map
        assert replay.map is held
        assert held.open_interest == outcomes["ride"].tape.market_bars["oi"][event.bar]
        if steps > first + 20:
            break
    tape, cut = replay.tape(), replay.bar + 1
    assert_same(tape.events, outcomes["ride"].tape.events[outcomes["ride"].tape.events.bar < cut])
    assert_same(replay.map.coverage, known_map(data, cut)[1])


def test_events_can_be_kept_compared_and_copied(data: ff.Dataset) -> None:
    kept = list(ff.Replay(data, market=MARKET))
    again = list(ff.make_tape(data, MARKET).events)
    assert kept == again
    assert len(set(kept)) == len(kept)
    event = kept[len(kept) // 2]
    assert pickle.loads(pickle.dumps(event)) == copy.deepcopy(event) == event != kept[0]
    assert isinstance(event.kind, ff.EventKind)
    assert {type(value) for name, value in event.to_dict().items() if name != "kind"} == {int, float}
    with pytest.raises(AttributeError):
        event.close = 1.0  # type: ignore[misc]
    with pytest.raises(AttributeError, match="no column 'clsoe'"):
        _ = event.alone().clsoe  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="read-only"):
        event.alone().close[0] = 1.0


def test_a_loop_without_a_strategy_is_the_strategy(data: ff.Dataset) -> None:
    """Orders of the loop itself answer the event at hand and fill from the next open."""
    replay = ff.Replay(data, market=MARKET, account={"impact": 0})
    for event in replay:
        if event.kind == ff.EventKind.FORCED_FLOW and event.fuel > 0.1:
            replay.account.submit(-event.side, size=0.1, size_rule="equity", hold=1)
    trading = replay.finish()
    orders, fills = trading.orders, trading.fills
    entries = fills["reason"] == "entry"
    assert entries.sum() >= 10
    assert (fills["bar"][entries] == orders["bar"][fills["order_id"][entries]] + 1).all()
    opens = data.bars.open[fills["bar"][entries]]
    spread = 1 + fills["side"][entries] * 0.5e-4
    np.testing.assert_allclose(fills["price"][entries], opens * spread, rtol=1e-12)


def test_names_and_what_they_name_are_the_same_replay() -> None:
    named = ff.Replay("simulated", "zone_entry")
    held = ff.Replay(ff.load_dataset("simulated"), ff.find_strategy("zone_entry")())
    assert repr(next(iter(named))) == repr(next(iter(held)))
    assert type(named.strategy).__name__ == "ZoneEntry"
    assert next(iter(ff.Replay("simulated", listen=["zone_entry"]))).kind is ff.EventKind.ZONE_ENTRY
    with pytest.raises(SettingsError, match=r"no kind of event 'zone_entri' \(did you mean 'ZoneEntry'\?\)"):
        ff.Replay("simulated", listen=["zone_entri"])
