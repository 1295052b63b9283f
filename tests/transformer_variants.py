"""Transformers of every kind of architecture, small."""

from typing import Any

from grokinterp.models.transformer import TransformerConfig

TINY: dict[str, Any] = {"d_model": 12, "n_heads": 3, "d_mlp": 20}

VARIANTS: dict[str, TransformerConfig] = {
    "default": TransformerConfig(**TINY),
    "two layers": TransformerConfig(**TINY, n_layers=2, act_fn="gelu"),
    "three bidirectional": TransformerConfig(
        **TINY, n_layers=3, attention_dir="bidirectional", act_fn="square"
    ),
    "LN": TransformerConfig(**TINY, normalization_type="LN"),
    "LN, two layers": TransformerConfig(**TINY, n_layers=2, normalization_type="LN"),
    "LNPre": TransformerConfig(**TINY, normalization_type="LNPre", n_layers=2),
    "attention only": TransformerConfig(**TINY, attn_only=True),
    "attention only, post-norm": TransformerConfig(
        **TINY, attn_only=True, n_layers=2, normalization_type="LN", norm_position="post"
    ),
    "pizza": TransformerConfig(**TINY, attn_rate=0.3, prompt="a b", attention_dir="bidirectional"),
    "causal pizza": TransformerConfig(**TINY, attn_rate=0.3, n_layers=2),
    "own scales": TransformerConfig(
        **TINY, normalization_type="LN", eps=0.1, attn_scale=1.7, mup=0.5
    ),
    "no attention scale": TransformerConfig(**TINY, use_attn_scale=False),
    "tied": TransformerConfig(**TINY, tie_embedding=True),
    "swapped operands": TransformerConfig(**TINY, prompt="= b + a", n_layers=2),
    "repeated symbols": TransformerConfig(**TINY, prompt="x a x b x"),
    "large vocabulary": TransformerConfig(**TINY, d_vocab=11, d_vocab_out=9, n_ctx=6, d_head=7),
    "paper 1": TransformerConfig.paper1(**TINY),
    "paper 2": TransformerConfig.paper2(**TINY),
}
