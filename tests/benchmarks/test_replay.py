"""A whole replay, from a dataset in memory to a record on disk, against its market pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.conftest import best
from benchmarks.test_market_pass import minutes
from forcedflow.data import Dataset
from forcedflow.market.tape import MarketPass, make_tape
from forcedflow.record import BARS, Recorder, Run
from forcedflow.report.scorecard import scorecard
from forcedflow.settings import AccountSettings
from forcedflow.trading.desk import trade
from forcedflow.trading.exchange import Exchange
from forcedflow.trading.strategy import find_strategy


class Parts:
    """The shortest time of each part of a replay, seconds."""

    def __init__(self) -> None:
        self.best: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.best[name] = min(self.best.get(name, float("inf")), time.perf_counter() - begun)

    def __str__(self) -> str:
        return ", ".join(f"{name} {seconds:.2f}" for name, seconds in self.best.items())


def replay(dataset: Dataset, folder: Path, parts: Parts) -> None:
    """Do what a recorded run does, but for its blind contrasts and its tearsheet."""
    account, strategy = AccountSettings(), find_strategy("zone_entry")()
    bars = dataset.bars
    with parts.part("whole"), Recorder(folder) as recorder:
        given = {name: getattr(bars, name) for name in BARS}
        recorder.add("bars", given)
        with parts.part("tape"):
            tape = make_tape(dataset, told=partial(recorder.add, "market_bars", rows=len(bars)))
        recorder.add_tape(tape.events, tape.snapshots)
        with parts.part("trade"):
            trading = trade(Exchange.of(tape), tape.events, strategy, account, 0)
        for name in ("orders", "fills", "trades", "funding", "equity"):
            recorder.add(name, getattr(trading, name))
        with parts.part("score"):
            card = scorecard(
                trading.equity,
                trading.trades,
                trading.fills,
                initial=account.cash,
                start=int(bars.ts[0]),
                calendar=dataset.calendar,
            )
        with parts.part("rest of the record"):
            run = Run(
                config={},
                summary={},
                events=tape.events,
                orders=trading.orders,
                fills=trading.fills,
                trades=trading.trades,
                funding=trading.funding,
                equity=trading.equity,
                market_bars=given | tape.market_bars,
                snapshots=tape.snapshots,
                scorecard=card,
                blind={},
                timings={},
            )
            recorder.finish(run)


def test_replay(full: bool, tell: Callable[[str], None], tmp_path: Path) -> None:
    """Map, zones, structure, events, strategy, account and record, and how long each part takes."""
    n, rounds = (1_000_000, 3) if full else (2_000, 1)
    dataset, parts = minutes(n), Parts()
    replay(minutes(2_000), tmp_path / "compiled", Parts())
    bare = best(
        lambda market: market.advance(), setup=lambda: (MarketPass(dataset, event_rows=1 << 17),), rounds=rounds
    )
    for k in range(rounds):
        replay(dataset, tmp_path / str(k), parts)
    assert (tmp_path / "0" / "events.parquet").exists()
    if full:
        tell(f"whole replay over market pass {parts.best['whole'] / bare:.2f}; s: market pass {bare:.2f}, {parts}")
