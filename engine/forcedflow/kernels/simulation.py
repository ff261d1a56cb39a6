"""The simulated market: a GARCH-t value, and holders whose forced orders move price away from it.

Every contract has a long and a short. A *cohort* is holders of one venue, side and kind who opened together; in each
step as many as ``Rules.cohorts`` open in each book, numbered in that order. They leave when they choose to, when
leavers of the other side seek a counterparty, or when price reaches their trigger: the nearer of liquidation price and
stop. Quantities are whole lots, so that open interest is conserved exactly. A *book* is one venue's one side: book
``2 * venue`` its longs, ``2 * venue + 1`` its shorts. Only what is open takes memory.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from forcedflow.kernels import BoolArray, FloatArray, IntArray, kernel, lean_kernel

__all__ = [
    "FLOWS",
    "PRICES",
    "STATE",
    "Draws",
    "Kinds",
    "Market",
    "Rules",
    "advance",
    "garch",
    "mean_reverting",
    "push",
    "remove",
]

PRICES = ("open", "high", "low", "close", "premium")
"""Columns that :func:`advance` writes; the premium is traded price over value, log, mean over the bar's steps."""
FLOWS = ("volume", "open_interest", "long_liquidated", "short_liquidated", "long_stopped", "short_stopped")
"""Columns of a venue's flows that :func:`advance` writes, all in lots."""
STATE = ("value", "displacement", "price", "atr", "shift", "momentum", "pressure")
"""What ``Market.now`` holds: log value; displacement of the book in lots; traded price; average true range, log;
log price over log value; mean log return of past bars; decayed forced buying less selling, shares of open interest."""

VALUE, DISPLACEMENT, PRICE, ATR, SHIFT, MOMENTUM, PRESSURE = 0, 1, 2, 3, 4, 5, 6
BY_KEY, BY_DUE = 0, 1
VOLUME, OPEN_INTEREST, LIQUIDATED, STOPPED = 0, 1, 2, 4


class Market(NamedTuple):
    """State at a bar's close: B books, S slots for the cohorts that are open in a book."""

    quantity: IntArray
    """Shape (B, S): open lots."""
    key: FloatArray
    """Shape (B, S): trigger price, negated for longs, so that the lowest key is hit first on either side."""
    stopped: BoolArray
    """Shape (B, S): whether the trigger is a stop and not a liquidation."""
    due: FloatArray
    """Shape (B, S): the step by which the holders leave by themselves."""
    number: IntArray
    """Shape (B, S): of the cohort, in the order of opening."""
    heaps: IntArray
    """Shape (2, B, S): slots in use by key and by due time, as heaps; behind them, by key, the slots that are free."""
    places: IntArray
    """Shape (2, B, S): where in the heap a slot stands."""
    sizes: IntArray
    """Shape (B,): slots in use."""
    mass: IntArray
    """Shape (2, a power of two): open lots of longs and shorts by bin of log trigger, modulo the length; length 0
    where no mechanism asks."""
    now: FloatArray
    """Shape (7,): see ``STATE``."""
    handed: IntArray
    """Shape (B,): scratch; lots whose holders' places newcomers take in this step."""
    chance: FloatArray
    """Shape (2, kinds): scratch; cumulated share of each kind in what a venue's side opens."""


class Draws(NamedTuple):
    """All chance, drawn before: the kernel itself is deterministic."""

    returns: FloatArray
    """Shape (steps,): log returns of the value."""
    activity: FloatArray
    """Shape (steps,): how busy the market is; mean about 1."""
    offset: int
    """Number of the first cohort of the columns below, which are drawn block by block."""
    pick: FloatArray
    """Shape (B, n): uniform; which kind a cohort is."""
    habit: FloatArray
    """Shape (B, n): uniform; whether it keeps a stop."""
    life: FloatArray
    """Shape (B, n): exponential with mean 1; how long it stays."""


class Kinds(NamedTuple):
    """Who trades; K kinds, those of one venue side by side."""

    first: IntArray
    """Shape (venues + 1,): the first kind of each venue."""
    share: FloatArray
    """Shape (K,): of what its venue opens."""
    follow: FloatArray
    """Shape (K,): how the share tilts with past returns: positive for trend followers, negative for market makers."""
    factor: FloatArray
    """Shape (2, K): liquidation price over entry price, longs first."""
    stop_share: FloatArray
    """Shape (K,): share that keeps a stop."""
    stop_atr: FloatArray
    """Shape (K,): distance of that stop, average true ranges."""
    holding: FloatArray
    """Shape (K,): mean holding time, hours."""


