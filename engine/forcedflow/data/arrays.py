"""What tables of market data have in common: their arrays are read-only, wherever they come from."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["Frozen", "frozen"]

_T = TypeVar("_T", bound="Frozen")


def frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array, which nobody can write to from now on."""
    array.setflags(write=False)
    return array


class Frozen:
    """A dataclass of arrays that is pickled as such.

    In another process arrays may come out writable, or at odd addresses within a message. Kernels would be compiled
    once more for either.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how a copy is made."""
        return _restored, (type(self), {each.name: getattr(self, each.name) for each in fields(self)})  # type: ignore[arg-type]


def _restored(kind: type[_T], values: dict[str, Any]) -> _T:
    kept = {
        name: frozen(np.require(value, requirements="A")) if isinstance(value, np.ndarray) else value
        for name, value in values.items()
    }
    return kind(**kept)
