"""Pivots and channels from all bars so far, at every bar anew: no state but the channel that lives."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from naive.market_pass import wilder

if TYPE_CHECKING:
    from forcedflow.data.bars import Bars
    from forcedflow.data.series import Dataset
    from forcedflow.settings import MarketSettings


def bar_pivots(bars: Bars, k: int, bar: int, sign: int) -> list[int]:
    """Bars of the pivots of one side that are confirmed at the close of ``bar``; ``sign`` +1: highs."""
    values = (bars.high if sign > 0 else -bars.low)[: bar + 1]
    return [
        j
        for j in range(k, bar - k + 1)
        if values[j] > max(values[j - k : j]) and values[j] >= max(values[j + 1 : j + k + 1])
    ]


def last_pivots(bars: Bars, settings: MarketSettings, atr: list[float], bar: int) -> tuple[float, float]:
    lows = bar_pivots(bars, settings.pivot_bars, bar, -1)
    highs = bar_pivots(bars, settings.pivot_bars, bar, 1)
    return (bars.low[lows[-1]] if lows else math.nan), (bars.high[highs[-1]] if highs else math.nan)


class NaiveChannels:
    def __init__(self, dataset: Dataset, settings: MarketSettings) -> None:
        self.bars, self.settings = dataset.bars, settings
        self.sessions = dataset.calendar == "sessions"
        self.low, self.high, self.close = (np.log(x) for x in (self.bars.low, self.bars.high, self.bars.close))
        self.upper, self.lower = np.full((2, len(self.bars)), math.nan)
        self.events: list[tuple[int, int, int]] = []
        self.atr: list[float] = []  # before each bar
        self.ranges: list[float] = []
        self.squares: list[float] = []
        self.live: tuple[int, float, float, float] | None = None  # born, upper, lower, slope
        self.broken: tuple[int, int] | None = None  # bar, side
        self.beyond = {1: 0, -1: 0}

    def run(self) -> None:
        for bar in range(len(self.bars)):
            self.atr.append(wilder(self.ranges, self.settings.atr_bars))
            self.test(bar)
            if bar > 0:
                gap = self.bars.ts[bar] - self.bars.ts[bar - 1] > self.bars.interval
                before = math.log(self.bars.open[bar]) if gap else self.close[bar - 1]
                self.squares.append((self.close[bar] - before) ** 2)
                top, bottom = max(self.high[bar], self.close[bar - 1]), min(self.low[bar], self.close[bar - 1])
                self.ranges.append(top - bottom)
            self.renew(bar, wilder(self.ranges, self.settings.atr_bars))

    def levels(self, bar: int) -> tuple[float, float]:
        assert self.live is not None
        born, upper, lower, slope = self.live
        return upper + slope * (bar - born), lower + slope * (bar - born)

    def test(self, bar: int) -> None:
        s = self.settings
        outage = bar > 0 and self.bars.ts[bar] - self.bars.ts[bar - 1] > s.channel_bars * self.bars.interval
        if outage and not self.sessions:
            self.live = self.broken = None
        if self.live is None:
            return
        upper, lower = self.levels(bar)
        self.upper[bar], self.lower[bar] = math.exp(upper), math.exp(lower)
        if self.broken is not None:
            at, side = self.broken
            inside = self.close[bar] < upper if side > 0 else self.close[bar] > lower
            if inside:
                self.events.append((bar, 6, side))
            if inside or bar - at >= s.fakeout_bars:
                self.live = self.broken = None
            return
        for side, over in ((-1, lower - self.close[bar]), (1, self.close[bar] - upper)):
            self.beyond[side] = self.beyond[side] + 1 if over > s.break_atr * self.atr[bar] else 0
            if self.beyond[side] >= s.break_closes:
                self.broken = (bar, side)
                self.events.append((bar, 5, side))
                return

    def renew(self, bar: int, atr: float) -> None:
        s = self.settings
        rolling = s.channel == "donchian"
        if self.live is not None and self.broken is None and not rolling and bar - self.live[0] >= s.channel_age:
            self.live = None
        if bar + 1 < s.channel_bars or self.broken is not None or atr <= 0:
            return
        first = bar - s.channel_bars + 1
        if s.channel == "donchian":
            if self.live is None:
                self.beyond = {1: 0, -1: 0}
            self.live = (bar, max(self.high[first : bar + 1]), min(self.low[first : bar + 1]), 0.0)
            return
        if self.live is not None or (bar + 1) % max(1, s.channel_bars // 8) != 0:
            return
        best = None
        for begin, upper, lower, slope in self.candidates(first, bar, atr):
            judged = self.judge(begin, bar, upper, lower, slope, atr)
            if judged is None:
                continue
            touches, width = judged
            ranks = (touches, -round(width, 9), -abs(slope))  # more touches, then the narrower, then the flatter
            if best is None or ranks > best[0]:
                best = ranks, (bar, upper, lower, slope)
        if best is not None:
            self.live, self.beyond = best[1], {1: 0, -1: 0}

    def candidates(self, first: int, bar: int, atr: float) -> list[tuple[int, float, float, float]]:
        s = self.settings
        if s.channel == "regression":
            x = np.arange(first, bar + 1)
            slope, base = np.polyfit(x - bar, self.close[first : bar + 1], 1)
            residuals = self.close[first : bar + 1] - base - slope * (x - bar)
            half = s.channel_sigmas * math.sqrt(float((residuals**2).sum()) / (len(x) - 2))
            return [(first, base + half, base - half, slope)]
        found = []
        for sign, mine, other in ((-1, self.low, self.high), (1, self.high, self.low)):
            pivots = bar_pivots(self.bars, s.pivot_bars, bar, sign)[-8:]
            for begin in pivots[:-1]:
                if begin < first:
                    continue
                slope = (mine[pivots[-1]] - mine[begin]) / (pivots[-1] - begin)
                x = np.arange(begin, bar + 1)
                line = mine[begin] + slope * (x - begin)
                if np.all(sign * (mine[begin : bar + 1] - line) <= s.touch_atr * atr):
                    base = line[-1]
                    parallel = base - sign * max(0.0, float((sign * (line - other[begin : bar + 1])).max()))
                    found.append((begin, max(base, parallel), min(base, parallel), slope))
                    break
        return found

    def judge(
        self, begin: int, bar: int, upper: float, lower: float, slope: float, atr: float
    ) -> tuple[int, float] | None:
        s = self.settings
        x = np.arange(begin, bar + 1) - bar
        top, bottom, rows = upper + slope * x, lower + slope * x, slice(begin, bar + 1)
        touching_top = self.high[rows] >= top - s.touch_atr * atr
        touching_bottom = self.low[rows] <= bottom + s.touch_atr * atr
        touches = [int((np.diff(t.astype(int), prepend=0) == 1).sum()) for t in (touching_top, touching_bottom)]
        edge = 1e-9 * s.bin_bps * 1e-4  # a close on a boundary is inside
        contained = float(((self.close[rows] >= bottom - edge) & (self.close[rows] <= top + edge)).mean())
        width = (upper - lower) / atr
        fine = (
            s.channel_min_atr <= width <= s.channel_max_atr
            and contained >= s.channel_containment
            and min(touches) >= s.channel_touches
        )
        return (sum(touches), width) if fine else None
