"""Orders: what a strategy asks for, and the policies it declares."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from forcedflow.data.times import time_text
from forcedflow.errors import StrategyError
from forcedflow.kernels.plans import Asked, first_fault
from forcedflow.kernels.tiers import Tiered
from forcedflow.settings import Settings
from forcedflow.tables import EventKind, Events

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["FAULTS", "Asked", "Plan", "Policy", "at_event", "checked", "one_order", "whole"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_first_fault: Final = Tiered(first_fault)

ENTRIES: Final = ("market", "limit", "stop", "stop_limit")
SIZE_RULES: Final = ("units", "notional", "equity", "risk")


class Policy(Settings):
    """What the account does with a new order while others work or positions are open."""

    conflict: Literal["ignore", "replace", "reverse", "add"] = Field(
        default="ignore",
        description="a new order while one works or a position is open: ignore it; let it replace them; "
        "let it replace them only if it is for the other side; add it",
    )
    max_open: int = Field(
        default=1, ge=1, description="with conflict = add: working orders and positions at most; a ladder counts once"
    )
    cooldown: int = Field(default=0, ge=0, description="bars after a position closed in which no new order can fill")
    once_per_group: bool = Field(
        default=False, description="trade each zone once; an order that never filled does not count"
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """Orders for a block of events: one row an event, in the events' order.

    Every field is a scalar, an array with one value an event, or of shape (events, legs): a ladder, whose legs are one
    ask to ``conflict``, ``max_open``, ``cooldown`` and ``once_per_group``. Make them with elementwise numpy, so that a
    row depends on its own event alone.
    """

    side: npt.ArrayLike
    """+1 buys, -1 sells, 0 asks for nothing (the other fields of such a row are not looked at)."""
    _: KW_ONLY
    size: npt.ArrayLike
    """What it means is said by ``size_rule``."""
    size_rule: npt.ArrayLike = "risk"
    """``risk``: share of equity lost if the stop fills at its price; ``equity``: notional as a share of equity;
    ``notional``: money, in the currency of the margin; ``units``: base units, or contracts of an inverse contract."""
    entry: npt.ArrayLike = "market"
    """``market``, ``limit``, ``stop``, or ``stop_limit``: a limit order at ``limit`` once ``price`` is touched."""
    price: npt.ArrayLike = np.nan
    """Of a limit or stop entry; NaN for a market order."""
    limit: npt.ArrayLike = np.nan
    """Worst price at which a ``stop_limit`` fills, from which its size is reckoned; else NaN."""
    stop: npt.ArrayLike = np.nan
    """Exit against the position; NaN for none."""
    target: npt.ArrayLike = np.nan
    """Exit in favour of the position, a resting limit; NaN for none."""
    trail: npt.ArrayLike = np.nan
    """Trailing stop: its log distance from the best price since entry, as known before the bar; NaN for none. Where
    there is a ``stop`` too, the nearer counts."""
    expiry: npt.ArrayLike = 1
    """Bars for which the entry stays good, at least 1."""
    hold: npt.ArrayLike = 0
    """Bars a position lasts at most: entered in bar e, it leaves at the open of bar e + hold. 0: no limit."""
    group: npt.ArrayLike = 0
    """Zone or channel the order belongs to; 0 for none. One for all legs."""
    oco: npt.ArrayLike = 0
    """Number that orders share of which only one may fill: then the others are cancelled. 0: none."""
    reduce_only: npt.ArrayLike = False
    """Only reduces open positions of the other side, first in first out, and brings no stop or target along; no policy
    stands in its way."""
    cancel_on: Collection[EventKind] | IntArray = ()
    """Kinds of a later event of the same group that cancel the working entry; or a bit mask (bit k: kind k). ForcedFlow
    belongs to no zone: it has group 0 and reaches orders of group 0 only."""
    exit_on: Collection[EventKind] | IntArray = ()
    """Kinds of a later event of the same group after which the position leaves at the next open."""


_DEFAULTS: Final[dict[str, Any]] = {
    field.name: field.default for field in fields(Plan) if field.name not in {"side", "size"} and field.init
}
_NONE: Final = object()
_NAMES: Final = {"entry": ENTRIES, "size_rule": SIZE_RULES}
_REALS: Final = frozenset({"price", "limit", "stop", "target", "trail", "size"})
_COLUMNS: Final = {column: "entry" if column == "kind" else column for column in Asked._fields if column != "legs"}
"""The field of a plan that each column of :class:`Asked` holds."""
_LEVELS: Final = ("price", "limit", "stop", "target", "trail")
_COUNTS: Final = ("expiry", "hold", "group", "oco")
_FLOATING: Final = frozenset({int, float, np.float64, np.int64})
_WHOLE: Final = frozenset({int, np.int64})
_KINDS: Final = frozenset({EventKind})
_STOP_LIMIT: Final = ENTRIES.index("stop_limit")


FAULTS: Final = (
    ("side", "must be +1, -1 or 0"),
    ("price", "must be NaN for a market order"),
    ("price", "must be a positive number"),
    ("limit", "must be NaN for any order but a stop_limit"),
    ("stop", "must be a positive number, or NaN for none"),
    ("target", "must be a positive number, or NaN for none"),
    ("stop", "or trail is needed to size by risk"),
    ("stop", "must lie on the losing side of the entry"),
    ("target", "must lie on the winning side of the entry"),
    ("size", "must be a positive number"),
    ("expiry", "must be at least 1"),
    ("hold", "must not be negative"),
    ("oco", "must not be negative"),
    ("limit", "must be a positive number for a stop_limit"),
    ("trail", "must be a positive log distance, or NaN for none"),
    ("stop", "must be NaN for a reduce-only order"),
    ("target", "must be NaN for a reduce-only order"),
    ("trail", "must be NaN for a reduce-only order"),
    ("hold", "must be 0 for a reduce-only order"),
    ("reduce_only", "must be a market, limit or stop order"),
    ("group", "must be the same for all legs"),
    ("reduce_only", "must be the same for all legs"),
)
"""Field and what is asked of it, by the numbers of :func:`forcedflow.kernels.plans.first_fault`."""


def checked(plan: Plan, events: Events, name: str) -> Asked:
    """Return a plan's columns, checked against the events it answers.

    Raises
    ------
    StrategyError
        Naming the strategy ``name``, the field and, where one is to blame, the event.
    """
    columns = {column: _column(getattr(plan, field), field, name) for column, field in _COLUMNS.items()}
    asked = _fitted(columns, len(events), name)
    fault, row = _first_fault.call(len(asked.side), asked, np.array(events.close))
    if fault >= 0:
        field, problem = FAULTS[fault]
        at, leg = divmod(row, asked.legs)
        one: Any = whole(asked, slice(row, row + 1))
        kind = one.kind.item()
        met = events.close[at] if kind == 0 else (one.limit if kind == _STOP_LIMIT else one.price).item()
        entry = f"{'buy' if one.side > 0 else 'sell'} {ENTRIES[kind]} at {met:.10g}"
        which = f", leg {leg}" if asked.legs > 1 else ""
        raise StrategyError(
            f"strategy {name}, {at_event(events, at)}, plan row {at}{which}: {field} {problem}, "
            f"was {getattr(one, field).item():.10g} ({entry})"
        )
    return asked


def whole(asked: Asked, rows: IntArray | slice = slice(None)) -> Asked:
    """Return some rows, each column with a value of its own for each of them, as if they had no legs."""
    count = len(asked.side)
    columns: Any = (np.array(np.broadcast_to(column, count)[rows]) for column in asked[:-1])
    return Asked._make((*columns, 1))


def _column(values: Any, field: str, name: str) -> npt.NDArray[Any]:
    """Return a column of a plan in the type of the account's kernel."""
    return _default(field) if values is _DEFAULTS.get(field, _NONE) else _typed(values, field, name)


