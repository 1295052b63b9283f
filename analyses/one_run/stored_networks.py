"""The networks that a run stored while it trained, in the order of their steps.

Examples:
    >>> import grokinterp as gi
    >>> from analyses.one_run.stored_networks import checkpoints_at, stored_networks
    >>> config = gi.RunConfig().replace({"data.p": 11, "training.steps": 40})
    >>> run = gi.train(config, checkpoints=checkpoints_at([10, 20]))
    >>> [stored.step for stored in stored_networks(run)]
    [0, 10, 20, 40]
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from grokinterp import Run, at_step, build_model
from grokinterp.checks import check_int
from grokinterp.short_text import short, short_repr
from grokinterp.training.rules import Rule


@short_repr
@dataclass(frozen=True, eq=False)
class StoredNetwork:
    """A network of a run after ``step`` updates, in evaluation mode."""

    step: int
    model: Any


def checkpoints_at(steps: Sequence[int]) -> dict[str, Rule]:
    """Rules that keep a checkpoint at each of these steps.

    For example::

        run = gi.train(config, checkpoints=checkpoints_at(range(0, 1000, 50)))

    A checkpoint is taken at the first evaluated step from the given one on
    (``TrainConfig.eval_every``).

    Raises:
        ValueError: no step, or a negative one.
    """
    steps = list(steps)
    if not steps:
        raise ValueError(f"steps must name at least one step, got {short(steps)}")
    for step in steps:
        check_int("steps", step, minimum=0)
    return {f"step_{step}": at_step(step) for step in steps}


def evenly_spaced(steps: int, count: int) -> dict[str, Rule]:
    """Rules that keep ``count`` checkpoints between the start and the end of ``steps`` updates.

    They part the training into ``count + 1`` stretches of the same length, to rounding; fewer if
    there are fewer steps.
    """
    at = {round(steps * i / (count + 1)) for i in range(1, count + 1)} - {0, steps}
    return checkpoints_at(sorted(at)) if at else {}


def stored_networks(run: Run) -> Iterator[StoredNetwork]:
    """The initial network, every checkpoint, and the final network; one per step.

    The initial weights are drawn again from the run's config. They are left out if the run started
    from a checkpoint. The final network is left out if the run diverged.
    """
    for step, name in _places(run):
        match name:
            case "initial":
                yield StoredNetwork(step, build_model(run.config).eval())
            case "final":
                yield StoredNetwork(step, run.model)
            case _:
                yield StoredNetwork(step, run.model_at(name.removeprefix("checkpoint ")))


def _places(run: Run) -> list[tuple[int, str]]:
    """Step of each stored network, and which it is; of several at one step the last."""
    at: dict[int, str] = {}
    if run.provenance.get("start") is None:
        at[0] = "initial"
    at |= {kept.step: f"checkpoint {name}" for name, kept in run.checkpoints.items()}
    if run.diverged_at is None and run.history.sizes["step"]:
        at[int(run.history.step[-1])] = "final"
    return sorted(at.items())
