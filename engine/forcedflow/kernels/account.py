"""The account: what the market does to a strategy's orders.

One resumable kernel, :func:`advance`. It looks at a bar only where something can happen there: where price touches the
level of a working order or an open lot, where a timer runs out, or after a row of the tape that matters.

The order of things in one bar, and the only place where it is defined:

at the open
    1. exits: lots that are to leave (hold, exit_on, close, replace, reverse), then lots whose stop or target the open
       has passed; lot by lot, in the order of their entries
    2. entries: market orders, then limits and stops that the open has passed, all in order of their number
    3. exits again, for lots just entered whose stop or target the open had passed already
inside the bar
    4. entries: limits that price traded through, stops that it touched, in order of their number
    5. exits: stops touched, targets traded through, lot by lot
at the close
    6. orders whose last bar this was expire
    7. the rows of the tape, one after another: each is heard (cancel_on, exit_on), then what it asked for is placed

A limit (a target is one) that the open has passed takes liquidity: it fills at the open and half-spread, never beyond
its own price, for the taker fee. Traded through inside the bar it fills at its price for the maker fee.
Stops and market orders pay the half-spread and the taker fee.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from forcedflow.kernels import BoolArray, FloatArray, IntArray, Record, Records, lean_kernel, small_kernel

__all__ = [
    "BOOK_ROW",
    "CONFLICTS",
    "FILL_ROW",
    "KINDS",
    "ORDER_ROW",
    "REASONS",
    "SIGNAL_ROW",
    "SIZE_RULES",
    "STATUSES",
    "advance",
    "next_signal",
    "next_touch",
]

# Codes and, in their order, the names that the tables show.
KINDS: Final = ("market", "limit", "stop", "close", "cancel")
MARKET, LIMIT, STOP, CLOSE, CANCEL = range(5)  # the last two are commands: close every lot, cancel every order
SIZE_RULES: Final = ("units", "notional", "equity", "risk")
UNITS, NOTIONAL, EQUITY, RISK = range(4)
CONFLICTS: Final = ("ignore", "replace", "reverse", "add")
IGNORE, REPLACE, REVERSE, ADD = range(4)
STATUSES: Final = ("working", "filled", "expired", "cancelled", "refused")
WORKING, FILLED, EXPIRED, CANCELLED, REFUSED = range(5)
REASONS: Final = (
    *("", "entry", "stop", "target", "hold", "exit_on", "close", "replace", "reverse"),
    *("expiry", "cancel_on", "cancel", "conflict", "max_open", "cooldown", "group", "leverage", "equity"),
)
NONE, ENTERED, STOPPED, REACHED, HELD, EXIT_ON, CLOSED, REPLACED, REVERSED = range(9)
EXPIRY, CANCEL_ON, CANCELLED_ALL, CONFLICT, MAX_OPEN, COOLDOWN, GROUP, LEVERAGE, NO_EQUITY = range(9, 18)

NEVER: Final = 2**62


class Prices(NamedTuple):
    """Columns of the bars, shape (bars,)."""

    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray


SIGNAL_ROW: Final = np.dtype([("bar", "i8"), ("kind", "i8"), ("group", "i8")])
"""One row of the tape."""

ORDER_ROW: Final = np.dtype(
    [
        # What the strategy asked for
        ("event", "i8"),  # the signal that it answers
        ("bar", "i8"),  # and its bar
        ("side", "i8"),
        ("kind", "i8"),  # KINDS
        ("price", "f8"),
        ("stop", "f8"),
        ("target", "f8"),
        ("amount", "f8"),  # what it means says size_rule (`size` is taken: an attribute of numpy's records)
        ("size_rule", "i8"),  # SIZE_RULES
        ("expiry", "i8"),
        ("hold", "i8"),
        ("group", "i8"),
        ("slot", "i8"),  # a dense number of the group
        ("cancel_on", "i8"),  # bit k is set for event kind k
        ("exit_on", "i8"),
        # What became of it
        ("status", "i8"),  # STATUSES
        ("reason", "i8"),  # REASONS
        ("status_bar", "i8"),
        ("qty", "f8"),
        ("reference", "f8"),  # price that sizes and R are reckoned from: the order's own; market: the close
        ("entry_bar", "i8"),
        ("entry_price", "f8"),
        ("inside", "i8"),  # 1: entered inside its entry bar; 0: at its open
        ("due", "i8"),  # the lot leaves at the open of this bar
        ("leave", "i8"),  # reason for which the lot leaves at the next open
    ]
)
"""One order (or command), and the lot it becomes."""

FILL_ROW: Final = np.dtype(
    [
        ("order", "i8"),
        ("bar", "i8"),
        ("side", "i8"),
        ("qty", "f8"),
        ("price", "f8"),
        ("reason", "i8"),
        ("taker", "i8"),
        ("fee", "f8"),
        ("spread", "f8"),
        ("inside", "i8"),  # inside the bar, not at its open
        ("ambiguous", "i8"),
        ("cash", "f8"),  # after the fill
        ("position", "f8"),
    ]
)
"""One fill."""


BOOK_ROW: Final = np.dtype(
    [
        ("bar", "i8"),  # the next to trade
        ("signal", "i8"),  # the next to hear
        ("placed", "i8"),  # orders placed or refused
        ("fills", "i8"),
        ("working", "i8"),  # length of State.working
        ("lots", "i8"),  # length of State.lots
        ("last_exit", "i8"),  # bar
        ("cash", "f8"),
        ("position", "f8"),
    ]
)
"""Counts, money and how far the account has come."""


class State(NamedTuple):
    """All that the account remembers."""

    book: Records  # one row
    orders: Records  # shape (orders,) or larger, in the order of asking
    fills: Records  # twice as many: every order is entered at most once and left at most once
    working: IntArray  # numbers of the working orders, ascending; room for all orders
    lots: IntArray  # numbers of the open lots, in the order of their entries; room for all orders
    taken: BoolArray  # by slot: an order of the group works or was filled


class Rules(NamedTuple):
    """Costs, limits and policies."""

    maker_fee: float
    taker_fee: float
    half_spread: float
    max_leverage: float
    target_first: bool
    conflict: int
    max_open: int
    cooldown: int
    once_per_group: bool


@small_kernel
def next_touch(high: FloatArray, low: FloatArray, up: float, down: float, start: int, stop: int) -> int:
    """Return the first bar of [start, stop) that reaches ``up`` or ``down``, else ``stop``."""
    for bar in range(start, stop):
        if high[bar] >= up or low[bar] <= down:
            return bar
    return stop


@small_kernel
def next_signal(signals: Records, mask: int, start: int, stop: int) -> int:
    """Return the first row of [start, stop) whose kind is in ``mask``, else ``stop``."""
    if mask != 0:
        for row in range(start, stop):
            if (mask >> signals[row].kind) & 1:
                return row
    return stop


@small_kernel
def _remove(numbers: IntArray, count: int, number: int) -> None:
    """Close the gap that ``number`` leaves in a list of ``count``."""
    found = False
    for at in range(count - 1):
        found |= numbers[at] == number
        if found:
            numbers[at] = numbers[at + 1]


@small_kernel
def _settle(order: Record, status: int, reason: int, bar: int) -> None:
    order.status = status
    order.reason = reason
    order.status_bar = bar


@lean_kernel
def _fill(
    state: State,
    rules: Rules,
    number: int,
    bar: int,
    side: int,
    mid: float,
    price: float,
    taker: bool,
    inside: bool,
    reason: int,
) -> None:
    """Exchange cash for position and write it down; ``mid`` is the price before the half-spread."""
    book = state.book[0]
    qty = state.orders[number].qty
    fee = (rules.taker_fee if taker else rules.maker_fee) * qty * price
    book.cash -= side * qty * price + fee
    book.position += side * qty
    if book.lots == 0:
        book.position = 0.0  # no residue of rounding where nothing is held
    fill = state.fills[book.fills]
    fill.order = number
    fill.bar = bar
    fill.side = side
    fill.qty = qty
    fill.price = price
    fill.reason = reason
    fill.taker = taker
    fill.fee = fee
    fill.spread = abs(price - mid) * qty
    fill.inside = inside
    fill.ambiguous = False
    fill.cash = book.cash
    fill.position = book.position
    book.fills += 1


@lean_kernel
def _enter(
    state: State, rules: Rules, number: int, bar: int, mid: float, price: float, taker: bool, inside: bool
) -> None:
    """Fill a working order: it becomes a lot."""
    book = state.book[0]
    _remove(state.working, book.working, number)
    book.working -= 1
    state.lots[book.lots] = number
    book.lots += 1
    order = state.orders[number]
    order.entry_bar = bar
    order.entry_price = price
    order.inside = inside
    order.due = bar + order.hold if order.hold > 0 else NEVER
    order.leave = NONE
    _settle(order, FILLED, ENTERED, bar)
    _fill(state, rules, number, bar, order.side, mid, price, taker, inside, ENTERED)


@lean_kernel
def _exit(
    state: State,
    rules: Rules,
    number: int,
    bar: int,
    mid: float,
    price: float,
    taker: bool,
    inside: bool,
    reason: int,
) -> None:
    """Close a lot."""
    book = state.book[0]
    _remove(state.lots, book.lots, number)
    book.lots -= 1
    book.last_exit = bar
    _fill(state, rules, number, bar, -state.orders[number].side, mid, price, taker, inside, reason)


@lean_kernel
def _exits_at_open(state: State, rules: Rules, bar: int, price: float) -> None:
    book = state.book[0]
    at = 0
    while at < book.lots:
        number = state.lots[at]
        lot = state.orders[number]
        reason = lot.leave
        if reason == NONE and bar >= lot.due:
            reason = HELD
        if reason == NONE and lot.side * (price - lot.stop) <= 0.0:  # false where there is no stop: NaN
            reason = STOPPED
        if reason == NONE and lot.side * (price - lot.target) >= 0.0:
            reason = REACHED
        if reason == NONE:
            at += 1
            continue
        paid = price * (1.0 - lot.side * rules.half_spread)
        if reason == REACHED:
            paid = lot.side * max(lot.side * paid, lot.side * lot.target)
        _exit(state, rules, number, bar, price, paid, True, False, reason)


@lean_kernel
def _entries_at_open(state: State, rules: Rules, bar: int, price: float) -> None:
    book = state.book[0]
    at = 0
    while at < book.working:
        number = state.working[at]
        order = state.orders[number]
        beyond = order.side * (price - order.price)
        if order.kind == MARKET or (order.kind == LIMIT and beyond <= 0.0) or (order.kind == STOP and beyond >= 0.0):
            paid = price * (1.0 + order.side * rules.half_spread)
            if order.kind == LIMIT:
                paid = order.side * min(order.side * paid, order.side * order.price)
            _enter(state, rules, number, bar, price, paid, True, False)
        else:
            at += 1


@lean_kernel
def _entries_inside(state: State, rules: Rules, bar: int, high: float, low: float) -> None:
    book = state.book[0]
    at = 0
    while at < book.working:
        number = state.working[at]
        order = state.orders[number]
        best, worst = (high, low) if order.side > 0 else (low, high)
        limit = order.kind == LIMIT
        if (limit and order.side * (worst - order.price) < 0.0) or (
            order.kind == STOP and order.side * (best - order.price) >= 0.0
        ):
            paid = order.price if limit else order.price * (1.0 + order.side * rules.half_spread)
            _enter(state, rules, number, bar, order.price, paid, not limit, True)
        else:
            at += 1


@lean_kernel
def _exits_inside(state: State, rules: Rules, bar: int, high: float, low: float, close: float) -> None:
    book = state.book[0]
    at = 0
    while at < book.lots:
        number = state.lots[at]
        lot = state.orders[number]
        best, worst = (high, low) if lot.side > 0 else (low, high)
        if lot.kind == LIMIT and lot.inside and lot.entry_bar == bar:
            best = close  # whatever came before the entry would be a gift
        stopped = lot.side * (worst - lot.stop) <= 0.0
        reached = lot.side * (best - lot.target) > 0.0
        if not (stopped or reached):
            at += 1
            continue
        wins = reached and (not stopped or rules.target_first)
        level = lot.target if wins else lot.stop
        paid = level if wins else level * (1.0 - lot.side * rules.half_spread)
        _exit(state, rules, number, bar, level, paid, not wins, True, REACHED if wins else STOPPED)
        state.fills[book.fills - 1].ambiguous = stopped and reached


@small_kernel
def _cancel(state: State, number: int, bar: int, reason: int) -> None:
    book = state.book[0]
    _remove(state.working, book.working, number)
    book.working -= 1
    order = state.orders[number]
    state.taken[order.slot] = False
    _settle(order, EXPIRED if reason == EXPIRY else CANCELLED, reason, bar)


@small_kernel
def _cancel_all(state: State, bar: int, reason: int) -> None:
    while state.book[0].working > 0:
        _cancel(state, state.working[0], bar, reason)


@small_kernel
def _leave_all(state: State, reason: int) -> None:
    for at in range(state.book[0].lots):
        lot = state.orders[state.lots[at]]
        if lot.leave == NONE:
            lot.leave = reason


@lean_kernel
def _expire(state: State, bar: int) -> None:
    at = 0
    while at < state.book[0].working:
        order = state.orders[state.working[at]]
        if bar >= order.bar + order.expiry:
            _cancel(state, state.working[at], bar, EXPIRY)
        else:
            at += 1


@small_kernel
def _trade(prices: Prices, state: State, rules: Rules, bar: int) -> None:
    """Take steps 1 to 6 of the module's list."""
    _exits_at_open(state, rules, bar, prices.open[bar])
    _entries_at_open(state, rules, bar, prices.open[bar])
    _exits_at_open(state, rules, bar, prices.open[bar])
    _entries_inside(state, rules, bar, prices.high[bar], prices.low[bar])
    _exits_inside(state, rules, bar, prices.high[bar], prices.low[bar], prices.close[bar])
    _expire(state, bar)


