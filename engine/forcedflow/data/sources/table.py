"""Any parquet, feather or CSV file as numpy columns, through a mapping of column names and units."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from forcedflow.data.times import DAY, time_text
from forcedflow.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["TimeColumn", "column_names", "read_batches", "read_columns", "read_strings", "sha256"]

_BATCH: Final = 1 << 18
"""Rows of a piece: larger ones are no faster and take more memory."""

TimeUnit = Literal["s", "ms", "us", "ns", "iso"]
Table = Any  # pyarrow ships no types

_NANOSECONDS: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_PLAUSIBLE: Final = (20 * 365 * DAY, 130 * 365 * DAY)  # 1990 to 2099: any unit taken for another falls outside


@dataclass(frozen=True, slots=True)
class TimeColumn:
    """Where a file keeps its times and how to read them."""

    column: str
    unit: TimeUnit | None = None
    """Of numbers since 1970, or ``iso`` for text; not needed where the file itself stores timestamps."""
    tz: str | None = None
    """IANA name of the zone of local times; without it such times are refused as naive."""
    ahead: int = 0
    """Nanoseconds by which the clock runs ahead of that zone; many brokers keep New York + 7 h."""


def read_columns(
    path: str | Path,
    columns: Mapping[str, str | TimeColumn],
    *,
    where: Mapping[str, str] | None = None,
    names: Sequence[str] | None = None,
) -> dict[str, npt.NDArray[Any]]:
    """Read columns under new names.

    Parameters
    ----------
    path
        A file whose name ends in .parquet, .feather, .csv or .csv.gz.
    columns
        New name to the file's name, or to a :class:`TimeColumn`, which comes back as int64 nanoseconds UTC; other
        columns come back as float64, missing values as NaN.
    where
        Only rows in which these columns equal these values; rows are then counted within that choice.
    names
        Column names of a CSV file without a header.

    Raises
    ------
    DataError
        Naming file, row and column: no such file or column, not a number, naive or implausible times.
    """
    file = Path(path)
    table, label = _choose(_read(file, names), where or {}, file)
    return _arrays(table, columns, label)


def read_batches(
    path: str | Path, columns: Mapping[str, str | TimeColumn], *, skip: int = 0, last: bool = False
) -> Iterator[tuple[int, dict[str, npt.NDArray[Any]]]]:
    """Read the columns of a Parquet file piece by piece: whatever its size, a piece at a time is in memory.

    Parameters
    ----------
    path, columns
        As :func:`read_columns` takes them.
    skip
        Rows to leave out at the beginning; what lies in row groups of its own is not read.
    last
        Only the last row group.

    Yields
    ------
    row, columns
        Number of the piece's first row in the file, and the piece.

    Raises
    ------
    DataError
        As :func:`read_columns`; for a file of another kind.
    """
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import parquet  # noqa: PLC0415

    file = Path(path)
    if file.suffix != ".parquet":
        raise DataError("only Parquet files are read in chunks; convert it", file=file)
    if not file.is_file():
        raise DataError("no such file", file=file)
    try:
        # By default a reader keeps all that it has read of the file, and reads a row group's columns whole.
        with parquet.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20) as opened:
            names = sorted({wanted.column if isinstance(wanted, TimeColumn) else wanted for wanted in columns.values()})
            for name in names:
                _column(opened.schema_arrow.empty_table(), name, str(file))
            sizes = [opened.metadata.row_group(k).num_rows for k in range(opened.num_row_groups)]
            ends = np.cumsum(sizes, dtype=np.int64)
            group = max(len(sizes) - 1, 0) if last else int(np.searchsorted(ends, skip, side="right"))
            if group == len(sizes):
                return  # all skipped
            row = int(ends[group - 1]) if group else 0
            for batch in opened.iter_batches(_BATCH, row_groups=range(group, len(sizes)), columns=names):
                begin, row = row, row + batch.num_rows
                if row <= skip:
                    continue
                rest = max(skip - begin, 0)
                try:
                    yield begin + rest, _arrays(pa.Table.from_batches([batch.slice(rest)]), columns, str(file))
                except DataError as error:
                    raise error.further(begin + rest) from None
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"cannot be read as parquet: {error}", file=file) from None


def _arrays(table: Table, columns: Mapping[str, str | TimeColumn], label: str) -> dict[str, npt.NDArray[Any]]:
    return {
        name: _times(table, wanted, label) if isinstance(wanted, TimeColumn) else _numbers(table, wanted, label)
        for name, wanted in columns.items()
    }


def read_strings(
    path: str | Path, column: str, *, where: Mapping[str, str] | None = None, names: Sequence[str] | None = None
) -> list[str]:
    """Read one column as text, from the rows that :func:`read_columns` returns."""
    file = Path(path)
    table, label = _choose(_read(file, names), where or {}, file)
    return [str(value) for value in _column(table, column, label).to_pylist()]


def column_names(path: str | Path) -> list[str]:
    """Return the names of a file's columns; for a CSV file without header those are its first row."""
    return list(_read(Path(path), None).column_names)


