"""Workers: the same table from other processes, and what happens when one of them dies."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dask
import distributed
import pytest

import forcedflow as ff
from generators import COARSE, Shape, dataset

DEADLY = '''
import os
import signal
from pathlib import Path

from pydantic import Field

import forcedflow as ff


class Deadly(ff.Strategy):
    """Takes its process down: at 2 always, at 5 the first time."""

    listens = (ff.EventKind.FORCED_FLOW,)
    number: int = Field(default=0, description="which")

    def plan(self, events):
        flag = Path({flag!r})
        if self.number == 2 or (self.number == 5 and not flag.exists()):
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return ff.Plan(-events.side, size=0.01 * (1 + self.number))
'''


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address of a scheduler with two worker processes."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        ) as local,
    ):
        yield local.scheduler_address


def test_a_cluster_gives_the_same_table(cluster: str, files: dict[str, str]) -> None:
    """Bars that exist in memory only, a strategy that the workers have no file of, in both forms."""
    data = replace(dataset(Shape(seed=5, bars=80)), name="memory")
    grid = {"stop_atr": [1, 2, 3], "market.bin_bps": [50, 80]}
    held = {name: value for name, value in COARSE.model_dump(exclude_unset=True).items() if name != "bin_bps"}
    both = [files["plans"], files["handles"]]
    here = ff.sweep(data, both, grid, market=held)
    seen: list[tuple[int, int]] = []
    there = ff.sweep(data, both, grid, market=held, cluster=cluster, progress=lambda *done: seen.append(done))
    assert there.rows.equals(here.rows)
    assert not there.failures
    assert seen[-1] == (12, 12)


def test_a_dead_worker_costs_its_task_and_poison_is_set_aside(cluster: str, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    file = tmp_path / "deadly.py"
    file.write_text(DEADLY.format(flag=str(flag)))
    grid = {"number": "0:7:8"}
    out = tmp_path / "sweep"
    swept = ff.sweep("simulated", str(file), grid, end="2025-01-04", cluster=cluster, out=out)
    assert flag.exists()
    assert swept.table["number"].tolist() == [0, 1, 3, 4, 5, 6, 7]
    (failure,) = swept.failures
    assert failure["settings"] == [2]
    assert "takes down the worker" in failure["why"]
    (reading,) = swept.readings()
    assert reading.settings == 7
    text = file.read_text().replace("number == 2", "number == 99")
    (tmp_path / "mended").mkdir()
    (tmp_path / "mended/deadly.py").write_text(text)
    alone = ff.sweep("simulated", str(tmp_path / "mended/deadly.py"), grid, end="2025-01-04")
    kept = [name for name in alone.table if name not in {"key", "strategy"}]
    expected = alone.table[alone.table["number"] != 2].reset_index(drop=True)
    assert swept.table[kept].equals(expected[kept])
