"""Where strategy and account meet: the desk that a strategy orders at, and the two ways to trade a tape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from forcedflow.errors import StrategyError
from forcedflow.trading.account import Account, OpenTrade
from forcedflow.trading.strategy import Strategy, ask, check_elementwise, handle

if TYPE_CHECKING:
    from forcedflow.data.bars import Bars
    from forcedflow.settings import AccountSettings
    from forcedflow.tables import Events
    from forcedflow.trading.ledger import Trading

__all__ = ["Desk", "react", "trade"]


class Desk:
    """What a strategy or a loop may do with an account: order, leave, cancel and look. It cannot move time."""

    __slots__ = ("_account",)

    def __init__(self, account: Account) -> None:
        self._account = account

    def submit(self, side: int, *, size: float, **order: Any) -> None:
        """Order at the close of the last event, as :meth:`Account.submit`."""
        self._account.submit(side, size=size, **order)

    def close(self) -> None:
        """Leave every position at the next open."""
        self._account.close()

    def cancel(self) -> None:
        """Cancel every working order."""
        self._account.cancel()

    @property
    def bar(self) -> int:
        """The last bar that was traded, -1 before the first."""
        return self._account.bar

    @property
    def cash(self) -> float:
        """Quote currency that would be left if the position were worth nothing."""
        return self._account.cash

    @property
    def position(self) -> float:
        """Net position, base units."""
        return self._account.position

    @property
    def equity(self) -> float:
        """Cash and position at the last close."""
        return self._account.equity

    @property
    def working(self) -> int:
        """How many entry orders work."""
        return self._account.working

    @property
    def open_trades(self) -> tuple[OpenTrade, ...]:
        """The open positions, in the order of their entries."""
        return self._account.open_trades


def react(strategy: Strategy, events: Events, market: object, account: Account) -> None:
    """Let the account hear the next events of the tape one by one, and the strategy answer those that it listens to.

    Parameters
    ----------
    market
        What a handler is given to look at.

    Raises
    ------
    StrategyError
        Where the strategy raises, or asks for what cannot be traded.
    """
    heard = strategy.hears()
    for row in range(len(events)):
        now = events[row : row + 1]
        account.observe(now)
        if now.kind[0] not in heard:
            continue
        if strategy.is_plan():
            account.place(ask(strategy, now), np.array([account.heard - 1]))
        else:
            handle(strategy, now, market, Desk(account))


def trade(bars: Bars, events: Events, strategy: Strategy, settings: AccountSettings, seed: int = 0) -> Trading:
    """Trade a plan strategy over a whole tape at once.

    Parameters
    ----------
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
    account = Account(bars, settings, strategy)
    account.observe(events)
    rows = np.flatnonzero(np.isin(events.kind, strategy.listens))
    if len(rows):
        heard = events[rows]
        asked = ask(strategy, heard)
        check_elementwise(strategy, heard, asked, seed)
        account.place(asked, rows)
    account.advance(len(bars.close) - 1)
    return account.result()
