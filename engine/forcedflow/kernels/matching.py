"""How orders meet a bar: the only place where it is defined what fills, at which price, and in which order.

The order of things in one bar:

before its open
    1. funding that falls due, on the position held; a new maintenance table
at the open
    2. exits: lots that are to leave (hold, exit_on, close, replace, reverse), then lots whose stop, liquidation or
       target the open has passed; lot by lot, in the order of their entries; then the account's own liquidation
    3. entries: market orders, then limits and stops that the open has passed, all in order of their number
    4. exits again, for lots just entered whose levels the open had passed already
inside the bar
    5. entries: limits that price traded through, stops that it touched, in order of their number
    6. reduce-only stops that it touched
    7. exits: stops touched, liquidations, targets traded through, lot by lot; then the account's own liquidation
    8. reduce-only limits that it traded through; with ``target_first`` they come before 7 and the stops after it
    9. trailing stops follow the best price
at the close
    10. orders whose last bar this was expire

Steps 5 to 9 are taken for every sub-bar of a bar: once for the whole bar (``worst``, ``target_first``), for each
straight move of its path open, low, high, close (or open, high, low, close where it fell), or for each finer bar, which
has an open of its own and so takes steps 2 to 4 too. On a path, the bar of a stop entry that holds stop and target
goes to the stop: a straight move from the entry on to the target would earn on a driftless walk.

A limit (a target is one) that the open has passed takes liquidity: it fills at the open and half-spread, never beyond
its own price, for the taker fee. Traded through inside the bar it fills at its price for the maker fee. Stops and
market orders pay the half-spread and the taker fee. What met forced flow pays no impact; all else does: a share of
price ``impact * volatility * sqrt(size / volume)``, volatility and volume of a bar as known before it. That is the
square-root law (Toth et al. 2011, "Anomalous price impact and the critical nature of liquidity"; on bitcoin Donier and
Bonart 2015, arXiv 1412.4503), in which the bar's length cancels. A resting limit pays it too, as a worse price than
its own: the law is a cost of size, whoever waits.
"""

from __future__ import annotations

import math

import numpy as np

from forcedflow.kernels import Record, Records, inner_kernel, lean_kernel, plain, small_kernel, truth
from forcedflow.kernels.margin import account_level, follow_schedule, isolated_level
from forcedflow.kernels.orders import (
    AT_OPEN,
    CROSS,
    DRILL,
    ENTERED,
    EXPIRY,
    FILLED,
    HELD,
    ISOLATED,
    LIMIT,
    LIQUIDATED,
    MARKET,
    NEVER,
    NO_MARGIN,
    NONE,
    OCO,
    PATH,
    REACHED,
    REDUCED,
    RESTED,
    STOP_LIMIT,
    STOPPED,
    TARGET_FIRST,
    TOUCHED,
    Detail,
    Prices,
    State,
    Venue,
    gone,
    remove,
    settle,
    withdraw,
    withdraw_all,
    worth,
)

__all__ = ["trade_bar", "trailed_stop"]

OPENING, INSIDE, REDUCING_STOPS, REDUCING_LIMITS = range(4)  # whose turn it is among the working orders


@lean_kernel
def _forced(now: Record, detail: Detail, rules: Record, side: int, level: float, qty: float) -> float:
    """Return how much of a limit fill meets forced flow, and count it off this bar's.

    Mass swept at or beyond the level, selling for a buy, at most ``participation`` of it and at most the bar's volume;
    what this bar's orders took before is gone, wherever they took it.
    """
    if rules.participation == 0.0 or len(detail.swept_start) == 0:
        return 0.0
    unit = 1.0 if rules.face == 0.0 else rules.face / level  # base units
    mass = 0.0
    for row in range(detail.swept_start[now.bar], detail.swept_start[now.bar + 1]):
        one = detail.swept[row]
        if one.side != side and side * (one.price - level) <= 0.0:
            mass += one.mass
    room = rules.participation * mass - (now.bought if side > 0 else now.sold)
    room = min(room, now.volume - now.bought - now.sold)
    taken = min(qty * unit, max(room, 0.0))
    if side > 0:
        now.bought += taken
    else:
        now.sold += taken
    return float(min(qty, taken / unit))


