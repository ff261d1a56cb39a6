"""Errors that others' liquidation maps make, and ours made: each must stay impossible.

Rules and prices are tested in ``venues/``, sources and their timing in ``data/``; here is what concerns the map.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from forcedflow.data.bars import Bars
from forcedflow.data.series import Dataset, OpenInterest, VenueData
from forcedflow.market.stamps import stamps_of
from forcedflow.market.tape import MarketPass, make_tape
from forcedflow.settings import MarketSettings
from generators import HOUR, Shape, dataset, profile_file, with_columns, with_open_interest

LONG, SHORT = 0, 1
NOBODY_CLOSES = MarketSettings(hazard_per_hour=0.0, entry_points=1, min_coverage=0.0)
JANUARY = 1_767_225_600_000_000_000  # 2026-01-01 UTC


def holders(stops: str = "") -> str:
    """Thresholds 10% from entry on both sides, so that every number below can be checked in the head."""
    return profile_file(
        'name = "ten"\ntitle = "t"\nsource = "s"\n'
        f"stops = [{stops}]\n[distances]\nnotional = 1000\n"
        "long = [{ distance = 0.1, weight = 1.0 }]\nshort = [{ distance = 0.1, weight = 1.0 }]\n"
    )


def market(
    prices: Sequence[float | tuple[float, float]] | npt.NDArray[np.float64],
    oi: npt.ArrayLike,
    *,
    lag: int = 0,
    stops: str = "",
    mark_low: npt.ArrayLike | None = None,
    venue: tuple[str, str] = ("hyperliquid", "BTC"),
) -> Dataset:
    """Make hourly bars from (low, high) pairs or single prices, and open interest at each close."""
    rows = np.array([p if isinstance(p, tuple) else (p, p) for p in prices], dtype=np.float64)
    low, high = rows.T
    columns = {"open": high, "high": high, "low": low, "close": low, "volume": np.full(len(rows), 100.0)}
    if mark_low is not None:
        columns |= {"mark_low": np.asarray(mark_low, dtype=np.float64), "mark_high": high}
    bars = Bars.from_columns({"ts": JANUARY + HOUR * np.arange(len(rows)), **columns}, HOUR)[0]
    stamp = bars.close_ts
    series = OpenInterest.from_columns(stamp, np.asarray(oi, dtype=np.float64), stamp + lag * HOUR)
    return Dataset("d", "d", bars, (VenueData(*venue, "linear", holders(stops), series),))


def run(data: Dataset, settings: MarketSettings = NOBODY_CLOSES, stop: int | None = None) -> MarketPass:
    live = MarketPass(data, settings)
    live.advance(stop)
    return live


def test_longs_are_liquidated_below_and_shorts_above_their_entry() -> None:
    live = run(market([100.0, 100.0, 100.0], [1000, 1200, 1200]))
    below, above = live.map.between(0, 99), live.map.between(101, 1000)
    assert below == pytest.approx([200, 0, 0, 0])
    assert above == pytest.approx([0, 200, 0, 0])
    assert live.map.between(89.8, 90.2)[LONG] == pytest.approx(200)
    assert live.map.between(109.8, 110.2)[SHORT] == pytest.approx(200)


def test_open_interest_of_one_side_is_that_of_the_other() -> None:
    """T4: every contract has a long and a short; nobody guesses a side from a candle's colour."""
    rising = [100 * 1.002**k for k in range(40)]
    live = run(market(rising, 1000 + 10 * np.arange(40)))
    venue = live.map.venues[0]
    located = live.map.mass().sum(axis=1)
    for side in (LONG, SHORT):
        assert located[side] + venue.unlocated[side] + venue.pending[side] == pytest.approx(1390)


def test_a_price_move_at_constant_open_interest_opens_nothing() -> None:
    """T5: open interest in USD rises with price; a map that differences it sees positions that nobody opened."""
    moving = [100 * math.exp(0.05 * math.sin(k)) for k in range(50)]
    tape = make_tape(market(moving, np.full(50, 1000.0)), NOBODY_CLOSES, snapshots=0)
    assert not tape.market_bars["opened_long"].any()
    assert not tape.market_bars["opened_short"].any()
    assert tape.coverage == 0.0
    inverse = dataset(Shape(seed=1, venues=("inverse",)))
    constant = with_open_interest(inverse, lambda oi: OpenInterest(oi.stamp, oi.available_at, np.full(len(oi), 5e6)))
    tape = make_tape(constant, NOBODY_CLOSES, snapshots=0)
    assert not tape.market_bars["opened_long"].any()


