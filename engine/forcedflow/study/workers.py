"""Who does a sweep's tasks, with the same results: this process, local processes, or a Dask cluster anywhere."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from forcedflow.errors import SettingsError
from forcedflow.study.tasks import Task, forget, run_task

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from forcedflow.data.series import Dataset

__all__ = ["Outcome", "Workers", "workers"]


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
    jobs: int, cluster: str | None, datasets: Mapping[str, Dataset], *, send: bool | None = None
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
    send
        Whether each dataset is sent to the workers once (a cluster may not see the files), or read by them where they
        are. Left out: a cluster is sent them, local processes read. Data made in memory are sent in any case.

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
        wanted = "--cluster" if cluster else "--jobs"
        raise SettingsError(f"{wanted} takes Dask: pip install 'forcedflow[cluster]', or leave it out") from error
    # Its own log tells of every worker that stops; a sweep reports what matters.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    if cluster is not None:
        try:
            client = distributed.Client(cluster, timeout="10s", set_as_default=False)
        except (OSError, ValueError) as error:
            raise SettingsError(f"no Dask scheduler answers at {cluster}: {error}") from error
        with client:
            yield _Dask(client, datasets if send in {None, True} else {})
        return
    # Numba would start as many threads as there are cores in each worker; kernels run in one.
    options: dict[str, Any] = {"env": {"NUMBA_NUM_THREADS": "1"}, "dashboard_address": None}
    with (
        distributed.LocalCluster(
            n_workers=jobs,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,
            silence_logs=logging.CRITICAL,
            **options,
        ) as local,
        distributed.Client(local, set_as_default=False) as client,
    ):
        yield _Dask(client, datasets if send else {})


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

    def __init__(self, client: Any, datasets: Mapping[str, Dataset]) -> None:
        self._client = client
        self._sent = {key: client.scatter(data, broadcast=True, hash=False) for key, data in datasets.items()}

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Yield outcomes; a task that takes its worker down is tried alone once more, then set aside.

        Dask tries the tasks of a worker that died again, and blames them all. So those that it gives up on run one by
        one at the end: only the one that kills a worker then is to blame.
        """
        blamed: list[Task] = []
        for task, future in self._finished(tasks):
            if future.status == "error" and _lost(future.exception()):
                blamed.append(task)
            else:
                yield _outcome(task, future)
        for task in blamed:
            yield from (_outcome(task, future) for task, future in self._finished([task]))

    def _finished(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Any]]:
        from distributed import as_completed  # noqa: PLC0415

        running = {self._submit(task): task for task in tasks}
        try:
            for future in as_completed(list(running), loop=self._client.loop):
                yield running[future], future
                future.release()
        finally:
            self._client.cancel(list(running))

    def _submit(self, task: Task) -> Any:
        data = self._sent.get(task.source.data_hash)
        return self._client.submit(run_task, task, data, pure=False, retries=0)


def _lost(error: BaseException) -> bool:
    return type(error).__name__ == "KilledWorker"


def _outcome(task: Task, future: Any) -> Outcome:
    if future.status == "finished":
        return Outcome(task, future.result())
    error = future.exception() if future.status == "error" else RuntimeError("it was cancelled")
    if _lost(error):
        return Outcome(task, None, "it took down every worker that tried it: out of memory, or code that crashes")
    return Outcome(task, None, _told(error))


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
