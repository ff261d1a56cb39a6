"""Runs for other libraries: a second bookkeeper for the same fills."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from forcedflow.errors import SettingsError

if TYPE_CHECKING:
    from forcedflow.record import Run, Table
    from forcedflow.tables import FloatArray, IntArray

__all__ = ["replayed", "to_vectorbt"]


def to_vectorbt(run: Run) -> tuple[Any, IntArray]:
    """Replay the order log of a run through ``vectorbt.Portfolio.from_orders``.

    vectorbt takes one order a bar, so its axis is one row a fill and one row a bar's close, in the order of time.
    It knows no funding: what ``run.funding`` says is missing from its cash. It has cash without bound, since it
    refuses to borrow, and its initial cash is what it found was needed.

    Returns
    -------
    portfolio, closes
        The portfolio, and at which of its rows the bars close. Of an inverse contract it holds the mirrored position,
        at the price of one contract in base currency: a long of it is a short of that.

    Raises
    ------
    SettingsError
        Where vectorbt is not installed.
    """
    return replayed(run.fills, run.equity["close"], float(run.summary["face"]))


def replayed(fills: Table, close: FloatArray, face: float = 0.0) -> tuple[Any, IntArray]:
    """Replay fills over the closes of all bars; ``face`` of an inverse contract, 0 for a linear one."""
    try:
        import vectorbt as vbt  # noqa: PLC0415  (6 s, and an extra)
    except ImportError:
        raise SettingsError(
            "vectorbt is not installed: install the extra vectorbt (pip install 'forcedflow[vectorbt]')"
        ) from None
    count = len(fills["bar"])
    rows = fills["bar"] + np.arange(count)  # a fill comes after the closes of the bars before its own
    closes = np.setdiff1d(np.arange(count + len(close)), rows)
    price, size, fee = np.empty(count + len(close)), np.full(count + len(close), np.nan), np.zeros(count + len(close))
    price[closes], price[rows] = close, fills["price"]
    size[rows], fee[rows] = fills["side"] * fills["qty"], fills["fee"]
    if face:
        price, size = face / price, -size
    portfolio = vbt.Portfolio.from_orders(
        price, size, price=price, fixed_fees=fee, init_cash="auto", freq="1min", direction="both"
    )
    return portfolio, closes
