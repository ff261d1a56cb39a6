"""Memory and time of a tape streamed from Parquet, and traded: ``python tests/benchmarks/long_stream.py BARS`` says it.

The data, a bounded random walk with open interest at every tenth bar, are made in a temporary folder and removed; the
stream runs in a process of its own, so that its peak memory is only its own. Bars are of 30 s: a hundred million of a
minute would take longer than the times that a dataset may have.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import forcedflow as ff
from forcedflow.trading.strategy import find_strategy

BAR = 30_000_000_000
START = 21 * 365 * 86_400_000_000_000
BLOCK = 1_000_000
EVERY = 10
DESCRIPTION = """
title = "long random walk"
source = "made for a measurement"
licence = "none"
[bars]
file = "bars.parquet"
interval = "30s"
columns = { ts = { column = "ts", unit = "ns" } }
[[venues]]
id = "binance-um"
symbol = "BTCUSDT"
profile = "hyperliquid-like"
open_interest = { file = "oi.parquet", columns = { ts = { column = "ts", unit = "ns" }, value = "value" }, lag = "30s" }
"""


def make(folder: Path, bars: int) -> Path:
    """Write a dataset of so many bars and return its description."""
    rng = np.random.default_rng(11)
    walk, last = 0.0, 60_000.0
    bar_schema = pa.schema(
        [("ts", pa.int64()), *((name, pa.float32()) for name in ("open", "high", "low", "close", "volume"))]
    )
    oi_schema = pa.schema([("ts", pa.int64()), ("value", pa.float64())])
    held = 0.0
    with (
        pq.ParquetWriter(folder / "bars.parquet", bar_schema, compression="zstd") as prices,
        pq.ParquetWriter(folder / "oi.parquet", oi_schema, compression="zstd") as stamps,
    ):
        for begin in range(0, bars, BLOCK):
            n = min(BLOCK, bars - begin)
            path = walk + np.cumsum(rng.standard_normal(n) * 3e-4)
            walk = float(path[-1])
            close = 60_000 * np.exp(np.abs((path + 0.5) % 2.0 - 1.0) - 0.5)  # folded: price stays within a factor e
            open_ = np.concatenate(([last], close[:-1]))
            last = float(close[-1])
            wick = np.abs(rng.standard_normal((2, n))) * 1.5e-4
            high, low = np.maximum(open_, close) * np.exp(wick[0]), np.minimum(open_, close) * np.exp(-wick[1])
            ts = START + np.arange(begin, begin + n) * BAR
            floats = (open_, high, low, close, rng.gamma(2.0, 50.0, n))
            table = pa.table([pa.array(ts), *(pa.array(x.astype(np.float32)) for x in floats)], schema=bar_schema)
            prices.write_table(table)
            moves = held + np.cumsum(rng.standard_normal(len(ts[EVERY - 1 :: EVERY])) * 3e-4)
            held = float(moves[-1])
            value = 90_000 * np.exp(0.5 * np.sin(moves))
            stamps.write_table(pa.table([pa.array(ts[EVERY - 1 :: EVERY] + BAR), pa.array(value)], schema=oi_schema))
    description = folder / "long.toml"
    description.write_text(DESCRIPTION, encoding="utf-8")
    return description


def measure(description: str, chunk: int) -> dict[str, float]:
    """Stream it in this process."""
    warm = ff.AccountStream(find_strategy("zone_entry")(), ff.AccountSettings())
    for part in ff.stream("simulated"):
        warm.take(part)  # compiled, or loaded
    account = ff.AccountStream(find_strategy("zone_entry")(), ff.AccountSettings())
    begin, bars, events, fills = time.perf_counter(), 0, 0, 0
    for part in ff.stream(description, chunk=chunk):
        bars += len(part.bars)
        events += len(part.events)
        fills += len(account.take(part).fills["bar"])
    seconds = time.perf_counter() - begin
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    counts = {"bars": bars, "events": events, "fills": fills, "chunk": chunk}
    return counts | {"seconds": round(seconds, 1), "peak_rss_mb": round(rss)}


def run(bars: int, chunk: int = 250_000) -> dict[str, float]:
    """Make, stream in another process, remove."""
    with TemporaryDirectory(prefix="forcedflow-long-") as folder:
        description = make(Path(folder), bars)
        command = [sys.executable, __file__, "--measure", str(description), str(chunk)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found: dict[str, float] = json.loads(done.stdout)
        return found


if __name__ == "__main__":
    measuring = sys.argv[1] == "--measure"
    found = measure(sys.argv[2], int(sys.argv[3])) if measuring else run(*map(int, sys.argv[1:]))
    sys.stdout.write(json.dumps(found) + "\n")
