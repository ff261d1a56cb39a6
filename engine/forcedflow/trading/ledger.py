"""What remains of trading: tables of orders, fills, trades, funding and equity, made of the account's state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from forcedflow.kernels.equity import Columns, Held, write_equity
from forcedflow.kernels.orders import AT_OPEN, ENTERED, FILL_ROW, KINDS, REACHED, REASONS, RESTED, STATUSES, STOP_LIMIT
from forcedflow.kernels.tiers import Tiered
from forcedflow.tables import EQUITY, FILLS, FUNDING, ORDERS, TRADES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forcedflow.data.bars import Bars
    from forcedflow.kernels import BoolArray, FloatArray, IntArray
    from forcedflow.settings import AccountSettings
    from forcedflow.trading.exchange import Exchange

__all__ = ["HELD_ROW", "KEPT_ROW", "Ledger", "Past", "Trading"]

Rows = npt.NDArray[np.void]
Table = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Trading:
    """The account's tables; columns and units as ``ORDERS``, ``FILLS``, ``TRADES`` and so on of tables.py say."""

    orders: Table
    fills: Table
    trades: Table
    """One row an entry that filled, in the order of the entries."""
    funding: Table
    """One row a payment."""
    equity: Table
    """One row a bar."""
    ambiguous_bars: int
    """Bars in which a stop and a target both lay and neither the open nor finer bars decided."""
    unpriced_fills: int
    """Fills without impact although it was asked for: volume or volatility before the bar is not known."""


KEPT_ROW: Final = np.dtype([("order_id", "i8"), ("trade_id", "i8"), ("event", "i8"), ("ts", "i8"), ("told", "?")])
"""What tables say of an order of bars before: numbers from the first of all, and whether it was told, being done."""

HELD_ROW: Final = np.dtype(
    [
        *FILL_ROW.descr,
        ("ts", "i8"),  # close of its bar
        ("received", "f8"),  # what a long unit received from the first bar to this one
        ("worst", "f8"),  # of an entry: side times the worst price since, as far as the trade surely met it
        ("best", "f8"),
    ]
)
"""A fill of a lot, which is remembered while the lot is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What the bars before leave to the tables of those that come after them."""

    cash: float
    position: float = 0.0
    high: float
    """Highest equity so far."""
    liquidation: float = np.nan
    """Nearest price of own liquidation."""
    received: float = 0.0
    """What a long unit would have received in funding so far; a running sum, for its bits."""
    bars: int = 0
    events: int = 0
    orders: int = 0
    fills: int = 0
    trades: int = 0
    kept: Rows
    """``KEPT_ROW`` of each order that was carried over."""
    held: Rows
    """``HELD_ROW`` of each fill of an open lot, in their order."""

    @classmethod
    def none(cls, cash: float) -> Past:
        """Return what there is before the first bar: only cash."""
        return cls(cash=cash, high=cash, kept=np.zeros(0, KEPT_ROW), held=np.zeros(0, HELD_ROW))


