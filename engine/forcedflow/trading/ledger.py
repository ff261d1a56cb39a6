"""What remains of trading: tables of orders, fills, trades and equity, made of the account's state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from forcedflow.kernels.account import KINDS, LIMIT, REASONS, STATUSES, STOP
from forcedflow.tables import EQUITY, FILLS, ORDERS, TRADES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forcedflow.data.bars import Bars
    from forcedflow.kernels import BoolArray, FloatArray, IntArray

__all__ = ["Trading", "tabulate"]

Rows = npt.NDArray[np.void]
Table = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Trading:
    """The account's tables; columns and units as ``ORDERS``, ``FILLS``, ``TRADES`` and ``EQUITY`` of tables.py say."""

    orders: Table
    fills: Table
    trades: Table
    """One row an entry that filled, in the order of the entries."""
    equity: Table
    """One row a bar."""
    ambiguous_bars: int
    """Bars in which a stop and a target both lay and neither the open nor the path decided."""


def tabulate(bars: Bars, asked: Rows, filled: Rows, traded: int, cash: float) -> Trading:
    """Make the tables of an account.

    Parameters
    ----------
    asked, filled
        Rows of the kernel's ``ORDER_ROW`` and ``FILL_ROW``.
    traded
        How many bars were traded.
    cash
        The initial equity.
    """
    known_at = bars.close_ts
    is_order = asked["kind"] <= STOP  # the others are commands
    number = np.cumsum(is_order) - 1
    orders: Table = {
        "order_id": number,
        "bar": asked["bar"],
        "ts": known_at[asked["bar"]],
        "event": asked["event"],
        "group": asked["group"],
        "side": asked["side"],
        "kind": _names(KINDS, asked["kind"]),
        "price": asked["price"],
        "stop": asked["stop"],
        "target": asked["target"],
        "qty": asked["qty"],
        "expiry": asked["expiry"],
        "hold": asked["hold"],
        "status": _names(STATUSES, asked["status"]),
        "reason": _names(REASONS, asked["reason"]),
        "status_bar": asked["status_bar"],
    }
    fills: Table = {
        "fill_id": np.arange(len(filled)),
        "order_id": number[filled["order"]],
        "bar": filled["bar"],
        "ts": known_at[filled["bar"]],
        "side": filled["side"],
        "qty": filled["qty"],
        "price": filled["price"],
        "reason": _names(REASONS, filled["reason"]),
        "liquidity": np.where(filled["taker"] == 1, "taker", "maker"),
        "fee": filled["fee"],
        "spread_cost": filled["spread"],
        "impact_cost": np.zeros(len(filled)),
        "forced_qty": np.zeros(len(filled)),
    }
    return Trading(
        _copied({name: column[is_order] for name, column in orders.items()}, ORDERS),
        _copied(fills, FILLS),
        _copied(_trades(bars, asked, filled, number, traded), TRADES),
        _copied(_equity(bars, filled, traded, cash), EQUITY),
        len(np.unique(filled["bar"][filled["ambiguous"] == 1])),
    )


