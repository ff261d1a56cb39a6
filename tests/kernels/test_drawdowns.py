"""Drawdowns without a look at every bar, against one that looks at every bar; extremes of spans of bars."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import naive.measures as naive
from forcedflow.kernels.drawdowns import drawdowns
from forcedflow.kernels.touch import extremes, reach


def pieces(rng: Any, bars: int, count: int) -> tuple[Any, Any, Any]:
    """Return where cash and position change, some of it several times in one bar, some of it without a position."""
    begins = np.sort(np.concatenate(([0], rng.integers(0, bars, count))))
    position = np.round(rng.normal(0.0, 2.0, count + 1), 1) * rng.integers(0, 2, count + 1)
    return begins, 100.0 - 10.0 * position, position


@given(st.integers(0, 100_000), st.integers(1, 700), st.integers(0, 12), st.sampled_from([0, 1, 6]))
def test_drawdowns_equal_a_look_at_every_bar(seed: int, bars: int, count: int, digits: int) -> None:
    """Few digits make ties: highs that are only reached again, lows as deep as the one before."""
    rng = np.random.default_rng(seed)
    value = np.round(10.0 + np.cumsum(rng.normal(0.0, 0.3, bars)), digits)
    begins, cash, position = pieces(rng, bars, count)
    ts = np.cumsum(rng.integers(1, 5, bars))
    piece = np.searchsorted(begins, np.arange(bars), side="right") - 1
    equity = position[piece] * value + cash[piece]
    expected = naive.drawdowns(ts.tolist(), 0, equity.tolist(), 100.0)
    assert drawdowns(extremes(value, value), ts, 0, begins, cash, position, 100.0) == expected
    one_piece = (np.zeros(1, np.int64), np.zeros(1), np.ones(1))
    assert drawdowns(extremes(equity, equity), ts, 0, *one_piece, 100.0) == expected


def test_no_bars_fall_nowhere() -> None:
    nothing = extremes(np.zeros(0), np.zeros(0))
    one_piece = (np.zeros(1, np.int64), np.zeros(1), np.ones(1))
    assert drawdowns(nothing, np.zeros(0, np.int64), 0, *one_piece, 1.0) == (0.0, -1, -1, -1, 0, 0)


@given(st.integers(0, 1000), st.integers(1, 600), st.data())
def test_reach_is_the_extreme_of_a_span(seed: int, bars: int, data: st.DataObject) -> None:
    high, low = np.random.default_rng(seed).normal(size=(2, bars))
    start = data.draw(st.integers(0, bars - 1))
    stop = data.draw(st.integers(start + 1, bars))
    assert reach(extremes(high, low), start, stop) == (high[start:stop].max(), low[start:stop].min())
