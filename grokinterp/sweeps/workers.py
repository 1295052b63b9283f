"""Worker processes of a pool. They end with the driver (the process that runs the sweep).

A pool whose worker died is replaced.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from typing import Any, TypeVar

Task = TypeVar("Task")
_LOOK_EVERY_S = 1.0
_watched = threading.Event()  # set in a worker that already watches its driver


class BlockKilledWorkers(Exception):
    """A block killed its worker at every try, the last time while no other block was running."""


def end_with_driver() -> None:
    """Call in a worker process: ends it soon after the process that started it has ended."""
    driver = multiprocessing.parent_process()
    if driver is None or _watched.is_set():
        return
    _watched.set()
    starter = os.getppid()  # the driver, or its fork server, which ends with the driver

    def watch() -> None:
        # is_alive() alone is not enough: it watches a pipe whose driver's end later forks hold too.
        while driver.is_alive() and os.getppid() == starter:
            driver.join(_LOOK_EVERY_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="grokinterp-driver").start()


class Beginning:
    """Pool initializer that watches the driver, then calls the user's own initializer.

    Args:
        initializer: the user's initializer, or None.
        arguments: its arguments.
    """

    def __init__(self, initializer: Callable[..., object] | None, arguments: Iterable[Any]) -> None:
        self.initializer, self.arguments = initializer, tuple(arguments)

    def __call__(self) -> None:
        """Run in the worker process."""
        end_with_driver()
        if self.initializer is not None:
            self.initializer(*self.arguments)


def can_be_replaced(executor: Executor) -> bool:
    """Whether we can make another pool with the same settings."""
    return type(executor) is ProcessPoolExecutor


def run_in_processes(
    pool: ProcessPoolExecutor,
    tasks: Sequence[Task],
    run: Callable[[Executor, Sequence[Task]], Iterator[tuple[Task, Any]]],
) -> Iterator[tuple[Task, Any]]:
    """Yield each task with its result, even if workers die.

    A worker that dies breaks its pool; a new pool with the same settings then continues. The pool
    does not say which task killed the worker, so a task that was running at two such deaths is
    tried alone.

    Args:
        pool: the user's pool; it is not shut down, even if it is broken.
        tasks: the tasks to do.
        run: runs some tasks on a pool; raises BrokenExecutor when a worker dies.

    Raises:
        BlockKilledWorkers: raised from the pool's error; its only argument is the task.
    """
    initializer: Any = getattr(pool, "_initializer", None)
    if not isinstance(initializer, Beginning):  # applies to workers that are started from now on
        arguments = getattr(pool, "_initargs", ())
        vars(pool).update(_initializer=Beginning(initializer, arguments), _initargs=())
    left, deaths = list(tasks), [0] * len(tasks)
    number = {id(task): i for i, task in enumerate(tasks)}
    with _Pools(pool) as pools:
        while left:
            alone = [task for task in left if deaths[number[id(task)]] == 2][:1]
            finished: set[int] = set()
            try:
                for task, result in run(pools.now(), alone or left):
                    finished.add(id(task))
                    yield task, result
            except BrokenExecutor as error:
                if alone and not finished:
                    raise BlockKilledWorkers(*alone) from error
                # Tasks begin in order, so the first unfinished ones were running.
                running = [task for task in alone or left if id(task) not in finished]
                for task in running[: pools.size]:
                    deaths[number[id(task)]] += 1
            left = [task for task in left if id(task) not in finished]


class _Pools:
    """The pool in use: the user's at first; after a worker's death our own, ended here."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._given = self._pool = pool
        self.size: int = vars(pool)["_max_workers"]

    def now(self) -> ProcessPoolExecutor:
        """A pool that is not broken."""
        if getattr(self._pool, "_broken", False):
            self._end()
            how = vars(self._given)
            limit = how.get("_max_tasks_per_child")
            self._pool = ProcessPoolExecutor(
                self.size,
                how["_mp_context"],
                how["_initializer"],
                how["_initargs"],
                **({} if limit is None else {"max_tasks_per_child": limit}),
            )
        return self._pool

    def __enter__(self) -> "_Pools":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and self._pool is not self._given:
            for process in list((vars(self._pool).get("_processes") or {}).values()):
                process.terminate()  # its results are no longer wanted
        self._end()

    def _end(self) -> None:
        if self._pool is not self._given:
            self._pool.shutdown(cancel_futures=True)