class Ledger:
    """An account's rows over some bars, read as tables; numbers in them count from the first of all bars.

    Parameters
    ----------
    market
        Of these bars.
    asked, filled, funded, levels
        Rows of the kernel's ``ORDER_ROW``, ``FILL_ROW``, ``FUNDED_ROW`` and ``LEVEL_ROW``; bars count from the first of
        these. The first of ``asked`` are those that were carried over.
    events
        How many events were heard.
    traded
        How many bars were traded.
    past
        What came before.
    """

    def __init__(
        self,
        market: Exchange,
        asked: Rows,
        filled: Rows,
        funded: Rows,
        levels: Rows,
        events: int,
        traded: int,
        past: Past,
    ) -> None:
        self._market, self._past, self._events, self._traded = market, past, events, traded
        self._asked, self._filled, self._funded, self._levels = asked, filled, funded, levels
        self._columns = _gathered(asked, ORDERS)
        self._is_order = self._columns["kind"] <= STOP_LIMIT  # the others are commands
        new = len(past.kept)
        self._number = np.concatenate((past.kept["order_id"], past.orders + np.cumsum(self._is_order[new:]) - 1))
        due, worth = market.rules.funding["bar"], market.worth
        paid = -market.rates * np.abs(worth(market.bars.open[due]))
        self._received: FloatArray = np.cumsum(np.concatenate(([past.received], paid)))
        self._fills = self._all_fills()
        self._enters = np.flatnonzero(self._fills["reason"] == ENTERED)
        lots = self._fills["lot"][self._enters]
        place = np.full(len(asked), -1)
        place[lots] = np.arange(len(lots))
        self._trade = place[self._fills["lot"]]
        begun = len(lots) - np.count_nonzero(filled["reason"] == ENTERED)  # trades of bars before
        fresh = past.trades + np.arange(len(lots) - begun)
        self._trade_id = np.concatenate((past.kept["trade_id"][lots[:begun]], fresh))
        self._ends = self._reckon_ends()

    def trading(self, settings: AccountSettings) -> Trading:
        """Return the tables: all orders but those that were told, all trades that were open or began."""
        market, filled = self._market, self._filled
        volatility, usual = market.prices.volatility, market.prices.usual_volume
        at = filled["bar"]
        unpriced = (settings.impact > 0) & ~((volatility[at] > 0) & (usual[at] > 0))
        return Trading(
            self._orders(),
            self._fills_table(),
            _copied(self._trades(), TRADES),
            self._funding(),
            self._equity(),
            len(np.unique(filled["bar"][filled["ambiguous"] == 1])),
            int(np.count_nonzero(unpriced)),
        )

    def past(self, kept: IntArray, live: IntArray, equity: Table) -> Past:
        """Return what these bars and those before leave to those after.

        Parameters
        ----------
        kept
            Which of the orders are carried over, ascending.
        live
            Which of them work or are open: the others are told.
        equity
            The table of these bars.
        """
        past, fills, traded = self._past, self._fills, self._traded
        orders = np.zeros(len(kept), KEPT_ROW)
        orders["order_id"] = self._number[kept]
        orders["trade_id"][np.searchsorted(kept, fills["lot"][self._enters][~self._ends.closed])] = self._trade_id[
            ~self._ends.closed
        ]
        orders["event"], orders["ts"] = self._event_of()[kept], self._ts_of()[kept]
        orders["told"] = ~np.isin(kept, live)
        worst, best = _since_entry(self._market.bars, self._ends)
        fills["worst"][self._enters], fills["best"][self._enters] = worst, best
        held = fills[~self._ends.closed[self._trade]]
        held["lot"] = np.searchsorted(kept, held["lot"])
        held["bar"] -= traded
        return Past(
            cash=float(equity["cash"][-1]),
            position=float(equity["position"][-1]),
            high=max(past.high, float(equity["equity"].max())),
            liquidation=float(equity["liquidation"][-1]),
            received=float(self._received[-1]),
            bars=past.bars + traded,
            events=past.events + self._events,
            orders=past.orders + int(np.count_nonzero(self._is_order[len(past.kept) :])),
            fills=past.fills + len(self._filled),
            trades=past.trades + int(np.count_nonzero(self._filled["reason"] == ENTERED)),
            kept=orders,
            held=held,
        )

    def _received_by(self, bar: IntArray) -> FloatArray:
        """Return what a long unit received from the first of all bars up to some of these, they included."""
        return self._received[np.searchsorted(self._market.rules.funding["bar"], bar, side="right")]

    def _all_fills(self) -> Rows:
        """Return the fills, those of bars before whose lots were open included."""
        held, filled = self._past.held, self._filled
        fills = np.zeros(len(held) + len(filled), HELD_ROW)
        fills[: len(held)] = held
        new = fills[len(held) :]
        for name in FILL_ROW.names or ():
            new[name] = filled[name]
        new["ts"] = self._market.close_ts[new["bar"]]
        new["received"] = self._received_by(new["bar"])
        new["worst"] = new["best"] = new["side"] * new["price"]
        return fills

    def _event_of(self) -> IntArray:
        kept, event = self._past.kept, self._columns["event"]
        new = event[len(kept) :]
        return np.concatenate((kept["event"], np.where(new < 0, new, new + self._past.events)))

    def _ts_of(self) -> IntArray:
        kept, bar = self._past.kept, self._columns["bar"]
        return np.concatenate((kept["ts"], self._market.close_ts[bar[len(kept) :]]))

    def _orders(self) -> Table:
        columns, past = self._columns, self._past
        orders = columns | {
            "order_id": self._number,
            "ts": self._ts_of(),
            "event": self._event_of(),
            "bar": past.bars + columns["bar"],
            "kind": _names(KINDS, columns["kind"]),
            "status": _names(STATUSES, columns["status"]),
            "reason": _names(REASONS, columns["reason"]),
            "status_bar": past.bars + columns["status_bar"],
        }
        chosen = self._is_order.copy()
        chosen[: len(past.kept)] &= ~past.kept["told"]
        if not chosen.all():
            orders = {name: column[chosen] for name, column in orders.items()}
        return _copied(orders, ORDERS)

    def _fills_table(self) -> Table:
        filled, past = self._filled, self._past
        fills: Table = {
            "fill_id": past.fills + np.arange(len(filled)),
            "order_id": self._number[filled["order"]],
            "trade_id": self._trade_id[self._trade[len(past.held) :]],
            "bar": past.bars + filled["bar"],
            "ts": self._market.close_ts[filled["bar"]],
            "reason": _names(REASONS, filled["reason"]),
            "liquidity": np.where(filled["taker"] == 1, "taker", "maker"),
            "spread_cost": filled["spread"],
            "impact_cost": filled["impact"],
            "forced_qty": filled["forced"],
            **{name: filled[name] for name in ("side", "qty", "price", "fee", "shortfall")},
        }
        return _copied(fills, FILLS)

    def _funding(self) -> Table:
        market, funded = self._market, self._funded
        funding: Table = {
            "bar": self._past.bars + funded["bar"],
            "ts": market.funding_ts[funded["row"]],
            "rate": market.rates[funded["row"]],
            **{name: funded[name] for name in ("position", "price", "amount")},
        }
        return _copied(funding, FUNDING)

    def _reckon_ends(self) -> Ends:
        """Tell where the trades began and ended; an open rest is marked at the last close."""
        market, asked, fills, enters = self._market, self._asked, self._fills, self._enters
        leaves = np.flatnonzero(fills["reason"] != ENTERED)
        lot, of, count = fills["lot"][enters], self._trade[leaves], len(enters)
        left = asked["left"][lot]
        closed = left == 0.0
        last = np.zeros(count, np.int64)
        last[of] = leaves  # the last exit of each: fills are in the order of their time

        def at_exit(name: str, if_open: float) -> npt.NDArray[Any]:
            return np.where(closed, fills[name][last], if_open) if count else fills[name][:0]

        mark = market.bars.close[self._traded - 1]
        parts = np.bincount(of, fills["qty"][leaves] * market.worth(fills["price"][leaves]), count)
        mean = (parts + left * market.worth(mark)) / fills["qty"][enters]
        pieces = np.bincount(of, minlength=count) + ~closed
        return Ends(
            side=asked["side"][lot],
            limit=fills["inside"][enters] == RESTED,
            stop=asked["stop"][lot],
            entry_bar=fills["bar"][enters],
            entry_price=fills["price"][enters],
            entry_inside=fills["inside"][enters] != AT_OPEN,
            worst=fills["worst"][enters],
            best=fills["best"][enters],
            closed=closed,
            exit_bar=at_exit("bar", self._traded - 1),
            exit_price=np.where(pieces == 1, at_exit("price", mark), market.price(mean)),
            exit_inside=at_exit("inside", AT_OPEN) != AT_OPEN,
            exit_reason=at_exit("reason", 0),
            ambiguous=at_exit("ambiguous", 0),
        )

    def _trades(self) -> Table:
        market, asked, fills, enters, ends = self._market, self._asked, self._fills, self._enters, self._ends
        past, bars, count = self._past, market.bars, len(enters)
        leaves = np.flatnonzero(fills["reason"] != ENTERED)
        of, lot, closed, side = self._trade[leaves], fills["lot"][enters], ends.closed, ends.side
        qty, part = fills["qty"][enters], fills["qty"][leaves]

        def summed(values: FloatArray, at: IntArray = of) -> FloatArray:
            return np.bincount(at, values, count).astype(np.float64)  # of nothing it makes integers

        begun, marked = market.worth(ends.entry_price), market.worth(bars.close[self._traded - 1])
        ended = market.worth(fills["price"][leaves])
        costs = summed(fills["fee"] + fills["spread"] + fills["impact"], self._trade)
        fees = fills["fee"][enters] + summed(fills["fee"][leaves])
        before = fills["received"][enters]
        funding = side * summed(part * (fills["received"][leaves] - before[of]))
        rest = np.where(
            closed, 0.0, side * asked["left"][lot]
        )  # nothing, not a signed nothing: later bars must not tell
        funding = funding + np.where(closed, 0.0, rest * (self._received_by(ends.exit_bar) - before))
        net = (
            summed(side[of] * part * (ended - begun[of]))
            + np.where(closed, 0.0, rest * (marked - begun))
            - fees
            + funding
        )
        risk = asked["risk"][lot]
        mae, mfe = excursions(bars, ends)
        return {
            "trade_id": self._trade_id,
            "order_id": self._number[lot],
            "group": asked["group"][lot],
            "side": side,
            "qty": qty,
            "entry_bar": past.bars + ends.entry_bar,
            "entry_ts": fills["ts"][enters],
            "entry_price": ends.entry_price,
            "stop": ends.stop,
            "target": asked["target"][lot],
            "exit_bar": past.bars + ends.exit_bar,
            "exit_ts": market.close_ts[ends.exit_bar],
            "exit_price": ends.exit_price,
            "exit_reason": np.where(closed, _names(REASONS, ends.exit_reason), "open"),
            "gross": net + costs - funding,
            "costs": costs,
            "funding": funding,
            "net": net,
            "r": net / (qty * risk),
            "mae_r": side * (market.worth(ends.entry_price + side * mae) - begun) / risk,
            "mfe_r": side * (market.worth(ends.entry_price + side * mfe) - begun) / risk,
            "bars_held": ends.exit_bar - ends.entry_bar,
            "ambiguous": ends.ambiguous,
        }

    def _equity(self) -> Table:
        """Reckon equity at each close from the state after the last fill or payment, never by adding up bars."""
        market, filled, funded, levels = self._market, self._filled, self._funded, self._levels
        past, traded = self._past, self._traded
        bar = np.concatenate((funded["bar"], filled["bar"]))
        order = np.argsort(bar, kind="stable")  # payments come before the fills of their bar

        def held(name: str, first: float) -> FloatArray:
            return np.concatenate(([first], np.concatenate((funded[name], filled[name]))[order]))

        close = market.bars.close[:traded]
        reckoned = {name: np.empty(traded) for name in Columns._fields}
        _write_equity.call(
            traded // _QUICK,
            market.worth(close),
            Held(np.append(0, bar[order]), held("cash", past.cash), held("position", past.position)),
            past.high,
            np.append(0, levels["bar"]),
            np.append(past.liquidation, levels["price"]),
            Columns(**reckoned),
        )
        numbers = market.numbers[:traded]
        table: Table = {
            "bar": past.bars + numbers if past.bars else numbers,
            "ts": market.close_ts[:traded],
            "close": close,
        }
        return _copied(table | reckoned, EQUITY)


