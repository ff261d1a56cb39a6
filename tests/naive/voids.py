"""Voids and exhausted moves from all bars so far, at every bar anew: no sums but those over the window."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from naive.zones import between, outward

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forcedflow.settings import MarketSettings

LONG = 0
DUST = 1e-9


@dataclass(frozen=True)
class Past:
    """What is known of a bar at its close."""

    low: float
    high: float
    swept: tuple[float, float]  # by side, base units
    oi: float
    volume: float  # average before the bar
    momentum: float  # ATR


@dataclass
class Episode:
    group: int
    since: int
    ahead: float  # share of open interest


class NaiveVoids:
    def __init__(self, settings: MarketSettings) -> None:
        self.settings = settings
        self.dense = [False, False]
        self.live: list[Episode | None] = [None, None]

    def forget(self) -> None:
        """An outage: nothing is known of what happened in it."""
        self.live = [None, None]

    def enters(self, side: int, touched: int, mass: Mapping[int, float], oi: float, atr: float) -> float | None:
        """The mass ahead where the bar sweeps some of the frozen map's and comes from mass into a void."""
        away = -1 if side == LONG else 1
        swept = math.fsum(m for k, m in mass.items() if (touched - k) * away >= 0)
        if oi <= 0.0 or swept <= DUST * oi:
            return None
        reach = int(self.settings.void_atr * atr) + 1
        ahead = between(mass, touched + away, touched + away * reach) / oi
        came_from_mass, self.dense[side] = self.dense[side], ahead >= self.settings.void_mass
        return ahead if came_from_mass and not self.dense[side] else None

    def numbers(self, side: int, past: list[Past]) -> tuple[float, float, int, float]:
        """Swept and extreme within the window up to now, bars since the flow dried up, peak of momentum."""
        episode, bar = self.live[side], len(past) - 1
        assert episode is not None
        away = -1 if side == LONG else 1
        window = past[max(0, episode.since - self.settings.exhaust_bars + 1) :]
        swept = math.fsum(p.swept[side] / p.oi for p in window if p.oi > 0.0)
        extreme = min(p.low for p in window) if side == LONG else max(p.high for p in window)
        move = past[episode.since :]
        wet = [k for k, p in enumerate(move) if k == 0 or p.swept[side] > self.settings.exhaust_flow * p.volume]
        peak = max(0.0, *(away * p.momentum for p in move))
        return swept, extreme, bar - episode.since - wet[-1], peak

    def exhausted(
        self,
        side: int,
        past: list[Past],
        mass: Mapping[int, float],
        position: float,
        atr: float,
        vols: tuple[float, float],
    ) -> bool:
        s, episode, now = self.settings, self.live[side], past[-1]
        assert episode is not None
        away = -1 if side == LONG else 1
        start = outward(position, side)
        inside = between(mass, start, start + away * int(s.void_atr * atr))
        episode.ahead = inside / now.oi if now.oi > 0.0 else 0.0
        if len(past) - 1 - episode.since >= s.exhaust_bars or episode.ahead >= s.void_mass:
            self.live[side] = None
            return False
        swept, _, dry, peak = self.numbers(side, past)
        return (
            swept >= s.exhaust_swept
            and dry >= s.exhaust_dry_bars
            and peak > 0.0
            and away * now.momentum <= s.exhaust_momentum * peak
            and vols[0] <= s.exhaust_vol * vols[1]
        )
