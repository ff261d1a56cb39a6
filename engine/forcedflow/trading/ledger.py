"""What remains of trading: tables of orders, fills, trades, funding and equity, made of the account's state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from forcedflow.kernels.orders import AT_OPEN, ENTERED, KINDS, REACHED, REASONS, RESTED, STATUSES, STOP_LIMIT
from forcedflow.tables import EQUITY, FILLS, FUNDING, ORDERS, TRADES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forcedflow.data.bars import Bars
    from forcedflow.kernels import BoolArray, FloatArray, IntArray
    from forcedflow.settings import AccountSettings
    from forcedflow.trading.exchange import Exchange

__all__ = ["Begun", "Trading", "equity_table", "fills_table", "funding_table", "tabulate"]

Rows = npt.NDArray[np.void]
Table = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Trading:
    """The account's tables; columns and units as ``ORDERS``, ``FILLS``, ``TRADES`` and so on of tables.py say."""

    orders: Table
    fills: Table
    trades: Table
    """One row an entry that filled, in the order of the entries."""
    funding: Table
    """One row a payment."""
    equity: Table
    """One row a bar."""
    ambiguous_bars: int
    """Bars in which a stop and a target both lay and neither the open nor finer bars decided."""
    unpriced_fills: int
    """Fills without impact although it was asked for: volume or volatility before the bar is not known."""


def tabulate(
    market: Exchange,
    asked: Rows,
    filled: Rows,
    funded: Rows,
    levels: Rows,
    traded: int,
    settings: AccountSettings,
) -> Trading:
    """Make the tables of an account.

    Parameters
    ----------
    asked, filled, funded, levels
        Rows of the kernel's ``ORDER_ROW``, ``FILL_ROW``, ``FUNDED_ROW`` and ``LEVEL_ROW``.
    traded
        How many bars were traded.
    """
    ts = market.close_ts
    is_order = asked["kind"] <= STOP_LIMIT  # the others are commands
    number = np.cumsum(is_order) - 1
    enters = np.flatnonzero(filled["reason"] == ENTERED)
    trade = np.full(len(asked), -1)
    trade[filled["lot"][enters]] = np.arange(len(enters))
    trade = trade[filled["lot"]]
    orders: Table = {
        "order_id": number,
        "ts": ts[asked["bar"]],
        "kind": _names(KINDS, asked["kind"]),
        "status": _names(STATUSES, asked["status"]),
        "reason": _names(REASONS, asked["reason"]),
        **_gathered(asked, ORDERS),
    }
    if not is_order.all():
        orders = {name: column[is_order] for name, column in orders.items()}
    volatility, usual = market.prices.volatility, market.prices.usual_volume
    at = filled["bar"]
    unpriced = (settings.impact > 0) & ~((volatility[at] > 0) & (usual[at] > 0))
    return Trading(
        _copied(orders, ORDERS),
        fills_table(market, filled, number, trade),
        _copied(_trades(market, asked, filled, trade, number, traded), TRADES),
        funding_table(market, funded),
        equity_table(market, filled, funded, levels, traded, Begun(settings.cash)),
        len(np.unique(filled["bar"][filled["ambiguous"] == 1])),
        int(np.count_nonzero(unpriced)),
    )


class Begun(NamedTuple):
    """How an account stands before the first bar of a table of equity."""

    cash: float
    position: float = 0.0
    high: float | None = None
    """Highest equity so far; None: the cash, nothing was traded yet."""
    liquidation: float = np.nan
    """Nearest price of own liquidation."""


def fills_table(market: Exchange, filled: Rows, number: IntArray, trade: IntArray) -> Table:
    """Return the table of fills; ``number`` are the numbers of the orders, ``trade`` the trade of each fill."""
    fills: Table = {
        "fill_id": np.arange(len(filled)),
        "order_id": number[filled["order"]],
        "trade_id": trade,
        "ts": market.close_ts[filled["bar"]],
        "reason": _names(REASONS, filled["reason"]),
        "liquidity": np.where(filled["taker"] == 1, "taker", "maker"),
        "spread_cost": filled["spread"],
        "impact_cost": filled["impact"],
        "forced_qty": filled["forced"],
        **{name: filled[name] for name in ("bar", "side", "qty", "price", "fee", "shortfall")},
    }
    return _copied(fills, FILLS)


