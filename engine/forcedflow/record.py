"""The record of a run: a folder that exists whole or not at all.

``run.json`` says what was run, ``summary.json``, ``scorecard.json`` and ``blind.json`` what came out, the
parquet tables hold it row by row. They are the same bytes whenever the same run is repeated; only
``timings.json`` is not. The tables of a run that was streamed lie in parts, ``<table>-<part>.parquet``, and its
``run.json`` is written last: without one, a folder is no record.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from forcedflow.errors import RecordError
from forcedflow.tables import (
    BLIND_EQUITY,
    EQUITY,
    EVENT_COLUMNS,
    EVENT_INTS,
    FILLS,
    FUNDING,
    GROUP,
    LAYERS,
    MARKET_BARS,
    ORDERS,
    TRADES,
    Events,
    MapSnapshots,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from concurrent.futures import Future

    import pandas as pd

__all__ = [
    "BARS",
    "FILES",
    "FORMAT",
    "NUMBERS",
    "TABLES",
    "Columns",
    "Recorder",
    "Result",
    "Run",
    "Table",
    "complete",
    "flush",
    "is_time",
    "read",
    "read_result",
    "read_table",
    "refuse_existing",
    "reopen",
    "rows_of",
    "write",
    "write_table",
]

FORMAT: Final = 6
"""Number of the folder's format; a reader refuses another one."""

BARS: Final = {
    "ts": "int64",  # open of the bar, as in the dataset
    "open": "float64",
    "high": "float64",
    "low": "float64",
    "close": "float64",
    "volume": "float64",
}
"""Columns of ``market_bars`` that come from the dataset; ``MARKET_BARS`` follow."""

Table = dict[str, npt.NDArray[Any]]
Columns = Mapping[str, npt.NDArray[Any]]
"""A table that is only read, of which some columns may do."""

_EVENTS: Final[dict[str, str]] = {name: "int64" if name in EVENT_INTS else "float64" for name in EVENT_COLUMNS}
_SCHEMAS: Final[dict[str, dict[str, str]]] = {
    "orders": ORDERS,
    "fills": FILLS,
    "trades": TRADES,
    "funding": FUNDING,
    "equity": EQUITY,
    "blind_equity": BLIND_EQUITY,
    "market_bars": BARS | MARKET_BARS,
}
FILES: Final = _SCHEMAS | {"bars": BARS, "market_bars": MARKET_BARS, "events": _EVENTS}
"""Columns by file. The longest table lies in two, what was given and what the market pass added, which is known later.
"""
TABLES: Final = ("events", *_SCHEMAS)
"""Names of a run's tables, as :meth:`Run.frame` takes them."""

# Columns have no nulls, so parquet need not say of each value that it is there, nor is a page ever looked for by its
# extremes: that took a quarter off the time to encode a long run, and LZ4 in place of zstd as much for 9% more bytes.
_ENCODINGS: Final = {"int64": "DELTA_BINARY_PACKED", "float64": "BYTE_STREAM_SPLIT"}
_STEPS: Final = frozenset(
    {
        *(f"swept_{layer}" for layer in LAYERS),
        *("channel", "channel_upper", "channel_lower", "swing_low", "swing_high"),
        *("position", "cash", "liquidation"),
    }
)
"""Columns that keep a value over many bars: LZ4 sees that by itself, in a third of the time and in fewer bytes."""
_WRITING: Final[dict[str, Any]] = {"compression": "lz4", "write_statistics": False, "write_batch_size": 1 << 16}

