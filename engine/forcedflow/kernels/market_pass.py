"""The market pass: bars in, events out, one resumable kernel.

The order of things within a bar is written once, in :func:`advance`. All state lies in arrays, so the pass can stop
after any bar, and at any chunk size gives the same bits.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from forcedflow.kernels import FloatArray, IntArray, Record, Records, lean_kernel, merged_kernel, plain, small_kernel
from forcedflow.kernels.channels import BREAKS, CLOSES, NO_CHANNEL, fit, is_due, test_bar
from forcedflow.kernels.liquidation_map import LONG, SHORT, MapArrays, base_per_unit, list_swept, step
from forcedflow.kernels.structure import HIGHS, LOWS, RING, follow, note_pivots
from forcedflow.kernels.voids import enters_void, exhausted, open_episode
from forcedflow.kernels.zones import (
    find_zone,
    first_dense,
    frontier,
    mass_between,
    outward,
    reaches,
    take_stock,
)

__all__ = [
    "ATR",
    "AVERAGES",
    "COVERAGE",
    "DONE",
    "EVENT",
    "GROW",
    "LISTENED",
    "LOWER",
    "MARKET_ROWS",
    "OI",
    "OPENED",
    "ROOM",
    "ROWS_PER_BAR",
    "SWEPT",
    "SWING",
    "TESTED",
    "UPPER",
    "VOLUME",
    "VOL_LONG",
    "VOL_SHORT",
    "ZONE",
    "BarColumns",
    "Findings",
    "Structure",
    "Watch",
    "advance",
]

ZONE_ENTRY, ZONE_SWEPT, ZONE_EXIT, FORCED_FLOW, ZONE_NEAR = 1, 2, 3, 4, 9  # tables.EventKind
CHANNEL_BREAK, FAKE_OUT, VOID_ENTRY, VOID_EXHAUSTION = 5, 6, 7, 8
DONE, LISTENED, ROOM, GROW = 0, 1, 2, 3
"""Why the kernel returned: bars done, an event of the mask, more rows needed, a larger grid needed."""

NONE, NEAR, INSIDE, LEFT, AWAY = 0, 1, 2, 3, 4
"""A tracked zone: none, announced, price is in it, price left it on the side it came from, out of sight."""
ZONES_PER_BAR = 32  # zones crossed within one bar and side that get events of their own
ROWS_PER_BAR = 4 * ZONES_PER_BAR + 15  # the last for putting them in order
REARM = 1.5  # a zone stays near until it is so many times the near distance away

ZONE = np.dtype(
    [
        ("status", "i8"),
        ("group", "i8"),  # identity
        ("near", "i8"),  # edges and peak, bins
        ("far", "i8"),
        ("peak", "i8"),
        ("born", "i8"),  # bar where it was first noticed
        ("entry_mass", "f8"),  # mass when price entered, base units
        ("swept", "f8"),  # swept since then, base units
        ("clear", "i8"),  # no zone begins between the last close and this bin
    ],
    align=True,
)
AVERAGES = np.dtype(
    [
        ("atr_bars", "i8"),
        ("volume_bars", "i8"),
        ("atr", "f8"),  # log price
        ("volume", "f8"),
        ("short_bars", "i8"),
        ("long_bars", "i8"),
        ("square_short", "f8"),  # means of squared log returns
        ("square_long", "f8"),
        ("momentum_bars", "i8"),
        ("momentum", "f8"),  # bins, through the current close
        ("seen", "i8"),  # bars
        ("groups", "i8"),  # identities given so far: zones, channels, voids
    ],
    align=True,
)
_INTS = ("bar", "ts", "kind", "side", "group", "channel")
_AROUND = tuple(f"{where}_{what}" for where in ("above", "below") for what in ("near", "far", "peak", "mass"))
_FLOATS = ("close", "atr", "near", "far", "peak", "mass_before", "mass_after", "swept", "fuel", "age")
_CHANNEL = ("upper", "lower", "slope", "width", "upper_touches", "lower_touches", "containment", "channel_age")
_PACE = ("gap", "vol_short", "vol_long", "momentum")
_MOVE = ("alignment", "between", "extreme")
EVENT = np.dtype(
    [(n, "i8") for n in _INTS] + [(n, "f8") for n in (*_FLOATS, *_AROUND, "coverage", *_PACE, *_CHANNEL, *_MOVE)],
    align=True,
)
"""One row of the tape, the columns of tables.Events."""
OI, COVERAGE, SWEPT, OPENED, ATR, VOL_SHORT, VOL_LONG, VOLUME = 0, 1, 3, 7, 9, 10, 11, 12
TESTED, UPPER, LOWER, SWING, MARKET_ROWS = 13, 14, 15, 16, 18
"""Rows of what the pass adds to each bar; COVERAGE, OPENED and SWING have one for each side, SWEPT for each layer."""


class BarColumns(NamedTuple):
    """Bars as the kernel reads them, each of shape (n,): a window that begins some bars before the one to take next."""

    ts: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    trigger_high: FloatArray  # mark price range where it is known bar by bar, else high and low themselves
    trigger_low: FloatArray


class Watch(NamedTuple):
    """What the pass remembers of zones and pace, and what it judges them by."""

    zones: Records  # shape (2,), ZONE: the tracked zone below and above price
    averages: Records  # shape (1,)
    limits: Records  # shape (1,)


class Findings(NamedTuple):
    """Where the pass writes what it finds."""

    rows: Records  # EVENT
    market: FloatArray  # shape (MARKET_ROWS, n): what the pass adds to each bar of the window


class Structure(NamedTuple):
    """What the pass remembers of the bars themselves; the records of shape (1,)."""

    pivots: Records
    channel: Records
    void: Records
    recent: FloatArray  # shape (3, a power of two): lows, highs and closes of the last bars in bins, a ring
    queue: IntArray | None  # shape (2, half of that): bars of rolling extremes, for a Donchian channel
    levels: FloatArray | None  # shape (RING,): of pivots, for a channel through them


@lean_kernel
def _emit(row: Record, bar: int, kind: int, side: int, group: int) -> None:
    """Open a row; masses in it are base units until :func:`_finish` makes them shares."""
    row.bar, row.kind, row.side, row.group = bar, kind, -1 if side == LONG else 1, group
    row.near = row.far = row.peak = row.mass_before = row.mass_after = row.swept = row.fuel = row.age = math.nan
    row.alignment = row.between = row.extreme = math.nan


@lean_kernel
def _emit_zone(
    head: Record, zone: Record, rows: Records, count: int, bar: int, kind: int, side: int, mass: float
) -> int:
    """Open a row about a side's tracked zone and return the number of rows."""
    row = rows[count]
    _emit(row, bar, kind, side, zone.group)
    row.near = math.exp(zone.near * head.width)
    row.far = math.exp(zone.far * head.width)
    row.peak = math.exp(zone.peak * head.width)
    row.mass_before = mass
    row.swept = zone.swept
    row.age = bar - zone.born
    return count + 1


