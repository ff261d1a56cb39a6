"""The map as an explicit list of position cohorts: slow, and close to the words of the design.

A cohort is some mass with one threshold. With ``snap`` it is split between the two bins around the threshold, as the
map does; without, the threshold stays where it is, and the map must converge to this list as bins shrink.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from forcedflow.venues import load_profile, load_venue, schedule_changes, thresholds

if TYPE_CHECKING:
    from forcedflow.data.series import Dataset, VenueData
    from forcedflow.settings import MarketSettings
    from forcedflow.venues import Thresholds

LONG, SHORT = 0, 1
LIQUIDATION, STOP = 0, 1
HOUR = 3_600_000_000_000

Tiers = tuple[list[tuple[float, float]], list[tuple[float, float]]]
"""Of longs and of shorts: offset in bins and weight."""


@dataclass
class Cohort:
    side: int
    kind: int
    node: float  # bins; a liquidation's as it was before the margin changes that are summed in its venue's origin
    mass: float

    @property
    def layer(self) -> int:
        return 2 * self.kind + self.side


@dataclass
class Stamp:
    value: float
    bar: int
    known: int


def crossed(position: float, reached: float, side: int) -> bool:
    return position >= reached if side == LONG else position <= reached


def stamps_of(dataset: Dataset, data: VenueData) -> list[Stamp]:
    """For each bar the first value stamped from its close until the next could close; known when published."""
    closes = [int(c) for c in dataset.bars.close_ts]
    assert data.open_interest is not None
    oi = data.open_interest
    rows = [(int(s), int(a), float(v)) for s, a, v in zip(oi.stamp, oi.available_at, oi.value, strict=True)]
    found = []
    known = 0
    for bar, close in enumerate(closes):
        here = [row for row in rows if close <= row[0] < close + dataset.bars.interval]
        if here:
            _, available, value = here[0]
            known = max(known, sum(c < available for c in closes))  # in order: none is settled before an earlier one
            found.append(Stamp(value, bar, known))
    return found


def estimated(dataset: Dataset, settings: MarketSettings) -> list[Stamp]:
    """So many days of average volume, where a day has as many bars as the fullest so far had, known at each close."""
    bars = dataset.bars
    found = []
    per_day = [24 * HOUR / bars.interval] * len(bars)
    if dataset.calendar == "sessions":
        days = [int((ts - bars.ts[0]) // (24 * HOUR)) for ts in bars.ts]
        per_day = [float(max(days[: i + 1].count(day) for day in set(days[: i + 1]))) for i in range(len(bars))]
    for i in range(len(bars)):
        weights = [
            math.prod(0.5 ** (1.0 / (settings.oi_halflife_days * per_day[j])) for j in range(k + 1, i + 1))
            for k in range(i + 1)
        ]
        volume = math.fsum(w * float(v) for w, v in zip(weights, bars.volume[: i + 1], strict=True)) / math.fsum(
            weights
        )
        found.append(Stamp(volume * per_day[i] * settings.oi_turnover, i, i))
    return found


def _tiers(given: Thresholds, width: float) -> Tiers:
    longs = [(float(o) / width, float(w)) for o, w in zip(given.long_offsets, given.long_weights, strict=True)]
    shorts = [(float(o) / width, float(w)) for o, w in zip(given.short_offsets, given.short_weights, strict=True)]
    return longs, shorts


@dataclass
class NaiveVenue:
    inverse: bool
    face: float
    tiers: Tiers
    changes: list[tuple[int, tuple[float, float], Tiers]]  # bar, shift in bins, tiers
    stops: list[tuple[str, float, float, float]]  # kind, share, value, beyond in bins
    stamps: list[Stamp]
    cohorts: list[Cohort] = field(default_factory=list)
    origin: list[float] = field(default_factory=lambda: [0.0, 0.0])
    unlocated: list[float] = field(default_factory=lambda: [0.0, 0.0])
    settled: Stamp | None = None
    flows: list[dict[int, float]] = field(default_factory=lambda: [defaultdict(float), defaultdict(float)])
    added: list[float] = field(default_factory=lambda: [0.0] * 4)
    swept: list[float] = field(default_factory=lambda: [0.0] * 4)
    faded: list[float] = field(default_factory=lambda: [0.0] * 4)
    opened: list[float] = field(default_factory=lambda: [0.0, 0.0])

    @classmethod
    def of(cls, dataset: Dataset, data: VenueData, settings: MarketSettings) -> NaiveVenue:
        bars, width = dataset.bars, settings.bin_bps * 1e-4
        profile = load_profile(settings.profile or data.profile)
        start, end, entry = int(bars.ts[0]), int(bars.close_ts[-1]), float(bars.close[0])
        first = thresholds(profile, data.venue, data.symbol, start, reference_entry=entry)
        changes = [
            (
                sum(int(ts) < change.at for ts in bars.ts),
                ((change.shift_long or 0.0) / width, (change.shift_short or 0.0) / width),
                _tiers(change.thresholds, width),
            )
            for change in schedule_changes(profile, data.venue, data.symbol, start, end, reference_entry=entry)
        ]
        stops: list[tuple[str, float, float, float]] = []
        for stop in profile.stops:
            value = {"atr": "multiple", "round": "step"}[stop.kind]
            beyond = 0.0 if stop.kind == "atr" else stop.beyond_bps * 1e-4 / width
            stops.append((stop.kind, stop.share, float(getattr(stop, value)), beyond))
        face = load_venue(data.venue).symbol(data.symbol).face
        inverse = data.contract == "inverse"
        stamps = estimated(dataset, settings) if data.open_interest is None else stamps_of(dataset, data)
        return cls(inverse, face, _tiers(first, width), changes, stops, stamps)

    def base(self, position: float, width: float) -> float:
        return self.face / math.exp(position * width) if self.inverse else 1.0

    def held(self, side: int) -> float:
        return math.fsum(c.mass for c in self.cohorts if c.side == side)

    def pending(self, side: int, bar: int) -> float:
        if self.settled is None:
            return 0.0
        return math.fsum(self.flows[side][j] for j in range(self.settled.bar + 1, bar + 1))

    def close_voluntarily(self, side: int, share: float) -> float:
        """Every holder of a side closes ``share`` of what he has."""
        gone = share * self.unlocated[side]
        self.unlocated[side] -= gone
        for cohort in self.cohorts:
            if cohort.side == side:
                part = share * cohort.mass
                cohort.mass = cohort.mass * (1.0 - share)
                self.faded[cohort.layer] += part
                gone += part
        return gone


class NaiveMap:
    """All venues' cohorts, taken through the bars of a dataset one by one."""

    def __init__(self, dataset: Dataset, settings: MarketSettings, *, snap: bool = True) -> None:
        self.bars, self.settings, self.snap = dataset.bars, settings, snap
        self.sessions = dataset.calendar == "sessions"
        self.width = settings.bin_bps * 1e-4
        self.venues = [NaiveVenue.of(dataset, data, settings) for data in dataset.venues]
        self.burned = [0.0] * 4
        bars = dataset.bars
        self.bottom, self.top = self._positions(bars.low), self._positions(bars.high)
        self.mark_bottom = self.bottom if bars.mark_low is None else self._positions(bars.mark_low)
        self.mark_top = self.top if bars.mark_high is None else self._positions(bars.mark_high)

    def _positions(self, prices: object) -> list[float]:
        return [math.log(p) / self.width for p in prices.tolist()]  # type: ignore[attr-defined]

    def step(self, bar: int, atr: float) -> None:
        self.burned = [0.0] * 4
        for venue in self.venues:
            self._change(venue, bar)
            venue.opened = [0.0, 0.0]
            if venue.settled is not None:
                self._burn(venue, bar)
                self._fade(venue, bar)
            while venue.stamps and venue.stamps[0].known <= bar:
                self._settle(venue, venue.stamps.pop(0), bar, atr)

    def _change(self, venue: NaiveVenue, bar: int) -> None:
        while venue.changes and venue.changes[0][0] <= bar:
            _, shift, venue.tiers = venue.changes.pop(0)
            venue.origin = [venue.origin[side] + shift[side] for side in (LONG, SHORT)]

    def threshold(self, venue: NaiveVenue, cohort: Cohort) -> float:
        return cohort.node + (venue.origin[cohort.side] if cohort.kind == LIQUIDATION else 0.0)

    def _burn(self, venue: NaiveVenue, bar: int) -> None:
        survivors = []
        for cohort in venue.cohorts:
            seen = (self.mark_bottom, self.mark_top) if cohort.kind == LIQUIDATION else (self.bottom, self.top)
            at = self.threshold(venue, cohort)
            if crossed(at, seen[cohort.side][bar], cohort.side):
                venue.flows[cohort.side][bar] += cohort.mass
                venue.swept[cohort.layer] += cohort.mass
                self.burned[cohort.layer] += cohort.mass * venue.base(at, self.width)
            else:
                survivors.append(cohort)
        venue.cohorts = survivors

    def _fade(self, venue: NaiveVenue, bar: int) -> None:
        interval = self.bars.interval / HOUR
        hours = interval if self.sessions else float(self.bars.ts[bar] - self.bars.ts[max(bar - 1, 0)]) / HOUR
        for side in (LONG, SHORT):
            share = 1.0 - math.exp(-self.settings.hazard_per_hour * hours)
            venue.flows[side][bar] += venue.close_voluntarily(side, share)

    def _settle(self, venue: NaiveVenue, stamp: Stamp, bar: int, atr: float) -> None:
        """opened = d + B + V over the bars of the stamp's own interval, literally."""
        last = venue.settled
        venue.settled = stamp
        if last is None:
            venue.unlocated = [stamp.value, stamp.value]
            return
        for side in (LONG, SHORT):
            interval = range(last.bar + 1, stamp.bar + 1)
            opened = stamp.value - last.value + math.fsum(venue.flows[side][j] for j in interval)
            if opened >= 0.0:
                venue.opened[side] += opened
                self._spread(venue, side, opened, interval, bar, atr)
                continue
            alive = venue.held(side) + venue.unlocated[side]
            if -opened < alive - 1e-12 * last.value:  # what rounding leaves of everything is nothing
                venue.close_voluntarily(side, -opened / alive)
                continue
            venue.close_voluntarily(side, 1.0)
            after = range(stamp.bar + 1, bar + 1)
            flow = math.fsum(venue.flows[side][j] for j in after)
            for j in after:
                venue.flows[side][j] *= stamp.value / flow if flow > 0.0 else 0.0

    def _spread(self, venue: NaiveVenue, side: int, opened: float, interval: range, bar: int, atr: float) -> None:
        volume = math.fsum(float(self.bars.volume[j]) for j in interval)
        for j in interval:
            weight = float(self.bars.volume[j]) / volume if volume > 0.0 else 1.0 / len(interval)
            weight = weight if len(interval) > 1 else 1.0
            if side == LONG:
                reached = min(min(self.bottom[k], self.mark_bottom[k]) for k in range(j, bar + 1))
            else:
                reached = max(max(self.top[k], self.mark_top[k]) for k in range(j, bar + 1))
            span = self.top[j] - self.bottom[j]
            points = min(max(int(span + 0.5), 1), self.settings.entry_points)
            for p in range(points):
                entry = self.bottom[j] + span * (p + 0.5) / points
                if opened * weight / points > 0.0:
                    self.open(venue, side, opened * weight / points, entry, reached, atr)

    def open(self, venue: NaiveVenue, side: int, mass: float, entry: float, reached: float, atr: float) -> None:
        """Every holder has a tier, and perhaps a stop: his threshold is the nearer; those already crossed are gone."""
        away = -1 if side == LONG else 1
        holders: list[tuple[int, float, float]] = []
        for offset, weight in venue.tiers[side]:
            stopless = weight
            for rule, share, value, beyond in venue.stops:
                at = self._stop(rule, value, beyond, side, entry, atr)
                if at is not None and (at - entry) * away < offset * away:
                    holders.append((STOP, at, weight * share))
                    stopless -= weight * share
            holders.append((LIQUIDATION, entry + offset, max(stopless, 0.0)))
        alive = [h for h in holders if not crossed(h[1], reached, side)]
        kept = math.fsum(weight for _, _, weight in alive)
        if kept <= 1e-12:
            venue.unlocated[side] += mass
            return
        for kind, at, weight in alive:
            origin = venue.origin[side] if kind == LIQUIDATION else 0.0
            self._place(venue, Cohort(side, kind, at - origin, mass * weight / kept), reached - origin)

    def _stop(self, kind: str, value: float, beyond: float, side: int, entry: float, atr: float) -> float | None:
        away = -1 if side == LONG else 1
        if kind == "atr":
            return entry + away * value * atr / self.width
        price = math.exp(entry * self.width)
        level = (math.ceil(price / value) - 1 if side == LONG else math.floor(price / value) + 1) * value
        if level <= 0.0:
            return None
        at = math.log(level) / self.width + away * beyond
        return at if (at - entry) * away > 0.0 else None

    def _place(self, venue: NaiveVenue, whole: Cohort, reached: float) -> None:
        venue.added[whole.layer] += whole.mass
        if not self.snap:
            venue.cohorts.append(whole)
            return
        lower = math.floor(whole.node)
        upper_share = whole.node - lower
        if whole.side == LONG and lower + 1 >= reached:
            upper_share = 0.0  # the upper bin is crossed already
        if whole.side == SHORT and lower <= reached:
            upper_share = 1.0
        for node, share in ((lower, 1.0 - upper_share), (lower + 1, upper_share)):
            if share > 0.0:
                venue.cohorts.append(Cohort(whole.side, whole.kind, node, whole.mass * share))

    def stored(self, venue: NaiveVenue) -> dict[tuple[int, int], float]:
        """Mass by layer and node, native unit."""
        bins: dict[tuple[int, int], float] = defaultdict(float)
        for cohort in venue.cohorts:
            bins[cohort.layer, int(cohort.node)] += cohort.mass
        return dict(bins)

    def profile(self, side: int) -> dict[int, float]:
        """Mass of a side by bin over venues and layers, base units; moved layers are read at the nearest bin."""
        bins: dict[int, float] = defaultdict(float)
        for venue in self.venues:
            for cohort in venue.cohorts:
                if cohort.side == side:
                    moved = math.floor(venue.origin[side] + 0.5) if cohort.kind == LIQUIDATION else 0
                    k = int(cohort.node) + moved
                    bins[k] += cohort.mass * venue.base(k, self.width)
        return dict(bins)

    def stock(self, position: float) -> tuple[float, list[float]]:
        """Open interest, base units, and the located share of longs and of shorts."""
        oi, located = 0.0, [0.0, 0.0]
        for venue in self.venues:
            unit = venue.base(position, self.width)
            oi += (venue.settled.value if venue.settled else 0.0) * unit
            for side in (LONG, SHORT):
                located[side] += venue.held(side) * unit
        return oi, [mass / oi if oi > 0.0 else 0.0 for mass in located]
