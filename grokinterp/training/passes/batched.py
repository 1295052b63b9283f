"""Gradients of the papers' MLP on a GPU: hand-written, as products of many runs at once.

Runs with equally large training sets are processed in groups, whose activations share one set of
buffers. The large results are written into memory that is there already, and no operation waits for
the device, so that a step can be captured once and replayed. Everything from the first layer to the
logits is in the precision of the products.

Widths are padded with zeros to a multiple of 8: the matrix units read 16 bytes at once, and are
slow where rows do not start at such a boundary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

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
from grokinterp.training.memory import free_memory
from grokinterp.training.passes.operands import ByGathers, ByProducts, FirstLayer
from grokinterp.training.passes.protocol import Passes
from grokinterp.training.state import StackState

# Activations of one layer of a group: enough to keep a GPU busy, few enough to bound the memory.
_GROUP_BYTES = 2**31
_GROUP_SHARE = 16  # of the free memory, at most the 16th part


@short_repr
@dataclass(frozen=True, eq=False)
class _Group:
    """Consecutive runs of a stack whose training sets are equally large."""

    rows: slice
    size: int  # of each training set
    first_layer: FirstLayer
    at_label: Int[Tensor, " run_example"]  # position of each label in the flattened logits

    @property
    def runs(self) -> int:
        """Their number."""
        return self.rows.stop - self.rows.start


class _Matrix:
    """A weight matrix of a group's runs as operand of the products, and its gradient, padded."""

    def __init__(self, runs: int, rows: int, columns: int, like: Tensor) -> None:
        self._real = (slice(None), slice(rows), slice(columns))
        shape = runs, _padded(rows), _padded(columns)
        # Nothing but zeros is ever written to the padding of the first two.
        self._weights, self._back, self._grads = (like.new_zeros(shape) for _ in range(3))

    def set(self, weights: Float[Tensor, "run row column"]) -> Tensor:
        """The weights, padded."""
        padded = self._weights[: len(weights)]
        padded[self._real].copy_(weights)
        return padded

    def scaled(self, weights: Float[Tensor, "run row column"], factor: float) -> Tensor:
        """The weights times a factor, padded."""
        padded = self._back[: len(weights)]
        torch.mul(weights, factor, out=padded[self._real])
        return padded

    def grads(self, runs: int) -> Tensor:
        """Padded memory for the gradient."""
        return self._grads[:runs]

    def real(self, padded: Tensor) -> Tensor:
        """A padded matrix without its padding."""
        return padded[self._real]


