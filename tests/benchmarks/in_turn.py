"""Times of several things that are timed in turn, which survive a noisy machine."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch

from grokinterp.session import own_session


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Context manager in which an operation uses ``count`` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def milliseconds(
    subjects: Mapping[str, Callable[[], object]], rounds: int, *, burst: int = 5, threads: int = 1
) -> dict[str, float]:
    """Of each subject: the median of rounds of ``burst`` calls, in which all are timed in turn.

    ``threads`` are those of one operation; a stack's team has its own.
    """
    times: dict[str, list[float]] = {name: [] for name in subjects}
    with own_session(), torch_threads(threads):
        for _ in range(rounds + 1):  # the first is for warming up
            for name, subject in subjects.items():
                started = time.perf_counter()
                for _ in range(burst):
                    subject()
                times[name].append((time.perf_counter() - started) / burst * 1e3)
    return {name: statistics.median(taken[1:]) for name, taken in times.items()}
