"""The page of a long run against the run itself, and a window of a long dataset to watch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.conftest import best
from benchmarks.test_market_pass import minutes
from forcedflow.market.tape import make_tape
from forcedflow.record import BARS, Run
from forcedflow.report.film import Film
from forcedflow.report.scorecard import MapContext, scorecard
from forcedflow.report.tearsheet import tearsheet
from forcedflow.settings import AccountSettings
from forcedflow.trading.desk import trade
from forcedflow.trading.exchange import Exchange
from forcedflow.trading.strategy import find_strategy


def test_a_tearsheet_against_its_replay(full: bool, tell: Callable[[str], None]) -> None:
    data = minutes(1_000_000 if full else 6_000)
    account, strategy = AccountSettings(), find_strategy("zone_entry")()

    def replay() -> Run:
        tape = make_tape(data)
        trading = trade(Exchange.of(tape), tape.events, strategy, account, 0)
        bars = {name: getattr(data.bars, name) for name in BARS} | tape.market_bars
        context = MapContext(trading.orders, tape.events, bars, tape.snapshots)
        card = scorecard(
            trading.equity, trading.trades, trading.fills, initial=account.cash, start=int(data.bars.ts[0]),
            calendar="24/7", context=context,
        )  # fmt: skip
        return Run(
            config={"dataset": "random", "strategy": "zone_entry", "account": {"cash": account.cash}},
            summary={"coverage": 0.5, "implied_liquidation_rate": None, "ambiguous_bars": 0},
            events=tape.events, orders=trading.orders, fills=trading.fills, trades=trading.trades,
            funding=trading.funding, equity=trading.equity, market_bars=bars, snapshots=tape.snapshots, scorecard=card,
            blind={}, timings={},
        )  # fmt: skip

    run = replay()
    page = tearsheet(run)
    assert len(page) < 8_000_000
    if full:
        replayed, written = best(replay, rounds=3), best(lambda: tearsheet(run), rounds=3)
        tell(
            f"tearsheet of {len(data.bars):,} bars: {written:.2f} s, {written / replayed:.2f} times the replay's "
            f"{replayed:.2f} s, {len(page) / 1e6:.2f} MB"
        )


def test_windows_to_watch(full: bool, tell: Callable[[str], None]) -> None:
    data = minutes(1_000_000 if full else 6_000)
    film, rng = Film.of_dataset(data), np.random.default_rng(1)
    count = len(film)

    def look(span: int) -> None:
        first = int(rng.integers(0, count - 3 * span))
        film.window(first, first + 3 * span, max(1, span // 700))

    look(300)
    if full:
        near, far = best(lambda: look(300), rounds=9), best(lambda: look(50_000), rounds=5)
        tell(
            f"a window of {count:,} bars to watch, anywhere: {1e3 * near:.0f} ms at 300 bars, "
            f"{1e3 * far:.0f} ms at 50,000"
        )
