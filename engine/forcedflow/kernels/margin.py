"""The price at which the account itself is liquidated.

The equation is that of ``venues.rules``, with the margin and the entry folded into one sum: the money ``cash`` that is
left if the position is worth nothing. Let ``v`` be the position's value at a price and ``d`` its direction (+1 where
the value rises with profit). Then liquidation is where ``cash + d * v`` falls to the maintenance margin::

    on the mark    cash + d * v = rate * v - amount      v = (-cash - amount) / (d - rate)
    on entry       cash + d * v = rate * v0 - amount     v = d * (rate * v0 - amount - cash)

Isolated, ``cash = margin - d * v0`` of the lot; cross, it is the account's own. The bracket is the one at ``v``,
found by the same fixed point as there.
"""

from __future__ import annotations

import numpy as np

from forcedflow.kernels import Record, inner_kernel, lean_kernel, plain
from forcedflow.kernels.orders import ISOLATED, State, Venue, worth

__all__ = ["account_level", "follow_schedule", "isolated_level", "largest_value"]


@lean_kernel
def _bracket(state: State, value: float, qty: float) -> int:
    """Return the row of a position; the last for one beyond every cap."""
    book = state.book[0]
    size, row = value if book.contract == 0.0 else qty / book.contract, 0
    while row < book.rows - 1 and size > state.table[row].cap:
        row += 1
    return row


@lean_kernel
def _level(state: State, rules: Record, side: int, qty: float, cash: float, at_entry: float) -> float:
    """Return the price at which a position is liquidated, NaN for none; ``at_entry`` is its value then."""
    d = float(side if rules.face == 0.0 else -side)
    row = _bracket(state, at_entry, qty)
    table, value = state.table, 0.0
    if state.book[0].on_entry != 0:
        value = d * (table[row].rate * at_entry - table[row].amount - cash)
    else:
        for _ in range(state.book[0].rows + 1):
            value = (-cash - table[row].amount) / (d - table[row].rate)
            found = _bracket(state, value, qty)
            if found == row:
                break
            row = found
    if value <= 0.0:
        return np.nan
    return value / qty if rules.face == 0.0 else qty * rules.face / value


@inner_kernel
def isolated_level(state: State, rules: Record, lot: Record) -> None:
    """Set the price at which a lot that holds its own margin is liquidated."""
    lot.liquidation = np.nan
    if rules.margin == ISOLATED and state.book[0].rows > 0 and lot.left > 0.0:
        value = lot.left * abs(worth(rules, lot.entry_price))
        d = float(lot.side if rules.face == 0.0 else -lot.side)
        cash = lot.margin * (lot.left / lot.qty) - d * value
        lot.liquidation = _level(state, rules, plain(lot.side), lot.left, cash, value)


@inner_kernel
def account_level(state: State, rules: Record) -> None:
    """Set the price at which an account whose lots share all cash is liquidated, unless it is set already."""
    book = state.book[0]
    if book.fresh != 0:
        return
    book.fresh = 1
    book.liquidation = np.nan
    if book.rows == 0 or book.position == 0.0:
        return
    entered = 0.0
    for at in range(book.lots):
        lot = state.orders[state.lots[at]]
        entered += lot.side * lot.left * abs(worth(rules, lot.entry_price))
    side = 1 if book.position > 0.0 else -1
    book.liquidation = _level(state, rules, side, abs(book.position), book.cash, abs(entered))


@inner_kernel
def largest_value(state: State, leverage: float, unit: float) -> float:
    """Return the largest position that the venue opens at a leverage, in money; ``unit`` is the worth of one unit."""
    book, largest = state.book[0], 0.0
    for row in range(book.rows):
        if state.table[row].max_leverage >= leverage:
            largest = state.table[row].cap
    return largest if book.contract == 0.0 else largest * book.contract * unit


@inner_kernel
def follow_schedule(state: State, venue: Venue, rules: Record, bar: int) -> None:
    """Take the maintenance table that holds at ``bar``, and reckon the liquidation of what is open by it."""
    book = state.book[0]
    while book.schedule + 1 < len(venue.schedules) and venue.schedules[book.schedule + 1].bar <= bar:
        book.schedule += 1
        schedule = venue.schedules[book.schedule]
        book.rows = schedule.last - schedule.first
        book.on_entry, book.contract = schedule.on_entry, schedule.contract
        for row in range(book.rows):
            theirs, ours = venue.brackets[schedule.first + row], state.table[row]
            ours.cap, ours.rate, ours.amount = theirs.cap, theirs.rate, theirs.amount
            ours.max_leverage = theirs.max_leverage
        book.fresh = 0
        book.watched = 0
        for at in range(book.lots):
            isolated_level(state, rules, state.orders[state.lots[at]])