_QUICK: Final = 64
"""Bars of equity that are written as quickly as one step of the account is taken."""
_write_equity: Final = Tiered(write_equity)


_BLOCK: Final = 1 << 11  # rows whose fields stay in the processor's cache while they are gathered


def _gathered(rows: Rows, schema: Mapping[str, str]) -> Table:
    """Return the fields of rows that have the name of a column, in the column's type; codes for text."""
    types = {
        name: "int64" if dtype == "str" else dtype for name, dtype in schema.items() if name in (rows.dtype.names or ())
    }
    columns: Table = {name: np.empty(len(rows), dtype) for name, dtype in types.items()}
    near = np.empty(min(_BLOCK, len(rows)), rows.dtype)
    for start in range(0, len(rows), _BLOCK):
        block = slice(start, start + _BLOCK)
        few = near[: len(rows[block])]
        few.view(np.uint8)[:] = rows[block].view(np.uint8)  # in one go: each field by itself would come from afar
        for name, column in columns.items():
            column[block] = few[name]
    return columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """Where trades began and ended; arrays of shape (trades,). Bars before these are negative."""

    side: IntArray
    limit: BoolArray
    """The entry was a limit order."""
    stop: FloatArray
    entry_bar: IntArray
    entry_price: FloatArray
    entry_inside: BoolArray
    """Entered inside the bar, not at its open."""
    worst: FloatArray
    """Side times the worst price before these bars, or the price of an entry in them."""
    best: FloatArray
    closed: BoolArray
    exit_bar: IntArray
    exit_price: FloatArray
    exit_inside: BoolArray
    exit_reason: IntArray
    ambiguous: IntArray


