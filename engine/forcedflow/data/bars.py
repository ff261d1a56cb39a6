"""Bars: a validated table of prices and volumes.

Nothing downstream checks prices again, so a table that cannot be trusted is refused here with file, row, column and
reason. Mends exist for the common defects; each has a name, is asked for by that name, and is logged.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from forcedflow.data.arrays import Frozen, frozen
from forcedflow.data.checks import OPTIONAL, PRICES, Columns, as_arrays, check_times, check_values
from forcedflow.data.repairs import REPAIRS, mend
from forcedflow.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

__all__ = ["REPAIRS", "Bars"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Bars(Frozen):
    """Price and volume over ``[ts, ts + interval)``, known at ``ts + interval``.

    Make them with :meth:`from_columns` or :meth:`from_pandas`, which validate. All arrays have shape (n,), are
    contiguous and read-only. Gaps are allowed: steps are whole multiples of the interval.
    """

    ts: IntArray
    """Opening time, nanoseconds UTC, strictly ascending."""
    interval: int
    """Nanoseconds."""
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    """Base units; a count of ticks where a dataset's notes say so."""
    quote_volume: FloatArray | None = None
    taker_buy_volume: FloatArray | None = None
    mark_high: FloatArray | None = None
    """Extremes of the mark price over the same bar, which trigger liquidations where they are known."""
    mark_low: FloatArray | None = None

    @classmethod
    def from_columns(
        cls,
        columns: Mapping[str, npt.ArrayLike],
        interval: int | None = None,
        *,
        file: object = None,
        repair: Sequence[str] = (),
    ) -> tuple[Bars, tuple[str, ...]]:
        """Validate columns and make bars of them.

        Parameters
        ----------
        columns
            ``ts`` (int64 ns UTC, bar open), the prices, ``volume`` and any of the optional columns.
        interval
            Nanoseconds of a bar; where left out, the smallest step between two times.
        file
            Where the columns come from, for messages.
        repair
            Mends to apply, of :data:`REPAIRS`.

        Returns
        -------
        bars, log
            The log has one line for each mend that changed something: what, how many rows, the first of them.

        Raises
        ------
        DataError
            Naming file, row, column, the value and the mend that would help.
        """
        table = as_arrays(columns, file)
        log = mend(table, repair, file)
        check_values(table, file)
        width = check_times(table["ts"], interval, file)
        return cls(interval=width, **{name: frozen(array) for name, array in table.items()}), log

    @classmethod
    def from_pandas(cls, frame: pd.DataFrame, interval: int | None = None) -> Bars:
        """Make bars of a table whose index, or column ``ts``, holds the opening times.

        Raises
        ------
        DataError
            As :meth:`from_columns`; for times without a zone; for an index that holds no times.
        """
        import pandas as pd  # noqa: PLC0415  (1.4 s that a run does not need)

        times = pd.Index(frame["ts"]) if "ts" in frame else frame.index
        if pd.api.types.is_integer_dtype(times.dtype) and "ts" in frame:
            ts = times.to_numpy(np.int64)
        elif not isinstance(times, pd.DatetimeIndex):
            raise DataError(f"times are {times.dtype}; index the table by opening time, or add a column ts", field="ts")
        elif times.tz is None:
            raise DataError("naive times; name their zone first: frame.tz_localize('UTC')", field="ts")
        else:
            ts = times.as_unit("ns").asi8
        named = {name: frame[name].to_numpy() for name in (*PRICES, "volume", *OPTIONAL) if name in frame}
        return cls.from_columns({"ts": ts, **named}, interval)[0]

    def __len__(self) -> int:
        return len(self.ts)

    @property
    def close_ts(self) -> IntArray:
        """Shape (n,): when each bar is complete and may be known."""
        return self.ts + self.interval

    def columns(self) -> Columns:
        """Return the arrays by name, those that are missing left out."""
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "interval"}
        return {name: array for name, array in named.items() if array is not None}

    def between(self, start: int | None = None, end: int | None = None) -> Bars:
        """Return the bars that open at ``start`` or later and are complete at ``end`` (nanoseconds UTC)."""
        first = 0 if start is None else int(np.searchsorted(self.ts, start))
        stop = len(self) if end is None else int(np.searchsorted(self.ts, end - self.interval, side="right"))
        return Bars(interval=self.interval, **{name: array[first:stop] for name, array in self.columns().items()})

    def to_pandas(self) -> pd.DataFrame:
        """Return a table indexed by opening time (UTC)."""
        import pandas as pd  # noqa: PLC0415  (1.4 s that a run does not need)

        frame = pd.DataFrame(self.columns())
        index = pd.DatetimeIndex(pd.to_datetime(frame.pop("ts"), utc=True), name="ts")
        return frame.set_index(index)
