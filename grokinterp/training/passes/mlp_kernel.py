"""Loss and gradients of the hooked MLP without autograd, block by block in reused memory.

At the papers' size the arithmetic is three matrix products, and a plain autograd loop spends twice
their time on new temporaries. Here the one-hot products are gathers, the activations are in buffers
that stay in cache, and constant factors (the 2 of the square's derivative, the loss's 2 / (n p))
are folded into the small weight matrices. The tests compare with
:class:`~grokinterp.models.HookedMLP`, which computes the same function.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp.losses import LOSSES
from grokinterp.models.activations import ACTIVATIONS
from grokinterp.models.mlp import MLPConfig
from grokinterp.short_text import short_repr
from grokinterp.training.dropout import Dropout, Masks

# Activations per block: about 2 MB per buffer, small enough for a core's cache and large enough for
# the products to run at full speed.
_BLOCK_BYTES = 2_400_000


@short_repr
@dataclass(frozen=True, eq=False)
class Block:
    """Some examples, as indices for gathers and scatters."""

    first: Int[Tensor, " n"]  # row of a in W_E flattened over operands
    second: Int[Tensor, " n"]  # row of b in it: p + b
    at_label: Int[Tensor, " n"]  # position of each label in the flattened logits


@short_repr
@dataclass(frozen=True, eq=False)
class Batch:
    """Examples of one run, cut into blocks."""

    blocks: tuple[Block, ...]
    size: int  # number of examples
    n_total: int  # examples in the run's whole batch, which may be divided among workers
    start: int  # index of the first example within the whole batch


class MLPKernel:
    """Forward and backward pass of one architecture, with its own buffers.

    One kernel can process any number of runs, one after another; each thread needs its own.

    Args:
        config: the architecture.
        p: the modulus.
        loss: a name in ``LOSSES``.
        dtype: of weights, activations and gradients.
        matmul_dtype: of the matrix products' operands.
        device: where the buffers live.
    """

    def __init__(
        self,
        config: MLPConfig,
        p: int,
        loss: str,
        *,
        dtype: torch.dtype,
        matmul_dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.p, self.loss = p, LOSSES[loss]
        if self.loss.residual_ is None:
            raise ValueError(f"loss={loss!r} has no hand-written gradient")
        self._residual_ = self.loss.residual_
        self.activation = ACTIVATIONS[config.act]
        self.dtype, self.matmul_dtype = dtype, matmul_dtype
        # On a GPU, launching many small products costs more than cache misses.
        bytes_per_block = _BLOCK_BYTES if device.type == "cpu" else 100 * _BLOCK_BYTES
        self.rows = rows = max(64, bytes_per_block // (config.d_mlp * dtype.itemsize))
        self.hidden = [f"layers.{i}.W_in" for i in range(1, config.n_layers)]

        def buffer(width: int, kind: torch.dtype) -> Tensor:
            return torch.empty(rows, width, dtype=kind, device=device)

        self._masks: Masks | None = None  # made for the first run with dropout
        self._pre = [buffer(config.d_mlp, dtype) for _ in range(config.n_layers)]
        # Reused for the second gather, then the first layer's activations, then their gradient.
        self._grad = buffer(config.d_mlp, dtype)
        if matmul_dtype == dtype:
            self._post = [self._grad, *(buffer(config.d_mlp, dtype) for _ in self.hidden)]
            self._post_low = self._post
        else:
            self._post = [self._grad] * config.n_layers
            self._post_low = [buffer(config.d_mlp, matmul_dtype) for _ in self._post]
        self._logits = buffer(p, dtype)
        self._logits_low = self._logits if matmul_dtype == dtype else buffer(p, matmul_dtype)

    def batch(
        self,
        tokens: Int[Tensor, "n 2"],
        labels: Int[Tensor, " n"],
        n_total: int | None = None,
        start: int = 0,
    ) -> Batch:
        """Cut examples into blocks, ready for :meth:`gradients` and :meth:`logits`.

        For a share of a larger batch, ``n_total`` is the number of examples in the whole batch and
        ``start`` the index of the share's first example within it.
        """
        blocks = tuple(
            Block(
                first=pairs[:, 0].contiguous(),
                second=pairs[:, 1] + self.p,
                at_label=torch.arange(len(given), device=given.device) * self.p + given,
            )
            for pairs, given in zip(tokens.split(self.rows), labels.split(self.rows), strict=True)
        )
        return Batch(blocks, len(tokens), len(tokens) if n_total is None else n_total, start)

    def logits(self, weights: dict[str, Tensor], batch: Batch) -> Iterator[Float[Tensor, "rows p"]]:
        """Yield the logits block by block, in a buffer that the next block overwrites."""
        forward = self._low_weights(weights)
        for block in batch.blocks:
            yield self._forward(weights, forward, block)

    def gradients(
        self,
        weights: dict[str, Tensor],
        grads: dict[str, Tensor],
        batch: Batch,
        dropout: Dropout | None = None,
        step: int = 0,
    ) -> Tensor:
        """Overwrite ``grads`` with the loss's gradients; return the loss (a scalar tensor).

        For a share of a batch both are the share's part of the sum. With ``dropout`` both are those
        of the network under the masks of ``step``.
        """
        scale = self.loss.grad_scale(batch.n_total, self.p)
        forward = self._low_weights(weights)
        gain = self.activation.gain
        # Going back, the first product includes the loss's scale, each one the activation's gain.
        backward = [
            (weights[name] * (gain * (scale if name == "W_U" else 1.0))).to(self.matmul_dtype).T
            for name in (*self.hidden, "W_U")
        ]
        for grad in grads.values():
            grad.zero_()
        table = grads["W_E"].view(2 * self.p, -1)
        total = torch.zeros((), dtype=self.dtype, device=table.device)
        start = batch.start
        for block in batch.blocks:
            n = len(block.first)
            masks = self._draw_masks(dropout, step, start, n) if dropout else []
            start += n
            residual = self._forward(weights, forward, block, masks, dropout.at if dropout else "")
            total += self._residual_(residual, block.at_label)
            delta = self._lower(residual, self._logits_low[:n])
            for i in reversed(range(len(forward))):
                post = self._post_low[i][:n]
                _add_product(grads[(*self.hidden, "W_U")[i]], post, delta)
                torch.mm(delta, backward[i], out=post)
                full = post if post.dtype == self.dtype else self._grad[:n].copy_(post)
                self.activation.backward_(full, self._pre[i][:n])
                if masks:  # whether before or after the activation: the factors commute
                    full.mul_(masks[i])
                delta = self._lower(full, post) if i else full
            table.index_add_(0, block.first, delta)
            table.index_add_(0, block.second, delta)
        grads["W_U"].mul_(scale)
        return total * (self.loss.loss_scale(self.p) / batch.n_total)

    def _forward(
        self,
        weights: dict[str, Tensor],
        forward: list[Tensor],
        block: Block,
        masks: Sequence[Tensor] = (),
        masked: str = "",
    ) -> Float[Tensor, "rows p"]:
        n = len(block.first)
        table = weights["W_E"].view(2 * self.p, -1)
        torch.index_select(table, 0, block.first, out=self._pre[0][:n])
        torch.index_select(table, 0, block.second, out=self._grad[:n])
        self._pre[0][:n].add_(self._grad[:n])
        last = len(forward) - 1
        for i, weight in enumerate(forward):
            if masked == "pre":
                self._pre[i][:n].mul_(masks[i])
            post = self.activation.forward_into(self._pre[i][:n], self._post[i][:n])
            if masked == "post":
                post.mul_(masks[i])
            post = self._lower(post, self._post_low[i][:n])
            out, out_low = (
                (self._logits, self._logits_low)
                if i == last
                else (self._pre[i + 1], self._low_pre(i + 1))
            )
            torch.mm(post, weight, out=out_low[:n])
            if out_low is not out:
                out[:n].copy_(out_low[:n])
        return self._logits[:n]

    def _draw_masks(self, dropout: Dropout, step: int, start: int, n: int) -> list[Tensor]:
        if self._masks is None:
            device = self._grad.device
            self._masks = Masks(self.rows, dropout, dtype=self.dtype, device=device)
        return [
            self._masks.draw(dropout, step=step, layer=i, start=start, count=n)
            for i in range(len(self._pre))
        ]

    def _low_pre(self, i: int) -> Tensor:
        """Output buffer of the product into layer i: pre-activations, or a low-precision buffer."""
        return self._pre[i] if self.matmul_dtype == self.dtype else self._post_low[i]

    def _low_weights(self, weights: dict[str, Tensor]) -> list[Tensor]:
        return [weights[name].to(self.matmul_dtype) for name in (*self.hidden, "W_U")]

    def _lower(self, full: Tensor, low: Tensor) -> Tensor:
        return full if self.matmul_dtype == self.dtype else low.copy_(full)


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """``total += left^T right``, in the order that is faster for the precision."""
    if left.dtype == total.dtype:
        total.addmm_(left.T, right)
    else:
        total.add_((right.T @ left).T)
