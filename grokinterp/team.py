"""Worker threads that each run single-threaded torch operations.

Small networks waste a CPU when every operation is split over all cores: the halves are too small,
and each core keeps reading what the other has just written. It is faster to give every core whole
runs (or its own share of one run's examples) and to meet twice a step.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from types import TracebackType

import torch


class Team:
    """``size`` workers, the calling thread among them; :meth:`each` runs a function on all.

    Use as a context manager: inside, the caller too runs single-threaded operations (its idle
    helper threads would keep spinning on the workers' cores); outside, all is as it was.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._threads = torch.get_num_threads()
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> "Team":
        if self.size > 1:
            torch.set_num_threads(1)  # also what threads started from now on begin with
            self._pool = ThreadPoolExecutor(self.size - 1, thread_name_prefix="grokinterp")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            try:
                self._pool.shutdown(cancel_futures=True)
            finally:
                self._pool = None
                torch.set_num_threads(self._threads)

    def each(self, function: Callable[[int], object]) -> None:
        """Call ``function(worker)`` for every worker 0..size-1 at once; wait for all."""
        waiting = (
            [self._pool.submit(function, w) for w in range(1, self.size)] if self._pool else []
        )
        try:
            function(0)
        finally:
            wait(waiting)  # nobody may still be writing when an error leaves this call
        for done in waiting:
            done.result()
