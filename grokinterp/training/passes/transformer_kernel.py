"""The transformer's forward and backward pass, written out.

Every part has a ``forward``, which keeps what the ``backward`` that follows it needs. Rows are
those of :mod:`~grokinterp.training.passes.prefixes`; all parts but attention work row by row.
"""

from collections.abc import Mapping
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

# All activations of the pairs that are processed together, if every position were computed: what is
# shared or not needed leaves about a third of it.
_BLOCK_BYTES = 80_000_000

Named = Mapping[str, Tensor]


@short_repr
@dataclass(frozen=True, eq=False)
class Piece:
    """Some pairs of a batch."""

    layers: list[Edges]  # of each layer's attention
    labels: Int[Tensor, " n"]


class TransformerKernel:
    """Forward and backward pass of one architecture, with its own buffers.

    One kernel can process any number of runs, one after another; each thread needs its own.

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
        self._fixed = dict(model.named_buffers())
        self._loss_ = LOSSES[loss]
        self._scale = model.unembed.scale
        self._products = products = _Products(dtype, matmul_dtype)
        self._blocks = [_Block(config, i, products) for i in range(config.n_layers)]
        self._norm = _NoNorm() if model.ln_final is None else _Norm(config, "ln_final")

    def batch(self, tokens: Int[Tensor, "n 2"], labels: Int[Tensor, " n"]) -> list[Piece]:
        """Cut examples into pieces, ready for :meth:`gradients` and :meth:`logits`."""
        count = -(-len(tokens) // self._rows)
        if not count:
            return []
        pieces = zip(tokens.chunk(count), labels.chunk(count), strict=True)
        return [Piece(self._prefixes.edges(pairs), given) for pairs, given in pieces]

    def logits(self, weights: Named, piece: Piece) -> Float[Tensor, "n classes"]:
        """The logits of a piece's pairs."""
        _, logits = self._forward(weights, piece)
        return logits

    def gradients(self, weights: Named, grads: Named, batch: list[Piece], n_total: int) -> Tensor:
        """Add the loss's gradients to ``grads``; return the loss (a scalar tensor).

        Both are the sum over the batch's examples divided by ``n_total``.
        """
        total = torch.zeros((), dtype=next(iter(weights.values())).dtype)
        for piece in batch:
            x, logits = self._forward(weights, piece)
            loss, residual = self._loss(logits, piece, n_total)
            total += loss
            self._backward(weights, grads, piece, x, residual)
        return total

    def _loss(self, logits: Tensor, piece: Piece, n_total: int) -> tuple[Tensor, Tensor]:
        """The piece's part of the loss, and the gradient of its logits, which it may overwrite."""
        loss, classes = self._loss_, logits.shape[1]
        if loss.residual_ is None:
            with torch.enable_grad():
                leaf = logits.requires_grad_()
                share = loss.per_example(leaf, piece.labels).sum() / n_total
                return share.detach(), torch.autograd.grad(share, leaf)[0]
        at_label = torch.arange(0, logits.numel(), classes) + piece.labels
        share = loss.residual_(logits, at_label) * (loss.loss_scale(classes) / n_total)
        return share, logits.mul_(loss.grad_scale(n_total, classes))

    def _forward(self, weights: Named, piece: Piece) -> tuple[Tensor, Tensor]:
        """The read-out's input and the logits."""
        pos = weights.get("pos_embed.W_pos", self._fixed.get("pos_embed.W_pos"))
        assert pos is not None
        x = weights["embed.W_E"].index_select(0, self._tokens)
        x.add_(pos.index_select(0, self._positions))
        for layer, edges in zip(self._blocks, piece.layers, strict=True):
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
            grads["unembed.b_U"].add_(residual.sum(dim=0))
        products, W_U = self._products, self._unembedding(weights)
        products.add(self._unembedding(grads), x, residual)
        delta = self._norm.backward(weights, grads, products.linear(residual, W_U.T))
        for layer, edges in zip(reversed(self._blocks), reversed(piece.layers), strict=True):
            delta = layer.backward(weights, grads, delta, edges)
        grads["embed.W_E"].index_add_(0, self._tokens, delta)
        if "pos_embed.W_pos" in grads:
            grads["pos_embed.W_pos"].index_add_(0, self._positions, delta)

    def _unembedding(self, named: Named) -> Tensor:
        if not self.cfg.tie_embedding:
            return named["unembed.W_U"]
        return named["embed.W_E"][: self.cfg.d_vocab_out].T


