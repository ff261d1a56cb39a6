"""Expressions over the columns of events, such as ``"mass_before > 0.01 and isfinite(alignment)"``.

Python's grammar reads them, and nothing of Python runs them: numbers, names of columns, ``+ - * / **``, comparisons,
``and``, ``or``, ``not``, ``a if condition else b`` and the functions of :data:`FUNCTIONS` are all there is, applied
elementwise. A column of an event is known at its bar's close, so whatever an expression says is known then.
"""

from __future__ import annotations

import ast
import difflib
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from forcedflow.data.times import DAY, HOUR
from forcedflow.errors import SettingsError
from forcedflow.tables import EVENT_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable

    from forcedflow.tables import Events

__all__ = ["FUNCTIONS", "NAMES", "Expression"]

Array = npt.NDArray[Any]

FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "abs": np.abs,
    "exp": np.exp,
    "isfinite": np.isfinite,
    "log": np.log,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "sqrt": np.sqrt,
}
_ARITY: Final = {"maximum": 2, "minimum": 2}
_CALENDAR: Final = ("hour", "weekday")  # of the close, UTC; Monday is 0
NAMES: Final = tuple(sorted({*EVENT_COLUMNS, *_CALENDAR} - {"ts", "kind"}))
"""What an expression may name: columns of events, and the hour and weekday of their bar's close."""

_COMPARE: Final[dict[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}
_ARITHMETIC: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.float_power,
}
_JOIN: Final[dict[type[ast.boolop], Callable[[Any, Any], Any]]] = {ast.And: np.logical_and, ast.Or: np.logical_or}
_LONGEST: Final = 1000  # characters: nobody writes more, and below it the parser is safe


@dataclass(frozen=True, slots=True)
class Expression:
    """One expression, read and checked."""

    text: str
    _tree: ast.expr
    is_condition: bool
    """Whether it is true or false, not a number."""

    @classmethod
    def of(cls, text: str, what: str = "expression") -> Expression:
        """Read an expression.

        Parameters
        ----------
        what
            Names it in messages.

        Raises
        ------
        SettingsError
            Where it does not parse, names an unknown column, mixes truths with numbers, or asks for anything else
            that Python can do.
        """
        if len(text) > _LONGEST:
            raise SettingsError(f"{what}: {len(text)} characters, at most {_LONGEST} are read")
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise SettingsError(f"{what} {text!r} is no expression: {error}") from None
        return cls(text, tree, _check(tree, f"{what} {text!r}"))

    def __call__(self, events: Events) -> Array:
        """Return its value at each event: bool or float64, shape (events,). What is undefined is NaN, or false."""
        with np.errstate(all="ignore"):
            value = np.broadcast_to(_value(self._tree, events), (len(events),))
        return value.astype(np.bool_ if self.is_condition else np.float64)


def _check(node: ast.expr, where: str) -> bool:  # noqa: PLR0911  (one return a kind of node)
    """Check a node and all below it; return whether it is a condition."""

    def need(part: ast.expr, condition: bool) -> None:
        if _check(part, where) != condition:
            raise SettingsError(f"{where}: {ast.unparse(part)!r} must be a {'condition' if condition else 'number'}")

    match node:
        case ast.Constant(value=bool()):
            return True
        case ast.Constant(value=int() | float()):
            return False
        case ast.Name(id=name) if name in NAMES:
            return False
        case ast.Name(id=name):
            near = difflib.get_close_matches(name, NAMES, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(NAMES)}"
            raise SettingsError(f"{where}: there is no column {name!r}; {hint}")
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            need(left, False)
            need(right, False)
            return False
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=part):
            need(part, False)
            return False
        case ast.UnaryOp(op=ast.Not(), operand=part):
            need(part, True)
            return True
        case ast.BoolOp(values=parts):
            for part in parts:
                need(part, True)
            return True
        case ast.Compare(left=left, ops=ops, comparators=rest) if all(type(op) in _COMPARE for op in ops):
            for part in (left, *rest):
                need(part, False)
            return True
        case ast.IfExp(test=test, body=body, orelse=other):
            need(test, True)
            need(body, False)
            need(other, False)
            return False
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
            if len(args) != _ARITY.get(name, 1):
                raise SettingsError(f"{where}: {name} takes {_ARITY.get(name, 1)} value(s), was given {len(args)}")
            for part in args:
                need(part, False)
            return name == "isfinite"
    raise SettingsError(
        f"{where}: {ast.unparse(node)!r} is not allowed; use numbers, columns, + - * / **, comparisons, and, or, not, "
        f"if else, {', '.join(FUNCTIONS)}"
    )


def _value(node: ast.expr, events: Events) -> Any:  # noqa: PLR0911
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return _column(name, events)
        case ast.BinOp(left=left, op=op, right=right):
            return _ARITHMETIC[type(op)](_value(left, events), _value(right, events))
        case ast.UnaryOp(op=op, operand=part):
            value = _value(part, events)
            return np.logical_not(value) if isinstance(op, ast.Not) else np.multiply(value, -1 if _minus(op) else 1)
        case ast.BoolOp(op=op, values=parts):
            return reduce(_JOIN[type(op)], (_value(part, events) for part in parts))
        case ast.Compare(left=left, ops=ops, comparators=rest):
            sides = [_value(part, events) for part in (left, *rest)]
            pairs = (_COMPARE[type(op)](sides[k], sides[k + 1]) for k, op in enumerate(ops))
            return reduce(np.logical_and, pairs)
        case ast.IfExp(test=test, body=body, orelse=other):
            return np.where(*(_value(part, events) for part in (test, body, other)))
        case ast.Call(func=ast.Name(id=name), args=args):
            return FUNCTIONS[name](*(_value(part, events) for part in args))
    raise AssertionError(ast.dump(node))  # _check lets nothing else through


def _minus(op: ast.unaryop) -> bool:
    return isinstance(op, ast.USub)


def _column(name: str, events: Events) -> Array:
    if name == "hour":
        return events.ts % DAY // HOUR
    if name == "weekday":
        return (events.ts // DAY + 3) % 7  # 1970 began on a Thursday
    column: Array = getattr(events, name)
    return column
