"""The one family of errors.

Every error that a user's input can cause derives from :class:`ForcedFlowError` and carries a stable code, so that
a caller can tell the kinds apart without reading prose. The command line prints one line and exits with 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "AccountError",
    "CatalogError",
    "DataError",
    "ForcedFlowError",
    "RecordError",
    "SettingsError",
    "StrategyError",
    "VenueError",
    "did_you_mean",
    "extra_needed",
]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the closest known word, and nothing where none is close.

    Case and underscores count for little: ``zonenear`` is close to ``ZoneNear``.
    """
    import difflib  # noqa: PLC0415  (only for messages)

    plain = {name.replace("_", "").lower(): name for name in reversed(list(known))}
    close = difflib.get_close_matches(word.replace("_", "").lower(), plain, n=1)
    return f" (did you mean {plain[close[0]]!r}?)" if close else ""


class ForcedFlowError(Exception):
    """Something the user can mend; the message says what, where and how."""

    code = "FF000"


class DataError(ForcedFlowError):
    """Market data that cannot be used as it is.

    Parameters
    ----------
    reason
        What is wrong and what to do about it.
    file, row, field
        Where it is wrong; whatever is known. ``row`` counts data rows from 0.
    """

    code = "FF100"

    def __init__(self, reason: str, *, file: object = None, row: int | None = None, field: str | None = None) -> None:
        self.reason, self.file, self.row, self.field = reason, file, row, field
        where = [str(file)] if file is not None else []
        if row is not None:
            where.append(f"row {row}")
        if field is not None:
            where.append(f"column {field!r}")
        super().__init__(f"{', '.join(where)}: {reason}" if where else reason)

    def further(self, rows: int) -> DataError:
        """Return the same about a row so much further down: where it was found in a part of the file."""
        row = None if self.row is None else self.row + rows
        return DataError(self.reason, file=self.file, row=row, field=self.field)


class CatalogError(ForcedFlowError):
    """A dataset that cannot be found, or whose description is wrong."""

    code = "FF110"


class VenueError(ForcedFlowError):
    """A venue, contract or position that no margin rule covers."""

    code = "FF200"


class SettingsError(ForcedFlowError):
    """A setting or parameter that does not exist or is out of bounds."""

    code = "FF300"


def extra_needed(what: str, package: str, extra: str, instead: str = "") -> SettingsError:
    """Return what refuses to do ``what`` without a package that an optional extra installs.

    Parameters
    ----------
    instead
        What can be done without it.
    """
    return SettingsError(
        f"{what} takes {package}, which is not installed: pip install 'forcedflow[{extra}]'"
        + (f", or {instead}" if instead else "")
    )


class StrategyError(ForcedFlowError):
    """A strategy that cannot be loaded, raised, or returned what a plan may not hold."""

    code = "FF400"


class AccountError(ForcedFlowError):
    """An order that the account cannot take."""

    code = "FF500"


class RecordError(ForcedFlowError):
    """A run folder that cannot be written or read."""

    code = "FF600"
