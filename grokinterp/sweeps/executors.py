"""Train the blocks of a sweep on any ``concurrent.futures`` executor, even if workers die."""

import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from typing import Any, TypeVar

import torch

from grokinterp.short_text import short
from grokinterp.sweeps.dask_cluster import (
    await_dask_workers,
    count_dask_workers,
    dask_client,
    submit_to_dask,
)
from grokinterp.sweeps.workers import BlockKilledWorkers, can_be_replaced, run_in_processes
from grokinterp.team import available_threads

Task = TypeVar("Task")
_LOOK_EVERY_S = 2.0
_WHY_THEY_DIE = (
    "Possible causes: killed, out of memory, or a measure that workers cannot import (defined in a "
    "notebook, or a script without 'if __name__ == \"__main__\":'). Finished runs are stored"
)


class SweepExecutorError(Exception):
    """The executor has no workers, or they keep dying. Finished runs are kept.

    Examples:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> import grokinterp as gi
        >>> executor = ThreadPoolExecutor()
        >>> executor.shutdown()
        >>> config = gi.RunConfig().replace({"data.p": 7, "training.steps": 10})
        >>> try:
        ...     result = gi.sweep(config, {"training.lr": [1e-2]}, executor=executor)
        ... except gi.SweepExecutorError as error:
        ...     print(error)
        cannot schedule new futures after shutdown; make a new executor and resume
    """


def check_executor(executor: object, device: torch.device) -> None:
    """Raise if ``executor`` is not an executor, or its workers cannot use the device."""
    if executor is None:
        return
    if not isinstance(executor, Executor):
        raise TypeError(
            f"executor must be a concurrent.futures.Executor, got {short(executor)}; for a Dask "
            "client, pass client.get_executor()"
        )
    if getattr(dask_client(executor), "status", None) in ("closing", "closed"):
        raise SweepExecutorError("the Dask client is closed; make a new one and resume")
    context = getattr(executor, "_mp_context", None)
    if device.type == "cuda" and context is not None and context.get_start_method() == "fork":
        raise ValueError(
            "executor forks its workers, which does not work with CUDA; use "
            'ProcessPoolExecutor(n, mp_context=multiprocessing.get_context("spawn"))'
        )


def check_sendable(executor: Executor | None, work: object) -> None:
    """Raise if the executor uses other processes and ``work`` cannot be sent to them."""
    if executor is not None and dask_client(executor) is not None:
        from distributed.protocol.pickle import dumps  # pickles functions by value, unlike pickle

        remedy = "it must not hold locks, open files or connections; create them when it is called"
    elif isinstance(executor, ProcessPoolExecutor):
        dumps = pickle.dumps
        remedy = (
            "define it with def at the top of a module; lambdas and functions inside functions "
            "work with threads and Dask"
        )
    else:
        return
    try:
        dumps(work)
    except Exception as error:  # a user's object may raise anything
        raise TypeError(
            f"a measure cannot be sent to worker processes: {error}; {remedy}"
        ) from error


