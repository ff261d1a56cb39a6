"""Measures of costs: the bridge from gross to net, what would break even, and the size that the edge bears."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from forcedflow.kernels import BoolArray
    from forcedflow.record import Table
    from forcedflow.tables import FloatArray

__all__ = ["BRIDGE", "capacity", "cost_measures", "slippage_saved"]

BRIDGE: Final = ("fees", "spread", "impact", "funding", "liquidation")
"""What lies between gross and net, in the order in which it is shown."""


def cost_measures(trades: Table, fills: Table, own: BoolArray, initial: float) -> dict[str, float]:
    """Measure what all fills cost; funding and liquidation fees are NaN where the account knows neither.

    ``trades["funding"]`` is received, negative where paid. The fee of an own liquidation's fill holds the venue's
    charge for it, so it is told apart from the other fees: ``own`` marks these fills.
    """
    gross, net = float(trades["gross"].sum()), float(trades["net"].sum())
    filled = float(fills["qty"].sum())
    notional = float((fills["qty"] * fills["price"]).sum())
    per_notional = 1e4 / notional if notional > 0.0 else math.nan
    return {
        "gross": gross,
        "fees": float(fills["fee"][~own].sum()),
        "spread": float(fills["spread_cost"].sum()),
        "impact": float(fills["impact_cost"].sum()),
        "funding": 0.0 - float(trades["funding"].sum()) if "funding" in trades else math.nan,
        "liquidation": float(fills["fee"][own].sum()) if "shortfall" in fills else math.nan,
        "net": net,
        "forced_share": float(fills["forced_qty"].sum()) / filled if filled > 0.0 else math.nan,
        "saved": slippage_saved(fills),
        "turnover": notional / initial,
        "cost_bps": (gross - net) * per_notional,
        "break_even_bps": gross * per_notional,
    }


def slippage_saved(fills: Table) -> float:
    """Return the impact that quantity filled on forced flow did not pay, by the square-root law of the rest.

    A fill of ``qty`` of which ``forced`` met forced flow paid for ``qty - forced``; the whole would have paid
    ``(qty / (qty - forced)) ** 1.5`` times as much.
    """
    paying = (fills["impact_cost"] > 0.0) & (fills["forced_qty"] > 0.0) & (fills["forced_qty"] < fills["qty"])
    qty, forced = fills["qty"][paying], fills["forced_qty"][paying]
    return float((fills["impact_cost"][paying] * ((qty / (qty - forced)) ** 1.5 - 1.0)).sum())


def capacity(trades: Table, fills: Table, bars: Table) -> float:
    """Return the multiple of the traded sizes at which square-root impact takes the whole net result.

    Costs of ``k`` times the sizes grow by ``k ** 1.5``, the result without impact by ``k``. NaN where nothing filled or
    no volume is known.

    Parameters
    ----------
    bars
        Columns ``vol_long`` (volatility of a bar, log price) and ``volume_average`` (base units), both before the bar.
    """
    volume: FloatArray = bars["volume_average"][fills["bar"]]
    known = volume > 0.0
    share = np.sqrt(fills["qty"][known] / volume[known])
    notional = fills["qty"][known] * fills["price"][known]
    impact = float((bars["vol_long"][fills["bar"]][known] * share * notional).sum())
    if not impact > 0.0:
        return math.nan
    edge = float(trades["net"].sum()) + float(fills["impact_cost"].sum())
    return (max(edge, 0.0) / impact) ** 2
