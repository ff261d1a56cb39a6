"""Constraints between parameters, such as ``"market.zone_off < market.zone_on and hold >= 4 * expiry"``.

Python's grammar reads them, and nothing of Python runs them: comparisons, ``and``, ``or``, ``not``, ``+ - * /`` on
numbers, literals and names of settings are all there is.
"""

from __future__ import annotations

import ast
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from forcedflow.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Constraint"]

_COMPARE: Final[dict[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda item, of: item in of,
    ast.NotIn: lambda item, of: item not in of,
}
_ARITHMETIC: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_LONGEST: Final = 1000  # characters: no constraint that a person wrote is longer, and the parser is safe below


@dataclass(frozen=True, slots=True)
class Constraint:
    """A condition on the settings of one point."""

    text: str
    tree: ast.expr
    names: frozenset[str]
    """The settings that it looks at, as they are written: ``k``, ``market.bin_bps``."""

    @classmethod
    def of(cls, text: str) -> Constraint:
        """Read a constraint.

        Raises
        ------
        SettingsError
            Where it is no expression, or asks for more than comparisons of settings.
        """
        try:
            tree = ast.parse(text[: _LONGEST + 1].strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise SettingsError(f"constraint {text!r:.200} is no expression, such as 'a < b and c in (1, 2)'") from None
        if len(text) > _LONGEST:
            raise SettingsError(f"constraint {text!r:.60} is longer than {_LONGEST} characters")
        names: set[str] = set()
        _check(tree, text, names)
        return cls(text, tree, frozenset(names))

    def holds(self, values: Mapping[str, object]) -> bool:
        """Tell whether the values satisfy it.

        Raises
        ------
        SettingsError
            Where values cannot be compared, or the expression is no condition.
        """
        try:
            found = _value(self.tree, values)
        except (TypeError, ZeroDivisionError, OverflowError) as error:
            shown = ", ".join(f"{name} = {values[name]!r}" for name in sorted(self.names))
            raise SettingsError(f"constraint {self.text!r} with {shown}: {error}") from None
        if not isinstance(found, bool):
            raise SettingsError(f"constraint {self.text!r} is no condition: it gives {found!r}")
        return found


def _check(node: ast.expr, text: str, names: set[str]) -> None:
    match node:
        case ast.BoolOp(values=parts) | ast.Tuple(elts=parts) | ast.List(elts=parts):
            children = parts
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.UAdd(), operand=inner):
            children = [inner]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            children = [left, right]
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARE for op in ops):
            children = [left, *others]
        case ast.Constant(value=bool() | int() | float() | str() | None):
            return
        case ast.Name(id=name):
            names.add(name)
            return
        case ast.Attribute(value=ast.Name(id=where), attr=name):
            names.add(f"{where}.{name}")
            return
        case _:
            raise SettingsError(
                f"constraint {text!r}: {ast.unparse(node)!r:.80} is not allowed; there are comparisons, and, or, not, "
                "in, + - * /, literals and names of settings"
            )
    for child in children:
        _check(child, text, names)


def _value(node: ast.expr, values: Mapping[str, object]) -> Any:  # noqa: PLR0911  (one case, one return)
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return values[name]
        case ast.Attribute(value=ast.Name(id=where), attr=name):
            return values[f"{where}.{name}"]
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return tuple(_value(part, values) for part in parts)
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_condition(part, values) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_condition(part, values) for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            return not _condition(inner, values)
        case ast.UnaryOp(op=op, operand=inner):
            number = _number(_value(inner, values))
            return -number if isinstance(op, ast.USub) else number
        case ast.BinOp(left=left, op=op, right=right):
            return _ARITHMETIC[type(op)](_number(_value(left, values)), _number(_value(right, values)))
        case ast.Compare(left=left, ops=ops, comparators=others):
            sides = [_value(side, values) for side in (left, *others)]
            return all(_COMPARE[type(op)](a, b) for op, a, b in zip(ops, sides, sides[1:], strict=False))
    raise AssertionError(ast.dump(node))  # _check lets nothing else through


def _condition(node: ast.expr, values: Mapping[str, object]) -> bool:
    value = _value(node, values)
    if not isinstance(value, bool):
        raise TypeError(f"{ast.unparse(node)!r} is no condition: it gives {value!r}")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return value
