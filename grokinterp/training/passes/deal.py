"""Divide the work of a stack among the cores: whole runs, or shares of each run's examples."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from grokinterp.config import RunConfig
from grokinterp.training.minibatches import batch_rows

_Task = TypeVar("_Task")

_FEW_RUNS = 4  # runs per worker below which whole runs would leave some workers idle
_WORTH_SHARING = 1024  # fewest examples per update for which dividing them is worth it


def shares_per_run(
    configs: Sequence[RunConfig], workers: int, *, least: float | None = None
) -> int:
    """Number of shares to divide each run's examples into, so that all workers have equal work.

    Small batches are not divided: of fewer than ``least`` examples, by default ``_WORTH_SHARING``.
    """
    runs = len(configs)
    if batch_rows(configs[0]) < (_WORTH_SHARING if least is None else least):
        return 1
    return 1 if runs % workers == 0 or runs >= _FEW_RUNS * workers else workers


def share_of(n: int, share: int, shares: int) -> slice:
    """The slice of share number ``share``, when ``n`` examples are divided into equal shares."""
    return slice(n * share // shares, n * (share + 1) // shares)


def deal(tasks: Sequence[_Task], size: Callable[[_Task], int], workers: int) -> list[list[_Task]]:
    """Assign tasks to workers: largest first, each to the worker with the least work so far."""
    dealt: list[list[_Task]] = [[] for _ in range(workers)]
    load = [0] * workers
    for task in sorted(tasks, key=lambda task: -size(task)):
        worker = load.index(min(load))
        dealt[worker].append(task)
        load[worker] += size(task)
    return dealt
