"""What a plan asks for: the columns, what is wrong with them, and how they become the account's orders."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from forcedflow.kernels import FloatArray, IntArray, Records, lean_kernel, merged_kernel, small_kernel
from forcedflow.kernels.orders import MARKET, RISK, STOP_LIMIT

__all__ = ["Asked", "first_fault", "write_orders"]


class Asked(NamedTuple):
    """A plan's columns, one row a leg of an event, leg after leg and event after event.

    Each but ``side`` has shape (rows,), or (1,) where one value stands for all rows. Codes are those of
    ``ORDER_ROW``.
    """

    side: IntArray
    """Shape (rows,)."""
    kind: IntArray
    price: FloatArray
    limit: FloatArray
    stop: FloatArray
    target: FloatArray
    trail: FloatArray
    size: FloatArray
    size_rule: IntArray
    expiry: IntArray
    hold: IntArray
    group: IntArray
    oco: IntArray
    reduce_only: IntArray
    cancel_on: IntArray
    exit_on: IntArray
    legs: int
    """Rows of an event."""


NO_FAULT = 99  # beyond all faults


@small_kernel
def _of(column: Any, row: int) -> Any:
    """Return what a column holds for a row."""
    return column[row if len(column) > 1 else 0]


@small_kernel
def _positive(value: float) -> bool:
    return 0.0 < value < math.inf


@merged_kernel
def _fault(asked: Asked, row: int, close: float) -> int:
    """Return the first of the faults of one row, counted as :func:`first_fault` does; :data:`NO_FAULT` for none."""
    side, kind, rule = asked.side[row], _of(asked.kind, row), _of(asked.size_rule, row)
    price, limit, stop = _of(asked.price, row), _of(asked.limit, row), _of(asked.stop, row)
    target, trail = _of(asked.target, row), _of(asked.trail, row)
    market, both, reduces = kind == MARKET, kind == STOP_LIMIT, _of(asked.reduce_only, row) != 0
    met = close if market else price
    reference = limit if both else met
    no_stop, no_target, no_trail = math.isnan(stop), math.isnan(target), math.isnan(trail)
    head = row - row % asked.legs
    fault = NO_FAULT
    if abs(side) > 1:
        fault = 0
    elif market and not math.isnan(price):
        fault = 1
    elif not market and not _positive(price):
        fault = 2
    elif not both and not math.isnan(limit):
        fault = 3
    elif not no_stop and not _positive(stop):
        fault = 4
    elif not no_target and not _positive(target):
        fault = 5
    elif rule == RISK and no_stop and no_trail:
        fault = 6
    elif not no_stop and not (side * (reference - stop) > 0.0 and side * (met - stop) > 0.0):
        fault = 7
    elif not no_target and not (side * (target - reference) > 0.0 and side * (target - met) > 0.0):
        fault = 8
    elif not _positive(_of(asked.size, row)):
        fault = 9
    elif _of(asked.expiry, row) < 1:
        fault = 10
    elif _of(asked.hold, row) < 0:
        fault = 11
    elif _of(asked.oco, row) < 0:
        fault = 12
    elif both and not _positive(limit):
        fault = 13
    elif not no_trail and not _positive(trail):
        fault = 14
    elif reduces and not no_stop:
        fault = 15
    elif reduces and not no_target:
        fault = 16
    elif reduces and not no_trail:
        fault = 17
    elif reduces and _of(asked.hold, row) != 0:
        fault = 18
    elif reduces and both:
        fault = 19
    elif _of(asked.group, row) != _of(asked.group, head):
        fault = 20
    elif _of(asked.reduce_only, row) != _of(asked.reduce_only, head):
        fault = 21
    return fault


@lean_kernel
def first_fault(asked: Asked, closes: FloatArray) -> tuple[int, int]:
    """Find what is wrong with a plan: the first of the faults that any row has, and the first row that has it.

    Rows that ask for nothing have no faults.

    Parameters
    ----------
    closes
        Shape (events,): of the bars of the events.

    Returns
    -------
    fault, row : int
        Place in ``trading.orders.FAULTS`` and row; -1 each where all is well.
    """
    fault, at = NO_FAULT, -1
    for row in range(len(asked.side)):
        if asked.side[row] != 0:
            found = _fault(asked, row, closes[row // asked.legs])
            if found < fault:
                fault, at = found, row
    return (fault, at) if at >= 0 else (-1, -1)


@lean_kernel
def write_orders(
    asked: Asked,
    ratchet: FloatArray,
    slot: IntArray,
    events: IntArray,
    signals: Records,
    floor: int,
    heard: int,
    orders: Records,
    first: int,
) -> bool:
    """Write down the rows that ask for something; return False, with nothing written, for events that do not fit.

    Parameters
    ----------
    ratchet, slot
        As in ``ORDER_ROW``; columns as those of ``asked``.
    events
        Shape (events,): which of the signals each answers; ascending from ``floor`` on, before ``heard``.
    signals
        SIGNAL_ROW.
    orders, first
        ORDER_ROW, zeros from row ``first`` on, with room.
    """
    last = floor
    for row in range(len(asked.side)):
        if asked.side[row] != 0:
            event = events[row // asked.legs]
            if event < last or event >= heard:
                return False
            last = event
    number, head, answered = first, first, -1
    for row in range(len(asked.side)):
        if asked.side[row] == 0:
            continue
        if row // asked.legs != answered:
            answered, head = row // asked.legs, number
        order = orders[number]
        order.event = events[answered]
        order.bar = signals[events[answered]].bar
        order.ask = head
        order.side = asked.side[row]
        order.kind = _of(asked.kind, row)
        order.price = _of(asked.price, row)
        order.limit = _of(asked.limit, row)
        order.stop = _of(asked.stop, row)
        order.target = _of(asked.target, row)
        order.trail = _of(asked.trail, row)
        order.ratchet = _of(ratchet, row)
        order.amount = _of(asked.size, row)
        order.size_rule = _of(asked.size_rule, row)
        order.expiry = _of(asked.expiry, row)
        order.hold = _of(asked.hold, row)
        order.group = _of(asked.group, row)
        order.slot = _of(slot, row)
        order.oco = _of(asked.oco, row)
        order.reduce_only = _of(asked.reduce_only, row)
        order.cancel_on = _of(asked.cancel_on, row)
        order.exit_on = _of(asked.exit_on, row)
        number += 1
    return True
