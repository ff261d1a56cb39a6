"""Columns of an account's equity, one row a bar, from what it held after each fill or payment."""

from __future__ import annotations

from typing import NamedTuple

from forcedflow.kernels import FloatArray, IntArray, lean_kernel

__all__ = ["Columns", "Held", "write_equity"]


class Held(NamedTuple):
    """Shape (pieces,) each: what is held at the closes from bar ``begins[k]`` to the one before ``begins[k + 1]``.

    ``begins`` is 0 first and then ascends; a piece may be empty.
    """

    begins: IntArray
    cash: FloatArray
    position: FloatArray


class Columns(NamedTuple):
    """Shape (bars,) each, as ``EQUITY`` of tables.py says."""

    position: FloatArray
    cash: FloatArray
    equity: FloatArray
    drawdown: FloatArray
    liquidation: FloatArray


@lean_kernel
def write_equity(
    values: FloatArray, held: Held, high: float, level_begins: IntArray, levels: FloatArray, columns: Columns
) -> None:
    """Fill the columns in; equity at a close is ``position * value + cash``, never a sum over bars.

    Parameters
    ----------
    values
        Shape (bars,): what a unit is worth at each close.
    high
        Highest equity before the first bar; positive.
    level_begins, levels
        Shape (pieces,): pieces as those of ``held``, of the nearest price of own liquidation.
    columns
        Written to.
    """
    for k in range(len(held.begins)):
        position, cash = held.position[k], held.cash[k]
        for bar in range(held.begins[k], held.begins[k + 1] if k + 1 < len(held.begins) else len(values)):
            equity = position * values[bar] + cash
            if equity > high:  # noqa: PLR1730  (max is no quicker, and says less)
                high = equity
            columns.position[bar] = position
            columns.cash[bar] = cash
            columns.equity[bar] = equity
            columns.drawdown[bar] = 1.0 - equity / high
    for k in range(len(level_begins)):
        for bar in range(level_begins[k], level_begins[k + 1] if k + 1 < len(level_begins) else len(values)):
            columns.liquidation[bar] = levels[k]