def funding_table(market: Exchange, funded: Rows) -> Table:
    """Return the table of payments."""
    funding: Table = {
        "ts": market.funding_ts[funded["row"]],
        "rate": market.rates[funded["row"]],
        **{name: funded[name] for name in ("bar", "position", "price", "amount")},
    }
    return _copied(funding, FUNDING)


_BLOCK: Final = 1 << 11  # rows whose fields stay in the processor's cache while they are gathered


def _gathered(rows: Rows, schema: Mapping[str, str]) -> Table:
    """Return the fields of rows that have the name of a column and are not text, in the column's type."""
    named = [name for name, dtype in schema.items() if name in (rows.dtype.names or ()) and dtype != "str"]
    columns: Table = {name: np.empty(len(rows), schema[name]) for name in named}
    for start in range(0, len(rows), _BLOCK):
        block = slice(start, start + _BLOCK)
        few = rows[block]
        for name, column in columns.items():
            column[block] = few[name]
    return columns


def _trades(market: Exchange, asked: Rows, filled: Rows, trade: IntArray, number: IntArray, traded: int) -> Table:
    bars = market.bars
    entered = filled["reason"] == ENTERED
    enters, leaves = np.flatnonzero(entered), np.flatnonzero(~entered)
    count = len(enters)
    lot = filled["lot"][enters]
    side, qty, left = asked["side"][lot], filled["qty"][enters], asked["left"][lot]
    closed = left == 0.0
    of, part = trade[leaves], filled["qty"][leaves]

    def summed(values: FloatArray, at: IntArray = of) -> FloatArray:
        return np.bincount(at, values, count).astype(np.float64)  # of nothing it makes integers

    last = np.zeros(count, np.int64)
    last[of] = leaves  # the last exit of each: fills are in the order of their time

    def at_exit(column: npt.NDArray[Any], if_open: float) -> npt.NDArray[Any]:
        return np.where(closed, column[last], if_open) if count else column[:0]

    # An open rest is marked at the last close.
    mark = bars.close[traded - 1]
    begun, marked = market.worth(filled["price"][enters]), market.worth(mark)
    ended = market.worth(filled["price"][leaves])
    mean = (summed(part * ended) + left * marked) / qty
    pieces = np.bincount(of, minlength=count) + ~closed
    at_last = at_exit(filled["price"], mark)
    entry_bar, exit_bar = filled["bar"][enters], at_exit(filled["bar"], traded - 1)
    ends = Ends(
        side=side,
        limit=filled["inside"][enters] == RESTED,
        stop=asked["stop"][lot],
        entry_bar=entry_bar,
        entry_price=filled["price"][enters],
        entry_inside=filled["inside"][enters] != AT_OPEN,
        closed=closed,
        exit_bar=exit_bar,
        exit_price=np.where(pieces == 1, at_last, market.price(mean)),
        exit_inside=at_exit(filled["inside"], AT_OPEN) != AT_OPEN,
        reached=at_exit(filled["reason"], 0) == REACHED,
    )
    costs = summed(filled["fee"] + filled["spread"] + filled["impact"], trade)
    fees = filled["fee"][enters] + summed(filled["fee"][leaves])
    funding = side * summed(part * _funded(market, entry_bar[of], filled["bar"][leaves]))
    rest = np.where(closed, 0.0, side * left)  # nothing, not a signed nothing: later bars must not tell
    funding = funding + np.where(closed, 0.0, rest * _funded(market, entry_bar, np.full(count, traded - 1)))
    net = (
        summed(side[of] * part * (ended - begun[of])) + np.where(closed, 0.0, rest * (marked - begun)) - fees + funding
    )
    risk = asked["risk"][lot]
    mae, mfe = excursions(bars, ends)
    return {
        "trade_id": np.arange(count),
        "order_id": number[lot],
        "group": asked["group"][lot],
        "side": side,
        "qty": qty,
        "entry_bar": entry_bar,
        "entry_ts": bars.ts[entry_bar] + bars.interval,
        "entry_price": ends.entry_price,
        "stop": ends.stop,
        "target": asked["target"][lot],
        "exit_bar": exit_bar,
        "exit_ts": bars.ts[exit_bar] + bars.interval,
        "exit_price": ends.exit_price,
        "exit_reason": np.where(closed, _names(REASONS, at_exit(filled["reason"], 0)), "open"),
        "gross": net + costs - funding,
        "costs": costs,
        "funding": funding,
        "net": net,
        "r": net / (qty * risk),
        "mae_r": side * (market.worth(ends.entry_price + side * mae) - begun) / risk,
        "mfe_r": side * (market.worth(ends.entry_price + side * mfe) - begun) / risk,
        "bars_held": exit_bar - entry_bar,
        "ambiguous": at_exit(filled["ambiguous"], 0),
    }


