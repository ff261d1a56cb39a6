"""What other libraries read: daily returns, positions and transactions, every table as pandas, polars or Arrow.

The libraries are imported when they are asked for; none of them is needed to run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from forcedflow.errors import RecordError, extra_needed
from forcedflow.record import TABLES, is_time
from forcedflow.report.equity_measures import daily_equity
from forcedflow.tables import EVENT_COLUMNS, EventKind

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from forcedflow.record import Run, Table
    from forcedflow.tables import FloatArray, IntArray

__all__ = [
    "TABLES",
    "positions",
    "replayed",
    "returns",
    "to_arrow",
    "to_pandas",
    "to_polars",
    "to_vectorbt",
    "transactions",
]

_DAY = 86_400_000_000_000  # ns

# --- Returns and positions: quantstats, empyrical, pyfolio ---


def returns(run: Run) -> pd.Series[float]:
    """Return the run's simple return of each UTC day, as quantstats, empyrical and pyfolio-reloaded read it.

    The first is on the initial equity. Days without bars are there, with 0, in a market that never closes, and left out
    where there are sessions. The index has no time zone, as quantstats wants it.

    Examples
    --------
    >>> import forcedflow as ff
    >>> ff.interop.returns(ff.run("simulated", end="2025-01-04")).index[0]
    Timestamp('2025-01-01 00:00:00')
    """
    import pandas as pd  # noqa: PLC0415  (1.4 s that a run does not need)

    values = daily_equity(run.equity, _initial(run), _calendar(run))
    days = _days(run)
    index = pd.DatetimeIndex(days.astype("datetime64[D]"), name="day")
    return pd.Series(values[1:] / values[:-1] - 1.0, index=index, name=str(run.config["strategy"]))


def positions(run: Run) -> pd.DataFrame:
    """Return what the position and the cash were worth at the end of each UTC day, as pyfolio-reloaded reads it."""
    import pandas as pd  # noqa: PLC0415

    day = (run.equity["ts"] - 1) // _DAY
    last = np.append(np.flatnonzero(np.diff(day)), len(day) - 1) if len(day) else np.empty(0, np.int64)
    held = run.equity["position"][last] * run.equity["close"][last]
    frame = pd.DataFrame({_symbol(run): held, "cash": run.equity["equity"][last] - held})
    frame.index = pd.DatetimeIndex(day[last].astype("datetime64[D]"), name="day")
    return frame


def transactions(run: Run) -> pd.DataFrame:
    """Return the fills, bought positive and sold negative, as pyfolio-reloaded reads them."""
    import pandas as pd  # noqa: PLC0415

    fills = run.fills
    frame = pd.DataFrame({"amount": fills["side"] * fills["qty"], "price": fills["price"], "symbol": _symbol(run)})
    frame.index = pd.DatetimeIndex(fills["ts"].astype("datetime64[ns]"), name="ts")
    return frame


# --- Tables ---


def to_pandas(run: Run, name: str) -> pd.DataFrame:
    """Return a table (:data:`TABLES`) as a pandas frame, its times as UTC timestamps.

    Raises
    ------
    RecordError
        There is no such table.
    """
    return run.frame(name)


def to_arrow(run: Run, name: str) -> pa.Table:
    """Return a table (:data:`TABLES`) as an Arrow table, its times as UTC timestamps, kinds of events by name.

    Raises
    ------
    RecordError
        There is no such table.
    """
    import pyarrow as pa  # noqa: PLC0415  (0.3 s)

    columns = {}
    for column, values in _table(run, name).items():
        if is_time(column):
            columns[column] = pa.array(values.astype("datetime64[ns]")).cast(pa.timestamp("ns", "UTC"))
        elif name == "events" and column == "kind":
            columns[column] = pa.array([EventKind(kind).title for kind in values.tolist()], pa.string())
        else:
            columns[column] = pa.array(values.tolist() if values.dtype.kind == "U" else values, from_pandas=False)
    return pa.table(columns)


def to_polars(run: Run, name: str) -> pl.DataFrame:
    """Return a table (:data:`TABLES`) as a polars frame.

    Raises
    ------
    RecordError
        There is no such table.
    SettingsError
        polars is not installed.
    """
    try:
        import polars as pl  # noqa: PLC0415  (an extra)
    except ImportError:
        raise extra_needed("a polars frame", "polars", "polars") from None
    frame = pl.from_arrow(to_arrow(run, name))
    assert isinstance(frame, pl.DataFrame)  # from_arrow makes a Series of an array only
    return frame


def _table(run: Run, name: str) -> Table:
    if name not in TABLES:
        raise RecordError(f"a run has no table {name!r}; it has {', '.join(TABLES)}")
    if name == "events":
        return {column: getattr(run.events, column) for column in EVENT_COLUMNS}
    table: Table = getattr(run, name)
    return table


def _initial(run: Run) -> float:
    return float(run.config["account"]["cash"])


def _calendar(run: Run) -> Any:
    return run.summary.get("calendar", "24/7")


def _symbol(run: Run) -> str:
    return str(run.config["dataset"])


def _days(run: Run) -> Any:
    """Return the days of :func:`returns`, counted from 1970."""
    day = np.unique((run.equity["ts"] - 1) // _DAY)
    return np.arange(day[0], day[-1] + 1) if _calendar(run) == "24/7" and len(day) else day


# --- Another bookkeeper for the same fills: vectorbt ---


def to_vectorbt(run: Run) -> tuple[Any, IntArray]:
    """Replay the order log of a run through ``vectorbt.Portfolio.from_orders``.

    vectorbt takes one order a bar, so its axis is one row a fill and one row a bar's close, in the order of time.
    It knows no funding: what ``run.funding`` says is missing from its cash. It has cash without bound, since it
    refuses to borrow, and its initial cash is what it found was needed.

    Returns
    -------
    portfolio, closes
        The portfolio, and at which of its rows the bars close. Of an inverse contract it holds the mirrored position,
        at the price of one contract in base currency: a long of it is a short of that.

    Raises
    ------
    SettingsError
        Where vectorbt is not installed.
    """
    return replayed(run.fills, run.equity["close"], float(run.summary["face"]))


def replayed(fills: Table, close: FloatArray, face: float = 0.0) -> tuple[Any, IntArray]:
    """Replay fills over the closes of all bars; ``face`` of an inverse contract, 0 for a linear one."""
    try:
        import vectorbt as vbt  # noqa: PLC0415  (6 s, and an extra)
    except ImportError:
        raise extra_needed("a replay elsewhere", "vectorbt", "vectorbt") from None
    count = len(fills["bar"])
    rows = fills["bar"] + np.arange(count)  # a fill comes after the closes of the bars before its own
    closes = np.setdiff1d(np.arange(count + len(close)), rows)
    price, size, fee = np.empty(count + len(close)), np.full(count + len(close), np.nan), np.zeros(count + len(close))
    price[closes], price[rows] = close, fills["price"]
    size[rows], fee[rows] = fills["side"] * fills["qty"], fills["fee"]
    if face:
        price, size = face / price, -size
    portfolio = vbt.Portfolio.from_orders(
        price, size, price=price, fixed_fees=fee, init_cash="auto", freq="1min", direction="both"
    )
    return portfolio, closes
