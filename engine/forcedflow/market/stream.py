"""The market pass over more bars than memory holds: chunk by chunk, stopped and resumed anywhere, the same bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from forcedflow.data.chunks import Chunks, chunks_of
from forcedflow.data.series import Span
from forcedflow.errors import DataError, RecordError
from forcedflow.market import checkpoint
from forcedflow.market.tape import MarketPass

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt

    from forcedflow.data.bars import Bars
    from forcedflow.data.series import Dataset
    from forcedflow.market.liquidation_map import LiquidationMap
    from forcedflow.settings import MarketSettings
    from forcedflow.tables import Events

__all__ = ["CHUNK", "TapeChunk", "TapeStream", "stream"]

CHUNK = 250_000
"""Bars of a chunk: about 150 MB; larger ones are no faster."""


@dataclass(frozen=True, slots=True, eq=False)
class TapeChunk:
    """What some bars in a row have given."""

    first: int
    """Number of the first of the bars, counted from the first of all."""
    dataset: Dataset
    """The bars, with the open interest that describes them."""
    events: Events
    """Their events; numbers of bars count from the first of all."""
    market_bars: dict[str, npt.NDArray[Any]]
    """What the pass added to each bar, columns of ``tables.MARKET_BARS``."""
    notes: tuple[str, ...]
    """What a reader of any result must be told."""

    @property
    def bars(self) -> Bars:
        """The bars themselves."""
        return self.dataset.bars


class TapeStream:
    """The tape in chunks: an iterator, whose state is saved and gone on from. Made by :func:`stream`."""

    def __init__(
        self,
        chunks: Chunks,
        settings: MarketSettings | None = None,
        *,
        chunk: int = CHUNK,
        resume: str | Path | None = None,
    ) -> None:
        if chunk < 1:
            raise DataError(f"a chunk has at least one bar, not {chunk}")
        self._chunks, self._settings, self._chunk, self._resume = chunks, settings, chunk, resume
        self._market: MarketPass | None = None
        self.bar = 0
        """The next bar to take."""
        if resume is not None:
            self.bar = self._go_to(resume)

    def __iter__(self) -> Iterator[TapeChunk]:
        """Yield chunk after chunk up to the last bar."""
        while (part := self.take(self._chunk)) is not None:
            yield part

    def take(self, bars: int) -> TapeChunk | None:
        """Take so many bars, fewer at the end, and return what they have given; None where there are no more.

        Raises
        ------
        DataError
            For bars that cannot be used, with the row of the file.
        """
        data = self._chunks.take(bars)
        if data is None:
            return None
        market = self._market = self._followed(data)
        market.advance()
        self.bar = market.bar
        notes = (*data.notes, *market.feed.notes)
        return TapeChunk(market.first, data, market.events(), market.market_bars(), notes)

    def checkpoint(
        self,
        file: str | Path,
        facts: Mapping[str, Any] | None = None,
        arrays: Mapping[str, npt.NDArray[Any]] | None = None,
    ) -> Path:
        """Save the state after the last bar taken, whole or not at all; ``stream(..., resume=file)`` goes on from it.

        Parameters
        ----------
        facts, arrays
            What else the file is to hold, such as :meth:`AccountStream.state`: an account goes on from it, too.

        Raises
        ------
        DataError
            Where no bar was taken.
        RecordError
            Where the disk refuses.
        """
        return self._at_hand.checkpoint(file, facts, arrays)

    @property
    def map(self) -> LiquidationMap:
        """The map after the last bar taken.

        Raises
        ------
        DataError
            Where no bar was taken.
        """
        return self._at_hand.map

    @property
    def end(self) -> int:
        """Close of the last of all bars, nanoseconds UTC."""
        return self._chunks.end

    @property
    def _at_hand(self) -> MarketPass:
        if self._market is None:
            raise DataError("no bar was taken yet")
        return self._market

    def _followed(self, data: Dataset) -> MarketPass:
        if self._market is not None:
            self._market.follow(data)
            return self._market
        if self._resume is not None:
            return MarketPass.resume(self._resume, data, self._settings, end=self._chunks.end)
        span = Span(int(data.bars.ts[0]), float(data.bars.close[0]), self._chunks.end)
        return MarketPass(data, self._settings, span=span)

    def _go_to(self, file: str | Path) -> int:
        """Skip to the bars of a checkpoint, see that they are the same, and return the next one."""
        facts, saved = checkpoint.read(file)
        bar, kept = int(facts["bar"]), int(facts["kept"])
        self._chunks.skip(bar - kept)
        window = self._chunks.take(kept)
        columns = {} if window is None else window.bars.columns()
        names = ("ts", "open", "high", "low", "close", "volume")
        if not all(name in columns and np.array_equal(columns[name], saved[f"bars {name}"]) for name in names):
            raise RecordError(f"{file}: made from other bars: those before bar {bar} differ; begin anew")
        return bar


def stream(
    data: Dataset | str | Path,
    market: MarketSettings | None = None,
    *,
    chunk: int = CHUNK,
    resume: str | Path | None = None,
) -> TapeStream:
    """Take a market through more bars than memory holds, and get the tape in chunks.

    Events, and what the pass adds to each bar, are to the bit those of :func:`make_tape`, whatever the chunks are and
    wherever it was stopped and gone on with. Memory does not grow with the number of bars.

    Parameters
    ----------
    data
        A name in the catalog or the path of a dataset's TOML file, whose files are Parquet; or a dataset in memory.
    market
        Settings of the market pass.
    chunk
        Bars of a chunk.
    resume
        A checkpoint (:meth:`TapeStream.checkpoint`) to go on from. The data may have grown since.

    Raises
    ------
    CatalogError, DataError
        For a dataset that cannot be used, or not in chunks.
    RecordError
        For a checkpoint of other data, settings or another version.

    Examples
    --------
    >>> import forcedflow as ff
    >>> tape = ff.stream("simulated", chunk=10_000)
    >>> for part in tape:
    ...     print(part.first, len(part.bars), len(part.events))  # doctest: +SKIP
    ...     tape.checkpoint("simulated.npz")  # doctest: +SKIP
    """
    return TapeStream(chunks_of(data), market, chunk=chunk, resume=resume)