def test_liquidations_see_the_mark_and_stops_see_the_trades() -> None:
    """T6: a wick of the last price to 85 takes stops at 95; liquidations at 90 only where the mark followed."""
    prices = [(100.0, 100.0), (100.0, 100.0), (85.0, 100.0)]
    oi = [1000, 1200, 1200]
    stops = "{ kind = 'round', share = 0.5, step = 95.0, beyond_bps = 0 }"
    held_up = run(market(prices, oi, stops=stops, mark_low=[100, 100, 93]), stop=3)
    assert held_up.market_bars()["swept_long_liq"][2] == 0.0
    assert held_up.market_bars()["swept_long_stop"][2] == pytest.approx(100)
    followed = run(market(prices, oi, stops=stops, mark_low=[100, 100, 85]), stop=3)
    assert followed.market_bars()["swept_long_liq"][2] == pytest.approx(100)
    without_mark = run(market(prices, oi, stops=stops), stop=3)
    assert without_mark.market_bars()["swept_long_liq"][2] == pytest.approx(100)


def test_a_liquidation_leaves_the_map_once() -> None:
    """T7: the liquidated are gone; the fall of open interest that they cause takes nobody else away."""
    live = run(market([100.0, 100.0, 120.0, (88.0, 120.0), 88.0], [1000, 1200, 1300, 1100, 1100]))
    # Opened: 200 at 100, 100 at 120 (shorts of the 100s died on the way up: 200 of them reopened, d + B = 300).
    venue = live.map.venues[0]
    swept_long = live.market_bars()["swept_long_liq"][3]
    assert swept_long > 0
    for side in (LONG, SHORT):
        located = live.map.mass().sum(axis=1)[side]
        assert located + venue.unlocated[side] + venue.pending[side] == pytest.approx(1100)
    # The longs fell by exactly what was swept or by open interest's own fall, whichever is more; never by both.
    assert venue.faded[LONG] == pytest.approx(0.0, abs=1e-9)
    reopened = live.market_bars()["opened_long"][3]
    assert reopened == pytest.approx(swept_long - 200)


def crash(lag: int) -> Dataset:
    """Make a market where 500 longs are liquidated in bar 12 and open interest falls by as much in that same bar."""
    prices = [(99.5, 100.0)] * 12 + [(85.0, 99.5)] + [(85.0, 85.5)] * 8
    oi = [1000.0, *([1500.0] * 11), *([1000.0] * 9)]
    return market(prices, oi, lag=lag)


def near_price(live: MarketPass) -> float:
    price = live.dataset.bars.close[live.bar - 1]
    return float(live.map.between(price * 0.85, price)[LONG]) / live.map.open_interest


@pytest.mark.parametrize("lag", [0, 1, 3])
def test_a_crash_is_settled_by_its_own_interval_however_late_it_is_known(lag: int) -> None:
    """T9: burn and fall of open interest belong together; settled a bar apart they make phantom longs."""
    live = run(crash(lag))
    swept = live.market_bars()["swept_long_liq"]
    assert swept[12] == pytest.approx(500)
    assert live.market_bars()["opened_long"][12:].sum() == pytest.approx(0.0, abs=1e-6)
    assert near_price(live) == pytest.approx(0.0, abs=1e-9)
    assert live.map.venues[0].faded[LONG] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("lag", [1, 3])
def test_settling_a_late_change_in_the_bar_where_it_is_known_makes_phantom_longs(lag: int) -> None:
    """T9's other half: the same market with each change taken for the bar of its publication, as others settle."""
    late = with_open_interest(crash(lag), lambda oi: OpenInterest.from_columns(oi.available_at, oi.value))
    live = run(late)
    opened = live.market_bars()["opened_long"]
    assert opened[12] == pytest.approx(500)  # who were liquidated a moment ago are all back, at the bottom
    assert run(late, stop=12 + lag).map.between(0, 99)[LONG] == pytest.approx(500)
    assert near_price(live) == pytest.approx(1 / 3)  # the fall then took a third of everybody, phantoms and the living
    assert live.map.venues[0].unlocated[LONG] == pytest.approx(2000 / 3)


def test_a_margin_rise_moves_live_thresholds() -> None:
    """T10: 9% to 11% to 15% calls a silver long first at 87.91, then at 89.89, then at 94.12."""
    calls = [80.0 / (1 - rate) for rate in (0.09, 0.11, 0.15)]
    assert calls == pytest.approx([87.91, 89.89, 94.12], abs=0.005)
    hours = 34 * 24
    distance = 1 - calls[0] / 110
    text = (
        'name = "comex"\ntitle = "t"\nsource = "s"\n[distances]\nnotional = 400000\n'
        f"long = [{{ distance = {distance!r}, weight = 1.0 }}]\nshort = [{{ distance = 0.2, weight = 1.0 }}]\n"
    )
    data = market(np.full(hours, 110.0), [1000.0, *([1200.0] * (hours - 1))], venue=("comex", "SI"))
    live = MarketPass(data, NOBODY_CLOSES.model_copy(update={"profile": profile_file(text), "bin_bps": 1.0}))
    for day, call in zip((20, 28, 33), calls, strict=True):  # the 21st and 29th of January, the 3rd of February
        live.advance(day * 24)
        at = live.map.prices[live.map.mass()[LONG] > 0]
        assert at.min() == pytest.approx(call, rel=2e-4)
        assert at.max() == pytest.approx(call, rel=2e-4)
    assert live.map.mass()[LONG].sum() == pytest.approx(200)


