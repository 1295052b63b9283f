"""Gradients of the papers' MLP on a CPU, by a hand-written forward and backward pass."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from grokinterp.config import RunConfig
from grokinterp.losses import LOSSES
from grokinterp.models.mlp import HookedMLP
from grokinterp.models.registry import model_class
from grokinterp.team import Team
from grokinterp.training.dropout import Dropout
from grokinterp.training.passes.blocks import Batch
from grokinterp.training.passes.deal import deal, share_of, shares_per_run
from grokinterp.training.passes.mlp_kernel import MLPKernel, See
from grokinterp.training.passes.protocol import Passes
from grokinterp.training.state import StackState


@dataclass(frozen=True, eq=False)
class _Share:
    """A worker's share of one run: some training examples, and some of the other pairs."""

    run: int
    share: int
    train: Batch
    test: Batch


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
        self._pairs_of = [
            {name: data.masks[name].nonzero()[:, 0] for name in ("train", "test")}
            for data in state.datasets
        ]
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
        self._team.each(lambda worker: self._backward(worker, step, scored=False))

    def score(self) -> None:
        """Store loss and correctness of every run on all pairs, in the state's ``evaluation``."""

        def work(worker: int) -> None:
            for share in self._todo[worker]:
                self._score(worker, share, "train")
                self._score(worker, share, "test")

        self._team.each(work)

    def score_with_gradients(self, step: int) -> bool:
        """See :class:`~grokinterp.training.passes.protocol.Passes`."""
        if self._state.noise.on_weights or any(self._dropout_of):
            return False
        self._team.each(lambda worker: self._backward(worker, step, scored=True))
        return True

    def _backward(self, worker: int, step: int, *, scored: bool) -> None:
        """Gradients and losses of a worker's shares; if ``scored``, also scores of all pairs."""
        kernel, state = self._kernels[worker], self._state
        for share in self._todo[worker]:
            run, weights = share.run, self._noisy_weights_of[share.run]
            see = self._noting(run, "train") if scored else None
            state.losses[share.share, run] = kernel.gradients(
                weights,
                self._grads_of[share.share][run],
                share.train,
                self._dropout_of[run],
                step,
                see,
            )
            if scored:
                self._score(worker, share, "test")

    def _score(self, worker: int, share: _Share, subset: str) -> None:
        note, weights = self._noting(share.run, subset), self._weights_of[share.run]
        for start, logits in self._kernels[worker].logits(weights, getattr(share, subset)):
            note(start, logits)

    def _noting(self, run: int, subset: str) -> See:
        pairs = self._pairs_of[run][subset]

        def note(start: int, logits: Tensor) -> None:
            self._state.evaluation.note(run, pairs[start : start + len(logits)], logits)

        return note

    def _shares(self) -> list[_Share]:
        kernel, state = self._kernels[0], self._state
        n_shares, shares = len(state.grads), []
        for run, data in enumerate(state.datasets):
            for share in range(n_shares):
                batches = []
                for pairs in self._pairs_of[run].values():
                    rows = share_of(len(pairs), share, n_shares)
                    own = pairs[rows]
                    batches.append(
                        kernel.batch(data.tokens[own], data.labels[own], len(pairs), rows.start)
                    )
                shares.append(_Share(run, share, *batches))
        return shares
