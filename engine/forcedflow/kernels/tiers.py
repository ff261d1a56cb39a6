"""Kernels that are interpreted while there is little for them to do.

To compile the account takes as long as Python takes to trade thousands of orders, and most runs have a few dozen. So
what Python calls a few times a run is compiled once a process has asked enough of it, and until then interpreted: the
same function, over plain numbers, which gives the same bits.
"""

from __future__ import annotations

import gc
import sys
from functools import cache
from types import FunctionType, SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import numba
import numpy as np
from numba.core.dispatcher import Dispatcher
from numba.core.event import Event, Listener, install_listener

if TYPE_CHECKING:
    from collections.abc import Callable

    from forcedflow.kernels import Records

__all__ = ["STEPS", "Tiered", "interpreted"]

STEPS: Final = 16_384
"""Steps of a kernel that are interpreted in a process: those of the account take 40 microseconds each, others less,
so all in all less than a second, where compiling takes ten."""


class Tiered:
    """A kernel that Python calls: interpreted for its first steps in a process, from then on compiled.

    Where machine code for it lies on disk already, that is used from the first step on; so it is with the JIT off,
    where there is nothing to compile, and with ``FORCEDFLOW_BOUNDSCHECK=1``, which is for what is compiled. The choice
    follows from the steps taken and from nothing else, and changes no bit of any result.

    Parameters
    ----------
    kernel
        Whose records hold numbers, no arrays; it writes to fields of rows, not to whole rows, and a record that it is
        given by itself it only reads.
    """

    __slots__ = ("_kernel", "_known", "left")

    def __init__(self, kernel: Callable[..., Any]) -> None:
        self._kernel = kernel
        self._known = False  # whether there is machine code on disk
        self.left = STEPS if isinstance(kernel, Dispatcher) and kernel.stats.cache_path else 0
        """Steps that may still be interpreted; 0 from the first compiled one on."""

    def call(self, steps: int, *arguments: Any) -> Any:
        """Call the kernel, which takes so many steps."""
        if self.left and self._lacks_code(arguments):
            self.left = max(self.left - steps, 0)
            if self.left:
                return interpreted(self._kernel, *arguments)
        return self._kernel(*arguments)

    def finishes(self, *arguments: Any) -> bool:
        """Interpret a kernel as far as may be, and tell whether it has come to its end; compiled it goes on from there.

        Its last argument, which this adds, is how many steps it may take, and it returns how many it took.
        """
        if self.left and self._lacks_code((*arguments, self.left)):
            self.left = max(self.left - interpreted(self._kernel, *arguments, self.left), 0)
        return self.left > 0

    def _lacks_code(self, arguments: tuple[Any, ...]) -> bool:
        """Look once whether the kernel can do without being compiled, and give up interpreting where it can."""
        if not self._known:
            self._known = True
            if _on_disk(self._kernel, arguments):
                self.left = 0
        return self.left > 0


class _CompilingError(Exception):
    """There is no machine code on disk."""


class _Refusal(Listener):
    """Stops the compiler before it begins."""

    def on_start(self, event: Event) -> None:
        raise _CompilingError

    def on_end(self, event: Event) -> None: ...


def _on_disk(kernel: Any, arguments: tuple[Any, ...]) -> bool:
    """Load the machine code for arguments of these types, and tell whether there was any."""
    try:
        with install_listener("numba:compile", _Refusal()):
            kernel.compile(tuple(map(numba.typeof, arguments)))
    except _CompilingError:
        return False
    return True


def interpreted(kernel: Any, *arguments: Any) -> Any:
    """Call a kernel as the Python function that it was made of, and the kernels that it calls likewise."""
    function = kernel.py_func
    opened: list[_Rows] = []
    collects = gc.isenabled()
    gc.disable()  # so many objects at once make Python look for garbage, which takes a third of the time and finds none
    try:
        result = _functions(function.__module__)[function.__name__](*(_plain(value, opened) for value in arguments))
        for rows in opened:
            rows.close()
    finally:
        if collects:
            gc.enable()
    return result


@cache
def _functions(module: str) -> dict[str, Any]:
    """Return what the names of a module mean where every kernel is a Python function."""
    names = dict(vars(sys.modules[module]))
    for name, value in vars(sys.modules[module]).items():
        if isinstance(value, Dispatcher):
            function = value.py_func
            own = function.__module__ == module
            names[name] = (
                FunctionType(function.__code__, names) if own else _functions(function.__module__)[function.__name__]
            )
    return names


def _plain(value: Any, opened: list[_Rows]) -> Any:
    """Return an argument in a form whose numbers are Python's: quick to reach, and of numba's rules for division.

    Rows among ``opened`` are to be closed: what was written to them is not in the arrays before that.
    """
    if isinstance(value, tuple):
        parts: Any = type(value)
        return parts(*(_plain(part, opened) for part in value))
    if isinstance(value, np.record):
        return _fields(value.dtype.names, value.item())
    if isinstance(value, np.ndarray):
        if value.dtype.names is None:
            return value.data
        rows = _Rows(value)
        opened.append(rows)
        return rows
    return value


class _Rows(dict[int, SimpleNamespace]):
    """Records by number, each a plain object from when it is first looked at."""

    __slots__ = ("_before", "_rows")

    def __init__(self, rows: Records) -> None:
        self._rows = rows.view(np.ndarray)
        self._before: dict[int, tuple[Any, ...]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __missing__(self, at: int) -> SimpleNamespace:
        values = self._before[at] = self._rows.item(at)
        row = self[at] = _fields(self._rows.dtype.names, values)
        return row

    def close(self) -> None:
        """Write what has changed."""
        for at, before in self._before.items():
            now = tuple(vars(self[at]).values())
            if now != before:
                self._rows[at] = now


def _fields(names: Any, values: Any) -> SimpleNamespace:
    row = SimpleNamespace()
    row.__dict__.update(zip(names, values, strict=True))
    return row