def threads_per_task(executor: Executor | None) -> int | None:
    """CPU threads per task, so that all workers together use as many as torch uses here.

    A Dask worker runs one task per thread, so each task gets one. Returns None without an
    executor: the task may use all of torch's threads.
    """
    if executor is None:
        return None
    workers = getattr(executor, "_max_workers", None)
    if not isinstance(workers, int):
        return 1
    return max(1, available_threads() // workers)


def count_workers(executor: Executor) -> int:
    """Number of tasks that run at the same time; 1 if the executor does not say."""
    client = dask_client(executor)
    if client is not None:
        return max(1, sum(client.nthreads().values()))
    workers = getattr(executor, "_max_workers", 1)
    return workers if isinstance(workers, int) else 1


def run_all(
    executor: Executor,
    work: Callable[[Task], Any],
    tasks: Sequence[Task],
    *,
    worker_timeout: float,
    describe: Callable[[Task], str],
) -> Iterator[tuple[Task, Any]]:
    """Yield each task with its result as it finishes, in any order.

    If a task fails, waiting tasks are cancelled and running ones are finished and yielded; then the
    error is raised, so no finished result is lost. If a worker of a process pool dies, a new pool
    continues; Dask replaces workers itself.

    Raises:
        SweepExecutorError: no worker for ``worker_timeout`` seconds, the executor broke, or a task
            killed every worker that tried it (the message names it by ``describe``).
    """
    if not await_dask_workers(executor, worker_timeout):
        raise SweepExecutorError(_no_workers(worker_timeout))

    def run(pool: Executor, some: Sequence[Task]) -> Iterator[tuple[Task, Any]]:
        return _run(pool, work, some, worker_timeout)

    try:
        if isinstance(executor, ProcessPoolExecutor) and can_be_replaced(executor):
            yield from run_in_processes(executor, tasks, run)
        else:
            yield from run(executor, tasks)
    except BlockKilledWorkers as error:
        raise SweepExecutorError(
            f"the workers that trained the block with {describe(error.args[0])} died three times, "
            f"the last time with no other block running ({error.__cause__}). {_WHY_THEY_DIE}; "
            "fix this, then resume"
        ) from error
    except BrokenExecutor as error:
        raise SweepExecutorError(
            f"workers died while training ({error}). {_WHY_THEY_DIE}; make a new executor (with "
            "fewer workers, or a smaller chunk) and resume"
        ) from error
    except RuntimeError as error:
        if "shutdown" not in str(error):
            raise
        raise SweepExecutorError(f"{error}; make a new executor and resume") from error
    except Exception as error:
        if type(error).__name__ != "KilledWorker":  # raised by Dask after several tries
            raise
        raise SweepExecutorError(
            f"workers died while training ({error}). {_WHY_THEY_DIE}; fix this, then resume"
        ) from error


def _run(
    executor: Executor,
    work: Callable[[Task], Any],
    tasks: Sequence[Task],
    worker_timeout: float,
) -> Iterator[tuple[Task, Any]]:
    """Like :func:`run_all` on one executor, which a dying worker may break; errors pass through."""
    failure: BaseException | None = None
    waiting: dict[Future[Any], Task] = {}
    try:
        try:
            for task in tasks:
                waiting[_submit(executor, work, task)] = task
        except RuntimeError as error:  # the executor is broken or shut down
            failure = error
            _cancel(waiting)
        idle_since = time.monotonic()
        while waiting:
            look = min(_LOOK_EVERY_S, worker_timeout)
            wait(waiting, timeout=look, return_when=FIRST_COMPLETED)
            # wait() does not report futures that a shutdown cancelled, so ask each future.
            ready = [future for future in waiting if future.done()]
            if ready or count_dask_workers(executor) != 0:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since > worker_timeout:
                raise SweepExecutorError(_no_workers(worker_timeout))
            for future in ready:
                if future not in waiting:
                    continue
                task = waiting.pop(future)
                if future.cancelled():  # by the executor: those we cancel leave ``waiting``
                    error: BaseException | None = BrokenExecutor("it cancelled its tasks")
                else:
                    error = future.exception()
                if error is None:
                    yield task, future.result()
                elif failure is None or isinstance(failure, BrokenExecutor):
                    failure = error  # a measure's error says more than a broken executor
                    _cancel(waiting)
    finally:
        _cancel(waiting)
    if failure is not None:
        raise failure


def _submit(executor: Executor, work: Callable[[Task], Any], task: Task) -> Future[Any]:
    if dask_client(executor) is None:
        return executor.submit(work, task)
    return submit_to_dask(executor, work, task)


def _cancel(waiting: dict[Future[Any], Any]) -> None:
    """Cancel the futures that have not begun, and remove them from ``waiting``."""
    for future in list(waiting):
        if future.cancel():
            del waiting[future]


def _no_workers(timeout: float) -> str:
    return (
        f"the Dask cluster has had no worker for {timeout:g} s; start workers (cluster.scale(4)) "
        "or raise worker_timeout, and resume"
    )
