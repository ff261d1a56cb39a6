"""Memory and time of a long replay from Parquet: ``python tests/benchmarks/long_stream.py BARS [--record]`` says them.

The tape is traded as it streams, by a setting that trades every channel's break; with ``--record`` by the command
``forcedflow run --stream``, which writes the record and scores it. The data, a bounded random walk with open interest
at every tenth bar, are made in a temporary folder and removed; the stream runs in a process of its own, so that its
peak memory is only its own, once what it needs was compiled by another. Bars are of 30 s: a hundred million of a minute
would take longer than the times that a dataset may have.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import forcedflow as ff
from forcedflow.trading.strategy import find_strategy

BAR = 30_000_000_000
START = 21 * 365 * 86_400_000_000_000
BLOCK = 1_000_000
EVERY = 10
# A trade risks so little that hundreds of thousands do not ruin the account.
OFTEN: dict[str, Any] = {"breaks": "all", "target": "width", "min_reward": 0.0, "risk": 1e-5}
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


def trade(description: str) -> dict[str, float]:
    """Trade the tape, and keep nothing."""
    account = ff.AccountStream(find_strategy("channel_breakout")(**OFTEN), ff.AccountSettings())
    bars = events = fills = trades = 0
    for part in ff.stream(description):
        traded = account.take(part)
        bars += len(part.bars)
        events += len(part.events)
        fills += len(traded.fills["bar"])
        trades += len(traded.trades["net"])
    return {"bars": bars, "events": events, "fills": fills, "trades": trades}


def recording(description: str, folder: Path) -> list[str]:
    """Return the command that writes a record."""
    settings = (f"{name}={value}" for name, value in OFTEN.items())
    command = [sys.executable, "-m", "forcedflow", "run", description, "--strategy", "channel_breakout", "--stream"]
    return [*command, *(f"--set={setting}" for setting in settings), "--json", "--out", str(folder)]


def run(bars: int, *, recorded: bool = False) -> dict[str, float]:
    """Make, stream in another process, remove."""
    with TemporaryDirectory(prefix="forcedflow-long-") as name:
        folder = Path(name)
        env = os.environ | {"FORCEDFLOW_LEDGER": str(folder / "ledger.jsonl")}

        def told(dataset: str, record: Path) -> dict[str, Any]:
            command = recording(dataset, record) if recorded else [sys.executable, __file__, "--trade", dataset]
            begin = time.perf_counter()
            with (folder / "told").open("w+b") as out, subprocess.Popen(command, stdout=out, env=env) as job:
                _, status, used = os.wait4(job.pid, 0)
                job.returncode = os.waitstatus_to_exitcode(status)
                assert job.returncode == 0
                out.seek(0)
                found: dict[str, Any] = json.load(out)
            seconds = time.perf_counter() - begin
            return found | {"seconds": round(seconds, 1), "peak_rss_mb": round(used.ru_maxrss / 1024)}

        told("simulated", folder / "compiled")
        found = told(str(make(folder, bars)), folder / "record")
        if recorded:
            size = sum(file.stat().st_size for file in (folder / "record").iterdir()) >> 20
            found |= {"events": sum(found["events"].values()), "record_mb": size}
        return {name: value for name, value in found.items() if isinstance(value, int | float)}


if __name__ == "__main__":
    told = trade(sys.argv[2]) if sys.argv[1] == "--trade" else run(int(sys.argv[1]), recorded="--record" in sys.argv)
    sys.stdout.write(json.dumps(told) + "\n")
