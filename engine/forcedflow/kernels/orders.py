"""What the account's kernels pass around: codes, rows, and what becomes of an order outside of trading.

All money is in the currency of the margin (``worth`` below says how): quote for linear contracts, base for inverse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from forcedflow.kernels import BoolArray, FloatArray, IntArray, Record, Records, inner_kernel

if TYPE_CHECKING:
    from forcedflow.kernels.touch import Extremes

__all__ = [
    "BOOK_ROW",
    "BRACKET_ROW",
    "CONFLICTS",
    "FILL_ROW",
    "FUNDED_ROW",
    "FUNDING_ROW",
    "INTRABARS",
    "KINDS",
    "LEVEL_ROW",
    "MARGINS",
    "MOMENT_ROW",
    "ORDER_ROW",
    "REASONS",
    "RULES_ROW",
    "SCHEDULE_ROW",
    "SIGNAL_ROW",
    "SIZE_RULES",
    "STATUSES",
    "SWEPT_ROW",
    "Detail",
    "Prices",
    "State",
    "Venue",
]

# Codes and, in their order, the names that the tables show.
KINDS: Final = ("market", "limit", "stop", "stop_limit", "close", "cancel")
MARKET, LIMIT, STOP, STOP_LIMIT, CLOSE, CANCEL = range(
    6
)  # the last two are commands: close all lots, cancel all orders
SIZE_RULES: Final = ("units", "notional", "equity", "risk")
UNITS, NOTIONAL, EQUITY, RISK = range(4)
CONFLICTS: Final = ("ignore", "replace", "reverse", "add")
IGNORE, REPLACE, REVERSE, ADD = range(4)
MARGINS: Final = ("none", "isolated", "cross")
NO_MARGIN, ISOLATED, CROSS = range(3)
INTRABARS: Final = ("worst", "path", "target_first", "drill")
WORST, PATH, TARGET_FIRST, DRILL = range(4)
STATUSES: Final = ("working", "filled", "expired", "cancelled", "refused")
WORKING, FILLED, EXPIRED, CANCELLED, REFUSED = range(5)
REASONS: Final = (
    *("", "entry", "stop", "target", "hold", "exit_on", "close", "replace", "reverse", "reduce", "liquidation"),
    *("expiry", "cancel_on", "cancel", "oco", "conflict", "max_open", "cooldown", "group", "leverage", "equity"),
)
NONE, ENTERED, STOPPED, REACHED, HELD, EXIT_ON, CLOSED, REPLACED, REVERSED, REDUCED, LIQUIDATED = range(11)
EXPIRY, CANCEL_ON, CANCELLED_ALL, OCO, CONFLICT, MAX_OPEN, COOLDOWN, GROUP, LEVERAGE, NO_EQUITY = range(11, 21)

NEVER: Final = 2**62
AT_OPEN, TOUCHED, RESTED = range(3)  # how an order filled: at the open; inside the bar by a touch; inside, as a limit


class Prices(NamedTuple):
    """Columns of the bars, shape (bars,), and where they reach."""

    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    volatility: FloatArray
    """Of a bar, log price, and the average volume of a bar, base units: both as known before the bar, 0 for unknown.
    Not contiguous: live columns of the market pass."""
    usual_volume: FloatArray
    mark_high: FloatArray
    """What triggers liquidation: extremes of the mark price, or those of the bars."""
    mark_low: FloatArray
    reach: Extremes
    mark_reach: Extremes


class Detail(NamedTuple):
    """What is known about the inside of a bar beside its prices; each part may be empty."""

    # Finer bars: bar i consists of rows start[i] to start[i + 1]
    start: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    # What the map saw swept: bar i rows swept_start[i] to swept_start[i + 1]
    swept_start: IntArray
    swept: Records  # SWEPT_ROW


SIGNAL_ROW: Final = np.dtype([("bar", "i8"), ("kind", "i8"), ("group", "i8")])
"""One row of the tape."""

FUNDING_ROW: Final = np.dtype([("bar", "i8"), ("rate", "f8")])
"""A payment: longs pay shorts ``rate`` of their value at the open of ``bar``, before anything trades there."""

SWEPT_ROW: Final = np.dtype([("price", "f8"), ("side", "i8"), ("mass", "f8")])
"""Mass swept in a bar at the price of one bin, base units; side +1 was forced buying, -1 forced selling."""

BRACKET_ROW: Final = np.dtype([("cap", "f8"), ("rate", "f8"), ("amount", "f8"), ("max_leverage", "f8")])
"""One row of a maintenance table; ``rate`` contains the fee that the venue adds; inf where there is no bound."""

SCHEDULE_ROW: Final = np.dtype(
    [
        ("bar", "i8"),  # holds from its open
        ("first", "i8"),  # its rows of BRACKET_ROW are [first, last)
        ("last", "i8"),
        ("on_entry", "i8"),  # maintenance is taken on the value at entry, else on the mark
        ("contract", "f8"),  # caps count contracts of so many units each; 0: caps are values
    ]
)
"""A maintenance table and the bar from which it holds."""

RULES_ROW: Final = np.dtype(
    [
        ("face", "f8"),  # inverse: quote currency a contract; 0: linear
        ("maker_fee", "f8"),
        ("taker_fee", "f8"),
        ("liquidation_fee", "f8"),
        ("half_spread", "f8"),
        ("impact", "f8"),
        ("participation", "f8"),
        ("max_leverage", "f8"),
        ("leverage", "f8"),
        ("margin", "i8"),  # MARGINS
        ("marked", "i8"),  # the mark price has extremes of its own
        ("intrabar", "i8"),  # INTRABARS
        ("conflict", "i8"),  # CONFLICTS
        ("max_open", "i8"),
        ("cooldown", "i8"),
        ("once_per_group", "i8"),
    ]
)
"""Costs, limits and policies: one row, which nobody changes."""

ORDER_ROW: Final = np.dtype(
    [
        # What the strategy asked for
        ("event", "i8"),  # the signal that it answers
        ("bar", "i8"),  # and its bar
        ("ask", "i8"),  # number of the first order of the same ask: legs of a ladder are one ask
        ("side", "i4"),
        ("kind", "i4"),  # KINDS
        ("price", "f8"),
        ("limit", "f8"),  # of a stop_limit
        ("stop", "f8"),
        ("target", "f8"),
        ("trail", "f8"),
        ("ratchet", "f8"),  # exp(-side * trail): the trailing stop is the best price since entry times this
        ("amount", "f8"),  # what it means says size_rule (`size` is taken: an attribute of numpy's records)
        ("size_rule", "i4"),  # SIZE_RULES
        ("expiry", "i8"),
        ("hold", "i8"),
        ("group", "i8"),
        ("slot", "i8"),  # a dense number of the group
        ("oco", "i8"),
        ("reduce_only", "i4"),
        ("cancel_on", "i4"),  # bit k is set for event kind k
        ("exit_on", "i4"),
        # What became of it
        ("status", "i4"),  # STATUSES
        ("reason", "i4"),  # REASONS
        ("status_bar", "i8"),
        ("qty", "f8"),  # accepted; of a reduce-only order that filled: what it found to reduce
        ("reference", "f8"),  # price that size and R are reckoned from: the order's own; market: the close
        ("risk", "f8"),  # money a unit loses from the reference to the stop; NaN without a stop
        ("mode", "i4"),  # what it works as: a stop_limit that was triggered works as a limit
        ("level", "f8"),  # and at which price
        # The lot it became
        ("entry_bar", "i8"),
        ("entry_price", "f8"),
        ("inside", "i4"),  # AT_OPEN, TOUCHED or RESTED
        ("sub", "i4"),  # sub-bar of the entry bar
        ("since", "f8"),  # price at which the market met the order
        ("left", "f8"),  # what is open of it
        ("best", "f8"),  # price since entry, as far as known
        ("margin", "f8"),  # isolated: posted
        ("liquidation", "f8"),  # isolated: price; NaN: none
        ("due", "i8"),  # the lot leaves at the open of this bar
        ("leave", "i4"),  # reason for which the lot leaves at the next open
        # Of the ask, kept on its first order
        ("alive", "i4"),  # legs that work or are open and stay
        ("filled", "i4"),  # legs that filled
        ("verdict", "i4"),  # reason for which the ask was refused
        ("clears", "i4"),  # the next leg to be accepted makes what else is live give way
    ]
)
"""One order (or command), and the lot it becomes. Codes are short: a tape may ask for millions."""

FILL_ROW: Final = np.dtype(
    [
        ("order", "i8"),
        ("lot", "i8"),  # number of the order whose lot it opened, reduced or closed
        ("bar", "i8"),
        ("side", "i8"),
        ("qty", "f8"),
        ("price", "f8"),
        ("reason", "i8"),
        ("taker", "i8"),
        ("fee", "f8"),
        ("spread", "f8"),
        ("impact", "f8"),
        ("forced", "f8"),
        ("shortfall", "f8"),
        ("inside", "i8"),
        ("ambiguous", "i8"),
        ("cash", "f8"),  # after the fill
        ("position", "f8"),
    ]
)
"""One fill."""

FUNDED_ROW: Final = np.dtype(
    [("row", "i8"), ("bar", "i8"), ("position", "f8"), ("price", "f8"), ("amount", "f8"), ("cash", "f8")]
)
"""One funding payment that touched the account: ``row`` of the series, ``amount`` received, cash after it."""

LEVEL_ROW: Final = np.dtype([("bar", "i8"), ("price", "f8")])
"""From the close of a bar on the nearest price at which something held is liquidated: NaN for none."""

BOOK_ROW: Final = np.dtype(
    [
        ("bar", "i8"),  # the next to trade
        ("signal", "i8"),  # the next to hear
        ("placed", "i8"),  # orders placed or refused
        ("fills", "i8"),
        ("working", "i8"),  # length of State.working
        ("lots", "i8"),  # length of State.lots
        ("asks", "i8"),  # asks with a leg that is alive
        ("funding", "i8"),  # the next payment
        ("funded", "i8"),  # length of State.funded
        ("schedule", "i8"),  # the maintenance table that holds, -1 for none
        ("rows", "i8"),  # length of State.table
        ("on_entry", "i8"),  # as in SCHEDULE_ROW
        ("contract", "f8"),
        ("last_exit", "i8"),  # bar
        ("cash", "f8"),
        ("position", "f8"),
        ("liquidation", "f8"),  # cross: price, NaN for none
        ("fresh", "i8"),  # that price was reckoned from the present cash, position and table
        # What is watched for, reckoned again once `watched` is 0
        ("levels", "i8"),  # length of State.levels
        ("watched", "i8"),
        ("up", "f8"),
        ("down", "f8"),
        ("mark_up", "f8"),
        ("mark_down", "f8"),
        ("wake", "i8"),
        ("mask", "i8"),
    ]
)
"""Counts, money and how far the account has come."""

MOMENT_ROW: Final = np.dtype(
    [
        ("bar", "i8"),
        ("sub", "i8"),
        ("straight", "i8"),  # price goes straight from open to close
        ("open", "f8"),
        ("high", "f8"),
        ("low", "f8"),
        ("close", "f8"),
        ("mark_high", "f8"),
        ("mark_low", "f8"),
        ("since", "f8"),  # straight: where the last order filled, NaN before one has
        ("bar_high", "f8"),
        ("bar_low", "f8"),
        ("bar_close", "f8"),
        ("impact", "f8"),  # share of price that one unit moves it
        ("volume", "f8"),
        ("swept", "i8"),  # rows of the swept log
        ("swept_end", "i8"),
        ("bought", "f8"),  # of forced flow in this bar, base units
        ("sold", "f8"),
    ]
)
"""The sub-bar that is being traded: the whole bar, a straight move of its path, or a finer bar."""


class State(NamedTuple):
    """All that the account remembers."""

    book: Records  # one row
    moment: Records  # one row
    orders: Records  # shape (orders,) or larger, in the order of asking
    fills: Records  # three times as many: an order enters once, leaves once, and cuts at most one lot in two
    working: IntArray  # numbers of the working orders, ascending; room for all orders
    lots: IntArray  # numbers of the open lots, in the order of their entries; room for all orders
    taken: BoolArray  # by slot: an order of the group works or was filled
    table: Records  # BRACKET_ROW of the maintenance table that holds; room for the longest
    levels: Records  # LEVEL_ROW, where there is a margin: room for one a fill, a payment and a maintenance table


class Venue(NamedTuple):
    """What the venue imposes; each may be empty."""

    funding: Records
    schedules: Records
    brackets: Records


@inner_kernel
def worth(rules: Record, price: float) -> float:
    """Return what one unit is worth up to a constant: price for a linear contract, -face / price for an inverse one."""
    return price if rules.face == 0.0 else -rules.face / price


@inner_kernel
def remove(numbers: IntArray, count: int, number: int) -> None:
    """Close the gap that ``number`` leaves in a list of ``count``."""
    found = False
    for at in range(count - 1):
        found |= numbers[at] == number
        if found:
            numbers[at] = numbers[at + 1]


@inner_kernel
def settle(order: Record, status: int, reason: int, bar: int) -> None:
    """Write down what became of an order."""
    order.status = status
    order.reason = reason
    order.status_bar = bar


@inner_kernel
def gone(state: State, number: int) -> None:
    """Count an order or lot out of its ask: it is no longer live."""
    order = state.orders[number]
    if order.reduce_only == 0:
        head = state.orders[order.ask]
        head.alive -= 1
        if head.alive == 0:
            state.book[0].asks -= 1


@inner_kernel
def withdraw(state: State, number: int, bar: int, reason: int) -> None:
    """End a working order that will not fill."""
    book, order = state.book[0], state.orders[number]
    remove(state.working, book.working, number)
    book.working -= 1
    book.watched = 0
    gone(state, number)
    head = state.orders[order.ask]
    if order.reduce_only == 0 and head.alive == 0 and head.filled == 0:
        state.taken[order.slot] = False
    settle(order, EXPIRED if reason == EXPIRY else CANCELLED, reason, bar)


@inner_kernel
def withdraw_all(state: State, bar: int, reason: int) -> None:
    """Cancel every working order."""
    while state.book[0].working > 0:
        withdraw(state, state.working[0], bar, reason)


@inner_kernel
def leave(state: State, number: int, reason: int) -> None:
    """Let a lot leave at the next open, for the first reason that is given."""
    lot = state.orders[number]
    if lot.leave == NONE:
        lot.leave = reason
        state.book[0].watched = 0
        gone(state, number)


@inner_kernel
def leave_all(state: State, reason: int) -> None:
    """Let every lot leave at the next open."""
    for at in range(state.book[0].lots):
        leave(state, state.lots[at], reason)
