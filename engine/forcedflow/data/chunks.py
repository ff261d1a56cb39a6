"""A dataset whose bars come in chunks: cut from memory, or read from Parquet files of any size.

A chunk is a :class:`~.series.Dataset` of the bars that come next, with the open interest that describes them and the
funding that falls due in them. Bars are
checked chunk by chunk, across the borders too, and errors name rows of the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from forcedflow.data.bars import Bars
from forcedflow.data.catalog import Located, join_mark, locate, warnings
from forcedflow.data.checks import check_times
from forcedflow.data.leakage import leakage_check
from forcedflow.data.series import Dataset, Funding, OpenInterest, VenueData
from forcedflow.data.sources.table import TimeColumn, read_batches
from forcedflow.data.times import instant_ns, time_text
from forcedflow.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from forcedflow.data.entry import FundingFile, OpenInterestFile, SourceFile

__all__ = ["Chunks", "chunks_of"]

Columns = dict[str, npt.NDArray[Any]]

_BORDER: Final = 50
"""Bars kept to check the times of the next chunk: more than the equal steps in a row that tell another interval."""


class Chunks(Protocol):
    """A dataset to take in chunks, once and in order."""

    @property
    def end(self) -> int:
        """Close of the last bar, nanoseconds UTC."""
        ...

    def skip(self, bars: int) -> None:
        """Leave out so many bars, before any is taken."""

    def take(self, bars: int) -> Dataset | None:
        """Return so many bars that come next, fewer at the end, None where there are no more."""


def chunks_of(data: Dataset | str | Path) -> Chunks:
    """Return a dataset to take in chunks.

    Parameters
    ----------
    data
        In memory; or a name in the catalog, or the path of a TOML file, whose files are Parquet and as they should be:
        bars in order, open interest in base units or contracts, nothing to mend and nothing to choose from.

    Raises
    ------
    CatalogError
        For a description that is wrong, a file that is missing or has another sha256.
    DataError
        For what cannot be read in chunks.
    """
    return _Cut(data) if isinstance(data, Dataset) else _Read.of(locate(data))


def _until(bars: Bars) -> int:
    """Return the last moment whose open interest still describes the last bar."""
    return int(bars.close_ts[-1]) + bars.interval - 1


def _due_from(closed: int | None, part: Bars) -> int:
    """Return the first moment whose funding falls due in some bars; ``closed``: when the bars before were over.

    As a payment in a gap falls due in the first bar after it.
    """
    return int(part.ts[0]) if closed is None else closed


@dataclass(slots=True)
class _Cut:
    """Chunks of a dataset in memory."""

    data: Dataset
    at: int = 0
    closed: int | None = None
    """Close of the last bar taken."""

    @property
    def end(self) -> int:
        return int(self.data.bars.close_ts[-1])

    def skip(self, bars: int) -> None:
        self.at += bars
        self.closed = None

    def take(self, bars: int) -> Dataset | None:
        whole = self.data.bars
        rows = slice(self.at, self.at + bars)
        part = Bars(interval=whole.interval, **{name: column[rows] for name, column in whole.columns().items()})
        if not len(part):
            return None
        self.at += len(part)
        venues = tuple(self._venue(venue, part) for venue in self.data.venues)
        self.closed = int(part.close_ts[-1])
        return replace(self.data, bars=part, venues=venues, fine=None)

    def _venue(self, venue: VenueData, part: Bars) -> VenueData:
        paid = venue.funding and venue.funding.between(_due_from(self.closed, part), int(part.close_ts[-1]) - 1)
        return replace(venue.between(int(part.ts[0]), _until(part)), funding=paid)


class _Rows:
    """Rows of a file in their order."""

    def __init__(self, path: Path, columns: Mapping[str, str | TimeColumn], skip: int = 0) -> None:
        self.path = path
        self.row = skip
        """Number of the next row in the file."""
        self._pieces: Iterator[tuple[int, Columns]] = read_batches(path, columns, skip=skip)
        self._held: Columns = {name: np.empty(0, np.int64 if name == "ts" else np.float64) for name in columns}

    def take(self, rows: int) -> Columns:
        """Return so many rows that come next, fewer at the end."""
        parts, found = [], 0
        while found < rows and self._fill():
            parts.append(self._cut(rows - found))
            found += len(parts[-1]["ts"])
        return self._joined(parts)

    def before(self, time: int) -> Columns:
        """Return the rows that come next up to the first whose ``ts`` is not before ``time``."""
        parts = []
        while self._fill():
            late = self._held["ts"] >= time
            parts.append(self._cut(int(late.argmax()) if late.any() else len(late)))
            if late.any():
                break
        return self._joined(parts)

    def _fill(self) -> bool:
        while not len(self._held["ts"]):
            piece = next(self._pieces, None)
            if piece is None:
                return False
            self.row, self._held = piece
        return True

    def _cut(self, rows: int) -> Columns:
        part = {name: column[:rows] for name, column in self._held.items()}
        self._held = {name: column[rows:] for name, column in self._held.items()}
        self.row += len(part["ts"])
        return part

    def _joined(self, parts: list[Columns]) -> Columns:
        return {name: np.concatenate([part[name] for part in parts] or [self._held[name][:0]]) for name in self._held}


@dataclass(slots=True)
class _Read:
    """Chunks of a dataset in files."""

    at: Located
    files: tuple[tuple[str, str], ...]
    end: int
    start: int | None
    stop: int | None
    bars: _Rows
    mark: _Rows | None
    open_interest: list[_Rows | None]
    funding: list[_Rows | None]
    border: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Times of the last bars before the next chunk."""
    closed: int | None = None
    """Close of the last bar taken."""
    last: dict[tuple[str, int], int] = field(default_factory=dict)
    """The last time so far, by the name of a series and the number of its venue."""
    checked: bool = False
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, at: Located) -> _Read:
        entry = at.entry
        files: dict[str, str] = {}
        stamps = [venue.open_interest for venue in entry.venues]
        paid = [venue.funding for venue in entry.venues]
        for source in (entry.bars, entry.mark, *stamps, *paid):
            if source is not None:
                path, found = at.source(source)
                files |= {source.file: found} if found else {}
                _refuse_choice(source, path)
        if entry.bars.repair:
            wrong = f"repair {', '.join(entry.bars.repair)} needs all rows at once"
            raise DataError(f"{wrong}; mend the file first", file=at.path(entry.bars.file))
        start, stop = (None if time is None else instant_ns(time) for time in (entry.start, entry.end))
        last = _last_time(at.path(entry.bars.file), entry.bars.columns.ts.spec()) + entry.bars.interval
        read = cls(
            at=at,
            files=tuple(files.items()),
            end=last if stop is None else min(last, stop),
            start=start,
            stop=stop,
            bars=_bar_rows(at, 0),
            mark=None if entry.mark is None else _mark_rows(at),
            open_interest=[None if source is None else _stamp_rows(at, source) for source in stamps],
            funding=[None if source is None else _value_rows(at, source) for source in paid],
        )
        if start is not None:
            read.bars.before(start)
        return read

    def skip(self, bars: int) -> None:
        self.bars = _bar_rows(self.at, self.bars.row + bars)
        self.closed = None

    def take(self, bars: int) -> Dataset | None:
        entry, row = self.at.entry, self.bars.row
        columns = self.bars.take(bars)
        if self.stop is not None:  # times that are out of order here are told below
            opens = np.maximum.accumulate(columns["ts"])
            inside = int(np.searchsorted(opens, self.stop - entry.bars.interval, "right"))
            columns = {name: column[:inside] for name, column in columns.items()}
        if not len(columns["ts"]):
            return None
        part = self._checked(columns, row)
        if self.mark is not None and entry.mark is not None:
            rows = self.mark.before(int(part.ts[-1]) + 1)
            part = join_mark(part, rows, entry.mark.interval, self.mark.path)
        venues = tuple(
            VenueData(
                venue=venue.id,
                symbol=venue.symbol,
                contract=venue.contract,
                profile=self.at.profile(venue),
                open_interest=self._stamps(v, part),
                funding=self._payments(v, part),
            )
            for v, venue in enumerate(entry.venues)
        )
        self.checked, self.closed = True, int(part.close_ts[-1])
        return Dataset(
            name=self.at.name,
            bars=part,
            venues=venues,
            **entry.facts(),
            notes=(*entry.notes, *warnings(venues), *self.notes),
            files=self.files,
        )

    def _checked(self, columns: Columns, row: int) -> Bars:
        """Return validated bars, whose first is in row ``row`` of the file."""
        interval, file = self.at.entry.bars.interval, self.bars.path
        try:
            part, _ = Bars.from_columns(columns, interval, file=file)
        except DataError as error:
            raise error.further(row) from None
        times = np.concatenate((self.border, part.ts))
        try:
            check_times(times[: len(self.border) + _BORDER], interval, file)
        except DataError as error:
            raise error.further(row - len(self.border)) from None
        self.border = times[-_BORDER:]
        return part

    def _stamps(self, v: int, part: Bars) -> OpenInterest | None:
        """Return a venue's open interest that describes some of the bars, or was stamped since the ones before."""
        source, rows = self.at.entry.venues[v].open_interest, self.open_interest[v]
        if source is None or rows is None:
            return None
        row = rows.row
        columns = rows.before(_until(part) + 1 - source.period)
        stamp = columns["ts"] + source.period
        try:
            found = OpenInterest.from_columns(stamp, columns["value"], stamp + source.lag, file=rows.path)
        except DataError as error:
            raise error.further(row) from None
        self._ascends(("stamp", v), found.stamp, rows.path, row)
        if not self.checked:  # what a chunk can tell of the series' timing, the first one tells
            known = found.between(int(part.ts[0]), int(part.close_ts[-1]))
            if len(known) > 1 and np.median(np.diff(known.stamp)) < part.interval:
                known = known.at_closes(part)
                self.notes.append("open interest is finer than the bars: only the stamps at their closes are used")
            leakage_check(part, known, file=rows.path)
        return found

    def _payments(self, v: int, part: Bars) -> Funding | None:
        """Return a venue's funding that falls due in some of the bars."""
        source, rows = self.at.entry.venues[v].funding, self.funding[v]
        if source is None or rows is None:
            return None
        row = rows.row
        columns = rows.before(int(part.close_ts[-1]))
        try:
            found = Funding.from_columns(columns["ts"], columns["value"], columns["ts"] + source.lag, file=rows.path)
        except DataError as error:
            raise error.further(row) from None
        self._ascends(("ts", v), found.ts, rows.path, row)
        return found.between(_due_from(self.closed, part), int(part.close_ts[-1]))

    def _ascends(self, series: tuple[str, int], times: npt.NDArray[np.int64], file: Path, row: int) -> None:
        """See that times come after those of the chunks before; the first is in row ``row`` of the file."""
        if not len(times):
            return
        before = self.last.get(series)
        if before is not None and times[0] <= before:
            reason = f"{time_text(int(times[0]))} does not come after {time_text(before)}; sort the rows"
            raise DataError(reason, file=file, row=row, field=series[0])
        self.last[series] = int(times[-1])