def _trades(bars: Bars, asked: Rows, filled: Rows, number: IntArray, traded: int) -> Table:
    entered = filled["reason"] == REASONS.index("entry")
    enters, leaves = np.flatnonzero(entered), np.flatnonzero(~entered)
    order = filled["order"][enters]
    exit_of = np.full(len(number), -1)
    exit_of[filled["order"][leaves]] = leaves
    left = exit_of[order]
    closed = left >= 0

    def at_exit(column: npt.NDArray[Any], if_open: float) -> npt.NDArray[Any]:
        return np.where(closed, column[left], if_open) if len(filled) else column

    ends = Ends(
        side=asked["side"][order],
        limit=asked["kind"][order] == LIMIT,
        stop=asked["stop"][order],
        entry_bar=filled["bar"][enters],
        entry_price=filled["price"][enters],
        entry_inside=filled["inside"][enters] == 1,
        closed=closed,
        exit_bar=at_exit(filled["bar"], traded - 1),  # an open trade is marked at the last close
        exit_price=at_exit(filled["price"], bars.close[traded - 1]),
        exit_inside=at_exit(filled["inside"], 0) == 1,
        reached=at_exit(filled["reason"], 0) == REASONS.index("target"),
    )
    known_at = bars.close_ts
    qty = filled["qty"][enters]
    fees = filled["fee"][enters] + at_exit(filled["fee"], 0.0)
    costs = fees + filled["spread"][enters] + at_exit(filled["spread"], 0.0)
    net = ends.side * qty * (ends.exit_price - ends.entry_price) - fees
    risk = np.abs(asked["reference"][order] - ends.stop)
    mae, mfe = excursions(bars, ends)
    return {
        "trade_id": np.arange(len(order)),
        "order_id": number[order],
        "group": asked["group"][order],
        "side": ends.side,
        "qty": qty,
        "entry_bar": ends.entry_bar,
        "entry_ts": known_at[ends.entry_bar],
        "entry_price": ends.entry_price,
        "stop": ends.stop,
        "target": asked["target"][order],
        "exit_bar": ends.exit_bar,
        "exit_ts": known_at[ends.exit_bar],
        "exit_price": ends.exit_price,
        "exit_reason": np.where(closed, _names(REASONS, at_exit(filled["reason"], 0)), "open"),
        "gross": net + costs,
        "costs": costs,
        "net": net,
        "r": net / (qty * risk),
        "mae_r": mae / risk,
        "mfe_r": mfe / risk,
        "bars_held": ends.exit_bar - ends.entry_bar,
        "ambiguous": at_exit(filled["ambiguous"], 0),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """Where trades began and ended; arrays of shape (trades,)."""

    side: IntArray
    limit: BoolArray
    """The entry was a limit order."""
    stop: FloatArray
    entry_bar: IntArray
    entry_price: FloatArray
    entry_inside: BoolArray
    """Entered inside the bar, not at its open."""
    closed: BoolArray
    exit_bar: IntArray
    exit_price: FloatArray
    exit_inside: BoolArray
    reached: BoolArray
    """Left at its target."""


def excursions(bars: Bars, ends: Ends) -> tuple[FloatArray, FloatArray]:
    """Return the worst (at most 0) and the best (at least 0) excursion of each trade, in price.

    Bars held from open to close count whole. Of a bar in which the trade began or ended, the adverse side counts whole
    where it may have come while the trade was open (but never beyond its stop), the favourable side only where it
    must have: the high of a bar entered by a stop order, the close of one entered by a limit, the open of one left
    by a stop. The price of the exit counts on both sides.
    """
    side, entry, leave = ends.side, ends.entry_bar, ends.exit_bar
    full_from, full_to = entry + ends.entry_inside, leave + ~ends.closed
    price = side * ends.entry_price
    lowest = _between(np.minimum, bars.low, full_from, full_to)
    highest = _between(np.maximum, bars.high, full_from, full_to)
    held_worst, held_best = np.where(side > 0, lowest, -highest), np.where(side > 0, highest, -lowest)
    begun_inside = ends.entry_inside & ~(ends.closed & (entry == leave))
    left_at_target = ends.exit_inside & ends.reached
    left_at_stop = ends.exit_inside & ~ends.reached & ~(ends.entry_inside & (entry == leave))

    worst = np.minimum(price, side * ends.exit_price)
    worst = np.minimum(worst, np.where(full_from < full_to, held_worst, worst))
    worst = np.minimum(worst, np.where(begun_inside, _worst(bars, side, entry), worst))
    worst = np.minimum(worst, np.where(left_at_target, np.fmax(_worst(bars, side, leave), side * ends.stop), worst))

    best = np.maximum(price, side * ends.exit_price)
    best = np.maximum(best, np.where(full_from < full_to, held_best, best))
    best = np.maximum(
        best, np.where(begun_inside, np.where(ends.limit, side * bars.close[entry], _best(bars, side, entry)), best)
    )
    best = np.maximum(best, np.where(left_at_stop, side * bars.open[leave], best))
    return worst - price, best - price


def _worst(bars: Bars, side: IntArray, bar: IntArray) -> FloatArray:
    return np.where(side > 0, bars.low[bar], -bars.high[bar])


def _best(bars: Bars, side: IntArray, bar: IntArray) -> FloatArray:
    return np.where(side > 0, bars.high[bar], -bars.low[bar])


def _between(extreme: np.ufunc, column: FloatArray, start: IntArray, stop: IntArray) -> FloatArray:
    """Return the extreme of each [start, stop); where that is empty, a number that means nothing."""
    if not len(start):
        return column[:0]
    padded = np.append(column, column[-1])  # reduceat takes no index past the end
    extremes: FloatArray = extreme.reduceat(padded, np.column_stack((start, stop)).ravel())[::2]
    return extremes


def _equity(bars: Bars, filled: Rows, traded: int, cash: float) -> Table:
    """Reckon equity at each close from the state after the last fill, never by adding up bars."""
    last = np.searchsorted(filled["bar"], np.arange(traded), side="right")
    close = bars.close[:traded]
    cash_held = np.concatenate(([cash], filled["cash"]))[last]
    position = np.concatenate(([0.0], filled["position"]))[last]
    equity = cash_held + position * close
    highest = np.maximum(np.maximum.accumulate(equity), cash)
    return {
        "bar": np.arange(traded),
        "ts": bars.close_ts[:traded],
        "close": close,
        "position": position,
        "cash": cash_held,
        "equity": equity,
        "drawdown": 1.0 - equity / highest,
    }


def _names(names: tuple[str, ...], codes: IntArray) -> npt.NDArray[np.str_]:
    return np.array(names)[codes]


def _copied(table: Table, schema: Mapping[str, str]) -> Table:
    """Return the table's columns in the schema's order and types, apart from the account's own arrays."""
    return {name: np.array(table[name], dtype=dtype) for name, dtype in schema.items()}
