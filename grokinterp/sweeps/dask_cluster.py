"""A Dask cluster behind the executor of ``client.get_executor()``."""

import asyncio
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future
from typing import Any, TypeVar

Task = TypeVar("Task")


def dask_client(executor: Executor) -> Any:
    """The client behind a Dask executor; None for other executors."""
    return getattr(executor, "_client", None)


def submit_to_dask(executor: Executor, work: Callable[[Task], Any], task: Task) -> Future[Any]:
    """Like ``executor.submit(work, task)``, also if the worker leaves just after it has finished.

    Dask's own executor asks for a future's result and then for its status. If the worker leaves
    between the two, the status is "lost", and the result that has arrived is taken for an error.
    """
    client = dask_client(executor)
    # With pure=True Dask would return the old error for a block that failed before.
    there = client.submit(work, task, **{**vars(executor)["_kwargs"], "pure": False})
    here: Future[Any] = Future()

    async def pass_on() -> None:
        result, error = None, None
        try:
            result = await client.gather(there, asynchronous=True)
        except (CancelledError, asyncio.CancelledError):
            here.cancel()
        except BaseException as raised:  # whatever the task raised, it belongs to the caller
            error = raised
        if not here.set_running_or_notify_cancel():
            return
        if error is None:
            here.set_result(result)
        else:
            here.set_exception(error)

    def withdraw(future: Future[Any]) -> None:
        if future.cancelled() and there.status != "cancelled":
            there.cancel()

    here.add_done_callback(withdraw)
    client.loop.add_callback(pass_on)
    return here


def count_dask_workers(executor: Executor) -> int | None:
    """Number of workers a Dask cluster has now; None for other executors."""
    client = dask_client(executor)
    if client is None:
        return None
    try:
        return len(client.nthreads())
    except (OSError, TimeoutError):  # the scheduler does not answer
        return 0


def await_dask_workers(executor: Executor, timeout: float) -> bool:
    """Wait until a Dask cluster has a worker; False if it has none after ``timeout`` seconds."""
    client = dask_client(executor)
    if client is None:
        return True
    try:
        client.wait_for_workers(1, timeout=timeout)
    except TimeoutError:
        return False
    return True
