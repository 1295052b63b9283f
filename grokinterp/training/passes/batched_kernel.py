"""Loss and gradients of the hooked MLP for many runs at once, as batched matrix products.

Like ``mlp_kernel``, without autograd and in reused memory, but all examples of several runs go
through one operation, which costs less than several where networks are small. No operation waits
for the device, so that a GPU's step can be captured once and replayed. Everything from the first
layer to the logits is in the precision of the products.

Widths are padded with zeros to a multiple of 8. Matrix units read 16 bytes at once and are slow
where rows do not start at such a boundary; products of a CPU with 31 columns take twice the time of
products with 32.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp.losses import LOSSES
from grokinterp.models.activations import ACTIVATIONS
from grokinterp.models.mlp import MLPConfig
from grokinterp.short_text import short_repr
from grokinterp.training.passes.operands import FirstLayer


@short_repr
@dataclass(frozen=True, eq=False)
class Examples:
    """Training examples of several runs, equally many of each."""

    runs: int
    size: int  # of each run
    n_total: int  # of each run's whole batch, of which these may be a share
    first_layer: FirstLayer
    at_label: Int[Tensor, " run_example"]  # position of each label in the flattened padded logits


class BatchedKernel:
    """Forward and backward pass of several runs of one architecture, with its own buffers.

    One kernel can process any number of groups of runs, one after another; each thread needs its
    own. ``weights`` and ``grads`` map names to tensors [run, ...].

    Args:
        config: the architecture.
        p: the modulus.
        loss: a name in ``LOSSES``.
        runs: most runs at once.
        examples: most examples at once, those of all runs together.
        dtype: of weights, gradients and the loss.
        matmul_dtype: of activations, logits and the matrix products' operands.
        device: where the buffers live.
        class_major: whether :meth:`logits` keeps those of a class together, not those of a pair.
    """

    def __init__(
        self,
        config: MLPConfig,
        p: int,
        loss: str,
        *,
        runs: int,
        examples: int,
        dtype: torch.dtype,
        matmul_dtype: torch.dtype,
        device: torch.device,
        class_major: bool = False,
    ) -> None:
        self.p, self.loss, self._class_major = p, LOSSES[loss], class_major
        if self.loss.residual_ is None:
            raise ValueError(f"loss={loss!r} has no hand-written gradient")
        self._residual_ = self.loss.residual_
        self._activation, width = ACTIVATIONS[config.act], config.d_mlp
        hidden = {f"layers.{i}.W_in": (width, width) for i in range(1, config.n_layers)}
        self._shapes = {"W_E": (2 * p, width), **hidden, "W_U": (width, p)}
        self._names = [*self._shapes]
        like = torch.empty(0, dtype=matmul_dtype, device=device)
        # Nothing but zeros is ever written to the padding of the first.
        self._matrices, self._of_matrices = (
            [like.new_zeros(runs, padded(m), padded(n)) for m, n in self._shapes.values()]
            for _ in range(2)
        )
        # Pre-activations; activations and, going back, the gradients of the pre-activations.
        self._pre, self._post = (
            [like.new_zeros(examples, padded(width)) for _ in range(config.n_layers)]
            for _ in range(2)
        )
        self._low = like.new_zeros(examples, padded(p))
        self._logits = self._low if matmul_dtype == dtype else self._low.to(dtype)
        self._made: dict[tuple[int, int], _Views] = {}

    def gradients(
        self, weights: dict[str, Tensor], grads: dict[str, Tensor], examples: Examples
    ) -> Float[Tensor, " run"]:
        """Overwrite ``grads`` with the losses' gradients; return the losses.

        The losses are to be multiplied by :meth:`loss_scale`. For a share of a batch both are the
        share's part of the sum.
        """
        views = self._views(examples.runs, examples.size)
        views.own["W_E"].copy_(weights["W_E"])
        first = examples.first_layer.forward(views.matrices["W_E"], views.pre[0])
        pre = [first, *views.pre[1:]]
        post = self._hidden(weights, pre, views)
        torch.bmm(post, views.matrices["W_U"], out=views.low)
        delta, logits = views.low, views.logits
        if delta is not logits:
            logits.copy_(delta)
        if self.loss.absent:
            logits[..., self.p :] = self.loss.absent
        sums = self._residual_(logits, examples.at_label)
        if delta is not logits:
            delta.copy_(logits)
        # The gradient of what ``delta`` belongs to is ``delta`` times this number.
        factor = self.loss.grad_scale(examples.n_total, self.p)
        for i in reversed(range(len(pre))):
            name, post = self._names[i + 1], views.post[i]
            torch.bmm(post.mT, delta, out=views.of_matrices[name])
            torch.mul(views.of_own[name], factor, out=grads[name])
            torch.bmm(delta, views.matrices[name].mT, out=post)
            delta = self._activation.backward_(post, pre[i])
            factor *= self._activation.gain
        of_tables = examples.first_layer.backward(delta, views.of_matrices["W_E"])
        torch.mul(self._own("W_E", of_tables), factor, out=grads["W_E"])
        return sums

    def loss_scale(self, examples: Examples) -> float:
        """A run's loss divided by what :meth:`gradients` returns."""
        return self.loss.loss_scale(self.p) / examples.n_total

    def logits(self, weights: dict[str, Tensor], operands: slice) -> Float[Tensor, "run pair p"]:
        """Logits of all pairs with these first operands, in a buffer that the next call uses."""
        of_a, of_b = weights["W_E"].unbind(dim=1)
        of_a = of_a[:, operands]
        runs, pairs = len(of_a), of_a.shape[1] * self.p
        views = self._views(runs, pairs)
        plane = views.pre[0].unflatten(1, (-1, self.p))[..., : of_a.shape[-1]]
        torch.add(of_a[:, :, None], of_b[:, None, :], out=plane)
        post, read_out = self._hidden(weights, views.pre, views), views.matrices["W_U"]
        low, logits = views.low, views.logits
        if self._class_major:
            low, logits = (x.view(runs, -1, pairs).mT for x in (low, logits))
            torch.bmm(read_out.mT, post.mT, out=low.mT)
        else:
            torch.bmm(post, read_out, out=low)
        if self._low is not self._logits:
            logits.copy_(low)
        return logits[..., : self.p]

    def _hidden(self, weights: dict[str, Tensor], pre: list[Tensor], views: "_Views") -> Tensor:
        """The last layer's activations, from the first layer's pre-activations on."""
        last = len(pre) - 1
        for i, post in enumerate(views.post):
            name = self._names[i + 1]
            views.own[name].copy_(weights[name])
            self._activation.forward_into(pre[i], post)
            if i < last:
                torch.bmm(post, views.matrices[name], out=pre[i + 1])
        return views.post[last]

    def _views(self, runs: int, n: int) -> "_Views":
        if (runs, n) not in self._made:
            self._made[runs, n] = self._make_views(runs, n)
        return self._made[runs, n]

    def _make_views(self, runs: int, n: int) -> "_Views":
        def some(buffer: Tensor) -> Float[Tensor, "run n width"]:
            return buffer[: runs * n].view(runs, n, -1)

        matrices, of_matrices = (
            {name: matrix[:runs] for name, matrix in zip(self._names, each, strict=True)}
            for each in (self._matrices, self._of_matrices)
        )
        low = some(self._low)
        return _Views(
            matrices=matrices,
            own={name: self._own(name, matrix) for name, matrix in matrices.items()},
            of_matrices=of_matrices,
            of_own={name: self._own(name, matrix) for name, matrix in of_matrices.items()},
            pre=[some(buffer) for buffer in self._pre],
            post=[some(buffer) for buffer in self._post],
            low=low,
            logits=low if self._logits is self._low else some(self._logits),
        )

    def _own(self, name: str, matrix: Float[Tensor, "run row column"]) -> Tensor:
        """Padded matrices without their padding, in the shape of the weights."""
        rows, columns = self._shapes[name]
        own = matrix[:, :rows, :columns]
        return own.unflatten(1, (2, self.p)) if name == "W_E" else own


@short_repr
@dataclass(frozen=True, eq=False)
class _Views:
    """The buffers of a kernel, as those of some number of runs and examples."""

    matrices: dict[str, Tensor]  # weights as operands of the products
    own: dict[str, Tensor]  # the same without padding
    of_matrices: dict[str, Tensor]  # their gradients
    of_own: dict[str, Tensor]
    pre: list[Tensor]
    post: list[Tensor]
    low: Tensor  # logits in the precision of the products
    logits: Tensor


def padded(width: int) -> int:
    """The next multiple of 8."""
    return -(-width // 8) * 8