@small_kernel
def _track(zone: Record, averages: Record, near: int, far: int, peak: int, bar: int) -> bool:
    """Make a found zone the tracked one; return whether it is a new one, that is, does not overlap the last."""
    known = (
        zone.status != NONE
        and min(near, far) <= max(zone.near, zone.far)
        and max(near, far) >= min(zone.near, zone.far)
    )
    if not known:
        averages.groups += 1
        zone.group = averages.groups
        zone.born = bar
        zone.swept = 0.0
    zone.near, zone.far, zone.peak = near, far, peak
    return not known


@merged_kernel
def _meets(head: Record, zone: Record, limits: Record, side: int, touched: int) -> bool:
    """Tell whether a bar that reaches bin ``touched`` may meet a zone, or is still in one."""
    away = -1 if side == LONG else 1
    if zone.status == INSIDE:
        return (touched - zone.near) * away >= 0  # type: ignore[no-any-return]
    return (touched - zone.clear) * away > 0 and head.coverage[side] >= limits.min_coverage  # type: ignore[no-any-return]


@lean_kernel
def _cross(
    head: Record,
    venues: Records,
    stored: FloatArray,
    zone: Record,
    averages: Record,
    limits: Record,
    rows: Records,
    count: int,
    bar: int,
    side: int,
    touched: int,
) -> int:
    """Test the bar's range against the zones frozen at the close before: entries and sweeps.

    ``touched`` is the farthest bin that the bar reached. Returns the number of rows.
    """
    away = -1 if side == LONG else 1
    last = outward(head.position, side) + away * limits.reach
    if (touched - last) * away > 0:
        last = touched
    for _ in range(ZONES_PER_BAR):
        if not _meets(head, zone, limits, side, touched):
            return count
        entering = zone.status != INSIDE
        if entering:
            start = zone.clear + away
            found, near, far, peak, before = find_zone(head, venues, stored, limits, side, start, touched, last)
            if not found:
                return count
            _track(zone, averages, near, far, peak, bar)
            zone.status = INSIDE
            zone.entry_mass, zone.swept = before, 0.0
        else:
            before = math.nan
        beyond = (touched - zone.far) * away >= 0
        taken = mass_between(head, venues, stored, side, zone.near, zone.far if beyond else touched)
        zone.swept += taken
        if entering:
            count = _emit_zone(head, zone, rows, count, bar, plain(ZONE_ENTRY), side, before)
        if not beyond and zone.swept < limits.swept_share * zone.entry_mass:
            return count
        if not entering:
            rest = mass_between(head, venues, stored, side, touched + away, zone.far) if not beyond else 0.0
            before = taken + rest
        count = _emit_zone(head, zone, rows, count, bar, plain(ZONE_SWEPT), side, before)
        zone.status = NONE
        zone.clear = zone.far
    return count


