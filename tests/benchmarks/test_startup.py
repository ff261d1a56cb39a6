"""What a new process costs: whole processes, best of five, beside ``import numpy``."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.conftest import best

RUN = [sys.executable, "-m", "forcedflow", "run", "--json", "--out"]


def seconds(*command: str, env: dict[str, str] | None = None) -> float:
    return best(lambda: subprocess.run(command, check=True, env=env, stdout=subprocess.DEVNULL))


def python(code: str) -> float:
    return seconds(sys.executable, "-c", code)


def test_startup(full: bool, tell: Callable[[str], None], tmp_path: Path) -> None:
    """Import, help, a warm run, a cold run."""
    if not full:
        pytest.skip("figures are taken with --benchmark-enable only")
    numpy, numba = python("import numpy"), python("import numba")
    ours, helped = python("import forcedflow"), seconds(sys.executable, "-m", "forcedflow", "--help")
    env = os.environ | {"FORCEDFLOW_CACHE_DIR": str(tmp_path / "cache")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*RUN, str(tmp_path / "cold")], check=True, env=env, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cold = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    times, cpu = [], []
    for k in range(5):
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([*RUN, str(tmp_path / f"warm{k}")], check=True, env=env, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(time.perf_counter() - begun)
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    kernels = seconds(sys.executable, "-c", "import forcedflow.kernels.market_pass")
    tell(
        f"import forcedflow {ours:.2f} s, --help {helped:.2f} s, import numpy {numpy:.2f} s, import numba {numba:.2f} s"
    )
    tell(f"import forcedflow's kernels {kernels:.2f} s; run on 10,000 bars, warm cache {min(times):.2f} s")
    tell(f"cold run {cold:.1f} s of CPU, of which compiling {cold - min(cpu):.1f} s")
