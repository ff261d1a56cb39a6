"""The liquidation map: mass over log-price bins, burned and faded by bars, settled by open-interest stamps.

Positions on the price axis are log prices in units of the bin width, anchored at ln p = 0, so bin ``k`` is centred on
``exp(k * width)``; mass at a position between two centres is split between them linearly. Indices:

=========  ==================================================================================
``v``      venue
``side``   0 the longs (thresholds below their entry), 1 the shorts (thresholds above)
``layer``  ``2 * stops + side``: long_liq, short_liq, long_stop, short_stop
=========  ==================================================================================

Two things are lazy. Fading multiplies a venue's ``scale[side]`` and never loops over bins: mass is ``stored * scale``.
A change of maintenance margin moves its ``origin[side]`` and never moves a bin: in a liquidation layer, bin ``k`` lies
at position ``k + origin``. Stop layers do not move.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from forcedflow.kernels import FloatArray, Record, Records, inner_kernel, lean_kernel, merged_kernel, small_kernel

__all__ = [
    "CHANGE",
    "HEAD",
    "LONG",
    "MAX_STOPS",
    "MAX_TIERS",
    "NO_HIGH",
    "NO_LOW",
    "SHORT",
    "STAMP",
    "STOP_ATR",
    "STOP_ROUND",
    "STOP_SWING",
    "SWEPT_BIN",
    "VENUE",
    "MapArrays",
    "base_per_unit",
    "held",
    "list_swept",
    "step",
    "stop_position",
]

LONG, SHORT = 0, 1
STOP_ATR, STOP_ROUND, STOP_SWING = 0, 1, 2
BOTTOM, TOP, WORST_BOTTOM, WORST_TOP, TRADED = 0, 1, 2, 3, 4
MAX_TIERS, MAX_STOPS = 64, 4

SCALE_FLOOR = 1e-100  # below it the scale is folded into the bins, long before it could underflow
RESUM_EVERY = 4096  # bars, by absolute number: running totals are summed afresh, so rounding cannot pile up
SPREAD_BARS = 4096  # the openings of a longer open-interest interval are spread over its last so many bars
NO_LOW, NO_HIGH = 2**62, -(2**62)  # bounds of a layer without mass

HEAD = np.dtype(
    [
        ("width", "f8"),  # of a bin, log price
        ("hazard", "f8"),  # voluntary closing, per hour
        ("entry_points", "i8"),  # most points over which the entries of one bar are spread
        ("first", "i8"),  # bin number of column 0 of the stored mass
        ("hours", "f8"),  # trading time of the last bar, and the share that its fading left
        ("share", "f8"),
        ("swing", "f8", (2,)),  # price of the last confirmed swing low and high, NaN where there is none
        ("opened", "f8", (2,)),  # by the stamp that is being settled, native unit
        ("burned", "f8", (4,)),  # swept in this bar over all venues, base units
        ("position", "f8"),  # of the last close
        ("oi", "f8"),  # over all venues at the last close, base units
        ("coverage", "f8", (2,)),  # located share of it
        ("listed", "i8"),  # rows taken of the list of swept bins
    ],
    align=True,
)
_THRESHOLDS = [
    ("tiers", "i8", (2,)),  # in use, of each side
    ("offsets", "f8", (2, MAX_TIERS)),  # threshold - entry, bins, nearest first
    ("weights", "f8", (2, MAX_TIERS + 1)),  # of this tier and all beyond it; 0 after the last
]
VENUE = np.dtype(
    [
        ("inverse", "i8"),  # 1 where mass is counted in contracts
        ("face", "f8"),  # quote currency per contract
        *_THRESHOLDS,
        ("stops", "i8"),  # kinds of stops in use
        ("stop_kind", "i8", (MAX_STOPS,)),
        ("stop_share", "f8", (MAX_STOPS,)),  # of holders who keep such a stop
        ("stop_value", "f8", (MAX_STOPS,)),  # ATR multiple, or grid of round prices in quote currency
        ("stop_beyond", "f8", (MAX_STOPS,)),  # how far beyond the level the stop lies, bins
        ("stop_at", "f8", (MAX_STOPS,)),  # of the entry that is being added: position, first tier beyond it
        ("stop_tier", "i8", (MAX_STOPS,)),
        # State from here on.
        ("scale", "f8", (2,)),
        ("origin", "f8", (2,)),  # bins
        ("moved", "i8", (2,)),  # the same, rounded to whole bins: where sums over layers see a liquidation layer
        ("total", "f8", (4,)),  # sum of stored mass over bins
        ("low", "i8", (4,)),  # all mass of a layer lies in bins low..high
        ("high", "i8", (4,)),
        ("unlocated", "f8", (2,)),
        ("pending", "f8", (2,)),  # swept and faded since the last settled stamp
        ("oi", "f8"),  # at the last settled stamp
        ("settled", "i8"),  # bar of that stamp, -1 before the first
        ("next_stamp", "i8"),
        ("end_stamp", "i8"),
        ("next_change", "i8"),
        ("end_change", "i8"),
        ("opened", "f8", (2,)),  # in this bar's settlements
        ("overdrawn", "f8", (2,)),  # pending flow that a later stamp showed to have been no open interest any more
        ("added", "f8", (4,)),  # ledger since the start, native unit
        ("swept", "f8", (4,)),
        ("faded", "f8", (4,)),
    ],
    align=True,
)
STAMP = np.dtype(
    [
        ("value", "f8"),  # open interest, native unit
        ("bar", "i8"),  # bar whose close it describes
        ("known", "i8"),  # bar at whose close it is available
    ],
    align=True,
)
CHANGE = np.dtype(
    [
        ("bar", "i8"),  # first bar under the new margin schedule
        ("shift", "f8", (2,)),  # what it adds to live liquidation thresholds, bins
        *_THRESHOLDS,
    ],
    align=True,
)
SWEPT_BIN = np.dtype(
    [
        ("bar", "i8"),
        ("bin", "i8"),
        ("side", "i8"),  # of the flow: +1 forced buying, -1 forced selling
        ("mass", "f8"),  # base units, all venues and both layers
    ],
    align=True,
)
"""A bin that burned in a bar."""


class MapArrays(NamedTuple):
    """The map as its kernels take it: what it is told and what it remembers. V venues, G bins.

    R is a power of two above the number of bars from an open-interest stamp to the bar where the next one is known.
    """

    head: Records  # (1,) HEAD
    venues: Records  # (V,) VENUE
    stored: FloatArray  # (V, 4, G) mass over scale
    flows: FloatArray  # (V, 2, R) swept and faded, bar by bar: a ring over the last R bars, R a power of two
    path: FloatArray  # (R, 5) the same ring of bars: BOTTOM, TOP, WORST_BOTTOM, WORST_TOP as positions, TRADED volume
    stamps: Records  # (K,) STAMP, each venue's in order
    changes: Records  # (C,) CHANGE, each venue's in order


@small_kernel
def base_per_unit(venue: Record, position: float, width: float) -> float:
    """Return base units per native unit of mass at a price: 1 for linear contracts, face / price for inverse ones."""
    if venue.inverse == 0:
        return 1.0
    return venue.face * math.exp(-position * width)  # type: ignore[no-any-return]


@small_kernel
def _reached(venue: Record, layer: int, reach: float) -> tuple[int, int]:
    """Return the first and last bin of a layer that may hold mass and that price reached; none where they are crossed.

    ``reach`` is the position of the bar's low for a long layer, of its high for a short one.
    """
    side = layer % 2
    origin = venue.origin[side] if layer < 2 else 0.0
    if side == LONG:
        begin, end = max(math.ceil(reach - origin), venue.low[layer]), venue.high[layer]
    else:
        begin, end = venue.low[layer], min(math.floor(reach - origin), venue.high[layer])
    return begin, end


@merged_kernel
def _burn(head: Record, venue: Record, stored: FloatArray, v: int, layer: int, reach: float) -> float:
    """Empty the bins of a layer that price reached and return their mass, native unit.

    Mass beyond the bar's range on the wrong side goes too: its threshold is crossed (after a margin change, say).
    """
    side = layer % 2
    origin = venue.origin[side] if layer < 2 else 0.0
    begin, end = _reached(venue, layer, reach)
    if begin > end:
        return 0.0
    taken, base = 0.0, 0.0
    for k in range(begin, end + 1):
        mass = stored[v, layer, k - head.first]
        if mass > 0.0:
            taken += mass
            if venue.inverse:
                base += mass * base_per_unit(venue, k + origin, head.width)
            stored[v, layer, k - head.first] = 0.0
    if side == LONG:
        venue.high[layer] = begin - 1
    else:
        venue.low[layer] = end + 1
    venue.total[layer] = max(venue.total[layer] - taken, 0.0) if venue.low[layer] <= venue.high[layer] else 0.0
    taken *= venue.scale[side]
    head.burned[layer] += base * venue.scale[side] if venue.inverse else taken
    venue.swept[layer] += taken
    return taken  # type: ignore[no-any-return]


@lean_kernel
def _resum(venue: Record, stored: FloatArray, v: int, side: int) -> None:
    """Sum the bins of a side's layers afresh."""
    for layer in (side, side + 2):
        total = 0.0
        for mass in stored[v, layer]:
            total += mass
        venue.total[layer] = total


