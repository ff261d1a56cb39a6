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

Beside them stand whole accounts (:func:`blind_accounts`): the strategy's own settings, sizes and policy, traded with
one deal of distances, or one blind entry for each of its own. Luck of the path is in them, so their differences from
the run are shown and never called paired.

Intervals are percentiles of a bootstrap over UTC days, which keeps what happened on one day together. On a month of
data they are too narrow: on random walks 6 to 14% of them leave out zero, not 5%.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from forcedflow.data.times import DAY, HOUR
from forcedflow.kernels import measures
from forcedflow.tables import BLIND_EQUITY
from forcedflow.trading.account import Account
from forcedflow.trading.exchange import Exchange
from forcedflow.trading.orders import SIZE_RULES, Asked, Policy, whole
from forcedflow.trading.strategy import ask

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forcedflow.market.tape import Tape
    from forcedflow.settings import AccountSettings
    from forcedflow.tables import Events
    from forcedflow.trading.strategy import Strategy

__all__ = ["CONTRASTS", "blind_accounts", "contrasts", "day_bootstrap"]

CONTRASTS: Final = {
    "placement": "the same entries, its own stop and target distances dealt at random",
    "selection": "the same distances, entered at other bars of the same hour and volatility",
}
"""What a plan strategy is set against."""

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

DRAWS: Final = 20  # deals of distances, and blind entries for each of the strategy's own
ACCOUNTS: Final = 5  # whole accounts of each contrast: one deal, or one blind entry for each order, in each
POINTS: Final = 1000  # of their equity that are kept
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
    orders = _Orders.of(tape, strategy)
    if orders is None:
        return {"placement": None, "selection": None}
    ledger, rng = orders.ledger(tape, settings), np.random.default_rng(seed)
    return {"placement": _placement(ledger, orders.rows, rng), "selection": _selection(ledger, rng)}


def blind_accounts(
    tape: Tape, strategy: Strategy, settings: AccountSettings, told: Mapping[str, Any], seed: int = 0
) -> dict[str, npt.NDArray[Any]]:
    """Return the equity of whole blind accounts at some closes, as the columns ``tables.BLIND_EQUITY``.

    Each contrast has five accounts: of them the least, the median and the largest equity at each close. Placement's
    trade all of the strategy's orders, its entries with the stop and target distances of one another. Selection's trade
    every entry that has bars like its own at one of them, whatever the zone does, each leg of a ladder alone.

    Parameters
    ----------
    told
        What :func:`contrasts` returned: a contrast that it left out has no accounts, and is NaN.
    """
    count = len(tape.bars)
    bars = np.unique(np.linspace(0, count - 1, min(count, POINTS)).round().astype(np.int64))
    table: dict[str, npt.NDArray[Any]] = {name: np.full(len(bars), np.nan) for name in BLIND_EQUITY}
    table |= {"bar": bars, "ts": tape.bars.close_ts[bars]}
    orders = _Orders.of(tape, strategy)
    if orders is None:
        return table
    ledger, rng = orders.ledger(tape, settings), np.random.default_rng((seed, 1))

    def equity(events: Events, at: IntArray, asked: Asked) -> FloatArray:
        account = Account(ledger.market, settings, strategy)
        account.observe(events)
        account.place(asked, at)
        account.advance(count - 1)
        curve: FloatArray = account.result().equity["equity"][bars]
        return curve

    def keep(name: str, curves: list[FloatArray]) -> None:
        table[f"{name}_low"], table[name], table[f"{name}_high"] = np.quantile(curves, (0.0, 0.5, 1.0), axis=0)

    if told["placement"] is not None:
        keep("placement", [equity(tape.events, *orders.dealt(ledger, rng)) for _ in range(ACCOUNTS)])
    if told["selection"] is not None:
        sized = orders.asked._replace(oco=np.zeros_like(orders.asked.side))
        pairs = [found.reshape(-1, DRAWS) for found in _matches(ledger, rng)]
        curves = []
        for k in range(ACCOUNTS):
            blind = _Blind.of(ledger, _held(sized), pairs[0][:, k], pairs[1][:, k])
            curves.append(equity(blind.events, np.arange(len(blind.events)), blind.asked))
        keep("selection", curves)
    return table


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


