"""The page of a long run against the run itself, and a window of a long dataset to watch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.conftest import best
from benchmarks.test_market_pass import minutes
from forcedflow.backtest import run
from forcedflow.market.tape import make_tape
from forcedflow.report.film import Film
from forcedflow.report.tearsheet import tearsheet
from forcedflow.settings import AccountSettings
from forcedflow.trading.desk import trade
from forcedflow.trading.exchange import Exchange
from forcedflow.trading.strategy import find_strategy


def test_a_tearsheet_against_its_replay(full: bool, tell: Callable[[str], None]) -> None:
    data = minutes(1_000_000 if full else 6_000)
    account, strategy = AccountSettings(), find_strategy("zone_entry")()

    def replay() -> None:
        tape = make_tape(data)
        trade(Exchange.of(tape), tape.events, strategy, account, 0)

    record = run(data)  # with its blind accounts
    page = tearsheet(record)
    assert "blind in stops and targets: median" in page or not full
    assert len(page) < 8_000_000
    if full:
        replayed, written = best(replay, rounds=3), best(lambda: tearsheet(record), rounds=3)
        tell(
            f"tearsheet of {len(data.bars):,} bars with its blind accounts: {written:.2f} s, "
            f"{written / replayed:.2f} times the replay's {replayed:.2f} s, {len(page) / 1e6:.2f} MB"
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
