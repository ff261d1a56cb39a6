"""The scorecard: what a run earned, what it risked, what its trades were like and what they cost.

Return measures are taken on the equity at the end of each UTC day, drawdowns on the equity at every bar's close; both
begin with the initial equity. Per-trade measures count closed trades; sums of money count every trade, the open ones at
the last close.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from forcedflow.data.times import DAY
from forcedflow.kernels import measures

if TYPE_CHECKING:
    from forcedflow.record import Table
    from forcedflow.tables import FloatArray, IntArray

__all__ = ["MEASURES", "Calendar", "Measure", "scorecard"]

Calendar = Literal["24/7", "sessions"]

_YEAR: Final = 365.25  # days, for counting how many trading days a year has


@dataclass(frozen=True, slots=True)
class Measure:
    """What a number on the scorecard means."""

    name: str
    title: str
    unit: Literal["share", "ratio", "days", "bars", "R", "quote", "count"]
    definition: str
    source: str
    group: Literal["Return and risk", "Trades", "Costs"] = "Return and risk"


_BAILEY: Final = "Mertens (2002); Bailey and Lopez de Prado (2012), The Sharpe Ratio Efficient Frontier"
_SWEENEY: Final = "Sweeney (1996), Maximum Adverse Excursion"
_THARP: Final = "Tharp (1998), Trade Your Way to Financial Freedom"

MEASURES: Final = (
    Measure("total_return", "Total return", "share", "Last equity over initial equity, less 1.", "identity"),
    Measure(
        "cagr",
        "CAGR",
        "share",
        "Total return compounded to a year: (1 + total) ** (days a year / days), less 1.",
        "identity",
    ),
    Measure(
        "volatility",
        "Volatility",
        "share",
        "Standard deviation (n - 1) of daily returns, times the root of the days in a year.",
        "identity",
    ),
    Measure(
        "sharpe",
        "Sharpe ratio",
        "ratio",
        "Mean over standard deviation of daily returns, annualised; no risk-free rate.",
        "Sharpe (1994), The Sharpe Ratio",
    ),
    Measure(
        "sharpe_error",
        "Sharpe standard error",
        "ratio",
        "Standard error of the Sharpe ratio for independent, non-normal returns, annualised.",
        _BAILEY,
    ),
    Measure(
        "sortino",
        "Sortino ratio",
        "ratio",
        "Mean daily return over the root mean square of losses, every day counted, annualised.",
        "Sortino and Price (1994)",
    ),
    Measure("calmar", "Calmar ratio", "ratio", "CAGR over maximum drawdown.", "Young (1991)"),
    Measure(
        "max_drawdown",
        "Max drawdown",
        "share",
        "Largest loss from a high so far at a bar's close, as a share of that high; the initial equity is a high.",
        "identity",
    ),
    Measure(
        "under_water",
        "Longest under water",
        "days",
        "Longest time from a high until equity reached it again, or until the end.",
        "identity",
    ),
    Measure(
        "cvar_95",
        "CVaR 95%",
        "share",
        "Mean loss of the worst 5% of days; the boundary day counts by its fraction.",
        "Rockafellar and Uryasev (2002)",
    ),
    Measure("exposure", "Exposure", "share", "Share of bars that close with a position.", "identity"),
    Measure("days", "Days", "count", "Daily returns that the measures above rest on.", "identity"),
    Measure("trades", "Closed trades", "count", "Trades that ended within the run.", "identity", "Trades"),
    Measure("trades_open", "Open trades", "count", "Trades marked at the last close.", "identity", "Trades"),
    Measure("hit_rate", "Hit rate", "share", "Share of trades with a profit after costs.", "identity", "Trades"),
    Measure(
        "payoff",
        "Payoff",
        "ratio",
        "Mean profit of winning trades over mean loss of losing ones.",
        "identity",
        "Trades",
    ),
    Measure("profit_factor", "Profit factor", "ratio", "Sum of profits over sum of losses.", "identity", "Trades"),
    Measure(
        "expectancy_r",
        "Expectancy",
        "R",
        "Mean net result of a trade over the loss that its stop meant to allow.",
        _THARP,
        "Trades",
    ),
    Measure("median_r", "Median trade", "R", "Middle of the same results.", _THARP, "Trades"),
    Measure("mae_r", "Mean MAE", "R", "Mean worst excursion against the trade.", _SWEENEY, "Trades"),
    Measure("mfe_r", "Mean MFE", "R", "Mean best excursion for the trade.", _SWEENEY, "Trades"),
    Measure("bars_held", "Mean holding", "bars", "Mean bars from entry to exit.", "identity", "Trades"),
    Measure(
        "ambiguous",
        "Ambiguous exits",
        "count",
        "Trades whose last bar held both stop and target; the intrabar rule decided them.",
        "identity",
        "Trades",
    ),
    Measure("gross", "Gross result", "quote", "Sum of trades before costs.", "identity", "Costs"),
    Measure("fees", "Fees", "quote", "Maker and taker fees of all fills.", "identity", "Costs"),
    Measure("spread", "Half-spread", "quote", "What the half-spread took from all fills.", "identity", "Costs"),
    Measure("impact", "Impact", "quote", "What market impact took from all fills.", "identity", "Costs"),
    Measure("net", "Net result", "quote", "Sum of trades after costs.", "identity", "Costs"),
    Measure(
        "forced_share",
        "Filled on forced flow",
        "share",
        "Share of filled quantity that met forced flow.",
        "identity",
        "Costs",
    ),
)
"""Every number of the scorecard, in the order in which it is shown."""


def scorecard(
    equity: Table, trades: Table, fills: Table, *, initial: float, start: int, calendar: Calendar
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

    Returns
    -------
    dict
        One entry for each of ``MEASURES``; None where a measure is undefined, never inf or NaN.
    """
    card = _returns(equity, initial, start, calendar) | _trades(trades) | _costs(trades, fills)
    return {name: value if isinstance(value, int) else _defined(value) for name, value in card.items()}


