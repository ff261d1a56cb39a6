"""The account: what the market does to a strategy's orders.

One resumable kernel, :func:`advance`. It looks at a bar only where something can happen there: where price touches the
level of a working order or an open lot, where a timer runs out, where funding falls due, or after a row of the tape
that matters. What happens inside a bar says :mod:`.matching`. At a bar's close the rows of the tape come, one after
another: each is heard (cancel_on, exit_on), then what it asked for is placed.
"""

from __future__ import annotations

import numpy as np

from forcedflow.kernels import Record, Records, lean_kernel, merged_kernel, plain, small_kernel
from forcedflow.kernels.margin import account_level, follow_schedule, largest_value
from forcedflow.kernels.matching import trade_bar, trailed_stop
from forcedflow.kernels.orders import (
    ADD,
    CANCEL,
    CANCEL_ON,
    CANCELLED_ALL,
    CLOSE,
    CLOSED,
    CONFLICT,
    COOLDOWN,
    CROSS,
    EQUITY,
    EXIT_ON,
    GROUP,
    IGNORE,
    ISOLATED,
    LEVERAGE,
    LIMIT,
    MARKET,
    MAX_OPEN,
    NEVER,
    NO_EQUITY,
    NO_MARGIN,
    NONE,
    NOTIONAL,
    REFUSED,
    REPLACE,
    REPLACED,
    REVERSE,
    REVERSED,
    RISK,
    STOP_LIMIT,
    WORKING,
    Detail,
    Prices,
    State,
    Venue,
    leave,
    leave_all,
    settle,
    withdraw,
    withdraw_all,
    worth,
)
from forcedflow.kernels.touch import next_touch

__all__ = ["advance", "next_signal"]


@small_kernel
def next_signal(signals: Records, mask: int, start: int, stop: int) -> int:
    """Return the first row of [start, stop) whose kind is in ``mask``, else ``stop``."""
    if mask != 0:
        for row in range(start, stop):
            if (mask >> signals[row].kind) & 1:
                return row
    return stop


@lean_kernel
def _hear(state: State, signal: Record) -> None:
    """Cancel the orders and end the lots of this group that listen to this kind."""
    at = 0
    while at < state.book[0].working:
        order = state.orders[state.working[at]]
        if (order.cancel_on >> signal.kind) & 1 and order.group == signal.group:
            withdraw(state, state.working[at], signal.bar, plain(CANCEL_ON))
        else:
            at += 1
    for at in range(state.book[0].lots):
        lot = state.orders[state.lots[at]]
        if (lot.exit_on >> signal.kind) & 1 and lot.group == signal.group:
            leave(state, state.lots[at], plain(EXIT_ON))


@lean_kernel
def _same_side(state: State, side: int) -> bool:
    book = state.book[0]
    for at in range(book.working):
        other = state.orders[state.working[at]]
        if other.side == side and other.reduce_only == 0:
            return True
    for at in range(book.lots):
        lot = state.orders[state.lots[at]]
        if lot.side == side and lot.leave == NONE:
            return True
    return False


@merged_kernel
def _refuses(state: State, rules: Record, number: int) -> bool:
    """Decide about an ask: tell whether it is refused, which is then written down, and whether what is live makes way.

    A lot that leaves at the next open is not live: it is gone before the order can fill.
    """
    book, order = state.book[0], state.orders[number]
    if order.kind > STOP_LIMIT:  # a command
        return False
    order.entry_bar, order.qty = -1, 0.0
    if order.reduce_only != 0:
        return False
    if order.ask == number:
        order.verdict, order.clears = NONE, 0
        if rules.once_per_group != 0 and order.group != 0 and state.taken[order.slot]:
            order.verdict = GROUP
        elif order.bar - book.last_exit < rules.cooldown:
            order.verdict = COOLDOWN
        elif book.asks > 0:
            if rules.conflict == ADD:
                order.verdict = NONE if book.asks < rules.max_open else MAX_OPEN
            elif rules.conflict == IGNORE or (rules.conflict == REVERSE and _same_side(state, order.side)):
                order.verdict = CONFLICT
            else:
                order.clears = 1
    verdict = state.orders[order.ask].verdict
    refused: bool = verdict != NONE
    if refused:
        settle(order, plain(REFUSED), verdict, order.bar)
    return refused


@lean_kernel
def _used(state: State, rules: Record, order: Record, close: float) -> float:
    """Return the money that lots and orders which stay are worth; of an OCO only one leg fills."""
    book, used = state.book[0], 0.0
    for at in range(book.lots):
        lot = state.orders[state.lots[at]]
        if lot.leave == NONE:
            used += lot.left * abs(worth(rules, close))
    for at in range(book.working):
        other = state.orders[state.working[at]]
        if other.reduce_only == 0 and (other.oco == 0 or other.oco != order.oco):
            used += other.qty * abs(worth(rules, other.reference))
    return used


