"""Realised liquidations as venues print them. Their side words disagree; this module is where they are told apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from forcedflow.data.series import Liquidations
from forcedflow.data.sources.table import TimeColumn, read_columns, read_strings
from forcedflow.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["OKX_CONTRACTS", "DailyLiquidations", "liquidated_side", "read_daily", "read_prints"]

FloatArray = npt.NDArray[np.float64]

OKX_CONTRACTS: Final = {"BTC": 0.01, "SOL": 1.0, "DOGE": 1000.0}
"""Coins in one contract of OKX's USDT swaps (its field ctVal)."""

_LONG_LIQUIDATED: Final = {
    # The side of the order that closes the position: selling closes a long.
    "binance-um": {"SELL": 1, "BUY": -1},
    "okx": {"SELL": 1, "BUY": -1},
    "tardis": {"SELL": 1, "BUY": -1},
    # The side of the position itself (stream allLiquidation).
    "bybit": {"BUY": 1, "SELL": -1},
}


def liquidated_side(venue: str, word: str) -> int:
    """Return +1 where a print's side word means that a long was liquidated, -1 for a short.

    Binance, OKX and Tardis name the side of the closing order, Bybit names the side of the position, so that "Buy" is
    a liquidated short at Binance and a liquidated long at Bybit. Source: the venues' stream documentation
    (Binance forceOrder ``S``, Bybit v5 allLiquidation ``S``).

    Raises
    ------
    DataError
        For a venue or word without a known meaning.
    """
    try:
        return _LONG_LIQUIDATED[venue][word.upper()]
    except KeyError:
        known = ", ".join(_LONG_LIQUIDATED)
        raise DataError(f"unknown side word {word!r} of venue {venue!r}; known venues: {known}", field="side") from None


def read_prints(path: str | Path, venue: str, coin: str) -> Liquidations:
    """Read a table of prints (timestamp, venue, coin, side, size_usd, price) for one venue and coin.

    OKX's ``size_usd`` is contracts times price: the contract's multiplier is put in here. Its price is the
    bankruptcy price. Hyperliquid's side column is the same word on every row, so its sides come back as 0, unknown.

    Raises
    ------
    DataError
        For an OKX coin whose contract size is not known, and as :func:`~.table.read_columns`.
    """
    where = {"venue": venue, "coin": coin}
    named: dict[str, str | TimeColumn] = {"ts": TimeColumn("timestamp"), "price": "price", "usd": "size_usd"}
    columns = read_columns(path, named, where=where)
    words = read_strings(path, "side", where=where)
    multiplier = 1.0
    if venue == "okx":
        if coin not in OKX_CONTRACTS:
            raise DataError(
                f"contract size of {coin} is not known: {', '.join(OKX_CONTRACTS)} are", file=path, field="coin"
            )
        multiplier = OKX_CONTRACTS[coin]
    sides = [0 if venue == "hyperliquid" else liquidated_side(venue, word) for word in words]
    return Liquidations(
        ts=columns["ts"],
        side=np.array(sides, dtype=np.int8),
        price=columns["price"],
        qty=columns["usd"] * multiplier / columns["price"],
    )


@dataclass(frozen=True, slots=True, eq=False)
class DailyLiquidations:
    """Liquidated volume a day (UTC), quote currency."""

    ts: npt.NDArray[np.int64]
    """Start of the day; known at its end."""
    total: FloatArray
    """Not always the sum of the two sides: the source counts some liquidations without a side."""
    long: FloatArray
    short: FloatArray
    count: FloatArray


def read_daily(path: str | Path, coin: str) -> DailyLiquidations:
    """Read a table of daily liquidated volume (timestamp, coin, total_usd, long_usd, short_usd, liq_count)."""
    columns: dict[str, str | TimeColumn] = {
        "ts": TimeColumn("timestamp"),
        "total": "total_usd",
        "long": "long_usd",
        "short": "short_usd",
        "count": "liq_count",
    }
    return DailyLiquidations(**read_columns(path, columns, where={"coin": coin}))
