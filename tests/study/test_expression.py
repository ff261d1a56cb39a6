"""Expressions: what they may say, and that they say what Python would."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forcedflow.errors import SettingsError
from forcedflow.study.evidence.expression import NAMES, Expression
from forcedflow.tables import EVENT_COLUMNS, EVENT_INTS, Events


def events(**columns: list[float]) -> Events:
    """Events of two rows, NaN where nothing is given."""
    rows = len(next(iter(columns.values())))
    empty = {name: [0] * rows if name in EVENT_INTS else [math.nan] * rows for name in EVENT_COLUMNS}
    return Events(**{name: np.array(values) for name, values in (empty | columns).items()})


def test_columns_arithmetic_and_logic() -> None:
    some = events(fuel=[1.0, 4.0], mass_before=[0.02, 0.03], side=[1, -1])
    assert Expression.of("fuel * 2 ** 2 - 1")(some).tolist() == [3.0, 15.0]
    assert Expression.of("-fuel / side")(some).tolist() == [-1.0, 4.0]
    assert Expression.of("1 < fuel <= 4 and not isfinite(alignment)")(some).tolist() == [False, True]
    assert Expression.of("maximum(fuel, 2) + sqrt(abs(-4))")(some).tolist() == [4.0, 6.0]
    assert Expression.of("fuel > 2 or mass_before < 0.025")(some).tolist() == [True, True]
    assert Expression.of("(fuel if side > 0 else alignment) + 1")(some)[0] == 2.0
    assert Expression.of("alignment if side > 0 else fuel")(some)[1] == 4.0  # what is not chosen may be unknown


def test_a_constant_holds_for_every_event() -> None:
    assert Expression.of("1.5")(events(fuel=[1.0, 2.0])).tolist() == [1.5, 1.5]


def test_what_is_undefined_is_false_and_warns_of_nothing() -> None:
    some = events(fuel=[0.0, -1.0])
    assert Expression.of("alignment > 0")(some).tolist() == [False, False]
    assert not np.isfinite(Expression.of("log(fuel) / fuel")(some)).any()


def test_hour_and_weekday_are_those_of_the_close() -> None:
    monday = 1_736_121_600_000_000_000  # 2025-01-06 00:00 UTC
    some = events(ts=[monday, monday + 25 * 3_600_000_000_000])
    assert Expression.of("weekday * 100 + hour")(some).tolist() == [0.0, 101.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("__import__('os')", "is not allowed"),
        ("fuel.real > 1", "is not allowed"),
        ("fuel[0] > 1", "is not allowed"),
        ("(lambda: 1)()", "is not allowed"),
        ("'x' == 'x'", "is not allowed"),
        ("fuel if age else 2", "must be a condition"),
        ("fuel if fuel > 1 else age > 2", "must be a number"),
        ("fuel in (1, 2)", "is not allowed"),
        ("eval(fuel)", "is not allowed"),
        ("fuell > 1", "did you mean fuel"),
        ("ts > 1", "there is no column"),
        ("fuel >", "is no expression"),
        ("fuel > 1 + (age > 2)", "must be a number"),
        ("fuel and age > 2", "must be a condition"),
        ("sqrt(fuel, age)", "takes 1 value"),
        ("maximum(fuel)", "takes 2 value"),
        ("9" * 1001, "characters"),
        ("(" * 400 + "1" + ")" * 400, "is no expression"),
    ],
)
def test_nothing_else_is_read(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Expression.of(text, "condition")


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_in_the_family(text: str) -> None:
    try:
        Expression.of(text)
    except SettingsError:
        return


def test_no_name_reveals_the_future() -> None:
    """Every name is a column of an event, known at its close, or of its clock."""
    assert set(NAMES) - {"hour", "weekday"} < set(EVENT_COLUMNS)
