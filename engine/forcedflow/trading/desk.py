"""Where strategy and account meet: the desk that a strategy orders at, and the two ways to trade a tape."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from forcedflow.errors import StrategyError
from forcedflow.tables import Event
from forcedflow.trading.account import Account, OpenTrade
from forcedflow.trading.exchange import Exchange
from forcedflow.trading.strategy import Strategy, ask, check_elementwise, handle, handlers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from forcedflow.data.bars import Bars
    from forcedflow.settings import AccountSettings
    from forcedflow.tables import EventKind, Events
    from forcedflow.trading.ledger import Trading

__all__ = ["Desk", "answering", "hear", "react", "trade"]


class Desk:
    """What a strategy or a loop may do with an account: order, leave, cancel and look. It cannot move time.

    The account is told of the events up to the current one when somebody orders or looks, and not before: an event that
    nobody answers costs next to nothing.
    """

    __slots__ = ("_account", "_now", "_told")

    def __init__(self, account: Account) -> None:
        self._account = account
        self._told = self._now = 0

    def submit(self, side: int, *, size: float, **order: Any) -> None:
        """Order at the close of the last event, as :meth:`Account.submit`."""
        _told(self).submit(side, size=size, **order)

    def close(self) -> None:
        """Leave every position at the next open."""
        _told(self).close()

    def cancel(self) -> None:
        """Cancel every working order."""
        _told(self).cancel()

    @property
    def bar(self) -> int:
        """The last bar that was traded, -1 before the first."""
        return _told(self).bar

    @property
    def cash(self) -> float:
        """Quote currency that would be left if the position were worth nothing."""
        return _told(self).cash

    @property
    def position(self) -> float:
        """Net position, base units."""
        return _told(self).position

    @property
    def equity(self) -> float:
        """Cash and position at the last close."""
        return _told(self).equity

    @property
    def working(self) -> int:
        """How many entry orders work."""
        return _told(self).working

    @property
    def open_trades(self) -> tuple[OpenTrade, ...]:
        """The open positions, in the order of their entries."""
        return _told(self).open_trades


def _told(desk: Desk) -> Account:
    """Tell the account the events up to the current one, and return it."""
    if desk._told < desk._now:
        desk._account.hear(desk._now - desk._told)
        desk._told = desk._now
    return desk._account


def hear(desk: Desk, events: Events, kinds: Collection[EventKind]) -> Iterator[Event]:
    """Take the desk through the next events of the tape, one by one, and yield those of some kinds.

    While one is at hand, the desk stands at the close of its bar: later events have not been heard.
    """
    desk._told = desk._now = 0
    desk._account.announce(events)
    for row, kind in enumerate(events.rows["kind"].tolist()):
        if kind in kinds:
            desk._now = row + 1
            yield Event(events, row, kind)
    desk._now = len(events)
    _told(desk)


def answering(strategy: Strategy, market: object, desk: Desk) -> Callable[[Event], None]:
    """Return what lets the strategy answer the event at hand, which must be one that it hears.

    Parameters
    ----------
    market
        What a handler is given to look at.

    Raises
    ------
    StrategyError
        When it is called: where the strategy raises, or asks for what cannot be traded.
    """
    if not strategy.is_plan():
        return partial(handle, strategy, handlers(type(strategy)), market, desk)

    def place(event: Event) -> None:
        asked = ask(strategy, event.alone())
        account = _told(desk)
        account.place(asked, np.array([account.heard - 1]))

    return place


def react(strategy: Strategy, events: Events, market: object, account: Account) -> None:
    """Let the account hear the next events of the tape one by one, and the strategy answer those that it hears.

    Raises
    ------
    StrategyError
        Where the strategy raises, or asks for what cannot be traded.
    """
    desk = Desk(account)
    answer = answering(strategy, market, desk)
    for event in hear(desk, events, strategy.hears()):
        answer(event)


def trade(
    market: Exchange | Bars, events: Events, strategy: Strategy, settings: AccountSettings, seed: int = 0
) -> Trading:
    """Trade a plan strategy over a whole tape at once.

    Parameters
    ----------
    market
        What to trade on; mere bars have no funding, no margin rule and no volume that impact could be reckoned from.
    events
        All events of the tape, in their total order.
    seed
        Of the rows that are asked about again, to see that the plan is elementwise.

    Raises
    ------
    StrategyError
        For a strategy of the handler form; where the plan raises, cannot be traded, or is not elementwise.
    """
    if not strategy.is_plan():
        raise StrategyError(f"strategy {type(strategy).__name__} has handlers: it trades in a replay, event by event")
    account = Account(market, settings, strategy)
    account.observe(events)
    rows = np.flatnonzero(np.isin(events.kind, strategy.hears()))
    if len(rows):
        heard = events if len(rows) == len(events) else events[rows]
        asked = ask(strategy, heard)
        check_elementwise(strategy, heard, asked, seed)
        account.place(asked, rows)
    bars = market.bars if isinstance(market, Exchange) else market
    account.advance(len(bars) - 1)
    return account.result()