@small_kernel
def _keep(venue: Record, stored: FloatArray, v: int, side: int, share: float) -> None:
    """Leave a share of every located and unlocated position of a side: one lazy factor."""
    gone = (1.0 - share) * venue.scale[side]
    venue.faded[side] += gone * venue.total[side]
    if venue.stops > 0:
        venue.faded[side + 2] += gone * venue.total[side + 2]
    venue.unlocated[side] *= share
    venue.scale[side] *= share
    if venue.scale[side] < SCALE_FLOOR:
        _fold(venue, stored, v, side)


@lean_kernel
def _fold(venue: Record, stored: FloatArray, v: int, side: int) -> None:
    """Multiply the scale into the bins and start again at 1; a scale of zero empties its layers."""
    for layer in (side, side + 2):
        for column in range(stored.shape[2]):
            stored[v, layer, column] *= venue.scale[side]
        if venue.scale[side] == 0.0:
            venue.low[layer], venue.high[layer] = NO_LOW, NO_HIGH
    venue.scale[side] = 1.0
    _resum(venue, stored, v, side)


@small_kernel
def held(venue: Record, side: int) -> float:
    """Return the located mass of a side, native unit."""
    return venue.scale[side] * (venue.total[side] + venue.total[side + 2])  # type: ignore[no-any-return]