@lean_kernel
def _fill(
    state: State,
    detail: Detail | None,
    rules: Record,
    number: int,
    lot: int,
    side: int,
    qty: float,
    mid: float,
    quoted: float,
    bound: float,
    taker: bool,
    inside: int,
    reason: int,
) -> None:
    """Exchange cash for position and write it down.

    ``mid`` is the price before the half-spread, ``quoted`` after it; impact comes on top, but never beyond ``bound``.
    """
    book, now, fill = state.book[0], state.moment[0], state.fills[state.book[0].fills]
    fill.forced = 0.0
    if detail is not None and not taker:
        fill.forced = _forced(now, detail, rules, side, quoted, qty)
    rest, price = qty - fill.forced, quoted
    if now.impact > 0.0 and rest > 0.0:
        unit = 1.0 if rules.face == 0.0 else rules.face / quoted
        move = now.impact * math.sqrt(rest * unit) * (rest / qty)
        price = quoted * (1.0 + move) if side > 0 else quoted / (1.0 + move)
        if side * (price - bound) > 0.0:  # false where there is no bound: NaN
            price = bound
    paid, before = worth(rules, price), worth(rules, quoted)
    rate = rules.taker_fee if taker else rules.maker_fee
    if reason == LIQUIDATED:
        rate += rules.liquidation_fee
    fill.fee = rate * qty * abs(paid)
    book.cash -= side * qty * paid + fill.fee
    book.position += side * qty
    if book.lots == 0:
        book.position = 0.0  # no residue of rounding where nothing is held
    book.fresh = 0
    book.watched = 0
    book.fills += 1
    fill.order, fill.lot, fill.bar, fill.side, fill.qty, fill.price = number, lot, now.bar, side, qty, price
    fill.reason, fill.taker, fill.inside = reason, taker, inside
    fill.spread = abs(before - worth(rules, mid)) * qty
    fill.impact = abs(paid - before) * qty
    fill.shortfall = 0.0
    fill.ambiguous = False
    fill.cash, fill.position = book.cash, book.position


@lean_kernel
def _cancel_others(state: State, number: int) -> int:
    """Cancel the other orders of an OCO; return how many of them stood before this one."""
    order, before, at = state.orders[number], 0, 0
    if order.oco == 0:
        return 0
    while at < state.book[0].working:
        other = state.working[at]
        if state.orders[other].oco == order.oco and other != number:
            before += other < number
            withdraw(state, other, state.moment[0].bar, plain(OCO))
        else:
            at += 1
    return before


@lean_kernel
def _enter(
    state: State,
    detail: Detail | None,
    rules: Record,
    number: int,
    mid: float,
    quoted: float,
    bound: float,
    taker: bool,
    inside: int,
) -> None:
    """Make a lot of an order that fills."""
    book, now, order = state.book[0], state.moment[0], state.orders[number]
    state.lots[book.lots] = number
    book.lots += 1
    order.entry_bar, order.sub, order.inside, order.since = now.bar, now.sub, inside, mid
    order.due = now.bar + order.hold if order.hold > 0 else NEVER
    order.leave = NONE
    order.left = order.qty
    state.orders[order.ask].filled += 1
    _fill(
        state,
        detail,
        rules,
        number,
        number,
        plain(order.side),
        order.qty,
        mid,
        quoted,
        bound,
        taker,
        inside,
        plain(ENTERED),
    )
    order.entry_price = order.best = state.fills[book.fills - 1].price
    if inside != AT_OPEN:
        now.since = mid
    if rules.margin == ISOLATED:
        order.margin = order.qty * abs(worth(rules, order.entry_price)) / rules.leverage
        isolated_level(state, rules, order)


