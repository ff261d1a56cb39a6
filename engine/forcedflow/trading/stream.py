"""An account over more bars than memory holds: chunk by chunk, stopped and gone on with anywhere, to the same bits."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from forcedflow.errors import AccountError, RecordError, StrategyError
from forcedflow.kernels.orders import BOOK_ROW, BRACKET_ROW, ORDER_ROW
from forcedflow.market import checkpoint
from forcedflow.trading.account import Account, Carried, with_venue_fees
from forcedflow.trading.exchange import Exchange, traded_venue
from forcedflow.trading.ledger import HELD_ROW, KEPT_ROW, Past
from forcedflow.trading.strategy import ask, check_elementwise, source_hash

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from forcedflow.kernels import BoolArray
    from forcedflow.market.stream import TapeChunk
    from forcedflow.settings import AccountSettings
    from forcedflow.trading.ledger import Ledger, Table
    from forcedflow.trading.strategy import Strategy

__all__ = ["AccountStream", "TradedChunk"]


@dataclass(frozen=True, slots=True, eq=False)
class TradedChunk:
    """What an account did in some bars in a row; numbers of bars, orders and trades count from the first of all."""

    orders: Table
    """Columns of ``tables.ORDERS``: those that are done since these bars, their trades closed."""
    fills: Table
    """Columns of ``tables.FILLS``."""
    trades: Table
    """Columns of ``tables.TRADES``: those that closed in these bars."""
    funding: Table
    """Columns of ``tables.FUNDING``."""
    equity: Table
    """Columns of ``tables.EQUITY``, one row a bar."""
    working: Table
    """Columns of ``tables.ORDERS``: those that work after these bars, or whose trades are open."""
    open_trades: Table
    """Columns of ``tables.TRADES``: those that are open after these bars, as marked at the last close."""
    ambiguous_bars: int
    """As of a :class:`~.ledger.Trading`."""
    unpriced_fills: int


class AccountStream:
    """Trades a plan strategy against a tape in chunks: its tables are to the bit those of a whole run.

    A trade is told in the chunk in which it closes, an order in the one in which it and its trade are done; what is
    left at the end, the last chunk says. What it remembers grows with the orders and positions that are live, not with
    the bars; and, where the strategy trades each group only once, by eight bytes for each group that it has traded: of
    none of them can be known that the tape, or a plan that numbers groups itself, will not name it again.

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
        self._past = Past.none(settings.cash)
        self._carried: Carried | None = None
        self._closed: int | None = None  # close of the last bar, ns UTC
        if resume is not None:
            self._go_on(resume)

    @property
    def bar(self) -> int:
        """The next bar to trade."""
        return self._past.bars

    def take(self, chunk: TapeChunk) -> TradedChunk:
        """Trade the bars that come next.

        Raises
        ------
        AccountError
            For other bars than those.
        StrategyError
            Where the plan raises, cannot be traded, or is not elementwise.
        """
        data, events = chunk.dataset, chunk.events
        if chunk.first != self.bar:
            raise AccountError(f"bar {self.bar} comes next, not {chunk.first}")
        market = Exchange(
            data.bars,
            venue=traded_venue(data),
            liquidity=None
            if data.counts_ticks
            else (chunk.market_bars["vol_long"], chunk.market_bars["volume_average"]),
            closed=self._closed,
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
        self._closed = int(market.close_ts[-1])
        return self._told(account, account.ledger(self._past))

    def _told(self, account: Account, ledger: Ledger) -> TradedChunk:
        """Make the tables of a chunk, and keep what is gone on with."""
        made = ledger.trading(self._settings)
        kept, self._carried = account.carry()
        live = kept[np.concatenate((self._carried.working, self._carried.lots))]
        self._past = ledger.past(kept, live, made.equity)
        is_live = np.isin(made.orders["order_id"], self._past.kept["order_id"][~self._past.kept["told"]])
        is_open = made.trades["exit_reason"] == "open"
        return TradedChunk(
            orders=_chosen(made.orders, ~is_live),
            fills=made.fills,
            trades=_chosen(made.trades, ~is_open),
            funding=made.funding,
            equity=made.equity,
            working=_chosen(made.orders, is_live),
            open_trades=_chosen(made.trades, is_open),
            ambiguous_bars=made.ambiguous_bars,
            unpriced_fills=made.unpriced_fills,
        )

    def checkpoint(self, file: str | Path) -> Path:
        """Save the state after the last bar traded, whole or not at all.

        Raises
        ------
        AccountError
            Where no bar was traded.
        RecordError
            Where the disk refuses.
        """
        return checkpoint.write(file, *self.state())

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return what a checkpoint holds, for one of the tape and the account together.

        Raises
        ------
        AccountError
            Where no bar was traded.
        """
        if self._carried is None:
            raise AccountError("no bar was traded yet")
        arrays: dict[str, Any] = {f"past {f.name}": np.asarray(getattr(self._past, f.name)) for f in fields(Past)}
        arrays |= {f"account {name}": values for name, values in self._carried._asdict().items()}
        return self._facts(), arrays | {"past closed": np.array(self._closed)}

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
        types = {"book": BOOK_ROW, "orders": ORDER_ROW, "table": BRACKET_ROW}  # records are kept as their bytes
        carried: Any = (_viewed(saved[f"account {name}"], types.get(name)) for name in Carried._fields)
        self._carried = Carried._make(carried)
        numbers = {f.name: saved[f"past {f.name}"].item() for f in fields(Past) if f.name not in {"kept", "held"}}
        self._past = Past(kept=saved["past kept"].view(KEPT_ROW), held=saved["past held"].view(HELD_ROW), **numbers)
        self._closed = int(saved["past closed"])


def _viewed(saved: npt.NDArray[Any], rows: np.dtype[Any] | None) -> npt.NDArray[Any]:
    return saved if rows is None else saved.view(rows)


def _chosen(table: Table, rows: BoolArray) -> Table:
    return {name: column[rows] for name, column in table.items()}
