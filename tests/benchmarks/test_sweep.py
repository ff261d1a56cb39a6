"""What local workers bring to a sweep: two against one, on twenty market settings."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import distributed
import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import forcedflow as ff
from benchmarks.test_market_pass import minutes

GRID: dict[str, Sequence[Any]] = {"market.zone_on": np.linspace(0.012, 0.02, 20).tolist(), "stop_atr": [1.0, 1.5, 2.0]}


@pytest.mark.benchmark(group="sweep")
def test_two_workers(benchmark: BenchmarkFixture, full: bool, tell: Callable[[str], None]) -> None:
    """Workers that are there and warm; sending them the bars is in the time, compiling and starting is not."""
    data = minutes(200_000 if full else 2_000)
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
    clusters = {
        n: distributed.LocalCluster(
            n_workers=n,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        )
        for n in seconds
    }
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