def excursions(bars: Bars, ends: Ends) -> tuple[FloatArray, FloatArray]:
    """Return the worst (at most 0) and the best (at least 0) excursion of each trade, in price.

    Bars held from open to close count whole. Of a bar in which the trade began or ended, the adverse side counts whole
    where it may have come while the trade was open (but never beyond its stop), the favourable side only where it
    must have: the high of a bar entered by a stop order, the close of one entered by a limit, the open of one left
    by a stop. The price of the exit counts on both sides.
    """
    side, leave = ends.side, ends.exit_bar
    price = side * ends.entry_price
    at_once = ends.entry_inside & (ends.entry_bar == leave)
    left_at_target = ends.exit_inside & (ends.exit_reason == REACHED)
    left_at_stop = ends.exit_inside & (ends.exit_reason != REACHED) & ~at_once
    worst, best = _since_entry(bars, ends)
    worst, best = np.minimum(worst, side * ends.exit_price), np.maximum(best, side * ends.exit_price)
    worst = np.minimum(worst, np.where(left_at_target, np.fmax(_worst(bars, side, leave), side * ends.stop), worst))
    best = np.maximum(best, np.where(left_at_stop, side * bars.open[leave], best))
    return worst - price, best - price


def _since_entry(bars: Bars, ends: Ends) -> tuple[FloatArray, FloatArray]:
    """Return side times the worst and the best price that each trade surely met, its exit apart."""
    side, entry = ends.side, np.maximum(ends.entry_bar, 0)
    full_from = np.maximum(ends.entry_bar + ends.entry_inside, 0)
    full_to = ends.exit_bar + ~ends.closed
    lowest = _between(np.minimum, bars.low, full_from, full_to)
    highest = _between(np.maximum, bars.high, full_from, full_to)
    held, worst, best = full_from < full_to, ends.worst, ends.best
    worst = np.minimum(worst, np.where(held, np.where(side > 0, lowest, -highest), worst))
    best = np.maximum(best, np.where(held, np.where(side > 0, highest, -lowest), best))
    at_once = ends.closed & (ends.entry_bar == ends.exit_bar)
    begun_inside = ends.entry_inside & (ends.entry_bar >= 0) & ~at_once
    first = np.where(ends.limit, side * bars.close[entry], _best(bars, side, entry))
    worst = np.minimum(worst, np.where(begun_inside, _worst(bars, side, entry), worst))
    return worst, np.maximum(best, np.where(begun_inside, first, best))