def test_a_margin_rise_liquidates_whom_it_catches() -> None:
    """A threshold that the rise moves beyond price is forced flow of that bar, not mass that price never meets."""
    text = (
        'name = "close"\ntitle = "t"\nsource = "s"\n[distances]\nnotional = 400000\n'
        "long = [{ distance = 0.005, weight = 1.0 }]\nshort = [{ distance = 0.2, weight = 1.0 }]\n"
    )  # 95 at an entry of 95.5: the rise from 9% to 11% moves it to 97
    hours = 29 * 24
    data = market(np.full(hours, 95.5), [1000.0, *([1200.0] * (hours - 1))], venue=("comex", "SI"))
    tape = make_tape(data, NOBODY_CLOSES.model_copy(update={"profile": profile_file(text)}), snapshots=0)
    swept = tape.market_bars["swept_long_liq"]
    assert np.flatnonzero(swept).tolist() == [27 * 24 + 22]  # the bar that opens at 22:00 on the 28th
    assert swept.sum() == pytest.approx(200)


# What an adversarial reading of the kernels found, each fixed


def test_a_threshold_that_price_has_passed_within_a_bin_is_left_out() -> None:
    """A low that lies in one bin with a threshold, just above it or just beyond."""
    settings = NOBODY_CLOSES.model_copy(update={"bin_bps": 50.0})
    for low, alive in ((89.9, True), (89.4, False)):
        entry = math.sqrt(low * 110.5)
        threshold = 0.9 * entry
        assert (threshold < low) == alive
        assert math.floor(math.log(threshold) / 0.005) == math.floor(math.log(low) / 0.005)
        venue = run(market([(100.0, 100.0), (low, 110.5)], [1000.0, 1100.0]), settings).map.venues[0]
        assert venue.added[LONG] == pytest.approx(100.0 if alive else 0.0)
        assert venue.unlocated[LONG] == pytest.approx(1000.0 if alive else 1100.0)


def test_two_stamps_that_become_known_together_report_both_openings() -> None:
    data = market([100.0] * 6, [1000, 1010, 1030, 1060, 1060, 1060])
    oi = data.venues[0].open_interest
    assert oi is not None
    known = np.maximum(oi.available_at, oi.stamp[3])
    late = with_open_interest(data, lambda oi: OpenInterest.from_columns(oi.stamp, oi.value, known))
    opened = run(late).market_bars()["opened_long"]
    assert opened.tolist() == pytest.approx([0, 0, 0, 60, 0, 0])


def test_a_stamp_known_before_its_predecessor_waits_for_it() -> None:
    data = market([100.0] * 40, 1000 + 10 * np.arange(40))
    oi = data.venues[0].open_interest
    assert oi is not None
    known = oi.available_at.copy()
    known[1] += 30 * HOUR
    late = OpenInterest.from_columns(oi.stamp, oi.value, known)
    assert stamps_of(late, data.bars).known.tolist() == [0, *([31] * 31), *range(32, 40)]
    live = run(with_open_interest(data, lambda _: late))
    assert live.map.venues[0].added[LONG] == pytest.approx(390)


def test_no_zone_is_entered_while_too_little_is_located() -> None:
    """A bar that sweeps the zone price was in goes no further where coverage has fallen below the least."""
    shape = Shape(seed=0, bars=80, step=0.03, jumps=True, oi_jumps=True)
    settings = MarketSettings(bin_bps=50, min_coverage=0.5, zone_on=0.01, zone_off=0.005, hazard_per_hour=0.0)
    for seed in range(40):
        tape = make_tape(dataset(replace(shape, seed=seed)), settings, snapshots=0)
        entries = tape.events.of_kind(1)  # type: ignore[arg-type]
        shares = {-1: tape.market_bars["coverage_long"], 1: tape.market_bars["coverage_short"]}
        for side, bar in zip(entries.side.tolist(), entries.bar.tolist(), strict=True):
            assert shares[side][bar - 1] >= 0.5


def test_prices_without_a_range_and_volume_make_a_map_all_the_same() -> None:
    data = market(np.full(30, 100.0), 1000 + 5 * np.arange(30))
    still = replace(data, bars=with_columns(data.bars, volume=np.zeros(30)))
    tape = make_tape(still, NOBODY_CLOSES, snapshots=0)
    assert tape.market_bars["opened_long"].sum() == pytest.approx(145)
    assert not np.isnan(tape.market_bars["atr"]).any()
    assert np.isnan(tape.events.fuel).all()
