"""A small, valid table of bars to spoil."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

START = 1_735_689_600_000_000_000  # 2025-01-01 UTC
MINUTE = 60_000_000_000


@pytest.fixture
def columns() -> dict[str, Any]:
    """Return 30 bars of a random walk, 5 min each."""
    rng = np.random.default_rng(1)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 1e-3, 30)))
    open_ = np.concatenate([[100.0], close[:-1]])
    wick = np.abs(rng.normal(0, 1e-3, (2, 30)))
    return {
        "ts": START + 5 * MINUTE * np.arange(30, dtype=np.int64),
        "open": open_,
        "high": np.maximum(open_, close) * (1 + wick[0]),
        "low": np.minimum(open_, close) * (1 - wick[1]),
        "close": close,
        "volume": rng.uniform(1, 10, 30),
    }