@lean_kernel
def _quantity(state: State, rules: Record, order: Record, close: float, clears: bool) -> int:
    """Set the order's quantity; return the reason where it is zero.

    Sizes: units; money / worth of a unit; share * equity / worth; share * equity / what a unit loses to the stop, so
    that the stop, filled at its price, loses the share before costs. What all lots and orders that stay are worth is
    capped at ``max_leverage * equity`` and at what the venue opens at that leverage.
    """
    book = state.book[0]
    equity = book.cash + book.position * worth(rules, close)
    unit = abs(worth(rules, order.reference))
    qty = order.amount
    if order.size_rule == NOTIONAL:
        qty = qty / unit
    elif order.size_rule == EQUITY:
        qty = qty * equity / unit
    elif order.size_rule == RISK:
        qty = qty * equity / order.risk
    if order.reduce_only == 0:
        if equity <= 0.0:
            return NO_EQUITY
        room = rules.max_leverage * equity
        if rules.margin != NO_MARGIN and book.rows > 0:
            leverage = rules.leverage if rules.margin == ISOLATED else rules.max_leverage
            room = min(room, largest_value(state, leverage, unit))
        if not clears:
            room -= _used(state, rules, order, close)
        qty = min(qty, room / unit)
    if qty <= 0.0:
        return LEVERAGE if order.reduce_only == 0 else NO_EQUITY
    order.qty = qty
    return NONE


@lean_kernel
def _prepare(rules: Record, order: Record, close: float) -> None:
    """Set what the order works as, and from where its size and its R are reckoned."""
    order.mode, order.level = order.kind, order.price
    order.reference = order.price
    if order.kind == MARKET:
        order.reference = close
    elif order.kind == STOP_LIMIT:
        order.reference = order.limit
    order.best = order.reference  # for the trailing stop as it would be then
    order.risk = abs(worth(rules, order.reference) - worth(rules, trailed_stop(order)))
    order.margin = 0.0
    order.liquidation = np.nan


@lean_kernel
def _place(state: State, venue: Venue, rules: Record, number: int, close: float) -> None:
    """Obey a command; accept an order that :func:`_refuses` let pass, or refuse it since there is no money for it."""
    book, order = state.book[0], state.orders[number]
    if order.kind == CLOSE:
        leave_all(state, plain(CLOSED))
        return
    if order.kind == CANCEL:
        withdraw_all(state, order.bar, plain(CANCELLED_ALL))
        return
    head = state.orders[order.ask]
    clears = order.reduce_only == 0 and head.clears != 0
    _prepare(rules, order, close)
    if rules.margin != NO_MARGIN:
        follow_schedule(state, venue, rules, order.bar)
    refused = _quantity(state, rules, order, close, clears)
    if refused != NONE:
        settle(order, plain(REFUSED), refused, order.bar)
        return
    if clears:
        why = REPLACED if rules.conflict == REPLACE else REVERSED
        withdraw_all(state, order.bar, why)
        leave_all(state, why)
        head.clears = 0
    state.working[book.working] = number
    book.working += 1
    book.watched = 0
    if order.reduce_only == 0:
        book.asks += head.alive == 0
        head.alive += 1
        state.taken[order.slot] = True
    settle(order, plain(WORKING), plain(NONE), order.bar)


@lean_kernel
def _note_level(state: State, close: float, above: float, below: float) -> None:
    """Write down the nearest price of own liquidation where it has changed since the last close."""
    book, level = state.book[0], np.nan
    if above < np.inf or below > -np.inf:
        level = above if below <= 0.0 or above * below <= close * close else below
    if book.levels > 0 and state.levels[book.levels - 1].bar == book.bar - 1:
        book.levels -= 1
    before = state.levels[book.levels - 1].price if book.levels > 0 else np.nan
    if level != before and (level == level or before == before):  # noqa: PLR0124  (NaN: none)
        row = state.levels[book.levels]
        row.bar, row.price = book.bar - 1, level
        book.levels += 1


