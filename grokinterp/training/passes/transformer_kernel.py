"""The transformer's forward and backward pass, written out, for several runs at once.

Every part has a ``forward``, which keeps what the ``backward`` that follows it needs. Rows are
those of :mod:`~grokinterp.training.passes.prefixes`; all parts but attention work row by row.
Weights and gradients have the run as their first axis.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp.losses import LOSSES
from grokinterp.models.activations import ACTIVATIONS
from grokinterp.models.transformer import HookedTransformer
from grokinterp.models.transformer_config import TransformerConfig
from grokinterp.short_text import short_repr
from grokinterp.training.passes.prefixes import Edges, Prefixes
from grokinterp.training.passes.products import Products
from grokinterp.training.passes.residuals import losses_and_residuals

# All activations of the pairs that are processed together, if every position were computed: what is
# shared or not needed leaves about a third of it.
_BLOCK_BYTES = 80_000_000

Named = Mapping[str, Tensor]


@short_repr
@dataclass(frozen=True, eq=False)
class Piece:
    """Some pairs of a batch, as many of each run."""

    layers: list[Edges]  # of each layer's attention
    labels: Int[Tensor, "run n"]


@short_repr
@dataclass(frozen=True, eq=False)
class Batch:
    """Training examples of several runs."""

    pieces: list[Piece]
    n_total: int  # of each run's whole batch, of which these may be a share


class TransformerKernel:
    """Forward and backward pass of several runs of one architecture, with its own buffers.

    One kernel can process any number of groups of runs, one after another; each thread needs its
    own. ``weights`` and ``grads`` map names to tensors [run, ...].

    Args:
        config: the architecture.
        p: the modulus.
        loss: a name in ``LOSSES``; one without ``residual_`` goes through autograd by itself.
        dtype: of weights, residual stream, attention, norms, logits and gradients.
        matmul_dtype: in which matrix products are computed, and of the neurons.
    """

    def __init__(
        self,
        config: TransformerConfig,
        p: int,
        loss: str,
        *,
        dtype: torch.dtype,
        matmul_dtype: torch.dtype,
    ) -> None:
        model = HookedTransformer(config, p=p).to(dtype)
        assert model.prompt is not None
        assert model.table is not None
        self.cfg = config = model.cfg
        self._rows = max(64, _BLOCK_BYTES // (model.floats_per_example() * dtype.itemsize))
        self._tokens, self._positions = model.table.tokens, model.table.positions
        causal = config.attention_dir == "causal"
        self._prefixes = Prefixes(
            model.prompt, p, causal=causal, n_layers=config.n_layers, heads=config.n_heads
        )
        self._p = p
        self._fixed = {name: buffer[None] for name, buffer in model.named_buffers()}
        self._loss = LOSSES[loss]
        self._scale = model.unembed.scale
        self._products = products = Products(dtype, matmul_dtype)
        self._blocks = [_Block(config, i, products) for i in range(config.n_layers)]
        self._norm = _NoNorm() if model.ln_final is None else _Norm(config, "ln_final")

    def examples(
        self, pairs: Int[Tensor, "run n 2"], labels: Int[Tensor, "run n"], n_total: int
    ) -> Batch:
        """Examples that are ready for :meth:`gradients`, cut into pieces."""
        runs, n = labels.shape
        if not n:
            return Batch([], n_total)
        count = -(-n // max(64, self._rows // runs))
        pieces = zip(pairs.chunk(count, dim=1), labels.chunk(count, dim=1), strict=True)
        return Batch([Piece(self._prefixes.edges(some), given) for some, given in pieces], n_total)

    def logits(
        self, weights: Named, operands: slice
    ) -> Iterator[tuple[slice, Float[Tensor, "run pair classes"]]]:
        """Logits of all pairs with these first operands, some at a time, with their numbers."""
        runs = len(weights["embed.W_E"])
        start, stop = operands.start * self._p, operands.stop * self._p
        step = max(64, self._rows // runs)
        for first in range(start, stop, step):
            some = torch.arange(first, min(first + step, stop))
            pairs = torch.stack([some // self._p, some % self._p], dim=1).expand(runs, -1, -1)
            _, logits = self._forward(weights, self._prefixes.edges(pairs))
            yield slice(first, first + len(some)), logits

    def gradients(self, weights: Named, grads: Named, examples: Batch) -> Float[Tensor, " run"]:
        """Add the losses' gradients to ``grads``; return the losses.

        Of a share of a batch, both are the share's part of the sum.
        """
        first = next(iter(weights.values()))
        total = first.new_zeros(len(first))
        for piece in examples.pieces:
            x, logits = self._forward(weights, piece.layers)
            losses, residual = losses_and_residuals(
                self._loss,
                logits,
                piece.labels,
                classes=logits.shape[-1],
                n_total=examples.n_total,
            )
            total += losses
            self._backward(weights, grads, piece, x, residual)
        return total

    def _forward(self, weights: Named, layers: list[Edges]) -> tuple[Tensor, Tensor]:
        """The read-out's input and the logits."""
        pos = weights.get("pos_embed.W_pos", self._fixed.get("pos_embed.W_pos"))
        assert pos is not None
        x = weights["embed.W_E"].index_select(1, self._tokens)
        x.add_(pos.index_select(1, self._positions))
        for layer, edges in zip(self._blocks, layers, strict=True):
            x = layer.forward(weights, x, edges)
        x = self._norm.forward(weights, x)
        logits = self._products.linear(x, self._unembedding(weights), weights.get("unembed.b_U"))
        return x, logits if self._scale == 1 else logits.mul_(self._scale)

    def _backward(
        self, weights: Named, grads: Named, piece: Piece, x: Tensor, residual: Tensor
    ) -> None:
        if self._scale != 1:
            residual = residual * self._scale
        if "unembed.b_U" in grads:
            grads["unembed.b_U"].add_(residual.sum(dim=1))
        products, W_U = self._products, self._unembedding(weights)
        products.add(self._unembedding(grads), x, residual)
        delta = self._norm.backward(weights, grads, products.linear(residual, W_U.mT))
        for layer, edges in zip(reversed(self._blocks), reversed(piece.layers), strict=True):
            delta = layer.backward(weights, grads, delta, edges)
        grads["embed.W_E"].index_add_(1, self._tokens, delta)
        if "pos_embed.W_pos" in grads:
            grads["pos_embed.W_pos"].index_add_(1, self._positions, delta)

    def _unembedding(self, named: Named) -> Tensor:
        if not self.cfg.tie_embedding:
            return named["unembed.W_U"]
        return named["embed.W_E"][:, : self.cfg.d_vocab_out].mT


