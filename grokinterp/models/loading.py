"""Loading networks of TransformerLens 2 and 3, whose ``HookedTransformer`` version 4 removed."""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from grokinterp.models.transformer import HookedTransformer
from grokinterp.models.transformer_config import TransformerConfig
from grokinterp.session import unaffected
from grokinterp.short_text import short

# Fields of TransformerLens' HookedTransformerConfig, up to version 3.9. First those that ours has:
_REQUIRED = ("n_layers", "d_model", "d_head", "n_ctx", "d_vocab")
_NUMBERS = ("n_heads", "d_mlp", "d_vocab_out", "eps", "use_attn_scale", "attn_scale")
_KINDS = ("act_fn", "attn_only", "normalization_type", "attention_dir", "positional_embedding_type")
_SHARED = (*_REQUIRED, *_NUMBERS, *_KINDS)
# Fields that change the function unless they have one of these values.
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
# Fields that do not change the function: origin, device, optional hooks, and options of what is
# refused above or of rotary and relative positions, which are refused, too.
_IRRELEVANT = """
attn_types checkpoint_index checkpoint_label_type checkpoint_value decoder_start_token_id
default_prepend_bos device dtype experts_per_token from_checkpoint init_mode init_weights
initializer_range layer_norm_folding model_name n_devices n_params norm_topk_prob
NTK_by_parts_factor NTK_by_parts_high_freq_factor NTK_by_parts_low_freq_factor
NTK_original_ctx_len original_architecture relative_attention_max_distance
relative_attention_num_buckets rotary_adjacent_pairs rotary_base rotary_base_local rotary_dim
rotary_scaling_factor seed tie_word_embeddings tokenizer_name tokenizer_prepends_bos
train_seq_length trust_remote_code ungroup_grouped_query_attention use_attn_in use_attn_result
use_dynamic_ntk_rope use_hook_mlp_in use_hook_tokens use_NTK_by_parts_rope use_split_qkv_input
use_yarn_rope window_size yarn_attention_factor yarn_beta_fast yarn_beta_slow yarn_factor
yarn_global_attn_only yarn_original_max_position_embeddings yarn_truncate
"""
# Fields of MLPs, which have no meaning in a network without MLPs.
_OF_MLPS = {"act_fn", "d_mlp", "gated_mlp", "num_experts"}
# Tensors of their attention layers' state_dict that are not weights.
BUFFERS = re.compile(r"blocks\.\d+\.attn\.(mask|IGNORE|rotary_sin|rotary_cos)")


@unaffected()
def from_transformer_lens(
    state_dict: Mapping[str, Tensor],
    config: Any,
    *,
    p: int | None = None,
    prompt: str = "a b =",
) -> HookedTransformer:
    """Load a ``HookedTransformer`` of TransformerLens 2 or 3.

    Args:
        state_dict: its ``state_dict()``. Attention masks and rotary tables in it are ignored.
        config: its ``cfg``, or a dict of the same fields. Fields that are not set (-1, None or
            missing) get TransformerLens' defaults; so ``d_vocab_out`` is ``d_vocab``, even with p.
        p: the modulus, if the network computes f(a, b) mod p. The residues are then its first p
            tokens and its first p classes.
        prompt: how a pair is written as tokens; needed only with p.

    Returns:
        A network with the same function and hook names, in evaluation mode and the weights' dtype.

    Raises:
        ValueError: the config asks for something that we do not support, or tensors are missing,
            extra or of another shape. The message names each.

    Examples:
        >>> import grokinterp as gi
        >>> import torch
        >>> theirs = gi.HookedTransformer(gi.TransformerConfig(d_model=16, init="paper1"), p=13)
        >>> weights = theirs.state_dict()  # stands for that of a network of TransformerLens
        >>> sizes = {"n_layers": 1, "d_model": 16, "n_heads": 4, "d_head": 4, "n_ctx": 3}
        >>> vocabulary = {"d_vocab": 14, "d_vocab_out": 13}
        >>> config = {**sizes, **vocabulary, "act_fn": "relu", "normalization_type": None}
        >>> model = gi.from_transformer_lens(weights, config, p=13)
        >>> pairs = torch.tensor([[2, 3], [12, 5]])
        >>> torch.allclose(model(pairs), theirs(pairs), atol=1e-4)
        True
    """
    fields = dict(config) if isinstance(config, Mapping) else dict(vars(config))
    if missing := [name for name in _REQUIRED if _is_unset(fields, name)]:
        raise ValueError(f"config lacks {', '.join(missing)}; give TransformerLens' cfg")
    if fields.get("attn_only"):
        fields = {name: value for name, value in fields.items() if name not in _OF_MLPS}
    # TransformerLens' defaults, where they differ from our config's.
    shared = {
        "n_heads": fields["d_model"] // fields["d_head"],
        "d_vocab_out": fields["d_vocab"],
        "normalization_type": "LN",
    }
    shared |= {name: fields[name] for name in _SHARED if not _is_unset(fields, name)}
    for name, value in fields.items():
        if name == "n_key_value_heads":
            neutral = (None, shared["n_heads"])
        elif name in _SHARED or name in _IRRELEVANT.split():
            continue
        elif name not in _NEUTRAL:
            raise ValueError(
                f"config has {name}={short(value)}, which is not a field of TransformerLens 2 or "
                "3; leave it out if it does not change the function"
            )
        else:
            neutral = _NEUTRAL[name]
        if value not in neutral:
            raise ValueError(
                f"config has {name}={short(value)}, which HookedTransformer does not support"
            )
    weights = {name: w for name, w in state_dict.items() if not BUFFERS.fullmatch(name)}
    model = HookedTransformer(TransformerConfig(**shared, prompt=prompt), p=p)
    model.adopt(weights)
    return model


def _is_unset(fields: Mapping[str, Any], name: str) -> bool:
    """TransformerLens reads -1 and None as "not set", except that a norm of None means no norm."""
    if name == "normalization_type":
        return name not in fields
    return fields.get(name) in (None, -1)
