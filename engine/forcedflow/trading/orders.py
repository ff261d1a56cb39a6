"""Orders: what a strategy asks for, and the policies it declares."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from forcedflow.data.times import time_text
from forcedflow.errors import StrategyError
from forcedflow.settings import Settings
from forcedflow.tables import EventKind, Events

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Asked", "Plan", "Policy", "at_event"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

ENTRIES: Final = ("market", "limit", "stop")
SIZE_RULES: Final = ("units", "notional", "equity", "risk")


class Policy(Settings):
    """What the account does with a new order while others work or positions are open."""

    conflict: Literal["ignore", "replace", "reverse", "add"] = Field(
        default="ignore",
        description="a new order while one works or a position is open: ignore it; let it replace them; "
        "let it replace them only if it is for the other side; add it",
    )
    max_open: int = Field(default=1, ge=1, description="with conflict = add: working orders and positions at most")
    cooldown: int = Field(default=0, ge=0, description="bars after a position closed in which no new order can fill")
    once_per_group: bool = Field(
        default=False, description="trade each zone once; an order that never filled does not count"
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """Orders for a block of events: one row an event, in the events' order.

    Every field is a scalar or an array with one value an event. Make them with elementwise numpy, so that a row depends
    on its own event alone.
    """

    side: npt.ArrayLike
    """+1 buys, -1 sells, 0 asks for nothing (the other fields of such a row are not looked at)."""
    _: KW_ONLY
    size: npt.ArrayLike
    """What it means is said by ``size_rule``."""
    size_rule: npt.ArrayLike = "risk"
    """``risk``: share of equity lost if the stop fills at its price; ``equity``: notional as a share of equity;
    ``notional``: quote currency; ``units``: base units."""
    entry: npt.ArrayLike = "market"
    """``market``, ``limit`` or ``stop``."""
    price: npt.ArrayLike = np.nan
    """Of a limit or stop entry; NaN for a market order."""
    stop: npt.ArrayLike = np.nan
    """Exit against the position; NaN for none."""
    target: npt.ArrayLike = np.nan
    """Exit in favour of the position, a resting limit; NaN for none."""
    expiry: npt.ArrayLike = 1
    """Bars for which the entry stays good, at least 1."""
    hold: npt.ArrayLike = 0
    """Bars a position lasts at most: entered in bar e, it leaves at the open of bar e + hold. 0: no limit."""
    group: npt.ArrayLike = 0
    """Zone or channel the order belongs to; 0 for none."""
    cancel_on: Collection[EventKind] | IntArray = ()
    """Kinds of a later event of the same group that cancel the working entry; or a bit mask (bit k: kind k). ForcedFlow
    belongs to no zone: it has group 0 and reaches orders of group 0 only."""
    exit_on: Collection[EventKind] | IntArray = ()
    """Kinds of a later event of the same group after which the position leaves at the next open."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A plan whose fields are checked columns, shape (rows,), one row an event."""

    side: IntArray
    kind: IntArray
    """0 market, 1 limit, 2 stop: places in the account kernel's ``KINDS``."""
    price: FloatArray
    stop: FloatArray
    target: FloatArray
    size: FloatArray
    size_rule: IntArray
    """Places in ``SIZE_RULES``."""
    expiry: IntArray
    hold: IntArray
    group: IntArray
    cancel_on: IntArray
    exit_on: IntArray

    @classmethod
    def of(cls, plan: Plan, events: Events, name: str) -> Asked:
        """Check ``plan`` against the events it answers.

        Raises
        ------
        StrategyError
            Naming the strategy ``name``, the field and, where one is to blame, the event.
        """
        columns: dict[str, Any] = {
            "side": _numbers(plan.side, "side", np.int64, events, name),
            "kind": _codes(plan.entry, "entry", ENTRIES, events, name),
            "size_rule": _codes(plan.size_rule, "size_rule", SIZE_RULES, events, name),
        }
        for field in ("price", "stop", "target", "size"):
            columns[field] = _numbers(getattr(plan, field), field, np.float64, events, name)
        for field in ("expiry", "hold", "group"):
            columns[field] = _numbers(getattr(plan, field), field, np.int64, events, name)
        for field in ("cancel_on", "exit_on"):
            columns[field] = _numbers(_mask(getattr(plan, field), field, name), field, np.int64, events, name)
        asked = cls(**columns)
        _check(asked, events, name)
        return asked


