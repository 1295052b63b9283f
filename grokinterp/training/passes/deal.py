"""How the work of a stack is dealt to the cores: whole runs, or shares of a run's examples."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from grokinterp.config import RunConfig
from grokinterp.training.minibatches import batch_rows

_Task = TypeVar("_Task")

_FEW_RUNS = 4  # per worker; with fewer, whole runs would leave some workers idle
_WORTH_SHARING = 1024  # examples per update above which they are shared out over the cores


def shares_per_run(configs: Sequence[RunConfig], workers: int) -> int:
    """Into how many shares each run's examples are cut, so that all workers have as much to do.

    A small batch is not worth it.
    """
    runs = len(configs)
    if batch_rows(configs[0]) < _WORTH_SHARING:
        return 1
    return 1 if runs % workers == 0 or runs >= _FEW_RUNS * workers else workers


def share_of(n: int, share: int, shares: int) -> slice:
    """One of several nearly equal parts of ``n`` examples."""
    return slice(n * share // shares, n * (share + 1) // shares)


def deal(tasks: Sequence[_Task], size: Callable[[_Task], int], workers: int) -> list[list[_Task]]:
    """Tasks for each worker, the largest first to whoever has least to do."""
    dealt: list[list[_Task]] = [[] for _ in range(workers)]
    load = [0] * workers
    for task in sorted(tasks, key=lambda task: -size(task)):
        worker = load.index(min(load))
        dealt[worker].append(task)
        load[worker] += size(task)
    return dealt