def _funded(market: Exchange, after: IntArray, upto: IntArray) -> FloatArray:
    """Return what a long unit received in the bars (after, upto]."""
    due = market.rules.funding["bar"]
    paid = -market.rates * np.abs(market.worth(market.bars.open[due]))
    received = np.concatenate(([0.0], np.cumsum(paid)))
    until: FloatArray = received[np.searchsorted(due, upto, side="right")]
    return until - received[np.searchsorted(due, after, side="right")]


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
    last = len(column) - 1  # reduceat takes no index past the end
    spans = np.minimum(np.column_stack((start, stop)), last).ravel()
    extremes: FloatArray = extreme.reduceat(column, spans)[::2]
    return np.where(stop > last, extreme(extremes, column[last]), extremes)


def equity_table(market: Exchange, filled: Rows, funded: Rows, levels: Rows, traded: int, begun: Begun) -> Table:
    """Reckon equity at each close from the state after the last fill or payment, never by adding up bars."""
    bar = np.concatenate((funded["bar"], filled["bar"]))
    order = np.argsort(bar, kind="stable")  # payments come before the fills of their bar
    spans = np.diff(bar[order], prepend=0, append=traded)
    close = market.bars.close[:traded]

    def held(first: float, *then: FloatArray) -> FloatArray:
        return np.repeat(np.concatenate(([first], np.concatenate(then)[order])), spans)

    cash_held = held(begun.cash, funded["cash"], filled["cash"])
    position = held(begun.position, funded["position"], filled["position"])
    equity = position * market.worth(close)
    equity += cash_held
    drawdown = np.maximum.accumulate(equity)  # the highest so far; in place, since these columns are long
    np.maximum(drawdown, begun.cash if begun.high is None else begun.high, out=drawdown)
    np.divide(equity, drawdown, out=drawdown)
    np.subtract(1.0, drawdown, out=drawdown)
    liquidation = np.repeat(
        np.concatenate(([begun.liquidation], levels["price"])), np.diff(levels["bar"], prepend=0, append=traded)
    )
    table: Table = {
        "bar": market.numbers[:traded],
        "ts": market.close_ts[:traded],
        "close": close,
        "position": position,
        "cash": cash_held,
        "equity": equity,
        "drawdown": drawdown,
        "liquidation": liquidation,
    }
    return _copied(table, EQUITY)


def _names(names: tuple[str, ...], codes: IntArray) -> npt.NDArray[np.str_]:
    used = np.bincount(codes, minlength=len(names)) > 0  # columns of text are as wide as their longest
    return np.array([name if is_used else "" for name, is_used in zip(names, used, strict=True)]).take(codes)


def _copied(table: Table, schema: Mapping[str, str]) -> Table:
    """Return the table's columns in the schema's order and types, apart from the account's own arrays."""
    return {name: np.ascontiguousarray(table[name], dtype=dtype) for name, dtype in schema.items()}
