"""The file of a checkpoint: named arrays and a few facts, written whole or not at all, read without running anything.

The form is numpy's ``.npz``. Records are kept as their bytes: what a checkpoint needs is the bits, and only the version
that wrote them, compiled from the same sources, goes on to the same bits.
"""

from __future__ import annotations

import json
import os
import uuid
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from forcedflow.errors import RecordError
from forcedflow.kernels import CACHE_DIR

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["compare", "read", "shaped", "write"]

Array = npt.NDArray[Any]

_FORMAT: Final = {"format": 1, "kernels": CACHE_DIR.name}
"""Number of the form, and the digest of all kernels and of what compiles them."""
_FACTS: Final = "facts"


def write(file: str | Path, facts: Mapping[str, Any], arrays: Mapping[str, Array]) -> Path:
    """Write a checkpoint beside ``file``, flush it to the disk and rename it in one step.

    Raises
    ------
    RecordError
        Where the disk refuses.
    """
    target = Path(file).absolute()
    beside = target.parent / f".{target.name}.{uuid.uuid4().hex}"
    plain: dict[str, Any] = {name: _bytes(a.tobytes()) if a.dtype.names else a for name, a in arrays.items()}
    plain[_FACTS] = _bytes(json.dumps(_FORMAT | dict(facts)).encode())
    try:
        with beside.open("wb") as opened:
            np.savez(opened, **plain)
            opened.flush()
            os.fsync(opened.fileno())
        beside.replace(target)
    except OSError as error:
        raise RecordError(f"cannot write {target}: {error}") from error
    finally:
        beside.unlink(missing_ok=True)
    return target


def _bytes(content: bytes) -> Array:
    return np.frombuffer(content, np.uint8)


def read(file: str | Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return facts and arrays; records as their bytes, which :func:`shaped` makes records of.

    Raises
    ------
    RecordError
        Where the file is missing, damaged, or of another version.
    """
    try:
        with Path(file).open("rb") as opened, np.load(opened, allow_pickle=False) as saved:
            arrays = dict(saved)
        found = json.loads(arrays.pop(_FACTS).tobytes())
    except FileNotFoundError:
        raise RecordError(f"{file}: no such checkpoint") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RecordError(f"{file}: not a checkpoint, or a damaged one: {error}; begin anew") from None
    if any(found.get(name) != value for name, value in _FORMAT.items()):
        raise RecordError(f"{file}: made by another version, which this one cannot go on from to the bit; begin anew")
    return found, arrays


def compare(file: str | Path, saved: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse a checkpoint that was made of something else than what goes on.

    Raises
    ------
    RecordError
        Naming what differs.
    """
    for name, value in now.items():
        if saved[name] == value:
            continue
        then, differs = saved[name], value
        if isinstance(then, dict) and isinstance(value, dict):
            keys = [key for key in value if then.get(key) != value[key]]
            then, differs = ({key: d.get(key) for key in keys} for d in (then, value))
        raise RecordError(f"{file}: made with another {name}: {then}, not {differs}; begin anew or use the same")


def shaped(saved: Array, like: Array) -> Array:
    """Return an array as it was saved; where ``like`` is of records, records of that type."""
    return saved.view(like.dtype).view(np.recarray) if like.dtype.names else saved