@dataclass(frozen=True, slots=True)
class _Orders:
    """What a strategy asks for on a tape."""

    everything: Asked
    answered: IntArray
    """Events that ``everything`` answers."""
    entries: IntArray
    """Those rows of it that the contrasts are about: entries that know an ATR."""

    @classmethod
    def of(cls, tape: Tape, strategy: Strategy) -> _Orders | None:
        """Ask a strategy; None where it is of the other form or has fewer than ten entries."""
        if not strategy.is_plan():
            return None
        rows = np.flatnonzero(np.isin(tape.events.kind, strategy.hears()))
        if not len(rows):
            return None
        asked = ask(strategy, tape.events[rows])
        rows = np.repeat(rows, asked.legs)
        asked = whole(asked)
        wanted = np.flatnonzero((asked.side != 0) & (asked.reduce_only == 0) & (tape.events.atr[rows] > 0))
        return None if len(wanted) < MIN_TRADES else cls(asked, rows, wanted)

    @property
    def asked(self) -> Asked:
        """The entries."""
        return whole(self.everything, self.entries)

    @property
    def rows(self) -> IntArray:
        """Events that the entries answer."""
        return self.answered[self.entries]

    def ledger(self, tape: Tape, settings: AccountSettings) -> _Ledger:
        """Return the entries, each to be traded alone."""
        return _Ledger(tape, tape.events[self.rows], self.asked, settings)

    def dealt(self, ledger: _Ledger, rng: np.random.Generator) -> tuple[IntArray, Asked]:
        """Return all orders with the distances of the entries dealt anew, and the events they answer."""
        moved = ledger.dealt(rng)
        stop, target = self.everything.stop.copy(), self.everything.target.copy()
        stop[self.entries], target[self.entries] = moved.stop, moved.target
        return self.answered, self.everything._replace(stop=stop, target=target)


class _Ledger:
    """A strategy's orders, each traded alone."""

    def __init__(self, tape: Tape, events: Events, asked: Asked, settings: AccountSettings) -> None:
        self.tape, self.events = tape, events
        units, alone = np.full(len(asked.side), SIZE_RULES.index("units")), np.zeros(len(asked.side), np.int64)
        self.asked = asked._replace(size=np.ones(len(units)), size_rule=units, oco=alone)
        self.market = Exchange.of(tape)
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

    def dealt(self, rng: np.random.Generator) -> Asked:
        """Return the orders with each other's distances, which keep their side: a long's are mirrored for a short."""
        hand = rng.permutation(len(self.stop))
        flip = self.asked.side * self.asked.side[hand]
        return self.asked._replace(
            stop=self.reference * np.exp(flip * self.stop[hand] * self.events.atr),
            target=self.reference * np.exp(flip * self.target[hand] * self.events.atr),
        )

    def trade(self, events: Events, at: IntArray, asked: Asked, reference: FloatArray, atr: FloatArray) -> FloatArray:
        """Return each order's net profit in ATR, NaN where it did not fill; ``at`` are the events they answer."""
        account = Account(self.market, self._settings, _ALONE)
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
        dealt += ledger.trade(everything, at, ledger.dealt(rng), ledger.reference, events.atr) / DRAWS
    days = events.ts[filled] // DAY
    gain = own[filled] - dealt[filled]
    return _told(gain, days, np.zeros_like(gain), days, rng, "same entries, stops and targets dealt at random; paired")


def _selection(ledger: _Ledger, rng: np.random.Generator) -> dict[str, Any] | None:
    events, free = ledger.events, _held(ledger.asked)
    own = ledger.trade(events, np.arange(len(events)), free, ledger.reference, events.atr)
    like, bar = _matches(ledger, rng)
    filled = np.isfinite(own)
    filled[np.setdiff1d(np.arange(len(own)), like)] = False  # an hour or a volatility without its like is left out
    if filled.sum() < MIN_TRADES:
        return None
    blind = _Blind.of(ledger, free, like, bar)
    other = ledger.trade(blind.events, np.arange(len(blind.events)), blind.asked, blind.reference, blind.events.atr)
    met = np.isfinite(other)
    if not met.any():
        return None
    return _told(
        own[filled],
        events.ts[filled] // DAY,
        other[met],
        blind.events.ts[met] // DAY,
        rng,
        "against entries at other bars of the same hour and volatility; unpaired",
    )


@dataclass(frozen=True, slots=True)
class _Blind:
    """Orders at bars that the map did not choose."""

    events: Events
    """What they answer, as if it had happened there."""
    asked: Asked
    reference: FloatArray

    @classmethod
    def of(cls, ledger: _Ledger, asked: Asked, like: IntArray, bar: IntArray) -> _Blind:
        """Place the orders ``like`` at the closes of ``bar``, with their own distances in the ATR found there."""
        order = np.argsort(bar, kind="stable")
        like, bar = like[order], bar[order]
        bars = ledger.tape.bars
        close, atr = bars.close[bar], ledger.tape.market_bars["atr"][bar]
        events = ledger.events[like].replace(bar=bar, ts=bars.close_ts[bar], close=close, atr=atr)
        asked = whole(asked, like)
        reference = close * np.exp(ledger.entry[like] * atr)
        asked = asked._replace(
            price=np.where(np.isnan(asked.price), np.nan, reference),
            limit=reference * np.exp(ledger.limit[like] * atr),
            stop=reference * np.exp(ledger.stop[like] * atr),
            target=reference * np.exp(ledger.target[like] * atr),
        )
        return cls(events, asked, reference)


def _held(asked: Asked) -> Asked:
    """Return orders that no event cancels or ends."""
    return asked._replace(cancel_on=np.zeros_like(asked.side), exit_on=np.zeros_like(asked.side))


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
