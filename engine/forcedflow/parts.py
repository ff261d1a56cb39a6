"""The events of a long tape on disk: a folder of Parquet parts, written chunk by chunk; a job that was killed goes on.

Each part holds the events of one chunk and exists whole or not at all; the checkpoint is renewed after each. A part
that a killed job wrote after its last checkpoint is written again, to the same bytes. Any reader of Parquet datasets
takes the folder as one table: ``pandas.read_parquet(folder)``, ``duckdb.sql("from 'folder/*.parquet'")``.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from forcedflow.errors import RecordError
from forcedflow.market.stream import CHUNK, stream
from forcedflow.record import flush
from forcedflow.tables import EVENT_COLUMNS, EventKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from forcedflow.data.series import Dataset
    from forcedflow.settings import MarketSettings
    from forcedflow.tables import Events

__all__ = ["CHECKPOINT", "Written", "write_events"]

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
    target = Path(folder).absolute()
    saved = target / CHECKPOINT
    if not resume and target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RecordError(f"{target} holds something already; go on with it (resume), give another or remove it")
    tape = stream(data, market, chunk=chunk, resume=saved if resume and saved.is_file() else None)
    begin, kinds = tape.bar, np.zeros(max(EventKind) + 1, np.int64)
    notes: tuple[str, ...] = ()
    try:
        target.mkdir(parents=True, exist_ok=True)
        for part in target.glob("events-*.parquet"):  # of a job with other chunks, after its last checkpoint
            if int(part.stem.removeprefix("events-")) >= begin:
                part.unlink()
        for piece in tape:
            _write_part(piece.events, target / f"events-{piece.first:012d}.parquet")
            tape.checkpoint(saved)
            kinds += np.bincount(piece.events.kind, minlength=len(kinds))
            notes = piece.notes
            if progress is not None:
                progress(tape.bar, tape.bar + int(tape.end - piece.bars.close_ts[-1]) // piece.bars.interval)
    except OSError as error:
        raise RecordError(f"cannot write {target}: {error}") from error
    counts = {kind.title: int(kinds[kind]) for kind in EventKind if kinds[kind]}
    return Written(target, begin, tape.bar, counts, notes)


def _write_part(events: Events, file: Path) -> None:
    beside = file.parent / f".{file.name}.{uuid.uuid4().hex}"
    try:
        columns = [pa.array(getattr(events, name), from_pandas=False) for name in EVENT_COLUMNS]
        pq.write_table(pa.table(columns, names=list(EVENT_COLUMNS)), beside, compression="zstd")
        flush(beside)
        beside.replace(file)
        flush(file.parent)
    finally:
        beside.unlink(missing_ok=True)