class _Block:
    """One layer; a :meth:`backward` follows a :meth:`forward` on the same edges."""

    def __init__(self, config: TransformerConfig, layer: int, products: "_Products") -> None:
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
        self, weights: Named, x: Float[Tensor, "input d"], edges: Edges
    ) -> Float[Tensor, "output d"]:
        """The residual stream behind the layer."""
        attn_out = self._attn.forward(weights, self._before_attn.forward(weights, x), edges)
        x = self._after_attn.forward(weights, edges.continued(x) + attn_out)
        if self._mlp is None:
            return x
        mlp_out = self._mlp.forward(weights, self._before_mlp.forward(weights, x))
        return self._after_mlp.forward(weights, x + mlp_out)

    def backward(
        self, weights: Named, grads: Named, delta: Float[Tensor, "output d"], edges: Edges
    ) -> Float[Tensor, "input d"]:
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

    def __init__(self, config: TransformerConfig, name: str, products: "_Products") -> None:
        assert config.d_head is not None
        self._name, self._heads, self._d_head = name, config.n_heads, config.d_head
        self._rate, self._products = config.attn_rate, products
        scale = config.attn_scale or config.d_head ** ((1 + (config.mup or 0)) / 2)
        self._scale = scale if config.use_attn_scale else 1.0

    def forward(
        self, weights: Named, x: Float[Tensor, "input d_model"], edges: Edges
    ) -> Float[Tensor, "output d_model"]:
        """The sum of all heads' outputs."""
        name, width = self._name, self._heads * self._d_head
        self._x = x
        self._W = {
            letter: weights[f"{name}.W_{letter}"].transpose(0, 1).reshape(-1, width)
            for letter in "QKV"
        }

        def heads(letter: str, rows: Tensor) -> Tensor:
            bias = weights.get(f"{name}.b_{letter}")
            bias = None if bias is None else bias.flatten()
            return self._products.linear(rows, self._W[letter], bias).view(-1, self._d_head)

        self._q = heads("Q", x[edges.start :]).div_(self._scale)
        self._k, self._v = heads("K", x), heads("V", x)
        self._softmax = edges.softmax(edges.scores(self._q, self._k))
        self._pattern = self._softmax
        if self._rate != 1:
            self._pattern = self._softmax * self._rate + (1 - self._rate)
        self._z = edges.sums(self._v, self._pattern).view(-1, width)
        W_O = weights[f"{name}.W_O"].flatten(0, 1)
        return self._products.linear(self._z, W_O, weights.get(f"{name}.b_O"))

    def backward(
        self, weights: Named, grads: Named, delta: Float[Tensor, "output d_model"], edges: Edges
    ) -> Float[Tensor, "input d_model"]:
        """The gradient of the input."""
        name, products = self._name, self._products
        if f"{name}.b_O" in grads:
            grads[f"{name}.b_O"].add_(delta.sum(dim=0))
        products.add(grads[f"{name}.W_O"].flatten(0, 1), self._z, delta)
        dz = products.linear(delta, weights[f"{name}.W_O"].flatten(0, 1).T).view(-1, self._d_head)
        dpattern = edges.products(dz, self._v)
        if self._rate != 1:
            dpattern = dpattern * self._rate
        dscores = edges.softmax_backward(dpattern, self._softmax)
        dq, dk = edges.scores_backward(dscores, self._q, self._k)
        dv = edges.sums_by_key(dz, edges.bags_by_key, self._pattern)
        dx = self._back(grads, "V", self._x, dv)
        dx.add_(self._back(grads, "K", self._x, dk))
        queries = slice(edges.start, None)
        dx[queries].add_(self._back(grads, "Q", self._x[queries], dq.div_(self._scale)))
        return dx

    def _back(
        self,
        grads: Named,
        letter: str,
        x: Float[Tensor, "row d"],
        grad: Float[Tensor, "row head_d"],
    ) -> Float[Tensor, "row d"]:
        """Through the projection to queries, keys or values: its input's gradient."""
        if f"{self._name}.b_{letter}" in grads:
            grads[f"{self._name}.b_{letter}"].view(-1).add_(grad.sum(dim=0))
        whole = self._products.linear(x.T, grad).view(-1, self._heads, self._d_head)
        grads[f"{self._name}.W_{letter}"].add_(whole.transpose(0, 1))
        return self._products.linear(grad, self._W[letter].T)


