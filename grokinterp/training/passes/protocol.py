"""What a stack asks of the code that computes its gradients."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch

from grokinterp.config import RunConfig
from grokinterp.team import Team
from grokinterp.training.state import StackState


@runtime_checkable  # for the type checks in tests
class Passes(Protocol):
    """Gradients and scores of all runs of a stack: reads its weights, overwrites its gradients."""

    def __init__(self, state: StackState, team: Team) -> None: ...

    @classmethod
    def suits(cls, config: RunConfig, device: torch.device) -> bool:
        """Whether this is the way to train runs of this program on this device."""
        ...

    @classmethod
    def shares_per_run(cls, configs: Sequence[RunConfig], workers: int) -> int:
        """Into how many shares each run's examples are to be cut: the first axis of ``grads``."""
        ...

    def gradients(self, step: int) -> None:
        """Overwrite the state's gradients and losses with those of update ``step``, from 0."""
        ...

    def score(self) -> None:
        """Note loss and correctness of every run on all pairs in the state's ``evaluation``."""
        ...
