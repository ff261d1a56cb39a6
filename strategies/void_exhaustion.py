"""Trade against a move that has consumed its zones and runs out in a void."""

from typing import ClassVar

import numpy as np
from pydantic import Field

from forcedflow.tables import EventKind, Events
from forcedflow.trading.levels import nearer, worthwhile
from forcedflow.trading.orders import Plan
from forcedflow.trading.strategy import Strategy


class VoidExhaustion(Strategy):
    """Fade a move once the forced orders that fed it are gone.

    A move swept zones and came into a void: next to nobody must trade ahead. The forced flow has dried up, momentum has
    decayed and volatility falls. Enter against the move at the market. It is wrong if the move makes a new extreme: the
    stop lies beyond it. Out where the nearest zone on the other side begins, since that is where forced orders wait
    next, or at ``target_atr`` where it is farther or there is none, or after ``hold`` bars. One trade a void.

    Skips a trade whose target is nearer than ``min_reward`` times its stop.
    """

    listens: ClassVar[tuple[EventKind, ...]] = (EventKind.VOID_EXHAUSTION,)
    symmetric: ClassVar[bool] = True

    risk: float = Field(default=0.005, gt=0, le=0.1, description="share of equity lost if the stop fills")
    stop_atr: float = Field(default=0.5, ge=0, le=20, description="stop: ATR beyond the extreme of the move")
    target_atr: float = Field(default=8.0, gt=0, le=50, description="ATR from the close to the target, at most")
    min_reward: float = Field(default=0.5, ge=0, description="least distance to the target over distance to the stop")
    hold: int = Field(default=96, ge=0, description="bars a position lasts at most; 0: no limit")
    min_swept: float = Field(
        default=0.0, ge=0, le=1, description="least mass swept by the move within the window, share of open interest"
    )
    max_between: float = Field(
        default=1.0, ge=0, le=1, description="most mass left in the void ahead, share of open interest"
    )
    min_coverage: float = Field(default=0.2, ge=0, le=1, description="least located share of open interest")

    def plan(self, events: Events) -> Plan:
        """Return one order an exhausted move. Distances are log prices, so both sides mirror."""
        side = -events.side
        close = np.log(events.close)
        stop = np.log(events.extreme) - side * self.stop_atr * events.atr
        zone = np.log(np.where(side > 0, events.above_near, events.below_near))
        target = nearer(side, close + side * self.target_atr * events.atr, zone)
        wanted = (
            (events.swept >= self.min_swept)
            & (events.between <= self.max_between)
            & (events.coverage >= self.min_coverage)
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
        )
