"""What accounts trade on: prices, funding, margin rules, liquidity and swept mass, made once and shared by accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from forcedflow.data.times import time_text
from forcedflow.errors import DataError
from forcedflow.kernels import records
from forcedflow.kernels.orders import BRACKET_ROW, FUNDING_ROW, SCHEDULE_ROW, SWEPT_ROW, Detail, Prices, Venue
from forcedflow.kernels.touch import extremes
from forcedflow.venues import Rule, load_venue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forcedflow.data.bars import Bars
    from forcedflow.data.series import Dataset, VenueData
    from forcedflow.kernels import Records
    from forcedflow.market.tape import Tape
    from forcedflow.tables import SweptMass

__all__ = ["Exchange", "traded_venue"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

ALIKE: Final = 1e-9  # share of price by which finer bars may miss the coarse ones: sources round

_NO_PRICE: Final = np.zeros(0)
_NO_PRICE.setflags(write=False)


class Exchange:
    """A market as an account meets it: one symbol of one venue.

    Building one takes a few passes over the bars; an account on it costs microseconds.

    Parameters
    ----------
    bars
        The bars to trade on.
    venue
        Says contract, margin rule and funding. Left out: a linear contract, never liquidated, no funding.
    liquidity
        Shape (bars,) each: volatility of a bar and average volume of a bar, both as known before it. May be live
        columns that are filled in while bars are replayed. Left out: fills have no impact.
    swept
        Mass that limit orders may meet.
    fine
        Finer bars that add up to ``bars``, for ``intrabar = drill``.
    closed
        Close of the bar before these, ns UTC, where there is one: funding since then falls due in them.

    Raises
    ------
    DataError
        Where finer bars do not add up to the bars, naming the first that does not.
    VenueError
        For a venue that is not known, or a symbol without a rule.
    """

    def __init__(
        self,
        bars: Bars,
        *,
        venue: VenueData | None = None,
        liquidity: tuple[FloatArray, FloatArray] | None = None,
        swept: SweptMass | None = None,
        fine: Bars | None = None,
        closed: int | None = None,
    ) -> None:
        self.bars = bars
        self.venue = venue
        self.funding_ts = np.zeros(0, np.int64)
        self.finer = fine is not None
        self.detail = _detail(bars, fine, swept)
        self.face = 0.0
        """Quote currency of one contract where it is inverse; 0 for a linear one, counted in base units."""
        schedules, brackets = records(SCHEDULE_ROW, 0), records(BRACKET_ROW, 0)
        funding = records(FUNDING_ROW, 0)
        marks = (bars.high, bars.low)
        self.marked = False
        """Whether liquidation is triggered by a mark price with extremes of its own."""
        if venue is not None:
            rules = load_venue(venue.venue)
            schedules, brackets = _margin_rules(venue, bars)
            if venue.contract == "inverse":
                self.face = rules.symbol(venue.symbol).face
            if rules.trigger == "mark" and bars.mark_high is not None and bars.mark_low is not None:
                marks, self.marked = (bars.mark_high, bars.mark_low), True
            if venue.funding is not None:
                funding, self.funding_ts = _payments(venue, bars, closed)
        reach = extremes(bars.high, bars.low)
        mark_reach = extremes(*marks) if self.marked else reach
        volatility, usual = liquidity or (np.zeros(len(bars)), np.zeros(len(bars)))
        prices = (bars.open, bars.high, bars.low, bars.close, bars.volume)
        self.close_ts = bars.close_ts
        """Shape (bars,), read-only: of every account's tables."""
        self.numbers = np.arange(len(bars))
        """Shape (bars,), read-only: 0, 1, 2 and so on."""
        for shared in (self.close_ts, self.numbers):
            shared.setflags(write=False)
        self.prices = Prices(*prices, volatility, usual, *marks, reach, mark_reach)
        self.rules = Venue(funding, schedules, brackets)

    @classmethod
    def of(cls, tape: Tape) -> Exchange:
        """Return the market of a tape: its bars, what they swept, funding and margin rule of the first venue."""
        market = tape.market_bars
        return cls(
            tape.bars,
            venue=traded_venue(tape.dataset),
            liquidity=None if tape.dataset.counts_ticks else (market["vol_long"], market["volume_average"]),
            swept=tape.swept,
            fine=tape.dataset.fine,
        )

    @property
    def rates(self) -> FloatArray:
        """Shape (payments,): funding rates."""
        rates: FloatArray = self.rules.funding["rate"]
        return rates

    def worth(self, price: FloatArray) -> FloatArray:
        """Return what one unit is worth up to a constant, in the currency of the margin."""
        return price if self.face == 0.0 else -self.face / price

    def worth_of(self, price: float) -> float:
        """Return the worth of one unit at one price."""
        return price if self.face == 0.0 else -self.face / price

    def price(self, worth: FloatArray) -> FloatArray:
        """Return the price at which one unit has this worth."""
        return worth if self.face == 0.0 else -self.face / worth


