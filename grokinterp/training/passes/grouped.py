"""Passes that put groups of runs through a kernel, which computes all runs of a group at once.

One run's operations are so short, where networks are small, that most of the time would go to
calling them.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp.config import RunConfig
from grokinterp.models.base import HookedModel
from grokinterp.models.registry import model_class
from grokinterp.short_text import short_repr
from grokinterp.team import Team
from grokinterp.training.minibatches import Minibatches, batch_rows
from grokinterp.training.passes.deal import deal, share_of, shares_per_run
from grokinterp.training.passes.protocol import Passes
from grokinterp.training.state import StackState

Named = Mapping[str, Tensor]


@runtime_checkable  # for the type checks in tests
class Kernel(Protocol):
    """Forward and backward pass of several runs; ``Named`` maps names to tensors [run, ...]."""

    def examples(
        self, pairs: Int[Tensor, "run n 2"], labels: Int[Tensor, "run n"], n_total: int
    ) -> Any:
        """Examples that are ready for :meth:`gradients`, of batches of ``n_total``."""
        ...

    def gradients(self, weights: Named, grads: Named, examples: Any) -> Float[Tensor, " run"]:
        """Store the losses' gradients in ``grads``, which are 0; return the losses.

        Of a share of a batch, both are the share's part of the sum.
        """
        ...

    def logits(
        self, weights: Named, operands: slice
    ) -> Iterator[tuple[slice, Float[Tensor, "run pair classes"]]]:
        """Logits of all pairs with these first operands, some at a time, with their numbers."""
        ...


@short_repr
@dataclass(frozen=True, eq=False)
class _Group:
    """Consecutive runs with equally large training sets and batches, and a share of a batch."""

    rows: slice
    share: int
    pairs: Int[Tensor, "run n_train 2"]
    labels: Int[Tensor, "run n_train"]
    batches: Sequence[Minibatches]
    full: Any  # the share's examples; None with mini-batches
    operands: slice  # first operands of the pairs to score
    weights: dict[str, Tensor]
    grads: dict[str, Tensor]


class GroupedPasses(Passes):
    """Each worker puts groups of runs, or its share of their examples, through a kernel."""

    network: ClassVar[type[HookedModel]]
    kernel: ClassVar[Callable[..., Kernel]]  # of a model's config, the modulus, loss and precision

    def __init__(self, state: StackState, team: Team) -> None:
        self._state, self._team, self._shares = state, team, len(state.grads)
        first, precision = (
            state.configs[0],
            {"dtype": state.dtype, "matmul_dtype": state.matmul_dtype},
        )
        program = first.model, first.data.p, first.training.loss
        self._kernels = [self.kernel(*program, **precision) for _ in range(team.size)]
        workers = max(1, team.size // self._shares)
        groups = [
            self._group(rows, share)
            for rows in self._alike(workers)
            for share in range(self._shares)
        ]
        self._todo = deal(groups, lambda group: group.labels.numel(), team.size)

    @abstractmethod
    def _most_runs(self, config: RunConfig, itemsize: int) -> int:
        """Most runs like ``config`` that are computed at once."""

    @classmethod
    def suits(cls, config: RunConfig, device: torch.device) -> bool:
        """Whether this is a CPU, and the run has the network and no dropout."""
        return (
            device.type == "cpu"
            and model_class(config.model) is cls.network
            and not config.training.dropout
        )

    @classmethod
    def shares_per_run(cls, configs: Sequence[RunConfig], workers: int) -> int:
        """See :func:`~grokinterp.training.passes.deal.shares_per_run`."""
        return shares_per_run(configs, workers)

    def gradients(self, step: int) -> None:
        """Overwrite the state's gradients and losses with those of update ``step``."""
        state = self._state
        drawn = {
            group.rows.start: self._draw(group, step)
            for groups in self._todo
            for group in groups
            if group.full is None and group.share == 0
        }

        def work(worker: int) -> None:
            kernel = self._kernels[worker]
            for group in self._todo[worker]:
                weights = group.weights
                if state.noise.on_weights:
                    weights = state.named(torch.stack(state.noise.weights[group.rows]))
                batch = group.full
                if batch is None:
                    pairs, labels = drawn[group.rows.start]
                    mine = share_of(labels.shape[1], group.share, self._shares)
                    batch = kernel.examples(pairs[:, mine], labels[:, mine], labels.shape[1])
                state.grads[group.share, group.rows].zero_()
                losses = kernel.gradients(weights, group.grads, batch)
                state.losses[group.share, group.rows] = losses

        self._team.each(work)

    def score(self) -> None:
        """Store loss and correctness of every run on all pairs, in the state's ``evaluation``."""

        def work(worker: int) -> None:
            for group in self._todo[worker]:
                for pairs, logits in self._kernels[worker].logits(group.weights, group.operands):
                    self._state.evaluation.note(group.rows, pairs, logits)

        self._team.each(work)

    def _draw(
        self, group: _Group, step: int
    ) -> tuple[Int[Tensor, "run n 2"], Int[Tensor, "run n"]]:
        """The mini-batches of an update: pairs and labels."""
        chosen = torch.stack([batches.at(step) for batches in group.batches])
        pairs = group.pairs.gather(1, chosen[..., None].expand(-1, -1, 2))
        return pairs, group.labels.gather(1, chosen)

    def _group(self, rows: slice, share: int) -> _Group:
        state, configs = self._state, self._state.configs[rows]
        data = state.datasets[rows]
        pairs = torch.stack([one.tokens[one.is_train] for one in data])
        labels = torch.stack([one.labels[one.is_train] for one in data])
        n, full = labels.shape[1], None
        if configs[0].training.batch_size is None:
            mine = share_of(n, share, self._shares)
            full = self._kernels[0].examples(pairs[:, mine], labels[:, mine], n)
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

    def _alike(self, workers: int) -> list[slice]:
        """Cut runs into slices of equal sizes: few, but one for each worker, and small ones."""
        configs, itemsize = self._state.configs, self._state.dtype.itemsize
        most_per_worker, start = -(-len(configs) // workers), 0
        slices: list[slice] = []
        for _, members in groupby(configs, _sizes):
            alike = [*members]
            most = max(1, min(self._most_runs(alike[0], itemsize), most_per_worker))
            pieces = -(-len(alike) // most)
            for piece in range(pieces):
                own = share_of(len(alike), piece, pieces)
                slices.append(slice(start + own.start, start + own.stop))
            start += len(alike)
        return slices


def _sizes(config: RunConfig) -> tuple[int, bool, int]:
    """Sizes of the training set and of its batches, and whether these are drawn."""
    return config.data.n_train, config.training.batch_size is None, batch_rows(config)