def sha256(path: str | Path) -> str:
    """Return the sha256 of a file, as hex digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(file: Path, names: Sequence[str] | None) -> Table:
    import pyarrow as pa  # noqa: PLC0415  (0.3 s that a listing of datasets does not need)
    from pyarrow import csv, ipc, parquet  # noqa: PLC0415

    if not file.is_file():
        raise DataError("no such file", file=file)
    suffix = Path(file.name.removesuffix(".gz")).suffix
    try:
        if suffix == ".parquet":
            return parquet.ParquetFile(file).read()  # read_table would import pandas
        if suffix == ".feather":
            return ipc.open_file(file).read_all()  # feather.read_table would, too
        if suffix == ".csv":
            return csv.read_csv(file, read_options=csv.ReadOptions(column_names=names))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read as {suffix[1:]}: {error}", file=file) from None
    raise DataError(f"unknown kind of file {suffix!r}; readers exist for .parquet, .feather, .csv, .csv.gz", file=file)


def _choose(table: Table, where: Mapping[str, str], file: Path) -> tuple[Table, str]:
    """Return the rows that match, and the file's name with the choice for messages."""
    from pyarrow import compute  # noqa: PLC0415

    if not where:
        return table, str(file)
    matches = [compute.equal(_column(table, name, str(file)).cast("string"), value) for name, value in where.items()]
    chosen = table.filter(reduce(compute.and_, matches))
    label = f"{file} where {', '.join(f'{name}={value}' for name, value in where.items())}"
    if not chosen.num_rows:
        raise DataError("no rows", file=label)
    return chosen, label


def _column(table: Table, name: str, label: str) -> Table:
    if name not in table.column_names:
        raise DataError(f"no such column; the file has {', '.join(table.column_names)}", file=label, field=name)
    return table.column(name)


def _numbers(table: Table, name: str, label: str) -> npt.NDArray[np.float64]:
    import pyarrow as pa  # noqa: PLC0415

    column = _column(table, name, label)
    try:
        numbers = column.cast(pa.float64())
        return _array(numbers.fill_null(np.nan) if numbers.null_count else numbers)
    except pa.ArrowException:
        row, value = _first_odd(column.to_pylist())
        raise DataError(f"not a number: {value!r}; correct it", file=label, row=row, field=name) from None


def _array(column: Table) -> npt.NDArray[Any]:
    """Return a column without nulls; its own ``to_numpy`` would import pandas."""
    return np.array(np.from_dlpack(column.combine_chunks()))


def _first_odd(values: Sequence[Any]) -> tuple[int | None, Any]:
    for row, value in enumerate(values):
        try:
            float(value if value is not None else "nan")
        except (TypeError, ValueError):
            return row, value
    return None, values[0]


def _times(table: Table, wanted: TimeColumn, label: str) -> npt.NDArray[np.int64]:
    """Return int64 nanoseconds UTC."""
    from pyarrow import types  # noqa: PLC0415

    column = _column(table, wanted.column, label)
    if column.null_count:
        row = column.is_null().index(True).as_py()
        raise DataError("missing time; correct it or leave the row out", file=label, row=row, field=wanted.column)
    if types.is_integer(column.type) or types.is_floating(column.type):
        ns = _since_epoch(column, wanted, label)
    else:
        ns = _timestamps(column, wanted, label)
    odd = (ns < _PLAUSIBLE[0]) | (ns > _PLAUSIBLE[1])
    if odd.any():
        row = int(odd.argmax())
        reason = f"{column[row]} is {ns[row] / 1e9:.6g} s after 1970 as unit {wanted.unit!r}; check the unit"
        raise DataError(reason, file=label, row=row, field=wanted.column)
    return ns


def _since_epoch(column: Table, wanted: TimeColumn, label: str) -> npt.NDArray[np.int64]:
    if wanted.unit not in _NANOSECONDS:
        raise DataError(f"numbers need a unit: one of {', '.join(_NANOSECONDS)}", file=label, field=wanted.column)
    values = _array(column)
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        raise DataError(f"{values[row]} is no time; correct it", file=label, row=row, field=wanted.column)
    factor = _NANOSECONDS[wanted.unit]
    # Numbers too large for their unit would wrap around to plausible dates: clip them to an implausible one.
    limit = np.iinfo(np.int64).max // factor
    values = np.clip(values, -limit, limit)
    if values.dtype.kind == "f":  # a double holds times of today to the microsecond
        values, factor = np.rint(values * (factor / 1000)), 1000
    ns: npt.NDArray[np.int64] = values.astype(np.int64) * factor
    return ns


def _timestamps(column: Table, wanted: TimeColumn, label: str) -> npt.NDArray[np.int64]:
    """Convert stored timestamps or ISO text; local times through their zone."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import compute, types  # noqa: PLC0415

    where: dict[str, Any] = {"file": label, "field": wanted.column}
    try:
        if types.is_string(column.type) or types.is_large_string(column.type):
            column = _parse_text(column)
        if types.is_date(column.type):
            column = column.cast(pa.timestamp("s"))
        if not types.is_timestamp(column.type):
            raise DataError(f"holds {column.type}, which is no time", **where)
        if column.type.tz is None and wanted.tz is None:
            first = time_text(column.cast(pa.timestamp("ns")).cast(pa.int64())[0].as_py()).rstrip("Z")
            raise DataError(f"naive times such as {first}; name their zone, such as tz = 'UTC'", row=0, **where)
        if column.type.tz is None:
            local = compute.subtract(column.cast(pa.timestamp("ns")).cast(pa.int64()), wanted.ahead)
            local = local.cast(pa.timestamp("ns"))
            column = compute.assume_timezone(local, wanted.tz, ambiguous="raise", nonexistent="raise")
        return _array(column.cast(pa.timestamp("ns", "UTC")).cast(pa.int64()))
    except pa.ArrowException as error:
        raise DataError(f"cannot be read as times: {error}", **where) from None


def _parse_text(column: Table) -> Table:
    """Parse ISO text, with zones or without."""
    import pyarrow as pa  # noqa: PLC0415

    try:
        return column.cast(pa.timestamp("ns"))
    except pa.ArrowException:
        return column.cast(pa.timestamp("ns", "UTC"))