class _MLP:
    """The MLP of a block, as in :class:`~grokinterp.models.transformer_parts.MLP`."""

    def __init__(self, config: TransformerConfig, name: str, products: "_Products") -> None:
        assert config.d_mlp is not None
        self._name, self._products, self._width = name, products, config.d_mlp
        self._act = ACTIVATIONS[config.act_fn]
        self._buffers = torch.empty(3, 0, dtype=products.low_dtype)

    def forward(
        self, weights: Named, x: Float[Tensor, "row d_model"]
    ) -> Float[Tensor, "row d_model"]:
        """What the neurons add to the residual stream."""
        name, products = self._name, self._products
        if self._buffers.shape[1] < len(x):
            self._buffers = self._buffers.new_empty(3, len(x), self._width)
        self._pre, self._post, self._delta = self._buffers[:, : len(x)].unbind()
        self._x = products.lower(x)
        W_in, b_in = products.lower(weights[f"{name}.W_in"]), weights.get(f"{name}.b_in")
        if b_in is None:
            torch.mm(self._x, W_in, out=self._pre)
        else:
            torch.addmm(products.lower(b_in), self._x, W_in, out=self._pre)
        self._act.forward_into(self._pre, self._post)
        return products.linear(self._post, weights[f"{name}.W_out"], weights.get(f"{name}.b_out"))

    def backward(
        self, weights: Named, grads: Named, delta: Float[Tensor, "row d_model"]
    ) -> Float[Tensor, "row d_model"]:
        """The gradient of the input."""
        name, products = self._name, self._products
        if f"{name}.b_out" in grads:
            grads[f"{name}.b_out"].add_(delta.sum(dim=0))
        delta = products.lower(delta)
        products.add(grads[f"{name}.W_out"], self._post, delta)
        W_out = weights[f"{name}.W_out"].T
        if self._act.gain != 1:
            W_out = W_out * self._act.gain
        dpre = torch.mm(delta, products.lower(W_out), out=self._delta)
        self._act.backward_(dpre, self._pre)
        if f"{name}.b_in" in grads:
            grads[f"{name}.b_in"].add_(dpre.sum(dim=0))
        products.add(grads[f"{name}.W_in"], self._x, dpre)
        return products.linear(dpre, weights[f"{name}.W_in"].T)


class _Norm:
    """The norm of :class:`~grokinterp.models.transformer_parts.LayerNorm`."""

    def __init__(self, config: TransformerConfig, name: str) -> None:
        self._name, self._eps, self._shape = name, config.eps, (config.d_model,)

    def forward(self, weights: Named, x: Float[Tensor, "row d"]) -> Float[Tensor, "row d"]:
        """The normalised rows."""
        w, b = (weights.get(f"{self._name}.{letter}") for letter in "wb")
        y, *self._moments = torch.native_layer_norm(x, self._shape, w, b, self._eps)
        self._x = x
        return y

    def backward(
        self, weights: Named, grads: Named, delta: Float[Tensor, "row d"]
    ) -> Float[Tensor, "row d"]:
        """The gradient of the input."""
        w, b = (weights.get(f"{self._name}.{letter}") for letter in "wb")
        dx, *of_weights = torch.ops.aten.native_layer_norm_backward(
            delta, self._x, self._shape, *self._moments, w, b, [True, w is not None, b is not None]
        )
        for letter, grad in zip("wb", of_weights, strict=True):
            if grad is not None:
                grads[f"{self._name}.{letter}"].add_(grad)
        return dx


class _NoNorm:
    """No norm: what goes in comes out."""

    def forward(self, weights: Named, x: Float[Tensor, "row d"]) -> Float[Tensor, "row d"]:
        """The rows."""
        return x

    def backward(
        self, weights: Named, grads: Named, delta: Float[Tensor, "row d"]
    ) -> Float[Tensor, "row d"]:
        """Their gradient."""
        return delta


class _Products:
    """Matrix products in one precision, whose results are converted to another."""

    def __init__(self, dtype: torch.dtype, low_dtype: torch.dtype) -> None:
        self.dtype, self.low_dtype = dtype, low_dtype
        self._is_low = dtype != low_dtype

    def lower(self, x: Tensor) -> Tensor:
        """An operand in the products' precision."""
        return x.to(self.low_dtype)

    def linear(
        self, x: Float[Tensor, "row n"], W: Float[Tensor, "n m"], b: Tensor | None = None
    ) -> Float[Tensor, "row m"]:
        """``x W + b``, with a vector or a matrix b."""
        if self._is_low:
            out = torch.mm(self.lower(x), self.lower(W)).to(self.dtype)
            return out if b is None else out.add_(b)
        return torch.mm(x, W) if b is None else torch.addmm(b, x, W)

    def add(
        self, grad: Float[Tensor, "n m"], x: Float[Tensor, "row n"], delta: Float[Tensor, "row m"]
    ) -> None:
        """Add ``x^T delta`` to the gradient of W."""
        if self._is_low:
            grad.add_(torch.mm(self.lower(x).T, self.lower(delta)))
        else:
            grad.addmm_(x.T, delta)
