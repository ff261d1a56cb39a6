"""The scorecard: what a run earned, what it risked, what its trades were like, what they cost, and what luck would do.

``report.definitions`` says what each number means.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from forcedflow.kernels import measures
from forcedflow.report import chance
from forcedflow.report.cost_measures import capacity, cost_measures, impact_at
from forcedflow.report.definitions import MEASURES, RUIN
from forcedflow.report.equity_measures import (
    Calendar,
    Curve,
    chance_measures,
    return_measures,
)
from forcedflow.report.map_measures import MapContext, liquidation_distance, map_measures
from forcedflow.report.trade_measures import closed, edge_ratios, trade_measures

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from forcedflow.kernels import BoolArray
    from forcedflow.record import Columns, Table

__all__ = ["Calendar", "Curve", "MapContext", "Reckoning", "scorecard", "streamed_scorecard", "swept_scorecard"]

_NAMES: Final = tuple(measure.name for measure in MEASURES)


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
    curve = Curve.of(equity, initial, start, calendar)
    own = fills["reason"] == "liquidation"
    found = _measured(curve, trades, closed(trades), fills, own, initial, trials, trial_deviation, _AS_THEY_ARE)
    if context is not None:
        found |= edge_ratios(trades, [context.market_bars])
        found |= map_measures(trades, context)
        found["liquidation_distance"] = liquidation_distance(equity, context.market_bars)
        found["ruin"] = _ruin(curve)
        if not context.counts_ticks:
            found["capacity"] = capacity(trades, fills, impact_at(fills, context.market_bars))
    return _card(found)


def streamed_scorecard(
    curve: Curve,
    trades: Columns,
    ended: BoolArray,
    fills: Columns,
    own: BoolArray,
    *,
    initial: float,
    trials: int,
    around: Mapping[str, float | int],
) -> dict[str, float | int | None]:
    """Measure a run whose bars came in chunks: what :func:`scorecard` gives, as far as chunks tell it, to the bit.

    Parameters
    ----------
    curve
        Of the account (:func:`~.equity_measures.streamed_curve`).
    trades, ended, fills, own
        As :func:`swept_scorecard` takes them.
    initial, trials
        As :func:`scorecard` takes them.
    around
        Measures that need the market around the trades, as far as they are known.
    """
    found = _measured(curve, trades, ended, fills, own, initial, trials, None, _AS_THEY_ARE)
    return _card({**found, **around, "ruin": _ruin(curve)})


def _ruin(curve: Curve) -> float:
    return chance.risk_of_ruin(measures.simple_returns(curve.daily), 365, RUIN)


class Reckoning(NamedTuple):
    """How the measures that loop in Python are reckoned: as they are, or compiled."""

    daily: Callable[..., measures.DailyMeasures]
    trades: Callable[..., measures.TradeMeasures]


_AS_THEY_ARE = Reckoning(measures.daily_measures, measures.trade_measures)


def swept_scorecard(
    curve: Curve,
    trades: Table,
    ended: BoolArray,
    fills: Table,
    own: BoolArray,
    *,
    initial: float,
    reckoning: Reckoning,
) -> dict[str, float | int | None]:
    """Measure one setting of a sweep, without tables: what :func:`scorecard` gives without a context, to the bit.

    Parameters
    ----------
    curve
        Of the account.
    trades
        Columns of ``tables.TRADES`` that :func:`trade_measures` and :func:`cost_measures` read.
    ended
        Which trades are closed.
    fills
        Columns of ``tables.FILLS`` that :func:`cost_measures` reads.
    own
        Which fills are the account's own liquidation.
    reckoning
        The same functions, compiled.
    """
    return _card(_measured(curve, trades, ended, fills, own, initial, 1, None, reckoning))


def _measured(
    curve: Curve,
    trades: Columns,
    ended: BoolArray,
    fills: Columns,
    own: BoolArray,
    initial: float,
    trials: int,
    trial_deviation: float | None,
    reckoning: Reckoning,
) -> dict[str, float | int]:
    """Return every measure that needs no market around the trades."""
    found: dict[str, float | int] = {
        **return_measures(curve, reckoning.daily),
        **curve.drawdowns,
        **trade_measures(trades, ended, reckoning.trades),
        **cost_measures(trades, fills, own, initial),
    }
    days, per_year = len(curve.daily) - 1, curve.per_year
    found |= chance_measures(found["sharpe"], found["sharpe_error"], days, per_year, trials, trial_deviation)
    found["calmar"] = found["cagr"] / found["max_drawdown"] if found["max_drawdown"] > 0.0 else math.nan
    return found


def _card(found: Mapping[str, float | int]) -> dict[str, float | int | None]:
    card: dict[str, float | int | None] = dict.fromkeys(_NAMES)
    for name, value in found.items():
        if -math.inf < value < math.inf:  # and no NaN
            card[name] = value if isinstance(value, int) else float(value)
    return card
