"""The runs that an analysis was given: one or several, and nothing else."""

from collections.abc import Iterable

from grokinterp import Run
from grokinterp.short_text import short


def runs_of(given: Run | Iterable[Run]) -> list[Run]:
    """One run or several as a list.

    Raises:
        TypeError: something else than runs, such as a network.
        ValueError: no run.
    """
    if isinstance(given, Run):
        return [given]
    if not isinstance(given, Iterable):
        raise TypeError(not_a_run("runs", given))
    runs = list(given)
    for run in runs:
        if not isinstance(run, Run):
            raise TypeError(not_a_run("runs", run))
    if not runs:
        raise ValueError("runs is empty; give at least one run")
    return runs


def check_run(given: object) -> None:
    """Raise unless an analysis of one run was given one."""
    if not isinstance(given, Run):
        raise TypeError(not_a_run("run", given))


def not_a_run(name: str, given: object) -> str:
    """An error's text: what is wanted, what was given and how to get the one from the other."""
    is_network = hasattr(given, "hook_dict")
    what = f"the network {type(given).__name__}" if is_network else short(given)
    return (
        f"{name} must be what gi.train returns or gi.Run.load reads, got {what}; "
        "gi.as_run makes a run of a network that was trained elsewhere"
    )