@cache
def _default(field: str) -> npt.NDArray[Any]:
    return _typed(_DEFAULTS[field], field, "")


def _typed(values: Any, field: str, name: str) -> npt.NDArray[Any]:
    if field in _NAMES:
        return _codes(values, field, _NAMES[field], name)
    if field in {"cancel_on", "exit_on"}:
        values = _mask(values, field, name)
    return _numbers(values, field, np.float64 if field in _REALS else np.int64, name)


def one_order(side: Any, size: Any, given: dict[str, Any], close: float) -> tuple[float, ...] | None:
    """Return a single order's fields as the account's kernel takes them, ``side`` to ``exit_on``, if it is fine.

    A short way for handlers: :func:`checked` takes as long for one order as for a thousand. What is not fine, or a
    ladder, or reduce-only, or of other types than Python's own and numpy's doubles, is left to it, by None; so it alone
    says what is wrong.

    Parameters
    ----------
    given
        Fields of a :class:`Plan` beside side and size.
    close
        Of the event's bar.
    """
    order = _DEFAULTS | given
    if len(order) > len(_DEFAULTS) or order["reduce_only"] is not False:
        return None
    numbers = (side, size, *(order[name] for name in _LEVELS))
    counts = tuple(order[name] for name in _COUNTS)
    names = (order["entry"], order["size_rule"])
    if not (_FLOATING.issuperset(map(type, numbers)) and _WHOLE.issuperset(map(type, counts))):
        return None
    if not (type(names[0]) is type(names[1]) is str and names[0] in ENTRIES and names[1] in SIZE_RULES):
        return None
    if not (_KINDS.issuperset(map(type, order["cancel_on"])) and _KINDS.issuperset(map(type, order["exit_on"]))):
        return None
    way, amount, price, limit, stop, target, trail = map(float, numbers)
    expiry, hold, group, oco = map(int, counts)
    kind, rule = ENTRIES.index(names[0]), SIZE_RULES.index(names[1])
    met = close if kind == 0 else price
    reference = limit if kind == _STOP_LIMIT else met
    levels = ((kind != 0, price), (kind == _STOP_LIMIT, limit))
    away = ((stop, way), (target, -way))
    fine = (
        way in {1.0, -1.0}
        and 0.0 < amount < np.inf
        and all(0.0 < level < np.inf if needed else math.isnan(level) for needed, level in levels)
        and all(
            math.isnan(level) or (0.0 < level < np.inf and sign * (reference - level) > 0 and sign * (met - level) > 0)
            for level, sign in away
        )
        and (math.isnan(trail) or 0.0 < trail < np.inf)
        and not (names[1] == "risk" and math.isnan(stop) and math.isnan(trail))
        and expiry >= 1
        and hold >= 0
        and oco >= 0
    )
    if not fine:
        return None
    ratchet = np.nan if math.isnan(trail) else float(np.exp(-way * trail))
    masks = [sum(1 << kind for kind in set(order[name])) for name in ("cancel_on", "exit_on")]
    priced = (price, limit, stop, target, trail, ratchet, amount)
    return (int(way), kind, *priced, rule, expiry, hold, group, 0, oco, 0, *masks)


