"""The scorecard: what a run earned, what it risked, what its trades were like, what they cost, and what luck would do.

``report.definitions`` says what each number means.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from forcedflow.kernels import measures
from forcedflow.report import chance
from forcedflow.report.cost_measures import capacity, cost_measures
from forcedflow.report.definitions import MEASURES, RUIN
from forcedflow.report.equity_measures import (
    Calendar,
    chance_measures,
    daily_equity,
    days_a_year,
    drawdown_measures,
    return_measures,
)
from forcedflow.report.map_measures import MapContext, liquidation_distance, map_measures
from forcedflow.report.trade_measures import edge_ratios, net_by_exit, trade_measures

if TYPE_CHECKING:
    from forcedflow.record import Table

__all__ = ["Calendar", "MapContext", "scorecard"]


def scorecard(
    equity: Table,
    trades: Table,
    fills: Table,
    *,
    initial: float,
    start: int,
    calendar: Calendar,
    context: MapContext | None = None,
    trials: int = 1,
    trial_deviation: float | None = None,
) -> dict[str, float | int | None]:
    """Measure a run.

    Parameters
    ----------
    equity, trades, fills
        Columns as in ``tables.EQUITY``, ``TRADES`` and ``FILLS``; ``equity`` has one row a bar.
    initial
        Equity before the first bar, quote currency.
    start
        Open of the first bar, ns UTC.
    calendar
        ``24/7``: every day counts, 365 a year. ``sessions``: days with bars count, as many a year as the run saw.
    context
        The market that was traded; left out, measures of single runs (``Measure.single``) are None.
    trials
        Settings that were tried before this one was chosen, this one included: deflates the Sharpe ratio.
    trial_deviation
        Standard deviation of the trials' daily Sharpe ratios, where it is known.

    Returns
    -------
    dict
        One entry for each of ``MEASURES``; None where a measure is undefined, never inf or NaN.
    """
    daily = daily_equity(equity, initial, calendar)
    returns = measures.simple_returns(daily)
    per_year = days_a_year(len(returns), start, equity["ts"], calendar)
    found: dict[str, float | int] = {
        **return_measures(equity, daily, per_year),
        **drawdown_measures(equity, initial, start),
        **chance_measures(returns, net_by_exit(trades), trials, trial_deviation),
        **trade_measures(trades),
        **cost_measures(trades, fills, initial),
    }
    found["calmar"] = found["cagr"] / found["max_drawdown"] if found["max_drawdown"] > 0.0 else math.nan
    if context is not None:
        found |= edge_ratios(trades, context.market_bars)
        found |= map_measures(trades, context)
        found["liquidation_distance"] = liquidation_distance(equity, context.market_bars)
        found["ruin"] = chance.risk_of_ruin(returns, 365, RUIN)
        found["capacity"] = capacity(trades, fills, context.market_bars)
    return {m.name: _defined(found.get(m.name, math.nan)) for m in MEASURES}


def _defined(value: float) -> float | int | None:
    if isinstance(value, int):
        return value
    return float(value) if math.isfinite(value) else None