@lean_kernel
def _watch(state: State, venue: Venue, rules: Record, prices: Prices) -> None:
    """Reckon the nearest levels above and below, the next bar that must be looked at, and the kinds listened to."""
    book = state.book[0]
    up, down, wake, mask = np.inf, -np.inf, NEVER, 0
    mark_up, mark_down = np.inf, -np.inf
    for at in range(book.working):
        order = state.orders[state.working[at]]
        mask |= order.cancel_on
        wake = min(wake, order.bar + (1 if order.kind == MARKET else order.expiry))
        if order.kind == MARKET:
            continue
        if (order.side > 0) == (order.mode == LIMIT):
            down = max(down, order.level)
        else:
            up = min(up, order.level)
    for at in range(book.lots):
        lot = state.orders[state.lots[at]]
        mask |= lot.exit_on
        wake = min(wake, lot.due if lot.leave == NONE else 0)
        stop, target = trailed_stop(lot), lot.target
        if lot.ratchet == lot.ratchet and not lot.side * (lot.best - target) >= 0.0:
            target = lot.best  # a new best moves the stop
        above, below = (target, stop) if lot.side > 0 else (stop, target)
        if above < up:  # noqa: PLR1730  (false for NaN: no such level)
            up = above
        if below > down:  # noqa: PLR1730
            down = below
        if rules.margin == ISOLATED:
            if lot.side > 0 and lot.liquidation > mark_down:
                mark_down = lot.liquidation
            if lot.side < 0 and lot.liquidation < mark_up:
                mark_up = lot.liquidation
    if book.lots > 0:
        if book.funding < len(venue.funding):
            wake = min(wake, venue.funding[book.funding].bar)
        if rules.margin != NO_MARGIN and book.schedule + 1 < len(venue.schedules):
            wake = min(wake, venue.schedules[book.schedule + 1].bar)
        if rules.margin == CROSS:
            account_level(state, rules)
            if book.position > 0.0 and book.liquidation > mark_down:
                mark_down = book.liquidation
            if book.position < 0.0 and book.liquidation < mark_up:
                mark_up = book.liquidation
    if rules.margin != NO_MARGIN and book.bar > 0:
        _note_level(state, float(prices.close[book.bar - 1]), mark_up, mark_down)
    if rules.marked == 0:
        up, down = min(up, mark_up), max(down, mark_down)
    book.up, book.down, book.mark_up, book.mark_down, book.wake, book.mask = up, down, mark_up, mark_down, wake, mask
    book.watched = 1


@lean_kernel
def advance(
    prices: Prices,
    detail: Detail | None,
    signals: Records,
    heard: int,
    state: State,
    funded: Records,
    asked: int,
    venue: Venue,
    rules: Record,
    stop: int,
    steps: int,
) -> int:
    """Trade every bar before ``stop`` and hear every row of the tape before it; resumable at any ``stop``.

    Parameters
    ----------
    prices, venue, rules
        Read only, and shared by all accounts on the same market but for ``rules``.
    detail
        None where a bar is one step (``intrabar`` is neither path nor drill) and no order meets forced flow: what those
        take is then not even compiled.
    signals, heard
        The tape, of which the first ``heard`` rows count.
    funded
        FUNDED_ROW: takes the payments; room for all of the series.
    state, asked
        Changed in place; the first ``asked`` rows of ``state.orders`` count, filled in down to ``exit_on``.
    stop
        First bar that is not traded. Signals and orders of later bars may be there already and wait.
    steps
        How many times it may stop at a bar, a row of the tape or an order: having done so it returns, to be called
        again.

    Returns
    -------
    int
        How many times it did; fewer than ``steps`` where it came to ``stop``.
    """
    book, orders, taken = state.book[0], state.orders, 0
    met = -1  # the next bar that must be looked at, whatever comes on the tape; before `book.bar`: not known
    while taken < steps:
        taken += 1
        while book.placed < asked and orders[book.placed].event < book.signal:
            if not _refuses(state, rules, book.placed):
                _place(state, venue, rules, book.placed, float(prices.close[orders[book.placed].bar]))
            book.placed += 1
            taken += 1
        if book.watched == 0:
            while book.funding < len(venue.funding) and venue.funding[book.funding].bar < book.bar:
                book.funding += 1  # nothing was held
            _watch(state, venue, rules, prices)
            met = -1
        signal = next_signal(
            signals, book.mask, book.signal, orders[book.placed].event if book.placed < asked else heard
        )
        pause = min(stop, signals[signal].bar + 1) if signal < heard else stop
        bar = pause
        if book.working + book.lots > 0:
            if met < book.bar:
                met = next_touch(prices.reach, book.up, book.down, book.bar, min(stop, max(book.wake, book.bar)))
                if rules.marked != 0 and (book.mark_up < np.inf or book.mark_down > -np.inf):
                    met = next_touch(prices.mark_reach, book.mark_up, book.mark_down, book.bar, met)
            bar = min(pause, met)
        if bar < pause:
            while book.signal < heard and signals[book.signal].bar < bar:
                book.signal += 1  # nobody listened
            trade_bar(prices, detail, state, funded, venue, rules, bar)
            book.bar = bar + 1
            continue
        book.bar = max(book.bar, pause)
        book.signal = signal
        if signal == heard or signals[signal].bar >= stop:
            break
        if (book.mask >> signals[signal].kind) & 1:
            _hear(state, signals[signal])
        book.signal += 1
    return taken
