"""Gradients of a transformer on a CPU, by a hand-written forward and backward pass."""

from collections.abc import Sequence

import torch

from grokinterp.config import RunConfig
from grokinterp.models.registry import model_class
from grokinterp.models.transformer import HookedTransformer
from grokinterp.team import Team
from grokinterp.training.minibatches import Minibatches
from grokinterp.training.passes.deal import deal, share_of, shares_per_run
from grokinterp.training.passes.protocol import Passes
from grokinterp.training.passes.transformer_kernel import TransformerKernel
from grokinterp.training.state import StackState

# Fewest products of examples and parameters in an update for which dividing it is worth it.
_WORTH_SHARING = 2**26
_INT32_PER_EDGE = 6


class TransformerPasses(Passes):
    """Each worker puts whole runs, or its share of a run's examples, through a kernel."""

    def __init__(self, state: StackState, team: Team) -> None:
        first = state.configs[0]
        self._state, self._team = state, team
        program = first.model, first.data.p, first.training.loss
        self._kernels = [
            TransformerKernel(*program, dtype=state.dtype, matmul_dtype=state.matmul_dtype)
            for _ in range(team.size)
        ]
        self._weights_of = [state.named(row) for row in state.weights]
        self._noisy_weights_of = [state.named(row) for row in state.noise.weights]
        self._grads_of = [[state.named(row) for row in share] for share in state.grads]
        self._examples = [
            (data.tokens[data.is_train], data.labels[data.is_train]) for data in state.datasets
        ]
        self._batches = [Minibatches(c) if c.training.batch_size else None for c in state.configs]
        n_shares = len(state.grads)
        shares = [(run, share) for run in range(len(state.configs)) for share in range(n_shares)]
        self._todo = deal(shares, lambda share: len(self._examples[share[0]][1]), team.size)
        self._full = {}
        for run, share in shares:
            if self._batches[run] is None:
                tokens, labels = self._examples[run]
                mine = share_of(len(labels), share, n_shares)
                self._full[run, share] = self._kernels[0].batch(tokens[mine], labels[mine])

    @classmethod
    def suits(cls, config: RunConfig, device: torch.device) -> bool:
        """Whether the device is a CPU and the run a transformer without dropout."""
        return (
            device.type == "cpu"
            and model_class(config.model) is HookedTransformer
            and not config.training.dropout
        )

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

    def gradients(self, step: int) -> None:
        """Overwrite the state's gradients and losses with those of update ``step``."""
        state, n_shares = self._state, len(self._state.grads)
        chosen = [batches and batches.at(step) for batches in self._batches]

        def work(worker: int) -> None:
            kernel = self._kernels[worker]
            for run, share in self._todo[worker]:
                rows, (tokens, labels) = chosen[run], self._examples[run]
                if rows is None:
                    n_total, batch = len(labels), self._full[run, share]
                else:
                    n_total = len(rows)
                    mine = rows[share_of(n_total, share, n_shares)]
                    batch = kernel.batch(tokens[mine], labels[mine])
                weights, grads = self._noisy_weights_of[run], self._grads_of[share][run]
                state.grads[share, run].zero_()
                state.losses[share, run] = kernel.gradients(weights, grads, batch, n_total)

        self._team.each(work)

    def score(self) -> None:
        """Store loss and correctness of every run on all pairs, in the state's ``evaluation``."""
        state, n_shares = self._state, len(self._state.grads)

        def work(worker: int) -> None:
            kernel = self._kernels[worker]
            for run, share in self._todo[worker]:
                data = state.datasets[run]
                mine = share_of(len(data.labels), share, n_shares)
                start = mine.start
                for block in kernel.batch(data.tokens[mine], data.labels[mine]):
                    pairs = slice(start, start + len(block.labels))
                    logits = kernel.logits(self._weights_of[run], block)
                    state.evaluation.note(run, pairs, logits)
                    start = pairs.stop

        self._team.each(work)