@lean_kernel
def _hear(state: State, signal: Record) -> None:
    """Take step 7, first half: cancel the orders and end the lots of this group that listen to this kind."""
    at = 0
    while at < state.book[0].working:
        order = state.orders[state.working[at]]
        if (order.cancel_on >> signal.kind) & 1 and order.group == signal.group:
            _cancel(state, state.working[at], signal.bar, CANCEL_ON)
        else:
            at += 1
    for at in range(state.book[0].lots):
        lot = state.orders[state.lots[at]]
        if (lot.exit_on >> signal.kind) & 1 and lot.group == signal.group and lot.leave == NONE:
            lot.leave = EXIT_ON


@lean_kernel
def _policy(state: State, rules: Rules, order: Record) -> tuple[int, bool]:
    """Return the reason to refuse the order, and whether what is live makes way for it.

    A lot that leaves at the next open is not live: it is gone before the order can fill.
    """
    book = state.book[0]
    if rules.once_per_group and order.group != 0 and state.taken[order.slot]:
        return GROUP, False
    if order.bar - book.last_exit < rules.cooldown:
        return COOLDOWN, False
    live = book.working
    same_side = False
    for at in range(book.working):
        same_side |= state.orders[state.working[at]].side == order.side
    for at in range(book.lots):
        lot = state.orders[state.lots[at]]
        if lot.leave == NONE:
            live += 1
            same_side |= lot.side == order.side
    if live == 0:
        return NONE, False
    if rules.conflict == ADD:
        return (NONE if live < rules.max_open else MAX_OPEN), False
    if rules.conflict == IGNORE or (rules.conflict == REVERSE and same_side):
        return CONFLICT, False
    return NONE, True


