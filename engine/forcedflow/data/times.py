"""Times and durations as people write them, as int64 nanoseconds UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from forcedflow.errors import DataError

__all__ = ["DAY", "HOUR", "MINUTE", "SECOND", "Instant", "duration_ns", "instant_ns", "time_text"]

SECOND: Final = 1_000_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

Instant = str | int | datetime
"""A moment: ISO text (UTC where it names no zone), nanoseconds since 1970 UTC, or an aware datetime."""

_UNITS: Final = {"s": SECOND, "min": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_DURATION: Final = re.compile(rf"(\d+)\s*({'|'.join(_UNITS)})")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def duration_ns(text: str) -> int:
    """Return the nanoseconds of a duration such as ``"5min"``, ``"1h"`` or ``"1d"``.

    Raises
    ------
    ValueError
        Where the text is no number followed by one of s, min, h, d, w. ``m`` is refused: a minute or a month?
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not a duration: {text!r}; write a whole number and one of {', '.join(_UNITS)}, such as 5min")
    return int(match[1]) * _UNITS[match[2]]


def instant_ns(instant: Instant) -> int:
    """Return nanoseconds since 1970 UTC.

    Raises
    ------
    DataError
        For text that is no ISO date or time, and for a datetime without a time zone.
    """
    if isinstance(instant, int):
        return instant
    if isinstance(instant, str):
        try:
            instant = datetime.fromisoformat(instant.strip())
        except ValueError:
            raise DataError(f"not a time: {instant!r}; write it as 2025-10-10 or 2025-10-10T21:15 (UTC)") from None
        instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    if instant.tzinfo is None:
        raise DataError(f"naive time {instant}: give it a time zone, such as datetime.UTC")
    return (instant - _EPOCH) // timedelta(microseconds=1) * 1000


def time_text(ns: int) -> str:
    """Return an ISO text of a time, to the second, for messages."""
    return f"{_EPOCH + timedelta(microseconds=int(ns) // 1000):%Y-%m-%dT%H:%M:%SZ}"