def traded_venue(dataset: Dataset) -> VenueData | None:
    """Return the venue whose contract, fees, margin rule and funding an account on the dataset has: its first."""
    return dataset.venues[0] if dataset.venues else None


def _margin_rules(venue: VenueData, bars: Bars) -> tuple[Records, Records]:
    """Return the maintenance tables that hold from some bar on, and their rows."""
    rules = load_venue(venue.venue)
    symbol = rules.symbol(venue.symbol)
    effective = [schedule.effective_ns for schedule in symbol.schedules]
    bar = np.searchsorted(bars.ts, effective)
    used = [k for k in range(len(bar)) if bar[k] < len(bars) and (k + 1 == len(bar) or bar[k + 1] > bar[k])]
    schedules = records(SCHEDULE_ROW, len(used))
    rows: list[tuple[float, float, float, float]] = []
    for row, k in zip(schedules, used, strict=True):
        schedule = symbol.schedules[k]
        rule = Rule(rules, venue.symbol, symbol.face, schedule)
        row.bar, row.first = bar[k], len(rows)
        rows += [
            (
                np.inf if bracket.cap is None else bracket.cap,
                bracket.rate + rules.fee_in_maintenance,
                bracket.amount,
                np.inf if bracket.max_leverage is None else bracket.max_leverage * (1 + ALIKE),
            )
            for bracket in schedule.brackets
        ]
        row.last = len(rows)
        row.on_entry = rule.maintenance_on == "entry"
        if schedule.caps_in == "contracts":
            row.contract = 1.0 if venue.contract == "inverse" else symbol.face
    return schedules, np.array(rows, BRACKET_ROW).view(np.recarray)


def _payments(venue: VenueData, bars: Bars, closed: int | None) -> tuple[Records, IntArray]:
    """Return the payments by bar: one is paid before the open of the first bar that is not over at its time."""
    assert venue.funding is not None
    bar = np.searchsorted(bars.close_ts, venue.funding.ts, side="right")
    paid = (bar < len(bars)) & (venue.funding.ts >= (bars.ts[0] if closed is None else closed))
    funding = records(FUNDING_ROW, int(paid.sum()))
    funding.bar, funding.rate = bar[paid], venue.funding.rate[paid]
    return funding, venue.funding.ts[paid]


def _detail(bars: Bars, fine: Bars | None, swept: SweptMass | None) -> Detail:
    """Return what is known about the inside of the bars."""
    log, log_start = records(SWEPT_ROW, 0 if swept is None else len(swept.price)), np.zeros(0, np.int64)
    if swept is not None:
        log.price, log.side, log.mass = swept.price, swept.side, swept.mass
        log_start = np.array(swept.start, np.int64)
    start, (open_, high, low, close) = np.zeros(0, np.int64), (_NO_PRICE, _NO_PRICE, _NO_PRICE, _NO_PRICE)
    if fine is not None:
        start, (open_, high, low, close) = _add_up(bars, fine)
    return Detail(start, open_, high, low, close, log_start, log)


def _add_up(bars: Bars, fine: Bars) -> tuple[IntArray, tuple[FloatArray, FloatArray, FloatArray, FloatArray]]:
    """Check that finer bars add up to the bars; return at which row each begins, and their prices."""
    start = np.searchsorted(fine.ts, np.append(bars.ts, bars.close_ts[-1]))
    end = np.searchsorted(fine.ts, bars.close_ts)
    _agree(bars, "finer bars", np.diff(start) > 0, np.diff(start), np.ones(len(bars)))
    inside = slice(start[0], start[-1])
    if not np.array_equal(end, start[1:]) or bars.interval % fine.interval:
        raise DataError("finer bars must divide the bars, and lie in no gap between them", field="fine")
    first = start[:-1] - start[0]
    open_, high, low, close = (column[inside] for column in (fine.open, fine.high, fine.low, fine.close))
    made: Sequence[tuple[str, FloatArray, FloatArray]] = (
        ("open", open_[first], bars.open),
        ("high", np.maximum.reduceat(high, first), bars.high),
        ("low", np.minimum.reduceat(low, first), bars.low),
        ("close", close[start[1:] - start[0] - 1], bars.close),
    )
    for name, ours, theirs in made:
        _agree(bars, name, np.abs(ours - theirs) <= ALIKE * theirs, ours, theirs)
    return start - start[0], (open_, high, low, close)


def _agree(bars: Bars, what: str, fits: npt.NDArray[np.bool_], ours: FloatArray | IntArray, theirs: FloatArray) -> None:
    if not fits.all():
        row = int((~fits).argmax())
        raise DataError(
            f"the finer bars of {time_text(int(bars.ts[row]))} have {what} {ours[row]:.10g} where the bar has "
            f"{theirs[row]:.10g}: they must add up; leave them out or trade with another intrabar",
            field="fine",
            row=row,
        )
