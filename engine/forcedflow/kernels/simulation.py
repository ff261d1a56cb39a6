"""The simulated market: a GARCH-t value, and holders whose forced orders move price away from it.

Every contract has a long and a short. A *cohort* is holders of one side and kind who opened together; in each step as
many as ``Rules.cohorts`` open on each side, numbered in that order. They leave when they choose to, when leavers of the
other side seek a counterparty, or when price reaches their trigger: the nearer of liquidation price and stop.
Quantities are whole lots, so that open interest is conserved exactly.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from forcedflow.kernels import BoolArray, FloatArray, IntArray, kernel

__all__ = ["FLOWS", "Draws", "Market", "Rules", "advance", "garch", "pop", "push"]

FLOWS = ("volume", "open_interest", "long_liquidated", "short_liquidated", "long_stopped", "short_stopped")
"""Columns of the flows that :func:`advance` writes, all in lots."""

VALUE, DISPLACEMENT, PRICE, ATR = 0, 1, 2, 3
BY_KEY, BY_DUE = 0, 1


class Market(NamedTuple):
    """State at a bar's close. Side 0 is long, side 1 is short; n is all cohorts that a side can open."""

    quantity: IntArray
    """Shape (2, n): open lots."""
    key: FloatArray
    """Shape (2, n): trigger price, negated for longs, so that the lowest key is hit first on either side."""
    stopped: BoolArray
    """Shape (2, n): whether the trigger is a stop and not a liquidation."""
    due: FloatArray
    """Shape (2, n): the step by which the holders leave by themselves."""
    heaps: IntArray
    """Shape (2, 2, n): cohorts by key and by due time, for each side; those already closed are dropped when met."""
    sizes: IntArray
    """Shape (2, 2): length of each heap."""
    now: FloatArray
    """Shape (4,): log value, displacement of the book in lots, traded price, average true range as a log distance."""


class Draws(NamedTuple):
    """All chance, drawn before: the kernel itself is deterministic."""

    returns: FloatArray
    """Shape (steps,): log returns of the value."""
    activity: FloatArray
    """Shape (steps,): how busy the market is; mean about 1."""
    factor: FloatArray
    """Shape (2, n): liquidation price over entry price of each cohort."""
    multiple: FloatArray
    """Shape (2, n): distance of its stop in average true ranges; infinite for none."""
    life: FloatArray
    """Shape (2, n): steps until it leaves by itself."""


class Rules(NamedTuple):
    """Constants of the market, per step and in lots."""

    steps_per_bar: int
    cohorts: int
    """Into so many, each of a kind of its own, falls what a side opens in a step."""
    ticks: float
    """Price steps in one unit of quote currency."""
    born: float
    """Contracts that open in a step of average activity."""
    churn: float
    """Trade of an average step that leaves no position behind."""
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
def _before(keys: FloatArray, a: int, b: int) -> bool:
    return bool(keys[a] < keys[b] or (keys[a] == keys[b] and a < b))


@kernel
def push(heap: IntArray, size: int, keys: FloatArray, item: int) -> int:
    """Put ``item`` into the binary heap ``heap[:size]``, lowest ``keys[item]`` first, and return its new size."""
    at = size
    while at > 0:
        parent = (at - 1) // 2
        if _before(keys, heap[parent], item):
            break
        heap[at] = heap[parent]
        at = parent
    heap[at] = item
    return size + 1


@kernel
def pop(heap: IntArray, size: int, keys: FloatArray) -> int:
    """Take the first item ``heap[0]`` off the heap and return its new size."""
    size -= 1
    item = heap[size]
    at, child = 0, 1
    while child < size:
        if child + 1 < size and _before(keys, heap[child + 1], heap[child]):
            child += 1
        if _before(keys, item, heap[child]):
            break
        heap[at] = heap[child]
        at, child = child, 2 * child + 1
    heap[at] = item
    return size


@kernel
def _reprice(now: FloatArray, impact: float, ticks: float) -> None:
    """Trade at value plus the book's displacement: square-root impact that relaxes with the displacement.

    Impact as a concave function of a displaced volume that recovers: Alfonsi, Fruth, Schied, *Optimal execution
    strategies in limit order books with general shape functions*, Quantitative Finance 10 (2010). The square root:
    Donier, Bonart, *A million metaorder analysis of market impact on the Bitcoin* (2014), arXiv 1412.4503.
    """
    shift = impact * np.sqrt(abs(now[DISPLACEMENT]))
    if now[DISPLACEMENT] < 0:
        shift = -shift
    now[PRICE] = np.rint(np.exp(now[VALUE] + shift) * ticks) / ticks


@kernel
def _open(market: Market, draws: Draws, side: int, step: int, cohort: int, lots: int) -> None:
    """Open a cohort at the price of now."""
    sign = 2 * side - 1
    price, heaps, sizes = market.now[PRICE], market.heaps, market.sizes
    market.quantity[side, cohort] = lots
    market.due[side, cohort] = step + draws.life[side, cohort]
    market.key[side, cohort] = sign * draws.factor[side, cohort] * price
    multiple = draws.multiple[side, cohort]
    if multiple < np.inf:
        stop = sign * price * np.exp(sign * multiple * market.now[ATR])
        if stop < market.key[side, cohort]:  # nearer than the liquidation
            market.key[side, cohort] = stop
            market.stopped[side, cohort] = True
    sizes[BY_KEY, side] = push(heaps[BY_KEY, side], sizes[BY_KEY, side], market.key[side], cohort)
    sizes[BY_DUE, side] = push(heaps[BY_DUE, side], sizes[BY_DUE, side], market.due[side], cohort)


