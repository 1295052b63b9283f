"""Networks of TransformerLens 2 and 3, whose own class is gone from version 4."""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from grokinterp.models.transformer import HookedTransformer
from grokinterp.models.transformer_config import TransformerConfig
from grokinterp.session import unaffected
from grokinterp.short_text import short

# Fields of TransformerLens' HookedTransformerConfig, up to version 3.9. Those that ours has, too:
_REQUIRED = ("n_layers", "d_model", "d_head", "n_ctx", "d_vocab")
_SHARED = (
    *_REQUIRED, "n_heads", "d_mlp", "act_fn", "attn_only", "normalization_type", "eps",
    "attention_dir", "positional_embedding_type", "use_attn_scale", "attn_scale", "d_vocab_out",
)  # fmt: skip
# Those that change the function, with the values at which they do not.
_NEUTRAL: dict[str, tuple[object, ...]] = {
    "attn_scores_soft_cap": (-1.0, 0.0, None),
    "clip_qkv": (None,),
    "final_rms": (False,),
    "gated_mlp": (False,),
    "load_in_4bit": (False,),
    "num_experts": (None,),
    "output_logits_soft_cap": (-1.0, 0.0, None),
    "parallel_attn_mlp": (False,),
    "post_embedding_ln": (False,),
    "quantization_method": (None,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "use_attention_sinks": (False,),
    "use_local_attn": (False,),
    "use_logn_attn": (False,),
    "use_normalization_before_and_after": (False,),
    "use_qk_norm": (False,),
    "uses_rms_norm": (False,),
}
# Those that say how a network came about, where it runs and which optional hooks it has, or that
# only matter with a field above or with rotary or relative positions, which are refused.
_IRRELEVANT = {
    "attn_types", "checkpoint_index", "checkpoint_label_type", "checkpoint_value",
    "decoder_start_token_id", "default_prepend_bos", "device", "dtype", "experts_per_token",
    "from_checkpoint", "init_mode", "init_weights", "initializer_range", "layer_norm_folding",
    "model_name", "n_devices",
    "n_params", "norm_topk_prob", "NTK_by_parts_factor", "NTK_by_parts_high_freq_factor",
    "NTK_by_parts_low_freq_factor", "NTK_original_ctx_len", "original_architecture",
    "relative_attention_max_distance", "relative_attention_num_buckets", "rotary_adjacent_pairs",
    "rotary_base", "rotary_base_local", "rotary_dim", "rotary_scaling_factor", "seed",
    "tie_word_embeddings", "tokenizer_name", "tokenizer_prepends_bos", "train_seq_length",
    "trust_remote_code", "ungroup_grouped_query_attention", "use_attn_in", "use_attn_result",
    "use_dynamic_ntk_rope", "use_hook_mlp_in", "use_hook_tokens", "use_NTK_by_parts_rope",
    "use_split_qkv_input", "use_yarn_rope", "window_size", "yarn_attention_factor",
    "yarn_beta_fast", "yarn_beta_slow", "yarn_factor", "yarn_global_attn_only",
    "yarn_original_max_position_embeddings", "yarn_truncate",
}  # fmt: skip
# Those of MLPs, which say nothing about a network that has none.
_OF_MLPS = {"act_fn", "d_mlp", "gated_mlp", "num_experts"}
# What their attention layers keep in a state_dict besides weights.
BUFFERS = re.compile(r"blocks\.\d+\.attn\.(mask|IGNORE|rotary_sin|rotary_cos)")


@unaffected()
def from_transformer_lens(
    state_dict: Mapping[str, Tensor],
    config: Any,
    *,
    p: int | None = None,
    prompt: str = "a b =",
) -> HookedTransformer:
    """The network of a TransformerLens 2 or 3 ``HookedTransformer``.

    Args:
        state_dict: its ``state_dict()``; masks and the like, which are no weights, may be in it.
        config: its ``cfg``, or a dict of the same fields. What is not set (-1, None or left out) is
            what TransformerLens makes of it: ``d_vocab_out`` is ``d_vocab``, also with a ``p``.
        p: the modulus, if it answers f(a, b) mod p; the residues are its first tokens and classes.
        prompt: how it reads a pair, if there is a p.

    Returns:
        The same function, with the same hook names, in evaluation mode and the weights' dtype.

    Raises:
        ValueError: a field that ours does not have changes the function, or tensors are missing,
            extra or misshapen; each is named.
    """
    fields = dict(config) if isinstance(config, Mapping) else dict(vars(config))
    if missing := [name for name in _REQUIRED if _is_unset(fields, name)]:
        raise ValueError(f"config does not say {', '.join(missing)}; give TransformerLens' cfg")
    if fields.get("attn_only"):
        fields = {name: value for name, value in fields.items() if name not in _OF_MLPS}
    # What TransformerLens fills in, where it is not what our config fills in.
    shared = {
        "n_heads": fields["d_model"] // fields["d_head"],
        "d_vocab_out": fields["d_vocab"],
        "normalization_type": "LN",
    }
    shared |= {name: fields[name] for name in _SHARED if not _is_unset(fields, name)}
    for name, value in fields.items():
        if name == "n_key_value_heads":
            neutral = (None, shared["n_heads"])
        elif name in _SHARED or name in _IRRELEVANT:
            continue
        elif name not in _NEUTRAL:
            raise ValueError(
                f"config has {name}={short(value)}, which is no field of TransformerLens 2 or 3; "
                "leave it out if it does not change the function"
            )
        else:
            neutral = _NEUTRAL[name]
        if value not in neutral:
            raise ValueError(
                f"config has {name}={short(value)}, which HookedTransformer cannot express"
            )
    weights = {name: w for name, w in state_dict.items() if not BUFFERS.fullmatch(name)}
    model = HookedTransformer(TransformerConfig(**shared, prompt=prompt), p=p)
    model.adopt(weights)
    return model


def _is_unset(fields: Mapping[str, Any], name: str) -> bool:
    """-1 and None are "not set" there, but for the norm, whose None is "no norm"."""
    if name == "normalization_type":
        return name not in fields
    return fields.get(name) in (None, -1)
