"""Trade the forced orders of a liquidation zone: absorb them, or ride them."""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from forcedflow.tables import EventKind, Events
from forcedflow.trading.levels import nearer, worthwhile
from forcedflow.trading.orders import Plan
from forcedflow.trading.strategy import Strategy


class ZoneEntry(Strategy):
    """Trade where price meets a zone of forced orders.

    absorb: price nears a zone and has not touched it. Rest a limit order inside: below price it buys from longs who are
    liquidated or stopped, above price it sells to shorts. Their orders must trade, so size can be filled there without
    chasing. Wrong if price runs through the whole zone: the stop lies beyond its far edge. Out at a multiple of ATR, or
    where the nearest zone on the other side begins, since forced orders wait there too. The order is cancelled once the
    zone is swept or price has left it: the flow is spent.

    ride: price has entered a zone. Go with the forced orders at the market, towards the far edge, the last place where
    they push. Wrong if price comes back out: the stop lies behind the near edge. Out at the far edge, or at the next
    open after the zone is swept or price has left it.

    Both skip a trade whose target is nearer than ``min_reward`` times its stop.
    """

    listens: ClassVar[tuple[EventKind, ...]] = (EventKind.ZONE_NEAR, EventKind.ZONE_ENTRY)
    symmetric: ClassVar[bool] = True

    mode: Literal["absorb", "ride"] = Field(default="absorb", description="against the forced orders, or with them")
    risk: float = Field(default=0.005, gt=0, le=0.1, description="share of equity lost if the stop fills")
    depth: float = Field(
        default=0.25, ge=0, le=1, description="absorb: where in the zone the order rests; 0 near edge, 1 far"
    )
    stop_atr: float = Field(
        default=1.0, gt=0, le=20, description="stop: ATR beyond the far (absorb) or behind the near (ride) edge"
    )
    target_atr: float = Field(default=8.0, gt=0, le=50, description="absorb: ATR from entry to target, at most")
    min_reward: float = Field(default=0.5, ge=0, description="least distance to the target over distance to the stop")
    expiry: int = Field(default=48, ge=1, description="absorb: bars the order rests")
    hold: int = Field(default=288, ge=0, description="bars a position lasts at most; 0: no limit")
    min_fuel: float = Field(default=0.0, ge=0, description="least mass of the zone, bars of average volume")
    min_mass: float = Field(default=0.0, ge=0, le=1, description="least mass of the zone, share of open interest")
    min_coverage: float = Field(default=0.2, ge=0, le=1, description="least located share of open interest")
    once_per_group: bool = Field(
        default=True, description="trade each zone once; an order that never filled does not count"
    )

    def plan(self, events: Events) -> Plan:
        """Return one order a zone that passes the filters. Distances are log prices, so both sides mirror."""
        absorb = self.mode == "absorb"
        kind = EventKind.ZONE_NEAR if absorb else EventKind.ZONE_ENTRY
        side = -events.side if absorb else events.side
        close, near, far = np.log(events.close), np.log(events.near), np.log(events.far)
        if absorb:
            entry = near + self.depth * (far - near)
            stop = far - side * self.stop_atr * events.atr
            opposite = np.log(np.where(side > 0, events.above_near, events.below_near))
            target = nearer(side, entry + side * self.target_atr * events.atr, opposite)
        else:
            entry, target = close, far
            stop = near - side * self.stop_atr * events.atr
        wanted = (
            (events.kind == kind)
            & ((events.fuel >= self.min_fuel) | (self.min_fuel == 0))  # without volume there is no fuel to ask for
            & (events.mass_before >= self.min_mass)
            & (events.coverage >= self.min_coverage)
            & worthwhile(side, entry, stop, target, self.min_reward)
            & (side * (close - entry) >= 0)  # the zone was not met yet: a limit that rests
        )
        return Plan(
            np.where(wanted, side, 0),
            entry="limit" if absorb else "market",
            price=np.exp(entry) if absorb else np.nan,
            stop=np.exp(stop),
            target=np.exp(target),
            size=self.risk,
            size_rule="risk",
            expiry=self.expiry if absorb else 1,
            hold=self.hold,
            group=events.group,
            cancel_on=(EventKind.ZONE_SWEPT, EventKind.ZONE_EXIT),
            exit_on=() if absorb else (EventKind.ZONE_SWEPT, EventKind.ZONE_EXIT),
        )
