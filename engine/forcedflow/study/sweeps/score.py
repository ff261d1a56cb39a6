"""One tape traded with many settings: what a sweep does most of its time, behind one function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from forcedflow.data.times import DAY
from forcedflow.errors import ForcedFlowError
from forcedflow.kernels import Records, measures, records
from forcedflow.kernels import score as kernel
from forcedflow.kernels.drawdowns import drawdowns
from forcedflow.kernels.orders import LIQUIDATED
from forcedflow.kernels.touch import Extremes, extremes
from forcedflow.replay import Replay
from forcedflow.report.equity_measures import days_a_year, drawdown_measures
from forcedflow.report.scorecard import Curve, Reckoning, scorecard, swept_scorecard
from forcedflow.settings import parse
from forcedflow.trading.account import Account
from forcedflow.trading.exchange import Exchange
from forcedflow.trading.strategy import ask, check_elementwise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from forcedflow.data.bars import Bars
    from forcedflow.market.tape import Tape
    from forcedflow.record import Table
    from forcedflow.report.scorecard import Calendar
    from forcedflow.settings import AccountSettings
    from forcedflow.tables import Events, FloatArray, IntArray
    from forcedflow.trading.strategy import Strategy

__all__ = ["Level", "Scored", "SharedMarket", "daily_equity", "day_ends", "score_settings"]

Level = Literal["score", "compact", "audit"]
"""What a sweep keeps of each setting: its scorecard; also its equity at the end of each day; also its whole record."""

_COMPILED: Final = Reckoning(kernel.daily_measures, kernel.trade_measures)


@dataclass(frozen=True, slots=True)
class Scored:
    """What came of one setting."""

    card: dict[str, float | int | None] | None
    """The scorecard, as a single run's; None where the setting failed."""
    daily: FloatArray | None = None
    """Shape (days + 1,): the initial equity and then the last of each day, as :func:`day_ends` lists them."""
    error: str | None = None
    """Why there is no scorecard."""


def score_settings(
    tape: Tape,
    strategy_class: type[Strategy],
    params_list: Sequence[Mapping[str, Any]],
    account_settings: AccountSettings,
    level: Level,
    span: tuple[int, int] | None = None,
) -> list[Scored]:
    """Trade a strategy with each of many parameter sets against one tape.

    Parameters
    ----------
    tape
        Of the whole dataset. Strategies of the handler form step through its dataset again, since they need the live
        map.
    params_list
        Parameters that differ from the strategy's defaults, one mapping a setting.
    account_settings
        Costs and limits, the venue's fees already taken.
    level
        ``score`` leaves the daily equity out.
    span
        First bar and the one after the last bar to trade, with a new account; the bars before only made the map.

    Returns
    -------
    list of Scored
        In the order of ``params_list``, each to the bit what a run of it alone gives. A setting that a strategy cannot
        trade has its error in place of a scorecard. That the plan is elementwise, which a run asks of every setting, is
        asked here of settings 0, 1, 2, 4, 8 and so on only: it takes ten times as long as the plan.
    """
    first, stop = span or (0, len(tape.bars))
    plans = strategy_class.is_plan()
    part = tape.cut(first, stop) if plans and span is not None else tape
    shared = SharedMarket.of(Exchange.of(part), part.events, tape.dataset.calendar, strategy_class) if plans else None
    cash, calendar = account_settings.cash, tape.dataset.calendar
    found = []
    for number, params in enumerate(params_list):
        try:
            strategy = parse(strategy_class, dict(params), f"strategy {strategy_class.__name__}")
            if shared is not None:
                card, daily = shared.trade(strategy, account_settings, checked=number & (number - 1) == 0)
            else:
                bars, (equity, trades, fills) = _replayed(tape, strategy, account_settings, first, stop)
                card = scorecard(equity, trades, fills, initial=cash, start=int(bars.ts[0]), calendar=calendar)
                daily = daily_equity(equity, cash, calendar)
            found.append(Scored(card, None if level == "score" else daily))
        except ForcedFlowError as error:
            found.append(Scored(None, error=str(error)))
    return found


