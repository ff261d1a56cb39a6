"""The account: takes orders, trades them bar by bar, and says what came of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import numpy as np
import numpy.typing as npt

from forcedflow.errors import AccountError, StrategyError
from forcedflow.kernels import IntArray, Record, records
from forcedflow.kernels import account as kernel
from forcedflow.tables import EventKind, Events, Side
from forcedflow.trading.ledger import Trading, tabulate
from forcedflow.trading.orders import Asked, Plan, Policy
from forcedflow.venues import load_venue

if TYPE_CHECKING:
    from collections.abc import Collection

    from forcedflow.data.bars import Bars
    from forcedflow.data.series import Dataset
    from forcedflow.settings import AccountSettings

__all__ = ["Account", "OpenTrade", "with_venue_fees"]

_NO_BAR: Final = -(2**62)
_A = TypeVar("_A", bound=npt.NDArray[Any])


@dataclass(frozen=True, slots=True)
class OpenTrade:
    """A position that is open now."""

    side: Side
    qty: float
    entry_bar: int
    entry_price: float
    stop: float
    target: float
    group: int


class Account:
    """Cash, positions and working orders over one table of bars.

    The tape is heard with :meth:`observe`, orders come with :meth:`place` or, one by one from a handler, with
    :meth:`submit`, :meth:`close` and :meth:`cancel`. All of them only write down; bars are traded when something is
    read. So a whole tape at once, and event by event, are the same work with the same result to the bit.

    Parameters
    ----------
    bars
        The bars to trade on.
    settings
        Costs and limits.
    policy
        What becomes of a new order while others are live; a strategy is one.
    """

    def __init__(self, bars: Bars, settings: AccountSettings, policy: Policy) -> None:
        self._bars, self._settings = bars, settings
        self._name = type(policy).__name__
        self._prices = kernel.Prices(bars.open, bars.high, bars.low, bars.close)
        self._rules = kernel.Rules(
            settings.maker_fee,
            settings.taker_fee,
            settings.half_spread_bps * 1e-4,
            settings.max_leverage,
            settings.intrabar == "target_first",
            kernel.CONFLICTS.index(policy.conflict),
            policy.max_open,
            policy.cooldown,
            policy.once_per_group,
        )
        self._signals = records(kernel.SIGNAL_ROW, 0)
        self._state = kernel.State(
            book=records(kernel.BOOK_ROW, 1),
            orders=records(kernel.ORDER_ROW, 0),
            fills=records(kernel.FILL_ROW, 0),
            working=np.zeros(0, np.int64),
            lots=np.zeros(0, np.int64),
            taken=np.zeros(0, np.bool_),
        )
        self._book = self._state.book[0]
        self._book.cash = settings.cash
        self._book.last_exit = _NO_BAR
        self._heard = self._asked = self._stop = 0
        self._slots: dict[int, int] = {}
        self._last: Events | None = None

    def observe(self, events: Events) -> None:
        """Hear the next events of the tape, each once and in order: they may cancel orders and end positions.

        Raises
        ------
        AccountError
            For events of bars that were traded past.
        """
        if not len(events):
            return
        if events.bar[0] < self._stop - 1:
            raise AccountError(f"event of bar {events.bar[0]} comes late: bar {self._stop - 1} was traded already")
        start, self._heard = self._heard, self._heard + len(events)
        self._signals = _room(self._signals, self._heard)
        for column in ("bar", "kind", "group"):
            self._signals[column][start : self._heard] = getattr(events, column)
        self._last = events
        self.advance(int(events.bar[-1]))

    def advance(self, bar: int) -> None:
        """Let trading go on to the close of ``bar``.

        Raises
        ------
        AccountError
            Where there is no such bar.
        """
        if not 0 <= bar < len(self._bars.close):
            raise AccountError(f"there is no bar {bar}: the bars are 0 to {len(self._bars.close) - 1}")
        self._stop = max(self._stop, bar + 1)

    def place(self, asked: Asked, events: IntArray) -> None:
        """Order what a plan asks for.

        Parameters
        ----------
        asked
            The plan, checked.
        events
            Shape (rows,): for each row the event that it answers, counted from 0 over all that were observed;
            ascending, and none before the last that was observed when the account was last read.

        Raises
        ------
        AccountError
            For an event that was not observed, or lies behind what was traded already.
        """
        wanted = np.flatnonzero(asked.side)
        if not len(wanted):
            return
        event = events[wanted]
        floor = max(0, self._book.signal - 1, self._state.orders[self._asked - 1].event if self._asked else 0)
        if event[0] < floor or event[-1] >= self._heard or np.any(np.diff(event) < 0):
            raise AccountError(
                f"orders answer events {event.min()} to {event.max()}; "
                f"they must ascend and lie between {floor} and {self._heard - 1}"
            )
        columns = {field.name: getattr(asked, field.name)[wanted] for field in fields(asked)}
        amount = columns.pop("size")
        self._append(event=event, bar=self._signals["bar"][event], amount=amount, **columns)

    def submit(
        self,
        side: int,
        *,
        size: float,
        size_rule: str = "risk",
        entry: str = "market",
        price: float = np.nan,
        stop: float = np.nan,
        target: float = np.nan,
        expiry: int = 1,
        hold: int = 0,
        group: int = 0,
        cancel_on: Collection[EventKind] = (),
        exit_on: Collection[EventKind] = (),
    ) -> None:
        """Order at the close of the last observed event; it can fill from the next open. Fields as :class:`Plan`.

        Raises
        ------
        StrategyError
            For an order that cannot be traded, naming the event.
        AccountError
            Before any event was observed.
        """
        if abs(side) != 1:
            raise StrategyError(f"strategy {self._name}: an order's side must be +1 or -1, was {side!r}")
        plan = Plan(
            side,
            size=size,
            size_rule=size_rule,
            entry=entry,
            price=price,
            stop=stop,
            target=target,
            expiry=expiry,
            hold=hold,
            group=group,
            cancel_on=cancel_on,
            exit_on=exit_on,
        )
        self.place(Asked.of(plan, self._now(), self._name), np.array([self._heard - 1]))

    def close(self) -> None:
        """Leave every position at the next open."""
        self._command("close")

    def cancel(self) -> None:
        """Cancel every working order."""
        self._command("cancel")

    @property
    def bar(self) -> int:
        """The last bar that was traded, -1 before the first."""
        return self._stop - 1

    @property
    def heard(self) -> int:
        """How many events were observed."""
        return self._heard

    @property
    def cash(self) -> float:
        """Quote currency that would be left if the position were worth nothing."""
        return float(self._traded().cash)

    @property
    def position(self) -> float:
        """Net position, base units."""
        return float(self._traded().position)

    @property
    def equity(self) -> float:
        """Cash and position at the last close."""
        book = self._traded()
        return float(book.cash + book.position * self._bars.close[max(self.bar, 0)])

    @property
    def working(self) -> int:
        """How many entry orders work."""
        return int(self._traded().working)

    @property
    def open_trades(self) -> tuple[OpenTrade, ...]:
        """The open positions, in the order of their entries."""
        open_now = self._state.lots[: self._traded().lots]
        return tuple(
            OpenTrade(Side(lot.side), *(lot[f.name].item() for f in fields(OpenTrade)[1:]))
            for lot in self._state.orders[open_now]
        )

    def result(self) -> Trading:
        """Return the tables of all that was traded so far."""
        filled = self._traded().fills
        orders, fills = self._state.orders[: self._asked], self._state.fills[:filled]
        return tabulate(self._bars, orders, fills, self._stop, self._settings.cash)

    def _traded(self) -> Record:
        """Trade what is left to be traded, and return the book."""
        kernel.advance(self._prices, self._signals, self._heard, self._state, self._asked, self._rules, self._stop)
        return self._book

    def _now(self) -> Events:
        if self._last is None:
            raise AccountError("no event was observed yet: orders are placed at events")
        return self._last[-1:]

    def _command(self, kind: str) -> None:
        bar = self._now().bar
        self._append(
            event=np.array([self._heard - 1]), bar=bar, kind=kernel.KINDS.index(kind), group=np.zeros(1, np.int64)
        )

    def _append(self, **columns: Any) -> None:
        start, self._asked = self._asked, self._asked + len(columns["event"])
        columns["slot"] = [self._slots.setdefault(group, len(self._slots)) for group in columns["group"].tolist()]
        state = self._state
        self._state = state._replace(
            orders=_room(state.orders, self._asked),
            fills=_room(state.fills, 2 * self._asked),
            working=_room(state.working, self._asked),
            lots=_room(state.lots, self._asked),
            taken=_room(state.taken, self._asked),
        )
        for name, column in columns.items():
            self._state.orders[name][start : self._asked] = column


def with_venue_fees(settings: AccountSettings, dataset: Dataset) -> tuple[AccountSettings, tuple[str, ...]]:
    """Take the fees that were not set from the dataset's first venue; return with them what a reader must be told."""
    if not dataset.venues:
        return settings, ()
    name = dataset.venues[0].venue
    fees = load_venue(name).fees
    theirs = {"maker_fee": fees.maker, "taker_fee": fees.taker}
    taken = {field: fee for field, fee in theirs.items() if field not in settings.model_fields_set}
    used = settings.model_copy(update=taken)
    assumed = fees.assumed and (used.maker_fee, used.taker_fee) == (fees.maker, fees.taker)
    return used, (f"fees of {name} are assumed: {fees.source}",) if assumed else ()


def _room(array: _A, size: int) -> _A:
    """Return the array with room for ``size`` rows, at least doubled so that appending stays cheap."""
    have = len(array)
    if have >= size:
        return array
    larger = np.zeros(max(size, 2 * have), array.dtype).view(type(array))
    larger[:have] = array
    return cast("_A", larger)