@small_kernel
def _sight(head: Record, zone: Record, limits: Record, side: int, near: float) -> int:
    """Return the farthest bin in which a zone that begins there is near; ``near`` is how far that is, bins."""
    distance = near
    if zone.status == NEAR or zone.status == LEFT:  # noqa: PLR1714  (numba compiles this form without a tuple)
        distance *= REARM
    away = -1 if side == LONG else 1
    return outward(head.position, side) + away * int(min(distance, float(limits.reach)))


@merged_kernel
def _nothing_near(head: Record, venues: Records, zone: Record, limits: Record, side: int, near: float) -> bool:
    """Note that no zone of a side is near, or that price is still inside one, where that takes no look at the mass."""
    away = -1 if side == LONG else 1
    if zone.status == INSIDE:
        return (head.position - zone.near) * away >= 0.0  # type: ignore[no-any-return]
    clear = outward(head.position, side) - away
    if head.coverage[side] >= limits.min_coverage:
        clear = _sight(head, zone, limits, side, near)
        if (frontier(venues, side) - clear) * away <= 0:
            return False
    zone.clear = clear
    if zone.status != NONE:
        zone.status = AWAY
    return True


@lean_kernel
def _watch(
    head: Record,
    venues: Records,
    stored: FloatArray,
    zone: Record,
    averages: Record,
    limits: Record,
    rows: Records,
    count: int,
    bar: int,
    side: int,
    near_by: float,
) -> int:
    """Freeze the nearest zone of a side at the close: exits, and zones that came near. Returns the number of rows."""
    away = -1 if side == LONG else 1
    if zone.status == INSIDE:
        mass = mass_between(head, venues, stored, side, zone.near, zone.far)
        count = _emit_zone(head, zone, rows, count, bar, plain(ZONE_EXIT), side, mass)
        zone.status = LEFT
    start = outward(head.position, side)
    last_start = _sight(head, zone, limits, side, near_by)
    in_sight = zone.status == NEAR or zone.status == LEFT  # noqa: PLR1714
    if in_sight and head.coverage[side] >= limits.min_coverage:
        k = first_dense(head, venues, stored, limits, side, start, last_start)
        if (k - zone.near) * (k - zone.far) <= 0 and (last_start - k) * away >= 0:
            zone.clear = k - away  # it is still there; its edges are looked up again when price reaches it
            return count
    found, near, far, peak, mass = False, start, 0, 0, 0.0
    if head.coverage[side] >= limits.min_coverage:
        last = start + away * limits.reach
        found, near, far, peak, mass = find_zone(head, venues, stored, limits, side, start, last_start, last)
    zone.clear = near - away
    if not found:
        if zone.status != NONE:
            zone.status = AWAY
        return count
    if _track(zone, averages, near, far, peak, bar) or zone.status == AWAY:
        zone.status = NEAR
        zone.swept = 0.0
        count = _emit_zone(head, zone, rows, count, bar, plain(ZONE_NEAR), side, mass)
    return count


