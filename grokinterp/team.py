"""Worker threads that each run single-threaded torch operations.

For small networks it is slow to split every operation over all cores: the parts are too small, and
cores keep reading each other's fresh results. It is faster to give each core whole runs (or a share
of one run's examples) and to synchronise twice a step.
"""

import functools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

import torch

from grokinterp.checks import warn_user

# Setting a thread's number of torch threads also sets the default of threads started later. While
# this lock is held, that default may differ from the user's.
_default_is_changing = threading.Lock()


def available_threads() -> int:
    """Number of threads that torch uses for operations of the calling thread."""
    with _default_is_changing:
        return torch.get_num_threads()


def usable_cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_threads(count: int) -> None:
    """Let torch use ``count`` threads in the calling thread, without affecting later threads."""
    with _kept_default():
        torch.get_num_threads()  # makes the thread read the default, which it does only once
        torch.set_num_threads(count)


@contextmanager
def _kept_default() -> Iterator[None]:
    """Context manager that restores the default number of torch threads."""

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
    """A team of ``size`` threads; :meth:`each` runs a function on all of them and waits.

    Use as a context manager. The number of torch threads of the caller, and of other threads it
    starts, does not change. The threads treat denormal numbers as 0, where torch can do that: on
    x86 with SSE3 and on AArch64.

    Raises:
        ValueError: the machine cannot start this many threads (raised on entering).

    Warns:
        RuntimeWarning: this CPU cannot flush denormal numbers (on entering, once per process).
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> "Team":
        _warn_of_kept_denormals()
        if self.size == 1 and available_threads() == 1:
            return self  # use the caller's own thread
        self._pool = ThreadPoolExecutor(self.size, thread_name_prefix="grokinterp")
        all_started = threading.Barrier(self.size)

        def begin() -> None:
            torch.get_num_threads()  # as in use_threads
            torch.set_num_threads(1)
            torch.set_flush_denormal(True)  # for this thread only, which ends with the team
            all_started.wait()

        with _kept_default():
            torch.get_num_threads()
            try:
                wait([self._pool.submit(begin) for _ in range(self.size)])
            except RuntimeError as error:  # not all threads started; release those that wait
                all_started.abort()
                self._pool.shutdown(cancel_futures=True)
                raise ValueError(
                    f"threads={self.size} is more than this machine can start; use fewer"
                ) from error
        return self

    def __exit__(self, *_: object) -> None:
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


@functools.cache  # one warning per process
def _warn_of_kept_denormals() -> None:
    """Warn if torch cannot flush denormal numbers on this CPU."""
    with ThreadPoolExecutor(1) as pool:  # the mode is that of a thread, which ends here
        can_flush = pool.submit(torch.set_flush_denormal, True).result()
    if not can_flush:
        warn_user(
            "torch cannot flush denormal numbers on this CPU: results are the same, but training "
            "on it with weight decay may become many times slower as weights die out",
            RuntimeWarning,
        )
