"""Worker threads that each run single-threaded torch operations.

Small networks waste a CPU when every operation is split over all cores: the halves are too small,
and each core keeps reading what the other has just written. It is faster to give every core whole
runs (or its own share of one run's examples) and to meet once a step.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


class Team:
    """``size`` threads; :meth:`each` runs a function for every worker and waits for all.

    Use as a context manager. The caller's own number of torch threads is left as it was.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> "Team":
        if self.size > 1:
            threads = torch.get_num_threads()
            self._pool = ThreadPoolExecutor(
                self.size, thread_name_prefix="grokinterp", initializer=torch.set_num_threads,
                initargs=(1,),
            )  # fmt: skip
            self._start_all(self._pool)
            # set_num_threads also sets what threads started later begin with; put that back.
            torch.set_num_threads(threads)
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

    def each(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """``[function(item) for item in items]``, spread over the threads."""
        if self._pool is None:
            return [function(item) for item in items]
        return list(self._pool.map(function, items))

    def _start_all(self, pool: ThreadPoolExecutor) -> None:
        """Make every thread exist now: the pool starts one only when all others are busy."""
        from threading import Barrier

        together = Barrier(self.size)
        for waiting in [pool.submit(together.wait) for _ in range(self.size)]:
            waiting.result()
