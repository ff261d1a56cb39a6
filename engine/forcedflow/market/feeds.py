"""From a dataset to what the map's kernels take: open interest by bar, thresholds and margin changes by bin."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from forcedflow.errors import SettingsError, VenueError
from forcedflow.kernels import records
from forcedflow.kernels.liquidation_map import (
    CHANGE,
    HEAD,
    MAX_STOPS,
    MAX_TIERS,
    NO_HIGH,
    NO_LOW,
    STAMP,
    STOP_ATR,
    STOP_ROUND,
    STOP_SWING,
    VENUE,
    MapArrays,
)
from forcedflow.kernels.stamps import path_needed
from forcedflow.kernels.tiers import Tiered
from forcedflow.market.stamps import StampFeed
from forcedflow.venues import load_profile, load_venue, schedule_changes, thresholds

if TYPE_CHECKING:
    from forcedflow.data.series import Dataset, Span, VenueData
    from forcedflow.kernels import IntArray, Record, Records
    from forcedflow.settings import MarketSettings
    from forcedflow.venues import Profile, Thresholds

__all__ = ["Feed"]

_path_needed: Final = Tiered(path_needed)
_STOPS = ("stops", "stop_kind", "stop_share", "stop_value", "stop_beyond")
_GIVEN = ("inverse", "face", "tiers", "offsets", "weights", *_STOPS)
"""Fields of a venue that are given with its contract and holders."""
_STOP_KINDS = {"atr": STOP_ATR, "round": STOP_ROUND, "swing": STOP_SWING}


@dataclass(frozen=True, slots=True)
class Feed:
    """A dataset made ready for the market pass, all at once or chunk by chunk."""

    arrays: MapArrays
    """The map before its first bar."""
    room_below: float
    """How far below price the grid must reach, bins."""
    room_above: float
    session_hours: float
    """Trading time of one bar where the market has sessions; 0 where it never closes."""
    notes: tuple[str, ...]
    """What a reader of any result must be told about venues and holders."""
    stamps: tuple[StampFeed, ...]
    """Of each venue."""
    digest: str
    """sha256 of contracts, thresholds and stops before the first bar."""
    changes_at: IntArray
    """When each of the margin changes takes effect, ns UTC."""
    more: bool
    """Whether bars follow on those of the dataset, so that the map must remember its path for them."""

    @classmethod
    def of(cls, dataset: Dataset, settings: MarketSettings, span: Span | None = None) -> Feed:
        """Gather open interest, thresholds, stops and margin changes of every venue.

        Parameters
        ----------
        dataset, settings
            As the market pass takes them.
        span
            Of all the data where the dataset holds its first bars only; others come by :meth:`follow`.

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
        whole = span or dataset.span
        sessions = dataset.calendar == "sessions"
        venues = records(VENUE, len(dataset.venues))
        changes: list[Records] = []
        times: list[int] = []
        notes: list[str] = []
        for data, venue in zip(dataset.venues, venues, strict=True):
            profile = load_profile(settings.profile or data.profile)
            venue.next_change = len(times)
            changes.append(_rules(venue, data, profile, whole, width, notes, times))
            venue.end_change = len(times)
            _stops(venue, profile, width)
            if not bars.volume.any():
                notes.append("no volume: fuel and ForcedFlow are undefined, and open interest cannot be estimated")
            notes.extend(_in_sample(profile, whole))
        below, above = _room(venues, changes)
        feed = cls(
            arrays=_arrays(settings, venues, changes, whole.price, below, above),
            room_below=below,
            room_above=above,
            session_hours=bars.interval / 3.6e12 if sessions else 0.0,
            notes=tuple(notes),
            stamps=tuple(StampFeed(settings, sessions=sessions) for _ in dataset.venues),
            digest=hashlib.sha256(b"".join(venues[name].tobytes() for name in _GIVEN)).hexdigest(),
            changes_at=np.array(times, np.int64),
            more=span is not None,
        )
        return replace(feed, arrays=feed.follow(feed.arrays, dataset, 0))

    def follow(self, arrays: MapArrays, dataset: Dataset, first: int) -> MapArrays:
        """Return the map with what becomes known in the bars that come next, ``first`` the number of the first of them.

        Its path is remembered for as many bars as the stamps need, those of a later chunk too.
        """
        bars, end = dataset.bars, first + len(dataset.bars)
        known: list[Records] = []
        lag, begin = 1, 0
        for data, venue, feed in zip(dataset.venues, arrays.venues, self.stamps, strict=True):
            stamps = feed.take(data.open_interest, bars, first)
            settled = int(venue.settled)
            lag = max(lag, _path_needed.call(len(stamps), stamps, settled))
            if self.more:
                lag = max(lag, feed.still_needed(int(stamps.bar[-1]) if len(stamps) else settled, end))
            venue.next_stamp, venue.end_stamp = begin, begin + len(stamps)
            begin += len(stamps)
            known.append(stamps)
            ahead = slice(int(venue.next_change), int(venue.end_change))
            # The first bar that lies under a change as a whole; where it is none of these, the next chunk tells.
            arrays.changes.bar[ahead] = first + np.searchsorted(bars.ts, self.changes_at[ahead])
        ring = 1 << int(np.ceil(np.log2(lag + 1)))
        if ring > arrays.path.shape[0]:
            then, now = _moved_slots(first, arrays.path.shape[0], ring)
            flows, path = np.zeros((*arrays.flows.shape[:2], ring)), np.zeros((ring, arrays.path.shape[1]))
            flows[:, :, now], path[now] = arrays.flows[:, :, then], arrays.path[then]
            arrays = arrays._replace(flows=flows, path=path)
        stamps = known[0] if len(known) == 1 else np.concatenate(known).view(np.recarray)
        return arrays._replace(stamps=stamps)


