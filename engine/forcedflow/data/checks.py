"""What a table of bars must satisfy. Every refusal names file, row, column, the value, and the mend that would help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from forcedflow.data.times import time_text
from forcedflow.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OPTIONAL", "PRICES", "Columns", "as_arrays", "check_times", "check_values"]

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Columns = dict[str, npt.NDArray[Any]]

PRICES: Final = ("open", "high", "low", "close")
REQUIRED: Final = ("ts", *PRICES, "volume")
OPTIONAL: Final = ("quote_volume", "taker_buy_volume", "mark_high", "mark_low")

_REPEATED_STEPS: Final = {"inferred": 4, "declared": 48}
"""So many equal steps in a row, wider than the interval, are bars of another interval and not a series of gaps."""


def as_arrays(columns: Mapping[str, npt.ArrayLike], file: object) -> Columns:
    """Copy the columns to the dtypes of :class:`Bars`; the caller's arrays stay the caller's."""
    unknown = sorted(set(columns) - {*REQUIRED, *OPTIONAL})
    missing = [name for name in REQUIRED if name not in columns]
    if unknown or missing:
        wrong = f"unknown columns {unknown}" if unknown else f"missing columns {missing}"
        raise DataError(f"{wrong}; bars have {', '.join(REQUIRED)} and may have {', '.join(OPTIONAL)}", file=file)
    if np.asarray(columns["ts"]).dtype.kind not in "iu":
        raise DataError("times must be int64 nanoseconds UTC", file=file, field="ts")
    table: Columns = {}
    for name in (*REQUIRED, *OPTIONAL):
        if name in columns:
            try:
                table[name] = np.array(columns[name], dtype=np.int64 if name == "ts" else np.float64, order="C")
            except (TypeError, ValueError) as error:
                raise DataError(f"not numbers: {error}", file=file, field=name) from None
            if table[name].shape != table["ts"].shape or table[name].ndim != 1:
                shapes = f"{table[name].shape} against {table['ts'].shape} of ts"
                raise DataError(f"columns differ in shape: {shapes}", file=file, field=name)
    if not len(table["ts"]):
        raise DataError("no rows", file=file)
    return table


def _findings(table: Columns) -> list[tuple[str, BoolArray, str]]:
    """Return (column, bad rows, what to do) for everything that a bar's values must satisfy."""
    drop = "correct it, or drop such rows with repair 'drop_bad_rows'"
    clip = "correct it, or widen the range to the body with repair 'clip_wicks'"
    out = [(name, ~np.isfinite(table[name]), f"is not a finite number; {drop}") for name in table if name != "ts"]
    out += [(name, table[name] <= 0, f"is not a positive price; {drop}") for name in PRICES]
    low, high = table["low"], table["high"]
    out += [
        ("low", low > high, "is above the high; correct it: which of the two is right cannot be known"),
        ("low", low > np.minimum(table["open"], table["close"]), f"is above the body (open, close); {clip}"),
        ("high", high < np.maximum(table["open"], table["close"]), f"is below the body (open, close); {clip}"),
        ("volume", table["volume"] < 0, f"is negative; {drop}"),
    ]
    optional = [name for name in OPTIONAL if name in table]
    out += [(name, table[name] < 0, f"is negative; {drop}") for name in optional]
    if ("mark_low" in table) != ("mark_high" in table):
        half = next(name for name in ("mark_low", "mark_high") if name in table)
        out.append(
            (half, np.ones(len(low), bool), "comes without its other half; give mark_low and mark_high, or none")
        )
    elif "mark_low" in table:
        out.append(("mark_low", table["mark_low"] > table["mark_high"], "is above mark_high; correct it"))
        out.append(("mark_low", table["mark_low"] == 0, "is not a positive price; correct it"))
    return out


def check_values(table: Columns, file: object) -> None:
    """Refuse the first value that no bar can have."""
    for name, bad, what in _findings(table):
        if bad.any():
            row = int(bad.argmax())
            more = int(bad.sum()) - 1
            others = f" ({more} more such row{'s' if more > 1 else ''})" if more else ""
            at = time_text(table["ts"][row])  # rows are counted after the mends, the time finds it in the file
            raise DataError(f"{table[name][row]!s} at {at} {what}{others}", file=file, row=row, field=name)


def check_times(ts: IntArray, interval: int | None, file: object) -> int:
    """Return the interval; times must ascend in whole multiples of it."""
    step = np.diff(ts)
    if (step <= 0).any():
        row = int((step <= 0).argmax()) + 1
        at = f"{time_text(ts[row])} comes after {time_text(ts[row - 1])}"
        reason, mend = ("repeats its time", "drop_duplicates") if step[row - 1] == 0 else ("is out of order", "sort")
        raise DataError(f"{at} and {reason}; mend it with repair '{mend}'", file=file, row=row, field="ts")
    if interval is None and not len(step):
        raise DataError("one bar does not show its interval; name the interval", file=file, row=0, field="ts")
    if interval is not None and interval <= 0:
        raise DataError(f"interval {interval} is not positive", file=file)
    width = int(step.min()) if interval is None else interval
    if (step % width != 0).any():
        usual = int(np.median(step)) if interval is None else interval
        row = int((step % usual != 0).argmax()) + 1
        seconds = f"{step[row - 1] / 1e9:g} s after the bar before, no whole multiple of {usual / 1e9:g} s"
        raise DataError(f"mixed intervals: opens {seconds}; resample to one interval", file=file, row=row, field="ts")
    _check_runs(step, width, "inferred" if interval is None else "declared", file)
    return width


def _check_runs(step: IntArray, width: int, origin: str, file: object) -> None:
    """Refuse bars of a wider interval that follow on bars of a narrower one: single gaps do not repeat like that."""
    starts = np.flatnonzero(np.diff(step, prepend=0) != 0)
    lengths = np.diff(starts, append=len(step))
    runs = (lengths >= _REPEATED_STEPS[origin]) & (step[starts] > width)
    if runs.any():
        row = int(starts[runs.argmax()])
        apart = f"{step[row] / 1e9:g} s apart, others {width / 1e9:g} s"
        found = f"from here {lengths[runs.argmax()]} bars in a row are {apart}"
        advice = "resample to one interval, or name the interval if these are gaps"
        raise DataError(f"mixed intervals: {found}; {advice}", file=file, row=row, field="ts")
