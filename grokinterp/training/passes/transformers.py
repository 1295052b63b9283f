"""Gradients of transformers on a CPU: hand-written, as products of many runs at once."""

from collections.abc import Sequence

from grokinterp.config import RunConfig
from grokinterp.models.transformer import HookedTransformer
from grokinterp.training.minibatches import batch_rows
from grokinterp.training.passes.deal import shares_per_run
from grokinterp.training.passes.grouped import GroupedPasses
from grokinterp.training.passes.transformer_kernel import TransformerKernel

# Fewest products of examples and parameters in an update for which dividing it is worth it.
_WORTH_SHARING = 2**26
_INT32_PER_EDGE = 6
# Neurons of a group in an update: enough to make the cost of calls small, few enough for the cache.
_GROUP_BYTES = 2**20


class TransformerPasses(GroupedPasses):
    """Each worker puts groups of runs, or its share of their examples, through a kernel."""

    network, kernel = HookedTransformer, TransformerKernel

    @classmethod
    def shares_per_run(cls, configs: Sequence[RunConfig], workers: int) -> int:
        """See :func:`~grokinterp.training.passes.deal.shares_per_run`."""
        first = configs[0]
        parameters = HookedTransformer.parameter_count(first.model, first.data.p)
        return shares_per_run(configs, workers, least=_WORTH_SHARING / parameters)

    @classmethod
    def bytes_per_run(cls, config: RunConfig, itemsize: int) -> int:
        """Those of a full batch's edges, which are listed once."""
        if config.training.batch_size:
            return 0
        words, model = len(config.model.prompt.split()), config.model
        per_pair = words + (model.n_layers - 1) * words**2  # keys of the last layer and of others
        return config.data.n_train * per_pair * model.n_heads * _INT32_PER_EDGE * 4

    def _most_runs(self, config: RunConfig, itemsize: int) -> int:
        widest = max(config.model.d_mlp or 4 * config.model.d_model, config.model.d_model)
        return _GROUP_BYTES // (batch_rows(config) * widest * itemsize)