def _refuse_choice(source: SourceFile, path: Path) -> None:
    if source.where:
        chosen = ", ".join(f"{name}={value}" for name, value in source.where.items())
        raise DataError(f"rows where {chosen} cannot be chosen in chunks; write them to a file of their own", file=path)


def _bar_rows(at: Located, skip: int) -> _Rows:
    source = at.entry.bars
    names = source.columns.model_dump(exclude={"ts"}, exclude_none=True)
    return _Rows(at.path(source.file), {"ts": source.columns.ts.spec(), **names}, skip)


def _mark_rows(at: Located) -> _Rows:
    source = at.entry.mark
    assert source is not None
    columns = source.columns
    return _Rows(at.path(source.file), {"ts": columns.ts.spec(), "high": columns.high, "low": columns.low})


def _stamp_rows(at: Located, source: OpenInterestFile) -> _Rows:
    path = at.path(source.file)
    if source.unit != "base":
        raise DataError(f"unit {source.unit} needs prices of other chunks; convert the series to base units", file=path)
    return _value_rows(at, source)


def _value_rows(at: Located, source: OpenInterestFile | FundingFile) -> _Rows:
    return _Rows(at.path(source.file), {"ts": source.columns.ts.spec(), "value": source.columns.value})


def _last_time(path: Path, column: TimeColumn) -> int:
    """Return the last row's time, from the file's last row group."""
    last = None
    for _, piece in read_batches(path, {"ts": column}, last=True):
        last = int(piece["ts"][-1])
    if last is None:
        raise DataError("no rows", file=path)
    return last
