"""The market pass: a dataset in, the tape out. The tape is all that a strategy may know."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from forcedflow.data.series import Span
from forcedflow.data.times import DAY, time_text
from forcedflow.errors import DataError
from forcedflow.kernels import Repeated, records
from forcedflow.kernels.channels import CHANNEL
from forcedflow.kernels.liquidation_map import SWEPT_BIN
from forcedflow.kernels.market_pass import (
    ATR,
    AVERAGES,
    COVERAGE,
    EVENT,
    GROW,
    LISTENED,
    LOWER,
    MARKET_ROWS,
    OI,
    OPENED,
    ROOM,
    ROWS_PER_BAR,
    SWEPT,
    SWING,
    TESTED,
    UPPER,
    VOL_LONG,
    VOL_SHORT,
    VOLUME,
    ZONE,
    BarColumns,
    Findings,
    Structure,
    Watch,
    advance,
)
from forcedflow.kernels.structure import PIVOTS, RING
from forcedflow.kernels.voids import VOID
from forcedflow.kernels.zones import LIMITS
from forcedflow.market import checkpoint
from forcedflow.market.feeds import Feed
from forcedflow.market.liquidation_map import LiquidationMap
from forcedflow.settings import MarketSettings
from forcedflow.tables import EVENT_ROW, GROUP, LAYERS, MARKET_BARS, EventKind, Events, MapSnapshots, SweptMass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from forcedflow.data.bars import Bars
    from forcedflow.data.series import Dataset
    from forcedflow.kernels import Records

__all__ = ["MarketPass", "Tape", "make_tape"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
_ROWS = {
    "oi": OI,
    "coverage_long": COVERAGE,
    "coverage_short": COVERAGE + 1,
    **{f"swept_{layer}": SWEPT + k for k, layer in enumerate(LAYERS)},
    "opened_long": OPENED,
    "opened_short": OPENED + 1,
    "atr": ATR,
    "vol_short": VOL_SHORT,
    "vol_long": VOL_LONG,
    "volume_average": VOLUME,
    "channel_upper": UPPER,
    "channel_lower": LOWER,
    "swing_low": SWING,
    "swing_high": SWING + 1,
}
"""Where the kernel writes the columns of ``tables.MARKET_BARS`` that need no more than a look."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a market pass stood."""

    bar: int
    used: int
    shots: int
    state: dict[str, npt.NDArray[Any]]


