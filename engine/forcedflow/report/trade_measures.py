"""Measures of trades: what they earned for their risk, and what price did after their entries."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from forcedflow.kernels import measures
from forcedflow.report.definitions import HORIZONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from forcedflow.kernels import BoolArray
    from forcedflow.record import Table
    from forcedflow.tables import FloatArray

__all__ = ["closed", "edge_ratio", "edge_ratios", "finite", "trade_measures"]


def closed(trades: Table) -> BoolArray:
    """Tell which trades ended within the run."""
    ended: BoolArray = trades["exit_reason"] != "open"
    return ended


def finite(x: FloatArray) -> FloatArray:
    """Leave out trades without a stop: they have no R."""
    return x[np.isfinite(x)]


def trade_measures(
    trades: Table,
    ended: BoolArray,
    reckon: Callable[..., measures.TradeMeasures] = measures.trade_measures,
) -> dict[str, float | int]:
    """Measure closed trades, and count the open ones.

    Parameters
    ----------
    trades
        Columns ``net``, ``r``, ``mae_r``, ``mfe_r``, ``exit_bar``, ``bars_held`` and ``ambiguous``.
    ended
        Which of them are closed.
    reckon
        :func:`.measures.trade_measures`, as it is or compiled.
    """
    closed_ones = {name: trades[name][ended] for name in ("net", "r", "mae_r", "mfe_r", "exit_bar", "bars_held")}
    r = finite(closed_ones["r"])
    found = reckon(
        closed_ones["net"][np.argsort(closed_ones["exit_bar"], kind="stable")],
        r,
        np.sort(r),
        finite(closed_ones["mae_r"]),
        finite(closed_ones["mfe_r"]),
        closed_ones["bars_held"].astype(np.float64),
    )
    return {
        **found._asdict(),
        "losing_streak": int(found.losing_streak),
        "trades": len(closed_ones["net"]),
        "trades_open": len(ended) - len(closed_ones["net"]),
        "ambiguous": int(trades["ambiguous"].sum()),
    }


def edge_ratios(trades: Table, bars: Table) -> dict[str, float | int]:
    """Return the edge ratio at each of ``HORIZONS``."""
    return {f"edge_ratio_{horizon}": edge_ratio(trades, bars, horizon) for horizon in HORIZONS}


def edge_ratio(trades: Table, bars: Table, horizon: int) -> float:
    """Return mean best over mean worst excursion, in ATR at entry, within ``horizon`` bars after the entry bar.

    The entry bar is left out, since what it did before the entry is not known; so are trades with fewer bars to come.

    Parameters
    ----------
    bars
        Columns ``high``, ``low`` and ``atr`` (log price, before the bar).
    """
    chosen = trades["entry_bar"] + horizon < len(bars["high"])
    best = worst = 0.0
    for bar, side, price in zip(
        *(trades[name][chosen].tolist() for name in ("entry_bar", "side", "entry_price")), strict=True
    ):
        after = slice(bar + 1, bar + 1 + horizon)
        up = bars["high"][after].max() - price
        down = price - bars["low"][after].min()
        unit = price * bars["atr"][bar]
        if unit > 0.0:
            best += max(up if side > 0 else down, 0.0) / unit
            worst += max(down if side > 0 else up, 0.0) / unit
    return best / worst if worst > 0.0 else math.nan
