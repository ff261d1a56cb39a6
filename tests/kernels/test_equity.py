"""An account's columns at every close, against one close after another; interpreted as well as compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forcedflow.kernels.equity import Columns, Held, write_equity
from forcedflow.kernels.tiers import interpreted
from generators import JIT
from kernels.test_drawdowns import pieces
from naive.equity import closes


def plainly(kernel: Any, *arguments: Any) -> None:
    """Call a kernel as it is."""
    kernel(*arguments)


@pytest.mark.parametrize("call", [plainly, interpreted] if JIT else [plainly])
@given(st.integers(0, 100_000), st.integers(0, 300), st.integers(0, 12))
def test_every_close_has_what_was_held_last(call: Any, seed: int, bars: int, count: int) -> None:
    """Some pieces are empty: several fills in one bar."""
    rng = np.random.default_rng(seed)
    values, high = 10.0 + np.cumsum(rng.normal(0.0, 0.3, bars)), 100.0 + rng.random()
    begins, cash, position = pieces(rng, max(bars, 1), count)
    level_begins, levels, _ = pieces(rng, max(bars, 1), 3)
    columns = Columns(*np.full((5, bars), np.inf))
    call(write_equity, values, Held(begins, cash, position), high, level_begins, levels, columns)
    twin = closes(values, begins, cash, position, high, level_begins, levels)
    np.testing.assert_array_equal(np.array(columns).T, np.array(list(twin)).reshape(bars, 5))