def _returns(equity: Table, initial: float, start: int, calendar: Calendar) -> dict[str, float | int]:
    ts, values = equity["ts"], equity["equity"]
    daily = measures.daily_values(ts, values, initial, calendar == "24/7")
    returns = measures.simple_returns(daily)
    per_year = 365.0 if calendar == "24/7" else _observed_days(len(returns), start, ts)
    curve, times = np.concatenate(([initial], values)), np.concatenate(([start], ts))
    drawdown, cagr = measures.max_drawdown(curve), measures.annual_growth(daily, per_year)
    return {
        "total_return": curve[-1] / initial - 1.0,
        "cagr": cagr,
        "volatility": measures.annual_volatility(returns, per_year),
        "sharpe": measures.annual_sharpe(returns, per_year),
        "sharpe_error": measures.annual_sharpe_error(returns, per_year),
        "sortino": measures.annual_sortino(returns, per_year),
        "calmar": cagr / drawdown if drawdown > 0.0 else math.nan,
        "max_drawdown": drawdown,
        "under_water": measures.longest_under_water(times, curve) / DAY,
        "cvar_95": measures.conditional_value_at_risk(np.sort(returns), 0.95),
        "exposure": measures.mean((equity["position"] != 0.0).astype(np.float64)),
        "days": len(returns),
    }


def _observed_days(days: int, start: int, ts: IntArray) -> float:
    """Trading days a year, as many as the run saw."""
    return days / ((int(ts[-1]) - start) / DAY) * _YEAR if days else math.nan


def _trades(trades: Table) -> dict[str, float | int]:
    closed = trades["exit_reason"] != "open"
    net, r = trades["net"][closed], _finite(trades["r"][closed])
    return {
        "trades": int(closed.sum()),
        "trades_open": int((~closed).sum()),
        "hit_rate": measures.hit_rate(net),
        "payoff": measures.payoff(net),
        "profit_factor": measures.profit_factor(net),
        "expectancy_r": measures.mean(r),
        "median_r": measures.median(np.sort(r)),
        "mae_r": measures.mean(_finite(trades["mae_r"][closed])),
        "mfe_r": measures.mean(_finite(trades["mfe_r"][closed])),
        "bars_held": measures.mean(trades["bars_held"][closed].astype(np.float64)),
        "ambiguous": int(trades["ambiguous"].sum()),
    }


def _costs(trades: Table, fills: Table) -> dict[str, float | int]:
    filled = float(fills["qty"].sum())
    return {
        "gross": float(trades["gross"].sum()),
        "fees": float(fills["fee"].sum()),
        "spread": float(fills["spread_cost"].sum()),
        "impact": float(fills["impact_cost"].sum()),
        "net": float(trades["net"].sum()),
        "forced_share": float(fills["forced_qty"].sum()) / filled if filled > 0.0 else math.nan,
    }


def _finite(x: FloatArray) -> FloatArray:
    """Leave out trades without a stop: they have no R."""
    return x[np.isfinite(x)]


def _defined(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
