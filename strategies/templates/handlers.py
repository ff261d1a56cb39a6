"""Say here what the strategy trades, in one line."""

import math

from pydantic import Field, PrivateAttr

import forcedflow as ff


class Template(ff.Strategy):
    """Ride into a zone that is dense on the map, unless the last such ride failed.

    Say here what a trader must know: where it enters and why, where it is wrong (the stop), where it leaves. This one
    goes with price into a zone at the market. It is wrong if price comes back by ``stop_atr``, and leaves at the far
    edge or once price has left the zone. After a loss it sits out ``pause`` zones.
    """

    # Parameters: each with bounds and a description. `--set stop_atr=3` sets one; what they are is saved with a run.
    risk: float = Field(default=0.005, gt=0, le=0.1, description="share of equity lost if the stop fills")
    stop_atr: float = Field(default=2.0, gt=0, le=20, description="stop: ATR from the close")
    min_share: float = Field(
        default=0.002, ge=0, le=1, description="least mass left between close and far edge, share of open interest"
    )
    pause: int = Field(default=1, ge=0, description="zones to sit out after a loss")

    # What it remembers: private attributes, new for each run.
    _equity: float = PrivateAttr(default=0.0)
    _sit_out: int = PrivateAttr(default=0)

    # One method for each kind of event that it wants to hear of, named after it: on_zone_near, on_zone_entry,
    # on_zone_swept, on_zone_exit, on_forced_flow, on_channel_break, on_fake_out, on_void_entry, on_void_exhaustion.
    def on_zone_entry(self, event: ff.Event, market: ff.Market, account: ff.Desk) -> None:
        """Go with price towards the far edge; an order placed now, at the close, fills from the next open."""
        if account.position != 0:
            return
        if account.equity < self._equity:
            self._sit_out = self.pause
        self._equity = account.equity
        if self._sit_out > 0:
            self._sit_out -= 1
            return
        side = event.side  # +1: a zone above, -1: below
        if not event.atr > 0 or side * (event.far - event.close) <= 0:
            return
        left = market.map.between(*sorted((event.close, event.far))).sum()  # the live map, base units by layer
        if left < self.min_share * market.map.open_interest:
            return
        account.submit(
            side,
            size=self.risk,
            size_rule="risk",
            stop=event.close * math.exp(-side * self.stop_atr * event.atr),
            target=event.far,
            group=event.group,
        )

    def on_zone_exit(self, event: ff.Event, market: ff.Market, account: ff.Desk) -> None:
        """Leave at the next open: the zone gave what it had."""
        account.close()
