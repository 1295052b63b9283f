"""Where sources are computed: in this process, or several at once in processes of their own.

Small networks are bound by Python, which runs in one thread of a process at a time: then more
threads gain nothing, and more processes do.
"""

import contextlib
import multiprocessing
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import torch

from grokinterp.sweeps.workers import end_with_driver
from grokinterp.team import available_threads

Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")
Task = TypeVar("Task")


def done(
    tasks: Sequence[Task],
    call: Callable[[Task], tuple[Any, ...] | None],
    *,
    after: Callable[[Task], Collection[Task]],
    apart: Callable[[Task], Hashable],
    lanes: int,
) -> Iterator[tuple[Task, Future[Any]]]:
    """Yield each task with its future as it finishes.

    If a process dies, tasks that were running have an error, and new processes do the others.

    Args:
        tasks: begun in this order, as lanes become free.
        call: asked when a task is to begin: a function and its arguments, or None to leave it out.
        after: tasks that a task waits for, if they are among these.
        apart: tasks for which this is equal never run at the same time.
        lanes: how many tasks to do at once: 1 in this process, more in processes of their own.
    """
    waiting, busy = list(tasks), dict[Future[Any], Task]()
    while waiting:
        with executor(lanes) as pool:
            broken = False
            while busy or (waiting and not broken):
                taken = {apart(task) for task in busy.values()}
                undone = [*waiting, *busy.values()]
                free = [
                    task
                    for task in waiting
                    if not broken
                    and apart(task) not in taken
                    and not any(other in undone for other in after(task))
                ]
                if free and len(busy) < lanes:
                    waiting.remove(free[0])
                    if (asked := call(free[0])) is None:
                        continue
                    try:
                        busy[pool.submit(*asked)] = free[0]
                    except BrokenExecutor:  # a process died since we last looked
                        waiting.insert(0, free[0])
                        broken = True
                    continue
                for future in wait(busy, return_when=FIRST_COMPLETED).done:
                    broken |= isinstance(future.exception(), BrokenExecutor)
                    yield busy.pop(future), future


class Here(Executor):
    """Calls each function at once, in this process."""

    def submit(
        self,
        fn: Callable[Arguments, Returned],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Future[Returned]:
        """The future of a call that is over; an interrupt is raised."""
        future: Future[Returned] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # raised by the future's result()
            future.set_exception(error)
        return future


@contextlib.contextmanager
def executor(count: int) -> Iterator[Executor]:
    """An executor that does ``count`` tasks at once; they share torch's threads.

    For one it is this process. For more it starts a process for each task; they end at once if the
    block is left by an error or an interrupt.
    """
    if count == 1:
        yield Here()
        return
    with ProcessPoolExecutor(
        count,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(max(1, available_threads() // count),),
        max_tasks_per_child=1,
    ) as pool:
        try:
            yield pool
        except BaseException:
            for child in multiprocessing.active_children():
                child.terminate()
            raise


def _begin(threads: int) -> None:
    end_with_driver()
    torch.set_num_threads(threads)


def with_output_in(file: Path, function: Callable[..., Returned], *args: Any) -> Returned:
    """Call a function; what it prints, bars and warnings included, goes to ``file``."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with (
        file.open("w", encoding="utf-8", buffering=1) as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        return function(*args)