@lean_kernel
def _quantity(state: State, rules: Rules, order: Record, close: float, clears: bool) -> tuple[float, int]:
    """Return the order's quantity, or zero and the reason.

    Sizes: units; notional / reference; share * equity / reference; share * equity / abs(reference - stop), so that
    the stop, filled at its price, loses the share before costs. The notional of all lots and orders that stay is
    capped at ``max_leverage * equity``.
    """
    book = state.book[0]
    equity = book.cash + book.position * close
    if equity <= 0.0:
        return 0.0, NO_EQUITY
    used = 0.0
    if not clears:
        for at in range(book.lots):
            lot = state.orders[state.lots[at]]
            if lot.leave == NONE:
                used += lot.qty * close
        for at in range(book.working):
            other = state.orders[state.working[at]]
            used += other.qty * other.reference
    qty = order.amount
    if order.size_rule == NOTIONAL:
        qty = qty / order.reference
    elif order.size_rule == EQUITY:
        qty = qty * equity / order.reference
    elif order.size_rule == RISK:
        qty = qty * equity / abs(order.reference - order.stop)
    qty = min(qty, (rules.max_leverage * equity - used) / order.reference)
    if qty <= 0.0:
        return 0.0, LEVERAGE
    return qty, NONE


@lean_kernel
def _place(state: State, rules: Rules, number: int, close: float) -> None:
    """Take step 7, second half: obey a command; accept or refuse an order."""
    book = state.book[0]
    order = state.orders[number]
    if order.kind == CLOSE:
        _leave_all(state, CLOSED)
        return
    if order.kind == CANCEL:
        _cancel_all(state, order.bar, CANCELLED_ALL)
        return
    order.entry_bar = -1
    order.reference = close if order.kind == MARKET else order.price
    refused, clears = _policy(state, rules, order)
    order.qty = 0.0
    if refused == NONE:
        order.qty, refused = _quantity(state, rules, order, close, clears)
    if refused != NONE:
        _settle(order, REFUSED, refused, order.bar)
        return
    if clears:
        why = REPLACED if rules.conflict == REPLACE else REVERSED
        _cancel_all(state, order.bar, why)
        _leave_all(state, why)
    state.working[book.working] = number
    book.working += 1
    state.taken[order.slot] = True
    _settle(order, WORKING, NONE, order.bar)