@small_kernel
def _fade(venue: Record, stored: FloatArray, v: int, side: int, share: float) -> float:
    """Let holders close by themselves and return what they closed; ``share`` = exp(-hazard * hours) stays."""
    before = held(venue, side) + venue.unlocated[side]
    _keep(venue, stored, v, side, share)
    return (1.0 - share) * before  # type: ignore[no-any-return]


@small_kernel
def _put(bins: FloatArray, first: int, side: int, position: float, dead: int, mass: float) -> int:
    """Split ``mass`` (already over scale) between the two bins around ``position``; return the lower one.

    ``dead`` is the first bin that price has already crossed: nothing lands at or above it in a long layer, at or below
    it in a short one. The caller has made sure that the position itself is alive.
    """
    lower = math.floor(position)
    upper_share = position - lower
    if side == LONG:
        if lower + 1 >= dead:
            upper_share = 0.0
    elif lower <= dead:
        upper_share = 1.0
    bins[lower - first] += mass * (1.0 - upper_share)
    bins[lower - first + 1] += mass * upper_share
    return lower


@small_kernel
def _widen(venue: Record, layer: int, lowest: int, highest: int, mass: float) -> None:
    """Note that ``mass`` went into bins between ``lowest`` and ``highest`` of a layer."""
    venue.low[layer] = min(venue.low[layer], lowest)
    venue.high[layer] = max(venue.high[layer], highest)
    venue.total[layer] += mass


@small_kernel
def _crossed(position: float, reached: float, side: int) -> bool:
    return position >= reached if side == LONG else position <= reached


@inner_kernel
def stop_position(venue: Record, s: int, side: int, entry: float, atr: float, level: float, width: float) -> float:
    """Return where stops of kind ``s`` lie for an entry at position ``entry``; NaN where there is no such level.

    ``atr`` is in log price, ``level`` the last confirmed swing's price. Stops cluster just beyond round prices: Osler,
    Currency Orders and Exchange Rate Dynamics (2003).
    """
    away = -1.0 if side == LONG else 1.0
    value, beyond = venue.stop_value[s], venue.stop_beyond[s]
    if venue.stop_kind[s] == STOP_ATR:
        return entry + away * (value * atr / width + beyond)  # type: ignore[no-any-return]
    if venue.stop_kind[s] == STOP_ROUND:
        price = math.exp(entry * width)
        level = (math.ceil(price / value) - 1.0 if side == LONG else math.floor(price / value) + 1.0) * value
    if not level > 0.0:
        return math.nan
    position = math.log(level) / width + away * beyond
    return position if (position - entry) * away > 0.0 else math.nan


