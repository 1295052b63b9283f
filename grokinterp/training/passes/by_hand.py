"""Gradients of the papers' MLP on a CPU, by a hand-written forward and backward pass."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from grokinterp.config import RunConfig
from grokinterp.losses import LOSSES
from grokinterp.models.mlp import HookedMLP
from grokinterp.models.registry import model_class
from grokinterp.team import Team
from grokinterp.training.dropout import Dropout
from grokinterp.training.passes.blocks import Batch
from grokinterp.training.passes.deal import deal, share_of, shares_per_run
from grokinterp.training.passes.mlp_kernel import MLPKernel
from grokinterp.training.passes.protocol import Passes
from grokinterp.training.state import StackState


@dataclass(frozen=True, eq=False)
class _Share:
    """A worker's share of one run: some training examples, and some pairs to score."""

    run: int
    share: int
    train: Batch
    pairs: slice
    scored: Batch


class HandWrittenPasses(Passes):
    """Each worker puts whole runs, or its share of a run's examples, through ``MLPKernel``."""

    def __init__(self, state: StackState, team: Team) -> None:
        first = state.configs[0]
        self._state, self._team = state, team
        program = first.model, first.data.p, first.training.loss
        products = state.matmul_dtype
        self._kernels = [
            MLPKernel(*program, dtype=state.dtype, matmul_dtype=products) for _ in range(team.size)
        ]
        self._weights_of = [state.named(row) for row in state.weights]
        self._noisy_weights_of = [state.named(row) for row in state.noise.weights]
        self._dropout_of = [Dropout.of(config) for config in state.configs]
        self._grads_of = [[state.named(row) for row in share] for share in state.grads]
        self._todo = deal(self._shares(), lambda share: share.train.size, team.size)

    @classmethod
    def suits(cls, config: RunConfig, device: torch.device) -> bool:
        """Whether the hand-written pass covers this run."""
        training = config.training
        return (
            device.type == "cpu"
            and model_class(config.model) is HookedMLP
            and config.model.norm is None
            and training.batch_size is None
            and LOSSES[training.loss].residual_ is not None
            and (not training.dropout or training.dropout_at in ("pre", "post"))
        )

    @classmethod
    def shares_per_run(cls, configs: Sequence[RunConfig], workers: int) -> int:
        """See :func:`~grokinterp.training.passes.deal.shares_per_run`."""
        return shares_per_run(configs, workers)

    def gradients(self, step: int) -> None:
        """Overwrite the state's gradients and losses with those of update ``step``."""

        def work(worker: int) -> None:
            for share in self._todo[worker]:
                run, kernel = share.run, self._kernels[worker]
                weights, grads = self._noisy_weights_of[run], self._grads_of[share.share][run]
                loss = kernel.gradients(weights, grads, share.train, self._dropout_of[run], step)
                self._state.losses[share.share, run] = loss

        self._team.each(work)

    def score(self) -> None:
        """Store loss and correctness of every run on all pairs, in the state's ``evaluation``."""

        def work(worker: int) -> None:
            for share in self._todo[worker]:
                weights = self._weights_of[share.run]
                for start, logits in self._kernels[worker].logits(weights, share.scored):
                    rows = slice(start, start + len(logits))
                    self._state.evaluation.note(share.run, rows, logits)

        self._team.each(work)

    def _shares(self) -> list[_Share]:
        kernel, state = self._kernels[0], self._state
        n_shares, shares = len(state.grads), []
        for run, data in enumerate(state.datasets):
            tokens, labels = data.tokens.to(state.device), data.labels.to(state.device)
            train = data.is_train.to(state.device)
            examples, answers = tokens[train], labels[train]
            for share in range(n_shares):
                rows = share_of(len(examples), share, n_shares)
                pairs = share_of(len(labels), share, n_shares)
                batch = kernel.batch(examples[rows], answers[rows], len(examples), rows.start)
                scored = kernel.batch(tokens[pairs], labels[pairs], start=pairs.start)
                shares.append(_Share(run, share, batch, pairs, scored))
        return shares