@dataclass(frozen=True, slots=True)
class SharedMarket:
    """A market, its tape, and all that settings share: what takes a pass over the bars is done here, once."""

    exchange: Exchange
    events: Events
    heard: Events
    """Those that the strategy is asked about."""
    rows: IntArray
    """And where they are in ``events``."""
    values: Extremes
    """Over what a unit is worth at each close."""
    worth: FloatArray
    """Shape (bars,): that worth."""
    closes: IntArray
    """Shape (bars,): when they close, ns UTC."""
    ends: IntArray
    """Last bar of each day with bars."""
    repeats: IntArray
    """Days for which that equity stands, days without bars counted."""
    per_year: float
    received: FloatArray
    """Shape (payments + 1,): funding that a long unit had received before each payment, and in all."""

    @classmethod
    def of(cls, exchange: Exchange, events: Events, calendar: Calendar, strategy: type[Strategy]) -> SharedMarket:
        """Prepare a tape for one strategy's settings."""
        bars = exchange.bars
        rows = np.flatnonzero(np.isin(events.kind, strategy.hears()))
        worth = np.ascontiguousarray(exchange.worth(bars.close))
        closes = exchange.close_ts
        days: IntArray = np.arange((closes[0] - 1) // DAY, (closes[-1] - 1) // DAY + 1)
        ends = np.searchsorted(closes, (days + 1) * DAY, side="right") - 1
        traded = np.diff(ends, prepend=-1) > 0
        ends = ends[traded]
        nights: IntArray = np.diff(np.append(days[traded], days[-1] + 1))
        repeats = nights if calendar == "24/7" else np.ones_like(nights)
        per_year = days_a_year(int(repeats.sum()), int(bars.ts[0]), closes, calendar)
        funding = exchange.rules.funding
        paid = -exchange.rates * np.abs(exchange.worth(bars.open[funding["bar"]]))
        received = np.concatenate(([0.0], np.cumsum(paid)))
        heard = events if len(rows) == len(events) else events[rows]
        values = extremes(worth, worth)
        return cls(exchange, events, heard, rows, values, worth, closes, ends, repeats, per_year, received)

    def trade(
        self, strategy: Strategy, settings: AccountSettings, *, checked: bool
    ) -> tuple[dict[str, float | int | None], FloatArray]:
        """Trade one setting; return its scorecard and its daily equity.

        Parameters
        ----------
        checked
            Whether the plan is asked again about some rows, to see that it is elementwise.
        """
        account = Account(self.exchange, settings, strategy)
        account.observe(self.events)
        if len(self.rows):
            asked = ask(strategy, self.heard)
            if checked:
                check_elementwise(strategy, self.heard, asked, 0)
            account.place(asked, self.rows)
        account.advance(len(self.worth) - 1)
        return self._score(*account.rows()[:3], settings.cash)

    def _score(
        self, orders: Records, fills: Records, funded: Records, cash: float
    ) -> tuple[dict[str, float | int | None], FloatArray]:
        count = len(fills) + len(funded) + 1
        begins, held, position = np.zeros(count, np.int64), np.full(count, cash), np.zeros(count)
        kernel.pieces(fills, funded, begins, held, position)
        equity = np.empty(len(self.ends))
        exposed = kernel.equity_at(self.ends, self.worth, begins, held, position, equity)
        daily = np.concatenate(([cash], np.repeat(equity, self.repeats)))
        start = int(self.exchange.bars.ts[0])
        falls = drawdowns(self.values, self.closes, start, begins, held, position, cash)
        trades = records(kernel.TRADE_ROW, len(fills)).view(np.ndarray)
        market, due = self.exchange, self.exchange.rules.funding["bar"]
        of = np.empty(len(orders), np.int64)
        entered = kernel.trade_results(market.prices, market.face, due, self.received, orders, fills, of, trades)
        table = _columns(trades[:entered], _TRADES)
        card = swept_scorecard(
            Curve(daily, self.per_year, len(self.closes), exposed, drawdown_measures(falls, self.closes, start)),
            table,
            trades["closed"][:entered] != 0,
            _columns(fills, _FILLS),
            fills["reason"] == LIQUIDATED,
            initial=cash,
            reckoning=_COMPILED,
        )
        return card, daily


_TRADES: Final = {
    name: name for name in ("exit_bar", "bars_held", "net", "gross", "funding", "r", "mae_r", "mfe_r", "ambiguous")
}
_FILLS: Final = {name: name for name in ("qty", "price", "fee", "shortfall")} | {
    "spread_cost": "spread",
    "impact_cost": "impact",
    "forced_qty": "forced",
}


def _columns(rows: Records, names: Mapping[str, str]) -> Table:
    """Return fields as columns of their own: sums over a field in place need not have the same bits."""
    return {name: np.ascontiguousarray(rows[field]) for name, field in names.items()}


def day_ends(bars: Bars, calendar: Calendar) -> IntArray:
    """Return the ends of the days of a daily equity, ns UTC, the first of them the start of the first bar.

    Shape (days + 1,): the days of :func:`forcedflow.kernels.measures.daily_values`.
    """
    day = (bars.close_ts - 1) // DAY
    days = np.arange(day[0], day[-1] + 1) if calendar == "24/7" else np.unique(day)
    ends: IntArray = np.concatenate((bars.ts[:1], (days + 1) * DAY))
    return ends


def daily_equity(equity: Table, cash: float, calendar: Calendar) -> FloatArray:
    """Return the initial equity and the last of each day, at :func:`day_ends`."""
    return measures.daily_values(equity["ts"], equity["equity"], cash, calendar == "24/7")


def _replayed(
    tape: Tape, strategy: Strategy, account: AccountSettings, first: int, stop: int
) -> tuple[Bars, tuple[Table, Table, Table]]:
    """Replay a handler strategy up to ``stop``, deaf before ``first``."""
    bars = tape.bars
    data = tape.dataset if stop == len(bars) else tape.dataset.between(None, int(bars.close_ts[stop - 1]))
    if first > 0:
        strategy = _deaf_before(type(strategy), first)(**strategy.model_dump())
    trading = Replay(data, strategy, market=tape.settings, account=account).finish()
    equity = {name: column[first:] for name, column in trading.equity.items()}
    inside = bars.between(int(bars.ts[first]), int(bars.close_ts[stop - 1]))
    return inside, (equity, trading.trades, trading.fills)


def _deaf_before(strategy: type[Strategy], first: int) -> type[Strategy]:
    """Return a strategy class whose handlers hear nothing before a bar."""

    def late(handler: Callable[..., None]) -> Callable[..., None]:
        def heard(self: Strategy, event: Any, market: object, account: object) -> None:
            if event.bar >= first:
                handler(self, event, market, account)

        return heard

    names = [f"on_{kind.name.lower()}" for kind in strategy.hears()]
    body = {name: late(getattr(strategy, name)) for name in names}
    return type(strategy.__name__, (strategy,), body | {"__module__": strategy.__module__})
