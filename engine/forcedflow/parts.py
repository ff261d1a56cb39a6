"""A long replay on disk: a folder of Parquet parts, written chunk by chunk; a job that was killed goes on.

Each part holds one table of one chunk and exists whole or not at all; the checkpoint, of the tape and of the account
together, is renewed once all parts of a chunk are there. What a killed job wrote after its last checkpoint is written
again, to the same bytes. Any reader of Parquet datasets takes the parts of a name as one table:
``duckdb.sql("from 'folder/events-*.parquet'")``; where there are only events, ``pandas.read_parquet(folder)``.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from forcedflow.errors import RecordError
from forcedflow.market import checkpoint
from forcedflow.market.stream import CHUNK, stream
from forcedflow.record import FILES, NUMBERS, flush, read_table, rows_of, write_table
from forcedflow.tables import EventKind
from forcedflow.trading.stream import AccountStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forcedflow.data.series import Dataset
    from forcedflow.kernels import BoolArray
    from forcedflow.market.stream import TapeChunk
    from forcedflow.record import Table
    from forcedflow.settings import AccountSettings, MarketSettings
    from forcedflow.tables import Events, IntArray
    from forcedflow.trading.strategy import Strategy
    from forcedflow.trading.stream import TradedChunk

__all__ = ["CHECKPOINT", "Parted", "Written", "abreast", "write_events", "write_replay"]

CHECKPOINT: Final = "_checkpoint.npz"
"""Readers of a folder of Parquet files pass over a name that begins with an underscore."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a call of :func:`write_events` did."""

    folder: Path
    begin: int
    """The first bar that it took: 0, or where an earlier call was stopped."""
    bars: int
    """Number of bars that the folder now covers, from the first of the data."""
    events: dict[str, int]
    """Events that this call wrote, by kind."""
    notes: tuple[str, ...]
    """What a reader of them must be told."""


