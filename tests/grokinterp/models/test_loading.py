"""Loaders of networks that other people trained, against their own numbers."""

import types
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from grokinterp.models.loading import from_transformer_lens
from tests.networks import all_pairs

# What TransformerLens 3.9 writes into the cfg of a network made with the first seven fields.
CONFIG: dict[str, Any] = {
    "d_model": 8, "d_head": 3, "n_layers": 1, "n_ctx": 3, "d_vocab": 6, "d_vocab_out": 5,
    "act_fn": "gelu", "n_heads": 2, "d_mlp": 10, "device": "cpu", "use_attn_result": False,
    "use_split_qkv_input": False, "default_prepend_bos": True, "attn_only": False,
    "positional_embedding_type": "standard", "n_key_value_heads": None, "gated_mlp": False,
    "uses_rms_norm": False, "eps": 1e-5, "layer_norm_folding": False, "normalization_type": "LN",
    "num_experts": None, "experts_per_token": None, "final_rms": False, "dtype": torch.float32,
    "model_name": "custom", "use_attn_scale": True, "attn_scale": 3**0.5, "init_mode": "gpt2",
    "attention_dir": "causal", "seed": None, "initializer_range": 0.02, "rotary_dim": None,
    "tokenizer_name": None, "attn_scores_soft_cap": -1.0, "output_logits_soft_cap": -1.0,
    "use_local_attn": False, "tie_word_embeddings": False, "n_params": 384,
}  # fmt: skip


def weights() -> dict[str, Tensor]:
    """A state_dict as TransformerLens lays it out, masks and all, every weight random."""
    draw = torch.Generator().manual_seed(0)
    shapes: dict[str, tuple[int, ...]] = {"embed.W_E": (6, 8), "pos_embed.W_pos": (3, 8)}
    shapes |= {f"blocks.0.ln{i}.{x}": (8,) for i in (1, 2) for x in "wb"}
    for x in "QKV":
        shapes |= {f"blocks.0.attn.W_{x}": (2, 8, 3), f"blocks.0.attn.b_{x}": (2, 3)}
    shapes |= {"blocks.0.attn.W_O": (2, 3, 8), "blocks.0.attn.b_O": (8,)}
    shapes |= {"blocks.0.mlp.W_in": (8, 10), "blocks.0.mlp.b_in": (10,)}
    shapes |= {"blocks.0.mlp.W_out": (10, 8), "blocks.0.mlp.b_out": (8,)}
    shapes |= {"ln_final.w": (8,), "ln_final.b": (8,), "unembed.W_U": (8, 5), "unembed.b_U": (5,)}
    state = {
        name: torch.randn(shape, generator=draw, dtype=torch.float64)
        for name, shape in shapes.items()
    }
    masks = {
        "blocks.0.attn.mask": torch.ones(3, 3).tril().bool(),
        "blocks.0.attn.IGNORE": torch.tensor(-torch.inf),
    }
    return state | masks


def by_hand(w: dict[str, Tensor], tokens: Tensor, scale: float, causal: bool) -> Tensor:
    """The logits of that network, one head after the other."""

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, (8,), w[f"{name}.w"], w[f"{name}.b"], eps=1e-5)

    resid = w["embed.W_E"][tokens] + w["pos_embed.W_pos"]
    x, block = norm(resid, "blocks.0.ln1"), "blocks.0.attn"
    for head in range(2):
        q, k, v = (x @ w[f"{block}.W_{n}"][head] + w[f"{block}.b_{n}"][head] for n in "QKV")
        scores = q @ k.mT / scale
        if causal:
            scores = scores.masked_fill(torch.ones(3, 3).triu(1).bool(), -torch.inf)
        resid = resid + scores.softmax(dim=-1) @ v @ w[f"{block}.W_O"][head]
    resid = resid + w[f"{block}.b_O"]
    hidden = norm(resid, "blocks.0.ln2") @ w["blocks.0.mlp.W_in"] + w["blocks.0.mlp.b_in"]
    resid = resid + F.gelu(hidden) @ w["blocks.0.mlp.W_out"] + w["blocks.0.mlp.b_out"]
    return norm(resid, "ln_final") @ w["unembed.W_U"] + w["unembed.b_U"]


SEQUENCES = torch.cat([all_pairs(5), torch.full((25, 1), 5)], dim=1)


@pytest.mark.parametrize("form", [dict, lambda config: types.SimpleNamespace(**config)])
@pytest.mark.parametrize(
    ("changes", "scale", "causal"),
    [
        ({}, 3**0.5, True),
        ({"attn_scale": -1.0}, 3**0.5, True),
        ({"attn_scale": 2.0}, 2.0, True),
        ({"use_attn_scale": False, "attn_scale": -1.0}, 1.0, True),
        ({"attention_dir": "bidirectional"}, 3**0.5, False),
    ],
)
def test_transformer_lens_network_by_hand(
    changes: dict[str, Any], scale: float, causal: bool, form: Any
) -> None:
    model = from_transformer_lens(weights(), form(CONFIG | changes))
    assert not model.training
    expected = by_hand(weights(), SEQUENCES, scale, causal)
    torch.testing.assert_close(model(SEQUENCES), expected, rtol=1e-11, atol=1e-11)
    model = from_transformer_lens(weights(), form(CONFIG | changes), p=5)
    torch.testing.assert_close(model(all_pairs(5)), expected[:, -1], rtol=1e-11, atol=1e-11)