@small_kernel
def _first_beyond(venue: Record, side: int, alive: int, distance: float) -> int:
    """Return the first living tier whose liquidation lies beyond a stop at ``distance``; the count where none does."""
    tiers: int = venue.tiers[side]
    if math.isnan(distance):
        return tiers
    for t in range(alive, tiers):
        if venue.offsets[side, t] < distance if side == LONG else venue.offsets[side, t] > distance:
            return t
    return tiers


@merged_kernel
def _add(
    head: Record,
    venue: Record,
    stored: FloatArray,
    v: int,
    side: int,
    mass: float,
    entry: float,
    reached: float,
    atr: float,
) -> None:
    """Add positions opened at ``entry``: their mass goes to the thresholds that price has not crossed yet.

    ``reached`` is the position of the worst price since the entry. Thresholds at or beyond it are left out and the
    other weights renormalised; where none is left, the positions are known to exist but not where: unlocated.
    """
    origin, tiers, scale = venue.origin[side], venue.tiers[side], venue.scale[side]
    home = entry - origin
    dead = math.ceil(reached - origin) if side == LONG else math.floor(reached - origin)
    alive = 0  # offsets are sorted, so the crossed ones come first
    while alive < tiers and _crossed(home + venue.offsets[side, alive], reached - origin, side):
        alive += 1
    weight = venue.weights[side, alive]
    if venue.stops > 0:
        _add_with_stops(head, venue, stored, v, side, mass, entry, reached, atr, dead, alive)
        return
    if weight <= 0.0:
        venue.unlocated[side] += mass
        return
    scaled = mass / scale
    unit = scaled / weight if alive > 0 else scaled
    bins, first = stored[v, side], head.first
    lower, nearest = 0, 0
    for t in range(alive, tiers):
        part = unit * (venue.weights[side, t] - venue.weights[side, t + 1])
        lower = _put(bins, first, side, home + venue.offsets[side, t], dead, part)
        if t == alive:
            nearest = lower
    _widen(venue, side, min(nearest, lower), max(nearest, lower) + 1, scaled)
    venue.added[side] += mass


@lean_kernel
def _add_with_stops(
    head: Record,
    venue: Record,
    stored: FloatArray,
    v: int,
    side: int,
    mass: float,
    entry: float,
    reached: float,
    atr: float,
    dead: int,
    alive: int,
) -> None:
    """Add positions some of whose holders keep stops: where the stop is nearer than the liquidation, it counts."""
    dead_stop = math.ceil(reached) if side == LONG else math.floor(reached)
    tiers = venue.tiers[side]
    level = head.swing[side]
    kept = venue.weights[side, alive]
    for s in range(venue.stops):  # holders whose stop is already crossed are gone, like those whose liquidation is
        position = stop_position(venue, s, side, entry, atr, level, head.width)
        beyond = _first_beyond(venue, side, alive, position - entry)
        venue.stop_at[s], venue.stop_tier[s] = position, beyond
        if beyond < tiers and _crossed(position, reached, side):
            kept -= venue.stop_share[s] * venue.weights[side, beyond]
    if kept <= 1e-12:
        venue.unlocated[side] += mass
        return
    unit = mass / (kept * venue.scale[side])
    stopped = 0.0
    for s in range(venue.stops):
        position, beyond = venue.stop_at[s], venue.stop_tier[s]
        if beyond < tiers and not _crossed(position, reached, side):
            part = venue.stop_share[s] * venue.weights[side, beyond]
            lower = _put(stored[v, side + 2], head.first, side, position, dead_stop, unit * part)
            _widen(venue, side + 2, lower, lower + 1, unit * part)
            stopped += part
    for t in range(alive, tiers):
        share = 1.0
        for s in range(venue.stops):
            if t >= venue.stop_tier[s]:
                share -= venue.stop_share[s]
        part = max(share, 0.0) * (venue.weights[side, t] - venue.weights[side, t + 1])
        lower = _put(
            stored[v, side], head.first, side, entry - venue.origin[side] + venue.offsets[side, t], dead, unit * part
        )
        _widen(venue, side, lower, lower + 1, unit * part)
    venue.added[side + 2] += mass * stopped / kept
    venue.added[side] += mass * (1.0 - stopped / kept)


