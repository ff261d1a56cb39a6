"""An account over more bars than memory holds: chunk by chunk, stopped and gone on with anywhere, to the same bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from forcedflow.errors import AccountError, RecordError, StrategyError
from forcedflow.kernels.orders import BOOK_ROW, BRACKET_ROW, ENTERED, ORDER_ROW
from forcedflow.market import checkpoint
from forcedflow.trading.account import Account, Carried, with_venue_fees
from forcedflow.trading.exchange import Exchange, traded_venue
from forcedflow.trading.ledger import Begun, Table, equity_table, fills_table, funding_table
from forcedflow.trading.strategy import ask, check_elementwise, source_hash

if TYPE_CHECKING:
    from pathlib import Path

    from forcedflow.market.stream import TapeChunk
    from forcedflow.settings import AccountSettings
    from forcedflow.trading.strategy import Strategy

__all__ = ["AccountStream", "TradedChunk"]


@dataclass(frozen=True, slots=True, eq=False)
class TradedChunk:
    """What an account did in some bars in a row; numbers of bars, orders and trades count from the first of all."""

    fills: Table
    """Columns of ``tables.FILLS``."""
    funding: Table
    """Columns of ``tables.FUNDING``."""
    equity: Table
    """Columns of ``tables.EQUITY``, one row a bar."""


@dataclass(slots=True)
class _Counts:
    """How far a stream has come."""

    bar: int = 0
    orders: int = 0
    fills: int = 0
    trades: int = 0
    closed: int | None = None
    """Close of the last bar, ns UTC."""


class AccountStream:
    """Trades a plan strategy against a tape in chunks: fills, funding and equity are to the bit those of a whole run.

    What it remembers grows with the orders and positions that are live, and with the groups that were traded once where
    the strategy trades each only once; not with the bars.

    Parameters
    ----------
    strategy
        Of the plan form.
    settings
        Costs and limits. Fees that are not set are the first venue's.
    resume
        A checkpoint (:meth:`checkpoint`) to go on from.

    Raises
    ------
    StrategyError
        For a strategy of the handler form.
    AccountError
        For what chunks do not tell: ``participation``, ``intrabar = drill``.
    RecordError
        For a checkpoint of another strategy, other settings or another version.
    """

    def __init__(self, strategy: Strategy, settings: AccountSettings, *, resume: str | Path | None = None) -> None:
        if not strategy.is_plan():
            raise StrategyError(f"strategy {type(strategy).__name__} has handlers: it cannot be traded in chunks")
        if settings.participation > 0.0 or settings.intrabar == "drill":
            raise AccountError("chunks tell neither which bins were swept nor finer bars: participation, drill")
        self._strategy, self._settings = strategy, settings
        self._counts = _Counts()
        self._begun = Begun(settings.cash)
        self._carried: Carried | None = None
        self._orders = self._trades = np.zeros(0, np.int64)  # numbers of the orders carried over, and of their trades
        if resume is not None:
            self._go_on(resume)

    @property
    def bar(self) -> int:
        """The next bar to trade."""
        return self._counts.bar

    def take(self, chunk: TapeChunk) -> TradedChunk:
        """Trade the bars that come next.

        Raises
        ------
        AccountError
            For other bars than those.
        StrategyError
            Where the plan raises, cannot be traded, or is not elementwise.
        """
        counts, data, events = self._counts, chunk.dataset, chunk.events
        if chunk.first != counts.bar:
            raise AccountError(f"bar {counts.bar} comes next, not {chunk.first}")
        market = Exchange(
            data.bars,
            venue=traded_venue(data),
            liquidity=None
            if data.counts_ticks
            else (chunk.market_bars["vol_long"], chunk.market_bars["volume_average"]),
            closed=counts.closed,
        )
        costs, _ = with_venue_fees(self._settings, data)
        account = Account(market, costs, self._strategy, self._carried)
        account.observe(events.replace(bar=events.bar - chunk.first))
        rows = np.flatnonzero(np.isin(events.kind, self._strategy.hears()))
        if len(rows):
            asked = ask(self._strategy, events[rows])
            check_elementwise(self._strategy, events[rows], asked, 0)
            account.place(asked, rows)
        account.advance(len(data.bars) - 1)
        return self._kept(market, account)

    def _kept(self, market: Exchange, account: Account) -> TradedChunk:
        """Make the tables of a chunk, and keep what is gone on with."""
        counts = self._counts
        orders, filled, funded, levels = account.rows()
        new = len(orders) - len(self._orders)
        numbers = np.concatenate((self._orders, counts.orders + np.arange(new)))
        trades = np.concatenate((self._trades, np.full(new, -1)))
        entered = filled["lot"][filled["reason"] == ENTERED]
        trades[entered] = counts.trades + np.arange(len(entered))
        fills = fills_table(market, filled, numbers, trades[filled["lot"]])
        funding = funding_table(market, funded)
        equity = equity_table(market, filled, funded, levels, len(market.bars), self._begun)
        high = max(self._begun.cash if self._begun.high is None else self._begun.high, float(equity["equity"].max()))
        cash, position, level = (float(equity[name][-1]) for name in ("cash", "position", "liquidation"))
        self._begun = Begun(cash, position, high, level)
        for table in (fills, funding, equity):
            table["bar"] = table["bar"] + counts.bar
        fills["fill_id"] = fills["fill_id"] + counts.fills
        kept, self._carried = account.carry()
        self._orders, self._trades = numbers[kept], trades[kept]
        counts.bar += len(market.bars)
        counts.orders += new
        counts.fills += len(filled)
        counts.trades += len(entered)
        counts.closed = int(market.close_ts[-1])
        return TradedChunk(fills, funding, equity)

    def checkpoint(self, file: str | Path) -> Path:
        """Save the state after the last bar traded, whole or not at all.

        Raises
        ------
        AccountError
            Where no bar was traded.
        RecordError
            Where the disk refuses.
        """
        if self._carried is None:
            raise AccountError("no bar was traded yet")
        counts, begun = self._counts, self._begun
        numbers = np.array([counts.bar, counts.orders, counts.fills, counts.trades, counts.closed])
        money = np.array([begun.cash, begun.position, begun.high, begun.liquidation])
        arrays = self._carried._asdict() | {"numbers": numbers, "money": money}
        return checkpoint.write(file, self._facts(), arrays | {"of_orders": self._orders, "of_trades": self._trades})

    def _facts(self) -> dict[str, Any]:
        return {
            "strategy": {"source": source_hash(type(self._strategy)), **self._strategy.model_dump(mode="json")},
            "account": self._settings.model_dump(mode="json"),
        }

    def _go_on(self, file: str | Path) -> None:
        facts, saved = checkpoint.read(file)
        if "account" not in facts:
            raise RecordError(f"{file}: not a checkpoint of an account")
        checkpoint.compare(file, facts, self._facts())
        bar, orders, fills, trades, closed = saved["numbers"].tolist()
        self._counts = _Counts(bar, orders, fills, trades, closed)
        self._begun = Begun(*saved["money"].tolist())
        types = {"book": BOOK_ROW, "orders": ORDER_ROW, "table": BRACKET_ROW}  # records are kept as their bytes
        carried: Any = (saved[name].view(types.get(name, saved[name].dtype)) for name in Carried._fields)
        self._carried = Carried._make(carried)
        self._orders, self._trades = saved["of_orders"], saved["of_trades"]