@merged_kernel
def _flow(
    head: Record,
    limits: Record,
    rows: Records,
    count: int,
    bar: int,
    side: int,
    last_close: float,
    extreme: float,
    volume: float,
    before: float,
) -> int:
    """Report forced flow that is large against ordinary trade. Returns the number of rows."""
    flow = head.burned[side] + head.burned[side + 2]
    if flow <= 0.0 or volume <= 0.0 or flow < limits.flow_min * volume:
        return count
    row = rows[count]
    _emit(row, bar, plain(FORCED_FLOW), side, plain(0))
    row.near, row.far = last_close, extreme
    row.mass_before, row.mass_after = before, head.coverage[side]
    row.swept = flow
    return count + 1


@lean_kernel
def _report_channel(
    head: Record,
    venues: Records,
    stored: FloatArray,
    channel: Record,
    limits: Record,
    rows: Records,
    count: int,
    bar: int,
    kind: int,
    atr: float,
) -> int:
    """Report a break, or that it failed. Returns the number of rows."""
    side = SHORT if channel.side > 0 else LONG
    row = rows[count]
    _emit(row, bar, kind, side, channel.version)
    row.extreme = math.exp(channel.extreme * head.width)
    if kind == CHANNEL_BREAK and head.coverage[side] >= limits.min_coverage and head.oi > 0.0 and atr > 0.0:
        boundary = channel.tested_upper if channel.side > 0 else channel.tested_lower
        _align(head, venues, stored, limits, row, side, boundary, channel.align * atr, atr)
    return count + 1


@lean_kernel
def _align(
    head: Record,
    venues: Records,
    stored: FloatArray,
    limits: Record,
    row: Record,
    side: int,
    boundary: float,
    within: float,
    atr: float,
) -> None:
    """Fill in the zone of the frozen map that begins near a broken boundary, if there is one."""
    away = -1 if side == LONG else 1
    start, here = outward(boundary - away * within, side), outward(head.position, side)
    if (start - here) * away < 0:
        start = here
    last_start = outward(boundary + away * within, side)
    last = start + away * limits.reach
    found, near, far, peak, mass = find_zone(head, venues, stored, limits, side, start, last_start, last)
    if not found:
        return
    row.near, row.far = math.exp(near * head.width), math.exp(far * head.width)
    row.peak, row.mass_before = math.exp(peak * head.width), mass
    row.alignment = away * (near - boundary) / atr
    row.between = 0.0
    edge = outward(boundary, side)
    if (near - edge) * away > 0:
        row.between = mass_between(head, venues, stored, side, edge, near - away) / head.oi


@lean_kernel
def _void_row(head: Record, void: Record, rows: Records, count: int, bar: int, kind: int, side: int) -> int:
    """Report an episode as it stands. Returns the number of rows."""
    row = rows[count]
    _emit(row, bar, kind, side, void.group[side])
    row.swept, row.between = void.swept[side], void.ahead[side]
    row.extreme = math.exp(void.extreme[side] * head.width)
    row.age = bar - void.since[side]
    return count + 1


@merged_kernel
def _note(head: Record, venues: Records, market: FloatArray, averages: Record, channel: Record, at: int) -> None:
    """Write what the pass adds to a bar, in its row of the window."""
    market[OI, at], market[ATR, at], market[VOLUME, at] = head.oi, averages.atr, averages.volume
    market[VOL_SHORT, at], market[VOL_LONG, at] = math.sqrt(averages.square_short), math.sqrt(averages.square_long)
    market[TESTED, at] = channel.tested
    market[UPPER, at] = market[LOWER, at] = math.nan
    if channel.tested > 0:
        market[UPPER, at] = math.exp(channel.tested_upper * head.width)
        market[LOWER, at] = math.exp(channel.tested_lower * head.width)
    for side in (LONG, SHORT):
        market[SWING + side, at] = head.swing[side]
        market[COVERAGE + side, at] = head.coverage[side]
        market[SWEPT + side, at], market[SWEPT + side + 2, at] = head.burned[side], head.burned[side + 2]
        opened = 0.0
        for v in range(len(venues)):
            opened += venues[v].opened[side] * base_per_unit(venues[v], head.position, head.width)
        market[OPENED + side, at] = opened