def _rules(
    venue: Record, data: VenueData, profile: Profile, span: Span, width: float, notes: list[str], times: list[int]
) -> Records:
    """Fill in a venue's contract and first thresholds; return its margin changes within the span, their times too."""
    rule = load_venue(data.venue)
    if data.contract != rule.contract:
        wrong = f"{data.venue} has {rule.contract} contracts, the dataset says {data.contract}"
        raise VenueError(f"{wrong}: set contract = {rule.contract!r}")
    venue.inverse, venue.face = int(data.contract == "inverse"), rule.symbol(data.symbol).face
    venue.scale[:] = 1.0
    venue.low[:], venue.high[:] = NO_LOW, NO_HIGH
    venue.settled = -1
    first = thresholds(profile, data.venue, data.symbol, span.start, reference_entry=span.price)
    _thresholds(venue, first, width)
    assumed = first.assumed
    found = schedule_changes(profile, data.venue, data.symbol, span.start, span.end, reference_entry=span.price)
    changes = records(CHANGE, len(found))
    for change, record in zip(found, changes, strict=True):
        times.append(change.at)
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


def _in_sample(profile: Profile, span: Span) -> list[str]:
    """Return a note where a profile was fitted on data that the replay sees."""
    window = profile.fitted_window
    if window is None:
        return []
    start, end = (int(t.timestamp() * 1e9) for t in (window.start, window.end))
    if end <= span.start or start >= span.end:
        return []
    return [f"profile {profile.name} was fitted on data that this run replays: in-sample"]


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
    changes: list[Records],
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
    stored: npt.NDArray[np.float64] = np.zeros((len(venues), 4, bins))
    return MapArrays(
        head=head,
        venues=venues,
        stored=stored,
        flows=np.zeros((len(venues), 2, 1)),
        path=np.zeros((1, 5)),
        stamps=records(STAMP, 0),
        changes=np.concatenate(changes).view(np.recarray),
    )


def _moved_slots(end: int, old: int, new: int) -> tuple[IntArray, IntArray]:
    """Return where a ring of ``old`` slots holds what it remembers of bars before ``end``, and where a larger does."""
    bars = np.arange(max(end - old, 0), end)
    return bars & (old - 1), bars & (new - 1)
