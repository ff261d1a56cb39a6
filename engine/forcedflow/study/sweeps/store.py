"""Where a sweep's results are kept: a folder with a manifest and one Parquet part a finished task.

A part is written beside and renamed, so it is there whole or not at all; a sweep that is killed at any moment finds
its finished tasks again. The table is the parts in the order of the settings, whatever order they were finished in.
"""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from forcedflow.errors import RecordError, extra_needed
from forcedflow.report.definitions import SWEEP_MEASURES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from forcedflow.study.sweeps.axes import Axis

__all__ = ["FORMAT", "Store", "column_of", "in_order", "is_sweep", "query", "rows_table", "schema_of"]

FORMAT: Final = 1
"""Number of the folder's format; a reader refuses another one."""

_MANIFEST: Final = "sweep.json"


def schema_of(axes: Iterable[Axis], *, folds: bool, daily: bool) -> pa.Schema:
    """Return the columns of a sweep's table.

    Parameters
    ----------
    axes
        Of all its spaces; axes of one name share a column.
    folds
        Whether rows belong to the spans of a walk-forward.
    daily
        Whether the equity at day ends is kept.
    """
    columns: dict[str, pa.DataType] = {
        "setting": pa.int64(),
        "key": pa.string(),
        "dataset": pa.string(),
        "strategy": pa.string(),
    }
    values: dict[str, list[Any]] = {}
    for axis in axes:
        values.setdefault(axis.name, []).extend(axis.values or (int(axis.low) if axis.whole else float(axis.low),))
    measures = {measure.name: pa.int64() if measure.unit == "count" else pa.float64() for measure in SWEEP_MEASURES}
    taken = columns.keys() | measures.keys() | {"fold", "trains", "daily", "error"}
    columns |= {column_of(name, taken): _type(found) for name, found in values.items()}
    if folds:
        columns |= {"fold": pa.int64(), "trains": pa.bool_()}
    columns |= measures
    if daily:
        columns["daily"] = pa.list_(pa.float64())
    return pa.schema(list((columns | {"error": pa.string()}).items()))


def column_of(name: str, taken: Iterable[str] | None = None) -> str:
    """Return the column of an axis: its name, but for a parameter that is called like another column."""
    others = schema_of((), folds=True, daily=True).names if taken is None else taken
    return f"params.{name}" if name in others else name


def _type(values: Sequence[Any]) -> pa.DataType:
    known = [value for value in values if value is not None]
    if all(isinstance(value, bool) for value in known):
        return pa.bool_() if known else pa.string()
    if all(isinstance(value, int) and not isinstance(value, bool) for value in known):
        return pa.int64()
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        return pa.float64()
    return pa.string()