@small_kernel
def _describe(channel: Record, row: Record, bar: int, width: float) -> None:
    """Fill in the channel that the bar was tested against."""
    row.channel = channel.tested
    row.upper = row.lower = row.slope = row.width = math.nan
    row.upper_touches = row.lower_touches = row.containment = row.channel_age = math.nan
    if channel.tested > 0:
        row.upper, row.lower = math.exp(channel.tested_upper * width), math.exp(channel.tested_lower * width)
        row.slope, row.width = channel.slope * width, channel.width
        row.upper_touches, row.lower_touches = channel.touches[HIGHS], channel.touches[LOWS]
        row.containment, row.channel_age = channel.contained, bar - channel.born


@lean_kernel
def _finish(
    head: Record,
    venues: Records,
    stored: FloatArray,
    limits: Record,
    rows: Records,
    begin: int,
    count: int,
    ts: int,
    close: float,
    averages: Record,
    oi_before: float,
    channel: Record,
    gap: float,
) -> int:
    """Complete the rows of a bar, and put them in order: shares, fuel, the nearest zones, pace, channel.

    Returns the kinds as bits.
    """
    found, near, far, peak, mass = False, 0, 0, 0, 0.0
    kinds = 0
    oi = head.oi
    first = rows[begin]
    for side in (SHORT, LONG):
        found = False
        if head.coverage[side] >= limits.min_coverage:
            start = outward(head.position, side)
            last = start + (-1 if side == LONG else 1) * limits.reach
            found, near, far, peak, mass = find_zone(head, venues, stored, limits, side, start, last, last)
        edge, end = math.exp(near * head.width), math.exp(far * head.width)
        top, share = math.exp(peak * head.width), mass / oi if oi > 0.0 else math.nan
        if not found:
            edge = end = top = share = math.nan
        if side == SHORT:
            first.above_near, first.above_far, first.above_peak, first.above_mass = edge, end, top, share
        else:
            first.below_near, first.below_far, first.below_peak, first.below_mass = edge, end, top, share
    for r in range(begin, count):
        row = rows[r]
        side = LONG if row.side < 0 else SHORT
        kinds |= 1 << row.kind
        row.ts, row.close, row.atr, row.coverage = ts, close, averages.atr, head.coverage[side]
        row.above_near, row.above_far, row.above_peak = first.above_near, first.above_far, first.above_peak
        row.below_near, row.below_far, row.below_peak = first.below_near, first.below_far, first.below_peak
        row.above_mass, row.below_mass = first.above_mass, first.below_mass
        row.gap, row.momentum = gap, averages.momentum * head.width / averages.atr if averages.atr > 0.0 else 0.0
        row.vol_short, row.vol_long = math.sqrt(averages.square_short), math.sqrt(averages.square_long)
        _describe(channel, row, row.bar, head.width)
        if row.kind == VOID_ENTRY or row.kind == VOID_EXHAUSTION:  # noqa: PLR1714
            continue  # shares already
        before = oi if row.kind == ZONE_NEAR or row.kind == ZONE_EXIT else oi_before  # noqa: PLR1714
        if row.kind == FORCED_FLOW:
            row.fuel = row.swept / averages.volume
        elif not math.isnan(row.near):
            row.fuel = row.mass_before / averages.volume if averages.volume > 0.0 else math.nan
            near = round(math.log(row.near) / head.width)
            far = round(math.log(row.far) / head.width)
            row.mass_after = mass_between(head, venues, stored, side, near, far) / oi if oi > 0.0 else 0.0
            row.mass_before = row.mass_before / before if before > 0.0 else 0.0
        row.swept = row.swept / before if before > 0.0 else 0.0
    _sort(rows, begin, count)
    return kinds


@lean_kernel
def _sort(rows: Records, begin: int, count: int) -> None:
    """Put the rows of a bar in their order (kind, side, group), by insertion, since they are few."""
    for r in range(begin + 1, count):
        to = r
        while to > begin and _comes_before(rows[r], rows[to - 1]):
            to -= 1
        if to < r:
            _copy(rows, count, r)  # there is room for one more
            for k in range(r, to, -1):
                _copy(rows, k, k - 1)
            _copy(rows, to, count)


@lean_kernel
def _copy(rows: Records, to: int, row: int) -> None:
    """Copy a row: a kernel of its own, since the compiler writes it down byte by byte."""
    rows[to] = rows[row]


