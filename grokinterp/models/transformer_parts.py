"""The modules of a transformer: embeddings, norms, MLPs, blocks and the unembedding."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from grokinterp.models.activations import ACTIVATIONS
from grokinterp.models.attention import Attention
from grokinterp.models.initial_weights import constant
from grokinterp.models.rows import Rows
from grokinterp.models.transformer_config import TransformerConfig
from grokinterp.models.transformer_init import Weights


class Embed(nn.Module):
    """``W_E`` [d_vocab, d_model], one row per token."""

    def __init__(self, config: TransformerConfig, weights: Weights) -> None:
        super().__init__()
        assert config.d_vocab is not None
        self.W_E = weights.token_embedding((config.d_vocab, config.d_model))

    def forward(self, tokens: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch d_model"]:
        """The vectors of ``tokens``."""
        return F.embedding(tokens, self.W_E)


class PosEmbed(nn.Module):
    """``W_pos`` [n_ctx, d_model], one row per position: learned, or fixed sinusoids.

    In sinusoids, entries 2 i and 2 i + 1 of position t are the sine and the cosine of
    t / 10000^(2 i / d_model) (Vaswani et al. 2017, arXiv:1706.03762, section 3.5).
    """

    W_pos: Tensor

    def __init__(self, config: TransformerConfig, weights: Weights) -> None:
        super().__init__()
        assert config.n_ctx is not None
        if config.positional_embedding_type == "standard":
            self.W_pos = weights.embedding((config.n_ctx, config.d_model))
        else:
            table = sinusoids(config.n_ctx, config.d_model).float()
            self.register_buffer("W_pos", table, persistent=False)

    def forward(self, positions: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch d_model"]:
        """The vectors of ``positions``."""
        return F.embedding(positions, self.W_pos)


class LayerNorm(nn.Module):
    """TransformerLens' LayerNorm; gain ``w`` and offset ``b`` [d_model] are None in LNPre.

    Hook points: ``hook_scale`` [batch, pos, 1], the divisor, and ``hook_normalized``
    [batch, pos, d_model], the result before gain and offset.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.eps, self.w, self.b = config.eps, None, None
        if config.normalization_type == "LN":
            width = (config.d_model,)
            self.w, self.b = constant(width, 1.0), constant(width, 0.0)
        self.hook_scale, self.hook_normalized = HookPoint(), HookPoint()

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """``w (x - mean) / sqrt(var + eps) + b``, mean and variance over the d_model entries."""
        var, mean = torch.var_mean(x, dim=-1, unbiased=False, keepdim=True)
        normalized = self.hook_normalized((x - mean) / self.hook_scale((var + self.eps).sqrt()))
        if self.w is None or self.b is None:
            return normalized
        return normalized * self.w + self.b


class MLP(nn.Module):
    """The MLP of a block: ``act(x W_in + b_in) W_out + b_out``.

    Weights: ``W_in`` [d_model, d_mlp] and ``W_out`` [d_mlp, d_model]. Hook points: ``hook_pre``
    and ``hook_post`` [batch, pos, d_mlp], before and after the activation.
    """

    def __init__(self, config: TransformerConfig, weights: Weights) -> None:
        super().__init__()
        d_model, d_mlp = config.d_model, config.d_mlp
        assert d_mlp is not None
        self.W_in = weights.into_neurons((d_model, d_mlp))
        self.b_in = weights.bias((d_mlp,), of_mlp=True)
        self.W_out = weights.linear((d_mlp, d_model), fan_in=d_mlp)
        self.b_out = weights.bias((d_model,), of_mlp=True)
        self.act = ACTIVATIONS[config.act_fn].function
        self.hook_pre, self.hook_post = HookPoint(), HookPoint()

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """What the neurons add to the residual stream."""
        pre = self.hook_pre(F.linear(x, self.W_in.T, self.b_in))
        return F.linear(self.hook_post(self.act(pre)), self.W_out.T, self.b_out)


