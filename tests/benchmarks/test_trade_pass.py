"""The trade pass, full account and all its tables, against a hand-written loop of the same strategy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import forcedflow as ff
from benchmarks.conftest import best
from forcedflow.kernels import FloatArray, lean_kernel
from forcedflow.tables import EVENT_FLOATS
from trading.market import MINUTE

DONCHIAN, STOP, TARGET, FEE = 20, 0.01, 0.02, 0.0004


class Breakout(ff.Strategy):
    """Enter at the open after a close beyond the channel; 1% stop, 2% target, one unit."""

    listens: ClassVar[tuple[ff.EventKind, ...]] = (ff.EventKind.CHANNEL_BREAK,)

    def plan(self, events: ff.Events) -> ff.Plan:
        return ff.Plan(
            events.side,
            size=1.0,
            size_rule="units",
            stop=events.close * (1 - STOP * events.side),
            target=events.close * (1 + TARGET * events.side),
        )


@lean_kernel
def by_hand(
    open_: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray, top: FloatArray, bottom: FloatArray
) -> tuple[int, float]:
    """Reckon the channel and trade the strategy, bar by bar, with no orders and no books; return trades and net."""
    side, waits, entry, stop, target = 0, 0, 0.0, 0.0, 0.0
    trades, net = 0, 0.0
    for i in range(DONCHIAN, len(close)):
        highest, lowest = high[i - DONCHIAN], low[i - DONCHIAN]
        for k in range(i - DONCHIAN + 1, i):
            highest, lowest = max(highest, high[k]), min(lowest, low[k])
        top[i], bottom[i] = highest, lowest
    for i in range(DONCHIAN, len(close)):
        if waits != 0:
            side, waits, entry = waits, 0, open_[i]
            net -= FEE * entry
        if side != 0:
            leave = 0.0
            best, worst = (high[i], low[i]) if side > 0 else (low[i], high[i])
            if side * (open_[i] - stop) <= 0 or side * (open_[i] - target) >= 0:
                leave = open_[i]
            elif side * (worst - stop) <= 0:
                leave = stop
            elif side * (best - target) > 0:
                leave = target
            if leave > 0:
                net += side * (leave - entry) - FEE * leave
                trades += 1
                side = 0
        if side == 0 and (close[i] > top[i] or close[i] < bottom[i]):
            waits = 1 if close[i] > top[i] else -1
            stop, target = close[i] * (1 - STOP * waits), close[i] * (1 + TARGET * waits)
    return trades, net


def walk(n: int) -> ff.Bars:
    """One-minute bars of a geometric random walk, 0.1% a minute."""
    rng = np.random.default_rng(7)
    close = 100 * np.exp(np.cumsum(rng.standard_normal(n) * 1e-3))
    open_ = np.concatenate(([100.0], close[:-1]))
    wick = np.abs(rng.standard_normal((2, n))) * 5e-4
    columns = {"high": np.maximum(open_, close) * (1 + wick[0]), "low": np.minimum(open_, close) * (1 - wick[1])}
    ts = np.arange(n) * MINUTE
    return ff.Bars.from_columns({"ts": ts, "open": open_, "close": close, "volume": np.ones(n)} | columns)[0]


def breaks(bars: ff.Bars) -> ff.Events:
    """Make the tape: an event for each close beyond the extremes of the twenty bars before it."""
    top = np.lib.stride_tricks.sliding_window_view(bars.high, DONCHIAN).max(axis=1)[:-1]
    bottom = np.lib.stride_tricks.sliding_window_view(bars.low, DONCHIAN).min(axis=1)[:-1]
    up, down = bars.close[DONCHIAN:] > top, bars.close[DONCHIAN:] < bottom
    bar = DONCHIAN + np.flatnonzero(up | down)
    ints = {"bar": bar, "ts": bars.close_ts[bar], "side": np.where(up, 1, -1)[bar - DONCHIAN]}
    ints |= {"kind": np.full(len(bar), ff.EventKind.CHANNEL_BREAK), "group": bar, "channel": bar}
    nothing = np.zeros(len(bar))
    floats: dict[str, Any] = dict.fromkeys(EVENT_FLOATS, nothing) | {"close": bars.close[bar]}
    return ff.Events(**ints, **floats)


@pytest.mark.benchmark(group="trade pass")
def test_trade_pass(benchmark: BenchmarkFixture, full: bool, tell: Callable[[str], None]) -> None:
    """One bracket strategy on a ready tape."""
    n = 1_000_000 if full else 5_000
    bars = walk(n)
    events, exchange = breaks(bars), ff.Exchange(bars)
    settings = ff.AccountSettings(cash=1e9, maker_fee=FEE, taker_fee=FEE, half_spread_bps=0)
    columns = (bars.open, bars.high, bars.low, bars.close, np.zeros(n), np.zeros(n))

    def trade() -> Any:
        return ff.trade(exchange, events, Breakout(), settings)

    trades, net = by_hand(*columns)
    trading = trade()
    closed = trading.trades["exit_reason"] != "open"
    assert closed.sum() == trades
    open_costs = trading.trades["costs"][~closed].sum()
    assert trading.trades["net"][closed].sum() - open_costs == pytest.approx(net)
    loop = best(lambda: by_hand(*columns), rounds=15 if full else 1)
    benchmark.pedantic(trade, rounds=15 if full else 1)  # type: ignore[no-untyped-call]
    if not full:
        return
    assert benchmark.stats is not None
    whole = benchmark.stats.stats.min
    benchmark.extra_info |= {"trade_over_loop": whole / loop}
    each = f"loop {loop * 1e3:.0f} ms, trade pass {whole * 1e3:.0f} ms, {trades} trades, {len(events)} events"
    tell(f"trade pass over a bare loop {whole / loop:.2f}; {each}")
