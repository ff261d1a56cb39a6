"""The CFTC's weekly Commitments of Traders, as a JSON list: open interest and managed money of one COMEX contract."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from forcedflow.data.series import OpenInterest
from forcedflow.data.times import DAY, HOUR, instant_ns
from forcedflow.errors import DataError

__all__ = ["SILVER_CONTRACT", "Commitments", "read_commitments"]

FloatArray = npt.NDArray[np.float64]

SILVER_CONTRACT: Final = 5000.0
"""Troy ounces in a COMEX silver contract (SI)."""


@dataclass(frozen=True, slots=True, eq=False)
class Commitments:
    """Weekly positions, in base units (ounces)."""

    open_interest: OpenInterest
    managed_long: FloatArray
    """Shape (n,): held long by managed money."""
    managed_short: FloatArray


def read_commitments(path: str | Path, *, contract: float = SILVER_CONTRACT) -> Commitments:
    """Read weekly reports, each as of the close of its date and published on the Friday of that week.

    The state counts as that of the date's end in UTC, after the exchange's close in New York. It is available at 21:00
    UTC of that Friday (15:30 New York is 19:30 or 20:30 UTC). Weeks with a federal holiday come out later, and those of
    a government shutdown much later, which the file does not tell: whoever trades on them must know those dates.

    Raises
    ------
    DataError
        For a file of another form, and as :meth:`OpenInterest.from_columns`.
    """
    try:
        rows = json.loads(Path(path).read_text(encoding="utf-8"))
        dates = np.array([instant_ns(row["date"]) for row in rows], dtype=np.int64)
        columns = {
            name: np.array([row[name] for row in rows], dtype=np.float64) * contract
            for name in ("open_interest", "mm_long", "mm_short")
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"not a list of weekly reports: {error!r}", file=path) from None
    weekday = (dates // DAY + 3) % 7  # Monday is 0; 1970-01-01 was a Thursday
    published = dates + (4 - weekday) * DAY + 21 * HOUR
    oi = OpenInterest.from_columns(dates + DAY, columns["open_interest"], published, file=path)
    return Commitments(oi, columns["mm_long"], columns["mm_short"])
