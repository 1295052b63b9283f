"""The interface of the code that computes a stack's gradients, with defaults for a CPU's."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch

from grokinterp.config import RunConfig
from grokinterp.team import Team
from grokinterp.training.state import StackState


@runtime_checkable  # for the type checks in tests
class Passes(Protocol):
    """Computes gradients and scores of all runs of a stack, and writes them into its state."""

    def __init__(self, state: StackState, team: Team) -> None: ...

    @classmethod
    def suits(cls, config: RunConfig, device: torch.device) -> bool:
        """Whether this class can train runs with the program of ``config`` on this device."""
        ...

    @classmethod
    def shares_per_run(cls, configs: Sequence[RunConfig], workers: int) -> int:
        """Number of shares each run's examples are divided into: the first axis of ``grads``."""
        ...

    @classmethod
    def bytes_per_run(cls, config: RunConfig, itemsize: int) -> int:
        """Approximate bytes that a run adds to the passes' own memory, beside the stack's state."""
        return 0

    def repeats(self) -> bool:
        """Whether :meth:`gradients` is the same operations on the same memory at every step.

        What differs between steps is then done by :meth:`prepare`.
        """
        return False

    def prepare(self, step: int) -> None:
        """Do on the host what update ``step`` needs, such as drawing its mini-batches."""

    def gradients(self, step: int) -> None:
        """Overwrite the state's gradients and losses with those of update ``step`` (first: 0)."""
        ...

    def score(self) -> None:
        """Store loss and correctness of every run on all pairs, in the state's ``evaluation``."""
        ...

    def score_with_gradients(self, step: int) -> bool:
        """Do :meth:`score` and, from the same logits, :meth:`gradients`; False: do nothing.

        It is possible where the network is trained as it is evaluated: without dropout, noise on
        the weights and mini-batches.
        """
        return False
