"""An account's columns, one close after another: what was held last, and the highest equity so far."""

from __future__ import annotations

from collections.abc import Iterator

from forcedflow.kernels import FloatArray, IntArray


def closes(
    values: FloatArray,
    begins: IntArray,
    cash: FloatArray,
    position: FloatArray,
    high: float,
    level_begins: IntArray,
    levels: FloatArray,
) -> Iterator[tuple[float, float, float, float, float]]:
    """Yield position, cash, equity, drawdown and the price of own liquidation of each bar."""
    for bar, value in enumerate(values):
        held = max(k for k, begin in enumerate(begins) if begin <= bar)
        level = max(k for k, begin in enumerate(level_begins) if begin <= bar)
        equity = position[held] * value + cash[held]
        high = max(high, equity)
        yield position[held], cash[held], equity, 1.0 - equity / high, levels[level]
