"""Zones of the map: runs of dense bins, looked for outward from price and only as far as asked.

Below price the long layers count, above it the short ones. A zone is a run of bins of at least ``off`` density,
bridging short gaps, that has a bin of at least ``on`` density and enough mass in all; beyond its peak it also ends
where density falls to the share ``valley`` of the peak, so two hills with a valley between are two zones. That is a
function of the map alone and needs no memory. ``near`` is the edge that faces price, ``far`` the other.
"""

from __future__ import annotations

import math

import numpy as np

from forcedflow.kernels import FloatArray, Record, Records, inner_kernel, merged_kernel, small_kernel
from forcedflow.kernels.liquidation_map import LONG, NO_HIGH, NO_LOW, SHORT, base_per_unit, held

__all__ = [
    "LIMITS",
    "bin_mass",
    "find_zone",
    "first_dense",
    "frontier",
    "mass_between",
    "outward",
    "reaches",
    "take_stock",
]

TIE = 1e-9  # bins this near in mass count as equal: entries spread evenly make equals, and rounding must not choose

LIMITS = np.dtype(
    [
        ("on", "f8"),  # density of a zone's peak: share of open interest per 1% of price
        ("off", "f8"),  # density at which it ends
        ("valley", "f8"),  # or where density falls to this share of its peak so far, outward
        ("bridge", "i8"),  # bins below `off` that it may span
        ("min_mass", "f8"),  # share of open interest
        ("min_coverage", "f8"),  # no zones while a smaller share of open interest is located
        ("reach", "i8"),  # bins
        ("near_atr", "f8"),
        ("swept_share", "f8"),
        ("flow_min", "f8"),  # forced flow worth an event, bars of average volume
    ],
    align=True,
)


@small_kernel
def outward(position: float, side: int) -> int:
    """Return the first bin at or beyond a price, on the side where the thresholds of ``side`` lie."""
    return math.floor(position) if side == LONG else math.ceil(position)


@merged_kernel
def bin_mass(head: Record, venues: Records, stored: FloatArray, side: int, k: int) -> float:
    """Return the mass of a side in bin ``k`` over all venues and layers, base units."""
    here = k - head.first
    size = stored.shape[2]
    total = 0.0
    for v in range(len(venues)):
        venue = venues[v]
        there = here - venue.moved[side]
        mass = stored[v, side, there] if 0 <= there < size else 0.0
        if venue.stops > 0 and 0 <= here < size:
            mass += stored[v, side + 2, here]
        if mass > 0.0:
            total += mass * venue.scale[side] * base_per_unit(venue, float(k), head.width)
    return total


@merged_kernel
def frontier(venues: Records, side: int) -> int:
    """Return the bin nearest to price that may hold mass of a side: nothing lies between it and price."""
    nearest: int = NO_HIGH if side == LONG else NO_LOW
    for v in range(len(venues)):
        venue = venues[v]
        moved = venue.moved[side]
        if side == LONG:
            nearest = max(nearest, venue.high[LONG] + moved)
            nearest = max(nearest, venue.high[LONG + 2])
        else:
            nearest = min(nearest, venue.low[SHORT] + moved)
            nearest = min(nearest, venue.low[SHORT + 2])
    return nearest


@small_kernel
def reaches(venues: Records, side: int, touched: int) -> bool:
    """Tell whether a bar that reaches bin ``touched`` may sweep mass of a side."""
    beyond = frontier(venues, side) - touched
    return beyond >= 0 if side == LONG else beyond <= 0


@inner_kernel
def mass_between(head: Record, venues: Records, stored: FloatArray, side: int, one: int, other: int) -> float:
    """Return the mass of a side in the bins from ``one`` to ``other``, both included, base units."""
    begin, end = min(one, other), max(one, other)
    if side == LONG:
        end = min(end, frontier(venues, side))
    else:
        begin = max(begin, frontier(venues, side))
    total = 0.0
    for k in range(begin, end + 1):
        total += bin_mass(head, venues, stored, side, k)
    return total


@merged_kernel
def take_stock(head: Record, venues: Records, position: float) -> None:
    """Sum up over venues what the close leaves: open interest at the last settled stamps, and its located share."""
    oi, longs, shorts = 0.0, 0.0, 0.0
    for v in range(len(venues)):
        venue = venues[v]
        unit = base_per_unit(venue, position, head.width)
        oi += venue.oi * unit
        longs += held(venue, LONG) * unit
        shorts += held(venue, SHORT) * unit
    head.position, head.oi = position, oi
    head.coverage[LONG] = longs / oi if oi > 0.0 else 0.0
    head.coverage[SHORT] = shorts / oi if oi > 0.0 else 0.0


@inner_kernel
def first_dense(
    head: Record, venues: Records, stored: FloatArray, limits: Record, side: int, start: int, last_start: int
) -> int:
    """Return the first bin from ``start`` out to ``last_start`` that may begin a zone; one beyond where none may."""
    away = -1 if side == LONG else 1
    off = limits.off * head.oi * head.width / 0.01
    k = start
    if off > 0.0:  # what lies between price and the frontier is empty
        nearest = frontier(venues, side)
        k = min(k, max(nearest, last_start - 1)) if side == LONG else max(k, min(nearest, last_start + 1))
    while (last_start - k) * away >= 0 and (off <= 0.0 or bin_mass(head, venues, stored, side, k) < off):
        k += away
    return k


@inner_kernel
def find_zone(
    head: Record,
    venues: Records,
    stored: FloatArray,
    limits: Record,
    side: int,
    start: int,
    last_start: int,
    last: int,
) -> tuple[bool, int, int, int, float]:
    """Look outward for the first zone of a side.

    Parameters
    ----------
    start, last_start
        Bins in which the zone may begin: from ``start`` down (longs) or up (shorts) to ``last_start``, both included.
    last
        Bin at which the look ends, even inside a zone.

    Returns
    -------
    found, near, far, peak, mass
        Edges and peak as bins, mass in base units. Where none is found, ``near`` is the first bin dense enough to begin
        one: a later look from there sees the same runs as a look from ``start``.
    """
    away = -1 if side == LONG else 1
    per_bin = head.oi * head.width / 0.01
    on, off, least = limits.on * per_bin, limits.off * per_bin, limits.min_mass * head.oi
    k = start
    if off > 0.0:  # what lies between price and the frontier is empty
        nearest = frontier(venues, side)
        k = min(k, max(nearest, last_start - 1)) if side == LONG else max(k, min(nearest, last_start + 1))
    first, none = k, True
    while (last_start - k) * away >= 0:
        if off <= 0.0 or bin_mass(head, venues, stored, side, k) < off:
            k += away
            continue
        if none:
            first, none = k, False
        far, peak, top, mass, skipped, gap = k, k, 0.0, 0.0, 0.0, 0
        j = k
        while (last - j) * away >= 0 and gap <= limits.bridge:
            here = bin_mass(head, venues, stored, side, j)
            if here < max(off, limits.valley * top):
                gap += 1
                skipped += here
            else:
                mass += here + skipped
                far, gap, skipped = j, 0, 0.0
                if here > top * (1.0 + TIE):
                    top, peak = here, j
            j += away
        if top >= on and mass >= least:
            return True, k, far, peak, mass
        k = far + away
    return False, k if none else first, 0, 0, 0.0