_KINDS: Final = {"int64": "i", "float64": "f", "bool": "b", "str": "U"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a run, its tables apart."""

    config: dict[str, Any]
    """What repeats the run: dataset, strategy, params, market, account, times, seed, hashes, versions, platform."""
    summary: dict[str, Any]
    """Bars, coverage, implied liquidation rate, events per kind, trades, ambiguous bars, ``warnings``."""
    scorecard: dict[str, Any]
    blind: dict[str, Any]
    timings: dict[str, Any]
    """Wall-clock values, the only ones that differ when the run is repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Result):
    """Everything that a run leaves behind."""

    events: Events
    orders: Table
    fills: Table
    trades: Table
    funding: Table
    equity: Table
    market_bars: Table
    """The bars (``BARS``) and what the market pass adds to each (``tables.MARKET_BARS``)."""
    snapshots: MapSnapshots
    blind_equity: Table = field(default_factory=lambda: {n: np.zeros(0, dtype) for n, dtype in BLIND_EQUITY.items()})
    """Equity of accounts that trade the blind contrasts, at some closes; empty where none was traded."""

    def __repr__(self) -> str:
        trades, bars = len(self.trades["net"]), len(self.market_bars["ts"])
        named = f"{self.config['strategy']} on {self.config['dataset']}"
        return f"<Run of {named}: {bars:,} bars, {trades:,} trades; ff.Summary(run) shows its scorecard>"

    def frame(self, name: str) -> pd.DataFrame:
        """Return a table as a pandas frame, its times as UTC timestamps.

        Parameters
        ----------
        name
            ``events``, ``orders``, ``fills``, ``trades``, ``funding``, ``equity``, ``blind_equity`` or ``market_bars``.

        Raises
        ------
        RecordError
            There is no such table.
        """
        if name == "events":
            return self.events.to_pandas()
        if name not in _SCHEMAS:
            raise RecordError(f"a run has no table {name!r}; it has events, {', '.join(_SCHEMAS)}")
        import pandas as pd  # noqa: PLC0415  (1.4 s that a run does not need)

        table: Table = getattr(self, name)
        return pd.DataFrame({k: pd.to_datetime(v, utc=True) if is_time(k) else v for k, v in table.items()})


def is_time(column: str) -> bool:
    """Tell whether a column of a table holds times, by its name."""
    return column == "ts" or column.endswith("_ts")


_JSONS: Final = ("summary", "scorecard", "blind", "timings")


def write(run: Run, folder: str | Path, pages: Mapping[str, str] | None = None) -> Path:
    """Save a run as a new folder, whole or not at all.

    Parameters
    ----------
    folder
        Must not exist; its parents are made.
    pages
        Further text files by name, such as ``{"tearsheet.html": html}``.

    Raises
    ------
    RecordError
        The folder exists, the disk refuses, or a table is not of its schema.
    """
    with Recorder(folder) as recorder:
        return recorder.finish(run, pages)


class Recorder:
    """Writes a run's folder while the run is made, whole or not at all: a context, within which :meth:`finish` ends it.

    Rows are handed over as soon as they are known, and written by threads, one for each file, while the run goes on:
    arrow lets go of Python's lock while it encodes. All goes into a hidden folder beside the record's, is flushed to
    the disk, and renamed in one step. A context that is left otherwise leaves neither a folder nor a thread.

    Parameters
    ----------
    folder
        Must not exist; its parents are made.

    Raises
    ------
    RecordError
        The folder exists; on entry, where the disk refuses.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).absolute()
        """The record's."""
        refuse_existing(self.folder)
        self._beside = self.folder.parent / f".{self.folder.name}.{uuid.uuid4().hex}"
        self._missing = [parent for parent in self.folder.parents if not parent.exists()]
        self._files: dict[str, _File] = {}

    def __enter__(self) -> Recorder:
        try:
            self._beside.mkdir(parents=True)
        except OSError as error:
            raise self._refused(error) from error
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for file in self._files.values():
                file.stop()
        finally:
            shutil.rmtree(self._beside, ignore_errors=True)
            for parent in self._missing:
                with suppress(OSError):  # it holds the record
                    parent.rmdir()

    def add(self, name: str, table: Table, rows: int | None = None) -> None:
        """Hand over the next rows of a table, which must not change any more.

        A file has the same bytes however its rows came, if they came by multiples of ``tables.GROUP`` up to the last.

        Parameters
        ----------
        name
            Of ``FILES``.
        rows
            Of the whole table; left out where these are the last.

        Raises
        ------
        RecordError
            The table is not of its schema, or the disk refused rows before these.
        """
        schema = FILES[name]
        given = _checked(table, schema, name)
        self._hand_over(name, given, partial(_arrow, table, schema), _layout(schema), rows)

    def add_tape(self, events: Events, snapshots: MapSnapshots) -> None:
        """Hand over all events, and the pictures of the map."""
        self.add("events", {name: getattr(events, name) for name in _EVENTS})
        self._hand_over("snapshots", len(snapshots.bar), partial(_pictures, snapshots), _PICTURES)

    def _hand_over(
        self,
        name: str,
        given: int,
        make: Callable[[], pa.Table],
        layout: Mapping[str, Any],
        rows: int | None = None,
    ) -> None:
        if name not in self._files:
            self._files[name] = _File(self._beside / f"{name}.parquet", layout)
        try:
            self._files[name].add(given, make)
        except OSError as error:
            raise self._refused(error) from error
        if rows is None or self._files[name].rows >= rows:
            self._files[name].end()

    def finish(self, run: Run, pages: Mapping[str, str] | None = None) -> Path:
        """Write what was not handed over yet, wait for the disk, make the folder a record, and return it.

        Parameters
        ----------
        run
            Its tables begin with the rows that were handed over.
        pages
            Further text files by name, such as ``{"tearsheet.html": html}``.

        Raises
        ------
        RecordError
            The disk refuses, or a table is not of its schema.
        """
        if "events" not in self._files:
            self.add_tape(run.events, run.snapshots)
        for name, table in _tables(run).items():
            done = self._files[name].rows if name in self._files else 0
            if name not in self._files or done < len(next(iter(table.values()))):
                self.add(name, {column: values[done:] for column, values in table.items()})
        try:
            for name, value in (("run", {"format": FORMAT} | run.config), *((n, getattr(run, n)) for n in _JSONS)):
                _write_text(self._beside / f"{name}.json", _json(value, f"{name}.json"))
            for name, text in (pages or {}).items():
                _write_text(self._beside / name, text)
            for file in self._files.values():
                file.wait()
            flush(self._beside)
            self._beside.rename(self.folder)
            flush(self.folder.parent)
        except OSError as error:
            raise self._refused(error) from error
        return self.folder

    def _refused(self, error: OSError) -> RecordError:
        return RecordError(f"cannot write {self.folder}: {error}")