@lean_kernel
def _take_changes(venue: Record, changes: Records, bar: int) -> None:
    """Take up the margin schedules in force from this bar: new thresholds for new mass, a shift for what is live."""
    while venue.next_change < venue.end_change and changes[venue.next_change].bar <= bar:
        change = changes[venue.next_change]
        for side in (LONG, SHORT):
            venue.origin[side] += change.shift[side]
            venue.moved[side] = math.floor(venue.origin[side] + 0.5)
            venue.tiers[side] = change.tiers[side]
            for t in range(MAX_TIERS):
                venue.offsets[side, t] = change.offsets[side, t]
                venue.weights[side, t] = change.weights[side, t]
            venue.weights[side, MAX_TIERS] = change.weights[side, MAX_TIERS]
        venue.next_change += 1


@merged_kernel
def _settle_side(
    head: Record,
    venue: Record,
    stored: FloatArray,
    flows: FloatArray,
    v: int,
    side: int,
    bar: int,
    stamp: Record,
) -> float:
    """Make located + unlocated + pending of a side what a stamp says, as far as fading can; return what was opened."""
    ring = flows.shape[2] - 1
    after = 0.0  # swept and faded after the stamp: still pending
    for j in range(stamp.bar + 1, bar + 1):
        after += flows[v, side, j & ring]
    before = held(venue, side) + venue.unlocated[side]
    opened = stamp.value - after - before
    overdrawn = opened < 0.0 and -opened >= before
    if opened < 0.0:
        share = 0.0 if overdrawn else 1.0 + opened / before
        _keep(venue, stored, v, side, share)
        if share < 0.5:
            _resum(venue, stored, v, side)
    if overdrawn:  # more was swept and faded since the stamp than the stamp says there was
        venue.overdrawn[side] += after - stamp.value
        rest = stamp.value / after if after > 0.0 else 0.0
        after = 0.0
        for j in range(stamp.bar + 1, bar + 1):
            flows[v, side, j & ring] *= rest
            after += flows[v, side, j & ring]
    venue.pending[side] = after
    return max(opened, 0.0)  # type: ignore[no-any-return]


@small_kernel
def _settle(
    head: Record,
    venue: Record,
    stored: FloatArray,
    flows: FloatArray,
    path: FloatArray,
    v: int,
    bar: int,
    stamp: Record,
    atr: float,
) -> None:
    """Settle an open-interest stamp that became known at the close of ``bar``.

    Per side, what was opened since the last stamp is the change of open interest plus what was swept and faded in those
    bars: every contract has a long and a short, so this is an identity. It is taken as what is missing from
    located + unlocated + pending, which is the same and lets no rounding pile up. Where it is negative, more faded than
    the hazard said: located and unlocated shrink alike.
    """
    if venue.settled < 0:
        venue.unlocated[LONG] = venue.unlocated[SHORT] = stamp.value
    else:
        for side in (LONG, SHORT):
            head.opened[side] = _settle_side(head, venue, stored, flows, v, side, bar, stamp)
            venue.opened[side] += head.opened[side]
        _spread(head, venue, stored, path, v, venue.settled + 1, stamp.bar, bar, atr)
    venue.oi = stamp.value
    venue.settled = stamp.bar


@small_kernel
def _spread(
    head: Record,
    venue: Record,
    stored: FloatArray,
    path: FloatArray,
    v: int,
    begin: int,
    through: int,
    bar: int,
    atr: float,
) -> None:
    """Spread what was opened over the bars of its interval by volume, and within each bar evenly over its range."""
    ring = path.shape[0] - 1
    begin = max(begin, through - SPREAD_BARS + 1)
    traded = 0.0
    for j in range(begin, through + 1):
        traded += path[j & ring, TRADED]
    worst_bottom, worst_top = math.inf, -math.inf
    for j in range(bar, begin - 1, -1):  # backwards, so that the worst price since each entry is at hand
        worst_bottom = min(worst_bottom, path[j & ring, WORST_BOTTOM])
        worst_top = max(worst_top, path[j & ring, WORST_TOP])
        if j > through:
            continue
        weight = 1.0
        if begin < through:
            weight = path[j & ring, TRADED] / traded if traded > 0.0 else 1.0 / (through + 1 - begin)
        bottom = path[j & ring, BOTTOM]
        span = path[j & ring, TOP] - bottom
        points = min(max(int(span + 0.5), 1), head.entry_points)  # about a bin apart
        for p in range(points):
            entry = bottom + (span * (p + 0.5) / points if points > 1 else span * 0.5)
            for side in (LONG, SHORT):
                mass = head.opened[side] * weight
                if points > 1:
                    mass /= points
                if mass > 0.0:
                    _add(head, venue, stored, v, side, mass, entry, worst_bottom if side == LONG else worst_top, atr)


