"""CoinGlass: a liquidation heatmap as its users saved it.

The answer of ``GET /api/futures/liquidation/heatmap/model{1,2,3}`` (API version 4; ``aggregated-heatmap`` alike)::

    {"code": "0", "data": {"y_axis": [price, ...], "liquidation_leverage_data": [[x, y, usd], ...],
                           "price_candlesticks": [[seconds, "open", "high", "low", "close", "volume"], ...],
                           "update_time": seconds or milliseconds}}

``x`` counts candles and ``y`` prices. Each column is the map at that time, so only the last one is the map now: adding
up columns would count a level once for every candle that it lived through.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from forcedflow.data.sources.json_file import read_json
from forcedflow.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["VendorMap", "read_heatmap"]

FloatArray = npt.NDArray[np.float64]
SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True, eq=False)
class VendorMap:
    """Levels of a vendor's map at one moment: relative weights more than positions, by the vendors' own word."""

    ts: int
    """When it was made, nanoseconds UTC; known from then on."""
    price: float
    """Last close of its candles."""
    level: FloatArray
    """Shape (n,): ascending."""
    usd: FloatArray
    """Shape (n,): what the vendor says would be liquidated there."""
    step: float
    """Distance of two neighbouring levels, quote currency."""


def read_heatmap(path: str | Path) -> VendorMap:
    """Read the last column of a saved heatmap.

    Raises
    ------
    DataError
        For a file of another form, without cells, or with a negative cell or one outside the axes.
    """
    content = read_json(path)
    try:
        data = content.get("data", content)
        axis = np.array(data["y_axis"], dtype=np.float64)
        cells = np.array(data["liquidation_leverage_data"], dtype=np.float64).reshape(-1, 3)
        candles = data["price_candlesticks"]
        price = float(candles[-1][4])
        made = float(data.get("update_time") or candles[-1][0])
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"not a saved heatmap: {error!r} is missing or of another kind", file=path) from None
    if len(axis) < 2 or not np.all(np.diff(axis) > 0) or axis[0] <= 0:
        raise DataError("prices must be positive and ascend, two or more", file=path, field="y_axis")
    wrong = (
        (cells[:, 0] < 0) | (cells[:, 0] >= len(candles)) | (cells[:, 1] < 0) | (cells[:, 1] >= len(axis))
        | ~(cells[:, 2] >= 0)
    )  # fmt: skip
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"cell {cells[row].tolist()} lies outside {len(candles)} candles and {len(axis)} prices, or is negative",
            file=path,
            row=row,
            field="liquidation_leverage_data",
        )
    if not len(cells):
        raise DataError("no cells", file=path, field="liquidation_leverage_data")
    last = cells[cells[:, 0] == cells[:, 0].max()]
    usd: FloatArray = np.bincount(last[:, 1].astype(np.int64), last[:, 2], len(axis)).astype(np.float64)
    held = usd > 0
    return VendorMap(
        ts=int(made * (SECOND if made < 1e11 else SECOND // 1000)),
        price=price,
        level=axis[held],
        usd=usd[held],
        step=float(np.median(np.diff(axis))),
    )
