"""What it costs to call a handler: at 1% of the bars of a whole replay, and at every bar of a ready tape.

In time of the processor, of which Python code and kernels here use one: that others use the machine moves it little.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from pydantic import PrivateAttr

import forcedflow as ff
from benchmarks.test_market_pass import minutes
from forcedflow.tables import EVENT_COLUMNS
from forcedflow.trading.account import Account
from forcedflow.trading.desk import Desk, answering, hear

BLOCK = 4096
SELDOM = ff.MarketSettings(break_atr=1.1)
"""Channels then break in 1% of the bars of the random walk."""


class Deaf(ff.Strategy):
    """Hears what next to never happens."""

    def on_void_exhaustion(self, event: ff.Event, market: object, account: Desk) -> None: ...


class Reads(ff.Strategy):
    """Looks at an event, remembers, and orders now and then."""

    every: int = 1000
    _calls: int = PrivateAttr(default=0)
    _most: float = PrivateAttr(default=0.0)

    def on_channel_break(self, event: ff.Event, market: object, account: Desk) -> None:
        self._calls += 1
        if event.fuel > self._most:
            self._most = event.fuel
        if self._calls % self.every == 0:
            away = event.side * 4 * event.atr
            stop, target = event.close * (1 - away), event.close * (1 + away)
            account.submit(event.side, size=0.005, stop=stop, target=target, hold=240, group=event.group)


class LooksAtMap(Reads):
    """Asks the map as well."""

    def on_channel_break(self, event: ff.Event, market: ff.Replay, account: Desk) -> None:  # type: ignore[override]
        if market.map.open_interest > 0:
            super().on_channel_break(event, market, account)


class LooksAtAccount(Reads):
    """Asks the account as well."""

    def on_channel_break(self, event: ff.Event, market: object, account: Desk) -> None:
        if account.equity > 0:
            super().on_channel_break(event, market, account)


@pytest.mark.benchmark(group="handlers")
def test_called_at_one_bar_in_a_hundred(full: bool, tell: Callable[[str], None]) -> None:
    """The whole replay: map, zones, structure, events, account, its tables."""
    data = minutes(1_000_000 if full else 5_000)

    def seconds(strategy: ff.Strategy) -> float:
        times = []
        for _ in range(3 if full else 1):
            replay = ff.Replay(data, strategy.model_copy(), market=SELDOM)
            begun = time.process_time()
            replay.finish()
            times.append(time.process_time() - begun)
        return min(times)

    replay = ff.Replay(data, Deaf(), market=SELDOM)
    replay.finish()
    share = np.count_nonzero(replay.tape().events.kind == ff.EventKind.CHANNEL_BREAK) / len(data.bars)
    alone = seconds(Deaf())
    told = {
        "reads the event": seconds(Reads()),
        "looks at the map": seconds(LooksAtMap()),
        "looks at the account": seconds(LooksAtAccount()),
        "orders each time": seconds(Reads(every=1)),
    }
    if full:
        each = ", ".join(f"{what} {taken / alone:.2f}" for what, taken in told.items())
        tell(f"handlers at {share:.1%} of the bars over none ({alone / len(data.bars) * 1e9:.0f} ns a bar): {each}")


@pytest.mark.benchmark(group="handlers")
def test_called_at_every_bar(full: bool, tell: Callable[[str], None]) -> None:
    """The trade pass: a tape that is ready, with an event in every bar."""
    data = minutes(1_000_000 if full else 5_000)
    bars, n = data.bars, len(data.bars)
    rng = np.random.default_rng(3)
    same = {name: rng.uniform(0.001, 0.002, BLOCK) for name in EVENT_COLUMNS}
    same |= {"kind": np.full(BLOCK, ff.EventKind.CHANNEL_BREAK), "side": rng.choice([-1, 1], BLOCK)}
    whole = ff.Events(**same)

    def seconds(strategy: ff.Strategy) -> float:
        account = Account(bars, ff.AccountSettings(), strategy)
        desk = Desk(account)
        answer, kinds, taken = answering(strategy, None, desk), strategy.hears(), 0.0
        for start in range(0, n, BLOCK):
            at = np.arange(start, min(start + BLOCK, n))
            block = whole[: len(at)].replace(bar=at, ts=bars.close_ts[at], close=bars.close[at], group=at)
            begun = time.process_time()
            for event in hear(desk, block, kinds):
                answer(event)
            taken += time.process_time() - begun
        begun = time.process_time()
        account.advance(n - 1)
        account.result()
        return taken + time.process_time() - begun

    def least(strategy: type[ff.Strategy]) -> float:
        return min(seconds(strategy()) for _ in range(3 if full else 1))

    seconds(Reads())
    alone, reads, looks = least(Deaf), least(Reads), least(LooksAtAccount)
    if full:
        more = [(taken - alone) / n * 1e6 for taken in (reads, looks)]
        tell(
            f"a handler at every bar: {more[0]:.2f} us a bar more (trade pass without: {alone / n * 1e6:.2f} us), "
            f"{more[1]:.1f} us where it looks at the account each time"
        )