class _Block:
    """One layer; a :meth:`backward` follows a :meth:`forward` on the same edges."""

    def __init__(self, config: TransformerConfig, layer: int, products: Products) -> None:
        name, is_post = f"blocks.{layer}", config.norm_position == "post"

        def norms(leaf: str) -> "tuple[_Norm | _NoNorm, _Norm | _NoNorm]":
            if config.normalization_type is None:
                return _NoNorm(), _NoNorm()
            norm = _Norm(config, f"{name}.{leaf}")
            return (_NoNorm(), norm) if is_post else (norm, _NoNorm())

        self._before_attn, self._after_attn = norms("ln1")
        self._attn = _Attention(config, f"{name}.attn", products)
        self._mlp = None
        if not config.attn_only:
            self._before_mlp, self._after_mlp = norms("ln2")
            self._mlp = _MLP(config, f"{name}.mlp", products)

    def forward(
        self, weights: Named, x: Float[Tensor, "run input d"], edges: Edges
    ) -> Float[Tensor, "run output d"]:
        """The residual stream behind the layer."""
        attn_out = self._attn.forward(weights, self._before_attn.forward(weights, x), edges)
        x = self._after_attn.forward(weights, edges.continued(x) + attn_out)
        if self._mlp is None:
            return x
        mlp_out = self._mlp.forward(weights, self._before_mlp.forward(weights, x))
        return self._after_mlp.forward(weights, x + mlp_out)

    def backward(
        self, weights: Named, grads: Named, delta: Float[Tensor, "run output d"], edges: Edges
    ) -> Float[Tensor, "run input d"]:
        """The gradient of the residual stream in front of the layer."""
        if self._mlp is not None:
            delta = self._after_mlp.backward(weights, grads, delta)
            back = self._mlp.backward(weights, grads, delta)
            delta = delta + self._before_mlp.backward(weights, grads, back)
        delta = self._after_attn.backward(weights, grads, delta)
        back = self._attn.backward(weights, grads, delta, edges)
        back = self._before_attn.backward(weights, grads, back)
        edges.add_continued(back, delta)
        return back