def _worst(bars: Bars, side: IntArray, bar: IntArray) -> FloatArray:
    return np.where(side > 0, bars.low[bar], -bars.high[bar])


def _best(bars: Bars, side: IntArray, bar: IntArray) -> FloatArray:
    return np.where(side > 0, bars.high[bar], -bars.low[bar])


def _between(extreme: np.ufunc, column: FloatArray, start: IntArray, stop: IntArray) -> FloatArray:
    """Return the extreme of each [start, stop); where that is empty, a number that means nothing."""
    if not len(start):
        return column[:0]
    last = len(column) - 1  # reduceat takes no index past the end
    spans = np.minimum(np.column_stack((start, stop)), last).ravel()
    extremes: FloatArray = extreme.reduceat(column, spans)[::2]
    return np.where(stop > last, extreme(extremes, column[last]), extremes)


def _names(names: tuple[str, ...], codes: IntArray) -> npt.NDArray[np.str_]:
    """Return the names of codes: a column is as wide as the longest that it has, or a little wider."""
    used = np.bincount(codes, minlength=len(names)) > 0
    texts = [name if is_used else "" for name, is_used in zip(names, used, strict=True)]
    longest = max(map(len, texts))
    width = next((width for width in _COPIED_AT_ONCE if width >= longest), longest)
    return np.array(texts, f"U{width}").take(codes, mode="clip")


_COPIED_AT_ONCE: Final = (1, 2, 4, 8)
"""Characters that numpy takes as one piece of memory, several times as quickly as other numbers of them."""


def _copied(table: Table, schema: Mapping[str, str]) -> Table:
    """Return the table's columns in the schema's order and types, apart from the account's own arrays."""
    return {name: np.ascontiguousarray(table[name], dtype=dtype) for name, dtype in schema.items()}