@lean_kernel
def _exit(
    state: State,
    detail: Detail | None,
    rules: Record,
    number: int,
    lot_number: int,
    qty: float,
    mid: float,
    quoted: float,
    bound: float,
    taker: bool,
    inside: int,
    reason: int,
) -> None:
    """Close a lot or a part of it, by the order ``number``."""
    book, lot = state.book[0], state.orders[lot_number]
    lot.left -= qty
    if lot.left == 0.0:
        if lot.leave == NONE:
            gone(state, lot_number)
        remove(state.lots, book.lots, lot_number)
        book.lots -= 1
        book.last_exit = state.moment[0].bar
    _fill(state, detail, rules, number, lot_number, -lot.side, qty, mid, quoted, bound, taker, inside, reason)
    if rules.margin == ISOLATED:
        isolated_level(state, rules, lot)
        if reason == LIQUIDATED:
            fill = state.fills[book.fills - 1]
            lost = fill.fee - lot.side * qty * (worth(rules, fill.price) - worth(rules, lot.entry_price))
            fill.shortfall = max(lost - lot.margin * (qty / lot.qty), 0.0)


@lean_kernel
def _reduce(
    state: State,
    detail: Detail | None,
    rules: Record,
    number: int,
    mid: float,
    quoted: float,
    bound: float,
    taker: bool,
    inside: int,
) -> float:
    """Fill a reduce-only order on the lots of the other side, first in first out; return what found none.

    A limit does not meet a lot that was entered inside this sub-bar: its price may have come before.
    """
    book, order = state.book[0], state.orders[number]
    wanted, at = order.qty, 0
    while at < book.lots and wanted > 0.0:
        lot = state.orders[state.lots[at]]
        if lot.side == order.side or (inside == RESTED and _fresh(state, lot)):
            at += 1
            continue
        qty = min(wanted, lot.left)
        wanted -= qty
        before = book.lots
        _exit(state, detail, rules, number, state.lots[at], qty, mid, quoted, bound, taker, inside, plain(REDUCED))
        at += book.lots == before
    return float(wanted)


@lean_kernel
def _fresh(state: State, lot: Record) -> bool:
    """Tell whether a lot was entered inside this very sub-bar."""
    now = state.moment[0]
    return bool(lot.inside != AT_OPEN and lot.entry_bar == now.bar and lot.sub == now.sub)


@inner_kernel
def trailed_stop(lot: Record) -> float:
    """Return the nearer of a lot's stop and its trailing stop, NaN without either."""
    trailed = float(lot.best * lot.ratchet)
    if lot.side * (lot.stop - trailed) >= 0.0 or trailed != trailed:  # noqa: PLR0124  (NaN: no trailing stop)
        return float(lot.stop)
    return trailed


@small_kernel
def _reach(now: Record, since: float, opens: bool) -> tuple[float, float, float, float]:
    """Return how far price and mark reach for what is held: high, low, mark's high, mark's low.

    That is the open alone, or the sub-bar; where price goes straight through that, only what comes after the entry at
    ``since``, NaN for none in it.
    """
    high, low, mark_high, mark_low = now.high, now.low, now.mark_high, now.mark_low
    if opens:
        high = low = now.open
    elif now.straight != 0 and since == since:  # noqa: PLR0124
        high = mark_high = max(since, now.close)
        low = mark_low = min(since, now.close)
    return high, low, mark_high, mark_low