@lean_kernel
def _watch(state: State) -> tuple[float, float, int, int]:
    """Return the nearest level above and below, the next bar that must be looked at, and the kinds listened to."""
    book = state.book[0]
    up, down, wake, mask = np.inf, -np.inf, NEVER, 0
    for at in range(book.working):
        order = state.orders[state.working[at]]
        mask |= order.cancel_on
        wake = min(wake, order.bar + (1 if order.kind == MARKET else order.expiry))
        if order.kind == MARKET:
            continue
        if (order.side > 0) == (order.kind == LIMIT):
            down = max(down, order.price)
        else:
            up = min(up, order.price)
    for at in range(book.lots):
        lot = state.orders[state.lots[at]]
        mask |= lot.exit_on
        wake = min(wake, lot.due if lot.leave == NONE else 0)
        above, below = (lot.target, lot.stop) if lot.side > 0 else (lot.stop, lot.target)
        if above < up:  # noqa: PLR1730  (false for NaN: no such level)
            up = above
        if below > down:  # noqa: PLR1730
            down = below
    return up, down, wake, mask


@lean_kernel
def advance(prices: Prices, signals: Records, heard: int, state: State, asked: int, rules: Rules, stop: int) -> None:
    """Trade every bar before ``stop`` and hear every row of the tape before it; resumable at any ``stop``.

    Parameters
    ----------
    prices
        Columns of the bars.
    signals, heard
        The tape, of which the first ``heard`` rows count.
    state, asked
        Changed in place; the first ``asked`` rows of ``state.orders`` count, filled in down to ``exit_on``.
    stop
        First bar that is not traded. Signals and orders of later bars may be there already and wait.
    """
    book, orders = state.book[0], state.orders
    while True:
        while book.placed < asked and orders[book.placed].event < book.signal:
            _place(state, rules, book.placed, float(prices.close[orders[book.placed].bar]))
            book.placed += 1
        up, down, wake, mask = _watch(state)
        signal = next_signal(signals, mask, book.signal, orders[book.placed].event if book.placed < asked else heard)
        pause = min(stop, signals[signal].bar + 1) if signal < heard else stop
        bar = pause
        if book.working + book.lots > 0:
            bar = next_touch(prices.high, prices.low, up, down, book.bar, min(pause, max(wake, book.bar)))
        if bar < pause:
            while book.signal < heard and signals[book.signal].bar < bar:
                book.signal += 1  # nobody listened
            _trade(prices, state, rules, bar)
            book.bar = bar + 1
            continue
        book.bar = max(book.bar, pause)
        book.signal = signal
        if signal == heard or signals[signal].bar >= stop:
            return
        _hear(state, signals[signal])
        book.signal += 1
