"""Venue data beside the bars, each value with the moment from which it was known; and the dataset of all of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from forcedflow.data.arrays import Frozen, frozen
from forcedflow.data.times import Instant, instant_ns, time_text
from forcedflow.errors import DataError
from forcedflow.kernels.stamps import rows_at_closes
from forcedflow.kernels.tiers import Tiered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forcedflow.data.bars import Bars
    from forcedflow.venues import Profile

__all__ = [
    "Calendar",
    "Contract",
    "Dataset",
    "Funding",
    "LiquidatedVolume",
    "Liquidations",
    "OpenInterest",
    "Span",
    "VenueData",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

Contract = Literal["linear", "inverse"]
Calendar = Literal["24/7", "sessions"]

_rows_at_closes: Final = Tiered(rows_at_closes)


@dataclass(frozen=True, slots=True, eq=False)
class OpenInterest(Frozen):
    """Open interest as it stood at ``stamp``, and the moment from which that was known; shapes (n,), read-only."""

    stamp: IntArray
    """Nanoseconds UTC, strictly ascending: the moment whose state ``value`` is."""
    available_at: IntArray
    """Nanoseconds UTC, never before ``stamp``."""
    value: FloatArray
    """Base units, or contracts of an inverse contract; never a value in quote currency, which moves with price."""

    @classmethod
    def from_columns(
        cls, stamp: npt.ArrayLike, value: npt.ArrayLike, available_at: npt.ArrayLike | None = None, file: object = None
    ) -> OpenInterest:
        """Validate the columns; without ``available_at`` a value is known at its stamp.

        Raises
        ------
        DataError
            Naming row and column: not finite, negative, out of order, repeated, or known before its stamp.
        """
        columns = _validated("stamp", stamp, "value", value, available_at=available_at, file=file)
        negative = columns["value"] < 0
        if negative.any():
            row = int(negative.argmax())
            reason = f"open interest {columns['value'][row]} is negative; correct it or leave the row out"
            raise DataError(reason, file=file, row=row, field="value")
        return cls(**columns)

    def __len__(self) -> int:
        return len(self.stamp)

    def between(self, start: int, end: int) -> OpenInterest:
        """Return the values stamped in ``[start, end]`` (nanoseconds UTC)."""
        rows = slice(np.searchsorted(self.stamp, start), np.searchsorted(self.stamp, end, side="right"))
        return OpenInterest(self.stamp[rows], self.available_at[rows], self.value[rows])

    def at_closes(self, bars: Bars) -> OpenInterest:
        """Return, for each bar, the first value stamped at or after its close and before the next bar's.

        That thins a series finer than the bars; a stamp that is a few seconds late keeps its own time.
        """
        rows, _ = self.rows_at_closes(bars)
        return OpenInterest(*(frozen(column[rows]) for column in (self.stamp, self.available_at, self.value)))

    def rows_at_closes(self, bars: Bars) -> tuple[IntArray, IntArray]:
        """Return the rows of :meth:`at_closes`, and for each the bar whose close it describes; both ascend."""
        rows, at = np.empty((2, len(bars)), np.int64)
        count = _rows_at_closes.call(len(bars), self.stamp, bars.ts, bars.interval, rows, at)
        return rows[:count], at[:count]


@dataclass(frozen=True, slots=True, eq=False)
class Funding(Frozen):
    """Funding payments: longs pay shorts ``rate`` of their notional at ``ts``; shapes (n,), read-only."""

    ts: IntArray
    available_at: IntArray
    rate: FloatArray
    """Share of notional for the whole funding interval; negative where shorts pay."""

    @classmethod
    def from_columns(
        cls, ts: npt.ArrayLike, rate: npt.ArrayLike, available_at: npt.ArrayLike | None = None, file: object = None
    ) -> Funding:
        """Validate the columns; without ``available_at`` a rate is known when it is paid.

        Raises
        ------
        DataError
            Naming row and column: not finite, out of order, repeated, or known before it was paid.
        """
        return cls(**_validated("ts", ts, "rate", rate, available_at=available_at, file=file))

    def __len__(self) -> int:
        return len(self.ts)

    def between(self, start: int, end: int) -> Funding:
        """Return the payments in ``[start, end]`` (nanoseconds UTC)."""
        rows = slice(np.searchsorted(self.ts, start), np.searchsorted(self.ts, end, side="right"))
        return Funding(self.ts[rows], self.available_at[rows], self.rate[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Liquidations(Frozen):
    """Realised liquidations, one row a print: to calibrate and to score, never to trade in the bar they happen."""

    ts: IntArray
    """Nanoseconds UTC, ascending."""
    side: npt.NDArray[np.int8]
    """Side of the *position*: +1 a long was liquidated (selling), -1 a short (buying), 0 unknown."""
    price: FloatArray
    qty: FloatArray
    """Base units."""

    def __len__(self) -> int:
        return len(self.ts)


@dataclass(frozen=True, slots=True, eq=False)
class LiquidatedVolume(Frozen):
    """Realised liquidations, summed over the periods that end at ``stamp``; shapes (n,), read-only.

    To calibrate and to score, never to trade in the bar they happen: the replay does not read them.
    """

    stamp: IntArray
    """Nanoseconds UTC, strictly ascending; a period begins where the one before ends."""
    available_at: IntArray
    long: FloatArray
    """Of longs, by forced selling; base units."""
    short: FloatArray
    """Of shorts, by forced buying; base units."""

    @classmethod
    def from_columns(
        cls,
        stamp: npt.ArrayLike,
        long: npt.ArrayLike,
        short: npt.ArrayLike,
        available_at: npt.ArrayLike | None = None,
        file: object = None,
    ) -> LiquidatedVolume:
        """Validate the columns; without ``available_at`` a volume is known at its stamp.

        Raises
        ------
        DataError
            Naming row and column: not finite, negative, out of order, repeated, or known before its period's end.
        """
        longs = _validated("stamp", stamp, "long", long, available_at=available_at, file=file)
        columns = longs | _validated("stamp", stamp, "short", short, available_at=available_at, file=file)
        for name in ("long", "short"):
            if (columns[name] < 0).any():
                row = int((columns[name] < 0).argmax())
                reason = f"liquidated volume {columns[name][row]} is negative; correct it or leave the row out"
                raise DataError(reason, file=file, row=row, field=name)
        return cls(**columns)

    @classmethod
    def from_prints(cls, prints: Liquidations, bars: Bars) -> LiquidatedVolume:
        """Sum prints over bars; those without a side count half on each."""
        bar = np.searchsorted(bars.close_ts, prints.ts, side="right")
        inside = (prints.ts >= bars.ts[0]) & (bar < len(bars))
        inside[inside] &= prints.ts[inside] >= bars.ts[bar[inside]]
        row, qty, side = bar[inside], prints.qty[inside], prints.side[inside]
        sums = (np.bincount(row, qty * (1 + sign * side) / 2, len(bars)) for sign in (1, -1))
        return cls.from_columns(bars.close_ts, *sums)

    def __len__(self) -> int:
        return len(self.stamp)

    def between(self, start: int, end: int) -> LiquidatedVolume:
        """Return the volumes whose periods end in ``(start, end]`` (nanoseconds UTC)."""
        rows = slice(*np.searchsorted(self.stamp, (start, end), side="right"))
        return LiquidatedVolume(self.stamp[rows], self.available_at[rows], self.long[rows], self.short[rows])


@dataclass(frozen=True, slots=True, eq=False)
class VenueData:
    """What one venue published about one symbol, and which margin rule and holders to assume."""

    venue: str
    """Such as ``binance-um``: names the margin rule."""
    symbol: str
    contract: Contract
    profile: str | Profile
    """The assumed holders (leverages, notionals, stops), or the name of a profile, or the path of its TOML file."""
    open_interest: OpenInterest | None = None
    funding: Funding | None = None
    liquidations: LiquidatedVolume | None = None

    @property
    def estimated_oi(self) -> bool:
        """Whether open interest has to be estimated from volume, which every output then says."""
        return self.open_interest is None

    def between(self, start: int, end: int) -> VenueData:
        """Return the series stamped in ``[start, end]`` (nanoseconds UTC)."""
        oi = self.open_interest and self.open_interest.between(start, end)
        funding = self.funding and self.funding.between(start, end)
        forced = self.liquidations and self.liquidations.between(start, end)
        return replace(self, open_interest=oi, funding=funding, liquidations=forced)


@dataclass(frozen=True, slots=True)
class Span:
    """What must be known of all the bars before the first is taken: margin rules in force are looked up by it."""

    start: int
    """Opening of the first bar, nanoseconds UTC."""
    price: float
    """Its close."""
    end: int
    """Close of the last bar."""


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Bars, venues, and where they come from: what a replay replays."""

    name: str
    title: str
    bars: Bars
    venues: tuple[VenueData, ...]
    calendar: Calendar = "24/7"
    source: str = ""
    licence: str = ""
    notes: tuple[str, ...] = ()
    counts_ticks: bool = False
    """Volume counts ticks, not base units: it says how busy a bar was, and nothing of how much could be traded."""
    """Warnings that every report repeats."""
    repairs: tuple[str, ...] = ()
    """The log of what was mended."""
    files: tuple[tuple[str, str], ...] = ()
    """Name and sha256 of each file that was read."""
    fine: Bars | None = None
    """Finer bars that add up to ``bars``: what an account may look up inside a bar, never a strategy."""

    @property
    def span(self) -> Span:
        """From when to when the bars are."""
        return Span(int(self.bars.ts[0]), float(self.bars.close[0]), int(self.bars.close_ts[-1]))

    @property
    def data_hash(self) -> str:
        """sha256 over the numbers that a replay uses, whatever file format they came from; about 40 ms for 1e6 bars."""
        digest = hashlib.sha256(f"bars {self.bars.interval}".encode())
        _update(digest, self.bars.columns())
        if self.fine is not None:
            digest.update(f"fine {self.fine.interval}".encode())
            _update(digest, self.fine.columns())
        for venue in self.venues:
            digest.update(f"venue {venue.venue} {venue.symbol} {venue.contract}".encode())
            if (oi := venue.open_interest) is not None:
                _update(digest, {"stamp": oi.stamp, "available_at": oi.available_at, "open_interest": oi.value})
            if (paid := venue.funding) is not None:
                _update(digest, {"ts": paid.ts, "available_at": paid.available_at, "funding": paid.rate})
        return digest.hexdigest()

    def between(self, start: Instant | None = None, end: Instant | None = None) -> Dataset:
        """Return the bars that open at ``start`` or later and are complete at ``end``, with their venue data.

        Raises
        ------
        DataError
            Where no bar lies between.
        """
        bars = self.bars.between(None if start is None else instant_ns(start), None if end is None else instant_ns(end))
        if not len(bars):
            span = f"{time_text(self.bars.ts[0])} to {time_text(self.bars.close_ts[-1])}"
            raise DataError(f"{self.name}: no bar between {start} and {end}; the data covers {span}")
        venues = tuple(venue.between(int(bars.ts[0]), int(bars.close_ts[-1])) for venue in self.venues)
        fine = self.fine and self.fine.between(int(bars.ts[0]), int(bars.close_ts[-1]))
        return replace(self, bars=bars, venues=venues, fine=fine)


