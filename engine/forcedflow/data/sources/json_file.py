"""A JSON file, read or refused with its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from forcedflow.errors import DataError

__all__ = ["read_json"]


def read_json(path: str | Path) -> Any:
    """Return what the file holds.

    Raises
    ------
    DataError
        For no such file, or one that is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError("no such file", file=path) from None
    except ValueError as error:
        raise DataError(f"not JSON: {error}", file=path) from None
