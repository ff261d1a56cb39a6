"""Who does a sweep's tasks, with the same results: this process, local processes, or a Dask cluster anywhere."""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from forcedflow.errors import SettingsError, extra_needed
from forcedflow.study.sweeps.tasks import Task, forget, run_task

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from forcedflow.data.series import Dataset

__all__ = ["PATIENCE", "Outcome", "Workers", "local_cluster", "workers"]

PATIENCE: Final = "10s"
"""How long a scheduler may take to answer."""

_MEMORY: Final = {"MALLOC_MMAP_THRESHOLD_": 1 << 30, "MALLOC_TRIM_THRESHOLD_": 1 << 33}
"""Workers keep the memory that they have: Dask has it given back at every chance, but a task's arrays are as large as
those of the one before, and to be given their pages anew took a quarter of the time."""

_TRIES: Final = 2  # alone, of a task that was running where a worker died


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a task."""

    task: Task
    rows: list[dict[str, Any]] | None
    error: str | None = None
    """Why there are no rows."""


class Workers(Protocol):
    """Does tasks, in any order."""

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Yield the outcome of each task as it comes."""
        ...


@contextmanager
def workers(
    jobs: int, cluster: str | None, datasets: Mapping[str, Dataset], sent: Collection[str]
) -> Iterator[Workers]:
    """Open workers, and close them whatever happens.

    Parameters
    ----------
    jobs
        Local processes; 1 works in this one, without Dask.
    cluster
        Address of a Dask scheduler in place of local processes, such as ``tcp://10.0.0.5:8786``.
    datasets
        The bars by data hash.
    sent
        Hashes of those that other processes are sent, once; the rest they read from where it lies.

    Raises
    ------
    SettingsError
        Where Dask is missing or the scheduler does not answer.
    """
    if cluster is None and jobs == 1:
        try:
            yield _Here(datasets)
        finally:
            forget()
        return
    try:
        import distributed  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise extra_needed("--cluster" if cluster else "--jobs", "Dask", "cluster", "leave it out") from error
    parcel = {key: data for key, data in datasets.items() if key in sent}
    # Its own log tells of every worker that stops; a sweep reports what matters.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    if cluster is not None:
        try:
            client = distributed.Client(cluster, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:
            raise SettingsError(f"no Dask scheduler answers at {cluster}: {error}") from error
        with client:
            yield _Dask(client, parcel)
        return
    with local_cluster(jobs) as local, distributed.Client(local, set_as_default=False) as client:
        yield _Dask(client, parcel)


def local_cluster(jobs: int) -> Any:
    """Start so many processes of one thread each, which end with the cluster that is returned, a context."""
    import dask.config  # noqa: PLC0415  (an extra)
    import distributed  # noqa: PLC0415

    # One death of its worker is enough to try a task alone.
    settings: dict[str, Any] = {
        "distributed.scheduler.allowed-failures": 0,
        "distributed.nanny.pre-spawn-environ": dask.config.get("distributed.nanny.pre-spawn-environ", {}) | _MEMORY,
    }
    # Numba would start as many threads as there are cores in each worker; kernels run in one.
    options: dict[str, Any] = {"env": {"NUMBA_NUM_THREADS": "1"}, "dashboard_address": "127.0.0.1:0", "memory_limit": 0}
    with dask.config.set(settings), _deaf_to_interrupts():
        return distributed.LocalCluster(
            n_workers=jobs, threads_per_worker=1, processes=True, silence_logs=logging.CRITICAL, **options
        )


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Start processes that ignore Ctrl-C, which a terminal sends to all of them: their parent ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say what a signal does, and only it is interrupted
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Here:
    """Does the tasks in the parent process."""

    def __init__(self, datasets: Mapping[str, Dataset]) -> None:
        self._datasets = datasets

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        for task in tasks:
            try:
                rows = run_task(task, self._datasets[task.source.data_hash])
            except Exception as error:  # one task's failure is not the sweep's
                yield Outcome(task, None, _told(error))
            else:
                yield Outcome(task, rows)


class _Dask:
    """Processes that a Dask scheduler knows."""

    def __init__(self, client: Any, sent: Mapping[str, Dataset]) -> None:
        self._client, self._datasets = client, sent
        self._held: dict[str, Any] = {}
        self._send()

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Yield outcomes; a task that takes its workers down is set aside in the end.

        Dask blames every task that a dying worker had. So those that it gives up on run one by one at the end: what
        takes workers down then is to blame, and nothing else is lost.
        """
        blamed: list[Task] = []
        for task, outcome in self._tried(tasks):
            if outcome is None:
                blamed.append(task)
            else:
                yield outcome
        yield from map(self._alone, blamed)

    def _alone(self, task: Task) -> Outcome:
        for _ in range(_TRIES):
            self._send()  # the bars may have gone with the workers that held them
            ((_, outcome),) = self._tried([task])
            if outcome is not None:
                return outcome
        return Outcome(task, None, "it takes down the worker that tries it: memory, or code that crashes")

    def _send(self) -> None:
        # Not named by their content: to hash the bars once more takes a fifth of the time to send them.
        self._held = {
            key: self._client.scatter(data, broadcast=True, hash=False) for key, data in self._datasets.items()
        }

    def _tried(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Outcome | None]]:
        """Yield each task with its outcome, None where the worker was lost."""
        from distributed import as_completed  # noqa: PLC0415

        running = {self._submit(task): task for task in tasks}
        try:
            for future in as_completed(list(running), loop=self._client.loop):
                task = running[future]
                yield task, _outcome(task, future)
                future.release()  # the rows are here: no worker need keep them
        finally:
            self._client.cancel(list(running))

    def _submit(self, task: Task) -> Any:
        return self._client.submit(run_task, task, self._held.get(task.source.data_hash), pure=False)


def _outcome(task: Task, future: Any) -> Outcome | None:
    """Take a result to here; None where a worker was lost: with the task, its bars, or the rows that it had ready."""
    if future.status == "cancelled":
        return None
    try:
        return Outcome(task, future.result())
    except Exception as error:  # the task's own, or Dask's
        lost = type(error).__name__ in {"KilledWorker", "CancelledError", "FutureCancelledError"}
        return None if lost else Outcome(task, None, _told(error))


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