@lean_kernel
def _liquidate_account(state: State, detail: Detail | None, rules: Record, opens: bool) -> None:
    """Where price reached the account's level: close every lot, cancel every order, note what the cash lacks."""
    book, now = state.book[0], state.moment[0]
    if book.lots == 0:
        return
    account_level(state, rules)
    level, side = book.liquidation, 1.0 if book.position > 0.0 else -1.0
    high, low, mark_high, mark_low = _reach(now, now.since, opens)
    met = side * ((mark_low if side > 0.0 else mark_high) - level) <= 0.0
    if not met or (opens and side * (now.open - level) > 0.0):
        return
    level = min(max(level, low), high)
    while book.lots > 0:
        number = state.lots[0]
        lot = state.orders[number]
        quoted = level * (1.0 - lot.side * rules.half_spread)
        inside = AT_OPEN if opens else TOUCHED
        _exit(
            state, detail, rules, number, number, lot.left, level, quoted, np.nan, truth(1), inside, plain(LIQUIDATED)
        )
    withdraw_all(state, now.bar, plain(LIQUIDATED))
    state.fills[book.fills - 1].shortfall = max(-book.cash, 0.0)


@lean_kernel
def _exits(state: State, detail: Detail | None, rules: Record, opens: bool) -> bool:
    """Close lots that the open or the sub-bar allows no longer; return whether any was closed."""
    book, now = state.book[0], state.moment[0]
    at, any_closed = 0, False
    while at < book.lots:
        number = state.lots[at]
        lot = state.orders[number]
        fresh = not opens and _fresh(state, lot)
        high, low, mark_high, mark_low = _reach(now, lot.since if fresh else np.nan, opens)
        best, worst, marked = (high, low, mark_low) if lot.side > 0 else (low, high, mark_high)
        if fresh and lot.inside == RESTED:
            best = now.close  # whatever came before the entry would be a gift
        stop, own = trailed_stop(lot), lot.liquidation
        if rules.margin == CROSS:
            account_level(state, rules)
            own = book.liquidation if lot.side * book.position > 0.0 else np.nan
        stopped = lot.side * (worst - stop) <= 0.0  # false where there is no stop: NaN
        dead = lot.side * (marked - own) <= 0.0 and not (opens and lot.side * (worst - own) > 0.0)
        ahead = lot.side * (best - lot.target)
        reached = ahead > 0.0 or (opens and ahead == 0.0)
        reason = NONE
        if opens:
            reason = lot.leave if lot.leave != NONE or now.bar < lot.due else HELD
        if reason == NONE and reached and (not (stopped or dead) or (rules.intrabar == TARGET_FIRST and not opens)):
            reason = REACHED
        if reason == NONE and dead and not (stopped and lot.side * (stop - own) >= 0.0):  # it lies nearer than the stop
            reason = LIQUIDATED
        elif reason == NONE and stopped:
            reason = STOPPED
        if reason == NONE or (reason == LIQUIDATED and rules.margin == CROSS):  # all of them at once, later
            at += 1
            continue
        ambiguous = not opens and reached and (stopped or dead)
        if now.straight != 0 and not opens:  # what the whole bar would have left open
            best, worst = (now.bar_high, now.bar_low) if lot.side > 0 else (now.bar_low, now.bar_high)
            if lot.inside == RESTED and lot.entry_bar == now.bar:
                best = now.bar_close
            stopped = dead or lot.side * (worst - stop) <= 0.0
            ambiguous = stopped and lot.side * (best - lot.target) > 0.0
            if ambiguous and reason == REACHED and lot.inside == TOUCHED and lot.entry_bar == now.bar:
                reason, high, low = STOPPED, now.bar_high, now.bar_low  # going straight on from a stop would be a gift
        mid, bound = now.open, np.nan
        if not opens:
            mid = lot.target if reason == REACHED else (stop if reason == STOPPED else own)
            mid = min(max(mid, low), high)  # the mark may trigger where nothing was traded
        taker = opens or reason != REACHED
        quoted = mid * (1.0 - lot.side * rules.half_spread) if taker else mid
        if opens and reason == REACHED:
            bound = lot.target
            quoted = lot.side * max(lot.side * quoted, lot.side * bound)
        inside = AT_OPEN if opens else (TOUCHED if taker else RESTED)
        _exit(state, detail, rules, number, number, lot.left, mid, quoted, bound, taker, inside, reason)
        state.fills[book.fills - 1].ambiguous = ambiguous
        any_closed = True
    return any_closed