def at_event(events: Events, row: int) -> str:
    """Name an event in a message: its kind, bar and time."""
    return f"{EventKind(events.kind[row]).title} in bar {events.bar[row]} ({time_text(int(events.ts[row]))})"


def _fit(values: npt.NDArray[np.generic], field: str, events: Events, name: str) -> npt.NDArray[np.generic]:
    if values.shape not in {(), (1,), (len(events),)}:
        raise StrategyError(
            f"strategy {name}: plan column {field!r} has shape {values.shape}; give a scalar or one value for each of "
            f"the {len(events)} events"
        )
    return np.broadcast_to(values, len(events))


def _numbers(
    values: npt.ArrayLike, field: str, dtype: type[np.generic], events: Events, name: str
) -> npt.NDArray[np.generic]:
    array = np.asarray(values)
    if array.dtype.kind not in "biuf" or (dtype is np.int64 and not np.array_equal(array, np.trunc(array))):
        what = "whole numbers" if dtype is np.int64 else "numbers"
        raise StrategyError(f"strategy {name}: plan column {field!r} must hold {what}, was {values!r:.80}")
    return _fit(array.astype(dtype), field, events, name)


def _codes(
    values: npt.ArrayLike, field: str, names: tuple[str, ...], events: Events, name: str
) -> npt.NDArray[np.generic]:
    array = np.asarray(values)
    codes = np.full(array.shape, -1, np.int64)
    for code, text in enumerate(names):
        codes[array == text] = code
    if np.any(codes < 0):
        unknown = str(array[codes < 0].flat[0])
        raise StrategyError(
            f"strategy {name}: plan column {field!r} must be one of {', '.join(names)}, was {unknown!r}"
        )
    return _fit(codes, field, events, name)


def _mask(kinds: Collection[EventKind] | IntArray, field: str, name: str) -> npt.ArrayLike:
    """Return the bit mask of event kinds; an array is one already."""
    if isinstance(kinds, np.ndarray):
        return kinds
    try:
        return sum(1 << EventKind(kind) for kind in set(kinds))
    except (TypeError, ValueError) as error:
        raise StrategyError(f"strategy {name}: plan column {field!r} must hold kinds of event: {error}") from None


def _check(asked: Asked, events: Events, name: str) -> None:
    market = asked.kind == ENTRIES.index("market")
    reference = np.where(market, events.close, asked.price)
    risky = asked.size_rule == SIZE_RULES.index("risk")
    no_stop, no_target = np.isnan(asked.stop), np.isnan(asked.target)
    findings: tuple[tuple[str, str, BoolArray], ...] = (
        ("side", "must be +1, -1 or 0", np.abs(asked.side) <= 1),
        ("price", "must be NaN for a market order", ~market | np.isnan(asked.price)),
        ("price", "must be a positive number", market | _positive(asked.price)),
        ("stop", "must be a positive number, or NaN for none", no_stop | _positive(asked.stop)),
        ("target", "must be a positive number, or NaN for none", no_target | _positive(asked.target)),
        ("stop", "is needed to size by risk", ~(risky & no_stop)),
        ("stop", "must lie on the losing side of the entry", no_stop | (asked.side * (reference - asked.stop) > 0)),
        (
            "target",
            "must lie on the winning side of the entry",
            no_target | (asked.side * (asked.target - reference) > 0),
        ),
        ("size", "must be a positive number", _positive(asked.size)),
        ("expiry", "must be at least 1", asked.expiry >= 1),
        ("hold", "must not be negative", asked.hold >= 0),
    )
    for field, problem, fine in findings:
        bad = np.flatnonzero((asked.side != 0) & ~fine)
        if len(bad):
            row = int(bad[0])
            entry = f"{'buy' if asked.side[row] > 0 else 'sell'} {ENTRIES[asked.kind[row]]} at {reference[row]:.10g}"
            value = getattr(asked, field)[row]
            raise StrategyError(
                f"strategy {name}, {at_event(events, row)}, plan row {row}: {field} {problem}, "
                f"was {value:.10g} ({entry})"
            )


def _positive(values: FloatArray) -> BoolArray:
    return np.isfinite(values) & (values > 0)