@small_kernel
def _comes_before(row: Record, other: Record) -> bool:
    """Tell whether an event stands before another of its bar."""
    if row.kind != other.kind:
        return row.kind < other.kind  # type: ignore[no-any-return]
    if row.side != other.side:
        return row.side < other.side  # type: ignore[no-any-return]
    return row.group < other.group  # type: ignore[no-any-return]


@lean_kernel
def advance(
    columns: BarColumns,
    arrays: MapArrays,
    watch: Watch,
    structure: Structure,
    findings: Findings,
    rows_used: int,
    swept: Records | None,
    room_below: float,
    room_above: float,
    session_hours: float,
    interval: int,
    first: int,
    start: int,
    stop: int,
    mask: int,
) -> tuple[int, int, int]:
    """Take the market through bars ``start`` to ``stop - 1``.

    Arrays come in tuples: numba takes 2 microseconds to look at a record that comes by itself, and a loop that looks at
    the map calls this at every event.

    Parameters
    ----------
    columns, arrays, watch, structure
        The bars, the map, and what the pass remembers beside it.
    findings, rows_used
        Where to write, and how many rows are taken; events are in their order (bar, kind, side, group).
    swept
        ``SWEPT_BIN`` rows for what burns; without them it is not listed, nor the code for it compiled.
    room_below, room_above
        How far from price the grid must reach, bins.
    session_hours
        Trading time of one bar where the market has sessions; 0 where it never closes and the clock counts.
    interval
        Length of a bar, ns: more time between two bars is a gap.
    first
        Number of the bar in row 0 of ``columns`` and ``market``. Every other number of a bar, in events and in state,
        is absolute. The kernels look back two pivots' bars or a void's window, and at least one bar.
    mask
        Bit ``1 << kind`` set: return after a bar with such an event. It changes where the kernel returns, nothing else.

    Returns
    -------
    next_bar, rows_used, reason
        The next bar to take and ``DONE``, ``LISTENED``, ``ROOM`` or ``GROW``.
    """
    ts, opened, high, low, close, volume, trigger_high, trigger_low = columns
    heads, venues, stored, flows, path, stamps, changes = arrays
    pivots, channel, void = structure.pivots[0], structure.channel[0], structure.void[0]
    recent, queue, levels = structure.recent, structure.queue, structure.levels
    zones, averages, limits = watch.zones, watch.averages[0], watch.limits[0]
    rows, market = findings
    ring = recent.shape[1] // 2 - 1
    head = heads[0]
    count = rows_used
    for bar in range(start, stop):
        at = bar - first
        if len(rows) - count < ROWS_PER_BAR:
            return bar, count, ROOM
        if swept is not None and len(swept) - head.listed < 2 * stored.shape[2]:
            return bar, count, ROOM
        bottom, top = math.log(low[at]) / head.width, math.log(high[at]) / head.width
        if bottom - room_below < head.first or top + room_above >= head.first + stored.shape[2]:
            return bar, count, GROW
        mark_bottom, mark_top = bottom, top
        if trigger_low[at] != low[at]:
            mark_bottom = math.log(trigger_low[at]) / head.width
        if trigger_high[at] != high[at]:
            mark_top = math.log(trigger_high[at]) / head.width
        position = math.log(close[at]) / head.width
        begin = count
        last = max(at - 1, 0)
        hours = session_hours if session_hours > 0.0 else (ts[at] - ts[last]) / 3.6e12

        # 1. The bar against the zones frozen at the close before. Reached is what last and mark price both reached, so
        # that what counts as swept was swept of stops and liquidations alike.
        position_before, oi_before = head.position, head.oi
        atr = averages.atr / head.width
        after_gap = bar > 0 and ts[at] - ts[last] > interval
        gap = math.log(opened[at] / close[last]) if after_gap else 0.0
        if session_hours == 0.0 and ts[at] - ts[last] > channel.bars * interval:  # an outage: nothing is known of it
            channel.status = NO_CHANNEL
            void.group[LONG], void.group[SHORT] = 0, 0
        coverage_before = (head.coverage[LONG], head.coverage[SHORT])
        for side in (LONG, SHORT):
            touched = math.ceil(max(bottom, mark_bottom)) if side == LONG else math.floor(min(top, mark_top))
            if _meets(head, zones[side], limits, side, touched):
                count = _cross(head, venues, stored, zones[side], averages, limits, rows, count, bar, side, touched)
            if reaches(venues, side, touched) and enters_void(
                head, venues, stored, void, limits.min_coverage, side, touched, atr
            ):
                averages.groups += 1
                void.group[side], void.since[side] = averages.groups, bar
        channel.tested = 0
        if channel.status != NO_CHANNEL:
            found = test_bar(channel, bar, position, bottom, top, atr)
            if found > 0:
                kind = CHANNEL_BREAK if found == BREAKS else FAKE_OUT
                count = _report_channel(head, venues, stored, channel, limits, rows, count, bar, kind, atr)

        # 2. The map through the close of the bar. Stops of what opens in it lie beyond the pivots known at its close.
        note_pivots(pivots, high, low, close, averages.atr, bar, first)
        for side in (LONG, SHORT):
            if pivots.count[side] > 0:
                head.swing[side] = pivots.price[side, (pivots.count[side] - 1) % RING]
        if swept is not None:
            list_swept(head, venues, stored, changes, swept, bar, bottom, top, mark_bottom, mark_top)
        step(
            head, venues, stored, flows, path, stamps, changes, bar, hours,
            bottom, top, mark_bottom, mark_top, volume[at], averages.atr,
        )  # fmt: skip
        take_stock(head, venues, position)

        # 3. What the close leaves: flows, voids, exits, zones near.
        for here in (bar & ring, (bar & ring) + ring + 1):
            recent[LOWS, here], recent[HIGHS, here], recent[CLOSES, here] = bottom, top, position
        past = bar - averages.momentum_bars
        averages.momentum = position - recent[CLOSES, past & ring] if past >= 0 else 0.0
        near = limits.near_atr * averages.atr / head.width
        for side in (LONG, SHORT):
            extreme = low[at] if side == LONG else high[at]
            if head.burned[side] > 0.0 or head.burned[side + 2] > 0.0:
                count = _flow(
                    head, limits, rows, count, bar, side, close[last], extreme, averages.volume, coverage_before[side]
                )
            if void.group[side] > 0 and void.since[side] == bar:
                open_episode(
                    head, void, market[OI], market[SWEPT + side], market[SWEPT + side + 2],
                    low if side == LONG else high, side, bar, first,
                )  # fmt: skip
                count = _void_row(head, void, rows, count, bar, plain(VOID_ENTRY), side)
            if void.group[side] > 0 and exhausted(
                head, venues, stored, void, side, bar, bottom if side == LONG else top, atr,
                averages.momentum / atr if atr > 0.0 else 0.0, averages.volume,
                math.sqrt(averages.square_short), math.sqrt(averages.square_long),
            ):  # fmt: skip
                count = _void_row(head, void, rows, count, bar, plain(VOID_EXHAUSTION), side)
                void.group[side] = 0
            if not _nothing_near(head, venues, zones[side], limits, side, near):
                count = _watch(head, venues, stored, zones[side], averages, limits, rows, count, bar, side, near)
        heard = 0
        if count > begin:
            heard = _finish(
                head, venues, stored, limits, rows, begin, count, ts[at], close[at], averages, oi_before,
                channel, gap,
            )  # fmt: skip
        _note(head, venues, market, averages, channel, at)

        # 4. Only now does the bar enter the averages that later bars are measured by, and the channel they are tested
        # against.
        if bar > 0:
            true_range = (max(top, position_before) - min(bottom, position_before)) * head.width
            averages.atr = follow(averages.atr, true_range, averages.seen - 1, averages.atr_bars)
            before = math.log(opened[at]) / head.width if after_gap else position_before  # a closed market has no pace
            move = (position - before) * head.width
            square = move * move
            averages.square_short = follow(averages.square_short, square, averages.seen - 1, averages.short_bars)
            averages.square_long = follow(averages.square_long, square, averages.seen - 1, averages.long_bars)
        averages.volume = follow(averages.volume, volume[at], averages.seen, averages.volume_bars)
        averages.seen += 1
        if is_due(channel, queue, bar):
            averages.groups = fit(
                channel, pivots, recent, queue, levels, head.width, averages.atr / head.width, bar, averages.groups
            )
        if heard & mask:
            return bar + 1, count, LISTENED
    return stop, count, DONE
