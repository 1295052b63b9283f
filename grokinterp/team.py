"""Worker threads that each run single-threaded torch operations.

Small networks waste a CPU when every operation is split over all cores: the halves are too small,
and each core keeps reading what the other has just written. It is faster to give every core whole
runs (or its own share of one run's examples) and to meet twice a step.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import torch

# Setting a thread's number of torch threads also sets what threads started later begin with; while
# it is held that default is not what the user chose.
_default_is_changing = threading.Lock()


def available_threads() -> int:
    """Threads that torch uses in this thread."""
    with _default_is_changing:
        return torch.get_num_threads()


def use_threads(count: int) -> None:
    """Let torch use ``count`` threads in this thread; those started later keep their default."""
    with _kept_default():
        torch.get_num_threads()  # a thread takes the default at its first look; then not again
        torch.set_num_threads(count)


@contextmanager
def _kept_default() -> Iterator[None]:
    """Restore the default after threads have set their own number of threads."""

    def in_new_thread(function: Callable[[], object]) -> Any:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(function).result()

    with _default_is_changing:
        default = in_new_thread(torch.get_num_threads)
        try:
            yield
        finally:
            in_new_thread(lambda: torch.set_num_threads(default))


class Team:
    """``size`` threads; :meth:`each` runs a function on all of them and waits.

    Use as a context manager. The caller's own number of torch threads, and that of threads it
    starts, stay as they are.

    Raises:
        ValueError: the machine cannot start as many threads (on entering).
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> "Team":
        if self.size == 1 and available_threads() == 1:
            return self  # the caller's own thread will do
        self._pool = ThreadPoolExecutor(self.size, thread_name_prefix="grokinterp")
        all_started = threading.Barrier(self.size)

        def begin() -> None:
            torch.get_num_threads()  # as in use_threads
            torch.set_num_threads(1)
            torch.set_flush_denormal(True)  # of this thread alone, and it ends with the team
            all_started.wait()

        with _kept_default():
            torch.get_num_threads()
            try:
                wait([self._pool.submit(begin) for _ in range(self.size)])
            except RuntimeError as error:  # not all could start: those that did must not wait on
                all_started.abort()
                self._pool.shutdown(cancel_futures=True)
                raise ValueError(
                    f"threads={self.size} are more than this machine can start; give fewer"
                ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def each(self, function: Callable[[int], object]) -> None:
        """Call ``function(worker)`` for every worker 0..size-1 at once; wait for all."""
        if self._pool is None:
            for worker in range(self.size):
                function(worker)
            return
        waiting = [self._pool.submit(function, worker) for worker in range(self.size)]
        wait(waiting)  # all workers must have finished before an error is raised
        for done in waiting:
            done.result()
