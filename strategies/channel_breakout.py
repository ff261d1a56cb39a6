"""Trade a channel that breaks into a zone of forced orders."""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from forcedflow.tables import EventKind, Events
from forcedflow.trading.levels import nearer, worthwhile
from forcedflow.trading.orders import Plan
from forcedflow.trading.strategy import Strategy


class ChannelBreakout(Strategy):
    """Go with a channel's break where a zone of forced orders begins behind the boundary.

    Price has closed outside a channel, and just behind the boundary longs must sell (below) or shorts must buy (above).
    Their orders push price on to the far edge of the zone, so that is where the trade leaves. It is wrong if price
    comes back into the channel: the stop lies inside it, and a close inside (FakeOut) ends the position at the next
    open. Enters at the market.

    The control for what the zone adds is the same trade of the breaks that have none behind them: set
    ``target = width`` and compare ``breaks = backed`` with ``breaks = bare``, since that target does not know the map.

    Skips a trade whose target is nearer than ``min_reward`` times its stop, and a break made by a gap, unless ``gaps``.
    """

    listens: ClassVar[tuple[EventKind, ...]] = (EventKind.CHANNEL_BREAK,)
    symmetric: ClassVar[bool] = True

    breaks: Literal["backed", "bare", "all"] = Field(
        default="backed",
        description="backed: breaks with a zone behind the boundary; bare: those without, the control; all: both",
    )
    target: Literal["zone", "width"] = Field(
        default="zone",
        description="zone: the far edge of the zone, where there is one, else as width; width: as far from the "
        "boundary as the channel is wide",
    )
    risk: float = Field(default=0.005, gt=0, le=0.1, description="share of equity lost if the stop fills")
    stop_depth: float = Field(
        default=0.25, gt=0, le=1, description="stop: how far inside the broken boundary, share of the channel's width"
    )
    min_reward: float = Field(default=0.5, ge=0, description="least distance to the target over distance to the stop")
    max_target_atr: float = Field(default=8.0, gt=0, le=50, description="ATR from the close to the target, at most")
    hold: int = Field(default=96, ge=0, description="bars a position lasts at most; 0: no limit")
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
        goal = np.where(zone & (self.target == "zone"), far, boundary + side * (upper - lower))
        target = nearer(side, goal, close + side * self.max_target_atr * events.atr)
        backed = (
            zone
            & (self.breaks != "bare")
            & (events.mass_before >= self.min_mass)
            & ((events.fuel >= self.min_fuel) | (self.min_fuel == 0))  # without volume there is no fuel to ask for
            & (events.between <= self.max_between)
        )
        wanted = (
            (backed | (~zone & (self.breaks != "backed")))
            & (events.coverage >= self.min_coverage)
            & (np.abs(events.slope) <= self.max_slope * events.atr)
            & ((events.gap == 0.0) | self.gaps)
            & worthwhile(side, close, stop, target, self.min_reward)
        )
        return Plan(
            np.where(wanted, side, 0),
            stop=np.exp(stop),
            target=np.exp(target),
            size=self.risk,
            size_rule="risk",
            hold=self.hold,
            group=events.group,
            exit_on=(EventKind.FAKE_OUT,),
        )