@lean_kernel
def _entries(state: State, detail: Detail | None, rules: Record, turn: int) -> None:
    """Fill the working orders whose turn it is and whose price the open or the sub-bar met."""
    book, now = state.book[0], state.moment[0]
    at, opens = 0, turn == OPENING
    while at < book.working:
        number = state.working[at]
        order = state.orders[number]
        at += 1
        if (not opens and order.reduce_only != (turn > INSIDE)) or (
            turn > INSIDE and (order.mode == LIMIT) != (turn == REDUCING_LIMITS)
        ):
            continue
        best, worst = (now.high, now.low) if order.side > 0 else (now.low, now.high)
        if opens:
            best = worst = now.open
        level, bound, inside = order.level, np.nan, -1
        if order.mode == MARKET:
            inside = AT_OPEN
        elif order.mode != LIMIT and order.side * (best - level) >= 0.0:
            inside = TOUCHED
            if order.mode == STOP_LIMIT:  # it works as a limit from here on
                order.mode, order.level, bound = LIMIT, order.limit, order.limit
                book.watched = 0
                if order.side * ((worst if opens else level) - bound) > 0.0:
                    inside = -1
                    if not opens and order.side * (now.close - bound) < 0.0:  # price came back: the close proves it
                        level, inside = bound, RESTED
        elif order.mode == LIMIT:
            beyond = order.side * (worst - level)
            if beyond < 0.0 or (opens and beyond == 0.0):
                inside, bound = RESTED, level
        if inside < 0:
            continue
        mid = now.open if opens else level
        taker = opens or inside == TOUCHED
        quoted = mid
        if taker:
            quoted = mid * (1.0 + order.side * rules.half_spread)
            if order.side * (quoted - bound) > 0.0:  # false where there is no bound: NaN
                quoted = bound
        else:
            bound = np.nan
        if opens:
            inside = AT_OPEN
        reason, rest = ENTERED, 0.0
        if order.reduce_only != 0:
            reason = REDUCED
            rest = _reduce(state, detail, rules, number, mid, quoted, bound, taker, inside)
        at -= 1
        if rest == order.qty:  # nothing to reduce
            withdraw(state, number, now.bar, plain(REDUCED))
            continue
        order.qty -= rest
        at -= _cancel_others(state, number)
        settle(order, plain(FILLED), reason, now.bar)
        remove(state.working, book.working, number)
        book.working -= 1
        if order.reduce_only == 0:
            _enter(state, detail, rules, number, mid, quoted, bound, taker, inside)


@lean_kernel
def _trail(state: State) -> None:
    """Let trailing stops follow the best price of the sub-bar, as far as it came after the entry."""
    now = state.moment[0]
    for at in range(state.book[0].lots):
        lot = state.orders[state.lots[at]]
        if lot.ratchet != lot.ratchet:
            continue
        best = now.high if lot.side > 0 else now.low
        if lot.inside == RESTED and _fresh(state, lot):
            best = now.close
        if lot.side * (best - lot.best) > 0.0:
            lot.best = best
            state.book[0].watched = 0


@lean_kernel
def _pay(state: State, funded: Records, venue: Venue, rules: Record, bar: int, price: float) -> None:
    """Pay and receive the funding of a bar."""
    book = state.book[0]
    while book.funding < len(venue.funding) and venue.funding[book.funding].bar <= bar:
        due = venue.funding[book.funding]
        if due.bar == bar and book.position != 0.0:
            amount = -due.rate * book.position * abs(worth(rules, price))
            book.cash += amount
            book.fresh = 0
            paid = funded[book.funded]
            paid.row, paid.bar, paid.position = book.funding, bar, book.position
            paid.price, paid.amount, paid.cash = price, amount, book.cash
            book.funded += 1
        book.funding += 1


