"""Measures of costs: the bridge from gross to net, what would break even, and the size that the edge bears."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from forcedflow.kernels import BoolArray
    from forcedflow.record import Columns
    from forcedflow.tables import FloatArray

__all__ = ["BRIDGE", "capacity", "cost_measures", "impact_at", "slippage_saved"]

BRIDGE: Final = ("fees", "spread", "impact", "funding", "liquidation")
"""What lies between gross and net, in the order in which it is shown."""


def cost_measures(trades: Columns, fills: Columns, own: BoolArray, initial: float) -> dict[str, float]:
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


def slippage_saved(fills: Columns) -> float:
    """Return the impact that quantity filled on forced flow did not pay, by the square-root law of the rest.

    A fill of ``qty`` of which ``forced`` met forced flow paid for ``qty - forced``; the whole would have paid
    ``(qty / (qty - forced)) ** 1.5`` times as much.
    """
    impact, qty, forced = (fills[name] for name in ("impact_cost", "qty", "forced_qty"))
    paying = (impact > 0.0) & (forced > 0.0) & (forced < qty)
    impact, qty, forced = impact[paying], qty[paying], forced[paying]
    return float((impact * ((qty / (qty - forced)) ** 1.5 - 1.0)).sum())


def capacity(trades: Columns, fills: Columns, impacts: FloatArray) -> float:
    """Return the multiple of the traded sizes at which square-root impact takes the whole net result.

    Costs of ``k`` times the sizes grow by ``k ** 1.5``, the result without impact by ``k``. NaN where nothing filled or
    no volume is known.

    Parameters
    ----------
    impacts
        Of the fills in order (:func:`impact_at`).
    """
    impact = float(impacts.sum())
    if not impact > 0.0:
        return math.nan
    edge = float(trades["net"].sum()) + float(fills["impact_cost"].sum())
    return (max(edge, 0.0) / impact) ** 2


def impact_at(fills: Columns, bars: Columns) -> FloatArray:
    """Return the square-root impact of each fill whose volume is known, at full size, quote currency.

    Parameters
    ----------
    fills
        Columns ``bar``, ``qty`` and ``price``.
    bars
        Columns ``vol_long`` (volatility of a bar, log price) and ``volume_average`` (base units), both before the bar.
    """
    volume: FloatArray = bars["volume_average"][fills["bar"]]
    known = volume > 0.0
    bar, qty = fills["bar"][known], fills["qty"][known]
    impacts: FloatArray = bars["vol_long"][bar] * np.sqrt(qty / volume[known]) * (qty * fills["price"][known])
    return impacts
