"""Open-interest stamps by bar: the published ones, or a guess from volume; of all bars at once or chunk by chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from forcedflow.data.times import DAY
from forcedflow.kernels import records
from forcedflow.kernels.liquidation_map import SPREAD_BARS, STAMP
from forcedflow.kernels.stamps import note_stamps
from forcedflow.kernels.structure import half_life_average
from forcedflow.kernels.tiers import Tiered
from forcedflow.settings import MarketSettings

if TYPE_CHECKING:
    from forcedflow.data.bars import Bars
    from forcedflow.data.series import OpenInterest
    from forcedflow.kernels import FloatArray, Records

__all__ = ["StampFeed", "estimate_open_interest", "stamps_of"]

_WAITING = np.dtype([("value", "f8"), ("bar", "i8"), ("available_at", "i8")], align=True)
_note_stamps: Final = Tiered(note_stamps)
_DAYS = np.dtype([("start", "i8"), ("day", "i8"), ("bars", "i8"), ("most", "i8")], align=True)


class StampFeed:
    """The stamps of one venue. All that is carried from a chunk to the next lies in the arrays of :attr:`state`."""

    def __init__(self, settings: MarketSettings, *, sessions: bool) -> None:
        self._settings, self._sessions = settings, sessions
        self._waiting = records(_WAITING, 0)  # they describe bars of chunks so far and are known in a later one
        self._carried = np.zeros(2)  # of the average of volume
        self._days = records(_DAYS, 1)  # of a market with sessions: bars in the running day, most in any so far

    def take(self, oi: OpenInterest | None, bars: Bars, first: int) -> Records:
        """Return the stamps that become known in the bars that come next, ``STAMP`` rows in the order of settlement.

        Parameters
        ----------
        oi
            At least the values stamped from the close of the first bar to one interval after the close of the last.
            Without it open interest is estimated.
        bars, first
            The bars, and the number of the first of them.
        """
        return self._estimated(bars, first) if oi is None else self._published(oi, bars, first)

    def _published(self, oi: OpenInterest, bars: Bars, first: int) -> Records:
        rows, at = oi.rows_at_closes(bars)
        old = self._waiting
        before = np.searchsorted(bars.ts, old.available_at - bars.interval)
        before = np.maximum.accumulate(before)  # stamps are settled in their order
        stamps = records(STAMP, len(old) + len(rows))
        waited, new = stamps[: len(old)], stamps[len(old) :]
        waited.value, waited.bar, waited.known = old.value, old.bar, first + before
        known = int(before[-1]) if len(old) else 0
        usable = int(np.searchsorted(before, len(bars)))
        usable += _note_stamps.call(
            len(new), oi.value, oi.available_at, rows, at, bars.ts, bars.interval, first, known, new
        )
        later = stamps[usable:]
        self._waiting = records(_WAITING, len(later))
        self._waiting.value, self._waiting.bar = later.value, later.bar
        again = old.available_at[usable:]
        self._waiting.available_at[: len(again)] = again
        self._waiting.available_at[len(again) :] = oi.available_at[rows[max(usable - len(old), 0) :]]
        return stamps[:usable]

    def _estimated(self, bars: Bars, first: int) -> Records:
        per_day = self._bars_per_day(bars, first)
        average = np.empty(len(bars))
        half_life_average(bars.volume, self._settings.oi_halflife_days * per_day, self._carried, average)
        stamps = records(STAMP, len(bars))
        stamps.value = average * per_day * self._settings.oi_turnover
        stamps.bar = stamps.known = np.arange(first, first + len(bars))
        return stamps

    def _bars_per_day(self, bars: Bars, first: int) -> FloatArray:
        """Return, at each bar, how many bars a day has: of a market with sessions, the most seen within one day so far.

        Only bars up to each one count, so on the first day it grows with the volume seen.
        """
        if not self._sessions:
            return np.full(len(bars), DAY / bars.interval)
        days = self._days[0]
        if first == 0:
            days.start = bars.ts[0]
        day = (bars.ts - days.start) // DAY
        within = np.arange(len(bars)) - np.searchsorted(day, day) + 1.0
        within[day == days.day] += days.bars
        most: FloatArray = np.maximum(np.maximum.accumulate(within), days.most)
        days.day, days.bars, days.most = day[-1], within[-1], most[-1]
        return most

    def still_needed(self, settled: int, end: int) -> int:
        """Return how many of the bars before ``end`` a stamp of a later chunk may look back at.

        ``settled`` is the bar of the last stamp, -1 where there is none.
        """
        described = int(self._waiting.bar[0]) if len(self._waiting) else end
        since = max(settled, described - SPREAD_BARS) if settled >= 0 else described
        return end - since

    @property
    def state(self) -> dict[str, Records]:
        """What a checkpoint keeps, by name."""
        return {"waiting": self._waiting, "carried": self._carried, "days": self._days}

    @state.setter
    def state(self, saved: dict[str, Records]) -> None:
        self._waiting, self._carried, self._days = saved["waiting"], saved["carried"], saved["days"]


def stamps_of(oi: OpenInterest, bars: Bars) -> Records:
    """Return the stamps that fall on bars of the replay: the close each describes, and the close at which it is known.

    A stamp up to one interval after a close describes that close (publishers are late by seconds); where the
    series is finer than the bars, the first at or after each close is taken.
    """
    return StampFeed(MarketSettings(), sessions=False).take(oi, bars, 0)


def estimate_open_interest(bars: Bars, settings: MarketSettings, *, sessions: bool) -> Records:
    """Return open interest guessed from volume: so many days of its slow average; every output says that it is a guess.

    A share of an average of past volume, the current bar's included, known at its close.
    """
    return StampFeed(settings, sessions=sessions).take(None, bars, 0)
