"""Gradients of the papers' MLP on a GPU: hand-written, as products of many runs at once.

Runs with equally large training sets are processed in groups, whose activations share one set of
buffers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp.config import RunConfig
from grokinterp.losses import LOSSES
from grokinterp.models.mlp import HookedMLP
from grokinterp.models.registry import model_class
from grokinterp.short_text import short_repr
from grokinterp.team import Team
from grokinterp.training.memory import free_memory
from grokinterp.training.passes.batched_kernel import BatchedKernel, Examples, padded
from grokinterp.training.passes.deal import deal, share_of
from grokinterp.training.passes.operands import ByGathers, ByProducts, FirstLayer
from grokinterp.training.passes.protocol import Passes
from grokinterp.training.state import StackState

# Activations of a layer of a group on all pairs: enough to keep a GPU busy, few enough to bound the
# memory.
_GROUP_BYTES = 2**31
_GROUP_SHARE = 16  # of the free memory, at most the 16th part


@short_repr
@dataclass(frozen=True, eq=False)
class _Group:
    """Consecutive runs of a stack with equally large training sets, and a share of the examples."""

    rows: slice
    share: int
    train: Examples
    operands: slice  # first operands of the pairs to score
    weights: dict[str, Tensor]
    grads: dict[str, Tensor]


class BatchedPasses(Passes):
    """Each worker puts groups of runs through ``BatchedKernel``. A GPU has one worker."""

    class_major: ClassVar[bool] = False  # see BatchedKernel

    def __init__(self, state: StackState, team: Team) -> None:
        config, shares = state.configs[0], len(state.grads)
        self._state, self._team, self._p = state, team, config.data.p
        each = self._p**2 * padded(config.model.d_mlp) * state.matmul_dtype.itemsize
        # As many runs as fit, but a group for every worker.
        workers = max(1, team.size // shares)
        most = max(1, min(self._group_bytes() // each, -(-len(state.configs) // workers)))
        rows = _equal([one.data.n_train for one in state.configs], most)
        groups = [self._group(some, share) for some in rows for share in range(shares)]
        runs = max(group.train.runs for group in groups)
        self._kernels = [
            BatchedKernel(
                config.model,
                self._p,
                config.training.loss,
                runs=runs,
                examples=runs * self._p * -(-self._p // shares),
                dtype=state.dtype,
                matmul_dtype=state.matmul_dtype,
                device=state.device,
                class_major=self.class_major,
            )
            for _ in range(team.size)
        ]
        self._todo = deal(groups, lambda group: len(group.train.at_label), team.size)
        self._losses = [self._losses_of(groups) for groups in self._todo]

    @classmethod
    def covers(cls, config: RunConfig) -> bool:
        """Whether the run is an MLP without norm, dropout and mini-batches."""
        training = config.training
        return (
            model_class(config.model) is HookedMLP
            and config.model.norm is None
            and training.batch_size is None
            and LOSSES[training.loss].residual_ is not None
            and not training.dropout
        )

    @classmethod
    def suits(cls, config: RunConfig, device: torch.device) -> bool:
        """Whether the device is a GPU and the run an MLP without norm, dropout and mini-batches."""
        return device.type != "cpu" and cls.covers(config)

    @classmethod
    def shares_per_run(cls, configs: Sequence[RunConfig], workers: int) -> int:
        """One: a GPU processes all examples together."""
        return 1

    @classmethod
    def bytes_per_run(cls, config: RunConfig, itemsize: int) -> int:
        """Those of the first layer's indicator; activations share the buffers of a group."""
        return config.data.n_train * (2 * config.data.p * itemsize + 3 * 8)

    def repeats(self) -> bool:
        """Always: nothing depends on the step."""
        return True

    def gradients(self, step: int) -> None:
        """Overwrite the state's gradients and losses with those of an update."""
        state, noise = self._state, self._state.noise

        def work(worker: int) -> None:
            found: list[Tensor] = []
            for group in self._todo[worker]:
                weights = group.weights
                if noise.on_weights:
                    weights = state.named(torch.stack(noise.weights[group.rows]))
                found.append(self._kernels[worker].gradients(weights, group.grads, group.train))
            if found:
                places, scales = self._losses[worker]
                state.losses.view(-1).index_copy_(0, places, torch.cat(found).mul_(scales))

        self._team.each(work)

    def score(self) -> None:
        """Store loss and correctness of every run on all pairs, in the state's ``evaluation``."""

        def work(worker: int) -> None:
            for group in self._todo[worker]:
                pairs = slice(group.operands.start * self._p, group.operands.stop * self._p)
                logits = self._kernels[worker].logits(group.weights, group.operands)
                self._note(group.rows, pairs, logits)

        self._team.each(work)

    def _losses_of(self, groups: Sequence[_Group]) -> tuple[Tensor, Tensor]:
        """Places of the runs of some groups among all losses, and the factors of their losses."""
        runs, device = len(self._state.configs), self._state.device
        places = [
            group.share * runs + run
            for group in groups
            for run in range(group.rows.start, group.rows.stop)
        ]
        scales = [
            self._kernels[0].loss_scale(group.train)
            for group in groups
            for _ in range(group.train.runs)
        ]
        dtype = self._state.dtype
        at = torch.tensor(places, dtype=torch.int64, device=device)
        return at, torch.tensor(scales, dtype=dtype, device=device)

    def _group_bytes(self) -> int:
        """Most bytes of a layer's activations on all pairs."""
        return min(_GROUP_BYTES, free_memory(self._state.device) // _GROUP_SHARE)

    def _note(self, rows: slice, pairs: slice, logits: Float[Tensor, "run pair p"]) -> None:
        self._state.evaluation.note(rows, pairs, logits)

    def _first_layer(self, entries: Int[Tensor, "run example 2"], rows: int) -> FirstLayer:
        """The fastest way for the precision."""
        if self._state.exact_products:
            return ByGathers(entries, rows)
        return ByProducts(entries, rows, self._state.matmul_dtype)

    def _group(self, rows: slice, share: int) -> _Group:
        state, shares, p = self._state, len(self._state.grads), self._p
        data = state.datasets[rows]
        tokens = torch.stack([one.tokens[one.is_train] for one in data]).to(state.device)
        labels = torch.stack([one.labels[one.is_train] for one in data]).to(state.device)
        n_total = labels.shape[1]
        mine = share_of(n_total, share, shares)
        tokens, labels = tokens[:, mine], labels[:, mine]
        entries = tokens + torch.tensor([0, p], device=state.device)
        position = torch.arange(labels.numel(), device=state.device) * padded(p)
        train = Examples(
            runs=len(labels),
            size=labels.shape[1],
            n_total=n_total,
            first_layer=self._first_layer(entries, padded(2 * p)),
            at_label=position + labels.flatten(),
        )
        named = state.named(state.weights[rows]), state.named(state.grads[share, rows])
        return _Group(rows, share, train, share_of(p, share, shares), *named)


def _equal(sizes: Sequence[int], most: int) -> list[slice]:
    """Cut runs into slices of equal sizes: as few, and as alike, as ``most`` runs allow."""
    slices: list[slice] = []
    start = 0
    for _, members in groupby(sizes):
        count = len([*members])
        pieces = -(-count // most)
        cuts = [start + count * piece // pieces for piece in range(pieces + 1)]
        slices += [slice(a, b) for a, b in pairwise(cuts)]
        start += count
    return slices