def at_event(events: Events, row: int) -> str:
    """Name an event in a message: its kind, bar and time."""
    return f"{EventKind(events.kind[row]).title} in bar {events.bar[row]} ({time_text(int(events.ts[row]))})"


def _fitted(columns: dict[str, npt.NDArray[Any]], events: int, name: str) -> Asked:
    """Bring all columns to one shape, but leave a value that stands for all rows alone."""
    ladders = {column.shape[1] for column in columns.values() if column.ndim == 2}
    legs = max(ladders, default=1)
    known = {(), (1,), (events,)} | ({(events, legs), (1, legs)} if ladders else set())
    flat: dict[str, npt.NDArray[Any]] = {}
    for field, column in columns.items():
        if column.shape not in known or (column.ndim == 2 and len(ladders) > 1):
            raise StrategyError(
                f"strategy {name}: plan column {_COLUMNS[field]!r} has shape {column.shape}; give a scalar, one value "
                f"for each of the {events} events, or a ladder of shape ({events}, legs) with one number of legs "
                "throughout"
            )
        if column.size == 1:
            flat[field] = column.reshape(1)
        elif ladders:
            tall = column if column.ndim == 2 else column[:, None]
            flat[field] = np.broadcast_to(tall, (events, legs)).reshape(-1)
        else:
            flat[field] = column
    if len(flat["side"]) != events * legs:
        flat["side"] = np.full(events * legs, flat["side"][0])
    return Asked(**flat, legs=legs)


def _numbers(values: npt.ArrayLike, field: str, dtype: type[np.generic], name: str) -> npt.NDArray[np.generic]:
    array = np.asarray(values)
    if array.dtype.kind not in "biuf" or (
        dtype is np.int64 and array.dtype.kind == "f" and not np.array_equal(array, np.trunc(array))
    ):
        what = "whole numbers" if dtype is np.int64 else "numbers"
        raise StrategyError(f"strategy {name}: plan column {field!r} must hold {what}, was {values!r:.80}")
    return array.astype(dtype)


def _codes(values: npt.ArrayLike, field: str, names: tuple[str, ...], name: str) -> npt.NDArray[np.generic]:
    array = np.asarray(values)
    codes = np.full(array.shape, -1, np.int64)
    for code, text in enumerate(names):
        codes[array == text] = code
    if np.any(codes < 0):
        unknown = str(array[codes < 0].flat[0])
        raise StrategyError(
            f"strategy {name}: plan column {field!r} must be one of {', '.join(names)}, was {unknown!r}"
        )
    return codes


def _mask(kinds: Collection[EventKind] | IntArray, field: str, name: str) -> npt.ArrayLike:
    """Return the bit mask of event kinds; an array is one already."""
    if isinstance(kinds, np.ndarray):
        return kinds
    try:
        return sum(1 << EventKind(kind) for kind in set(kinds))
    except (TypeError, ValueError) as error:
        raise StrategyError(f"strategy {name}: plan column {field!r} must hold kinds of event: {error}") from None