class _Attention:
    """Attention along edges, as in :class:`~grokinterp.models.attention.Attention`."""

    def __init__(self, config: TransformerConfig, name: str, products: Products) -> None:
        assert config.d_head is not None
        self._name, self._heads, self._d_head = name, config.n_heads, config.d_head
        self._rate, self._products = config.attn_rate, products
        scale = config.attn_scale or config.d_head ** ((1 + (config.mup or 0)) / 2)
        self._scale = scale if config.use_attn_scale else 1.0

    def forward(
        self, weights: Named, x: Float[Tensor, "run input d_model"], edges: Edges
    ) -> Float[Tensor, "run output d_model"]:
        """The sum of all heads' outputs."""
        name, width = self._name, self._heads * self._d_head
        self._x = x
        self._W = {
            letter: weights[f"{name}.W_{letter}"].transpose(1, 2).flatten(2) for letter in "QKV"
        }

        def heads(letter: str, rows: Tensor) -> Tensor:
            bias = weights.get(f"{name}.b_{letter}")
            bias = None if bias is None else bias.flatten(1)
            return self._products.linear(rows, self._W[letter], bias).view(-1, self._d_head)

        self._q = heads("Q", x[:, edges.start :]).div_(self._scale)
        self._k, self._v = heads("K", x), heads("V", x)
        self._softmax = edges.softmax(edges.scores(self._q, self._k))
        self._pattern = self._softmax
        if self._rate != 1:
            self._pattern = self._softmax * self._rate + (1 - self._rate)
        self._z = edges.sums(self._v, self._pattern).view(edges.runs, -1, width)
        W_O = weights[f"{name}.W_O"].flatten(1, 2)
        return self._products.linear(self._z, W_O, weights.get(f"{name}.b_O"))

    def backward(
        self, weights: Named, grads: Named, delta: Float[Tensor, "run output d_model"], edges: Edges
    ) -> Float[Tensor, "run input d_model"]:
        """The gradient of the input."""
        name, products = self._name, self._products
        if f"{name}.b_O" in grads:
            grads[f"{name}.b_O"].add_(delta.sum(dim=1))
        products.add(grads[f"{name}.W_O"].flatten(1, 2), self._z, delta)
        dz = products.linear(delta, weights[f"{name}.W_O"].flatten(1, 2).mT)
        dz = dz.view(-1, self._d_head)
        dpattern = edges.products(dz, self._v)
        if self._rate != 1:
            dpattern = dpattern * self._rate
        dscores = edges.softmax_backward(dpattern, self._softmax)
        dq, dk = edges.scores_backward(dscores, self._q, self._k)
        dv = edges.sums_by_key(dz, edges.bags_by_key, self._pattern)
        dx = self._back(grads, "V", self._x, dv)
        dx.add_(self._back(grads, "K", self._x, dk))
        x = self._x[:, edges.start :]
        dx[:, edges.start :].add_(self._back(grads, "Q", x, dq.div_(self._scale)))
        return dx

    def _back(
        self,
        grads: Named,
        letter: str,
        x: Float[Tensor, "run row d"],
        grad: Float[Tensor, "run row head_d"],
    ) -> Float[Tensor, "run row d"]:
        """Through the projection to queries, keys or values: its input's gradient."""
        if f"{self._name}.b_{letter}" in grads:
            grads[f"{self._name}.b_{letter}"].flatten(1).add_(grad.sum(dim=1))
        whole = self._products.linear(x.mT, grad)
        whole = whole.view(*whole.shape[:2], self._heads, self._d_head)
        grads[f"{self._name}.W_{letter}"].add_(whole.transpose(1, 2))
        return self._products.linear(grad, self._W[letter].mT)