class Block(nn.Module):
    """Adds attention, then an MLP unless the config has ``attn_only``, to the residual stream.

    The norms ``ln1`` and ``ln2`` normalise the inputs of attention and MLP ("pre") or the residual
    stream after each addition ("post").

    Hook points, each [batch, pos, d_model]: ``hook_resid_pre``, ``hook_attn_out``,
    ``hook_resid_mid``, ``hook_mlp_out`` (these two only with an MLP), ``hook_resid_post``. With
    "post", ``hook_resid_mid`` and ``hook_resid_post`` are the sums before they are normalised.
    """

    # TransformerLens' logit lens asks for this.
    hook_out_is_single_residual_stream = True

    def __init__(self, config: TransformerConfig, weights: Weights) -> None:
        super().__init__()
        self.post_norm = config.norm_position == "post"
        self.ln1 = _norm(config)
        self.attn = Attention(config, weights)
        self.hook_resid_pre, self.hook_attn_out = HookPoint(), HookPoint()
        self.mlp = None
        if not config.attn_only:
            self.ln2 = _norm(config)
            self.mlp = MLP(config, weights)
            self.hook_resid_mid, self.hook_mlp_out = HookPoint(), HookPoint()
        self.hook_resid_post = HookPoint()

    def forward(
        self, x: Float[Tensor, "one row d_model"], rows: Rows
    ) -> Float[Tensor, "batch query d_model"]:
        """The residual stream after this block, at the positions whose output is wanted."""
        resid_pre = self.hook_resid_pre(x)
        attn_out = self.hook_attn_out(self.attn(self._before(self.ln1, resid_pre), rows))
        resid = rows.residual(resid_pre) + attn_out
        if self.mlp is None:
            return self._after(self.ln1, self.hook_resid_post(resid))
        resid = self._after(self.ln1, self.hook_resid_mid(resid))
        mlp_out = self.hook_mlp_out(self.mlp(self._before(self.ln2, resid)))
        return self._after(self.ln2, self.hook_resid_post(resid + mlp_out))

    def _before(self, norm: LayerNorm | None, x: Tensor) -> Tensor:
        return x if norm is None or self.post_norm else norm(x)

    def _after(self, norm: LayerNorm | None, x: Tensor) -> Tensor:
        return norm(x) if norm is not None and self.post_norm else x


class Unembed(nn.Module):
    """The read-out: logits are ``scale * (x W_U + b_U)``, with scale 1 unless ``mup`` is set.

    Weights: ``W_U`` [d_model, d_vocab_out]; ``b_U`` [d_vocab_out], or None without biases. Hook
    points: ``hook_in`` [batch, pos, d_model] and ``hook_out`` [batch, pos, d_vocab_out].
    """

    W_U: Tensor

    def __init__(
        self, config: TransformerConfig, weights: Weights, *, tied_to: Embed | None = None
    ) -> None:
        super().__init__()
        classes = config.d_vocab_out
        assert classes is not None
        # A tied W_U is not a parameter: __getattr__ reads it off W_E.
        self._tied_to = (tied_to, classes) if tied_to else None
        if tied_to is None:
            self.W_U = weights.unembedding((config.d_model, classes))
        self.b_U = weights.bias((classes,))
        self.scale = 1.0 if config.mup is None else config.d_model ** -((1 + config.mup) / 2)
        self.hook_in, self.hook_out = HookPoint(), HookPoint()

    def __getattr__(self, name: str) -> Any:
        tied_to = self.__dict__.get("_tied_to")
        if name == "W_U" and tied_to is not None:
            embed, classes = tied_to
            return embed.W_E[:classes].T
        return super().__getattr__(name)

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch classes"]:
        """Logits of every class."""
        logits = F.linear(self.hook_in(x), self.W_U.T, self.b_U)
        return self.hook_out(logits if self.scale == 1 else logits * self.scale)


def sinusoids(n_ctx: int, d_model: int) -> Float[Tensor, "n_ctx d_model"]:
    """Fixed position vectors, in float64; see :class:`PosEmbed`."""
    entry = torch.arange(d_model, dtype=torch.float64, device="cpu")
    angle = torch.arange(n_ctx, device="cpu")[:, None] / 10_000 ** ((entry - entry % 2) / d_model)
    return torch.where(entry % 2 == 0, angle.sin(), angle.cos())


def _norm(config: TransformerConfig) -> LayerNorm | None:
    return None if config.normalization_type is None else LayerNorm(config)