def _update(digest: hashlib._Hash, columns: Mapping[str, npt.NDArray[Any]]) -> None:
    for name, array in columns.items():
        digest.update(f"{name} {array.dtype.str} {len(array)}".encode())
        digest.update(np.ascontiguousarray(array).data)


def _validated(
    time_name: str,
    times: npt.ArrayLike,
    value_name: str,
    values: npt.ArrayLike,
    *,
    available_at: npt.ArrayLike | None,
    file: object,
) -> dict[str, Any]:
    """Return read-only copies by name, times strictly ascending and values finite."""
    stamp, value = np.array(times, dtype=np.int64), np.array(values, dtype=np.float64)
    known = stamp.copy() if available_at is None else np.array(available_at, dtype=np.int64)
    if not stamp.shape == value.shape == known.shape or stamp.ndim != 1:
        raise DataError(f"columns differ in shape: {stamp.shape}, {known.shape}, {value.shape}", file=file)
    checks = (
        (value_name, ~np.isfinite(value), "is not a finite number; correct it or leave the row out"),
        (time_name, np.diff(stamp, prepend=stamp[:1] - 1) < 0, "comes after a later time; sort the rows"),
        (time_name, np.diff(stamp, prepend=stamp[:1] - 1) == 0, "repeats the time before; leave one of the two out"),
        ("available_at", known < stamp, "is before the stamp: nothing is known before it happens; correct the lag"),
    )
    columns = {time_name: stamp, "available_at": known, value_name: value}
    for name, bad, what in checks:
        if bad.any():
            row = int(bad.argmax())
            shown = columns[name][row] if name == value_name else time_text(columns[name][row])
            raise DataError(f"{shown} {what}", file=file, row=row, field=name)
    return {name: frozen(column) for name, column in columns.items()}