def write_events(
    data: Dataset | str | Path,
    folder: str | Path,
    market: MarketSettings | None = None,
    *,
    chunk: int = CHUNK,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Written:
    """Write the events of a dataset's tape, of any length, in constant memory.

    Parameters
    ----------
    data, market, chunk
        As :func:`forcedflow.stream` takes them.
    folder
        Where the parts go, ``events-<first bar>.parquet``, with ``_checkpoint.npz``. Must not exist or be empty, unless
        it is gone on with.
    resume
        Go on after the checkpoint in the folder; where there is none, begin. The data may have grown since.
    progress
        Called after each part with the number of bars done, and an estimate of all by the time that they take.

    Raises
    ------
    CatalogError, DataError
        For a dataset that cannot be used, or not in chunks.
    RecordError
        Where the folder holds something already, belongs to other data or settings, or the disk refuses.
    """
    return _write(data, Path(folder).absolute(), market, None, chunk, resume, progress)


def write_replay(
    data: Dataset | str | Path,
    folder: str | Path,
    strategy: Strategy,
    account: AccountSettings,
    market: MarketSettings | None = None,
    *,
    chunk: int = CHUNK,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Written:
    """Write all tables of a plan strategy's replay, of any length, in constant memory: those of a run, in parts.

    Parts are ``<table>-<first bar>.parquet``; ``orders-open`` and ``trades-open`` hold what is not done, or still open,
    after the last bar.

    Parameters
    ----------
    data, folder, market, chunk, resume, progress
        As :func:`write_events` takes them.
    strategy, account
        As :class:`~.trading.stream.AccountStream` takes them.

    Raises
    ------
    CatalogError, DataError, RecordError
        As :func:`write_events` does.
    AccountError, StrategyError
        As :class:`~.trading.stream.AccountStream` does.
    """
    return _write(data, Path(folder).absolute(), market, (strategy, account), chunk, resume, progress)


def _write(
    data: Dataset | str | Path,
    target: Path,
    market: MarketSettings | None,
    trader: tuple[Strategy, AccountSettings] | None,
    chunk: int,
    resume: bool,
    progress: Callable[[int, int], None] | None,
) -> Written:
    saved = target / CHECKPOINT
    if not resume and target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RecordError(f"{target} holds something already; go on with it (resume), give another or remove it")
    at = saved if resume and saved.is_file() else None
    facts = {} if at is None else checkpoint.read(at)[0]
    if trader is None and "account" in facts:
        raise RecordError(f"{target} holds a replay with an account, not events alone; give another folder")
    tape = stream(data, market, chunk=chunk, resume=at)
    account = None if trader is None else AccountStream(*trader, resume=at)
    begin, kinds = tape.bar, np.zeros(max(EventKind) + 1, np.int64)
    notes = tuple(facts.get("notes", ()))
    try:
        target.mkdir(parents=True, exist_ok=True)
        _clear(target, begin)
        for piece in tape:
            notes = piece.notes
            told: dict[str, Any] = {"notes": list(notes)}
            arrays: dict[str, Any] = {}
            tables = {"events": _columns(piece.events)}
            if account is not None:
                traded = account.take(piece)
                tables |= _tables(piece, traded)
                own, arrays = account.state()
                told |= own
                _write_part(target, "orders", "open", traded.working)
                _write_part(target, "trades", "open", traded.open_trades)
            for name, table in tables.items():
                _write_part(target, name, f"{piece.first:012d}", table)
            tape.checkpoint(saved, told, arrays)
            kinds += np.bincount(piece.events.kind, minlength=len(kinds))
            if progress is not None:
                progress(tape.bar, tape.bar + int(tape.end - piece.bars.close_ts[-1]) // piece.bars.interval)
    except OSError as error:
        raise RecordError(f"cannot write {target}: {error}") from error
    counts = {kind.title: int(kinds[kind]) for kind in EventKind if kinds[kind]}
    return Written(target, begin, tape.bar, counts, notes)


def _clear(folder: Path, begin: int) -> None:
    """Remove what a killed job left: parts after its last checkpoint, whose chunks may differ, and halves of files."""
    for part in folder.glob("*-*.parquet"):
        first = part.stem.rpartition("-")[2]
        if first.isdecimal() and int(first) >= begin:
            part.unlink()
    for half in (*folder.glob(".*.parquet.*"), *folder.glob(f".{CHECKPOINT}.*")):
        half.unlink()


def _tables(piece: TapeChunk, traded: TradedChunk) -> dict[str, Table]:
    bars = {name: getattr(piece.bars, name) for name in FILES["bars"]}
    told = {name: getattr(traded, name) for name in ("orders", "fills", "trades", "funding", "equity")}
    return told | {"bars": bars, "market_bars": piece.market_bars}


def _columns(events: Events) -> Table:
    return {name: getattr(events, name) for name in FILES["events"]}


def _write_part(folder: Path, name: str, part: str, table: Table) -> None:
    file = folder / f"{name}-{part}.parquet"
    beside = folder / f".{file.name}.{uuid.uuid4().hex}"
    try:
        write_table(table, FILES[name], beside)
        beside.replace(file)
        flush(folder)
    finally:
        beside.unlink(missing_ok=True)


class Parted(Mapping[str, npt.NDArray[Any]]):
    """A record's table of any length, in parts or not: a column is read when asked for, and held only by who asked.

    Rows are in the order of a whole table's: orders and trades, which parts tell when they are done, by their numbers.
    Columns of text are not read whole, only compared (:meth:`same`).

    Parameters
    ----------
    folder
        The record's.
    name
        Of the table, one of ``record.FILES``.

    Raises
    ------
    RecordError
        Here and below, where a file is missing or damaged.
    """

    def __init__(self, folder: Path, name: str) -> None:
        whole = folder / f"{name}.parquet"
        self._name, self._files = name, sorted(folder.glob(f"{name}-*.parquet")) or [whole]
        self._number = NUMBERS.get(name)
        self._rows = sum(map(rows_of, self._files))

    def __getitem__(self, column: str) -> npt.NDArray[Any]:
        """Return a column of numbers.

        Raises
        ------
        KeyError
            For another column.
        """
        dtype = FILES[self._name][column]
        if dtype == "str":
            raise KeyError(f"{column} is text: compare it")
        return self._filled(np.empty(self._rows, dtype), column)

    def __contains__(self, column: object) -> bool:
        return column in FILES[self._name]

    def __iter__(self) -> Iterator[str]:
        return iter(FILES[self._name])

    def __len__(self) -> int:
        return len(FILES[self._name])

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self._rows

    def same(self, column: str, text: str) -> BoolArray:
        """Tell in which rows a column of text says so."""
        return self._filled(np.empty(self._rows, np.bool_), column, lambda values: values == text)

    def at(self, rows: IntArray, *columns: str) -> Table:
        """Return some rows of some columns, of all without any named, text included; the rows' numbers ascend."""
        numbered = (self._number,) if columns and self._number is not None else ()
        found: list[Table] = []
        first = 0
        for part in self.parts(*numbered, *columns):
            count = len(next(iter(part.values())))
            numbers = first + np.arange(count) if self._number is None else part[self._number]
            first += count
            chosen = np.isin(numbers, rows)
            found.append({"": numbers[chosen]} | {name: column[chosen] for name, column in part.items()})
        order = np.argsort(np.concatenate([part[""] for part in found]), kind="stable")
        return {name: np.concatenate([part[name] for part in found])[order] for name in columns or FILES[self._name]}

    def parts(self, *columns: str) -> Iterator[Table]:
        """Yield some columns part by part; without any named, all."""
        for file in self._files:
            yield read_table(file, self._name, columns)

    def _filled(
        self, whole: npt.NDArray[Any], column: str, told: Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None = None
    ) -> npt.NDArray[Any]:
        first = 0
        for part in self.parts(*filter(None, {self._number, column})):
            values = part[column] if told is None else told(part[column])
            rows = slice(first, first + len(values)) if self._number is None else part[self._number]
            whole[rows] = values
            first += len(values)
        return whole


def abreast(tables: Mapping[str, Parted], wanted: Mapping[str, str]) -> Iterator[tuple[Table, ...]]:
    """Yield columns of several tables, whose parts are of the same bars; ``wanted`` names the columns by table."""
    return zip(*(tables[name].parts(*columns.split()) for name, columns in wanted.items()), strict=True)