def rows_table(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Return rows as a table of the schema; what a row lacks is null, and what the schema lacks is left out."""
    listed = list(rows)
    columns = []
    for field in schema:
        values = [row.get(field.name) for row in listed]
        if pa.types.is_string(field.type):
            values = [None if value is None else str(value) for value in values]
        columns.append(pa.array(values, type=field.type, from_pandas=False))
    return pa.table(columns, schema=schema)


def in_order(tables: Sequence[pa.Table], schema: pa.Schema) -> pa.Table:
    """Return tables as one, in the order of the settings and of the spans of a walk-forward."""
    whole = pa.concat_tables([schema.empty_table(), *tables]).combine_chunks()
    order = [("setting", "ascending")]
    if "fold" in schema.names:
        order += [("fold", "ascending"), ("trains", "descending")]
    return whole.sort_by(order)


def is_sweep(folder: str | Path) -> bool:
    """Tell a sweep's folder from others."""
    return (Path(folder) / _MANIFEST).is_file()


class Store:
    """The folder of one sweep.

    Parameters
    ----------
    folder
        Of a sweep that was begun.

    Raises
    ------
    RecordError
        Where there is none, or one of another format.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).absolute()
        file = self.folder / _MANIFEST
        try:
            self.manifest: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RecordError(f"{self.folder} is no sweep: it has no {_MANIFEST}") from None
        except (OSError, ValueError) as error:
            raise RecordError(f"{file} is damaged: {error}") from error
        if self.manifest.get("format") != FORMAT:
            raise RecordError(f"{file}: format {self.manifest.get('format')!r}, this version reads {FORMAT}")

    @classmethod
    def begin(cls, folder: str | Path, manifest: Mapping[str, Any]) -> Store:
        """Begin a sweep, or go on with the same one.

        Raises
        ------
        RecordError
            Where the folder holds something else, or another sweep: naming what differs.
        """
        target = Path(folder).absolute()
        if is_sweep(target):
            store = cls(target)
            before, now = store.manifest["decides"], json.loads(_json(manifest["decides"]))
            differing = [name for name in {**before, **now} if before.get(name) != now.get(name)]
            if differing:
                raise RecordError(
                    f"{target} holds another sweep, with another {', '.join(sorted(differing))}; give another folder"
                )
            return store
        if target.exists() and any(target.iterdir()):
            raise RecordError(f"{target} exists and holds no sweep; give another folder or remove it")
        try:
            (target / "parts").mkdir(parents=True, exist_ok=True)
            (target / "failed").mkdir(exist_ok=True)
            _replace(target / _MANIFEST, _json({"format": FORMAT} | dict(manifest)).encode())
        except OSError as error:
            raise RecordError(f"cannot write {target}: {error}") from error
        return cls(target)

    def done(self) -> set[str]:
        """Return the keys of the finished tasks."""
        return {path.stem for path in (self.folder / "parts").glob("*.parquet") if not path.name.startswith(".")}

    def write(self, key: str, rows: pa.Table) -> None:
        """Keep the rows of a finished task."""
        sink = pa.BufferOutputStream()
        pq.write_table(rows, sink, compression="zstd")
        try:
            _replace(self.folder / "parts" / f"{key}.parquet", sink.getvalue().to_pybytes())
            (self.folder / "failed" / f"{key}.json").unlink(missing_ok=True)
        except OSError as error:
            raise RecordError(f"cannot write to {self.folder}: {error}") from error

    def part(self, key: str) -> pa.Table:
        """Return the rows of a finished task."""
        return _read(self.folder / "parts" / f"{key}.parquet")

    def fail(self, key: str, settings: Sequence[int], why: str) -> None:
        """Keep what became of a task that could not be finished; it is tried again when the sweep goes on."""
        text = _json({"settings": list(settings), "why": why})
        _replace(self.folder / "failed" / f"{key}.json", text.encode())

    def failures(self) -> list[dict[str, Any]]:
        """Return the tasks that failed: the numbers of their ``settings``, and ``why``."""
        files = sorted((self.folder / "failed").glob("[!.]*.json"))
        return [json.loads(file.read_text(encoding="utf-8")) for file in files]

    def table(self, schema: pa.Schema) -> pa.Table:
        """Return all rows so far, in the order of the settings."""
        return in_order([self.part(key) for key in sorted(self.done())], schema)

    def tidy(self) -> None:
        """Remove what killed writers left."""
        for left in self.folder.rglob(".*.tmp"):
            left.unlink(missing_ok=True)


def query(folder: str | Path, sql: str) -> pa.Table:
    """Ask a sweep's parts in SQL; they are the table ``results``.

    Raises
    ------
    RecordError
        There are no parts, or the query is wrong.
    SettingsError
        DuckDB is not installed.
    """
    try:
        import duckdb  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise extra_needed("to query a sweep", "DuckDB", "sweep") from error
    store = Store(folder)
    parts = [str(store.folder / "parts" / f"{key}.parquet") for key in sorted(store.done())]
    if not parts:
        raise RecordError(f"{store.folder} has no finished task yet")
    with duckdb.connect() as connection:
        try:
            connection.read_parquet(parts).create_view("results")
            # DuckDB's connection.execute(...) would hold a large answer twice; a relation streams it.
            answer = connection.sql(sql)
            if answer is None:
                raise RecordError(f"{sql!r:.200} asks for nothing; begin with SELECT")
            return answer.to_arrow_table()
        except duckdb.Error as error:
            raise RecordError(f"{sql!r:.200}: {error}") from error


def _read(path: Path) -> pa.Table:
    try:
        return pq.ParquetFile(path).read()
    except (pa.ArrowInvalid, OSError) as error:
        raise RecordError(f"{path} is damaged: {error}; remove it and go on with the sweep") from error


def _replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, and flush it to the disk."""
    beside = path.parent / f".{path.name}.{uuid.uuid4().hex}.tmp"
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=1, allow_nan=False) + "\n"
