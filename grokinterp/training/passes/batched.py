"""Gradients of the papers' MLP on a GPU: hand-written, as products of many runs at once.

Runs with equally large training sets are processed in groups, whose activations share one set of
buffers. Every operation writes into memory that is there already and none waits for the device, so
that a step can be captured once and replayed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp.config import RunConfig
from grokinterp.losses import LOSSES
from grokinterp.models.activations import ACTIVATIONS
from grokinterp.models.mlp import HookedMLP
from grokinterp.models.registry import model_class
from grokinterp.short_text import short_repr
from grokinterp.team import Team
from grokinterp.training.passes.protocol import Passes
from grokinterp.training.state import StackState

# Activations of one layer of a group: enough to keep a GPU busy, few enough to bound the memory.
_GROUP_BYTES = 2**30


@short_repr
@dataclass(frozen=True, eq=False)
class _Group:
    """Consecutive runs of a stack whose training sets are equally large."""

    rows: slice
    pairs: Int[Tensor, "operand run_example"]  # rows of a and of b in the group's tables
    has_operand: Float[Tensor, "run entry example"]  # 1 where an example has this a or b, else 0
    at_label: Int[Tensor, " run_example"]  # position of each label in the flattened logits


class BatchedPasses(Passes):
    """Processes groups of runs by batched matrix products, without autograd."""

    def __init__(self, state: StackState, team: Team) -> None:
        first = state.configs[0]
        self._state, self._p, self._width = state, first.data.p, first.model.d_mlp
        self._loss, self._activation = LOSSES[first.training.loss], ACTIVATIONS[first.model.act]
        self._matrices = [*(f"layers.{i}.W_in" for i in range(1, first.model.n_layers)), "W_U"]
        sizes = [config.data.n_train for config in state.configs]
        most = max(1, _GROUP_BYTES // (self._width * state.dtype.itemsize))  # examples at once
        self._groups = [self._group(rows) for rows in _equal(sizes, most)]
        self._scored_at_once = min(len(sizes), max(1, most // self._p**2))
        examples = max(
            self._scored_at_once * self._p**2, *(len(group.at_label) for group in self._groups)
        )

        def buffer(width: int, kind: torch.dtype) -> Tensor:
            return torch.empty(examples * width, dtype=kind, device=state.device)

        low, same = state.matmul_dtype, state.matmul_dtype == state.dtype
        self._pre = [buffer(self._width, state.dtype) for _ in self._matrices]
        # Activations as the products' operands; going back, the gradients of the pre-activations.
        self._post = [buffer(self._width, low) for _ in self._matrices]
        self._logits = buffer(self._p, state.dtype)
        self._logits_low = self._logits if same else buffer(self._p, low)

    @classmethod
    def suits(cls, config: RunConfig, device: torch.device) -> bool:
        """Whether the device is a GPU and the run an MLP without norm, dropout and mini-batches."""
        training = config.training
        return (
            device.type != "cpu"
            and model_class(config.model) is HookedMLP
            and config.model.norm is None
            and training.batch_size is None
            and LOSSES[training.loss].residual_ is not None
            and not training.dropout
        )

    @classmethod
    def shares_per_run(cls, configs: Sequence[RunConfig], workers: int) -> int:
        """One: a GPU processes all examples together."""
        return 1

    @classmethod
    def bytes_per_run(cls, config: RunConfig, itemsize: int) -> int:
        """Those of the operands' indicator; activations share the buffers of a group."""
        return config.data.n_train * (2 * config.data.p * itemsize + 3 * 8)

    def repeats(self) -> bool:
        """Always: nothing depends on the step."""
        return True

    def gradients(self, step: int) -> None:
        """Overwrite the state's gradients and losses with those of an update."""
        state, loss, p = self._state, self._loss, self._p
        assert loss.residual_ is not None
        weights = torch.stack(state.noise.weights) if state.noise.on_weights else state.weights
        for group in self._groups:
            named, grads = state.named(weights[group.rows]), state.named(state.grads[0, group.rows])
            runs, n = group.has_operand.shape[0], group.has_operand.shape[2]
            tables = named["W_E"].reshape(runs * 2 * p, self._width)
            first, second = group.pairs
            pre = self._view(self._pre[0], runs, n)
            torch.index_select(tables, 0, first, out=pre.view(runs * n, -1))
            pre += tables.index_select(0, second).view_as(pre)
            logits = self._forward(named, runs, n)
            sums = loss.residual_(logits, group.at_label)
            state.losses[0, group.rows] = sums * (loss.loss_scale(p) / n)
            delta = self._view(self._logits_low, runs, n)
            if delta.dtype != logits.dtype:
                delta.copy_(logits)
            self._backward(named, grads, delta, loss.grad_scale(n, p))
            delta = self._view(self._post[0], runs, n)
            _product(group.has_operand, delta, grads["W_E"].view(runs, 2 * p, -1))

    def score(self) -> None:
        """Store loss and correctness of every run on all pairs, in the state's ``evaluation``."""
        state, p = self._state, self._p
        for start in range(0, len(state.configs), self._scored_at_once):
            rows = slice(start, min(start + self._scored_at_once, len(state.configs)))
            runs = rows.stop - rows.start
            named = state.named(state.weights[rows])
            plane = self._view(self._pre[0], runs, p * p).view(runs, p, p, -1)
            of_a, of_b = named["W_E"].unbind(dim=1)
            torch.add(of_a[:, :, None], of_b[:, None, :], out=plane)
            state.evaluation.note(rows, slice(None), self._forward(named, runs, p * p))

    def _forward(self, weights: dict[str, Tensor], runs: int, n: int) -> Float[Tensor, "run n p"]:
        """Logits, from the first layer's pre-activations on."""
        for i, name in enumerate(self._matrices):
            pre, post = (self._view(buffers[i], runs, n) for buffers in (self._pre, self._post))
            if post.dtype == pre.dtype or self._activation.mixes:
                self._activation.forward_into(pre, post)
            else:
                post.copy_(self._activation.function(pre))
            last = i == len(self._pre) - 1
            out = self._view(self._logits if last else self._pre[i + 1], runs, n)
            _product(post, weights[name].to(post.dtype), out)
        return self._view(self._logits, runs, n)

    def _backward(
        self, weights: dict[str, Tensor], grads: dict[str, Tensor], delta: Tensor, scale: float
    ) -> None:
        """Gradients of the matrices, and of the pre-activations in place of the activations.

        ``delta`` is the gradient of the logits divided by ``scale``.
        """
        runs, n = delta.shape[:2]
        gain = self._activation.gain
        for i, name in reversed([*enumerate(self._matrices)]):
            pre, post = (self._view(buffers[i], runs, n) for buffers in (self._pre, self._post))
            _product(post.mT, delta, grads[name])
            back = weights[name] * (gain * (scale if name == "W_U" else 1.0))
            torch.bmm(delta, back.to(post.dtype).mT, out=post)
            if post.dtype == pre.dtype or self._activation.mixes:
                self._activation.backward_(post, pre)
            else:
                post.copy_(self._activation.backward_(post.to(pre.dtype), pre))
            delta = post
        grads["W_U"] *= scale

    def _view(self, buffer: Tensor, runs: int, n: int) -> Tensor:
        """The first elements of a buffer as [run, example, ...]."""
        logits = buffer is self._logits or buffer is self._logits_low
        width = self._p if logits else self._width
        return buffer[: runs * n * width].view(runs, n, width)

    def _group(self, rows: slice) -> _Group:
        state, p = self._state, self._p
        chosen = [
            (data.tokens[data.is_train], data.labels[data.is_train])
            for data in state.datasets[rows]
        ]
        tokens, labels = (torch.stack(part).to(state.device) for part in zip(*chosen, strict=True))
        runs, n = labels.shape
        entries = tokens.mT + torch.tensor([[0], [p]], device=state.device)  # [run, operand, n]
        has_operand = torch.zeros(runs, 2 * p, n, dtype=state.matmul_dtype, device=state.device)
        has_operand.scatter_(1, entries, 1.0)
        of_run = torch.arange(runs, device=state.device)[:, None] * 2 * p
        pairs = torch.stack([(entries[:, i] + of_run).flatten() for i in range(2)])
        at_label = torch.arange(runs * n, device=state.device) * p + labels.flatten()
        return _Group(rows, pairs, has_operand, at_label)


def _product(left: Tensor, right: Tensor, out: Tensor) -> None:
    """Batched matrix product, whose result may have more precision than its operands."""
    if out.dtype == left.dtype:
        torch.bmm(left, right, out=out)
    else:
        out.copy_(torch.bmm(left, right))


def _equal(sizes: Sequence[int], most: int) -> list[slice]:
    """Cut runs into slices of equal sizes, each of at most ``most`` examples or a single run."""
    slices: list[slice] = []
    start = 0
    for size, members in groupby(sizes):
        stop = start + len([*members])
        at_once = max(1, most // size)
        slices += [slice(i, min(i + at_once, stop)) for i in range(start, stop, at_once)]
        start = stop
    return slices