class _File:
    """A Parquet file, to which a thread of its own adds tables in their order."""

    def __init__(self, path: Path, layout: Mapping[str, Any]) -> None:
        self.rows = 0
        """How many it was given."""
        self._path, self._layout = path, layout
        self._writer: pq.ParquetWriter | None = None
        self._thread = ThreadPoolExecutor(1)
        self._tasks: list[Future[None]] = []

    def add(self, rows: int, make: Callable[[], pa.Table]) -> None:
        """Let the thread make a table of so many rows and write it; raise what the tables before it have met."""
        for task in self._tasks:
            if task.done():
                task.result()
        self.rows += rows
        self._tasks.append(self._thread.submit(self._write, make))

    def end(self) -> None:
        """Let the thread close the file after its last table, and flush it to the disk."""
        self._tasks.append(self._thread.submit(self._close))

    def wait(self) -> None:
        """Wait until that is done."""
        for task in self._tasks:
            task.result()

    def stop(self) -> None:
        """End the thread, and let go of the file, whole or not."""
        self._thread.shutdown(cancel_futures=True)
        if self._writer is not None:
            with suppress(OSError):  # a disk that refused a table refuses the end of the file
                self._writer.close()

    def _write(self, make: Callable[[], pa.Table]) -> None:
        table = make()
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema, **self._layout)
        self._writer.write_table(table, GROUP)

    def _close(self) -> None:
        assert self._writer is not None
        self._writer.close()
        flush(self._path)


def refuse_existing(folder: str | Path) -> None:
    """Raise where a record's folder exists already.

    Raises
    ------
    RecordError
        Naming the folder.
    """
    target = Path(folder).absolute()
    if target.exists():
        raise RecordError(f"{target} exists and is never overwritten; give another folder or remove it")


def read(folder: str | Path) -> Run:
    """Load a run folder; the inverse of :func:`write`, to the bit.

    Raises
    ------
    RecordError
        Naming the file that is missing, damaged or of another format.
    """
    source, result = Path(folder), read_result(folder)
    tables = {name: read_table(source / f"{name}.parquet") for name in FILES}
    events = Events(**tables.pop("events"))
    tables["market_bars"] = tables.pop("bars") | tables["market_bars"]
    snapshots = _read_snapshots(source / "snapshots.parquet")
    came = {part.name: getattr(result, part.name) for part in fields(Result)}
    return Run(events=events, snapshots=snapshots, **tables, **came)


def read_result(folder: str | Path) -> Result:
    """Load what came of a run, its tables apart.

    Raises
    ------
    RecordError
        As :func:`read` does.
    """
    source = Path(folder)
    config = _read_json(source / "run.json")
    found = config.pop("format", None)
    if found != FORMAT:
        raise RecordError(f"{source / 'run.json'}: format {found!r}, this version reads {FORMAT}; run it again")
    return Result(config=config, **{name: _read_json(source / f"{name}.json") for name in _JSONS})


def _tables(run: Run) -> dict[str, Table]:
    """Return a run's tables as they lie in files, the longest first."""
    long = run.market_bars
    files: dict[str, Table] = {
        "market_bars": {name: column for name, column in long.items() if name not in BARS},
        "bars": {name: column for name, column in long.items() if name in BARS},
    }
    return files | {name: getattr(run, name) for name in reversed(_SCHEMAS) if name not in files}