class MarketPass:
    """Takes a dataset's market through its bars, all at once, event by event, or chunk by chunk.

    Bars, events and what the pass adds to each bar are held in memory, and :meth:`follow` lets go of them: everything
    else that the pass remembers is as large after a hundred million bars as after one, but for the grid of the map,
    which grows with the range of prices.

    Parameters
    ----------
    dataset
        Bars and venue data.
    settings
        How the map is kept and what counts as a zone.
    snapshots
        At how many evenly spaced closes the map is kept for drawing, the last bar's among them.
    event_rows
        Rows of the event buffer to begin with, a sixteenth of the bars if left out; it grows, and its size changes
        nothing.
    log_swept
        Whether to list which bins burned in each bar, and with how much mass (:meth:`swept`).
    span
        Of all the data, where the dataset holds its first bars only and others :meth:`follow`.
    """

    def __init__(
        self,
        dataset: Dataset,
        settings: MarketSettings | None = None,
        *,
        snapshots: int = 0,
        event_rows: int | None = None,
        log_swept: bool = False,
        span: Span | None = None,
    ) -> None:
        self.dataset = dataset
        """The bars at hand, with their venue data."""
        self.settings = settings or MarketSettings()
        self.span = span or dataset.span
        """Of all the data."""
        self.feed = Feed.of(dataset, self.settings, span)
        self.map = LiquidationMap(self.feed.arrays)
        self.bar = 0
        """The next bar to take."""
        bars = dataset.bars
        self.first = 0
        """Number of the first bar of the dataset at hand."""
        self._columns = _columns(bars)
        self._window = 0  # number of the bar in the first row of the columns: some bars are kept to look back at
        self._kernel = Repeated(advance)
        self._used = 0
        self._swept = records(SWEPT_BIN, 0) if log_swept else None
        rows = records(EVENT, event_rows or max(len(bars) // 16, ROWS_PER_BAR))
        self._findings = Findings(rows, np.zeros((MARKET_ROWS, len(bars))))
        self._raw = _raw(rows)
        self._watch = Watch(records(ZONE, 2), _averages(self.settings), _limits(self.settings))
        self._structure = _structure(self.settings)
        last, count = len(bars) - 1, min(snapshots, len(bars))
        self._closes = np.unique(np.linspace(last, 0, count).astype(np.int64)) if count else np.empty(0, np.int64)
        self._shots: list[_Shot] = []

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made of: all but what is derived from it."""
        return {name: value for name, value in self.__dict__.items() if name not in {"_kernel", "_raw"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self._kernel = Repeated(advance)
        self._raw = _raw(self._findings.rows)

    def advance(self, stop: int | None = None, listen: Iterable[EventKind] = ()) -> bool:
        """Take bars up to ``stop`` (exclusive; all of them if left out), or through the next bar with such an event.

        Returns whether an event was heard. What is listened to decides where this returns, and nothing else.
        """
        end = self.first + len(self.dataset.bars)
        stop = end if stop is None else min(stop, end)
        mask = sum(1 << kind for kind in listen)
        while self.bar < stop:
            shots = len(self._shots)
            due = int(self._closes[shots]) + 1 if shots < len(self._closes) else stop
            heard = self._advance(min(stop, due), mask)
            if self.bar == due and shots < len(self._closes):
                self._shots.append(_Shot.of(self.map))
            if heard:
                return True
        return False

    def _advance(self, stop: int, mask: int) -> bool:
        while self.bar < stop:
            self.bar, self._used, why = self._kernel(
                self._columns,
                self.map.arrays,
                self._watch,
                self._structure,
                self._findings,
                self._used,
                self._swept,
                self.feed.room_below,
                self.feed.room_above,
                self.feed.session_hours,
                self.dataset.bars.interval,
                self._window,
                self.bar,
                stop,
                mask,
            )
            if why == LISTENED:
                return True
            if why == GROW:
                self._make_room()
            elif why == ROOM:
                self._more_rows()
        return False

    def _more_rows(self) -> None:
        rows = self._findings.rows
        if len(rows) - self._used < ROWS_PER_BAR:
            self._findings = self._findings._replace(rows=_longer(rows, max(len(rows), 1024)))
            self._raw = _raw(self._findings.rows)
        if self._swept is not None:
            self._swept = _longer(self._swept, max(len(self._swept), 2 * self.map.arrays.stored.shape[2]))

    def _make_room(self) -> None:
        row, width = self.bar - self._window, self.map.bin_width
        lowest = math.log(self._columns.low[row]) / width - self.feed.room_below
        highest = math.log(self._columns.high[row]) / width + self.feed.room_above
        self.map.make_room(math.floor(lowest) - 1, math.ceil(highest) + 1)

    def follow(self, dataset: Dataset) -> None:
        """Go on with the bars that come next, and let go of the ones at hand: their events, their rows.

        Parameters
        ----------
        dataset
            Bars that follow on those at hand, with open interest stamped from the first one's close to one interval
            after the last one's. Bars keep their absolute numbers.

        Raises
        ------
        DataError
            Where bars at hand are still to be taken, or the new ones do not follow on them.
        """
        bars = dataset.bars
        end, last = self.first + len(self.dataset.bars), int(self._columns.ts[-1])
        if self.bar < end:
            raise DataError(f"{dataset.name}: bars {self.bar} to {end - 1} are still to be taken; advance first")
        if len(self._closes):
            raise DataError(f"{dataset.name}: a map that is kept for drawing needs all bars at once; take no snapshots")
        if bars.interval != self.dataset.bars.interval or bars.ts[0] < last + bars.interval:
            found = f"opens at {time_text(bars.ts[0])} with bars of {bars.interval / 1e9:g} s"
            wanted = f"{time_text(last)} and bars of {self.dataset.bars.interval / 1e9:g} s"
            raise DataError(f"{dataset.name}: what comes next {found}; it must follow on {wanted}")
        self.map.take(self.feed.follow(self.map.arrays, dataset, end))
        kept = min(_lookback(self.settings), len(self._columns.ts))
        pairs: Any = zip(self._columns, _columns(bars), strict=True)
        self._columns = BarColumns(*(np.concatenate((old[-kept:], new)) for old, new in pairs))
        market = np.zeros((MARKET_ROWS, kept + len(bars)))
        market[:, :kept] = self._findings.market[:, -kept:]
        self._findings = self._findings._replace(market=market)
        self.dataset, self.first, self._window = dataset, end, end - kept
        self._kernel = Repeated(advance)  # the columns may be of other kinds
        self._used = 0
        self.map.arrays.head.listed = 0

    def checkpoint(
        self,
        file: str | Path,
        facts: Mapping[str, Any] | None = None,
        arrays: Mapping[str, npt.NDArray[Any]] | None = None,
    ) -> Path:
        """Save the state after the last bar at hand, whole or not at all; :meth:`resume` goes on from it.

        Parameters
        ----------
        facts, arrays
            What else the file is to hold, under names of its own.

        Raises
        ------
        DataError
            Where bars at hand are still to be taken.
        RecordError
            Where the disk refuses.
        """
        if self.bar < self.first + len(self.dataset.bars):
            raise DataError(f"bar {self.bar} is still to be taken; a checkpoint is made after the last bar at hand")
        kept = min(_lookback(self.settings), len(self._columns.ts))
        saved = {name: values.copy() for name, values in self._state().items()}
        saved |= {f"bars {name}": values[-kept:] for name, values in self._columns._asdict().items()}
        saved["market"] = self._findings.market[:, -kept:]
        own = self._facts() | {"bar": self.bar, "kept": kept, "span": _plain(self.span)}
        return checkpoint.write(file, own | dict(facts or {}), saved | dict(arrays or {}))

    @classmethod
    def resume(
        cls, file: str | Path, dataset: Dataset, settings: MarketSettings | None = None, *, end: int
    ) -> MarketPass:
        """Return a pass that goes on after the last bar of a checkpoint, to the same bits as if it had never stopped.

        Parameters
        ----------
        file
            Of :meth:`checkpoint`.
        dataset
            The bars that come next, as :meth:`follow` takes them.
        settings
            Those of the checkpoint.
        end
            Close of the last bar of all the data, which may have grown.

        Raises
        ------
        RecordError
            Where the checkpoint is damaged, was made by another version, from other data or with other settings.
        DataError
            Where the bars do not follow on those of the checkpoint.
        """
        facts, saved = checkpoint.read(file)
        columns = {name.removeprefix("bars "): saved[name] for name in saved if name.startswith("bars ")}
        marks = {"mark_high": columns.pop("trigger_high"), "mark_low": columns.pop("trigger_low")}
        window = type(dataset.bars)(interval=dataset.bars.interval, **columns, **marks)
        span = Span(facts["span"]["start"], facts["span"]["price"], end)
        market = cls(replace(dataset, bars=window), settings, span=span)
        checkpoint.compare(file, facts, market._facts())
        market._restore(saved, facts["bar"])
        market.follow(dataset)
        return market

    def _facts(self) -> dict[str, Any]:
        """Return what must be the same where a pass goes on."""
        venues = [(venue.venue, venue.symbol, venue.contract) for venue in self.dataset.venues]
        return {
            "dataset": self.dataset.name,
            "interval": self.dataset.bars.interval,
            "calendar": self.dataset.calendar,
            "venues": [list(venue) for venue in venues],
            "settings": self.settings.model_dump(mode="json"),
            "holders": self.feed.digest,
        }

    def _state(self) -> dict[str, npt.NDArray[Any]]:
        """Return all that is remembered from bar to bar: arrays that the pass and its kernels write, by name."""
        arrays, structure = self.map.arrays, self._structure
        state = {name: getattr(arrays, name) for name in ("head", "venues", "stored", "flows", "path")}
        state |= {"zones": self._watch.zones, "averages": self._watch.averages}
        state |= {name: array for name, array in structure._asdict().items() if array is not None}
        for v, feed in enumerate(self.feed.stamps):
            state |= {f"{name} {v}": values for name, values in feed.state.items()}
        return state

    def _restore(self, saved: dict[str, npt.NDArray[Any]], bar: int) -> None:
        found = {name: checkpoint.shaped(saved[name], now) for name, now in self._state().items()}
        venues, fresh = found["venues"], self.map.arrays.venues
        # The margin changes of all venues lie in one row, and more data may have brought more of them.
        venues["next_change"][1:] += np.subtract(fresh.end_change, venues["end_change"])[:-1]
        venues["end_change"] = fresh.end_change
        self._adopt(found)
        self._findings = self._findings._replace(market=saved["market"].copy())
        self.bar = bar
        self.first = self._window = bar - len(self._columns.ts)

    def _adopt(self, state: dict[str, npt.NDArray[Any]]) -> None:
        arrays = {name: state[name] for name in ("head", "venues", "stored", "flows", "path")}
        self.map.take(self.map.arrays._replace(**arrays))
        self._watch = self._watch._replace(zones=state["zones"], averages=state["averages"])
        self._structure = self._structure._replace(
            **{name: a for name, a in state.items() if name in Structure._fields}
        )
        for v, feed in enumerate(self.feed.stamps):
            feed.state = {name: state[f"{name} {v}"] for name in feed.state}

    def mark(self) -> Mark:
        """Return where the pass stands, to :meth:`rewind` to while the same bars are at hand."""
        return Mark(self.bar, self._used, len(self._shots), {name: a.copy() for name, a in self._state().items()})

    def rewind(self, mark: Mark) -> None:
        """Go back to where a mark was made, which this uses up: the same bars then give the same bits once more."""
        self.bar, self._used = mark.bar, mark.used
        del self._shots[mark.shots :]
        self._adopt(mark.state)

    def events(self, since: int = 0) -> Events:
        """Return the events of the bars at hand from row ``since`` on, in their order (bar, kind, side, group)."""
        raw = bytearray(self._raw[since : self._used].data)
        return Events.of_rows(np.frombuffer(raw, EVENT_ROW))

    def swept(self) -> SweptMass | None:
        """Return what was swept in the bars at hand, bin by bin; None where it was not listed."""
        if self._swept is None:
            return None
        rows = self._swept[: int(self.map.arrays.head.listed[0])]
        start = np.searchsorted(rows.bar, np.arange(self.first, self.bar + 1))
        prices = np.exp(rows.bin * self.map.bin_width)
        return SweptMass(*(_column(values) for values in (start, prices, rows.side, rows.mass)))

    @property
    def event_count(self) -> int:
        """Events of the bars at hand."""
        return self._used

    def tape(self) -> Tape:
        """Return what the bars have given, where they are all at hand: nothing was let go of."""
        closes = self._closes[: len(self._shots)]
        return Tape(
            dataset=self.dataset,
            settings=self.settings,
            events=self.events(),
            market_bars=self.market_bars(),
            snapshots=_snapshots(self.dataset.bars, closes, self._shots, self.map.bin_width),
            notes=(*self.dataset.notes, *self.feed.notes),
            swept=self.swept(),
        )

    @property
    def liquidity(self) -> tuple[FloatArray, FloatArray]:
        """Long volatility and average volume of a bar, as known before it: live columns, zero where not yet taken."""
        return self._findings.market[VOL_LONG], self._findings.market[VOLUME]

    def market_bars(self, since: int | None = None) -> dict[str, npt.NDArray[Any]]:
        """Return what the pass added to the bars at hand that were taken, columns of ``tables.MARKET_BARS``.

        ``since`` is the number of the first of these bars, that of the first at hand if left out.
        """
        begin = self.first if since is None else since
        done = self._findings.market[:, begin - self._window : self.bar - self._window]
        columns = {name: done[row] for name, row in _ROWS.items()} | {"channel": done[TESTED].astype(np.int64)}
        for column in columns.values():
            column.setflags(write=False)
        return {name: columns[name] for name in MARKET_BARS}


def _lookback(settings: MarketSettings) -> int:
    """Return how many bars before the next one the kernels look back at."""
    return max(2 * settings.pivot_bars, settings.exhaust_bars, 1)


def _columns(bars: Bars) -> BarColumns:
    return BarColumns(
        bars.ts,
        bars.open,
        bars.high,
        bars.low,
        bars.close,
        bars.volume,
        bars.high if bars.mark_high is None else bars.mark_high,
        bars.low if bars.mark_low is None else bars.mark_low,
    )


def _plain(span: Span) -> dict[str, Any]:
    return {"start": span.start, "price": span.price, "end": span.end}


def _longer(rows: Records, more: int) -> Records:
    return np.concatenate((rows, records(rows.dtype, more))).view(np.recarray)


def _raw(rows: Records) -> npt.NDArray[np.void]:
    """Return the same records as so many bytes each: numpy copies those at once, and records field by field."""
    raw: npt.NDArray[np.void] = rows.view(f"V{rows.itemsize}", np.ndarray)
    return raw


def _column(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    column: npt.NDArray[Any] = np.ascontiguousarray(values)
    column.setflags(write=False)
    return column


def _averages(settings: MarketSettings) -> Records:
    averages = records(AVERAGES, 1)
    averages.atr_bars, averages.volume_bars = settings.atr_bars, settings.volume_bars
    averages.short_bars, averages.long_bars = settings.vol_short_bars, settings.vol_long_bars
    averages.momentum_bars = settings.momentum_bars
    return averages


def _structure(settings: MarketSettings) -> Structure:
    pivots, channel, void = records(PIVOTS, 1), records(CHANNEL, 1), records(VOID, 1)
    pivots.bars = settings.pivot_bars if settings.pivots == "bars" else 0
    pivots.reversal = settings.reversal_atr
    channel.bars = settings.channel_bars
    channel.sigmas, channel.min_touches, channel.touch = (
        settings.channel_sigmas,
        settings.channel_touches,
        settings.touch_atr,
    )
    channel.min_contained, channel.max_age = settings.channel_containment, settings.channel_age
    channel.min_width, channel.max_width = settings.channel_min_atr, settings.channel_max_atr
    channel.break_by, channel.break_closes = settings.break_atr, settings.break_closes
    channel.watch, channel.align = settings.fakeout_bars, settings.align_atr
    void.reach, void.most, void.window = settings.void_atr, settings.void_mass, settings.exhaust_bars
    void.swept_min, void.flow_max, void.dry_bars = (
        settings.exhaust_swept,
        settings.exhaust_flow,
        settings.exhaust_dry_bars,
    )
    void.decay, void.vol_ratio = settings.exhaust_momentum, settings.exhaust_vol
    size = 1 << (max(settings.channel_bars, settings.momentum_bars) + 1).bit_length()
    queue = np.zeros((2, size), np.int64) if settings.channel == "donchian" else None
    levels = np.zeros(RING) if settings.channel == "pivot" else None
    return Structure(pivots, channel, void, np.zeros((3, 2 * size)), queue, levels)


def _limits(settings: MarketSettings) -> Records:
    limits = records(LIMITS, 1)
    limits.on, limits.off, limits.valley = settings.zone_on, settings.zone_off, settings.zone_valley
    limits.bridge = settings.zone_bridge
    limits.min_mass, limits.min_coverage = settings.zone_min_mass, settings.min_coverage
    limits.reach = int(settings.reach / (settings.bin_bps * 1e-4))
    limits.near_atr, limits.swept_share = settings.near_atr, settings.swept_share
    limits.flow_min = settings.flow_min
    return limits


@dataclass(frozen=True, slots=True, eq=False)
class Tape:
    """Bars with their events, and the map now and then: made once, traded many times."""

    dataset: Dataset
    settings: MarketSettings
    events: Events
    market_bars: dict[str, npt.NDArray[Any]]
    snapshots: MapSnapshots
    notes: tuple[str, ...]
    """What a reader of any result must be told."""
    swept: SweptMass | None = None
    """What was swept in each bar, bin by bin, where ``log_swept`` asked for it."""

    @property
    def bars(self) -> Bars:
        """The bars that the tape was made of."""
        return self.dataset.bars

    def cut(self, first: int, stop: int) -> Tape:
        """Return what bars ``first`` to ``stop - 1`` saw, their numbers counted from ``first``; the map is not in it.

        By causality its events are what a market pass up to its last bar would have made.
        """
        bars = self.bars.between(int(self.bars.ts[first]), int(self.bars.close_ts[stop - 1]))
        events = self.events[slice(*np.searchsorted(self.events.bar, (first, stop)))]
        return replace(
            self,
            dataset=replace(self.dataset, bars=bars),
            events=events.replace(bar=events.bar - first),
            market_bars={name: column[first:stop] for name, column in self.market_bars.items()},
            snapshots=_snapshots(bars, np.empty(0, np.int64), [], self.snapshots.bin_width),
            swept=None if self.swept is None else self.swept.cut(first, stop),
        )

    @property
    def coverage(self) -> float:
        """Located share of open interest at the last bar, mean of longs and shorts."""
        return float(self.market_bars["coverage_long"][-1] + self.market_bars["coverage_short"][-1]) / 2

    @property
    def implied_liquidation_rate(self) -> float | None:
        """Swept mass of the liquidation layers per day as a share of open interest, mean of longs and shorts.

        Over the bars with a quarter of open interest located or more, since an empty map sweeps nothing; None where
        there are none. Public maps imply 5 to 20% a day, liquidation prints say about 1%: a run outside .2 to 3% says
        so.
        """
        swept, bars = liquidated(self.market_bars, self.market_bars["oi"][0])
        return swept / (bars * self.bars.interval / DAY) if bars else None


def liquidated(market: Mapping[str, npt.NDArray[Any]], before: float) -> tuple[float, int]:
    """Return the swept shares of open interest, summed over the bars that tell them, and how many these are.

    Parameters
    ----------
    market
        Columns of ``tables.MARKET_BARS`` of some bars.
    before
        Open interest at the close before them.
    """
    was = np.concatenate(([before], market["oi"][:-1]))  # what there was to be swept
    known = (market["coverage_long"] + market["coverage_short"] >= 0.5) & (market["oi"] > 0) & (was > 0)
    swept = (market["swept_long_liq"] + market["swept_short_liq"])[known] / 2 / was[known]
    return float(swept.sum()), int(np.count_nonzero(known))


def make_tape(
    dataset: Dataset,
    settings: MarketSettings | None = None,
    *,
    snapshots: int = 1000,
    progress: Callable[[int], None] | None = None,
    told: Callable[[dict[str, npt.NDArray[Any]]], None] | None = None,
    log_swept: bool = False,
) -> Tape:
    """Take the market through all bars.

    Parameters
    ----------
    dataset, settings, snapshots, log_swept
        As :class:`MarketPass` takes them.
    progress
        Called with the number of bars done, now and then.
    told
        Called with what the pass added to the bars done since, columns of ``tables.MARKET_BARS``: ``tables.GROUP`` bars
        at a time, fewer at the end.
    """
    market = MarketPass(dataset, settings, snapshots=snapshots, log_swept=log_swept)
    total = len(dataset.bars)
    while market.bar < total:
        begin = market.bar
        market.advance(begin + GROUP)
        if told is not None:
            told(market.market_bars(begin))
        if progress is not None:
            progress(market.bar)
    return market.tape()


@dataclass(frozen=True, slots=True)
class _Shot:
    """The map at one close, in the bins that held mass."""

    first: int
    mass: npt.NDArray[np.float32]
    oi: float

    @classmethod
    def of(cls, now: LiquidationMap) -> _Shot:
        first, held = now.held()
        mass = held.astype(np.float32)
        some = np.flatnonzero(mass.any(axis=0))
        begin, end = (int(some[0]), int(some[-1]) + 1) if len(some) else (0, 0)
        return cls(first + begin, mass[:, begin:end], now.open_interest)


def _snapshots(bars: Bars, closes: IntArray, shots: list[_Shot], width: float) -> MapSnapshots:
    """Put snapshots onto one grid: the bins that ever held mass."""
    held = [(shot.first, shot.first + shot.mass.shape[1]) for shot in shots if shot.mass.size]
    lowest, end = min((h[0] for h in held), default=0), max((h[1] for h in held), default=1)
    stack = np.zeros((len(shots), len(LAYERS), end - lowest), dtype=np.float32)
    for row, shot in zip(stack, shots, strict=True):
        row[:, shot.first - lowest : shot.first - lowest + shot.mass.shape[1]] = shot.mass
    return MapSnapshots(
        bar=closes,
        ts=bars.close_ts[closes],
        bins=np.arange(lowest, end),
        bin_width=width,
        mass=stack,
        oi=np.array([shot.oi for shot in shots]),
    )
