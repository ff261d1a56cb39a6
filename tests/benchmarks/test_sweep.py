"""A sweep over one tape against vectorbt, and what local workers bring: two against one, on twenty market settings."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from pydantic import Field
from pytest_benchmark.fixture import BenchmarkFixture

import forcedflow as ff
from benchmarks.test_market_pass import minutes
from conftest import skip
from forcedflow.market.tape import Tape
from forcedflow.study.sweeps.score import score_settings
from forcedflow.study.sweeps.workers import local_cluster
from forcedflow.tables import EVENT_FLOATS

GRID: dict[str, Sequence[Any]] = {"market.zone_on": np.linspace(0.012, 0.02, 20).tolist(), "stop_atr": [1.0, 1.5, 2.0]}


@pytest.mark.benchmark(group="sweep")
def test_two_workers(benchmark: BenchmarkFixture, full: bool, tell: Callable[[str], None]) -> None:
    """Workers that are there and warm; sending them the bars is in the time, compiling and starting is not."""
    data = minutes(1_000_000 if full else 2_000)
    grid = GRID if full else {"market.zone_on": GRID["market.zone_on"][:2]}

    def timed(cluster: str | None) -> float:
        begun = time.perf_counter()
        swept = ff.sweep(data, "zone_entry", grid, level="score", cluster=cluster)
        assert len(swept.rows) == (60 if full else 2)
        return time.perf_counter() - begun

    if not full:
        benchmark.pedantic(timed, args=(None,), rounds=1)  # type: ignore[no-untyped-call]
        return
    seconds: dict[int, list[float]] = {1: [], 2: []}
    clusters = {n: local_cluster(n) for n in seconds}
    try:
        for cluster in clusters.values():
            timed(cluster.scheduler_address)  # compiled code is loaded
        for _ in range(2):
            for n, cluster in clusters.items():
                seconds[n].append(timed(cluster.scheduler_address))
    finally:
        for cluster in clusters.values():
            cluster.close()
    here = benchmark.pedantic(timed, args=(None,), rounds=2)  # type: ignore[no-untyped-call]
    one, two = min(seconds[1]), min(seconds[2])
    benchmark.extra_info |= {"two_over_one": one / two}
    tell(
        f"sweep of 20 market settings: two workers {one / two:.2f} times one ({one:.1f} s and {two:.1f} s), "
        f"without Dask {here:.1f} s"
    )


FEE, DAY = 0.0004, 1440


class Bracket(ff.Strategy):
    """Enter at the open after a break of the channel, with all of the equity; stop and target are shares of price."""

    listens: ClassVar[tuple[ff.EventKind, ...]] = (ff.EventKind.CHANNEL_BREAK,)
    stop: float = Field(default=0.03, gt=0)
    target: float = Field(default=0.06, gt=0)

    def plan(self, events: ff.Events) -> ff.Plan:
        return ff.Plan(
            events.side,
            size=1.0,
            size_rule="equity",
            stop=events.close * (1.0 - self.stop * events.side),
            target=events.close * (1.0 + self.target * events.side),
        )


def breaks(bars: ff.Bars, days: float) -> ff.Events:
    """Make the tape: closes beyond all closes of some days, the first in half a day of such."""
    close, width = pd.Series(bars.close), int(days * DAY)
    top, bottom = close.rolling(width).max().shift(1), close.rolling(width).min().shift(1)
    side = np.where(close > top, 1, np.where(close < bottom, -1, 0))
    bar = np.flatnonzero(side)
    bar = bar[np.diff(bar, prepend=-DAY) > DAY // 2]
    ints = {"bar": bar, "ts": bars.close_ts[bar], "side": side[bar], "group": bar, "channel": bar}
    floats: dict[str, Any] = dict.fromkeys(EVENT_FLOATS, np.zeros(len(bar))) | {"close": bars.close[bar]}
    return ff.Events(**ints, kind=np.full(len(bar), ff.EventKind.CHANNEL_BREAK), **floats)


def one_tape(n: int, days: float) -> Tape:
    """Return bars of a random walk with its breaks for a tape."""
    data = minutes(n)
    nothing = np.zeros(n)
    tape = ff.make_tape(data.between(None, int(data.bars.close_ts[10])), snapshots=0)
    market = {"vol_long": nothing, "volume_average": nothing}
    return replace(tape, dataset=data, events=breaks(data.bars, days), market_bars=market, swept=None)


def vectorbt_seconds(tape: Tape, settings: Sequence[dict[str, float]], *, stats: bool) -> float:
    """Trade the same signals with the same stops and fees; the last entries at the open after the signal, as ours."""
    vectorbt: Any = importlib.import_module("vectorbt")
    bars, events = tape.bars, tape.events
    up, down = (np.zeros(len(bars), np.bool_) for _ in range(2))
    bar, side = events.bar[events.bar + 1 < len(bars)] + 1, events.side[events.bar + 1 < len(bars)]
    up[bar[side > 0]] = down[bar[side < 0]] = True
    index = pd.DatetimeIndex(bars.ts)
    named = {name: pd.Series(getattr(bars, name), index=index) for name in ("open", "high", "low", "close")}
    begun = time.process_time()
    for setting in settings:
        portfolio = vectorbt.Portfolio.from_signals(
            **named,
            entries=pd.Series(up, index=index),
            short_entries=pd.Series(down, index=index),
            price=named["open"],
            sl_stop=setting["stop"],
            tp_stop=setting["target"],
            upon_opposite_entry="ignore",
            fees=FEE,
            init_cash=100_000.0,
            freq="1min",
        )
        assert portfolio.trades.count() > 0
        if stats:
            portfolio.stats()
    return (time.process_time() - begun) / len(settings)


@pytest.mark.benchmark(group="sweep", timer=time.process_time)
@pytest.mark.parametrize("days", [7, 1], ids=["weekly", "daily"])
def test_settings_on_one_tape(
    benchmark: BenchmarkFixture, full: bool, tell: Callable[[str], None], days: float
) -> None:
    """Four hundred brackets on the breaks of a channel of a week or a day, with scorecards; time of one processor."""
    if full and importlib.util.find_spec("vectorbt") is None:
        skip("vectorbt is not installed: uv sync --group check")
    tape = one_tape(1_000_000 if full else 20_000, days if full else days / 50)
    account = ff.AccountSettings(maker_fee=FEE, taker_fee=FEE, half_spread_bps=0, margin="none")
    each = 20 if full else 2
    settings = [
        {"stop": float(stop), "target": float(target)}
        for stop in np.linspace(0.02, 0.06, each)
        for target in np.linspace(0.02, 0.12, each)
    ]

    def swept() -> Any:
        return score_settings(tape, Bracket, settings, account, "score")

    found = benchmark.pedantic(swept, rounds=3 if full else 1, warmup_rounds=1)  # type: ignore[no-untyped-call]
    assert all(scored.error is None for scored in found)
    if not full:
        return
    few = settings[:: len(settings) // 4 + 1]
    vectorbt_seconds(tape, few[:1], stats=True)  # its kernels are compiled
    theirs = min(vectorbt_seconds(tape, few, stats=False) for _ in range(3))
    with_stats = vectorbt_seconds(tape, few[:1], stats=True)
    assert benchmark.stats is not None
    seconds, bars = benchmark.stats.stats.min / len(settings), len(tape.bars)
    trades = sum(scored.card["trades"] for scored in found) / len(found)
    benchmark.extra_info |= {
        "setting_bars_per_second": bars / seconds,
        "over_vectorbt": theirs / seconds,
        "over_vectorbt_with_stats": with_stats / seconds,
    }
    tell(
        f"{len(settings)} settings, {bars:,} bars, {len(tape.events)} events, {trades:.0f} trades each: "
        f"{bars / seconds / 1e9:.2f}e9 setting-bars/s ({seconds * 1e3:.2f} ms a setting); vectorbt's simulation takes "
        f"{theirs / seconds:.0f} times as long ({theirs * 1e3:.0f} ms), with its stats {with_stats / seconds:.0f} times"
    )
