"""One tape traded with many settings: what a sweep does most of its time, behind one function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from forcedflow.data.times import DAY
from forcedflow.errors import ForcedFlowError
from forcedflow.kernels import measures
from forcedflow.replay import Replay
from forcedflow.report.scorecard import scorecard
from forcedflow.settings import parse
from forcedflow.trading.desk import trade
from forcedflow.trading.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from forcedflow.data.bars import Bars
    from forcedflow.market.tape import Tape
    from forcedflow.record import Table
    from forcedflow.report.scorecard import Calendar
    from forcedflow.settings import AccountSettings
    from forcedflow.tables import FloatArray, IntArray
    from forcedflow.trading.strategy import Strategy

__all__ = ["Level", "Scored", "daily_equity", "day_ends", "score_settings"]

Level = Literal["score", "compact", "audit"]
"""What a sweep keeps of each setting: its scorecard; also its equity at the end of each day; also its whole record."""


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
        trade has its error in place of a scorecard.
    """
    first, stop = span or (0, len(tape.bars))
    plans = strategy_class.is_plan()
    part = tape.cut(first, stop) if plans and span is not None else tape
    market = Exchange.of(part) if plans else None
    found = []
    for params in params_list:
        try:
            strategy = parse(strategy_class, dict(params), f"strategy {strategy_class.__name__}")
            if market is not None:
                bars = part.bars
                trading = trade(market, part.events, strategy, account_settings)
                tables = (trading.equity, trading.trades, trading.fills)
            else:
                bars, tables = _replayed(tape, strategy, account_settings, first, stop)
            found.append(_score(bars, tables, account_settings.cash, tape.dataset.calendar, level))
        except ForcedFlowError as error:
            found.append(Scored(None, error=str(error)))
    return found


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


def _score(bars: Bars, tables: tuple[Table, Table, Table], cash: float, calendar: Calendar, level: Level) -> Scored:
    equity, trades, fills = tables
    card = scorecard(equity, trades, fills, initial=cash, start=int(bars.ts[0]), calendar=calendar)
    if level == "score":
        return Scored(card)
    return Scored(card, daily_equity(equity, cash, calendar))


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
