"""Binance USD-M files: klines, open interest, funding and forced orders, as its archive and its API write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from forcedflow.data.bars import Bars
from forcedflow.data.series import Funding, Liquidations, OpenInterest
from forcedflow.data.sources.liquidations import liquidated_side
from forcedflow.data.sources.table import TimeColumn, column_names, read_columns, read_strings
from forcedflow.data.times import MINUTE
from forcedflow.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from forcedflow.data.checks import Columns

__all__ = ["KLINES", "OI_LAG", "read_forced_orders", "read_funding", "read_klines", "read_open_interest"]

KLINES: Final = (
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_volume",
    "count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "ignore",
)
"""Columns of an archive kline file; the early ones have no header (binance/binance-public-data, README)."""

OI_LAG: Final = 5 * MINUTE
"""Open interest of a stamp appears one period later: archive and live values agree at a shift of 300 s."""

_TIME_NAMES: Final = ("open_time", "timestamp", "date")
_FORCED_ORDER: Final = (
    "symbol", "side", "type", "tif", "orig_qty", "price", "avg_price", "status", "last_qty", "cum_qty", "time", "usd",
)  # fmt: skip


def read_klines(path: str | Path, *, repair: Sequence[str] = ()) -> tuple[Bars, tuple[str, ...]]:
    """Read klines from CSV (with or without header) or feather.

    The last kline of an API dump is usually still running: ask for repair ``drop_unfinished`` then.

    Returns
    -------
    bars, log
        As :meth:`Bars.from_columns`.
    """
    first = column_names(path)
    names = None if any(name in first for name in _TIME_NAMES) else KLINES
    header = tuple(first) if names is None else KLINES
    time = next(name for name in _TIME_NAMES if name in header)
    columns: dict[str, str | TimeColumn] = {"ts": TimeColumn(time, None if time == "date" else "ms")}
    optional = [name for name in ("quote_volume", "taker_buy_volume") if name in header]
    columns |= {name: name for name in ("open", "high", "low", "close", "volume", *optional)}
    return Bars.from_columns(read_columns(path, columns, names=names), file=path, repair=repair)


def read_open_interest(path: str | Path, *, lag: int = OI_LAG) -> OpenInterest:
    """Read open interest in base units: the state at its stamp, known ``lag`` nanoseconds later.

    Stamps that the venue wrote a few seconds late stay as they are.
    """
    header = column_names(path)
    time, value = ("t", "oi") if "oi" in header else ("timestamp", "sum_open_interest")
    columns = read_columns(path, {"stamp": TimeColumn(time, "ms"), "value": value})
    return OpenInterest.from_columns(columns["stamp"], columns["value"], columns["stamp"] + lag, file=path)


def read_funding(path: str | Path) -> Funding:
    """Read funding rates (ts in ms, rate per interval); a time may lie a few milliseconds past the hour."""
    columns = read_columns(path, {"ts": TimeColumn("ts", "ms"), "rate": "rate"})
    return Funding.from_columns(columns["ts"], columns["rate"], file=path)


def read_forced_orders(path: str | Path) -> Mapping[str, Liquidations]:
    """Read forced orders (stream forceOrder, no header) by symbol.

    Quantity is what was filled in all (``cum_qty``): the file's own USD column is wrong on some rows. SELL closes a
    long. The stream sends at most one order a symbol and second, so sums fall short of the truth.
    """
    named: dict[str, str | TimeColumn] = {"ts": TimeColumn("time", "ms"), "price": "price", "qty": "cum_qty"}
    columns = read_columns(path, named, names=_FORCED_ORDER)
    symbols = np.array(read_strings(path, "symbol", names=_FORCED_ORDER))
    words = read_strings(path, "side", names=_FORCED_ORDER)
    side: npt.NDArray[np.int8] = np.array([liquidated_side("binance-um", word) for word in words], dtype=np.int8)
    back = np.diff(columns["ts"]) < 0
    if back.any():
        raise DataError("comes after a later time; sort the rows", file=path, row=int(back.argmax()) + 1, field="time")
    return {str(symbol): _picked(columns, side, symbols == symbol) for symbol in np.unique(symbols)}


def _picked(columns: Columns, side: npt.NDArray[np.int8], rows: npt.NDArray[np.bool_]) -> Liquidations:
    return Liquidations(columns["ts"][rows], side[rows], columns["price"][rows], columns["qty"][rows])