@inner_kernel
def list_swept(
    head: Record,
    venues: Records,
    stored: FloatArray,
    changes: Records,
    rows: Records,
    bar: int,
    bottom: float,
    top: float,
    mark_bottom: float,
    mark_top: float,
) -> None:
    """List the bins that :func:`step` is about to burn, each side's outward from price.

    ``rows`` has shape (m,), ``SWEPT_BIN``, and room for every bin of the grid on both sides; the other arguments are
    those of :func:`step`. A liquidation layer that margin changes moved counts where :data:`VENUE` says it moved to.
    """
    for v in range(len(venues)):
        _take_changes(venues[v], changes, bar)
    for side in (LONG, SHORT):
        mark, traded = (mark_bottom, bottom) if side == LONG else (mark_top, top)
        lowest, highest = NO_LOW, NO_HIGH
        for v in range(len(venues)):
            for layer in (side, side + 2):
                begin, end = _reached(venues[v], layer, mark if layer < 2 else traded)
                moved = venues[v].moved[side] if layer < 2 else 0
                if begin <= end:
                    lowest, highest = min(lowest, begin + moved), max(highest, end + moved)
        for steps in range(highest - lowest + 1):
            here = highest - steps if side == LONG else lowest + steps
            mass = 0.0
            for v in range(len(venues)):
                venue = venues[v]
                for layer in (side, side + 2):
                    begin, end = _reached(venue, layer, mark if layer < 2 else traded)
                    k = here - venue.moved[side] if layer < 2 else here
                    if begin <= k <= end:
                        origin = venue.origin[side] if layer < 2 else 0.0
                        part = stored[v, layer, k - head.first] * venue.scale[side]
                        mass += part * base_per_unit(venue, k + origin, head.width)
            if mass > 0.0:
                row = rows[head.listed]
                row.bar, row.bin, row.side, row.mass = bar, here, -1 if side == LONG else 1, mass
                head.listed += 1


@merged_kernel
def step(
    head: Record,
    venues: Records,
    stored: FloatArray,
    flows: FloatArray,
    path: FloatArray,
    stamps: Records,
    changes: Records,
    bar: int,
    hours: float,
    bottom: float,
    top: float,
    mark_bottom: float,
    mark_top: float,
    traded: float,
    atr: float,
) -> None:
    """Take the map through the close of ``bar``: margin changes, burn, fade, and what open interest is now known.

    Parameters
    ----------
    hours
        Trading time since the close before.
    bottom, top
        The traded range, positions: what stops see and entries are spread over.
    mark_bottom, mark_top
        What liquidations see: the mark price where it is known bar by bar, else the traded range.
    traded
        Volume, any unit.
    atr
        Average true range of the bars before, log price; places stops.
    """
    if hours != head.hours:
        head.hours, head.share = hours, math.exp(-head.hazard * hours)
    here = bar & (path.shape[0] - 1)
    path[here, BOTTOM], path[here, TOP], path[here, TRADED] = bottom, top, traded
    path[here, WORST_BOTTOM], path[here, WORST_TOP] = min(bottom, mark_bottom), max(top, mark_top)
    for layer in range(4):
        head.burned[layer] = 0.0
    for v in range(len(venues)):
        venue = venues[v]
        if venue.next_change < venue.end_change:
            _take_changes(venue, changes, bar)
        venue.opened[LONG] = venue.opened[SHORT] = 0.0
        if venue.settled >= 0:
            for side in (LONG, SHORT):
                flow = _burn(head, venue, stored, v, side, mark_bottom if side == LONG else mark_top)
                if venue.stops > 0:
                    flow += _burn(head, venue, stored, v, side + 2, bottom if side == LONG else top)
                flow += _fade(venue, stored, v, side, head.share)
                flows[v, side, here] = flow
                venue.pending[side] += flow
        while venue.next_stamp < venue.end_stamp and stamps[venue.next_stamp].known <= bar:
            _settle(head, venue, stored, flows, path, v, bar, stamps[venue.next_stamp], atr)
            venue.next_stamp += 1
        if bar % RESUM_EVERY == 0:
            for side in (LONG, SHORT):
                _resum(venue, stored, v, side)
