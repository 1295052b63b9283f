"""Multi-head attention with TransformerLens' weights and hook points."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from grokinterp.models.rows import Rows
from grokinterp.models.transformer_config import TransformerConfig
from grokinterp.models.transformer_init import Weights

# Up to this many query-key pairs, a sum of elementwise products is faster than tiny matrix
# products: by 3 to 4 times for one query and three keys, forward and backward, on a CPU.
_FEW_PAIRS = 9


class Attention(nn.Module):
    """Multi-head attention whose pattern is r softmax(scores) + (1 - r).

    r is the config's ``attn_rate``. With a causal mask, the pattern is 0 at masked positions.

    Weights: ``W_Q``, ``W_K``, ``W_V`` [head, d_model, d_head]; ``W_O`` [head, d_head, d_model];
    biases ``b_Q``, ``b_K``, ``b_V`` [head, d_head] and ``b_O`` [d_model], or None without biases.

    Hook points: ``hook_q``, ``hook_k``, ``hook_v`` [batch, pos, head, d_head]; ``hook_attn_scores``
    and ``hook_pattern`` [batch, head, query pos, key pos]; ``hook_z`` [batch, pos, head, d_head].

    Source of r: Zhong et al. 2023, arXiv:2306.17844. Uniform attention is all ones, as in their
    code, and not 1 / pos.
    """

    def __init__(self, config: TransformerConfig, weights: Weights) -> None:
        super().__init__()
        heads, d_model, d_head = config.n_heads, config.d_model, config.d_head
        assert d_head is not None
        self.W_Q, self.W_K, self.W_V = (
            weights.linear((heads, d_model, d_head), fan_in=d_model) for _ in range(3)
        )
        self.W_O = weights.linear((heads, d_head, d_model), fan_in=heads * d_head)
        self.b_Q, self.b_K, self.b_V = (weights.bias((heads, d_head)) for _ in range(3))
        self.b_O = weights.bias((d_model,))
        scale = config.attn_scale or d_head ** ((1 + (config.mup or 0)) / 2)
        self.scale = scale if config.use_attn_scale else 1.0
        self.causal, self.rate = config.attention_dir == "causal", config.attn_rate
        self.hook_q, self.hook_k, self.hook_v = HookPoint(), HookPoint(), HookPoint()
        self.hook_attn_scores, self.hook_pattern = HookPoint(), HookPoint()
        self.hook_z = HookPoint()

    def forward(
        self, x: Float[Tensor, "one row d_model"], rows: Rows
    ) -> Float[Tensor, "batch query d_model"]:
        """The sum of all heads' outputs, at the positions whose output is wanted."""
        q = self.hook_q(_heads(rows.wanted(x), self.W_Q, self.b_Q))
        k = self.hook_k(_heads(x, self.W_K, self.b_K))
        v = rows.values(self.hook_v(_heads(x, self.W_V, self.b_V)))
        scores = rows.scores(_products(q / self.scale, k))
        pattern = self.hook_pattern(self._pattern(scores))
        z = self.hook_z(_mixture(pattern, v))
        return F.linear(z.flatten(2), self.W_O.flatten(0, 1).T, self.b_O)

    def _pattern(
        self, scores: Float[Tensor, "batch head query key"]
    ) -> Float[Tensor, "batch head query key"]:
        seen = None
        if self.causal:
            ones = torch.ones(scores.shape[-1:] * 2, dtype=torch.bool, device=scores.device)
            seen = ones.tril()[-scores.shape[-2] :]
            scores = scores.masked_fill(~seen, -torch.inf)
        pattern = self.hook_attn_scores(scores).softmax(dim=-1)
        if self.rate == 1:
            return pattern
        rest = 1 if seen is None else seen.to(pattern.dtype)
        return self.rate * pattern + (1 - self.rate) * rest


def _heads(
    x: Float[Tensor, "batch row d_model"],
    W: Float[Tensor, "head d_model d_head"],
    b: Float[Tensor, "head d_head"] | None,
) -> Float[Tensor, "batch row head d_head"]:
    """All heads' projections in one matrix product."""
    flat = F.linear(x, W.transpose(1, 2).flatten(0, 1), None if b is None else b.flatten())
    return flat.unflatten(-1, (W.shape[0], W.shape[2]))


def _products(
    q: Float[Tensor, "batch query head d_head"], k: Float[Tensor, "batch key head d_head"]
) -> Float[Tensor, "batch head query key"]:
    """Dot product of every query with every key."""
    if q.shape[1] * k.shape[1] > _FEW_PAIRS:
        return torch.einsum("bqhd,bkhd->bhqk", q, k)
    return (q[:, :, None] * k[:, None]).sum(dim=-1).movedim(-1, 1)


def _mixture(
    pattern: Float[Tensor, "batch head query key"], v: Float[Tensor, "batch key head d_head"]
) -> Float[Tensor, "batch query head d_head"]:
    """Sum of the values over the keys, weighted by the pattern."""
    if pattern.shape[2] * pattern.shape[3] > _FEW_PAIRS:
        return torch.einsum("bhqk,bkhd->bqhd", pattern, v)
    return (pattern.movedim(1, -1)[..., None] * v[:, None]).sum(dim=2)
