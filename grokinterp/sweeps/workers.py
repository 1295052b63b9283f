"""Worker processes of a pool: they end with their driver, and are replaced when they die."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from typing import Any, TypeVar

Task = TypeVar("Task")
_LOOK_EVERY_S = 1.0
_watched = threading.Event()  # in a worker: it has been told to end with its driver


class BlockKilledWorkers(Exception):
    """A block's workers died whenever it was tried, the last time with no other block beside it."""


def end_with_driver() -> None:
    """In a worker process: end it soon after the process that started it is gone."""
    driver = multiprocessing.parent_process()
    if driver is None or _watched.is_set():
        return
    _watched.set()
    starter = os.getppid()  # the driver, or its fork server, which ends with it

    def watch() -> None:
        # The driver's end of a pipe; forked workers hold those of their elder siblings, too.
        while driver.is_alive() and os.getppid() == starter:
            driver.join(_LOOK_EVERY_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="grokinterp-driver").start()


class Beginning:
    """What a worker does first: watch its driver, then what the pool's user wants.

    Args:
        initializer: the user's, or None.
        arguments: of it.
    """

    def __init__(self, initializer: Callable[..., object] | None, arguments: Iterable[Any]) -> None:
        self.initializer, self.arguments = initializer, tuple(arguments)

    def __call__(self) -> None:
        """In the worker process."""
        end_with_driver()
        if self.initializer is not None:
            self.initializer(*self.arguments)


def can_be_replaced(executor: Executor) -> bool:
    """Whether it is known how to make another pool like it."""
    return type(executor) is ProcessPoolExecutor


def run_in_processes(
    pool: ProcessPoolExecutor,
    tasks: Sequence[Task],
    run: Callable[[Executor, Sequence[Task]], Iterator[tuple[Task, Any]]],
) -> Iterator[tuple[Task, Any]]:
    """Tasks with their results, whatever becomes of workers.

    A worker that dies breaks its pool. Another one like it then goes on with what is not finished.
    Which task it was nobody knows, so those that were running twice when that happened are tried
    alone.

    Args:
        pool: the user's; it is left alone, also when it is broken.
        tasks: what to do.
        run: does some tasks on a pool; raises BrokenExecutor when a worker dies.

    Raises:
        BlockKilledWorkers: from the pool's error; its only argument is the task.
    """
    initializer: Any = getattr(pool, "_initializer", None)
    if not isinstance(initializer, Beginning):  # for workers that it has not started yet
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
                # They begin in order, so these were running.
                running = [task for task in alone or left if id(task) not in finished]
                for task in running[: pools.size]:
                    deaths[number[id(task)]] += 1
            left = [task for task in left if id(task) not in finished]


class _Pools:
    """The pool to use now: the user's, and after a death another like it, which is ended here."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._given = self._pool = pool
        self.size: int = vars(pool)["_max_workers"]

    def now(self) -> ProcessPoolExecutor:
        """One that is not broken."""
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
                process.terminate()  # nobody waits for what it does
        self._end()

    def _end(self) -> None:
        if self._pool is not self._given:
            self._pool.shutdown(cancel_futures=True)
