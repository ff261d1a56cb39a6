"""From a dataset to what the map's kernels take: open interest by bar, thresholds and margin changes by bin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from forcedflow.data.times import DAY
from forcedflow.errors import SettingsError, VenueError
from forcedflow.kernels import records
from forcedflow.kernels.liquidation_map import (
    CHANGE,
    HEAD,
    MAX_STOPS,
    MAX_TIERS,
    NO_HIGH,
    NO_LOW,
    SPREAD_BARS,
    STAMP,
    STOP_ATR,
    STOP_ROUND,
    STOP_SWING,
    VENUE,
    MapArrays,
)
from forcedflow.kernels.structure import half_life_average
from forcedflow.venues import load_profile, load_venue, schedule_changes, thresholds

if TYPE_CHECKING:
    from forcedflow.data.bars import Bars
    from forcedflow.data.series import Dataset, OpenInterest, VenueData
    from forcedflow.kernels import FloatArray, Record, Records
    from forcedflow.settings import MarketSettings
    from forcedflow.venues import Profile, Thresholds

__all__ = ["Feed", "estimate_open_interest", "stamps_of"]

_STOP_KINDS = {"atr": STOP_ATR, "round": STOP_ROUND, "swing": STOP_SWING}


def stamps_of(oi: OpenInterest, bars: Bars) -> Records:
    """Return the stamps that fall on bars of the replay: the close each describes, and the close at which it is known.

    A stamp up to one interval after a close describes that close (publishers are late by seconds); where the
    series is finer than the bars, the first at or after each close is taken.
    """
    oi = oi.at_closes(bars)
    closes = bars.close_ts
    bar = np.searchsorted(closes, oi.stamp, side="right") - 1
    known = np.maximum.accumulate(np.searchsorted(closes, oi.available_at))  # stamps are settled in their order
    usable = known < len(closes)
    stamps = records(STAMP, int(usable.sum()))
    stamps.value, stamps.bar, stamps.known = oi.value[usable], bar[usable], known[usable]
    return stamps


def estimate_open_interest(bars: Bars, settings: MarketSettings, *, sessions: bool) -> Records:
    """Return open interest guessed from volume: so many days of its slow average; every output says that it is a guess.

    A share of an average of past volume, the current bar's included, known at its close.
    """
    per_day = _bars_per_day(bars, sessions=sessions)
    average = np.empty(len(bars))
    half_life_average(bars.volume, settings.oi_halflife_days * per_day, average)
    stamps = records(STAMP, len(bars))
    stamps.value = average * per_day * settings.oi_turnover
    stamps.bar = stamps.known = np.arange(len(bars))
    return stamps


def _bars_per_day(bars: Bars, *, sessions: bool) -> FloatArray:
    """Return, at each bar, how many bars a day has: of a market with sessions, the most seen within one day so far.

    Only bars up to each one count, so on the first day it grows with the volume seen.
    """
    if not sessions:
        return np.full(len(bars), DAY / bars.interval)
    day = (bars.ts - bars.ts[0]) // DAY
    within = np.arange(len(bars)) - np.searchsorted(day, day) + 1.0
    most: FloatArray = np.maximum.accumulate(within)
    return most


@dataclass(frozen=True, slots=True)
class Feed:
    """A dataset made ready for the market pass."""

    arrays: MapArrays
    room_below: float
    """How far below price the grid must reach, bins."""
    room_above: float
    session_hours: float
    """Trading time of one bar where the market has sessions; 0 where it never closes."""
    notes: tuple[str, ...]
    """What a reader of any result must be told about venues and holders."""

    @classmethod
    def of(cls, dataset: Dataset, settings: MarketSettings) -> Feed:
        """Gather open interest, thresholds, stops and margin changes of every venue.

        Raises
        ------
        VenueError
            Where there is no venue, where it has no rule for the symbol, or the profile's positions cannot exist there.
        SettingsError
            Where a profile has more tiers or stops than the map takes.
        """
        if not dataset.venues:
            raise VenueError(f"dataset {dataset.name} has no venue: name one, whose rule and holders make the map")
        bars, width = dataset.bars, settings.bin_bps * 1e-4
        sessions = dataset.calendar == "sessions"
        venues = records(VENUE, len(dataset.venues))
        stamps: list[Records] = []
        changes: list[Records] = []
        notes: list[str] = []
        for data, venue in zip(dataset.venues, venues, strict=True):
            profile = load_profile(settings.profile or data.profile)
            venue.next_change = sum(map(len, changes))
            changes.append(_rules(venue, data, profile, bars, width, notes))
            venue.end_change = sum(map(len, changes))
            venue.next_stamp = sum(map(len, stamps))
            if data.open_interest is None:
                stamps.append(estimate_open_interest(bars, settings, sessions=sessions))
            else:
                stamps.append(stamps_of(data.open_interest, bars))
            venue.end_stamp = sum(map(len, stamps))
            _stops(venue, profile, width)
            if not bars.volume.any():
                notes.append("no volume: fuel and ForcedFlow are undefined, and open interest cannot be estimated")
            notes.extend(_in_sample(profile, bars))
        lag = max(_memory(s) for s in stamps)
        below, above = _room(venues, changes)
        return cls(
            arrays=_arrays(settings, venues, stamps, changes, lag, bars.close[0], below, above),
            room_below=below,
            room_above=above,
            session_hours=bars.interval / 3.6e12 if sessions else 0.0,
            notes=tuple(notes),
        )


def _rules(venue: Record, data: VenueData, profile: Profile, bars: Bars, width: float, notes: list[str]) -> Records:
    """Fill in a venue's contract and first thresholds; return its margin changes within the bars."""
    rule = load_venue(data.venue)
    if data.contract != rule.contract:
        wrong = f"{data.venue} has {rule.contract} contracts, the dataset says {data.contract}"
        raise VenueError(f"{wrong}: set contract = {rule.contract!r}")
    venue.inverse, venue.face = int(data.contract == "inverse"), rule.symbol(data.symbol).face
    venue.scale[:] = 1.0
    venue.low[:], venue.high[:] = NO_LOW, NO_HIGH
    venue.settled = -1
    start, end = int(bars.ts[0]), int(bars.close_ts[-1])
    first = thresholds(profile, data.venue, data.symbol, start, reference_entry=float(bars.close[0]))
    _thresholds(venue, first, width)
    assumed = first.assumed
    found = schedule_changes(profile, data.venue, data.symbol, start, end, reference_entry=float(bars.close[0]))
    changes = records(CHANGE, len(found))
    for change, record in zip(found, changes, strict=True):
        record.bar = int(np.searchsorted(bars.ts, change.at))  # the first bar that lies under it as a whole
        _thresholds(record, change.thresholds, width)
        assumed |= change.thresholds.assumed
        if change.shift_long is None or change.shift_short is None:
            notes.append(f"{data.venue}: a change of margin rules within the data applies to new positions only")
        record.shift[:] = (change.shift_long or 0.0) / width, (change.shift_short or 0.0) / width
    if first.capped > 0:
        share = f"{first.capped:.0%} of the profile's holders use more leverage than {data.venue} allows"
        notes.append(f"{share}: they are taken at the highest allowed")
    if assumed:
        notes.append(f"{data.venue} {data.symbol}: margin brackets are assumed")
    return changes


