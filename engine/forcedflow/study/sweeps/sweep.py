"""A parameter sweep: one market pass for each market setting, every strategy setting traded against its tape."""

from __future__ import annotations

import inspect
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from forcedflow.data import load_dataset
from forcedflow.data.series import Dataset
from forcedflow.data.times import time_text
from forcedflow.errors import RecordError, SettingsError
from forcedflow.ledger import add_trials, files_hash, setting_key
from forcedflow.settings import parse
from forcedflow.study.sweeps.config import SweepConfig, WalkForward
from forcedflow.study.sweeps.reading import scores_of
from forcedflow.study.sweeps.results import Sweep, schema_for
from forcedflow.study.sweeps.score import day_ends
from forcedflow.study.sweeps.search import Search
from forcedflow.study.sweeps.space import Setting, Space, make_space
from forcedflow.study.sweeps.store import Store, column_of, in_order, rows_table
from forcedflow.study.sweeps.tasks import Code, Job, Source, Task
from forcedflow.study.sweeps.walk import Fold, make_folds, parts_of
from forcedflow.study.sweeps.workers import workers
from forcedflow.trading.account import with_venue_fees
from forcedflow.trading.strategy import Strategy, find_strategy, source_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import pyarrow as pa

    from forcedflow.settings import AccountSettings, MarketSettings
    from forcedflow.study.sweeps.score import Level
    from forcedflow.study.sweeps.space import Point
    from forcedflow.study.sweeps.workers import Workers

__all__ = ["run_sweep", "sweep"]

_LEAST_TASKS: Final = 16  # so that a few workers share a sweep of one market setting
_MOST_SETTINGS: Final = 64  # of one task: what a kill can cost


