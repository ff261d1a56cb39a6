"""Twin of ``forcedflow.kernels.simulation``: every position an object in a list that is searched from end to end."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from forcedflow.kernels.simulation import Draws, Rules


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
    """The market as it says itself: value, book, and two lists of positions (longs, shorts)."""

    draws: Draws
    rules: Rules
    value: float
    price: float
    atr: float
    displacement: float = 0.0
    positions: tuple[list[Position], list[Position]] = field(default_factory=lambda: ([], []))
    prices: list[tuple[float, float, float, float]] = field(default_factory=list)
    flows: list[dict[str, int]] = field(default_factory=list)

    @property
    def open_interest(self) -> tuple[int, int]:
        """Lots of all longs and of all shorts."""
        longs, shorts = (sum(p.lots for p in side) for side in self.positions)
        return longs, shorts

    def reprice(self) -> None:
        """Price is value and impact, on the tick."""
        shift = math.copysign(self.rules.impact * math.sqrt(abs(self.displacement)), self.displacement)
        self.price = round(math.exp(self.value + shift) * self.rules.ticks) / self.rules.ticks

    def leave(self, side: int, position: Position) -> int:
        """Close a position: some of the other side leave too, newcomers take the rest; returns the newcomers' lots."""
        self.positions[side].remove(position)
        wanted = matched = int(position.lots * self.rules.closing_share)
        others = self.positions[1 - side]
        while wanted and others:
            soonest = min(others, key=lambda p: (p.due, p.number))
            part = min(soonest.lots, wanted)
            soonest.lots -= part
            wanted -= part
            if not soonest.lots:
                others.remove(soonest)
        return position.lots - (matched - wanted)

    def reached(self, side: int) -> list[Position]:
        """Positions whose trigger price has reached, nearest to where price came from first."""
        if side == 0:
            return sorted(
                (p for p in self.positions[0] if p.trigger >= self.price), key=lambda p: (-p.trigger, p.number)
            )
        return sorted((p for p in self.positions[1] if p.trigger <= self.price), key=lambda p: (p.trigger, p.number))

    def open(self, side: int, step: int, lots: int) -> None:
        """Newcomers of several kinds open at the price of now."""
        direction, count = (1, -1)[side], self.rules.cohorts
        for k in range(count):
            part = lots // count + (k < lots % count)
            if not part:
                continue
            number = step * count + k
            liquidation = self.draws.factor[side, number] * self.price
            multiple = self.draws.multiple[side, number]
            stop = self.price * math.exp(-direction * multiple * self.atr) if math.isfinite(multiple) else None
            is_stop = stop is not None and direction * stop > direction * liquidation
            trigger = stop if stop is not None and is_stop else liquidation
            self.positions[side].append(Position(number, part, trigger, is_stop, step + self.draws.life[side, number]))

    def run_bar(self) -> None:
        """One bar, in the order that the kernel's docstring states."""
        bar, rules = len(self.prices), self.rules
        path = [self.price]
        flow = dict.fromkeys(("volume", "long_liquidated", "short_liquidated", "long_stopped", "short_stopped"), 0)
        for step in range(bar * rules.steps_per_bar, (bar + 1) * rules.steps_per_bar):
            before = self.price
            self.value += self.draws.returns[step]
            self.displacement *= rules.resilience
            self.reprice()
            path.append(self.price)
            born = traded = int(rules.born * self.draws.activity[step])
            newcomers = [born, born]
            for side, name in enumerate(("long", "short")):
                direction = (-1, 1)[side]
                while found := self.reached(side):
                    position = found[0]
                    flow[f"{name}_stopped" if position.is_stop else f"{name}_liquidated"] += position.lots
                    traded += position.lots
                    newcomers[side] += self.leave(side, position)
                    self.displacement += direction * position.lots
                    self.value += direction * position.lots * rules.permanent
                    self.reprice()
                    path.append(self.price)
            for side in (0, 1):
                while late := [p for p in self.positions[side] if p.due <= step]:
                    position = min(late, key=lambda p: (p.due, p.number))
                    traded += position.lots
                    newcomers[side] += self.leave(side, position)
            for side in (0, 1):
                self.open(side, step, newcomers[side])
            move = abs(math.log(self.price / before)) / rules.step_volatility
            flow["volume"] += traded + int(rules.churn * (self.draws.activity[step] + move) / 2)
        self.prices.append((path[0], max(path), min(path), path[-1]))
        self.flows.append(flow)
        self.atr += (math.log(max(path) / min(path)) - self.atr) / rules.atr_bars
