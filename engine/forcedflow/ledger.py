"""The trial ledger: which settings were ever tried on which data, so that a "best" is read against all of them.

One text file, appended to and never rewritten: each line is a JSON object that names the data and the settings tried
on it. Every line is one write behind an advisory lock, begun on a new line of its own, so that processes may append at
once and a writer that is killed spoils nothing but its own line. A setting counts once however often it was tried.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from forcedflow.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["Trials", "add_trials", "count_trials", "files_hash", "ledger_file", "setting_key"]

_VARIABLE: Final = "FORCEDFLOW_LEDGER"


@dataclass(frozen=True, slots=True)
class Trials:
    """How many distinct settings were tried."""

    bars: int
    """On exactly these bars."""
    files: int
    """On any span of the same files: what statistics must count, since another first bar is no new start."""


def ledger_file() -> Path:
    """Return the ledger's path: ``FORCEDFLOW_LEDGER``, else ``results/ledger.jsonl`` in the current folder."""
    named = os.environ.get(_VARIABLE)
    return Path(named).expanduser() if named else Path("results") / "ledger.jsonl"


def setting_key(
    strategy_hash: str, params: Mapping[str, Any], market: Mapping[str, Any], account: Mapping[str, Any]
) -> str:
    """Return 16 hex digits that name a setting: a strategy's source with everything that it and its market were set to.

    Parameters
    ----------
    strategy_hash
        SHA-256 of the strategy's source: a changed strategy is another trial.
    params, market, account
        All values, the defaults among them, as JSON holds them.
    """
    text = json.dumps([strategy_hash, dict(params), dict(market), dict(account)], sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def files_hash(files: Iterable[Sequence[str]], data_hash: str) -> str:
    """Return what names a dataset whatever span of it is used: a hash of its files' hashes.

    Parameters
    ----------
    files
        Name and sha256 of each file, as in :attr:`Dataset.files`.
    data_hash
        Taken where there are no files: data made in memory.
    """
    digests = sorted(file[1] for file in files)
    return hashlib.sha256("".join(digests).encode()).hexdigest() if digests else data_hash


def add_trials(data_hash: str, files: str, dataset: str, keys: Iterable[str], path: Path | None = None) -> None:
    """Note that settings were tried on data.

    Parameters
    ----------
    data_hash, files
        :attr:`Dataset.data_hash` and :func:`files_hash`.
    dataset
        Its name, for a reader's eye.
    keys
        From :func:`setting_key`.
    path
        The ledger, where it is not :func:`ledger_file`.

    Raises
    ------
    RecordError
        The file cannot be written.
    """
    tried = sorted(set(keys))
    if not tried:
        return
    line = json.dumps({"data": data_hash, "files": files, "dataset": dataset, "tried": tried})
    target = path or ledger_file()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("ab", buffering=0) as file, _locked(file.fileno()):
            file.write(f"\n{line}\n".encode())  # the first newline ends what a killed writer left
    except OSError as error:
        raise RecordError(f"cannot count trials in {target}: {error}; set {_VARIABLE} to a writable file") from error


def count_trials(data_hash: str, files: str, path: Path | None = None) -> Trials:
    """Count the distinct settings that were tried on data; torn lines count nothing.

    Raises
    ------
    RecordError
        The file exists and cannot be read.
    """
    source = path or ledger_file()
    here: set[str] = set()
    anywhere: set[str] = set()
    try:
        with source.open("rb") as lines:
            for line in lines:
                entry = _entry(line)
                if entry.get("files") == files:
                    anywhere.update(entry["tried"])
                if entry.get("data") == data_hash:
                    here.update(entry["tried"])
    except FileNotFoundError:
        pass
    except OSError as error:
        raise RecordError(f"cannot read {source}: {error}") from error
    return Trials(len(here), len(anywhere | here))


def _entry(line: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) and isinstance(entry.get("tried"), list) else {}


@contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    """Hold the file against other writers where the system knows how; appending is atomic on a local disk anyway."""
    try:
        import fcntl  # noqa: PLC0415  (not on Windows)
    except ImportError:
        yield
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