class BatchedPasses(Passes):
    """Processes groups of runs by batched matrix products, without autograd."""

    def __init__(self, state: StackState, team: Team) -> None:
        first = state.configs[0]
        width, self._p = first.model.d_mlp, first.data.p
        self._state, self._width = state, width
        self._loss, self._activation = LOSSES[first.training.loss], ACTIVATIONS[first.model.act]
        self._names = [*(f"layers.{i}.W_in" for i in range(1, first.model.n_layers)), "W_U"]
        like = torch.empty(0, dtype=state.matmul_dtype, device=state.device)
        budget = _GROUP_BYTES
        if state.device.type != "cpu":
            budget = min(budget, free_memory(state.device) // _GROUP_SHARE)
        most = max(1, budget // (_padded(width) * like.itemsize))  # examples at once
        sizes = [config.data.n_train for config in state.configs]
        self._groups = [self._group(rows) for rows in _equal(sizes, most)]
        self._scored = _equal([self._p**2] * len(sizes), most)
        runs = max(group.runs for group in self._groups)
        examples = max(
            *(group.runs * group.size for group in self._groups),
            *((rows.stop - rows.start) * self._p**2 for rows in self._scored),
        )
        runs = max(runs, *(rows.stop - rows.start for rows in self._scored))
        self._tables = _Matrix(runs, 2 * self._p, width, like)
        self._matrices = [_Matrix(runs, width, width, like) for _ in self._names[1:]]
        self._matrices.append(_Matrix(runs, width, self._p, like))
        # Pre-activations; activations and, going back, the gradients of the pre-activations.
        self._pre, self._post = (
            [like.new_zeros(examples, _padded(width)) for _ in self._names] for _ in range(2)
        )
        self._logits_padded = like.new_zeros(examples, _padded(self._p))
        self._logits = like.new_zeros(examples, self._p, dtype=state.dtype)

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
        """Those of the first layer's indicator; activations share the buffers of a group."""
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
            runs, n = group.runs, group.size
            named, grads = state.named(weights[group.rows]), state.named(state.grads[0, group.rows])
            tables = self._tables.set(named["W_E"].flatten(1, 2))
            group.first_layer.forward(tables, _view(self._pre[0], runs, n))
            logits = self._forward(named, runs, n)
            sums = loss.residual_(logits, group.at_label)
            state.losses[0, group.rows] = sums * (loss.loss_scale(p) / n)
            delta = _view(self._logits_padded, runs, n)
            delta[..., :p].copy_(logits)
            delta = self._backward(named, grads, delta, loss.grad_scale(n, p))
            of_tables = self._tables.grads(runs)
            group.first_layer.backward(delta, of_tables)
            grads["W_E"].flatten(1, 2).copy_(self._tables.real(of_tables))

    def score(self) -> None:
        """Store loss and correctness of every run on all pairs, in the state's ``evaluation``."""
        state, p = self._state, self._p
        for rows in self._scored:
            runs = rows.stop - rows.start
            named = state.named(state.weights[rows])
            plane = _view(self._pre[0], runs, p * p).unflatten(1, (p, p))
            of_a, of_b = named["W_E"].unbind(dim=1)
            torch.add(of_a[:, :, None], of_b[:, None, :], out=plane[..., : self._width])
            state.evaluation.note(rows, slice(None), self._forward(named, runs, p * p))

    def _forward(self, weights: dict[str, Tensor], runs: int, n: int) -> Float[Tensor, "run n p"]:
        """Logits, from the first layer's pre-activations on."""
        outputs = [*self._pre[1:], self._logits_padded]
        for i, (name, matrix) in enumerate(zip(self._names, self._matrices, strict=True)):
            post = _view(self._post[i], runs, n)
            self._activation.forward_into(_view(self._pre[i], runs, n), post)
            torch.bmm(post, matrix.set(weights[name]), out=_view(outputs[i], runs, n))
        padded = _view(self._logits_padded, runs, n)
        return _view(self._logits, runs, n).copy_(padded[..., : self._p])

    def _backward(
        self, weights: dict[str, Tensor], grads: dict[str, Tensor], delta: Tensor, scale: float
    ) -> Tensor:
        """Write the matrices' gradients; return the first pre-activations'.

        ``delta`` is the gradient of the logits divided by ``scale``.
        """
        runs, n, _ = delta.shape
        for i in reversed(range(len(self._names))):
            name, matrix, post = self._names[i], self._matrices[i], _view(self._post[i], runs, n)
            factor = scale if name == "W_U" else 1.0
            of_matrix = matrix.grads(runs)
            torch.bmm(post.mT, delta, out=of_matrix)
            torch.mul(matrix.real(of_matrix), factor, out=grads[name])
            back = matrix.scaled(weights[name], factor * self._activation.gain)
            torch.bmm(delta, back.mT, out=post)
            delta = self._activation.backward_(post, _view(self._pre[i], runs, n))
        return delta

    def _group(self, rows: slice) -> _Group:
        state, p = self._state, self._p
        data = state.datasets[rows]
        tokens = torch.stack([one.tokens[one.is_train] for one in data]).to(state.device)
        labels = torch.stack([one.labels[one.is_train] for one in data]).to(state.device)
        entries = tokens + torch.tensor([0, p], device=state.device)
        width = _padded(2 * p)
        first_layer = (
            ByGathers(entries, width)
            if state.exact_products
            else ByProducts(entries, width, state.matmul_dtype)
        )
        at_label = torch.arange(labels.numel(), device=state.device) * p + labels.flatten()
        return _Group(rows, labels.shape[1], first_layer, at_label)


def _padded(width: int) -> int:
    return -(-width // 8) * 8


def _view(buffer: Float[Tensor, "row width"], runs: int, n: int) -> Float[Tensor, "run n width"]:
    """The first rows of a buffer, as those of so many runs."""
    return buffer[: runs * n].view(runs, n, -1)


def _equal(sizes: Sequence[int], most: int) -> list[slice]:
    """Cut runs into slices of equal sizes: as few, and as alike, as ``most`` examples allow."""
    slices: list[slice] = []
    start = 0
    for size, members in groupby(sizes):
        count = len([*members])
        pieces = -(-count // max(1, most // size))
        cuts = [start + count * piece // pieces for piece in range(pieces + 1)]
        slices += [slice(a, b) for a, b in pairwise(cuts)]
        start += count
    return slices
