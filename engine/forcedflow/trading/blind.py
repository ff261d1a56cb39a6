"""What the map contributed: a strategy against itself with the map taken away, one way at a time.

Both contrasts trade every order on its own, one unit each, in a ledger where no order hinders another and none is
liquidated, with the account's costs. Outcomes are net profit per unit in ATR of the order's bar, so neither contrast
depends on sizing.

placement
    The same entries, with the strategy's own stop and target distances (in ATR) dealt to other orders at random.
    Paired: each order against itself.
selection
    The same stop and target distances, entered at other bars: same side, same hour of the day, an ATR within a
    quarter, more than a day away. Both sides keep their orders and positions whatever the zone does. Orders without
    such bars, as in the volatility of a crash, are left out of both sides. Unpaired.

Intervals are percentiles of a bootstrap over UTC days, which keeps what happened on one day together. On a month of
data they are too narrow: on random walks 6 to 14% of them leave out zero, not 5%.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from forcedflow.data.times import DAY, HOUR
from forcedflow.kernels import measures
from forcedflow.trading.account import Account
from forcedflow.trading.exchange import Exchange
from forcedflow.trading.orders import SIZE_RULES, Asked, Policy
from forcedflow.trading.strategy import ask

if TYPE_CHECKING:
    from forcedflow.market.tape import Tape
    from forcedflow.settings import AccountSettings
    from forcedflow.tables import Events
    from forcedflow.trading.strategy import Strategy

__all__ = ["CONTRASTS", "contrasts", "day_bootstrap"]

CONTRASTS: Final = {
    "placement": "the same entries, its own stop and target distances dealt at random",
    "selection": "the same distances, entered at other bars of the same hour and volatility",
}
"""What a plan strategy is set against."""

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

DRAWS: Final = 20  # deals of distances, and blind entries for each of the strategy's own
RESAMPLES: Final = 2000
MIN_TRADES: Final = 10
MIN_DAYS: Final = 5  # fewer days, resampled, would pass chance for certainty
ALIKE: Final = 1e-9  # ATR: distances that differ by less are one distance
ATR_BAND: Final = 1.25
_ALONE: Final = Policy(conflict="add", max_open=2**31)


def contrasts(tape: Tape, strategy: Strategy, settings: AccountSettings, seed: int = 0) -> dict[str, Any]:
    """Return the placement and the selection contrast of a plan strategy.

    Returns
    -------
    dict
        Keys ``placement`` and ``selection``: each None where fewer than ten orders filled, or all on fewer than five
        days, else a dict with ``n`` (orders of the strategy that filled), ``mean`` (ATR per order; positive: the map
        helped), ``low`` and ``high`` (95%), ``mde`` (the effect that 80% of such samples would tell from zero),
        ``unit`` and ``note``.
    """
    nothing: dict[str, Any] = {"placement": None, "selection": None}
    if not strategy.is_plan():
        return nothing
    rows = np.flatnonzero(np.isin(tape.events.kind, strategy.hears()))
    if not len(rows):
        return nothing
    asked, of = ask(strategy, tape.events[rows]).flat()
    rows = rows[of]
    wanted = np.flatnonzero((asked.side != 0) & (asked.reduce_only == 0) & (tape.events.atr[rows] > 0))
    if len(wanted) < MIN_TRADES:
        return nothing
    ledger = _Ledger(tape, tape.events[rows[wanted]], _rows(asked, wanted), settings)
    rng = np.random.default_rng(seed)
    return {"placement": _placement(ledger, rows[wanted], rng), "selection": _selection(ledger, rng)}


def day_bootstrap(
    one: FloatArray, one_days: IntArray, other: FloatArray, other_days: IntArray, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Return low, high (95%) and standard error of mean(one) - mean(other), resampling days with replacement."""
    days = np.union1d(one_days, other_days)
    sums = np.zeros((len(days), 4))
    for column, (values, at) in enumerate(((one, one_days), (other, other_days))):
        place = np.searchsorted(days, at)
        sums[:, 2 * column] = np.bincount(place, values, len(days))
        sums[:, 2 * column + 1] = np.bincount(place, minlength=len(days))
    drawn = rng.multinomial(len(days), np.full(len(days), 1 / len(days)), RESAMPLES) @ sums
    drawn = drawn[(drawn[:, 1] > 0) & (drawn[:, 3] > 0)]
    differences = drawn[:, 0] / drawn[:, 1] - drawn[:, 2] / drawn[:, 3]
    low, high = np.percentile(differences, [2.5, 97.5])
    return float(low), float(high), float(differences.std())


class _Ledger:
    """A strategy's orders, each traded alone."""

    def __init__(self, tape: Tape, events: Events, asked: Asked, settings: AccountSettings) -> None:
        self.tape, self.events = tape, events
        units, alone = np.full(len(asked.side), SIZE_RULES.index("units")), np.zeros(len(asked.side), np.int64)
        self.asked = replace(asked, size=np.ones(len(units)), size_rule=units, oco=alone)
        self._market = Exchange.of(tape)
        self.reference = np.where(np.isnan(asked.price), events.close, asked.price)
        # Distances from the order's own reference price, log price in ATR; NaN where there is no stop or target.
        self.stop = self._distance(asked.stop, self.reference, events.atr)
        self.target = self._distance(asked.target, self.reference, events.atr)
        self.entry = self._distance(self.reference, events.close, events.atr)
        self.limit = self._distance(asked.limit, self.reference, events.atr)
        self._settings = settings.model_copy(update={"cash": 1e15, "max_leverage": 1e15, "margin": "none"})

    @staticmethod
    def _distance(price: FloatArray, reference: FloatArray, atr: FloatArray) -> FloatArray:
        distance: FloatArray = np.log(price / reference) / atr
        return distance

    def trade(self, events: Events, at: IntArray, asked: Asked, reference: FloatArray, atr: FloatArray) -> FloatArray:
        """Return each order's net profit in ATR, NaN where it did not fill; ``at`` are the events they answer."""
        account = Account(self._market, self._settings, _ALONE)
        account.observe(events)
        account.place(asked, at)
        account.advance(len(self.tape.bars) - 1)
        trades = account.result().trades
        outcome = np.full(len(at), np.nan)
        order = trades["order_id"]
        outcome[order] = trades["net"] / (reference[order] * atr[order])
        return outcome