class Rules(NamedTuple):
    """Constants of the market, per step and in lots."""

    steps_per_bar: int
    step_minutes: float
    cohorts: int
    """Into so many, each of a kind of its own, falls what a book opens in a step."""
    tick: float
    """Price steps in one unit of quote currency."""
    born: FloatArray
    """Shape (venues,): contracts that open in a step of average activity."""
    churn: FloatArray
    """Shape (venues,): trade of an average step that leaves no position behind."""
    step_volatility: float
    """Standard deviation of the value's log return."""
    closing_share: float
    """Part of every leaving lot that is met by a holder of the other side who leaves too; newcomers take the rest."""
    impact: float
    """Log price per square root of a displaced lot."""
    permanent: float
    """Log price per forced lot that never comes back."""
    resilience: float
    """Share of the book's displacement that is left after a step."""
    atr_bars: float
    momentum_bars: float
    """Memory of the trend that trend followers follow."""
    bin_width: float
    """Of ``Market.mass``, log price."""
    magnet: float
    """Drift of the value towards the heavier side, step volatilities at full imbalance."""
    magnet_reach: float
    """How far from price mass attracts, log price."""
    void: float
    """Drift against spent forced flow where nothing lies ahead, step volatilities."""
    void_reach: float
    """How far ahead there must be nothing, log price."""
    void_mass: float
    """Share of open interest below which that is nothing."""
    void_swept: float
    """Least forced flow that counts, share of open interest."""
    pressure_left: float
    """Share of the remembered forced flow that is left after a bar."""


@kernel
def garch(shocks: FloatArray, variance: float, alpha: float, beta: float) -> tuple[FloatArray, FloatArray]:
    """GARCH(1,1) returns: ``h' = (1 - alpha - beta) variance + alpha r^2 + beta h`` and ``r = sqrt(h) z``.

    Bollerslev, *Generalized autoregressive conditional heteroskedasticity*, J. Econometrics 31 (1986).

    Parameters
    ----------
    shocks
        Shape (n,): independent draws z with mean 0 and variance 1.
    variance
        Long-run variance of a return, where the recursion starts.
    alpha, beta
        Weight of the last squared return and of the last variance.

    Returns
    -------
    returns, variances
        Shape (n,) each.
    """
    returns, variances = np.empty(len(shocks)), np.empty(len(shocks))
    h = variance
    for i in range(len(shocks)):
        variances[i] = h
        returns[i] = np.sqrt(h) * shocks[i]
        h = (1 - alpha - beta) * variance + alpha * returns[i] ** 2 + beta * h
    return returns, variances


@kernel
def mean_reverting(shocks: FloatArray, left: float) -> FloatArray:
    """Return ``x' = left * x + shock`` from 0, shape (n,)."""
    path = np.empty(len(shocks))
    x = 0.0
    for i in range(len(shocks)):
        x = left * x + shocks[i]
        path[i] = x
    return path


@lean_kernel
def _before(keys: FloatArray, numbers: IntArray, a: int, b: int) -> bool:
    return bool(keys[a] < keys[b] or (keys[a] == keys[b] and numbers[a] < numbers[b]))


@lean_kernel
def _rise(heap: IntArray, places: IntArray, keys: FloatArray, numbers: IntArray, at: int, item: int) -> int:
    """Put ``item`` where it belongs on the way from ``at`` to the top and return where that is."""
    while at > 0:
        parent = (at - 1) // 2
        if _before(keys, numbers, heap[parent], item):
            break
        heap[at] = heap[parent]
        places[heap[at]] = at
        at = parent
    heap[at] = item
    places[item] = at
    return at


@lean_kernel
def push(heap: IntArray, places: IntArray, size: int, keys: FloatArray, numbers: IntArray, item: int) -> None:
    """Put ``item`` into the binary heap ``heap[:size]``: lowest ``keys[item]`` first, then lowest ``numbers[item]``."""
    _rise(heap, places, keys, numbers, size, item)


