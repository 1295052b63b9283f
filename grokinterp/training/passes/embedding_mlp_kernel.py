"""Loss and gradients of the embedding MLP for many runs at once, as batched matrix products.

The first layer is linear in the embeddings, so each operand's residues go through it once, and an
example is the sum of two rows of these tables; what the prompt's symbols add is the same for all.

Examples of several runs go through one operation, which costs less than several where networks are
small.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp.losses import LOSSES
from grokinterp.models.activations import ACTIVATIONS
from grokinterp.models.embedding_mlp import EmbeddingMLPConfig
from grokinterp.models.prompt import vocabulary
from grokinterp.short_text import short_repr
from grokinterp.training.passes.batched_kernel import padded
from grokinterp.training.passes.products import Products
from grokinterp.training.passes.residuals import losses_and_residuals

_SCORED_BYTES = 2**21  # activations of a layer on pairs that are scored together

Named = Mapping[str, Tensor]


@short_repr
@dataclass(frozen=True, eq=False)
class Examples:
    """Training examples of several runs, equally many of each."""

    operands: Int[Tensor, "2 run_example"]  # the rows of a and of b in all runs' tables
    labels: Int[Tensor, "run n"]
    n_total: int  # of each run's whole batch, of which these may be a share


class EmbeddingMLPKernel:
    """Forward and backward pass of several runs of one architecture.

    One kernel can process any number of groups of runs. ``weights`` and ``grads`` map
    names to tensors [run, ...].

    Args:
        config: the architecture, without norms.
        p: the modulus.
        loss: a name in ``LOSSES``; one without ``residual_`` goes through autograd by itself.
        dtype: of weights, activations, logits and gradients.
        matmul_dtype: in which matrix products are computed.
    """

    def __init__(
        self,
        config: EmbeddingMLPConfig,
        p: int,
        loss: str,
        *,
        dtype: torch.dtype,
        matmul_dtype: torch.dtype,
    ) -> None:
        prompt, _, self._classes = vocabulary(config, p)
        self._p, self._loss, self._concat = p, LOSSES[loss], config.combine == "concat"
        self._activation, self._widths = ACTIVATIONS[config.act], tuple(config.hidden)
        self._products = Products(dtype, matmul_dtype)
        a, b = prompt.operands
        # Of each operand, its position and the first of its tokens.
        self._operands = (a, 0), (b, p if prompt.has_two_tables else 0)
        words = prompt.tokens(torch.zeros(1, 2, dtype=torch.int64))[0].tolist()
        self._symbols = [(k, token) for k, token in enumerate(words) if k not in (a, b)]
        self._positions = prompt.length if self._concat else 1

    def examples(
        self, pairs: Int[Tensor, "run n 2"], labels: Int[Tensor, "run n"], n_total: int
    ) -> Examples:
        """Examples that are ready for :meth:`gradients`."""
        of_run = torch.arange(len(pairs))[:, None, None] * self._p
        return Examples((pairs + of_run).flatten(0, 1).T.contiguous(), labels, n_total)

    def gradients(self, weights: Named, grads: Named, examples: Examples) -> Float[Tensor, " run"]:
        """Store the losses' gradients in ``grads``, which are 0; return the losses.

        Of a share of a batch, both are the share's part of the sum.
        """
        runs, n = examples.labels.shape
        tables = self._tables(weights)
        pre = [sum_of_rows(tables, examples.operands).view(runs, n, -1)]
        post = self._hidden(weights, pre)
        logits = self._logits(weights, post[-1])
        losses, delta = losses_and_residuals(
            self._loss, logits, examples.labels, classes=self._classes, n_total=examples.n_total
        )
        for i in reversed(range(len(pre))):
            name, bias = self._names(i + 1)
            if bias in grads:
                torch.sum(delta[..., : grads[bias].shape[-1]], dim=1, out=grads[bias])
            W = weights[name]
            of_W = self._products.linear(post[i].mT, delta)
            grads[name].copy_(of_W[..., : W.shape[-1]])
            if self._activation.gain != 1:
                W = W * self._activation.gain
            delta = self._products.linear(delta[..., : W.shape[-1]], W.mT)
            delta = self._activation.backward_(delta, pre[i])
        self._backward_tables(weights, grads, delta, examples)
        return losses

    def logits(
        self, weights: Named, operands: slice
    ) -> Iterator[tuple[slice, Float[Tensor, "run pair classes"]]]:
        """Logits of all pairs with these first operands, some at a time, with their numbers."""
        of_a, of_b = (table.view(-1, self._p, self._widths[0]) for table in self._tables(weights))
        row = len(of_a) * self._p * max(self._widths) * of_a.element_size()
        step = max(1, _SCORED_BYTES // row)
        for start in range(operands.start, operands.stop, step):
            some = slice(start, min(start + step, operands.stop))
            pre = (of_a[:, some, None] + of_b[:, None]).flatten(1, 2)
            logits = self._logits(weights, self._hidden(weights, [pre])[-1])
            yield slice(some.start * self._p, some.stop * self._p), logits[..., : self._classes]

    def _hidden(self, weights: Named, pre: list[Tensor]) -> list[Float[Tensor, "run n width"]]:
        """Every layer's activations, from the first one's pre-activations; appends the others'."""
        post: list[Tensor] = []
        for i in range(len(self._widths)):
            if i:
                W, b = (weights.get(name) for name in self._names(i))
                assert W is not None
                pre.append(self._products.linear(post[-1], W, b))
            post.append(torch.empty_like(pre[i]))
            self._activation.forward_into(pre[i], post[i])
        return post

    def _logits(
        self, weights: Named, post: Float[Tensor, "run n width"]
    ) -> Float[Tensor, "run n padded"]:
        """With columns that count as no class up to a multiple of 8, where products are faster."""
        name, bias = self._names(len(self._widths))
        W, b, more = weights[name], weights.get(bias), padded(self._classes) - self._classes
        if not more:
            return self._products.linear(post, W, b)
        absent = self._loss.absent if self._loss.residual_ is not None else 0.0
        columns = W.new_full((len(W), more), absent)
        b = torch.cat([W.new_zeros(len(W), self._classes) if b is None else b, columns], dim=1)
        return self._products.linear(post, torch.nn.functional.pad(W, (0, more)), b)

    def _tables(self, weights: Named) -> list[Float[Tensor, "run_p width"]]:
        """What residues add to the first pre-activations, as a (symbols, bias included) and as b.

        The rows of all runs stand one below the other.
        """
        W_E, W = weights["embed.W_E"], self._by_position(weights["layers.0.W_in"])
        rest = weights.get("layers.0.b_in")
        for position, token in self._symbols:
            of_symbol = self._products.linear(W_E[:, token, None], W(position))[:, 0]
            rest = of_symbol if rest is None else rest + of_symbol
        (a, from_a), (b, from_b) = self._operands
        of_a = self._products.linear(W_E[:, from_a : from_a + self._p], W(a), rest)
        of_b = self._products.linear(W_E[:, from_b : from_b + self._p], W(b))
        return [of_a.flatten(0, 1), of_b.flatten(0, 1)]

    def _backward_tables(
        self, weights: Named, grads: Named, delta: Float[Tensor, "run n width"], examples: Examples
    ) -> None:
        W_E, W = weights["embed.W_E"], self._by_position(weights["layers.0.W_in"])
        of_E, of_W = grads["embed.W_E"], grads["layers.0.W_in"]
        of_W_at = self._by_position(of_W)
        for (position, first), chosen in zip(self._operands, examples.operands, strict=True):
            of_table = sums_by_row(delta.flatten(0, 1), chosen, len(delta) * self._p)
            of_table, rows = of_table.view(len(delta), self._p, -1), slice(first, first + self._p)
            of_W_at(position).add_(self._products.linear(W_E[:, rows].mT, of_table))
            of_E[:, rows].add_(self._products.linear(of_table, W(position).mT))
        total = delta.sum(dim=1)
        if "layers.0.b_in" in grads:
            grads["layers.0.b_in"].copy_(total)
        for position, token in self._symbols:
            of_W_at(position).add_(W_E[:, token, :, None] * total[:, None, :])
            of_E[:, token].add_(self._products.linear(total[:, None], W(position).mT)[:, 0])

    def _by_position(
        self, W_in: Float[Tensor, "run input width"]
    ) -> Callable[[int], Float[Tensor, "run d width"]]:
        """The rows of the first layer that read a position, as a function of the position."""
        parts = W_in.unflatten(1, (self._positions, -1))
        return lambda position: parts[:, position if self._concat else 0]

    def _names(self, i: int) -> tuple[str, str]:
        """The matrix in front of hidden layer ``i``, or behind the last, and its bias."""
        if i == len(self._widths):
            return "unembed.W_U", "unembed.b_U"
        return f"layers.{i}.W_in", f"layers.{i}.b_in"


def sum_of_rows(
    tables: list[Float[Tensor, "row width"]], chosen: Int[Tensor, "2 n"]
) -> Float[Tensor, "n width"]:
    """The sum of a row of the first table and one of the second, for each choice of both."""
    of_a, of_b = (table.index_select(0, rows) for table, rows in zip(tables, chosen, strict=True))
    return of_a.add_(of_b)


def sums_by_row(
    delta: Float[Tensor, "n width"], chosen: Int[Tensor, " n"], rows: int
) -> Float[Tensor, "row width"]:
    """For each row of a table, the sum over the choices of it."""
    return torch.ops.aten.embedding_dense_backward(delta, chosen, rows, -1, False)