def _placement(ledger: _Ledger, at: IntArray, rng: np.random.Generator) -> dict[str, Any] | None:
    events, asked = ledger.events, ledger.asked
    everything = ledger.tape.events
    own = ledger.trade(everything, at, asked, ledger.reference, events.atr)
    filled = np.isfinite(own)
    if filled.sum() < MIN_TRADES:
        return None
    if _alike(asked.side * ledger.stop) and _alike(asked.side * ledger.target):
        return None  # dealing equal distances changes nothing
    dealt = np.zeros(len(own))
    for _ in range(DRAWS):
        hand = rng.permutation(len(own))
        # Distances keep their side: a stop on the losing one. A long's are mirrored for a short.
        flip = asked.side * asked.side[hand]
        moved = replace(
            asked,
            stop=ledger.reference * np.exp(flip * ledger.stop[hand] * events.atr),
            target=ledger.reference * np.exp(flip * ledger.target[hand] * events.atr),
        )
        dealt += ledger.trade(everything, at, moved, ledger.reference, events.atr) / DRAWS
    days = events.ts[filled] // DAY
    gain = own[filled] - dealt[filled]
    return _told(gain, days, np.zeros_like(gain), days, rng, "same entries, stops and targets dealt at random; paired")


def _selection(ledger: _Ledger, rng: np.random.Generator) -> dict[str, Any] | None:
    events, bars = ledger.events, ledger.tape.bars
    free = replace(ledger.asked, cancel_on=np.zeros_like(ledger.asked.side), exit_on=np.zeros_like(ledger.asked.side))
    own = ledger.trade(events, np.arange(len(events)), free, ledger.reference, events.atr)
    like, bar = _matches(ledger, rng)
    filled = np.isfinite(own)
    filled[np.setdiff1d(np.arange(len(own)), like)] = False  # an hour or a volatility without its like is left out
    if filled.sum() < MIN_TRADES:
        return None
    order = np.argsort(bar, kind="stable")
    like, bar = like[order], bar[order]
    close, atr = bars.close[bar], ledger.tape.market_bars["atr"][bar]
    blind = events[like].replace(bar=bar, ts=bars.close_ts[bar], close=close, atr=atr)
    asked = _rows(free, like)
    reference = close * np.exp(ledger.entry[like] * atr)
    asked = replace(
        asked,
        price=np.where(np.isnan(asked.price), np.nan, reference),
        limit=reference * np.exp(ledger.limit[like] * atr),
        stop=reference * np.exp(ledger.stop[like] * atr),
        target=reference * np.exp(ledger.target[like] * atr),
    )
    other = ledger.trade(blind, np.arange(len(bar)), asked, reference, atr)
    met = np.isfinite(other)
    if not met.any():
        return None
    return _told(
        own[filled],
        events.ts[filled] // DAY,
        other[met],
        blind.ts[met] // DAY,
        rng,
        "against entries at other bars of the same hour and volatility; unpaired",
    )


def _matches(ledger: _Ledger, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Return pairs (order, bar): blind bars that match an order's hour of the day and ATR."""
    bars, atr = ledger.tape.bars, ledger.tape.market_bars["atr"]
    hour = bars.close_ts % DAY // HOUR
    ordered = np.argsort(atr, kind="stable")
    ordered = ordered[ordered >= ledger.events.bar[0]]  # the map had nothing to say before
    pools = {at: ordered[hour[ordered] == at] for at in np.unique(hour[ledger.events.bar])}
    near = DAY // bars.interval
    like: list[IntArray] = []
    found: list[IntArray] = []
    for row, bar in enumerate(ledger.events.bar):
        pool = pools[hour[bar]]
        levels = atr[pool]
        begin = np.searchsorted(levels, atr[bar] / ATR_BAND)
        end = np.searchsorted(levels, atr[bar] * ATR_BAND, side="right")
        candidates = pool[begin:end]
        candidates = candidates[np.abs(candidates - bar) > near]  # not the move that led to the order, or follows it
        if len(candidates):
            found.append(rng.choice(candidates, DRAWS))
            like.append(np.full(DRAWS, row))
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate(like), np.concatenate(found)


def _alike(distances: FloatArray) -> bool:
    """Tell whether all distances are one, or there are none."""
    given = distances[np.isfinite(distances)]
    return len(given) == 0 or (len(given) == len(distances) and float(np.ptp(given)) < ALIKE)


def _told(
    one: FloatArray, one_days: IntArray, other: FloatArray, other_days: IntArray, rng: np.random.Generator, note: str
) -> dict[str, Any] | None:
    if len(np.unique(one_days)) < MIN_DAYS:
        return None
    low, high, error = day_bootstrap(one, one_days, other, other_days, rng)
    return {
        "n": len(one),
        "mean": float(measures.mean(one) - measures.mean(other)),
        "low": low,
        "high": high,
        "mde": 2.8 * error,  # 1.96 + 0.84: two-sided 5%, power 80%
        "unit": "ATR",
        "note": note,
    }


def _rows(asked: Asked, rows: IntArray) -> Asked:
    return Asked(**{name: getattr(asked, name)[rows] for name in Asked.__dataclass_fields__})
