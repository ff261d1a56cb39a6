"""Hyperliquid: hourly open interest in USD, measured liquidation maps, and positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from forcedflow.data.sources.json_file import read_json
from forcedflow.data.times import instant_ns
from forcedflow.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from forcedflow.data.bars import Bars

__all__ = ["MeasuredMap", "Positions", "base_units", "read_map", "read_positions"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def base_units(start: IntArray, usd: FloatArray, period: int, bars: Bars) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Turn USD values averaged over ``[start, start + period)`` into base units.

    An average of position times price is divided by the mean price of the same period, here the mean of
    (open + high + low + close) / 4 of its bars; dividing by the price at either end would book the move inside the
    period as positions opened or closed.

    Parameters
    ----------
    start, usd
        Shape (n,): start of each period (ns UTC) and its value.
    period
        Nanoseconds, a whole multiple of the bars' interval.

    Returns
    -------
    value, priced
        Shape (n,) each. A period without any bar has no price: NaN, and False in ``priced``.

    Raises
    ------
    DataError
        Where the period is shorter than a bar or cuts one.
    """
    if period % bars.interval:
        reason = f"a mean over {period / 1e9:g} s cannot be priced by bars of {bars.interval / 1e9:g} s; use finer bars"
        raise DataError(reason, field="period")
    first, stop = np.searchsorted(bars.ts, start), np.searchsorted(bars.ts, start + period)
    total = np.concatenate([[0.0], np.cumsum((bars.open + bars.high + bars.low + bars.close) / 4)])
    priced = stop > first
    mean = np.divide(total[stop] - total[first], stop - first, out=np.full(len(usd), np.nan), where=priced)
    return usd / mean, priced


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredMap:
    """Liquidation levels of one coin, summed from the ``liquidationPx`` of known wallets: a biased sample."""

    ts: int
    """When it was taken, nanoseconds UTC; known from then on."""
    coin: str
    price: float
    """Market price at that time."""
    side: npt.NDArray[np.int8]
    """Shape (n,): +1 levels where longs are liquidated, below the price; -1 shorts."""
    level: FloatArray
    """Shape (n,): centre of the level's bucket."""
    usd: FloatArray
    """Shape (n,): value of the positions at their entry."""
    leverages: tuple[str, ...]
    by_leverage: FloatArray
    """Shape (n, len(leverages)): the same value split by the leverage that was set."""


def read_map(path: str | Path) -> Mapping[str, MeasuredMap]:
    """Read one measured map file, by coin.

    Raises
    ------
    DataError
        For a level on the wrong side of the price, a negative value, or a file of another form.
    """
    content = read_json(path)
    try:
        ts = instant_ns(content["lastUpdated"])
        leverages = tuple(str(bucket["label"]) for bucket in content["leverageBuckets"])
        return {coin: _one_map(path, ts, coin, levels, leverages) for coin, levels in content["data"].items()}
    except (KeyError, TypeError) as error:
        raise DataError(f"not a measured map: {error!r} is missing or of another kind", file=path) from None


def _one_map(
    path: str | Path, ts: int, coin: str, levels: Mapping[str, Any], leverages: tuple[str, ...]
) -> MeasuredMap:
    rows = [(side, row) for side, key in ((1, "longLiquidations"), (-1, "shortLiquidations")) for row in levels[key]]
    found = MeasuredMap(
        ts=ts,
        coin=coin,
        price=float(levels["currentPrice"]),
        side=np.array([side for side, _ in rows], dtype=np.int8),
        level=np.array([row["price"] for _, row in rows], dtype=np.float64),
        usd=np.array([row["value"] for _, row in rows], dtype=np.float64),
        leverages=leverages,
        by_leverage=np.array([[row[name] for name in leverages] for _, row in rows], dtype=np.float64).reshape(
            len(rows), len(leverages)
        ),
    )
    wrong = (found.side * (found.price - found.level) <= 0) | (found.usd < 0)
    if wrong.any():
        row = int(wrong.argmax())
        what = f"{found.level[row]} with value {found.usd[row]} is on the wrong side of {found.price}, or negative"
        raise DataError(f"level {what}", file=path, row=row, field=coin)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Positions:
    """Open positions of known wallets at one moment; arrays of shape (n,)."""

    ts: int
    """Nanoseconds UTC."""
    coin: str
    side: npt.NDArray[np.int8]
    """+1 long, -1 short."""
    qty: FloatArray
    """Base units, positive."""
    entry: FloatArray
    leverage: FloatArray
    isolated: npt.NDArray[np.bool_]
    """False: cross, whose liquidation price depends on the wallet's other positions."""
    liquidation_price: FloatArray
    """NaN where the venue states none: the account's margin covers any price."""


def read_positions(path: str | Path) -> Positions:
    """Read a file of positions. Its ``as_of`` names no zone; the venue's clock is UTC and it is read as that."""
    content = read_json(path)
    try:
        rows = [row["position"] for row in content["positions"]]
        size = np.array([row["size"] for row in rows], dtype=np.float64)
        prices = [np.nan if row["liquidation_px"] is None else row["liquidation_px"] for row in rows]
        return Positions(
            ts=instant_ns(content["as_of"]),
            coin=str(content["coin"]),
            side=np.sign(size).astype(np.int8),
            qty=np.abs(size),
            entry=np.array([row["entry_px"] for row in rows], dtype=np.float64),
            leverage=np.array([row["leverage_value"] for row in rows], dtype=np.float64),
            isolated=np.array([row["leverage_type"] == "isolated" for row in rows]),
            liquidation_price=np.array(prices, dtype=np.float64),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"not a file of positions: {error!r}", file=path) from None
