"""Zones from the full density profile: every zone outward from a bin, listed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forcedflow.settings import MarketSettings

LONG = 0


@dataclass(frozen=True)
class Zone:
    near: int
    far: int
    peak: int
    mass: float


def outward(position: float, side: int) -> int:
    return math.floor(position) if side == LONG else math.ceil(position)


def between(mass: Mapping[int, float], one: int, other: int) -> float:
    return math.fsum(mass.get(k, 0.0) for k in range(min(one, other), max(one, other) + 1))


def zones(
    mass: Mapping[int, float], side: int, start: int, last: int, oi: float, settings: MarketSettings
) -> list[Zone]:
    """All zones that begin between ``start`` and ``last``, nearest first; the look ends at ``last``."""
    away = -1 if side == LONG else 1
    bins = list(range(start, last + away, away))
    if oi <= 0.0:
        return []
    per_bin = settings.bin_bps * 1e-4 / 0.01
    density = [mass.get(k, 0.0) / oi / per_bin for k in bins]
    found = []
    i = 0
    while i < len(bins):
        if density[i] < settings.zone_off:
            i += 1
            continue
        end = _end(density, i, settings)
        run = density[i : end + 1]
        total = between(mass, bins[i], bins[end])
        if max(run) >= settings.zone_on and total >= settings.zone_min_mass * oi:
            densest = next(j for j, d in enumerate(run) if d >= max(run) * (1 - 1e-9))  # of equals the nearest
            found.append(Zone(bins[i], bins[end], bins[i + densest], total))
        i = end + 1
    return found


def _end(density: list[float], begin: int, settings: MarketSettings) -> int:
    """The last bin of the run that begins at ``begin``: then comes a gap too wide to bridge, or a valley."""
    end = begin
    for i in range(begin, len(density)):
        if i - end > settings.zone_bridge + 1:
            break
        if density[i] >= max(settings.zone_off, settings.zone_valley * max(density[begin : end + 1])):
            end = i
    return end