def reopen(folder: Path) -> None:
    """Make a folder no record, since its parts are to change; :func:`complete` makes it one again."""
    (folder / "run.json").unlink(missing_ok=True)


def complete(folder: Path, result: Result, pages: Mapping[str, str]) -> None:
    """Make a folder that holds its tables in parts a record: what else there is, ``run.json`` last, in one step.

    There are no pictures of the map and no blind accounts, which need all bars at once.

    Parameters
    ----------
    pages
        As :func:`write` takes them.

    Raises
    ------
    RecordError
        The disk refuses.
    """
    nothing = MapSnapshots(
        bar=np.zeros(0, np.int64),
        ts=np.zeros(0, np.int64),
        bins=np.zeros(1, np.int64),
        bin_width=result.config["market"]["bin_bps"] * 1e-4,
        mass=np.zeros((0, len(LAYERS), 1), np.float32),
        oi=np.zeros(0),
    )
    try:
        blind = {name: np.zeros(0, dtype) for name, dtype in BLIND_EQUITY.items()}
        write_table(blind, BLIND_EQUITY, folder / "blind_equity.parquet")
        pictures = folder / "snapshots.parquet"
        pq.write_table(_pictures(nothing), pictures, **_PICTURES)
        flush(pictures)
        for name in _JSONS:
            _write_text(folder / f"{name}.json", _json(getattr(result, name), f"{name}.json"))
        for name, text in pages.items():
            _write_text(folder / name, text)
        beside = folder / ".run.json"
        _write_text(beside, _json({"format": FORMAT} | result.config, "run.json"))
        beside.replace(folder / "run.json")
        flush(folder)
    except OSError as error:
        raise RecordError(f"cannot write {folder}: {error}") from error


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    flush(path)