def sweep(
    datasets: str | Path | Dataset | Sequence[str | Path | Dataset] = "simulated",
    strategies: str | Path | Sequence[str | Path] = "zone_entry",
    grid: Mapping[str, str | Sequence[Any]] | None = None,
    *,
    where: str | Sequence[str] = (),
    sample: str | None = None,
    points: int = 100,
    search: str | None = None,
    trials: int = 100,
    score: str = "sharpe",
    params: Mapping[str, Any] | None = None,
    market: Mapping[str, Any] | None = None,
    account: Mapping[str, Any] | None = None,
    start: str | None = None,
    end: str | None = None,
    repair: Sequence[str] = (),
    seed: int = 0,
    level: Level = "compact",
    walk_forward: WalkForward | Mapping[str, Any] | None = None,
    jobs: int = 1,
    cluster: str | None = None,
    send: bool | None = None,
    out: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Sweep:
    """Trade many settings; each row is to the bit what :func:`forcedflow.run` gives for it alone.

    Parameters
    ----------
    datasets, strategies
        One or several; every strategy is swept on every dataset.
    grid
        Values by setting: a strategy's parameter by its name, others as ``market.bin_bps``, ``account.taker_fee``. A
        sequence, or text as on the command line: ``"1,2,3"``, ``"0.1:0.5:9"``, ``"1:100:5:log"``, ``"4h,1d"`` for a
        count of bars.
    where
        Constraints between settings, such as ``"market.zone_off < market.zone_on"``.
    sample, points
        ``random`` or ``sobol``: so many points in place of the whole grid; ranges may then be continuous
        (``"0.1:0.5"``).
    search, trials
        ``optuna``: so many points, each batch chosen by what the ones before scored.
    score
        The measure that a search maximises and readings go by; with a minus in front, less is better.
    params, market, account
        Settings that are held and differ from the defaults.
    start, end, repair, seed
        As for a run.
    level
        ``score``: one scorecard a setting; ``compact``: also its daily equity, which PBO needs; ``audit``: also its
        record, under ``out``.
    walk_forward
        Choose on one span, trade the next: lengths ``train`` and ``test``, ``mode``, ``purge``, ``embargo``,
        ``choose``.
    jobs
        Local processes; more than one takes Dask (extra ``cluster``).
    cluster
        Address of a Dask scheduler in place of them.
    send
        Whether bars are sent to the workers, or read by them; left out, sent to a cluster and read by local processes.
    out
        Folder to keep the results in. If it holds the same sweep already, what is finished is not done again.
    progress
        Called with settings done and settings in all.

    Raises
    ------
    ForcedFlowError
        Before any work: for a name that does not exist, a value out of bounds, an extra that is missing, a folder that
        holds something else. After it: where no task could be finished.

    Examples
    --------
    >>> import forcedflow as ff
    >>> swept = ff.sweep("simulated", grid={"risk": "0.5%,1%", "market.bin_bps": [5, 10]}, end="2025-01-15")
    >>> len(swept.table), swept.best().score >= swept.plateau().score
    (4, True)
    """
    many = [datasets] if isinstance(datasets, str | Path | Dataset) else list(datasets)
    given = {data.name: data for data in many if isinstance(data, Dataset)}
    config = parse(
        SweepConfig,
        {
            "datasets": [data.name if isinstance(data, Dataset) else str(data) for data in many],
            "strategies": [strategies] if isinstance(strategies, str) else _texts(strategies),
            "grid": {
                name: values if isinstance(values, str) else _plain(values) for name, values in (grid or {}).items()
            },
            "where": [where] if isinstance(where, str) else list(where),
            "sample": sample,
            "points": points,
            "search": search,
            "trials": trials,
            "score": score,
            "params": dict(params or {}),
            "market": dict(market or {}),
            "account": dict(account or {}),
            "start": start,
            "end": end,
            "repair": tuple(repair),
            "seed": seed,
            "level": level,
            "walk_forward": walk_forward,
        },
        "sweep",
    )
    return run_sweep(config, given, jobs=jobs, cluster=cluster, send=send, out=out, progress=progress)


def run_sweep(
    config: SweepConfig,
    datasets: Mapping[str, Dataset] | None = None,
    *,
    jobs: int = 1,
    cluster: str | None = None,
    send: bool | None = None,
    out: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Sweep:
    """Do the sweep that a config says.

    Parameters
    ----------
    datasets
        Those that exist in memory, by name; the config's others are loaded.
    jobs, cluster, send, out, progress
        As for :func:`sweep`.
    """
    if jobs < 1:
        raise SettingsError(f"jobs must be at least 1, was {jobs}")
    if config.level == "audit" and out is None:
        raise SettingsError("level audit writes records: give a folder (out)")
    groups = _groups(config, datasets or {})
    settings = None if config.search else _settings(config, groups)
    manifest = _manifest(config, groups, None if settings is None else sum(map(len, settings)))
    store = None if out is None else Store.begin(out, manifest)
    keeper = _Keeper(manifest, store, groups, progress)
    loaded = {group.source.data_hash: group.data for group in groups}
    everything = send if send is not None else cluster is not None
    sent = {group.source.data_hash for group in groups if everything or group.source.ref is None}
    with workers(jobs, cluster, loaded, sent) as who:
        if settings is None:
            _search(config, groups[0], keeper, who)
        else:
            size = min(_MOST_SETTINGS, max(1, -(-sum(map(len, settings)) // _LEAST_TASKS)))
            tasks, first = [], 0
            for group, found in zip(groups, settings, strict=True):
                tasks += _tasks(config, group, found, first, size, store)
                keeper.points |= {first + k: setting.point for k, setting in enumerate(found)}
                first += len(found)
            keeper.total = first
            keeper.do(tasks, who)
    return keeper.result()


@dataclass(frozen=True, slots=True)
class _Group:
    """One strategy on one dataset."""

    data: Dataset
    source: Source
    files: str
    code: Code
    kind: type[Strategy]
    space: Space
    folds: tuple[Fold, ...]

    def job(self, number: int, setting: Setting) -> tuple[Job, MarketSettings]:
        """Name a setting as the trial ledger does, and make it a job."""
        account, _ = with_venue_fees(setting.account, self.data)
        params = self.kind(**setting.params).model_dump(mode="json")
        key = setting_key(
            self.code.digest, params, setting.market.model_dump(mode="json"), account.model_dump(mode="json")
        )
        return Job(number, key, setting.params, account), setting.market


class _Keeper:
    """Keeps what comes in: in a folder if there is one, and in the trial ledger."""

    def __init__(
        self,
        manifest: dict[str, Any],
        store: Store | None,
        groups: Sequence[_Group],
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.manifest = manifest if store is None else store.manifest
        self.schema = schema_for(self.manifest)
        self.points: dict[int, Point] = {}
        self.total = 0
        self.store = store
        self._progress = progress or (lambda done, total: None)
        self._files = {group.source.data_hash: group.files for group in groups}
        self._tables: list[pa.Table] = []
        self._failures: list[dict[str, Any]] = []
        self._count = 0

    def do(self, tasks: Sequence[Task], who: Workers) -> list[pa.Table]:
        """Do tasks that are not done yet, and return the rows of all of them, in the order of the tasks."""
        found: dict[str, pa.Table] = {}
        done = set() if self.store is None else self.store.done()
        left = []
        for task in tasks:
            if self.store is not None and task.key in done:
                found[task.key] = self.store.part(task.key)
                self._told(task)
            else:
                left.append(task)
        for outcome in who.run(left):
            task = outcome.task
            if outcome.rows is None:
                self._fail(task, outcome.error or "unknown")
            else:
                found[task.key] = self._keep(task, outcome.rows)
            self._told(task)
        tables = [found[task.key] for task in tasks if task.key in found]
        self._tables += tables
        return tables

    def result(self) -> Sweep:
        """Return the sweep.

        Raises
        ------
        RecordError
            Where nothing could be done.
        """
        if self._failures and not self._tables:
            raise RecordError(f"no task of the sweep could be finished; the first: {self._failures[0]['why']}")
        if self.store is not None:
            self.store.tidy()
            rows = self.store.table(self.schema)
            return Sweep(self.manifest, rows, self.store.failures(), self.store.folder)
        return Sweep(self.manifest, in_order(self._tables, self.schema), self._failures, None)

    def _keep(self, task: Task, rows: Iterable[dict[str, Any]]) -> pa.Table:
        listed = list(rows)
        if task.records is not None:
            missing = [
                row["key"] for row in listed if row["error"] is None and not (Path(task.records) / row["key"]).is_dir()
            ]
            if missing:
                raise RecordError(
                    f"the workers wrote records that are not at {task.records}: they must share that folder"
                )
        where = {"dataset": task.source.name, "strategy": task.code.ref}
        columns = [
            row | where | {column_of(name): value for name, value in self.points[row["setting"]].items()}
            for row in listed
        ]
        table = rows_table(columns, self.schema)
        source = task.source
        add_trials(source.data_hash, self._files[source.data_hash], source.name, [job.key for job in task.jobs])
        if self.store is not None:
            self.store.write(task.key, table)
        return table

    def _fail(self, task: Task, why: str) -> None:
        numbers = [job.number for job in task.jobs]
        self._failures.append({"settings": numbers, "why": why})
        if self.store is not None:
            self.store.fail(task.key, numbers, why)

    def _told(self, task: Task) -> None:
        self._count += len(task.jobs)
        self._progress(self._count, self.total)


def _groups(config: SweepConfig, given: Mapping[str, Dataset]) -> list[_Group]:
    """Load datasets and strategies, and check every value before any work is done."""
    kinds = {ref: find_strategy(ref) for ref in config.strategies}
    loaded = {
        ref: given.get(ref) or load_dataset(ref, config.start, config.end, config.repair) for ref in config.datasets
    }
    groups = []
    for ref, data in loaded.items():
        part = data.between(config.start, config.end) if ref in given else data
        data_hash = part.data_hash
        source = Source(
            part.name if ref in given else ref,
            data_hash,
            None if ref in given else ref,
            config.start,
            config.end,
            config.repair,
        )
        folds = () if config.walk_forward is None else make_folds(part.bars, config.walk_forward)
        for name, kind in kinds.items():
            code = Code(name, kind.source or inspect.getsource(kind), source_hash(kind))
            fixed = {"params": config.params, "market": config.market, "account": config.account}
            others = [other for other in kinds.values() if other is not kind]
            space = make_space(kind, config.grid, config.where, fixed, part.bars.interval, others)  # type: ignore[arg-type]
            groups.append(_Group(part, source, files_hash(part.files, data_hash), code, kind, space, folds))
    return groups


def _settings(config: SweepConfig, groups: Sequence[_Group]) -> list[list[Setting]]:
    """Return the validated settings of each group."""
    found = []
    for group in groups:
        space = group.space
        points = (
            list(space.points()) if config.sample is None else space.sample(config.sample, config.points, config.seed)
        )
        if not points:
            raise SettingsError(
                f"the constraints leave no point of {group.code.ref} on {group.source.name}; loosen them"
            )
        found.append([space.setting(point) for point in points])
    return found


def _tasks(
    config: SweepConfig, group: _Group, settings: Iterable[Setting], first: int, size: int, store: Store | None
) -> list[Task]:
    """Put settings of one market together, and cut what is too large for one task; the same whoever does them."""
    by_market: dict[str, tuple[MarketSettings, list[Job]]] = {}
    for number, setting in enumerate(settings, first):
        job, market = group.job(number, setting)
        by_market.setdefault(market.model_dump_json(), (market, []))[1].append(job)
    tasks = []
    for market, jobs in by_market.values():
        jobs.sort(key=lambda job: (_order(job.account), job.number))
        count = -(-len(jobs) // size)
        for k in range(count):
            some = jobs[k * len(jobs) // count : (k + 1) * len(jobs) // count]
            tasks.append(
                Task(
                    group.source,
                    group.code,
                    market,
                    tuple(some),
                    config.level,
                    parts_of(group.folds),
                    str(store.folder / "runs") if store is not None and config.level == "audit" else None,
                    config.seed,
                )
            )
    return tasks


def _order(account: AccountSettings) -> str:
    return account.model_dump_json()


def _search(config: SweepConfig, group: _Group, keeper: _Keeper, who: Workers) -> None:
    """Ask for points, do them, tell their scores; finished parts answer for themselves."""
    search = Search(group.space, config.trials, config.batch, config.seed)
    keeper.total, first = config.trials, 0
    while points := search.ask():
        settings = [group.space.setting(point) for point in points]
        numbers = range(first, first + len(points))
        keeper.points |= dict(zip(numbers, points, strict=True))
        tables = keeper.do(_tasks(config, group, settings, first, 1, keeper.store), who)
        cards = {row["setting"]: row for table in tables for row in table.to_pylist()}
        search.tell(points, scores_of([cards.get(number, {}) for number in numbers], config.score).tolist())
        first += len(points)


def _manifest(config: SweepConfig, groups: Sequence[_Group], settings: int | None) -> dict[str, Any]:
    names = ("forcedflow", "numba", "numpy", *(("optuna",) if config.search else ()))
    decides = config.model_dump(mode="json") | {
        "data_hash": {group.source.name: group.source.data_hash for group in groups},
        "strategy_hash": {group.code.ref: group.code.digest for group in groups},
        "versions": {name: version(name) for name in names} | {"python": platform.python_version()},
    }
    return {
        "config": config.model_dump(mode="json"),
        "decides": decides,
        "settings": settings,
        "groups": [_described(group) for group in groups],
    }


def _described(group: _Group) -> dict[str, Any]:
    bars, calendar = group.data.bars, group.data.calendar
    folds = []
    for fold in group.folds:
        test = bars.between(int(bars.ts[fold.test[0]]), int(bars.close_ts[fold.test[1] - 1]))
        folds.append({"number": fold.number, "times": list(fold.times), "days": day_ends(test, calendar).tolist()})
    return {
        "dataset": group.source.name,
        "title": group.data.title,
        "data_hash": group.source.data_hash,
        "files": group.files,
        "bars": len(bars),
        "from": time_text(int(bars.ts[0])),
        "to": time_text(int(bars.close_ts[-1])),
        "calendar": calendar,
        "notes": list(group.data.notes),
        "strategy": group.code.ref,
        "strategy_hash": group.code.digest,
        "axes": [axis.spec() for axis in group.space.axes],
        "days": day_ends(bars, calendar).tolist(),
        "folds": folds,
    }


def _texts(refs: Path | Sequence[str | Path]) -> list[str]:
    return [str(refs)] if isinstance(refs, Path) else [str(ref) for ref in refs]


def _plain(values: Sequence[Any]) -> list[Any]:
    """Return values as JSON has them: an array's numbers as Python's."""
    return [value.item() if hasattr(value, "item") else value for value in values]
