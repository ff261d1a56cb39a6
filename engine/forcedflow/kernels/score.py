"""What a sweep reads off an account: no table, no pass over the bars.

The rows of :mod:`.orders` become what a scorecard needs: pieces of constant cash and position, equity at the ends of
days, and results of trades. The same numbers, to the bit, as the tables of a single run hold; nothing here is compiled
before a sweep calls it.
"""

from __future__ import annotations

import numpy as np

from forcedflow.kernels import FloatArray, IntArray, Record, Records, kernel, lean_kernel, measures
from forcedflow.kernels.orders import AT_OPEN, ENTERED, REACHED, RESTED, Prices
from forcedflow.kernels.touch import reach

__all__ = ["TRADE_ROW", "daily_measures", "equity_at", "pieces", "trade_measures", "trade_results"]

TRADE_ROW = np.dtype(
    [
        ("order", "i8"),  # whose lot it is
        ("entered", "i8"),  # the fill
        ("last", "i8"),  # the last fill that left, -1 for none
        ("parts", "i8"),  # fills that left
        ("closed", "i8"),
        ("ambiguous", "i8"),
        ("entry_bar", "i8"),
        ("exit_bar", "i8"),
        ("bars_held", "i8"),
        ("costs", "f8"),  # as in the table of trades, from here on
        ("fees", "f8"),  # of the fills that left
        ("funding", "f8"),
        ("gained", "f8"),  # by the fills that left
        ("ended", "f8"),  # sum of quantity times worth of the fills that left
        ("net", "f8"),
        ("gross", "f8"),
        ("r", "f8"),
        ("mae_r", "f8"),
        ("mfe_r", "f8"),
    ]
)
"""One trade: sums over its fills, then what the table of trades holds."""


@lean_kernel
def pieces(fills: Records, funded: Records, begins: IntArray, cash: FloatArray, position: FloatArray) -> None:
    """Write down from which bar on which cash and position hold: row 0 is the caller's, then one a fill or payment.

    Payments come before the fills of their bar. Shape (fills + payments + 1,) each.
    """
    fill, paid = 0, 0
    for k in range(1, len(begins)):
        if paid < len(funded) and (fill == len(fills) or funded[paid].bar <= fills[fill].bar):
            begins[k], cash[k], position[k] = funded[paid].bar, funded[paid].cash, funded[paid].position
            paid += 1
        else:
            begins[k], cash[k], position[k] = fills[fill].bar, fills[fill].cash, fills[fill].position
            fill += 1


@lean_kernel
def equity_at(
    bars: IntArray, worth: FloatArray, begins: IntArray, cash: FloatArray, position: FloatArray, equity: FloatArray
) -> int:
    """Write the equity at the closes of ascending ``bars``; return how many of all bars closed with a position."""
    piece, exposed = 0, 0
    for at in range(len(bars)):
        while piece + 1 < len(begins) and begins[piece + 1] <= bars[at]:
            piece += 1
        equity[at] = position[piece] * worth[bars[at]] + cash[piece]
    for piece in range(len(begins)):
        end = begins[piece + 1] if piece + 1 < len(begins) else len(worth)
        if position[piece] != 0.0:
            exposed += end - begins[piece]
    return exposed


@lean_kernel
def _worth(face: float, price: float) -> float:
    return price if face == 0.0 else -face / price


@lean_kernel
def _received(due: IntArray, received: FloatArray, bar: int) -> float:
    """Return what a long unit received up to and in a bar."""
    return float(received[np.searchsorted(due, bar, side="right")])


@lean_kernel
def _excursions(
    prices: Prices, order: Record, entered: Record, left: Record, exit_bar: int, exit_price: float, closed: bool
) -> tuple[float, float]:
    """Return worst and best excursion of a trade, in price: as the ledger's ``excursions``, which says the rules."""
    side = float(order.side)
    entry = entered.bar
    entry_inside, limit = entered.inside != AT_OPEN, entered.inside == RESTED
    exit_inside, reached = closed and left.inside != AT_OPEN, closed and left.reason == REACHED
    price = side * entered.price
    worst = min(price, side * exit_price)
    best = max(price, side * exit_price)
    begin, end = entry + (1 if entry_inside else 0), exit_bar + (0 if closed else 1)
    if begin < end:
        highest, lowest = reach(prices.reach, begin, end)
        worst = min(worst, lowest if side > 0.0 else -highest)
        best = max(best, highest if side > 0.0 else -lowest)
    if entry_inside and not (closed and entry == exit_bar):
        worst = min(worst, prices.low[entry] if side > 0.0 else -prices.high[entry])
        if limit:
            best = max(best, side * prices.close[entry])
        else:
            best = max(best, prices.high[entry] if side > 0.0 else -prices.low[entry])
    if exit_inside and reached:
        low = prices.low[exit_bar] if side > 0.0 else -prices.high[exit_bar]
        if side * order.stop > low:  # noqa: PLR1730  (false for NaN: no stop)
            low = side * order.stop
        worst = min(worst, low)
    if exit_inside and not reached and not (entry_inside and entry == exit_bar):
        best = max(best, side * prices.open[exit_bar])
    return worst - price, best - price


