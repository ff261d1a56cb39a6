"""Kernels that only kernels call: compiled as parts of them, to the same numbers, and kept nowhere else."""

from __future__ import annotations

import math

import numpy as np
import pytest

from forcedflow.kernels import CACHE_DIR, FloatArray, inner_kernel, lean_kernel, merged_kernel
from forcedflow.market.tape import MarketPass
from generators import JIT, Shape, dataset


@inner_kernel
def half(x: float) -> float:
    return x / 2.0


@merged_kernel
def quarter(x: float) -> float:
    return half(x) / 2.0


@lean_kernel
def summed(values: FloatArray) -> float:
    total = 0.0
    for value in values:
        total += quarter(value) + half(value)
    return total


def test_parts_of_parts_give_what_python_gives() -> None:
    values = np.array([1.0, -3.0, math.inf, 5.0])
    assert summed(values[:2]) == -1.5
    assert summed(values) == math.inf


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
def test_only_what_python_calls_is_kept_on_disk() -> None:
    MarketPass(dataset(Shape(bars=3))).advance()
    kept = {file.name.split("-")[0] for file in CACHE_DIR.rglob("market_pass.*.nbi")}
    assert kept == {"market_pass.advance"}