class _MLP:
    """The MLP of a block, as in :class:`~grokinterp.models.transformer_parts.MLP`."""

    def __init__(self, config: TransformerConfig, name: str, products: Products) -> None:
        assert config.d_mlp is not None
        self._name, self._products, self._width = name, products, config.d_mlp
        self._act = ACTIVATIONS[config.act_fn]
        self._buffers = torch.empty(3, 0, dtype=products.low_dtype)

    def forward(
        self, weights: Named, x: Float[Tensor, "run row d_model"]
    ) -> Float[Tensor, "run row d_model"]:
        """What the neurons add to the residual stream."""
        name, products = self._name, self._products
        runs, rows = x.shape[0], x.shape[1]
        if self._buffers.shape[1] < runs * rows:
            self._buffers = self._buffers.new_empty(3, runs * rows, self._width)
        own = self._buffers[:, : runs * rows].view(3, runs, rows, self._width)
        self._pre, self._post, self._delta = own.unbind()
        self._x = products.lower(x)
        W_in, b_in = products.lower(weights[f"{name}.W_in"]), weights.get(f"{name}.b_in")
        if b_in is None:
            torch.bmm(self._x, W_in, out=self._pre)
        else:
            torch.baddbmm(products.lower(b_in)[:, None], self._x, W_in, out=self._pre)
        self._act.forward_into(self._pre, self._post)
        return products.linear(self._post, weights[f"{name}.W_out"], weights.get(f"{name}.b_out"))

    def backward(
        self, weights: Named, grads: Named, delta: Float[Tensor, "run row d_model"]
    ) -> Float[Tensor, "run row d_model"]:
        """The gradient of the input."""
        name, products = self._name, self._products
        if f"{name}.b_out" in grads:
            grads[f"{name}.b_out"].add_(delta.sum(dim=1))
        delta = products.lower(delta)
        products.add(grads[f"{name}.W_out"], self._post, delta)
        W_out = weights[f"{name}.W_out"].mT
        if self._act.gain != 1:
            W_out = W_out * self._act.gain
        dpre = torch.bmm(delta, products.lower(W_out), out=self._delta)
        self._act.backward_(dpre, self._pre)
        if f"{name}.b_in" in grads:
            grads[f"{name}.b_in"].add_(dpre.sum(dim=1))
        products.add(grads[f"{name}.W_in"], self._x, dpre)
        return products.linear(dpre, weights[f"{name}.W_in"].mT)


class _Norm:
    """The norm of :class:`~grokinterp.models.transformer_parts.LayerNorm`."""

    def __init__(self, config: TransformerConfig, name: str) -> None:
        self._name, self._eps, self._shape = name, config.eps, (config.d_model,)

    def forward(self, weights: Named, x: Float[Tensor, "run row d"]) -> Float[Tensor, "run row d"]:
        """The normalised rows."""
        self._x, self._moments = x, []
        rows: list[Tensor] = []
        for run, one in enumerate(x):  # torch's norm has one gain and offset for all rows
            w, b = self._of(weights, run)
            y, *moments = torch.native_layer_norm(one, self._shape, w, b, self._eps)
            self._moments.append(moments)
            rows.append(y)
        return rows[0][None] if len(rows) == 1 else torch.stack(rows)

    def backward(
        self, weights: Named, grads: Named, delta: Float[Tensor, "run row d"]
    ) -> Float[Tensor, "run row d"]:
        """The gradient of the input."""
        rows: list[Tensor] = []
        for run, (one, x, moments) in enumerate(zip(delta, self._x, self._moments, strict=True)):
            w, b = self._of(weights, run)
            wanted = [True, w is not None, b is not None]
            dx, *of_weights = torch.ops.aten.native_layer_norm_backward(
                one, x, self._shape, *moments, w, b, wanted
            )
            for own, grad in zip(self._of(grads, run), of_weights, strict=True):
                if own is not None:
                    own.add_(grad)
            rows.append(dx)
        return rows[0][None] if len(rows) == 1 else torch.stack(rows)

    def _of(self, named: Named, run: int) -> tuple[Tensor | None, Tensor | None]:
        """A run's gain and offset, or their gradients."""
        w, b = (named.get(f"{self._name}.{letter}") for letter in "wb")
        return None if w is None else w[run], None if b is None else b[run]


class _NoNorm:
    """No norm: what goes in comes out."""

    def forward(self, weights: Named, x: Float[Tensor, "run row d"]) -> Float[Tensor, "run row d"]:
        """The rows."""
        return x

    def backward(
        self, weights: Named, grads: Named, delta: Float[Tensor, "run row d"]
    ) -> Float[Tensor, "run row d"]:
        """Their gradient."""
        return delta