@lean_kernel
def remove(heap: IntArray, places: IntArray, size: int, keys: FloatArray, numbers: IntArray, at: int) -> None:
    """Take the item at ``heap[at]`` out of the heap ``heap[:size]`` and leave it behind the rest."""
    out, item, size = heap[at], heap[size - 1], size - 1
    if at < size and _rise(heap, places, keys, numbers, at, item) == at:
        child = 2 * at + 1
        while child < size:
            if child + 1 < size and _before(keys, numbers, heap[child + 1], heap[child]):
                child += 1
            if _before(keys, numbers, item, heap[child]):
                break
            heap[at] = heap[child]
            places[heap[at]] = at
            at, child = child, 2 * child + 1
        heap[at] = item
        places[item] = at
    heap[size] = out
    places[out] = size


@lean_kernel
def _reprice(now: FloatArray, impact: float, tick: float) -> None:
    """Trade at value plus the book's displacement: square-root impact that relaxes with the displacement.

    Impact as a concave function of a displaced volume that recovers: Alfonsi, Fruth, Schied, *Optimal execution
    strategies in limit order books with general shape functions*, Quantitative Finance 10 (2010). The square root:
    Donier, Bonart, *A million metaorder analysis of market impact on the Bitcoin* (2014), arXiv 1412.4503.
    """
    shift = impact * np.sqrt(abs(now[DISPLACEMENT]))
    if now[DISPLACEMENT] < 0:
        shift = -shift
    now[SHIFT] = shift
    now[PRICE] = np.rint(np.exp(now[VALUE] + shift) * tick) / tick


@lean_kernel
def _count(market: Market, book: int, slot: int, lots: int, width: float) -> None:
    """Note that a cohort's lots came (or left, where negative) in the mass by bin that the mechanisms look at."""
    if market.mass.shape[1] > 0:
        k = math.floor(math.log(abs(market.key[book, slot])) / width) & (market.mass.shape[1] - 1)
        market.mass[book % 2, k] += lots


