"""The unit of work: one dataset, one market setting, some strategy settings traded against that market's tape.

A task is plain data that any process can be sent. It carries the text of the strategy, so that a worker elsewhere runs
the same one; and the bars come from where the worker can read them, or are sent along once.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import OrderedDict
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from forcedflow.backtest import RunConfig, run_config, save
from forcedflow.data import load_dataset
from forcedflow.errors import DataError, ForcedFlowError
from forcedflow.market.tape import make_tape
from forcedflow.settings import parse
from forcedflow.study.sweeps.score import Level, Scored, daily_equity, score_settings
from forcedflow.trading.strategy import Strategy, find_strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from forcedflow.data.series import Dataset
    from forcedflow.market.tape import Tape
    from forcedflow.settings import AccountSettings, MarketSettings

__all__ = ["Code", "Job", "Part", "Source", "Task", "forget", "run_task"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a task's bars come from."""

    name: str
    data_hash: str
    ref: str | None = None
    """Catalog name or path; None where the data exist in memory only and are sent along."""
    start: str | None = None
    end: str | None = None
    repair: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Code:
    """A strategy as text."""

    ref: str
    """Name or path that it was found by."""
    text: str
    digest: str
    """SHA-256 of the text."""

    def load(self) -> type[Strategy]:
        """Return the class that the text defines, made once in each process."""
        return _cached(_CLASSES, self.digest, 16, self._load)

    def _load(self) -> type[Strategy]:
        with tempfile.TemporaryDirectory(prefix="forcedflow-") as folder:
            file = Path(folder) / f"{Path(self.ref).stem}.py"
            file.write_text(self.text, encoding="utf-8")
            return find_strategy(file)


@dataclass(frozen=True, slots=True)
class Job:
    """One setting of a task."""

    number: int
    """Of the setting in the sweep."""
    key: str
    params: Mapping[str, Any]
    account: AccountSettings


@dataclass(frozen=True, slots=True)
class Part:
    """A span that is traded by itself: the first bar, the one after the last, and how a row of it is marked."""

    first: int
    stop: int
    fold: int
    trains: bool


@dataclass(frozen=True, slots=True)
class Task:
    """Some settings to be traded against one market."""

    source: Source
    code: Code
    market: MarketSettings
    jobs: tuple[Job, ...]
    level: Level
    parts: tuple[Part, ...] = ()
    """The spans of a walk-forward; empty: all bars."""
    records: str | None = None
    """Folder for the records of level ``audit``, absolute."""
    seed: int = 0

    @property
    def key(self) -> str:
        """16 hex digits that name what is to be done, the same in every process."""
        what = [
            self.source.data_hash,
            self.code.digest,
            self.market.model_dump(mode="json"),
            [[job.number, job.key] for job in self.jobs],
            self.level,
            [[part.first, part.stop, part.fold, part.trains] for part in self.parts],
            self.seed,
        ]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]


_DATASETS: Final[OrderedDict[str, Any]] = OrderedDict()
_TAPES: Final[OrderedDict[str, Any]] = OrderedDict()
_CLASSES: Final[OrderedDict[str, Any]] = OrderedDict()


def run_task(task: Task, dataset: Dataset | None = None) -> list[dict[str, Any]]:
    """Do a task.

    Parameters
    ----------
    dataset
        The bars, where they were sent along.

    Returns
    -------
    list of dict
        One row a setting, and part of a walk-forward: ``setting`` (its number), ``key``, ``fold`` and ``trains`` where
        there are parts, the scorecard's measures, ``daily`` above level ``score``, ``error``.

    Raises
    ------
    ForcedFlowError
        Where the bars cannot be read, or are others than the sweep began with.
    """
    data = dataset or _load(task.source)
    tape = _tape(task, data)
    rows = []
    for account, jobs in groupby(task.jobs, key=lambda job: job.account):
        group = list(jobs)
        if task.level == "audit":
            rows += [_row(job, _audit(task, tape, job)) for job in group]
            continue
        params, strategy = [job.params for job in group], task.code.load()
        for part in task.parts or (None,):
            level: Level = "score" if part is not None and part.trains else "compact" if part else task.level
            span = None if part is None else (part.first, part.stop)
            scored = score_settings(tape, strategy, params, account, level, span)
            rows += [_row(job, done, part) for job, done in zip(group, scored, strict=True)]
    return rows


def forget() -> None:
    """Let go of the bars and tapes that this process keeps from one task to the next."""
    _DATASETS.clear()
    _TAPES.clear()


def _load(source: Source) -> Dataset:
    if source.ref is None:
        raise DataError(f"{source.name} was made in memory and must be sent to the workers")
    ref = source.ref

    def read() -> Dataset:
        data = load_dataset(ref, source.start, source.end, source.repair)
        if data.data_hash != source.data_hash:
            raise DataError(f"{ref} holds other data here than where the sweep was begun; give all the same files")
        return data

    return _cached(_DATASETS, source.data_hash, 2, read)


def _tape(task: Task, data: Dataset) -> Tape:
    shots = 1000 if task.level == "audit" else 0
    meets = any(job.account.participation > 0.0 for job in task.jobs)
    key = json.dumps([task.source.data_hash, task.market.model_dump(mode="json"), shots, meets], sort_keys=True)
    return _cached(_TAPES, key, 1, lambda: make_tape(data, task.market, snapshots=shots, log_swept=meets))


def _audit(task: Task, tape: Tape, job: Job) -> Scored:
    """Make a record as a single run does, and read its scorecard off it."""
    assert task.records is not None
    folder = Path(task.records) / job.key
    config = {
        "dataset": task.source.ref or task.source.name,
        "strategy": task.code.ref,
        "params": dict(job.params),
        "market": task.market,
        "account": job.account,
        "start": task.source.start,
        "end": task.source.end,
        "repair": task.source.repair,
        "seed": task.seed,
    }
    try:
        strategy = parse(task.code.load(), dict(job.params), f"strategy {task.code.ref}")
        run = run_config(RunConfig.of(config), tape=tape, strategy=strategy)
    except ForcedFlowError as error:
        return Scored(None, error=str(error))
    if not folder.exists():  # left by a sweep that was killed between the record and its row
        save(run, folder, count=False)
    daily = daily_equity(run.equity, job.account.cash, tape.dataset.calendar)
    return Scored(run.scorecard, daily)


def _row(job: Job, scored: Scored, part: Part | None = None) -> dict[str, Any]:
    row: dict[str, Any] = {"setting": job.number, "key": job.key, **(scored.card or {})}
    if part is not None:
        row |= {"fold": part.fold, "trains": part.trains}
    return row | {"daily": scored.daily, "error": scored.error}


def _cached(cache: OrderedDict[str, Any], key: str, size: int, make: Callable[[], _T]) -> _T:
    if key not in cache:
        while len(cache) >= size:  # before the new one is made: a tape of many bars is large
            cache.popitem(last=False)
        cache[key] = make()
    cache.move_to_end(key)
    value: _T = cache[key]
    return value