def _thresholds(record: Record, given: Thresholds, width: float) -> None:
    """Write offsets in bins, and weights as the sum of each tier and all beyond it."""
    sides = ((given.long_offsets, given.long_weights), (given.short_offsets, given.short_weights))
    for side, (offsets, weights) in enumerate(sides):
        if len(offsets) > MAX_TIERS:
            raise SettingsError(f"profile {given.profile}: {len(offsets)} tiers, the map takes {MAX_TIERS}")
        record.tiers[side] = len(offsets)
        record.offsets[side, : len(offsets)] = offsets / width
        record.weights[side, : len(weights)] = np.cumsum(weights[::-1])[::-1]
        record.weights[side, 0] = 1.0


def _stops(venue: Record, profile: Profile, width: float) -> None:
    if len(profile.stops) > MAX_STOPS:
        raise SettingsError(f"profile {profile.name}: {len(profile.stops)} kinds of stops, the map takes {MAX_STOPS}")
    venue.stops = len(profile.stops)
    for s, stop in enumerate(profile.stops):
        venue.stop_kind[s], venue.stop_share[s] = _STOP_KINDS[stop.kind], stop.share
        if stop.kind == "atr":
            venue.stop_value[s] = stop.multiple
        else:
            venue.stop_beyond[s] = stop.beyond_bps * 1e-4 / width
            venue.stop_value[s] = stop.step if stop.kind == "round" else 0.0


def _in_sample(profile: Profile, bars: Bars) -> list[str]:
    """Return a note where a profile was fitted on data that the replay sees."""
    window = profile.fitted_window
    if window is None:
        return []
    start, end = (int(t.timestamp() * 1e9) for t in (window.start, window.end))
    if end <= bars.ts[0] or start >= bars.close_ts[-1]:
        return []
    return [f"profile {profile.name} was fitted on data that this run replays: in-sample"]


def _memory(stamps: Records) -> int:
    """Return over how many bars the map must remember its path: from a stamp to where the next one is known."""
    if len(stamps) == 0:
        return 1
    since = np.concatenate((stamps.bar[:1], stamps.bar[:-1]))
    return int((stamps.known - np.maximum(since, stamps.bar - SPREAD_BARS)).max()) + 1


def _room(venues: Records, changes: list[Records]) -> tuple[float, float]:
    """Return how far from price mass can lie, below and above, whatever margin changes are still to come, bins."""
    offsets = [venues.offsets, *(c.offsets for c in changes)]
    shift = sum(float(np.abs(c.shift).sum()) for c in changes)
    lowest = min(float(o[:, 0].min(initial=0.0)) for o in offsets)
    highest = max(float(o[:, 1].max(initial=0.0)) for o in offsets)
    return shift - lowest + 2.0, shift + highest + 2.0


def _arrays(
    settings: MarketSettings,
    venues: Records,
    stamps: list[Records],
    changes: list[Records],
    lag: int,
    price: float,
    below: float,
    above: float,
) -> MapArrays:
    width = settings.bin_bps * 1e-4
    head = records(HEAD, 1)
    head.width, head.hazard = width, settings.hazard_per_hour
    head.entry_points, head.share = settings.entry_points, 1.0
    head.swing[:] = np.nan
    position = np.log(price) / width
    head.position = position
    margin = 0.1 / width  # room for price to move before the grid has to grow
    head.first = int(position - below - margin)
    bins = int(below + above + 2 * margin)
    ring = 1 << int(np.ceil(np.log2(lag + 1)))
    stored: npt.NDArray[np.float64] = np.zeros((len(venues), 4, bins))
    return MapArrays(
        head=head,
        venues=venues,
        stored=stored,
        flows=np.zeros((len(venues), 2, ring)),
        path=np.zeros((ring, 5)),
        stamps=np.concatenate(stamps).view(np.recarray),
        changes=np.concatenate(changes).view(np.recarray),
    )