@lean_kernel
def _open(
    market: Market, draws: Draws, kinds: Kinds, rules: Rules, book: int, step: int, cohort: int, lots: int
) -> None:
    """Open a cohort at the price of now."""
    side, column = book % 2, cohort - draws.offset
    sign = 2 * side - 1
    price, size = market.now[PRICE], market.sizes[book]
    slot = market.heaps[BY_KEY, book, size]
    first, last = kinds.first[book // 2], kinds.first[book // 2 + 1]
    kind = first
    while kind < last - 1 and market.chance[side, kind] <= draws.pick[book, column]:
        kind += 1
    market.quantity[book, slot] = lots
    market.number[book, slot] = cohort
    market.due[book, slot] = step + draws.life[book, column] * kinds.holding[kind] * 60.0 / rules.step_minutes
    market.key[book, slot] = sign * kinds.factor[side, kind] * price
    market.stopped[book, slot] = False
    if draws.habit[book, column] < kinds.stop_share[kind]:
        stop = sign * price * np.exp(sign * kinds.stop_atr[kind] * market.now[ATR])
        if stop < market.key[book, slot]:  # nearer than the liquidation
            market.key[book, slot] = stop
            market.stopped[book, slot] = True
    numbers = market.number[book]
    push(market.heaps[BY_KEY, book], market.places[BY_KEY, book], size, market.key[book], numbers, slot)
    push(market.heaps[BY_DUE, book], market.places[BY_DUE, book], size, market.due[book], numbers, slot)
    market.sizes[book] = size + 1
    _count(market, book, slot, lots, rules.bin_width)


@lean_kernel
def _open_all(market: Market, draws: Draws, kinds: Kinds, rules: Rules, book: int, step: int, lots: int) -> None:
    """Open ``lots`` in equal parts; the first cohorts take what is left over."""
    for k in range(rules.cohorts):
        part = lots // rules.cohorts + (1 if k < lots % rules.cohorts else 0)
        if part > 0:
            _open(market, draws, kinds, rules, book, step, step * rules.cohorts + k, part)


@lean_kernel
def _free(market: Market, book: int, slot: int) -> None:
    """Take a cohort out of both heaps; its slot can be used again."""
    size, numbers = market.sizes[book], market.number[book]
    at = market.places[BY_KEY, book, slot]
    remove(market.heaps[BY_KEY, book], market.places[BY_KEY, book], size, market.key[book], numbers, at)
    at = market.places[BY_DUE, book, slot]
    remove(market.heaps[BY_DUE, book], market.places[BY_DUE, book], size, market.due[book], numbers, at)
    market.sizes[book] = size - 1


@lean_kernel
def _close_soonest(market: Market, book: int, lots: int, width: float) -> int:
    """Close up to ``lots`` of the holders who meant to leave soonest and return how many there were.

    Lifetimes are exponential, so among holders of one kind the soonest to leave are a fair draw from all of them.
    """
    closed = 0
    while closed < lots and market.sizes[book] > 0:
        slot = market.heaps[BY_DUE, book, 0]
        part = min(market.quantity[book, slot], lots - closed)
        market.quantity[book, slot] -= part
        _count(market, book, slot, -part, width)
        closed += part
        if market.quantity[book, slot] == 0:
            _free(market, book, slot)
    return closed


@lean_kernel
def _leave(market: Market, rules: Rules, book: int, slot: int, flows: IntArray) -> int:
    """Close a cohort against leavers of the other side and newcomers to its own, and return its lots.

    What the other side's leavers meet lowers the venue's open interest; the rest is added to ``handed``, which
    newcomers open at the end of the step. ``flows`` is the venue's row of this bar.
    """
    lots = market.quantity[book, slot]
    market.quantity[book, slot] = 0
    _count(market, book, slot, -lots, rules.bin_width)
    _free(market, book, slot)
    matched = _close_soonest(market, book ^ 1, int(lots * rules.closing_share), rules.bin_width)
    market.handed[book] += lots - matched
    flows[OPEN_INTEREST] -= matched
    flows[VOLUME] += lots
    return int(lots)


@lean_kernel
def _nearest(market: Market, side: int, limit: float) -> int:
    """Return the book of a side, of all venues, whose first trigger is at most ``limit`` and lowest; -1 if none."""
    found = -1
    for book in range(side, len(market.sizes), 2):
        if market.sizes[book] > 0:
            key = market.key[book, market.heaps[BY_KEY, book, 0]]
            if key < limit or (found < 0 and key == limit):
                found, limit = book, key
    return found


@lean_kernel
def _force(market: Market, rules: Rules, bar: int, prices: FloatArray, flows: IntArray) -> None:
    """Force out whoever price has reached, nearest trigger first, each order moving price."""
    now = market.now
    for side in range(2):
        sign = 2 * side - 1  # longs are forced to sell, shorts to buy
        book = _nearest(market, side, sign * now[PRICE])
        while book >= 0:
            slot = market.heaps[BY_KEY, book, 0]
            kind = STOPPED if market.stopped[book, slot] else LIQUIDATED
            lots = _leave(market, rules, book, slot, flows[bar, book // 2])
            flows[bar, book // 2, kind + side] += lots
            now[DISPLACEMENT] += sign * lots
            now[VALUE] += sign * lots * rules.permanent
            _reprice(now, rules.impact, rules.tick)
            prices[bar, 1], prices[bar, 2] = max(prices[bar, 1], now[PRICE]), min(prices[bar, 2], now[PRICE])
            book = _nearest(market, side, sign * now[PRICE])


@lean_kernel
def _tilt(market: Market, kinds: Kinds, rules: Rules) -> None:
    """Say which kinds open on each side: after a rise, more of the longs are trend followers, of the shorts makers."""
    a = 1.0 / rules.momentum_bars
    usual = rules.step_volatility * np.sqrt(rules.steps_per_bar * a / (2.0 - a))  # of a mean of independent returns
    trend = min(max(market.now[MOMENTUM] / usual, -2.0), 2.0)
    for side in range(2):
        for venue in range(len(kinds.first) - 1):
            total = 0.0
            for k in range(kinds.first[venue], kinds.first[venue + 1]):
                part = kinds.share[k]
                if kinds.follow[k] != 0.0:
                    part *= np.exp((1 - 2 * side) * kinds.follow[k] * trend)
                total += part
                market.chance[side, k] = total
            for k in range(kinds.first[venue], kinds.first[venue + 1]):
                market.chance[side, k] /= total


@lean_kernel
def _ahead(market: Market, side: int, reach: float, width: float) -> int:
    """Return the lots of a side whose triggers lie within ``reach`` of price."""
    here = math.floor(math.log(market.now[PRICE]) / width)
    away, total = 2 * side - 1, 0
    for k in range(int(reach / width + 0.5) + 1):
        total += market.mass[side, (here + away * k) & (market.mass.shape[1] - 1)]
    return total


@lean_kernel
def _drift(market: Market, rules: Rules, oi: int) -> float:
    """Return what the mechanisms add to each of a bar's returns: zero where they are switched off.

    The magnet draws price to the side with more mass in reach, in proportion to the imbalance. The void turns price
    back after a sweep behind which nothing is left to be swept.
    """
    drift = 0.0
    if market.mass.shape[1] == 0 or oi <= 0:
        return drift
    if rules.magnet != 0.0:
        above = _ahead(market, 1, rules.magnet_reach, rules.bin_width)
        below = _ahead(market, 0, rules.magnet_reach, rules.bin_width)
        if above + below > 0:
            drift += rules.magnet * rules.step_volatility * (above - below) / (above + below)
    pressure = market.now[PRESSURE]
    if rules.void != 0.0 and abs(pressure) >= rules.void_swept:
        side = 1 if pressure > 0 else 0
        if _ahead(market, side, rules.void_reach, rules.bin_width) < rules.void_mass * oi:
            drift -= (2 * side - 1) * rules.void * rules.step_volatility
    return drift


@lean_kernel
def advance(
    market: Market, draws: Draws, kinds: Kinds, rules: Rules, first: int, last: int, prices: FloatArray, flows: IntArray
) -> int:
    """Run bars ``first`` to ``last - 1``; stopping and going on anywhere changes nothing.

    In each step the value moves and the book recovers; then whoever price has reached is forced out, nearest trigger
    first, each order moving price and so perhaps reaching the next; then those leave whose time has come; then
    newcomers open.

    Parameters
    ----------
    market
        Changed in place.
    draws, kinds, rules
        See :class:`Draws`, :class:`Kinds`, :class:`Rules`.
    first, last
        Bars, counted from the start of the draws.
    prices
        Shape (bars, 5): the columns of ``PRICES`` are written here.
    flows
        Shape (bars, venues, 6): the columns of ``FLOWS`` are written here, lots.

    Returns
    -------
    bar
        ``last``, or the bar before which the market needs more slots.
    """
    now, books = market.now, len(market.sizes)
    for bar in range(first, last):
        for book in range(books):
            if market.sizes[book] + rules.steps_per_bar * rules.cohorts > market.key.shape[1]:
                return bar
        prices[bar, 0] = prices[bar, 1] = prices[bar, 2] = previous = now[PRICE]
        prices[bar, 4] = 0.0
        oi = 0
        for venue in range(books // 2):
            flows[bar, venue, OPEN_INTEREST] = flows[bar - 1, venue, OPEN_INTEREST] if bar > 0 else 0
            oi += flows[bar, venue, OPEN_INTEREST]
        drift = _drift(market, rules, oi)
        _tilt(market, kinds, rules)
        for step in range(bar * rules.steps_per_bar, (bar + 1) * rules.steps_per_bar):
            before = now[PRICE]
            now[VALUE] += draws.returns[step] + drift
            now[DISPLACEMENT] *= rules.resilience
            _reprice(now, rules.impact, rules.tick)
            prices[bar, 1], prices[bar, 2] = max(prices[bar, 1], now[PRICE]), min(prices[bar, 2], now[PRICE])
            for book in range(books):
                market.handed[book] = 0
            _force(market, rules, bar, prices, flows)
            for side in range(2):
                for book in range(side, books, 2):
                    while market.sizes[book] > 0 and market.due[book, market.heaps[BY_DUE, book, 0]] <= step:
                        _leave(market, rules, book, market.heaps[BY_DUE, book, 0], flows[bar, book // 2])
            move = abs(np.log(now[PRICE] / before)) / rules.step_volatility
            for venue in range(books // 2):
                born = int(rules.born[venue] * draws.activity[step])
                for side in range(2):
                    book = 2 * venue + side
                    _open_all(market, draws, kinds, rules, book, step, born + market.handed[book])
                flows[bar, venue, OPEN_INTEREST] += born
                flows[bar, venue, VOLUME] += born + int(rules.churn[venue] * (draws.activity[step] + move) / 2)
            prices[bar, 4] += now[SHIFT] / rules.steps_per_bar
        prices[bar, 3] = now[PRICE]
        true_range = np.log(prices[bar, 1] / prices[bar, 2])  # a bar opens at the close before, so inside it
        now[ATR] += (true_range - now[ATR]) / rules.atr_bars
        now[MOMENTUM] += (np.log(now[PRICE] / previous) - now[MOMENTUM]) / rules.momentum_bars
        forced = 0
        for venue in range(books // 2):
            for k in (LIQUIDATED, STOPPED):
                forced += flows[bar, venue, k + 1] - flows[bar, venue, k]
        now[PRESSURE] = now[PRESSURE] * rules.pressure_left + (forced / oi if oi > 0 else 0.0)
    return last
