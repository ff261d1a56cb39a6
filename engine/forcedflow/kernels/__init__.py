"""Every numba function of the package, and how they are compiled.

A kernel takes arrays and numbers, imports other kernels and nothing else of the package, and runs unchanged with
the JIT off (``NUMBA_DISABLE_JIT=1``). Compiled code is cached on disk. numba's cache notices an edit only in the file
that holds the function, not in the files it calls into, so the cache lies in a folder keyed by a hash of *all* kernel
sources and the versions that compiled them.
"""

from __future__ import annotations

import gc
import hashlib
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import binding as llvm
from numba.core.dispatcher import Dispatcher
from numba.core.event import Event, Listener, install_listener, register
from numba.extending import register_jitable

from forcedflow.kernels.parts import LeanCompiler, PartCompiler

__all__ = [
    "CACHE_DIR",
    "CACHE_NOTE",
    "BoolArray",
    "FloatArray",
    "IntArray",
    "Record",
    "Records",
    "Repeated",
    "host_cpu",
    "inner_kernel",
    "kernel",
    "lean_kernel",
    "merged_kernel",
    "plain",
    "records",
    "shared_function",
    "small_kernel",
    "telling_of_compiling",
    "truth",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

Records = Any  # a numpy record array: fields by attribute, which no checker can follow
Record = Any  # one element of it, nested arrays as views

# The wrapper that lets C call a kernel is never used, and takes a twentieth of the time to compile. Inlining is said
# each time, since a kernel without the option takes it from the kernel that calls it.
_OPTIONS = {"no_cfunc_wrapper": True, "forceinline": False}
_OPTIONS |= {"boundscheck": True} if os.environ.get("FORCEDFLOW_BOUNDSCHECK") == "1" else {"cache": True}
_LEAN: dict[str, Any] = {"_nrt": False, "pipeline_class": LeanCompiler}
_PART: dict[str, Any] = {"_nrt": False, "no_cpython_wrapper": True, "cache": False, "pipeline_class": PartCompiler}
_F = TypeVar("_F", bound=Callable[..., Any])


def _sources_digest() -> str:
    digest = hashlib.sha256()
    for part in (numba.__version__, np.__version__, sys.version, platform.machine()):
        digest.update(part.encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _cache_dir() -> tuple[Path, str | None]:
    """Return the cache folder and, where the usual one cannot be written, a note that says so."""
    root = os.environ.get("FORCEDFLOW_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    base = Path(root).expanduser() if root else Path("~/.cache").expanduser()
    wanted = base / "forcedflow" / _sources_digest()
    if _writable(wanted):
        return wanted, None
    user = os.getuid() if hasattr(os, "getuid") else "user"
    fallback = Path(tempfile.gettempdir()) / f"forcedflow-{user}" / wanted.name
    note = f"cannot write compiled code to {wanted}; using {fallback}. Set FORCEDFLOW_CACHE_DIR to a writable folder."
    if _writable(fallback):
        return fallback, note
    scratch = Path(tempfile.mkdtemp(prefix="forcedflow-"))
    return scratch, f"cannot write compiled code to {wanted}; using {scratch}, for this process only."


CACHE_DIR, CACHE_NOTE = _cache_dir()


class _NoCollection(Listener):
    """Keeps Python from looking for garbage while a kernel compiles: that took a sixth of the time, and found none."""

    def __init__(self) -> None:
        self._depth, self._was_on = 0, False

    def on_start(self, event: Event) -> None:
        if self._depth == 0:
            self._was_on = gc.isenabled()
            gc.disable()
        self._depth += 1

    def on_end(self, event: Event) -> None:
        self._depth -= 1
        if self._depth == 0 and self._was_on:
            gc.enable()


register("numba:compile", _NoCollection())  # type: ignore[no-untyped-call]


class _Teller(Listener):
    """Tells of the first pass of the compiler."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell: Callable[[], None] | None = tell

    def on_start(self, event: Event) -> None:
        if self._tell is not None:
            tell, self._tell = self._tell, None
            tell()

    def on_end(self, event: Event) -> None: ...


@contextmanager
def telling_of_compiling(tell: Callable[[], None]) -> Iterator[None]:
    """Call ``tell`` when a kernel first is compiled inside the block, not where machine code is merely loaded."""
    with install_listener("numba:run_pass", _Teller(tell)):
        yield


def _compiled(function: _F, **options: bool | str | type) -> _F:
    config: Any = numba.config  # pyright: ignore[reportPrivateImportUsage]
    users_own = config.CACHE_DIR  # the user's setting for the user's own functions stays as it was
    config.CACHE_DIR = str(CACHE_DIR)
    try:
        compiled: _F = numba.njit(**_OPTIONS | options)(function)  # type: ignore[call-overload]
        return compiled
    finally:
        config.CACHE_DIR = users_own


def kernel(function: _F) -> _F:
    """Compile ``function`` at its first call and keep the machine code in :data:`CACHE_DIR`.

    ``FORCEDFLOW_BOUNDSCHECK=1`` makes an index outside an array raise, for hunting a bug; such code is not cached.
    """
    return _compiled(function)


def lean_kernel(function: _F) -> _F:
    """Compile a kernel that allocates nothing: for the inner loops of the passes.

    Array reference counts are off inside it: the arrays belong to the caller for as long as the call lasts. Counting,
    with an atomic operation for each array at each call, took three quarters of the market pass's time. A lean kernel
    that allocates does not compile. One whose name begins with an underscore is called by kernels only: an inner one.
    """
    return inner_kernel(function) if function.__name__.startswith("_") else _compiled(function, **_LEAN)


def inner_kernel(function: _F) -> _F:
    """Compile a lean kernel that only kernels call, as a part of them (:mod:`forcedflow.kernels.parts`)."""
    return _compiled(function, **_PART)


def merged_kernel(function: _F) -> _F:
    """Compile an inner kernel that is merged into its callers, not called: for the hot parts of one long loop.

    A call passes each array as seven to eleven words, so a chain of calls spent a quarter of the map's time on the
    stack. Every caller, and every caller of those, is larger by it, so this is for what is called once or twice.
    """
    return _compiled(function, **_PART, forceinline=True)


def small_kernel(function: _F) -> _F:
    """Compile a lean kernel of a few lines as part of its callers, which is quicker than to compile it by itself."""
    return _compiled(function, _nrt=False, inline="always")


@small_kernel
def plain(number: int) -> int:
    """Return a constant as an ordinary number: numba compiles a kernel anew for each constant it is called with."""
    return number + 0


@small_kernel
def truth(number: int) -> bool:
    """Return a constant as an ordinary truth, for the same reason."""
    return number + 0 != 0


def shared_function(function: _F) -> _F:
    """Leave a function to Python, and compile it only as part of a kernel that calls it.

    For what a run does once over few values: to compile it takes longer than it takes. Written with products for
    powers it gives the same bits either way.
    """
    shared: _F = register_jitable(function)
    return shared


class Repeated:
    """A kernel for a loop that calls it again and again with arguments of the same types: arrays may change, not kinds.

    At every call numba looks at each argument to find the machine code for it, which takes longer than a bar does. From
    the second call on this goes to that code directly, and whether the types are still the same is the caller's word.
    """

    __slots__ = ("_calls", "_code", "_kernel")

    def __init__(self, kernel: Callable[..., Any]) -> None:
        self._kernel = self._code = kernel
        self._calls = 0

    def __call__(self, *arguments: Any) -> Any:
        """Call the kernel."""
        if self._calls < _FOUND_OUT:
            self._calls += 1
            if self._calls == _FOUND_OUT and isinstance(self._kernel, Dispatcher):  # not with the JIT off
                self._code = self._kernel.compile(tuple(map(numba.typeof, arguments)))
        return self._code(*arguments)


_FOUND_OUT: Final = 2  # calls: to look once costs as much as twenty calls, and many a kernel is called only once


def records(dtype: np.dtype[np.void], count: int) -> Records:
    """Return ``count`` zeroed records.

    State that a kernel passes around lies in records: numba hands one on as a pointer, where a tuple of arrays costs a
    reference count for each array at each call.
    """
    return np.zeros(count, _record_type(dtype)).view(np.recarray)


@cache
def _record_type(dtype: np.dtype[np.void]) -> np.dtype[np.void]:
    """Return the type of records with these fields, one object for all: numba looks long at one it has not seen."""
    return np.dtype((np.record, dtype))


def host_cpu() -> str:
    """Return name and digest of the CPU features that kernels are compiled for: the same ones give the same bits."""
    features = llvm.get_host_cpu_features().flatten()
    return f"{llvm.get_host_cpu_name()} {hashlib.sha256(features.encode()).hexdigest()[:8]}"
