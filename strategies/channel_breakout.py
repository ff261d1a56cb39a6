"""Trade a channel that breaks into a zone of forced orders."""

from typing import ClassVar

import numpy as np
from pydantic import Field

from forcedflow.tables import EventKind, Events
from forcedflow.trading.orders import Plan
from forcedflow.trading.strategy import Strategy


class ChannelBreakout(Strategy):
    """Go with a channel's break where a zone of forced orders begins behind the boundary.

    Price has closed outside a channel, and just behind the boundary longs must sell (below) or shorts must buy (above).
    Their orders push price on to the far edge of the zone, so that is where the trade leaves. It is wrong if price
    comes back into the channel: the stop lies inside it, and a close inside (FakeOut) ends the position at the next
    open. Enters at the market. With ``require_zone`` off, breaks with nothing behind them are traded too, to a target
    as far as the channel is wide: the control for what the zone adds.

    Trades whose target is nearer than ``min_reward`` times the stop are skipped, and breaks made by a gap, unless
    wanted.
    """

    listens: ClassVar[tuple[EventKind, ...]] = (EventKind.CHANNEL_BREAK,)
    symmetric: ClassVar[bool] = True

    risk: float = Field(default=0.005, gt=0, le=0.1, description="share of equity lost if the stop fills")
    stop_depth: float = Field(
        default=0.25, gt=0, le=1, description="stop: how far inside the broken boundary, share of the channel's width"
    )
    min_reward: float = Field(default=0.5, ge=0, description="least distance to the target over distance to the stop")
    max_target_atr: float = Field(default=8.0, gt=0, le=50, description="ATR from the close to the target, at most")
    hold: int = Field(default=96, ge=0, description="bars a position lasts at most; 0: no limit")
    require_zone: bool = Field(default=True, description="trade only breaks with a zone behind the boundary")
    min_mass: float = Field(default=0.0, ge=0, le=1, description="least mass of the zone, share of open interest")
    min_fuel: float = Field(default=0.0, ge=0, description="least mass of the zone, bars of average volume")
    max_between: float = Field(
        default=1.0, ge=0, le=1, description="most mass between boundary and zone, share of open interest"
    )
    max_slope: float = Field(
        default=1.0, ge=0, description="steepest channel, ATR a bar either way; small for ranges only"
    )
    min_coverage: float = Field(default=0.2, ge=0, le=1, description="least located share of open interest")
    gaps: bool = Field(default=False, description="trade breaks made by a bar that opened after a gap")
    once_per_group: bool = Field(
        default=True, description="trade each channel once; an order that never filled does not count"
    )

    def plan(self, events: Events) -> Plan:
        """Return one order a break that passes the filters. Distances are log prices, so both sides mirror."""
        side = events.side
        close, far = np.log(events.close), np.log(events.far)
        upper, lower = np.log(events.upper), np.log(events.lower)
        boundary = np.where(side > 0, upper, lower)
        stop = boundary - side * self.stop_depth * (upper - lower)
        zone = np.isfinite(far)
        goal = np.where(zone, far, boundary + side * (upper - lower))
        target = side * np.minimum(side * goal, side * close + self.max_target_atr * events.atr)
        risk, reward = side * (close - stop), side * (target - close)
        backed = (
            zone
            & (events.mass_before >= self.min_mass)
            & ((events.fuel >= self.min_fuel) | (self.min_fuel == 0))  # without volume there is no fuel to ask for
            & (events.between <= self.max_between)
        )
        wanted = (
            (backed | ((not self.require_zone) & ~zone))
            & (events.coverage >= self.min_coverage)
            & (np.abs(events.slope) <= self.max_slope * events.atr)
            & ((events.gap == 0.0) | self.gaps)
            & (risk > 0)
            & (reward > 0)
            & (reward >= self.min_reward * risk)
        )
        return Plan(
            np.where(wanted, side, 0),
            stop=np.exp(stop),
            target=np.exp(target),
            size=self.risk,
            size_rule="risk",
            hold=self.hold,
            group=events.group,
            cancel_on=(EventKind.FAKE_OUT,),
            exit_on=(EventKind.FAKE_OUT,),
        )
