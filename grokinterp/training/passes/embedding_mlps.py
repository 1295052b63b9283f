"""Gradients of embedding MLPs on a CPU: hand-written, as products of many runs at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from jaxtyping import Int
from torch import Tensor

from grokinterp.config import RunConfig
from grokinterp.models.embedding_mlp import HookedEmbeddingMLP
from grokinterp.models.registry import model_class
from grokinterp.short_text import short_repr
from grokinterp.team import Team
from grokinterp.training.minibatches import Minibatches, batch_rows
from grokinterp.training.passes.deal import deal, share_of, shares_per_run
from grokinterp.training.passes.embedding_mlp_kernel import EmbeddingMLPKernel, Examples
from grokinterp.training.passes.protocol import Passes
from grokinterp.training.state import StackState

# Activations of a layer of a group in an update: enough to make the cost of calls small, few enough
# for the cache.
_GROUP_BYTES = 2**21


@short_repr
@dataclass(frozen=True, eq=False)
class _Group:
    """Consecutive runs with equally large training sets and batches, and a share of a batch."""

    rows: slice
    share: int
    pairs: Int[Tensor, "run n_train 2"]
    labels: Int[Tensor, "run n_train"]
    batches: list[Minibatches]
    full: Examples | None  # None with mini-batches
    operands: slice  # first operands of the pairs to score
    weights: dict[str, Tensor]
    grads: dict[str, Tensor]


class EmbeddingMLPPasses(Passes):
    """Each worker puts groups of runs, or its share of their examples, through a kernel."""

    def __init__(self, state: StackState, team: Team) -> None:
        first, self._shares = state.configs[0], len(state.grads)
        self._state, self._team = state, team
        program = first.model, first.data.p, first.training.loss
        self._kernel = EmbeddingMLPKernel(
            *program, dtype=state.dtype, matmul_dtype=state.matmul_dtype
        )
        workers = max(1, team.size // self._shares)
        groups = [
            self._group(rows, share)
            for rows in _alike(state.configs, workers, state.dtype.itemsize)
            for share in range(self._shares)
        ]
        self._todo = deal(groups, lambda group: len(group.batches), team.size)

    @classmethod
    def suits(cls, config: RunConfig, device: torch.device) -> bool:
        """Whether this is a CPU, and the run an embedding MLP without norm and dropout."""
        return (
            device.type == "cpu"
            and model_class(config.model) is HookedEmbeddingMLP
            and config.model.norm is None
            and not config.training.dropout
        )

    @classmethod
    def shares_per_run(cls, configs: Sequence[RunConfig], workers: int) -> int:
        """See :func:`~grokinterp.training.passes.deal.shares_per_run`."""
        return shares_per_run(configs, workers)

    @classmethod
    def bytes_per_run(cls, config: RunConfig, itemsize: int) -> int:
        """Those of the activations and their gradients, of all runs together at the worst."""
        return 3 * batch_rows(config) * sum(config.model.hidden) * itemsize

    def gradients(self, step: int) -> None:
        """Overwrite the state's gradients and losses with those of update ``step``."""
        state = self._state

        def work(worker: int) -> None:
            for group in self._todo[worker]:
                weights = group.weights
                if state.noise.on_weights:
                    weights = state.named(torch.stack(state.noise.weights[group.rows]))
                losses = self._kernel.gradients(weights, group.grads, self._batch(group, step))
                state.losses[group.share, group.rows] = losses

        self._team.each(work)

    def score(self) -> None:
        """Store loss and correctness of every run on all pairs, in the state's ``evaluation``."""

        def work(worker: int) -> None:
            for group in self._todo[worker]:
                for pairs, logits in self._kernel.logits(group.weights, group.operands):
                    self._state.evaluation.note(group.rows, pairs, logits)

        self._team.each(work)

    def _batch(self, group: _Group, step: int) -> Examples:
        """The share's examples of an update."""
        if group.full is not None:
            return group.full
        chosen = torch.stack([batches.at(step) for batches in group.batches])
        n_total = chosen.shape[1]
        mine = chosen[:, share_of(n_total, group.share, self._shares)]
        pairs = group.pairs.gather(1, mine[..., None].expand(-1, -1, 2))
        return self._kernel.examples(pairs, group.labels.gather(1, mine), n_total)

    def _group(self, rows: slice, share: int) -> _Group:
        state, configs = self._state, self._state.configs[rows]
        data = state.datasets[rows]
        pairs = torch.stack([one.tokens[one.is_train] for one in data])
        labels = torch.stack([one.labels[one.is_train] for one in data])
        n, full = labels.shape[1], None
        if configs[0].training.batch_size is None:
            mine = share_of(n, share, self._shares)
            full = self._kernel.examples(pairs[:, mine], labels[:, mine], n)
        return _Group(
            rows=rows,
            share=share,
            pairs=pairs,
            labels=labels,
            batches=[Minibatches(config) for config in configs],
            full=full,
            operands=share_of(configs[0].data.p, share, self._shares),
            weights=state.named(state.weights[rows]),
            grads=state.named(state.grads[share, rows]),
        )


def _alike(configs: Sequence[RunConfig], workers: int, itemsize: int) -> list[slice]:
    """Cut runs into slices with equal sizes: few, but as many as workers, and small ones."""
    most_per_worker, start = -(-len(configs) // workers), 0
    slices: list[slice] = []
    for (_, _, batch), members in groupby(configs, _sizes):
        count = len([*members])
        most = _GROUP_BYTES // (batch * max(configs[0].model.hidden) * itemsize)
        pieces = -(-count // max(1, min(most, most_per_worker)))
        slices += [
            slice(start + share_of(count, i, pieces).start, start + share_of(count, i, pieces).stop)
            for i in range(pieces)
        ]
        start += count
    return slices


def _sizes(config: RunConfig) -> tuple[int, bool, int]:
    """Sizes of the training set and of its batches, and whether these are drawn."""
    return config.data.n_train, config.training.batch_size is None, batch_rows(config)
