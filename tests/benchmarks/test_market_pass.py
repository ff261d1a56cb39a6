"""The market pass against a bare map, and the bare map against a loop that only reads the bars."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.conftest import best
from forcedflow.data import Bars, Dataset, OpenInterest, VenueData
from forcedflow.kernels import FloatArray, IntArray, Record, Records, lean_kernel
from forcedflow.kernels.liquidation_map import step
from forcedflow.market.tape import MarketPass
from forcedflow.settings import MarketSettings

MINUTE = 60_000_000_000
UNSTRUCTURED = MarketSettings(pivots="reversal", reversal_atr=1e9, channel="pivot", channel_bars=1000, void_mass=0.0)
"""Settings under which no pivot is ever confirmed, no channel drawn through any, and no void entered."""


def minutes(n: int) -> Dataset:
    """One-minute bars of a random walk as volatile as BTCUSDT in May 2025, with open interest known a minute late."""
    rng = np.random.default_rng(7)
    close = 60_000 * np.exp(np.cumsum(rng.standard_normal(n) * 4.2e-4))
    open_ = np.concatenate(([60_000.0], close[:-1]))
    wick = np.abs(rng.standard_normal((2, n))) * 2.1e-4
    ts = np.arange(n) * MINUTE
    bars, _ = Bars.from_columns(
        {
            "ts": ts,
            "open": open_,
            "high": np.maximum(open_, close) * np.exp(wick[0]),
            "low": np.minimum(open_, close) * np.exp(-wick[1]),
            "close": close,
            "volume": rng.gamma(2.0, 50.0, n),
        }
    )
    held = 90_000 * np.exp(np.cumsum(rng.standard_normal(n) * 1e-4))
    oi = OpenInterest.from_columns(ts + MINUTE, held, ts + 2 * MINUTE)
    venue = VenueData("binance-um", "BTCUSDT", "linear", "hyperliquid-like", oi)
    return Dataset("random", "random walk", bars, (venue,))


@lean_kernel
def read(ts: IntArray, *columns: FloatArray) -> float:
    """Read six columns and do nothing."""
    open_, high, low, close, volume = columns
    total = 0.0
    for i in range(len(ts)):
        total += ts[i] + open_[i] + high[i] + low[i] + close[i] + volume[i]
    return total


@lean_kernel
def bare_map(
    head: Record,
    venues: Records,
    stored: FloatArray,
    flows: FloatArray,
    path: FloatArray,
    stamps: Records,
    changes: Records,
    ts: IntArray,
    low: FloatArray,
    high: FloatArray,
    volume: FloatArray,
) -> None:
    """Burn, fade, settle and add, and nothing else."""
    for bar in range(len(ts)):
        hours = (ts[bar] - ts[max(bar - 1, 0)]) / 3.6e12
        bottom, top = math.log(low[bar]) / head.width, math.log(high[bar]) / head.width
        step(
            head, venues, stored, flows, path, stamps, changes, bar, hours,
            bottom, top, bottom, top, volume[bar], 0.001,
        )  # fmt: skip


def grown(dataset: Dataset) -> tuple[Any, ...]:
    """Return the arguments of a bare map whose grid needs no growing."""
    bars = dataset.bars
    market = MarketPass(dataset)
    width, feed = market.map.bin_width, market.feed
    market.map.make_room(
        int(math.log(bars.low.min()) / width - feed.room_below) - 1,
        int(math.log(bars.high.max()) / width + feed.room_above) + 1,
    )
    head, *arrays = market.map.arrays
    return (head[0], *arrays, bars.ts, bars.low, bars.high, bars.volume)


@pytest.mark.benchmark(group="market pass")
def test_market_pass(benchmark: BenchmarkFixture, full: bool, tell: Callable[[str], None]) -> None:
    """Zones and their events on top of the map, structure on top of both; the map on top of reading the bars."""
    n = 1_000_000 if full else 2_000
    rounds = 5 if full else 1
    dataset = minutes(n)
    bars = dataset.bars
    columns = (bars.ts, bars.open, bars.high, bars.low, bars.close, bars.volume)
    read(*columns)
    bare_map(*grown(minutes(2_000)))
    MarketPass(minutes(2_000)).advance()

    def unstructured() -> tuple[MarketPass]:
        return (MarketPass(dataset, UNSTRUCTURED, event_rows=1 << 17),)

    loop = best(lambda: read(*columns), rounds=4 * rounds)
    floor = best(bare_map, setup=lambda: grown(dataset), rounds=rounds)
    zones = best(lambda market: market.advance(), setup=unstructured, rounds=rounds)
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda market: market.advance(), setup=lambda: ((MarketPass(dataset, event_rows=1 << 17),), {}), rounds=rounds
    )
    if not full:
        return
    assert benchmark.stats is not None
    whole = benchmark.stats.stats.min
    benchmark.extra_info |= {
        "floor_over_loop": floor / loop,
        "zones_over_floor": zones / floor,
        "pass_over_floor": whole / floor,
    }
    parts = (("plain loop", loop), ("bare map", floor), ("with zones and events", zones), ("with structure", whole))
    each = ", ".join(f"{name} {seconds / n * 1e9:.1f}" for name, seconds in parts)
    tell(
        f"market pass over bare map {zones / floor:.2f} (map, zones, events) and {whole / floor:.2f} (structure too), "
        f"bare map over plain loop {floor / loop:.0f}; ns a bar: {each}"
    )