@kernel
def _open_all(market: Market, draws: Draws, cohorts: int, side: int, step: int, lots: int) -> None:
    """Open ``lots`` in equal parts; the first cohorts take what is left over."""
    for k in range(cohorts):
        part = lots // cohorts + (1 if k < lots % cohorts else 0)
        if part > 0:
            _open(market, draws, side, step, step * cohorts + k, part)


@kernel
def _next(market: Market, heap: int, side: int, limit: float) -> int:
    """Take the next open cohort off a heap if its key (or due time) is at most ``limit``; -1 if there is none."""
    keys = market.key[side] if heap == BY_KEY else market.due[side]
    queue = market.heaps[heap, side]
    while market.sizes[heap, side] > 0:
        cohort = queue[0]
        if keys[cohort] > limit:
            return -1
        market.sizes[heap, side] = pop(queue, market.sizes[heap, side], keys)
        if market.quantity[side, cohort] > 0:
            return int(cohort)
    return -1


@kernel
def _close_soonest(market: Market, side: int, lots: int) -> int:
    """Close up to ``lots`` of the holders who meant to leave soonest and return how many there were.

    Lifetimes are exponential, so among holders of one kind the soonest to leave are a fair draw from all of them.
    """
    queue, closed = market.heaps[BY_DUE, side], 0
    while closed < lots and market.sizes[BY_DUE, side] > 0:
        cohort = queue[0]
        part = min(market.quantity[side, cohort], lots - closed)
        market.quantity[side, cohort] -= part
        closed += part
        if market.quantity[side, cohort] == 0:
            market.sizes[BY_DUE, side] = pop(queue, market.sizes[BY_DUE, side], market.due[side])
    return closed


@kernel
def _leave(market: Market, side: int, cohort: int, closing_share: float, handed: IntArray) -> tuple[int, int]:
    """Close a cohort against leavers of the other side and newcomers to its own.

    Returns
    -------
    lots, matched
        What left, and how much of it the other side's leavers met: open interest falls by that. The rest is added to
        ``handed``, which newcomers open at the end of the step.
    """
    lots = market.quantity[side, cohort]
    market.quantity[side, cohort] = 0
    matched = _close_soonest(market, 1 - side, int(lots * closing_share))
    handed[side] += lots - matched
    return lots, matched


@kernel
def advance(
    market: Market, draws: Draws, rules: Rules, first: int, last: int, prices: FloatArray, flows: IntArray
) -> None:
    """Run bars ``first`` to ``last - 1``; stopping and going on anywhere changes nothing.

    In each step the value moves and the book recovers; then whoever price has reached is forced out, nearest trigger
    first, each order moving price and so perhaps reaching the next; then those leave whose time has come; then
    newcomers open.

    Parameters
    ----------
    market
        Changed in place.
    draws, rules
        See :class:`Draws`, :class:`Rules`.
    first, last
        Bars, counted from the start of the draws.
    prices
        Shape (bars, 4): open, high, low and close are written here.
    flows
        Shape (bars, 6): the columns of ``FLOWS`` are written here, lots.
    """
    now, handed = market.now, np.zeros(2, np.int64)
    for bar in range(first, last):
        previous = high = low = now[PRICE]
        oi = flows[bar - 1, 1] if bar > 0 else 0
        for step in range(bar * rules.steps_per_bar, (bar + 1) * rules.steps_per_bar):
            before = now[PRICE]
            now[VALUE] += draws.returns[step]
            now[DISPLACEMENT] *= rules.resilience
            _reprice(now, rules.impact, rules.ticks)
            high, low = max(high, now[PRICE]), min(low, now[PRICE])
            born = int(rules.born * draws.activity[step])
            traded = born
            handed[:] = 0
            for side in range(2):
                sign = 2 * side - 1  # longs are forced to sell, shorts to buy
                cohort = _next(market, BY_KEY, side, sign * now[PRICE])
                while cohort >= 0:
                    lots, matched = _leave(market, side, cohort, rules.closing_share, handed)
                    flows[bar, (4 if market.stopped[side, cohort] else 2) + side] += lots
                    traded += lots
                    oi -= matched
                    now[DISPLACEMENT] += sign * lots
                    now[VALUE] += sign * lots * rules.permanent
                    _reprice(now, rules.impact, rules.ticks)
                    high, low = max(high, now[PRICE]), min(low, now[PRICE])
                    cohort = _next(market, BY_KEY, side, sign * now[PRICE])
            for side in range(2):
                cohort = _next(market, BY_DUE, side, step)
                while cohort >= 0:
                    lots, matched = _leave(market, side, cohort, rules.closing_share, handed)
                    traded += lots
                    oi -= matched
                    cohort = _next(market, BY_DUE, side, step)
            for side in range(2):
                _open_all(market, draws, rules.cohorts, side, step, born + handed[side])
            oi += born
            move = abs(np.log(now[PRICE] / before)) / rules.step_volatility
            flows[bar, 0] += traded + int(rules.churn * (draws.activity[step] + move) / 2)
        flows[bar, 1] = oi
        prices[bar, 0], prices[bar, 1], prices[bar, 2], prices[bar, 3] = previous, high, low, now[PRICE]
        true_range = np.log(high / low)  # a bar opens at the close before, which is therefore inside it
        now[ATR] += (true_range - now[ATR]) / rules.atr_bars