@lean_kernel
def _expire(state: State, bar: int) -> None:
    at = 0
    while at < state.book[0].working:
        order = state.orders[state.working[at]]
        if bar >= order.bar + order.expiry:
            withdraw(state, state.working[at], bar, plain(EXPIRY))
        else:
            at += 1


@lean_kernel
def _sub_bar(prices: Prices, detail: Detail, now: Record, path: bool, bar: int, sub: int, last: bool) -> None:
    """Set the sub-bar ``sub`` of a bar."""
    if path:
        turn, back = prices.low[bar], prices.high[bar]
        if prices.close[bar] < prices.open[bar]:
            turn, back = back, turn
        now.open = prices.open[bar] if sub == 0 else (turn if sub == 1 else back)
        now.close = turn if sub == 0 else (back if sub == 1 else prices.close[bar])
        now.high, now.low = max(now.open, now.close), min(now.open, now.close)
    else:
        row = detail.start[bar] + sub
        now.open, now.high, now.low, now.close = detail.open[row], detail.high[row], detail.low[row], detail.close[row]
    now.sub, now.straight = sub, path
    # A mark beyond the traded price has no place within the bar: it counts at its end.
    now.mark_high = prices.mark_high[bar] if last else min(prices.mark_high[bar], now.high)
    now.mark_low = prices.mark_low[bar] if last else max(prices.mark_low[bar], now.low)


@inner_kernel
def trade_bar(
    prices: Prices,
    detail: Detail | None,
    state: State,
    funded: Records,
    venue: Venue,
    rules: Record,
    bar: int,
) -> None:
    """Take every step of the module's list."""
    now, path = state.moment[0], rules.intrabar == PATH
    now.bar, now.sub, now.straight = bar, 0, False
    now.open, now.high, now.low, now.close = prices.open[bar], prices.high[bar], prices.low[bar], prices.close[bar]
    now.bar_high, now.bar_low, now.bar_close = now.high, now.low, now.close
    now.mark_high, now.mark_low = prices.mark_high[bar], prices.mark_low[bar]
    now.impact, now.volume = 0.0, prices.volume[bar]
    if rules.impact > 0.0 and prices.volatility[bar] > 0.0 and prices.usual_volume[bar] > 0.0:
        now.impact = rules.impact * prices.volatility[bar] / math.sqrt(prices.usual_volume[bar])
    now.bought = now.sold = 0.0
    _pay(state, funded, venue, rules, bar, now.open)
    if rules.margin != NO_MARGIN:
        follow_schedule(state, venue, rules, bar)
    count = 1
    if detail is not None:
        if path:
            count = 3
        elif rules.intrabar == DRILL:
            count = detail.start[bar + 1] - detail.start[bar]
    kind = rules.intrabar == TARGET_FIRST
    for sub in range(count):
        if detail is not None and (path or rules.intrabar == DRILL):
            _sub_bar(prices, detail, now, path, bar, sub, sub == count - 1)
        now.since = np.nan
        opens = sub == 0 or not path
        while True:
            if opens:
                _exits(state, detail, rules, opens)
                if rules.margin == CROSS:
                    _liquidate_account(state, detail, rules, opens)
                _entries(state, detail, rules, plain(OPENING))
                _exits(state, detail, rules, opens)
            else:
                _entries(state, detail, rules, plain(INSIDE))
                _entries(state, detail, rules, REDUCING_LIMITS if kind else REDUCING_STOPS)
                while _exits(state, detail, rules, opens) and rules.margin == CROSS:
                    pass  # each exit moves the account's own level, which may have hidden a stop
            if rules.margin == CROSS:
                _liquidate_account(state, detail, rules, opens)
            if not opens:
                break
            opens = truth(0)
        _entries(state, detail, rules, REDUCING_STOPS if kind else REDUCING_LIMITS)
        _trail(state)
    _expire(state, bar)
    book = state.book[0]
    book.watched = 0
