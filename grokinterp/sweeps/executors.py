"""Blocks of a sweep trained on any ``concurrent.futures`` executor, whatever becomes of it."""

import os
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

Task = TypeVar("Task")
_LOOK_EVERY_S = 2.0


class SweepExecutorError(Exception):
    """The executor cannot do the work: no workers, or they keep dying; what is finished is kept."""


def threads_per_task(executor: Executor | None) -> int | None:
    """Threads one task may use, so that all workers together use the cores once.

    A Dask worker runs as many tasks at once as it was given threads, so each task gets one.
    None, without an executor: all that torch may use.
    """
    if executor is None:
        return None
    workers = getattr(executor, "_max_workers", None)
    if not isinstance(workers, int):
        return 1
    return max(1, len(os.sched_getaffinity(0)) // workers)


def run_all(
    executor: Executor,
    work: Callable[[Task], Any],
    tasks: Sequence[Task],
    *,
    worker_timeout: float,
) -> Iterator[tuple[Task, Any]]:
    """Tasks with their results as they finish, in any order.

    When a task fails the rest that has not begun is cancelled, what is running is waited for and
    handed out, and the error is raised last: nothing finished is lost.

    Raises:
        SweepExecutorError: no worker for ``worker_timeout`` seconds, or the executor broke.
    """
    _check_picklable(executor, work)
    _await_dask_workers(executor, worker_timeout)
    failure: BaseException | None = None
    waiting: dict[Future[Any], Task] = {}
    try:
        for task in tasks:
            waiting[executor.submit(work, task)] = task
        idle_since = time.monotonic()
        while waiting:
            ready, _ = wait(waiting, timeout=_LOOK_EVERY_S, return_when=FIRST_COMPLETED)
            if ready or _dask_workers(executor) != 0:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since > worker_timeout:
                raise SweepExecutorError(_no_workers(worker_timeout))
            for future in ready:
                task = waiting.pop(future)
                if future.cancelled():
                    continue
                error = future.exception()
                if error is None:
                    yield task, future.result()
                elif failure is None:
                    failure = error
                    for other in waiting:
                        other.cancel()
    finally:
        for future in waiting:
            future.cancel()
    if isinstance(failure, BrokenExecutor) or type(failure).__name__ == "KilledWorker":
        raise SweepExecutorError(
            f"workers died while training ({failure}): out of memory, or killed. What was finished "
            "is stored; make a new executor (with fewer workers, or a smaller chunk) and resume"
        ) from failure
    if failure is not None:
        raise failure


def _check_picklable(executor: Executor, work: object) -> None:
    if isinstance(executor, ProcessPoolExecutor):
        try:
            pickle.dumps(work)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise TypeError(
                f"a measure cannot be sent to worker processes: {error}. Define it with def at the "
                "top of a module; lambdas and functions inside functions work with threads and Dask"
            ) from error


def _dask_client(executor: Executor) -> Any:
    return getattr(executor, "_client", None)


def _dask_workers(executor: Executor) -> int | None:
    """How many workers a Dask cluster has now; None for another executor."""
    client = _dask_client(executor)
    return None if client is None else len(client.scheduler_info(n_workers=-1)["workers"])


def _await_dask_workers(executor: Executor, timeout: float) -> None:
    client = _dask_client(executor)
    if client is None:
        return
    try:
        client.wait_for_workers(1, timeout=timeout)
    except TimeoutError as error:
        raise SweepExecutorError(_no_workers(timeout)) from error


def _no_workers(timeout: float) -> str:
    return (
        f"the Dask cluster has had no worker for {timeout:g} s; start workers (cluster.scale(4)) "
        "or raise worker_timeout, and resume"
    )
