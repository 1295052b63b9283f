"""Ways to compute the gradients of a stack, and the choice among them.

To add one, add a file here with a class that implements :class:`Passes`, and put it in ``PASSES``.
"""

from collections.abc import Sequence

import torch

from grokinterp.config import RunConfig
from grokinterp.training.passes.batched import BatchedPasses
from grokinterp.training.passes.by_hand import HandWrittenPasses
from grokinterp.training.passes.embedding_mlps import EmbeddingMLPPasses
from grokinterp.training.passes.protocol import Passes
from grokinterp.training.passes.run_by_run import RunByRunPasses
from grokinterp.training.passes.small import SmallRunsPasses
from grokinterp.training.passes.transformers import TransformerPasses
from grokinterp.training.passes.vectorised import VectorisedPasses

__all__ = ["PASSES", "Passes", "choose_passes"]

PASSES: tuple[type[Passes], ...] = (
    SmallRunsPasses,
    HandWrittenPasses,
    BatchedPasses,
    VectorisedPasses,
    TransformerPasses,
    EmbeddingMLPPasses,
    RunByRunPasses,
)


def choose_passes(configs: Sequence[RunConfig], device: torch.device) -> type[Passes]:
    """The first of ``PASSES`` that suits all ``configs`` on ``device``."""
    return next(
        passes for passes in PASSES if all(passes.suits(config, device) for config in configs)
    )