@lean_kernel
def trade_results(
    prices: Prices,
    face: float,
    due: IntArray,
    received: FloatArray,
    orders: Records,
    fills: Records,
    of: IntArray,
    trades: Records,
) -> int:
    """Write down what came of each trade; return how many there are.

    Parameters
    ----------
    prices
        Of all bars, which were all traded.
    face
        Of an inverse contract, else 0.
    due, received
        Shape (payments,) and (payments + 1,): bar of each funding payment; what a long unit had received before it.
    orders, fills
        Of the account.
    of
        Shape (orders,): room for the trade of each order.
    trades
        TRADE_ROW: room for one row an entry, which a fill is at most.
    """
    last = len(prices.close) - 1
    count = 0
    for at in range(len(fills)):
        fill = fills[at]
        if fill.reason == ENTERED:
            of[fill.lot] = count
            trade = trades[count]
            trade.order, trade.entered, trade.last, trade.parts = fill.lot, at, -1, 0
            trade.entry_bar = fill.bar
            trade.costs = trade.fees = trade.funding = trade.gained = trade.ended = 0.0
            count += 1
        trade = trades[of[fill.lot]]
        trade.costs += fill.fee + fill.spread + fill.impact
        if fill.reason == ENTERED:
            continue
        entered = fills[trade.entered]
        ended = _worth(face, fill.price)
        part = fill.qty
        trade.last = at
        trade.parts += 1
        trade.fees += fill.fee
        trade.ended += part * ended
        trade.gained += orders[fill.lot].side * part * (ended - _worth(face, entered.price))
        trade.funding += part * (_received(due, received, fill.bar) - _received(due, received, entered.bar))
    for number in range(count):
        trade = trades[number]
        order, entered = orders[trade.order], fills[trade.entered]
        left = fills[max(trade.last, 0)]
        side, open_part, closed = float(order.side), order.left, order.left == 0.0
        mark, begun = prices.close[last], _worth(face, entered.price)
        trade.closed = closed
        trade.exit_bar = left.bar if closed else last
        trade.bars_held = trade.exit_bar - trade.entry_bar
        trade.ambiguous = left.ambiguous if closed else 0
        funding, gained = side * trade.funding, trade.gained
        if not closed:
            rest = side * open_part
            paid = _received(due, received, last) - _received(due, received, entered.bar)
            funding += rest * paid
            gained += rest * (_worth(face, mark) - begun)
        net = gained - (entered.fee + trade.fees) + funding
        exit_price = left.price if closed else mark
        if trade.parts + (0 if closed else 1) != 1:
            mean = (trade.ended + open_part * _worth(face, mark)) / entered.qty
            exit_price = mean if face == 0.0 else -face / mean
        mae, mfe = _excursions(prices, order, entered, left, trade.exit_bar, exit_price, closed)
        trade.funding = funding
        trade.net = net
        trade.gross = net + trade.costs - funding
        trade.r = trade.mae_r = trade.mfe_r = np.nan
        if order.risk > 0.0:
            trade.r = net / (entered.qty * order.risk)
            trade.mae_r = side * (_worth(face, entered.price + side * mae) - begun) / order.risk
            trade.mfe_r = side * (_worth(face, entered.price + side * mfe) - begun) / order.risk
    return count


@kernel
def daily_measures(
    daily: FloatArray, returns: FloatArray, ordered: FloatArray, per_year: float
) -> measures.DailyMeasures:
    """Return what :func:`.measures.daily_measures` does, compiled."""
    return measures.daily_measures(daily, returns, ordered, per_year)


@kernel
def trade_measures(
    net: FloatArray, r: FloatArray, ordered: FloatArray, mae: FloatArray, mfe: FloatArray, held: FloatArray
) -> measures.TradeMeasures:
    """Return what :func:`.measures.trade_measures` does, compiled."""
    return measures.trade_measures(net, r, ordered, mae, mfe, held)
