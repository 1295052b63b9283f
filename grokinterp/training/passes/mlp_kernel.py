"""Loss and gradients of the hooked MLP without autograd, block by block in reused memory.

At the papers' size the arithmetic is three matrix products, and a plain autograd loop spends twice
their time on new temporaries. Here the one-hot products are sums of table rows, the activations are
in buffers that stay in cache, and constant factors (the 2 of the square's derivative, the loss's
2 / (n p)) are folded into the small weight matrices. From the first layer to the logits everything
is in the precision of the products. The tests compare with
:class:`~grokinterp.models.HookedMLP`, which computes the same function.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp.losses import LOSSES
from grokinterp.models.activations import ACTIVATIONS
from grokinterp.models.mlp import MLPConfig
from grokinterp.training.dropout import Dropout, Masks
from grokinterp.training.passes.blocks import Bags, Batch, Block, Gathers, blocks

# Activations per block: about 2 MB per buffer, small enough for a core's cache and large enough for
# the products to run at full speed.
_BLOCK_BYTES = 2_400_000

# Called with the index of a block's first example and the block's logits, which it must not keep.
See = Callable[[int, Float[Tensor, "rows p"]], object]


class MLPKernel:
    """Forward and backward pass of one architecture, with its own buffers.

    One kernel can process any number of runs, one after another; each thread needs its own.

    Args:
        config: the architecture.
        p: the modulus.
        loss: a name in ``LOSSES``.
        dtype: of weights, gradients and the loss, to which the logits are converted for it.
        matmul_dtype: of activations, logits and the matrix products' operands.
    """

    def __init__(
        self,
        config: MLPConfig,
        p: int,
        loss: str,
        *,
        dtype: torch.dtype,
        matmul_dtype: torch.dtype,
    ) -> None:
        self.p, self.loss = p, LOSSES[loss]
        if self.loss.residual_ is None:
            raise ValueError(f"loss={loss!r} has no hand-written gradient")
        self._residual_ = self.loss.residual_
        self.activation = ACTIVATIONS[config.act]
        self.dtype, self.matmul_dtype = dtype, matmul_dtype
        self.rows = rows = max(64, _BLOCK_BYTES // (config.d_mlp * matmul_dtype.itemsize))
        self._names = [*(f"layers.{i}.W_in" for i in range(1, config.n_layers)), "W_U"]
        self._rows_of = Gathers if matmul_dtype == dtype else Bags

        def buffer(width: int, kind: torch.dtype) -> Tensor:
            return torch.empty(rows, width, dtype=kind, device="cpu")

        self._masks: Masks | None = None  # made for the first run with dropout
        self._pre = [buffer(config.d_mlp, matmul_dtype) for _ in self._names]
        # Activations and, going back, the gradients of the pre-activations.
        self._post = [buffer(config.d_mlp, matmul_dtype) for _ in self._names]
        self._logits = buffer(p, dtype)
        self._logits_low = self._logits if matmul_dtype == dtype else buffer(p, matmul_dtype)
        widths = [config.d_mlp for _ in self._names[1:]]
        self._totals = [  # gradients of the matrices, transposed, which is faster to add up
            torch.empty(width, config.d_mlp, dtype=dtype, device="cpu") for width in [*widths, p]
        ]

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
        cut = blocks(tokens, labels, self.p, size=self.rows, rows=self._rows_of)
        return Batch(cut, len(tokens), len(tokens) if n_total is None else n_total, start)

    def logits(
        self, weights: dict[str, Tensor], batch: Batch
    ) -> Iterator[tuple[int, Float[Tensor, "rows p"]]]:
        """Yield the index of each block's first example, and its logits.

        They are in a buffer that the next block overwrites.
        """
        table, matrices = self._operands(weights)
        for start, block in batch:
            yield start, self._forward(table, matrices, block)[1]

    def gradients(
        self,
        weights: dict[str, Tensor],
        grads: dict[str, Tensor],
        batch: Batch,
        dropout: Dropout | None = None,
        step: int = 0,
        see: See | None = None,
    ) -> Tensor:
        """Overwrite ``grads`` with the loss's gradients; return the loss (a scalar tensor).

        For a share of a batch both are the share's part of the sum. With ``dropout`` both are those
        of the network under the masks of ``step``. ``see`` is shown every block's logits.
        """
        scale = self.loss.grad_scale(batch.n_total, self.p)
        table, matrices = self._operands(weights)
        gain = self.activation.gain
        # Going back, the first product includes the loss's scale, each one the activation's gain.
        backward = [
            (weights[name] * (gain * (scale if name == "W_U" else 1.0))).to(self.matmul_dtype).T
            for name in self._names
        ]
        for total in self._totals:
            total.zero_()
        of_table = grads["W_E"].zero_().view(2 * self.p, -1)
        loss = torch.zeros((), dtype=self.dtype, device="cpu")
        for start, block in batch:
            n = block.size
            masks = self._draw_masks(dropout, step, start, n) if dropout else []
            pre, logits = self._forward(
                table, matrices, block, masks, dropout.at if dropout else ""
            )
            if see is not None:
                see(start, logits)
            loss += self._residual_(logits, block.at_label)
            delta = self._low_logits(n)
            if delta is not logits:
                delta.copy_(logits)
            for i in reversed(range(len(matrices))):
                post = self._post[i][:n]
                _add_product(self._totals[i], delta, post)
                torch.mm(delta, backward[i], out=post)
                delta = self.activation.backward_(post, pre[i])
                if masks:  # whether before or after the activation: the factors commute
                    delta.mul_(masks[i])
            block.rows.add_back(of_table, delta)
        for name, total in zip(self._names, self._totals, strict=True):
            torch.mul(total.T, scale if name == "W_U" else 1.0, out=grads[name])
        return loss * (self.loss.loss_scale(self.p) / batch.n_total)

    def _forward(
        self,
        table: Tensor,
        matrices: list[Tensor],
        block: Block,
        masks: Sequence[Tensor] = (),
        masked: str = "",
    ) -> tuple[list[Tensor], Float[Tensor, "rows p"]]:
        """Pre-activations of every layer, and the logits."""
        n = block.size
        pre = [block.rows.sums(table, self._pre[0][:n], self._post[0][:n])]
        pre += [buffer[:n] for buffer in self._pre[1:]]
        outputs = [*pre[1:], self._low_logits(n)]
        for i, matrix in enumerate(matrices):
            if masked == "pre":
                pre[i].mul_(masks[i])
            post = self.activation.forward_into(pre[i], self._post[i][:n])
            if masked == "post":
                post.mul_(masks[i])
            torch.mm(post, matrix, out=outputs[i])
        logits = self._logits[:n]
        if self._logits_low is not self._logits:
            logits.copy_(outputs[-1])
        return pre, logits

    def _draw_masks(self, dropout: Dropout, step: int, start: int, n: int) -> list[Tensor]:
        if self._masks is None:
            device = torch.device("cpu")
            self._masks = Masks(self.rows, dropout, dtype=self.dtype, device=device)
        return [
            self._masks.draw(dropout, step=step, layer=i, start=start, count=n)
            for i in range(len(self._pre))
        ]

    def _operands(self, weights: dict[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The first layer's table [2 p, width] and the matrices, as the forward pass needs them."""
        table = weights["W_E"].view(2 * self.p, -1).to(self.matmul_dtype)
        return table, [weights[name].to(self.matmul_dtype) for name in self._names]

    def _low_logits(self, n: int) -> Tensor:
        """Memory for logits in the products' precision."""
        return self._logits_low[:n]


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """``total += left^T right``."""
    if left.dtype == total.dtype:
        total.addmm_(left.T, right)
    else:
        total.add_(left.T @ right)
