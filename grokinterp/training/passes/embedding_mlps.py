"""Gradients of embedding MLPs on a CPU: hand-written, as products of many runs at once."""

import torch

from grokinterp.config import RunConfig
from grokinterp.models.embedding_mlp import HookedEmbeddingMLP
from grokinterp.training.minibatches import batch_rows
from grokinterp.training.passes.embedding_mlp_kernel import EmbeddingMLPKernel
from grokinterp.training.passes.grouped import GroupedPasses

# Activations of a layer of a group in an update: enough to make the cost of calls small, few enough
# for the cache.
_GROUP_BYTES = 2**21


class EmbeddingMLPPasses(GroupedPasses):
    """Each worker puts groups of runs through an ``EmbeddingMLPKernel``."""

    network, kernel = HookedEmbeddingMLP, EmbeddingMLPKernel

    @classmethod
    def suits(cls, config: RunConfig, device: torch.device) -> bool:
        """Whether this is a CPU, and the run an embedding MLP without norm and dropout."""
        return super().suits(config, device) and config.model.norm is None

    @classmethod
    def bytes_per_run(cls, config: RunConfig, itemsize: int) -> int:
        """Those of the activations and their gradients, of all runs together at the worst."""
        return 3 * batch_rows(config) * sum(config.model.hidden) * itemsize

    def _most_runs(self, config: RunConfig, itemsize: int) -> int:
        return _GROUP_BYTES // (batch_rows(config) * max(config.model.hidden) * itemsize)
