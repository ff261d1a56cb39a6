"""Measures of trades: what they earned for their risk, and what price did after their entries."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from forcedflow.kernels import measures
from forcedflow.report.definitions import HORIZONS

if TYPE_CHECKING:
    from forcedflow.record import Table
    from forcedflow.tables import FloatArray

__all__ = ["closed", "edge_ratio", "edge_ratios", "finite", "net_by_exit", "trade_measures"]


def closed(trades: Table) -> npt.NDArray[np.bool_]:
    """Tell which trades ended within the run."""
    ended: npt.NDArray[np.bool_] = trades["exit_reason"] != "open"
    return ended


def finite(x: FloatArray) -> FloatArray:
    """Leave out trades without a stop: they have no R."""
    return x[np.isfinite(x)]


def net_by_exit(trades: Table) -> FloatArray:
    """Return net results of closed trades in order of their exits."""
    ended = closed(trades)
    order = np.argsort(trades["exit_bar"][ended], kind="stable")
    net: FloatArray = trades["net"][ended][order]
    return net


def trade_measures(trades: Table) -> dict[str, float | int]:
    """Measure closed trades, and count the open ones."""
    ended = closed(trades)
    net, r = trades["net"][ended], finite(trades["r"][ended])
    return {
        "trades": int(ended.sum()),
        "trades_open": int((~ended).sum()),
        "hit_rate": measures.hit_rate(net),
        "payoff": measures.payoff(net),
        "profit_factor": measures.profit_factor(net),
        "expectancy_r": measures.mean(r),
        "median_r": measures.median(np.sort(r)),
        "mae_r": measures.mean(finite(trades["mae_r"][ended])),
        "mfe_r": measures.mean(finite(trades["mfe_r"][ended])),
        "bars_held": measures.mean(trades["bars_held"][ended].astype(np.float64)),
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
