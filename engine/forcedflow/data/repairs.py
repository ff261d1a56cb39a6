"""Named mends of a table of bars. Each says in one line what it changed; none runs unless it is asked for by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from forcedflow.data.checks import OPTIONAL, PRICES, BoolArray, Columns, IntArray
from forcedflow.data.times import time_text
from forcedflow.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["REPAIRS", "mend"]

REPAIRS: Final = ("drop_bad_rows", "sort", "drop_duplicates", "clip_wicks", "drop_unfinished")
"""Names of the mends, in the order in which they are applied."""


def mend(table: Columns, repair: Sequence[str], file: object) -> tuple[str, ...]:
    """Apply the named mends to ``table`` in place and return what was done."""
    unknown = sorted(set(repair) - set(REPAIRS))
    if unknown:
        raise DataError(f"unknown repair {', '.join(unknown)}; there are {', '.join(REPAIRS)}", file=file)
    log = [_MENDS[name](table, file) for name in REPAIRS if name in repair]
    return tuple(line for line in log if line)


def _keep(table: Columns, rows: BoolArray | IntArray) -> None:
    for name in table:
        table[name] = np.ascontiguousarray(table[name][rows])


def _first(table: Columns, bad: BoolArray) -> str:
    row = int(bad.argmax())
    return f"the first is row {row}, {time_text(table['ts'][row])}"


def _drop_bad_rows(table: Columns, file: object) -> str:
    bad = ~np.logical_and.reduce([np.isfinite(table[name]) for name in table])
    bad |= np.logical_or.reduce([table[name] <= 0 for name in PRICES]) | (table["volume"] < 0)
    bad |= np.logical_or.reduce([table[name] < 0 for name in OPTIONAL if name in table] or [np.zeros_like(bad)])
    if not bad.any():
        return ""
    if bad.all():
        raise DataError("repair 'drop_bad_rows' would drop every row", file=file)
    line = f"drop_bad_rows: {bad.sum()} rows with missing or impossible numbers dropped; {_first(table, bad)}"
    _keep(table, ~bad)
    return line


def _sort(table: Columns, file: object) -> str:
    moved = np.diff(table["ts"], prepend=table["ts"][0]) < 0
    if not moved.any():
        return ""
    line = f"sort: {moved.sum()} steps back in time sorted away; {_first(table, moved)}"
    _keep(table, np.argsort(table["ts"], kind="stable"))
    return line


def _drop_duplicates(table: Columns, file: object) -> str:
    """Drop neighbours that are equal in every column; a conflict is refused, since which row is right is unknown."""
    again = np.zeros(len(table["ts"]), bool)
    again[1:] = table["ts"][1:] == table["ts"][:-1]
    for name, column in table.items():
        same = np.append(True, (column[1:] == column[:-1]) | (np.isnan(column[1:]) & np.isnan(column[:-1])))
        if (again & ~same).any():
            row = int((again & ~same).argmax())
            values = f"{column[row]} against {column[row - 1]}"
            raise DataError(f"repeats a time with another value: {values}; correct it", file=file, row=row, field=name)
    if not again.any():
        return ""
    line = f"drop_duplicates: {again.sum()} repeated rows dropped; {_first(table, again)}"
    _keep(table, ~again)
    return line


def _clip_wicks(table: Columns, file: object) -> str:
    if (table["low"] > table["high"]).any():
        row = int((table["low"] > table["high"]).argmax())
        raise DataError("low is above high: no wick to clip; correct it", file=file, row=row, field="low")
    top, bottom = np.maximum(table["open"], table["close"]), np.minimum(table["open"], table["close"])
    short = (table["high"] < top) | (table["low"] > bottom)
    if not short.any():
        return ""
    line = f"clip_wicks: {short.sum()} ranges widened to the body; {_first(table, short)}"
    table["high"], table["low"] = np.maximum(table["high"], top), np.minimum(table["low"], bottom)
    return line


def _drop_unfinished(table: Columns, file: object) -> str:
    if len(table["ts"]) == 1:
        raise DataError("repair 'drop_unfinished' would drop the only row", file=file)
    line = f"drop_unfinished: the last bar dropped, {time_text(table['ts'][-1])}"
    _keep(table, np.arange(len(table["ts"]) - 1))
    return line


_MENDS: Final = {
    "drop_bad_rows": _drop_bad_rows,
    "sort": _sort,
    "drop_duplicates": _drop_duplicates,
    "clip_wicks": _clip_wicks,
    "drop_unfinished": _drop_unfinished,
}
