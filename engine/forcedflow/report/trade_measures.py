"""Measures of trades: what they earned for their risk, and what price did after their entries."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from forcedflow.kernels import measures
from forcedflow.report.definitions import HORIZONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from forcedflow.kernels import BoolArray
    from forcedflow.record import Columns
    from forcedflow.tables import FloatArray, IntArray

__all__ = ["closed", "edge_ratios", "finite", "trade_measures"]


def closed(trades: Columns) -> BoolArray:
    """Tell which trades ended within the run."""
    ended: BoolArray = trades["exit_reason"] != "open"
    return ended


def finite(x: FloatArray) -> FloatArray:
    """Leave out trades without a stop: they have no R."""
    return x[np.isfinite(x)]


def trade_measures(
    trades: Columns,
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

    def of(name: str) -> npt.NDArray[Any]:
        return trades[name][ended]

    r = finite(of("r"))
    found = reckon(
        of("net")[np.argsort(of("exit_bar"), kind="stable")],
        r,
        np.sort(r),
        finite(of("mae_r")),
        finite(of("mfe_r")),
        of("bars_held").astype(np.float64),
    )
    count = int(np.count_nonzero(ended))
    return {
        **found._asdict(),
        "losing_streak": int(found.losing_streak),
        "trades": count,
        "trades_open": len(ended) - count,
        "ambiguous": int(trades["ambiguous"].sum()),
    }


def edge_ratios(trades: Columns, bars: Iterable[Columns], horizons: Sequence[int] = HORIZONS) -> dict[str, float | int]:
    """Return mean best over mean worst excursion, in ATR at entry, within so many bars after the entry bar.

    The entry bar is left out, since what it did before the entry is not known; so are trades with fewer bars to come.

    Parameters
    ----------
    trades
        Columns ``entry_bar``, ``side`` and ``entry_price``, in the order of the entries.
    bars
        Columns ``high``, ``low`` and ``atr`` (log price, before the bar), in one table or in parts one after another.
    horizons
        Numbers of bars.
    """
    entry, side, price = (trades[name] for name in ("entry_bar", "side", "entry_price"))
    sums = dict.fromkeys(horizons, (0.0, 0.0))
    done = dict.fromkeys(horizons, 0)  # trades whose bars were all seen
    kept: Columns = {}
    stop = 0
    for part in bars:
        seen = {name: np.concatenate((column, part[name])) for name, column in kept.items()} if kept else part
        stop += len(part["high"])
        first = stop - len(seen["high"])
        for horizon in horizons:
            new = slice(done[horizon], int(np.searchsorted(entry, stop - horizon)))
            done[horizon] = new.stop
            best, worst = _excursions(seen, entry[new] - first, side[new], price[new], horizon)
            sums[horizon] = _added(sums[horizon][0], best), _added(sums[horizon][1], worst)
        kept = {name: seen[name][-max(horizons) :].copy() for name in ("high", "low", "atr")}
    return {f"edge_ratio_{h}": best / worst if worst > 0.0 else math.nan for h, (best, worst) in sums.items()}


def _excursions(
    bars: Columns, entry: IntArray, side: IntArray, price: FloatArray, horizon: int
) -> tuple[FloatArray, FloatArray]:
    """Return the best and the worst excursion of each trade whose ATR is known, in that."""
    unit = price * bars["atr"][entry]
    known = unit > 0.0
    entry, side, price, unit = entry[known], side[known], price[known], unit[known]
    spans = np.column_stack((entry + 1, entry + 1 + horizon)).ravel()

    def extreme(of: np.ufunc, column: FloatArray) -> FloatArray:
        beyond = np.append(column, 0.0)  # reduceat takes no index past the end
        return np.asarray(of.reduceat(beyond, spans)[::2]) if len(spans) else column[:0]

    up, down = extreme(np.maximum, bars["high"]) - price, price - extreme(np.minimum, bars["low"])
    best, worst = np.where(side > 0, up, down), np.where(side > 0, down, up)
    return np.maximum(best, 0.0) / unit, np.maximum(worst, 0.0) / unit


def _added(total: float, terms: FloatArray) -> float:
    """Add up in order, so that it is the same in any number of parts."""
    return float(np.add.accumulate(np.concatenate(([total], terms)))[-1])
