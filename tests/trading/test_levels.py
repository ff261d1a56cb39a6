"""The shared pieces of plans: both sides mirror, and what is missing is never taken for a level."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from forcedflow.trading.levels import nearer, worthwhile

LEVELS = st.one_of(st.floats(-5, 5), st.just(float("nan")))


@given(LEVELS, LEVELS)
def test_nearer_is_the_one_met_first_and_mirrors(one: float, other: float) -> None:
    up, down = nearer(1, one, other), nearer(-1, -one, -other)
    np.testing.assert_equal(up, -down)
    known = [level for level in (one, other) if not np.isnan(level)]
    np.testing.assert_equal(float(up), min(known, default=np.nan))


@given(LEVELS, LEVELS, LEVELS, st.floats(0, 3))
def test_worthwhile_is_what_it_says_and_mirrors(entry: float, stop: float, target: float, least: float) -> None:
    found = bool(worthwhile(1, entry, stop, target, least))
    assert found == bool(worthwhile(-1, -entry, -stop, -target, least))
    assert found == (stop < entry < target and target - entry >= least * (entry - stop))
