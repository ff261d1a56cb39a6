"""Say here what the strategy trades, in one line."""

from typing import ClassVar

import numpy as np
from pydantic import Field

import forcedflow as ff


class Template(ff.Strategy):
    """Buy what is force-sold, sell what is force-bought.

    Say here what a trader must know: where it enters and why, where it is wrong (the stop), where it leaves. This one
    takes the other side of a large forced flow at the market. It is wrong if price goes on by ``stop_atr``, and leaves
    at ``target_atr`` or after ``hold`` bars.
    """

    # The kinds of event that plan() is asked about: ff.EventKind has them all, `forcedflow strategies` shows examples.
    listens: ClassVar[tuple[ff.EventKind, ...]] = (ff.EventKind.FORCED_FLOW,)
    # Delete this line if longs and shorts are not meant to be mirror images; `forcedflow check` holds you to it.
    symmetric: ClassVar[bool] = True

    # Parameters: each with bounds and a description. `--set stop_atr=3` sets one; what they are is saved with a run.
    risk: float = Field(default=0.005, gt=0, le=0.1, description="share of equity lost if the stop fills")
    stop_atr: float = Field(default=2.0, gt=0, le=20, description="stop: ATR from the close")
    target_atr: float = Field(default=3.0, gt=0, le=50, description="target: ATR from the close")
    hold: int = Field(default=96, ge=0, description="bars a position lasts at most; 0: no limit")
    min_fuel: float = Field(default=0.1, ge=0, description="least forced flow, bars of average volume")

    def plan(self, events: ff.Events) -> ff.Plan:
        """Return one row an event, by elementwise numpy: no row may look at another.

        It is asked about one event or about a whole tape, and must say the same. Columns that the event does not have
        are NaN, and a comparison with NaN is false: so write filters as what must hold.
        """
        side = -events.side  # +1: forced buying, -1: forced selling
        close = np.log(events.close)  # in log prices both sides mirror, and k ATR are k * events.atr
        stop = close - side * self.stop_atr * events.atr
        target = close + side * self.target_atr * events.atr
        wanted = (events.fuel >= self.min_fuel) & (events.atr > 0)
        return ff.Plan(
            np.where(wanted, side, 0),  # 0 asks for nothing
            stop=np.exp(stop),
            target=np.exp(target),
            size=self.risk,
            size_rule="risk",
            hold=self.hold,
        )
