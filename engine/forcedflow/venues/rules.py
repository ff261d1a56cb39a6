"""The price at which one isolated position is liquidated.

One equation serves every venue. Let ``v(P)`` be the value of the position at price ``P`` in the currency of its
margin: ``qty * P`` for a linear contract, ``qty * face / P`` for an inverse one. Profit is then ``d * (v - v0)`` with
``v0 = v(entry)`` and ``d = side`` (linear) or ``d = -side`` (inverse), and the position is liquidated where its equity
falls to the maintenance margin::

    margin + d * (v - v0) = maintenance        margin = v0 / leverage + extra_margin

    on the mark:  maintenance = (rate + fee) * v - amount    v = (d*v0 - margin - amount) / (d - rate - fee)
    on entry:     maintenance = (rate + fee) * v0 - amount   v = v0 + d * (maintenance - margin)

The venues' own forms, of which these are rearrangements (s = side, Q = quantity, C = contracts * face):

- Binance: (WB - TMM + UPNL + cum - s*Q*EP) / (Q*MMR - s*Q). Binance FAQ b3c689c1f50a44cabb3a84e663b81d93.
- Hyperliquid: price - s*margin_available/size/(1 - l*s). Its documentation, "Liquidations".
- OKX: (EP - s*M/Q) / (1 - s*(MMR + taker)); inverse (1 + s*MMR) / (1/EP + s*M/C). freqtrade's documentation of OKX;
  a paraphrase of OKX's help (ukcamo.com/5262).
- Bybit, maintenance on entry: EP - s*(IM - MM)/Q; inverse C / (C/EP + s*(IM - MM)), and on the mark
  C*(1 + s*MMR) / (C/EP + s*IM + s*deduction), where for shorts too the deduction adds to the margin. Bybit's help.
- BitMEX: EP / (1 + s/L - s*MMR). bitmex.com/app/inversePerpetualsGuide.
- Percent-of-notional futures: EP*(1 - s*e) / (1 - s*MM), e the posted share of notional.

Partial liquidation is not modelled: the price is the first trigger. The numbers are in the files beside this module.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from forcedflow.errors import VenueError
from forcedflow.tables import Side
from forcedflow.venues.schedules import Bracket, Schedule, Venue, load_venue

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["LiquidationPrice", "Rule", "liquidation_price"]


@dataclass(frozen=True, slots=True)
class LiquidationPrice:
    """Where an isolated position ends, and by which rule."""

    price: float | None
    """None: no price liquidates it, such as a linear long without borrowed money."""
    bankruptcy_price: float | None
    """Where the margin is gone; None: nowhere."""
    bracket: Bracket
    effective_from: datetime
    source: str
    assumed: bool
    venue: str
    symbol: str
    contract: str


@dataclass(frozen=True, slots=True)
class Rule:
    """The margin rule of one symbol at one time. Units as in :func:`liquidation_price`."""

    venue: Venue
    symbol: str
    face: float
    schedule: Schedule

    @classmethod
    def of(cls, venue: str, symbol: str, at: datetime | int | str | None = None) -> Self:
        """Return what holds at ``at``; errors as :func:`liquidation_price`."""
        found = load_venue(venue)
        return cls(found, symbol, found.symbol(symbol).face, found.schedule(symbol, at))

    @property
    def maintenance_on(self) -> str:
        """``entry`` or ``mark``."""
        return self.schedule.maintenance_on or self.venue.maintenance_on

    @property
    def _inverse(self) -> bool:
        return self.venue.contract == "inverse"

    def value(self, price: float, qty: float) -> float:
        """Value of the position at ``price``, in the currency of its margin."""
        return qty * self.face / price if self._inverse else qty * price

    def quantity(self, notional: float, entry: float) -> float:
        """Quantity of a position of ``notional`` (quote currency) at ``entry``."""
        return notional / self.face if self._inverse else notional / entry

    def _price(self, value: float, qty: float) -> float | None:
        if value <= 0:
            return None
        return qty * self.face / value if self._inverse else value / qty

    def _direction(self, side: Side) -> int:
        return -side if self._inverse else int(side)

    def _size(self, value: float, qty: float) -> float:
        """Return what caps are compared with."""
        if self.schedule.caps_in == "value":
            return value
        return qty if self._inverse else qty / self.face

    def bracket(self, value: float, qty: float) -> Bracket:
        """Return the row of a position of ``value`` and ``qty``; the last row for one beyond every cap."""
        size, rows = self._size(value, qty), self.schedule.brackets
        return next((row for row in rows if row.cap is None or size <= row.cap), rows[-1])

    def maintenance(self, value: float, bracket: Bracket) -> float:
        """Maintenance margin of a position of ``value`` in its bracket."""
        return (bracket.rate + self.venue.fee_in_maintenance) * value - bracket.amount

    def liquidation(self, side: Side, entry: float, qty: float, margin: float) -> tuple[float | None, Bracket]:
        """Return the price that liquidates a position which holds ``margin``, and the bracket there.

        Unlike :func:`liquidation_price` this takes any margin, also one that no longer suffices: it re-prices
        open positions after a change of schedule.

        Notes
        -----
        Where maintenance is taken on the mark, the bracket is the one at the liquidation price, found by repeating
        the solution with the bracket found. This is Newton's method on ``margin + d*(v - v0) - maintenance(v)``,
        which is continuous (the amounts see to it), piecewise linear, concave (rates rise) and strictly monotone
        (rates < 1). So the root is unique, and from the second pass on the iterates move one way, into another row
        at each pass: it ends within one pass more than there are rows and cannot oscillate, but for the rounding of
        a root exactly on a cap, where both rows give the same price. Ordinarily two passes.
        """
        d, start = self._direction(side), self.value(entry, qty)
        bracket = self.bracket(start, qty)
        if self.maintenance_on == "entry":
            return self._price(start + d * (self.maintenance(start, bracket) - margin), qty), bracket
        value = start
        for _ in range(len(self.schedule.brackets) + 1):
            rate = bracket.rate + self.venue.fee_in_maintenance
            value = (d * start - margin - bracket.amount) / (d - rate)
            found = self.bracket(value, qty)
            if found is bracket:
                break
            bracket = found
        return self._price(value, qty), bracket

    def margin_at(self, side: Side, entry: float, qty: float, price: float) -> float:
        """Return the margin with which a position is liquidated at ``price``: the inverse of :meth:`liquidation`."""
        start, end = self.value(entry, qty), self.value(price, qty)
        taken = start if self.maintenance_on == "entry" else end
        return self.maintenance(taken, self.bracket(taken, qty)) - self._direction(side) * (end - start)

    def max_leverage(self, entry: float, qty: float) -> float:
        """Highest leverage with which this position may be opened, by the bracket of its value at entry."""
        return self.bracket(self.value(entry, qty), qty).max_leverage or math.inf

    def liquidation_price(
        self, side: Side, entry: float, qty: float, leverage: float, *, extra_margin: float = 0.0
    ) -> LiquidationPrice:
        """Return :func:`liquidation_price` under this rule."""
        self._check(entry, qty, leverage, extra_margin)
        start, d = self.value(entry, qty), self._direction(side)
        margin = start / leverage + extra_margin
        price, bracket = self.liquidation(side, entry, qty, margin)
        if price is not None and side * (entry - price) <= 0:
            raise VenueError(
                f"{self.venue.id} {self.symbol}: {leverage:g}x leaves no margin above the maintenance of "
                f"{bracket.rate + self.venue.fee_in_maintenance:.4g}; lower the leverage"
            )
        return LiquidationPrice(
            price=price,
            bankruptcy_price=self._price(start - d * margin, qty),
            bracket=bracket,
            effective_from=self.schedule.effective_from,
            source=self.schedule.source,
            assumed=self.schedule.assumed,
            venue=self.venue.id,
            symbol=self.symbol,
            contract=self.venue.contract,
        )

    def _check(self, entry: float, qty: float, leverage: float, extra_margin: float) -> None:
        what = f"{self.venue.id} {self.symbol}"
        for name, number in (("entry", entry), ("qty", qty), ("leverage", leverage)):
            if not 0 < number < math.inf:
                raise VenueError(f"{what}: {name} must be a positive finite number, was {number}")
        if not 0 <= extra_margin < math.inf:
            raise VenueError(f"{what}: extra_margin must be a finite number of at least 0, was {extra_margin}")
        value = self.value(entry, qty)
        size, cap = self._size(value, qty), self.schedule.brackets[-1].cap
        if cap is not None and size > cap:
            raise VenueError(f"{what}: a position of {size:,.6g} exceeds the largest allowed, {cap:,.6g}")
        limit = self.max_leverage(entry, qty)
        if leverage > limit * (1 + 1e-12):
            raise VenueError(f"{what}: {leverage:g}x exceeds the maximum of {limit:g}x for a position of {size:,.6g}")


def liquidation_price(
    venue: str,
    symbol: str,
    side: Side,
    entry: float,
    qty: float,
    leverage: float,
    at: datetime | int | str | None = None,
    *,
    extra_margin: float = 0.0,
) -> LiquidationPrice:
    """Return the price at which an isolated position is liquidated.

    There is no parameter for cross margin: there the price depends on the account's other positions, so it is no
    function of one position. Holder profiles express it as a distribution instead (:mod:`forcedflow.venues.profiles`).

    Parameters
    ----------
    venue
        A name of :func:`venue_names`, or the path of a TOML file of the same form.
    symbol
        As in the venue's file; any other is served by the venue's ``default``, whose result is flagged ``assumed``.
    side
        Of the position.
    entry
        Entry price, quote currency per base unit.
    qty
        Linear: base units (coins, ounces). Inverse: contracts, each worth the file's ``face`` in quote currency.
    leverage
        Position value at entry over the margin posted for it (so 1 / e for a futures account with equity share e).
    at
        When; the schedule effective then is used. A ``datetime`` with a time zone, int nanoseconds UTC, an ISO
        date (midnight UTC) or an ISO time with an offset. None: the newest schedule.
    extra_margin
        Added by hand, in the currency of the margin (linear: quote, inverse: base). Bybit's inverse page discounts
        it by the taker fee, under 0.06% of it; that is left out.

    Raises
    ------
    VenueError
        For an unknown venue or symbol, a time before the first schedule, a position above the largest bracket,
        leverage above the maximum of the bracket of its value at entry, or margin below maintenance from the start.

    Notes
    -----
    Formulas and their sources: see the module. Fees other than the venue's ``fee_in_maintenance`` are left out.
    """
    rule = Rule.of(venue, symbol, at)
    return rule.liquidation_price(Side(side), entry, qty, leverage, extra_margin=extra_margin)
