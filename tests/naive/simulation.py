"""Twin of ``forcedflow.kernels.simulation``: every position an object in a list that is searched from end to end."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from forcedflow.kernels.simulation import Draws, Kinds, Rules

MARKET_FLOWS = ("volume", "long_liquidated", "short_liquidated", "long_stopped", "short_stopped")


@dataclass
class Position:
    """Holders of one kind who opened together."""

    number: int
    lots: int
    trigger: float
    is_stop: bool
    due: float


@dataclass
class NaiveMarket:
    """The market as it says itself: value, book, and for each venue two lists of positions (longs, shorts)."""

    draws: Draws
    kinds: Kinds
    rules: Rules
    value: float
    price: float
    atr: float
    displacement: float = 0.0
    shift: float = 0.0
    momentum: float = 0.0
    pressure: float = 0.0
    positions: list[tuple[list[Position], list[Position]]] = field(default_factory=list)
    prices: list[tuple[float, ...]] = field(default_factory=list)
    flows: list[list[dict[str, int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.positions = [([], []) for _ in self.rules.born]

    def open_interest(self, venue: int) -> tuple[int, int]:
        """Lots of all longs and of all shorts."""
        longs, shorts = (sum(p.lots for p in side) for side in self.positions[venue])
        return longs, shorts

    def reprice(self) -> None:
        """Price is value and impact, on the tick."""
        self.shift = math.copysign(self.rules.impact * math.sqrt(abs(self.displacement)), self.displacement)
        self.price = round(math.exp(self.value + self.shift) * self.rules.tick) / self.rules.tick

    def leave(self, venue: int, side: int, position: Position) -> int:
        """Close a position: some of the other side leave too, newcomers take the rest; returns the newcomers' lots."""
        self.positions[venue][side].remove(position)
        wanted = matched = int(position.lots * self.rules.closing_share)
        others = self.positions[venue][1 - side]
        while wanted and others:
            soonest = min(others, key=lambda p: (p.due, p.number))
            part = min(soonest.lots, wanted)
            soonest.lots -= part
            wanted -= part
            if not soonest.lots:
                others.remove(soonest)
        return position.lots - (matched - wanted)

    def reached(self, side: int) -> list[tuple[int, Position]]:
        """Positions whose trigger price has reached, of all venues, nearest to where price came from first."""
        direction = (-1, 1)[side]
        found = [
            (venue, p)
            for venue, sides in enumerate(self.positions)
            for p in sides[side]
            if direction * p.trigger <= direction * self.price
        ]
        return sorted(found, key=lambda row: (direction * row[1].trigger, row[0], row[1].number))

    def shares(self, venue: int, side: int) -> list[float]:
        """Share of each kind in what opens, after the trend."""
        a = 1 / self.rules.momentum_bars
        usual = self.rules.step_volatility * math.sqrt(self.rules.steps_per_bar * a / (2 - a))
        trend = min(max(self.momentum / usual, -2), 2)
        own = range(self.kinds.first[venue], self.kinds.first[venue + 1])
        tilted = [self.kinds.share[k] * math.exp((1, -1)[side] * self.kinds.follow[k] * trend) for k in own]
        return [part / sum(tilted) for part in tilted]

    def open(self, venue: int, side: int, step: int, lots: int, shares: list[float]) -> None:
        """Newcomers of several kinds open at the price of now."""
        direction, count = (1, -1)[side], self.rules.cohorts
        for k in range(count):
            part = lots // count + (k < lots % count)
            if not part:
                continue
            number, book = step * count + k, 2 * venue + side
            column = number - self.draws.offset
            kind = self.kinds.first[venue]
            passed = shares[0]
            while kind < self.kinds.first[venue + 1] - 1 and self.draws.pick[book, column] >= passed:
                kind += 1
                passed += shares[kind - self.kinds.first[venue]]
            liquidation = self.kinds.factor[side, kind] * self.price
            keeps = self.draws.habit[book, column] < self.kinds.stop_share[kind]
            stop = self.price * math.exp(-direction * self.kinds.stop_atr[kind] * self.atr)
            is_stop = keeps and direction * stop > direction * liquidation
            life = self.draws.life[book, column] * self.kinds.holding[kind] * 60 / self.rules.step_minutes
            trigger = stop if is_stop else liquidation
            self.positions[venue][side].append(Position(number, part, trigger, bool(is_stop), step + life))

    def ahead(self, side: int, reach: float) -> int:
        """Lots of a side within reach of price, counted in whole bins."""
        width = self.rules.bin_width
        here, bins = math.floor(math.log(self.price) / width), int(reach / width + 0.5)
        return sum(
            p.lots
            for sides in self.positions
            for p in sides[side]
            if 0 <= (2 * side - 1) * (math.floor(math.log(p.trigger) / width) - here) <= bins
        )

    def drift(self) -> float:
        """What magnet and void add to every return of this bar."""
        oi, rules, drift = sum(self.open_interest(v)[0] for v in range(len(self.positions))), self.rules, 0.0
        if oi <= 0:
            return drift
        if rules.magnet:
            above, below = self.ahead(1, rules.magnet_reach), self.ahead(0, rules.magnet_reach)
            if above + below:
                drift += rules.magnet * rules.step_volatility * (above - below) / (above + below)
        if rules.void and abs(self.pressure) >= rules.void_swept:
            up = self.pressure > 0
            if self.ahead(int(up), rules.void_reach) < rules.void_mass * oi:
                drift += (-1 if up else 1) * rules.void * rules.step_volatility
        return drift

    def run_bar(self) -> None:
        """One bar, in the order that the kernel's docstring states."""
        bar, rules, venues = len(self.prices), self.rules, range(len(self.positions))
        path, shifts = [self.price], []
        oi = sum(self.open_interest(v)[0] for v in venues)
        flow = [dict.fromkeys(MARKET_FLOWS, 0) for _ in venues]
        shares = {(v, side): self.shares(v, side) for v in venues for side in (0, 1)}
        drift = self.drift()
        for step in range(bar * rules.steps_per_bar, (bar + 1) * rules.steps_per_bar):
            before = self.price
            self.value += self.draws.returns[step] + drift
            self.displacement *= rules.resilience
            self.reprice()
            path.append(self.price)
            newcomers = [[int(born * self.draws.activity[step])] * 2 for born in rules.born]
            for v in venues:
                flow[v]["volume"] += newcomers[v][0]
            for side, name in enumerate(("long", "short")):
                direction = (-1, 1)[side]
                while found := self.reached(side):
                    v, position = found[0]
                    flow[v][f"{name}_stopped" if position.is_stop else f"{name}_liquidated"] += position.lots
                    flow[v]["volume"] += position.lots
                    lots = position.lots
                    newcomers[v][side] += self.leave(v, side, position)
                    self.displacement += direction * lots
                    self.value += direction * lots * rules.permanent
                    self.reprice()
                    path.append(self.price)
            for side in (0, 1):
                for v in venues:
                    while late := [p for p in self.positions[v][side] if p.due <= step]:
                        position = min(late, key=lambda p: (p.due, p.number))
                        flow[v]["volume"] += position.lots
                        newcomers[v][side] += self.leave(v, side, position)
            move = abs(math.log(self.price / before)) / rules.step_volatility
            for v in venues:
                for side in (0, 1):
                    self.open(v, side, step, newcomers[v][side], shares[v, side])
                flow[v]["volume"] += int(rules.churn[v] * (self.draws.activity[step] + move) / 2)
            shifts.append(self.shift)
        self.prices.append((path[0], max(path), min(path), path[-1], sum(shifts) / len(shifts)))
        self.flows.append(flow)
        self.atr += (math.log(max(path) / min(path)) - self.atr) / rules.atr_bars
        self.momentum += (math.log(path[-1] / path[0]) - self.momentum) / rules.momentum_bars
        net = sum(f["short_liquidated"] + f["short_stopped"] - f["long_liquidated"] - f["long_stopped"] for f in flow)
        self.pressure = self.pressure * rules.pressure_left + (net / oi if oi else 0.0)