def flush(path: Path) -> None:
    """Force a file, or a folder's list of names, to the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open a folder
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _json(value: dict[str, Any], file: str) -> str:
    try:
        return json.dumps(value, indent=1, sort_keys=True, allow_nan=False, default=_plain) + "\n"
    except (TypeError, ValueError) as error:
        raise RecordError(f"{file}: {error}; undefined numbers are None, and only plain values are saved") from error


def _plain(value: object) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"cannot save {value!r}")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RecordError(f"{path} is missing: {path.parent} is not a run folder") from error
    except ValueError as error:
        raise RecordError(f"{path} is damaged: {error}") from error
    return value


def write_table(table: Table, schema: Mapping[str, str], path: Path) -> None:
    """Write a table and flush it to the disk.

    Raises
    ------
    RecordError
        The table is not of the schema.
    """
    _checked(table, schema, path.stem)
    pq.write_table(_arrow(table, schema), path, **_layout(schema))
    flush(path)


def _checked(table: Table, schema: Mapping[str, str], name: str) -> int:
    """Return how many rows a table has, which must be of the schema."""
    if set(table) != set(schema):
        raise RecordError(f"{name}: columns {sorted(set(table) ^ set(schema))} are missing or unknown")
    rows = {len(column) for column in table.values()}
    if len(rows) != 1:
        raise RecordError(f"{name}: columns differ in length: {sorted(rows)}")
    for column, dtype in schema.items():
        found = table[column].dtype
        if found.kind != _KINDS[dtype] or (dtype != "str" and found != np.dtype(dtype)):
            raise RecordError(f"{name}: column {column!r} is {found}, not {dtype}")
    return rows.pop()


def _layout(schema: Mapping[str, str]) -> dict[str, Any]:
    """Return how arrow is to lay out the columns of a schema."""
    codes = [name for name, dtype in schema.items() if dtype == "str"]
    coded = {name: _ENCODINGS[dtype] for name, dtype in schema.items() if dtype in _ENCODINGS and name not in _STEPS}
    return {"use_dictionary": codes, "column_encoding": coded, **_WRITING}


def _arrow(table: Table, schema: Mapping[str, str]) -> pa.Table:
    columns = [_column(table[name]) for name in schema]
    named = [pa.field(name, column.type, nullable=False) for name, column in zip(schema, columns, strict=True)]
    return pa.Table.from_arrays(columns, schema=pa.schema(named))


def _column(values: npt.NDArray[Any]) -> pa.Array:
    if values.dtype.kind == "U":
        return pa.array(values.tolist(), type=pa.string()).dictionary_encode()
    return pa.array(values, from_pandas=False)


def read_table(path: Path, table: str | None = None, columns: Collection[str] = ()) -> Table:
    """Read a table, from its file or from its parts beside each other.

    Parameters
    ----------
    path
        ``<table>.parquet`` in the folder, or one part.
    table
        Whose columns it must have; left out, the name of the file.
    columns
        To read only these.

    Raises
    ------
    RecordError
        Naming the file that is missing or damaged.
    """
    schema = FILES[table or path.stem]
    wanted = [name for name in schema if not columns or name in columns]
    parts = [] if path.exists() else sorted(path.parent.glob(f"{path.stem}-*.parquet"))
    found = [_open(part, wanted if columns else None) for part in parts or [path]]
    for part, file in zip(found, parts or [path], strict=True):
        if part.column_names != wanted:
            raise RecordError(f"{file}: columns {part.column_names} are not {wanted}")
    whole = found[0] if len(found) == 1 else pa.concat_tables(found)
    read = {name: _values(whole[name], schema[name]) for name in wanted}
    if parts and wanted[0] == NUMBERS.get(path.stem):
        order = np.argsort(read[wanted[0]], kind="stable")
        read = {name: column[order] for name, column in read.items()}
    return read


NUMBERS: Final = {"orders": "order_id", "trades": "trade_id"}
"""By which the rows of a table are in order where parts tell them when they are done; each counts from 0."""


def rows_of(path: Path) -> int:
    """Return how many rows a file has.

    Raises
    ------
    RecordError
        Naming the file that is missing or damaged.
    """
    return int(_opened(path).metadata.num_rows)


def _values(column: pa.ChunkedArray, dtype: str) -> npt.NDArray[Any]:
    if dtype == "str":
        if not pa.types.is_dictionary(column.type) or not len(column):
            return np.array(column.to_pylist(), dtype=np.str_)
        coded: Any = column.unify_dictionaries().combine_chunks()  # pyarrow's stubs know no arrays of codes
        codes: npt.NDArray[np.int32] = coded.indices.to_numpy()
        return np.array(coded.dictionary.to_pylist(), dtype=np.str_)[codes]
    values: npt.NDArray[Any] = column.to_numpy()
    values.setflags(write=False)
    return values


def _open(path: Path, columns: list[str] | None = None) -> pa.Table:
    try:
        return _opened(path).read(columns)
    except (pa.ArrowInvalid, OSError) as error:
        raise RecordError(f"{path} is damaged: {error}") from error


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError as error:
        raise RecordError(f"{path} is missing: {path.parent} is not a run folder") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise RecordError(f"{path} is damaged: {error}") from error


# One row a snapshot, the mass of all bins as so many bytes a layer (float32, little-endian): lists of numbers took
# parquet longer to count than to write. Zeros cost nothing under LZ4.


_PICTURES: Final = {"use_dictionary": False, **_WRITING}


def _pictures(snapshots: MapSnapshots) -> pa.Table:
    size = len(snapshots.bins)
    given = [np.ascontiguousarray(snapshots.mass[:, k], "<f4") for k in range(len(LAYERS))]
    cell, rows = pa.binary(size * given[0].itemsize), len(snapshots.bar)
    masses = [pa.FixedSizeBinaryArray.from_buffers(cell, rows, [None, pa.py_buffer(layer)]) for layer in given]
    columns = [pa.array(snapshots.bar), pa.array(snapshots.ts), pa.array(snapshots.oi, from_pandas=False), *masses]
    names = ("bar", "ts", "oi", *LAYERS)
    named = [pa.field(name, column.type, nullable=False) for name, column in zip(names, columns, strict=True)]
    grid = {"bin_width": float(snapshots.bin_width).hex(), "first_bin": str(snapshots.bins[0]), "bins": str(size)}
    return pa.Table.from_arrays(columns, schema=pa.schema(named, metadata=grid))


def _read_snapshots(path: Path) -> MapSnapshots:
    table = _open(path)
    grid = table.schema.metadata or {}
    try:
        first, size = int(grid[b"first_bin"]), int(grid[b"bins"])
        bin_width = float.fromhex(grid[b"bin_width"].decode())
        layers = [_masses(table[layer]).reshape(len(table), size) for layer in LAYERS]
    except (KeyError, ValueError) as error:
        raise RecordError(f"{path} is damaged: {error}") from error
    return MapSnapshots(
        bar=table["bar"].to_numpy(),
        ts=table["ts"].to_numpy(),
        bins=np.arange(first, first + size, dtype=np.int64),
        bin_width=bin_width,
        mass=np.stack(layers, axis=1),
        oi=table["oi"].to_numpy(),
    )


def _masses(column: pa.ChunkedArray) -> npt.NDArray[np.float32]:
    parts = [np.frombuffer(b"".join(chunk.to_pylist()), "<f4") for chunk in column.chunks]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)
