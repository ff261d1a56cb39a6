"""Streaming averages against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forcedflow.kernels.structure import follow, half_life_average
from generators import examples
from naive.market_pass import wilder

values = st.lists(st.floats(0, 1e6), min_size=1, max_size=40)


@examples(50)
@given(values, st.integers(1, 30))
def test_follow_is_wilders_average_after_a_mean(values: list[float], memory: int) -> None:
    average = 0.0
    for seen, value in enumerate(values):
        average = follow(average, value, seen, memory)
        assert average == pytest.approx(wilder(values[: seen + 1], memory), rel=1e-9, abs=1e-9)


@examples(50)
@given(values, st.floats(0.1, 100))
def test_half_life_average_halves_weights(values: list[float], half_life: float) -> None:
    out = np.empty(len(values))
    carried, cut = np.zeros(2), len(values) // 2
    for part in (slice(cut), slice(cut, None)):
        half_life_average(np.array(values)[part], np.full(len(values), half_life)[part], carried, out[part])
    for i in range(len(values)):
        weights = 0.5 ** ((i - np.arange(i + 1)) / half_life)
        assert out[i] == pytest.approx(np.average(values[: i + 1], weights=weights), rel=1e-9, abs=1e-9)
