"""The market pass as a plain loop over bars: the cohort map, every zone from the full profile, one dict a row."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from naive.liquidation_map import LONG, SHORT, NaiveMap
from naive.voids import Episode, NaiveVoids, Past
from naive.zones import Zone, between, outward, zones

if TYPE_CHECKING:
    from forcedflow.data.series import Dataset
    from forcedflow.settings import MarketSettings

ENTRY, SWEPT, EXIT, FLOW, INTO_VOID, EXHAUSTED, NEAR_BY = 1, 2, 3, 4, 7, 8, 9
REARM = 1.5
ZONES_PER_BAR = 32

Row = dict[str, Any]


def wilder(values: list[float], memory: int) -> float:
    """The mean of the first ``memory`` values, smoothed after Wilder from there; 0 without values."""
    if not values:
        return 0.0
    average = math.fsum(values[:memory]) / len(values[:memory])
    for value in values[memory:]:
        average = (average * (memory - 1) + value) / memory
    return average


@dataclass
class Tracked:
    """The zone of a side that price is dealing with."""

    status: str = "none"
    group: int = 0
    near: int = 0
    far: int = 0
    peak: int = 0
    born: int = 0
    entry_mass: float = 0.0
    swept: float = 0.0


class NaivePass:
    def __init__(self, dataset: Dataset, settings: MarketSettings) -> None:
        self.bars, self.settings = dataset.bars, settings
        self.map = NaiveMap(dataset, settings)
        self.width = self.map.width
        self.reach = int(settings.reach / self.width)
        self.tracked = (Tracked(), Tracked())
        self.groups = 0
        self.position = math.log(self.bars.close[0]) / self.width
        self.oi, self.coverage = 0.0, [0.0, 0.0]
        self.ranges: list[float] = []
        self.volumes: list[float] = []
        self.squares: list[float] = []
        self.sessions = dataset.calendar == "sessions"
        self.voids = NaiveVoids(settings)
        self.past: list[Past] = []
        self.mass: list[dict[int, float]] = [{}, {}]
        self.rows: list[Row] = []
        self.market: list[Row] = []

    def run(self) -> None:
        for bar in range(len(self.bars)):
            self.advance(bar)
        self.rows.sort(key=lambda row: (row["bar"], row["kind"], row["side"], row["group"]))

    def advance(self, bar: int) -> None:
        atr, volume = wilder(self.ranges, self.settings.atr_bars), wilder(self.volumes, self.settings.volume_bars)
        before = (self.position, self.oi, self.coverage)
        since = self.bars.ts[bar] - self.bars.ts[bar - 1] if bar > 0 else 0
        gap = since > self.bars.interval
        if since > self.settings.channel_bars * self.bars.interval and not self.sessions:
            self.voids.forget()
        here: list[Row] = []
        entered = [False, False]
        for side in (LONG, SHORT):
            touched = math.ceil(max(self.map.bottom[bar], self.map.mark_bottom[bar]))
            if side == SHORT:
                touched = math.floor(min(self.map.top[bar], self.map.mark_top[bar]))
            here += self.cross(bar, side, touched)
            if self.coverage[side] >= self.settings.min_coverage:
                ahead = self.voids.enters(side, touched, self.mass[side], self.oi, atr / self.width)
                if ahead is not None:
                    self.groups += 1
                    self.voids.live[side] = Episode(self.groups, bar, ahead)
                    entered[side] = True
        self.map.step(bar, atr)
        self.position = math.log(self.bars.close[bar]) / self.width
        self.oi, self.coverage = self.map.stock(self.position)
        self.mass = [self.map.profile(LONG), self.map.profile(SHORT)]
        self.remember(bar, atr, volume)
        for side in (LONG, SHORT):
            here += self.flow(bar, side, volume, before[2][side])
            here += self.void(bar, side, atr, entered=entered[side])
            here += self.watch(bar, side, atr)
        for row in here:
            self.finish(row, atr, volume, before[1])
            row["gap"] = math.log(self.bars.open[bar] / self.bars.close[bar - 1]) if gap else 0.0
        self.rows += here
        self.market.append(self.note(atr))
        if bar > 0:
            top, bottom = max(self.map.top[bar], before[0]), min(self.map.bottom[bar], before[0])
            self.ranges.append((top - bottom) * self.width)
            came_from = math.log(self.bars.open[bar]) if gap else before[0] * self.width
            self.squares.append((self.position * self.width - came_from) ** 2)
        self.volumes.append(float(self.bars.volume[bar]))

    def remember(self, bar: int, atr: float, volume: float) -> None:
        burned, then = self.map.burned, bar - self.settings.momentum_bars
        moved = math.log(self.bars.close[bar] / self.bars.close[then]) if then >= 0 else 0.0
        self.past.append(
            Past(
                low=float(self.bars.low[bar]),
                high=float(self.bars.high[bar]),
                swept=(burned[0] + burned[2], burned[1] + burned[3]),
                oi=self.oi,
                volume=volume,
                momentum=moved / atr if atr > 0.0 else 0.0,
            )
        )

    def vols(self) -> tuple[float, float]:
        short, long = (wilder(self.squares, n) for n in (self.settings.vol_short_bars, self.settings.vol_long_bars))
        return math.sqrt(short), math.sqrt(long)

    def void(self, bar: int, side: int, atr: float, *, entered: bool) -> list[Row]:
        rows, episode = list[Row](), self.voids.live[side]
        if episode is None:
            return rows
        if entered:
            rows.append(self.void_row(bar, INTO_VOID, side, episode))
        if self.voids.exhausted(side, self.past, self.mass[side], self.position, atr / self.width, self.vols()):
            rows.append(self.void_row(bar, EXHAUSTED, side, episode))
            self.voids.live[side] = None
        return rows

    def void_row(self, bar: int, kind: int, side: int, episode: Episode) -> Row:
        swept, extreme, *_ = self.voids.numbers(side, self.past)
        empty = dict.fromkeys(("near", "far", "peak", "mass_before", "mass_after", "fuel"), math.nan)
        return empty | {
            "bar": bar,
            "kind": kind,
            "side": -1 if side == LONG else 1,
            "group": episode.group,
            "swept": swept,
            "age": bar - episode.since,
            "between": episode.ahead,
            "extreme": extreme,
        }

    def ahead(self, side: int, start: int, touched: int | None = None) -> list[Zone]:
        away = -1 if side == LONG else 1
        last = outward(self.position, side) + away * self.reach
        if touched is not None and (touched - last) * away > 0:
            last = touched
        if (last - start) * away < 0:
            return []
        return zones(self.mass[side], side, start, last, self.oi, self.settings)

    def row(self, bar: int, kind: int, side: int, mass: float) -> Row:
        zone = self.tracked[side]
        return {
            "bar": bar,
            "kind": kind,
            "side": -1 if side == LONG else 1,
            "group": zone.group,
            "near": math.exp(zone.near * self.width),
            "far": math.exp(zone.far * self.width),
            "peak": math.exp(zone.peak * self.width),
            "mass_before": mass,
            "swept": zone.swept,
            "age": bar - zone.born,
            "edges": (zone.near, zone.far),
        }

    def track(self, side: int, found: Zone, bar: int) -> bool:
        """Whether it is a new zone, that is, does not overlap the one tracked last."""
        zone = self.tracked[side]
        low, high = sorted((zone.near, zone.far))
        known = zone.status != "none" and min(found.near, found.far) <= high and max(found.near, found.far) >= low
        if not known:
            self.groups += 1
            zone.group, zone.born, zone.swept = self.groups, bar, 0.0
        zone.near, zone.far, zone.peak = found.near, found.far, found.peak
        return not known

    def cross(self, bar: int, side: int, touched: int) -> list[Row]:
        away = -1 if side == LONG else 1
        zone, rows = self.tracked[side], list[Row]()
        start = outward(self.position, side)
        for _ in range(ZONES_PER_BAR):
            entering = zone.status != "inside"
            if entering:
                if self.coverage[side] < self.settings.min_coverage:
                    return rows
                met = [z for z in self.ahead(side, start, touched) if (touched - z.near) * away >= 0]
                if not met:
                    return rows
                self.track(side, met[0], bar)
                zone.status, zone.entry_mass, zone.swept = "inside", met[0].mass, 0.0
            elif (touched - zone.near) * away < 0:
                return rows
            beyond = (touched - zone.far) * away >= 0
            zone.swept += between(self.mass[side], zone.near, zone.far if beyond else touched)
            whole = between(self.mass[side], zone.near, zone.far)
            if entering:
                rows.append(self.row(bar, ENTRY, side, whole))
            if not beyond and zone.swept < self.settings.swept_share * zone.entry_mass:
                return rows
            rows.append(self.row(bar, SWEPT, side, whole))
            zone.status = "none"
            start = zone.far + away
        return rows

    def watch(self, bar: int, side: int, atr: float) -> list[Row]:
        away = -1 if side == LONG else 1
        zone, rows = self.tracked[side], list[Row]()
        if zone.status == "inside":
            if (self.position - zone.near) * away >= 0:
                return rows
            rows.append(self.row(bar, EXIT, side, between(self.mass[side], zone.near, zone.far)))
            zone.status = "left"
        start = outward(self.position, side)
        in_sight = zone.status in {"near", "left"}
        distance = self.settings.near_atr * atr / self.width * (REARM if in_sight else 1.0)
        seen = range(start, start + away * (min(int(distance), self.reach) + 1), away)
        covered = self.coverage[side] >= self.settings.min_coverage
        if in_sight and covered:
            dense = self.settings.zone_off * self.oi * self.width / 0.01
            first = next((k for k in seen if dense > 0.0 and self.mass[side].get(k, 0.0) >= dense), None)
            if first is not None and min(zone.near, zone.far) <= first <= max(zone.near, zone.far):
                return rows
        found = [z for z in self.ahead(side, start) if z.near in seen] if covered else []
        if not found:
            zone.status = "none" if zone.status == "none" else "away"
            return rows
        if self.track(side, found[0], bar) or zone.status == "away":
            zone.status, zone.swept = "near", 0.0
            rows.append(self.row(bar, NEAR_BY, side, found[0].mass))
        return rows

    def flow(self, bar: int, side: int, volume: float, before: float) -> list[Row]:
        flow = self.map.burned[side] + self.map.burned[side + 2]
        if flow <= 0.0 or volume <= 0.0 or flow < self.settings.flow_min * volume:
            return []
        return [
            {
                "bar": bar,
                "kind": FLOW,
                "side": -1 if side == LONG else 1,
                "group": 0,
                "near": float(self.bars.close[max(bar - 1, 0)]),
                "far": float((self.bars.low if side == LONG else self.bars.high)[bar]),
                "peak": math.nan,
                "mass_before": before,
                "mass_after": self.coverage[side],
                "swept": flow,
                "age": math.nan,
            }
        ]

    def finish(self, row: Row, atr: float, volume: float, oi_before: float) -> None:
        side = LONG if row["side"] < 0 else SHORT
        denominator = self.oi if row["kind"] in {NEAR_BY, EXIT} else oi_before
        void = row["kind"] in {INTO_VOID, EXHAUSTED}  # shares already
        if not void:
            row["fuel"] = row["swept" if row["kind"] == FLOW else "mass_before"] / volume if volume > 0.0 else math.nan
            row["between"] = row["extreme"] = math.nan
        if not void and row["kind"] != FLOW:
            after = between(self.mass[side], *row.pop("edges"))
            row["mass_after"] = after / self.oi if self.oi > 0.0 else 0.0
            row["mass_before"] = row["mass_before"] / denominator if denominator > 0.0 else 0.0
        if not void:
            row["swept"] = row["swept"] / denominator if denominator > 0.0 else 0.0
        row["momentum"] = self.past[-1].momentum
        row["vol_short"], row["vol_long"] = self.vols()
        row["ts"] = int(self.bars.ts[row["bar"]])
        row["close"], row["atr"] = float(self.bars.close[row["bar"]]), atr
        row["coverage"] = self.coverage[side]
        for where, towards in (("above", SHORT), ("below", LONG)):
            covered = self.coverage[towards] >= self.settings.min_coverage
            nearest = self.ahead(towards, outward(self.position, towards))[:1] if covered else []
            for z in nearest:
                edges = [math.exp(k * self.width) for k in (z.near, z.far, z.peak)]
                row[f"{where}_near"], row[f"{where}_far"], row[f"{where}_peak"] = edges
                row[f"{where}_mass"] = z.mass / self.oi
            if not nearest:
                row.update({f"{where}_{what}": math.nan for what in ("near", "far", "peak", "mass")})

    def note(self, atr: float) -> Row:
        opened = [
            math.fsum(venue.opened[side] * venue.base(self.position, self.width) for venue in self.map.venues)
            for side in (LONG, SHORT)
        ]
        return {
            "oi": self.oi,
            "coverage_long": self.coverage[LONG],
            "coverage_short": self.coverage[SHORT],
            "swept_long_liq": self.map.burned[0],
            "swept_short_liq": self.map.burned[1],
            "swept_long_stop": self.map.burned[2],
            "swept_short_stop": self.map.burned[3],
            "opened_long": opened[LONG],
            "opened_short": opened[SHORT],
            "atr": atr,
        }