def test_unset_fields_mean_what_they_mean_there() -> None:
    """LayerNorm unless the config says otherwise, causal, sqrt(d_head); -1 is "not set"."""
    names = ("d_model", "d_head", "n_layers", "n_ctx", "d_vocab", "d_vocab_out", "act_fn", "d_mlp")
    config = {name: CONFIG[name] for name in names}
    state = weights()
    for name in ("W_Q", "b_Q", "W_K", "b_K", "W_V", "b_V", "W_O"):  # 8 // 3 heads
        assert len(state[f"blocks.0.attn.{name}"]) == 8 // 3
    expected = by_hand(state, SEQUENCES, 3**0.5, causal=True)
    for given in (config, config | {"n_heads": -1, "attn_scale": -1}):
        model = from_transformer_lens(state, given)
        torch.testing.assert_close(model(SEQUENCES), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gated_mlp", True),
        ("final_rms", True),
        ("parallel_attn_mlp", True),
        ("use_local_attn", True),
        ("use_qk_norm", True),
        ("attn_scores_soft_cap", 30.0),
        ("num_experts", 4),
        ("n_key_value_heads", 1),
        ("positional_embedding_type", "rotary"),
        ("normalization_type", "RMS"),
        ("act_fn", "gelu_new"),
        ("atention_dir", "bidirectional"),
    ],
)
def test_fields_that_cannot_be_expressed_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{field}={value!r}"):
        from_transformer_lens(weights(), CONFIG | {field: value})


def test_as_many_key_value_heads_as_heads_is_nothing_new() -> None:
    from_transformer_lens(weights(), CONFIG | {"n_key_value_heads": 2})
    from_transformer_lens(weights(), CONFIG | {"n_key_value_heads": 2, "n_heads": -1})


@pytest.mark.parametrize("unset", [{}, {"d_vocab_out": -1}, {"d_vocab_out": None}])
def test_unset_classes_are_the_tokens_also_with_a_modulus(unset: dict[str, Any]) -> None:
    """TransformerLens takes d_vocab, here 6 for p = 5 and "=", where our config would take p."""
    draw = torch.Generator().manual_seed(3)
    state = weights()
    state["unembed.W_U"] = torch.randn(8, 6, generator=draw, dtype=torch.float64)
    state["unembed.b_U"] = torch.randn(6, generator=draw, dtype=torch.float64)
    config = {name: value for name, value in CONFIG.items() if name != "d_vocab_out"} | unset
    model = from_transformer_lens(state, config, p=5)
    expected = by_hand(state, SEQUENCES, 3**0.5, causal=True)[:, -1]
    torch.testing.assert_close(model(all_pairs(5)), expected, rtol=1e-11, atol=1e-11)


def test_unset_neurons_are_four_times_the_width() -> None:
    draw = torch.Generator().manual_seed(4)
    state = weights()
    for name, shape in {"W_in": (8, 32), "b_in": (32,), "W_out": (32, 8)}.items():
        state[f"blocks.0.mlp.{name}"] = torch.randn(shape, generator=draw, dtype=torch.float64)
    model = from_transformer_lens(state, CONFIG | {"d_mlp": None})
    expected = by_hand(state, SEQUENCES, 3**0.5, causal=True)
    torch.testing.assert_close(model(SEQUENCES), expected, rtol=1e-11, atol=1e-11)


def test_fields_of_mlps_say_nothing_without_one() -> None:
    """TransformerLens builds no MLP then, and keeps whatever these fields say."""
    state = {name: w for name, w in weights().items() if "mlp" not in name and "ln2" not in name}
    of_mlps = {"act_fn": "gelu_new", "d_mlp": None, "gated_mlp": True, "num_experts": 4}
    model = from_transformer_lens(state, CONFIG | of_mlps | {"attn_only": True})
    matrices = {name: w for name, w in weights().items() if w.is_floating_point() and w.ndim}
    zeros = {
        name: w * (".W_out" not in name and ".b_out" not in name) for name, w in matrices.items()
    }
    expected = by_hand(zeros, SEQUENCES, 3**0.5, causal=True)
    torch.testing.assert_close(model(SEQUENCES), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    "nothing",
    [{"attn_scores_soft_cap": 0.0}, {"output_logits_soft_cap": 0.0}, {"layer_norm_folding": True}],
)
def test_fields_that_do_nothing_there(nothing: dict[str, Any]) -> None:
    model = from_transformer_lens(weights(), CONFIG | nothing)
    expected = by_hand(weights(), SEQUENCES, 3**0.5, causal=True)
    torch.testing.assert_close(model(SEQUENCES), expected, rtol=1e-11, atol=1e-11)


def test_missing_extra_and_misshapen_tensors_are_named() -> None:
    state = weights() | {"blocks.0.attn.rotary": torch.ones(3), "ln_final.w": torch.ones(9)}
    del state["blocks.0.mlp.b_in"]
    with pytest.raises(ValueError, match="does not fit this HookedTransformer") as caught:
        from_transformer_lens(state, CONFIG)
    for part in (
        "missing blocks.0.mlp.b_in [10]",
        "extra blocks.0.attn.rotary [3]",
        "ln_final.w is [9] and should be [8]",
    ):
        assert part in str(caught.value)
    assert "IGNORE" not in str(caught.value)
    with pytest.raises(ValueError, match="config lacks d_head, d_vocab"):
        from_transformer_lens(weights(), {"n_layers": 1, "d_model": 8, "n_ctx": 3, "d_vocab": -1})
    with pytest.raises(ValueError, match="d_vocab must be at least 8 for p=7"):
        from_transformer_lens(weights(), CONFIG, p=7)
