"""HookedTransformer against TransformerLens 3.9's values, TransformerLens 4 and torch.nn."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformer_lens import ActivationCache

import grokinterp as gi
from grokinterp.models.transformer import HookedTransformer, TransformerConfig
from tests.grokinterp.models.twins import native_twin
from tests.networks import far_from_zero
from tests.tolerance import assert_agree, rounding

FIXTURES = Path(__file__).parents[2] / "data" / "transformer_lens_3"
SMALL: dict[str, Any] = {"d_model": 12, "n_heads": 3, "d_mlp": 20, "d_vocab": 7, "n_ctx": 4}


def network(**fields: Any) -> HookedTransformer:
    return far_from_zero(HookedTransformer(TransformerConfig(**SMALL | fields)), seed=11)


def tokens_for(model: HookedTransformer, batch: int = 5) -> Tensor:
    assert model.cfg.d_vocab is not None
    assert model.cfg.n_ctx is not None
    rng = torch.Generator().manual_seed(12)
    return torch.randint(model.cfg.d_vocab, (batch, model.cfg.n_ctx), generator=rng)


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


# TransformerLens


def fixture(name: str) -> tuple[HookedTransformer, dict[str, Tensor]]:
    config = TransformerConfig(**json.loads((FIXTURES / f"{name}.json").read_text()))
    stored = load_file(FIXTURES / f"{name}.safetensors")
    model = HookedTransformer(config)
    prefix = "weights/"
    model.load_state_dict(
        {key.removeprefix(prefix): w for key, w in stored.items() if key.startswith(prefix)}
    )
    return model, stored


def longest_path(model: HookedTransformer) -> int:
    """Terms in the sums between the tokens and the logits."""
    c = model.cfg
    assert c.d_mlp is not None
    assert c.d_head is not None
    assert c.n_ctx is not None
    attention = c.d_model + c.d_head + c.n_ctx + c.n_heads * c.d_head
    return c.n_layers * (attention + c.d_model + c.d_mlp) + c.d_model


FIXTURE_NAMES = ("one_layer_causal", "two_layer_bidirectional_ln")


@pytest.mark.parametrize("name", FIXTURE_NAMES)
def test_every_activation_of_transformer_lens_3(name: str) -> None:
    model, stored = fixture(name)
    logits, cache = model.run_with_cache(stored["tokens"])
    assert_agree(logits, stored["logits"], n_terms=longest_path(model))
    theirs = {key.removeprefix("cache/"): x for key, x in stored.items() if key[:6] == "cache/"}
    assert set(cache.keys()) == set(theirs)
    for hook, activation in theirs.items():
        assert_agree(cache[hook], activation, n_terms=longest_path(model), name=hook)


@pytest.mark.parametrize("name", FIXTURE_NAMES)
def test_the_reference_values_notice_any_permuted_weight(name: str) -> None:
    model, stored = fixture(name)
    for parameter, weight in model.named_parameters():
        kept = weight.data
        weight.data = kept.roll(1, dims=-1)
        logits = model(stored["tokens"])
        weight.data = kept
        # A bias of all keys shifts all scores of a query alike: the softmax does not see it.
        gap = rounding(torch.float32, longest_path(model), stored["logits"].abs().max().item())
        moved = (logits - stored["logits"]).abs().max() > gap
        assert moved == (not parameter.endswith("b_K")), parameter


ORDER = """
hook_embed hook_pos_embed blocks.0.hook_resid_pre blocks.0.ln1.hook_scale
blocks.0.ln1.hook_normalized blocks.0.attn.hook_q blocks.0.attn.hook_k blocks.0.attn.hook_v
blocks.0.attn.hook_attn_scores blocks.0.attn.hook_pattern blocks.0.attn.hook_z
blocks.0.hook_attn_out blocks.0.hook_resid_mid blocks.0.ln2.hook_scale
blocks.0.ln2.hook_normalized blocks.0.mlp.hook_pre blocks.0.mlp.hook_post blocks.0.hook_mlp_out
blocks.0.hook_resid_post ln_final.hook_scale ln_final.hook_normalized unembed.hook_in
unembed.hook_out
"""


def test_cached_activations_come_in_transformer_lens_order() -> None:
    """The order of ``HookedTransformer.run_with_cache`` in TransformerLens 2 and 3."""
    _, cache = network(normalization_type="LN").run_with_cache(torch.tensor([[0, 1]]))
    assert list(cache.keys()) == ORDER.split()


@pytest.mark.parametrize("norm", [None, "LN"])
@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
def test_transformer_lens_4_with_the_same_weights(direction: str, norm: str | None) -> None:
    fields = {"n_layers": 2, "attention_dir": direction, "normalization_type": norm}
    model = network(**fields, act_fn="gelu")
    native = native_twin(model)
    tokens = tokens_for(model)
    logits, cache = model.run_with_cache(tokens)
    expected, reference = native.run_with_cache(tokens)
    close(logits, expected)
    shared = {hook for hook in cache.keys() & reference.keys() if "scores" not in hook}
    assert {"hook_embed", "blocks.1.attn.hook_pattern", "blocks.1.mlp.hook_post"} <= shared
    for hook in shared:  # their native hook_attn_scores sees what the softmax returns
        close(cache[hook], reference[hook])


# torch.nn


@pytest.mark.parametrize("act", ["relu", "gelu"])
@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
def test_post_norm_with_sinusoids_is_torchs_encoder(direction: str, act: str) -> None:
    fields = {"norm_position": "post", "attention_dir": direction, "act_fn": act}
    fields |= {"normalization_type": "LN", "positional_embedding_type": "sinusoidal"}
    model = network(n_layers=2, **fields)
    tokens, state = tokens_for(model), model.state_dict()
    assert "pos_embed.W_pos" not in state
    x = state["embed.W_E"][tokens] + model.W_pos
    mask = torch.full((4, 4), -torch.inf).double().triu(1) if direction == "causal" else None
    for i in range(2):
        layer = nn.TransformerEncoderLayer(12, 3, 20, 0.0, act, batch_first=True).double()
        ours = {
            name.removeprefix(f"blocks.{i}."): weight
            for name, weight in state.items()
            if name.startswith(f"blocks.{i}.")
        }
        read_in = [ours[f"attn.W_{c}"].mT.flatten(0, 1) for c in "QKV"]
        theirs = {
            "self_attn.in_proj_weight": torch.cat(read_in),
            "self_attn.in_proj_bias": torch.cat([ours[f"attn.b_{c}"].flatten() for c in "QKV"]),
            "self_attn.out_proj.weight": ours["attn.W_O"].flatten(0, 1).T,
            "self_attn.out_proj.bias": ours["attn.b_O"],
        }
        for n, side in ((1, "in"), (2, "out")):
            theirs[f"linear{n}.weight"] = ours[f"mlp.W_{side}"].T
            theirs[f"linear{n}.bias"] = ours[f"mlp.b_{side}"]
            theirs |= {f"norm{n}.weight": ours[f"ln{n}.w"], f"norm{n}.bias": ours[f"ln{n}.b"]}
        layer.load_state_dict(theirs)
        x = layer(x, src_mask=mask)
    close(model(tokens), x @ state["unembed.W_U"] + state["unembed.b_U"])


def test_sinusoids_are_those_of_the_original_transformer() -> None:
    """Vaswani et al. 2017, section 3.5: wavelengths in a geometric series, sine then cosine."""
    model = network(positional_embedding_type="sinusoidal", d_model=6, n_heads=1, n_ctx=9)
    fast, middle, slow = 1.0, 10_000 ** (-2 / 6), 10_000 ** (-4 / 6)
    rows = [
        [f(w * t) for w in (fast, middle, slow) for f in (torch.sin, torch.cos)]
        for t in torch.arange(9.0, dtype=torch.float64)
    ]
    expected = torch.stack([torch.stack(row) for row in rows])
    torch.testing.assert_close(model.W_pos, expected, rtol=0, atol=1e-6)  # made in float32


# What attention sees


@pytest.mark.parametrize("fields", [{}, {"attn_rate": 0.3}, {"n_layers": 2}])
def test_a_causal_network_does_not_see_later_tokens(fields: dict[str, Any]) -> None:
    tokens = torch.tensor([[1, 2, 3, 4]])
    later = torch.tensor([[1, 2, 5, 4]])
    causal, both = network(**fields), network(**fields, attention_dir="bidirectional")
    close(causal(tokens)[:, :2], causal(later)[:, :2])
    assert (causal(tokens)[:, 2:] - causal(later)[:, 2:]).abs().min() > 1e-6
    assert (both(tokens) - both(later)).abs().amin(dim=(0, 2)).min() > 1e-6


def test_attention_rate_mixes_the_softmax_with_ones() -> None:
    tokens = tokens_for(network())
    softmax = network(attention_dir="bidirectional").run_with_cache(tokens)[1]["pattern", 0]
    for rate in (0.0, 0.25):
        model = network(attention_dir="bidirectional", attn_rate=rate)
        close(model.run_with_cache(tokens)[1]["pattern", 0], rate * softmax + (1 - rate))
    causal = network(attn_rate=0.0).run_with_cache(tokens)[1]["pattern", 0]
    close(causal, torch.ones(4, 4).tril().double().expand_as(causal))


@pytest.mark.parametrize(
    ("fields", "divisor"),
    [
        ({}, 4**0.5),
        ({"attn_scale": 3.0}, 3.0),
        ({"use_attn_scale": False}, 1.0),
        ({"mup": 1.0}, 4.0),
        ({"mup": 0.0}, 2.0),
        ({"d_head": 9}, 3.0),
    ],
)
def test_scores_are_products_over_the_scale(fields: dict[str, Any], divisor: float) -> None:
    model = network(attention_dir="bidirectional", **fields)
    _, cache = model.run_with_cache(tokens_for(model))
    products = torch.einsum("bqhd,bkhd->bhqk", cache["q", 0], cache["k", 0])
    close(cache["attn_scores", 0], products / divisor)


# TransformerLens' cache


@pytest.mark.parametrize(
    "fields",
    [
        {"n_layers": 2},
        {"n_layers": 2, "attn_only": True},
        {"normalization_type": "LNPre"},
        {"biases": False, "act_fn": "square"},
        {"mup": 1.0},
    ],
)
def test_the_parts_of_the_residual_stream_add_up(fields: dict[str, Any]) -> None:
    model = network(**fields)
    tokens = tokens_for(model)
    logits, cache = model.run_with_cache(tokens)
    assert isinstance(cache, ActivationCache)
    last = model.cfg.n_layers - 1
    parts, names = cache.decompose_resid(return_labels=True)
    assert names[:2] == ["embed", "pos_embed"]
    close(parts.sum(dim=0), cache["resid_post", last])
    for neurons in (True, False):
        full: Any = cache.get_full_resid_decomposition(expand_neurons=neurons)
        close(full.sum(dim=0), cache["resid_post", last])
    heads: Any = cache.stack_head_results(1)
    close(heads.sum(dim=0) + model.b_O[0], cache["attn_out", 0])
    stream: Any = cache.accumulated_resid(layer=None)
    close(stream[-1], cache["resid_post", last])

    each = cache.logit_attrs(parts, tokens=torch.full((5, 4), 3))
    close(each.sum(dim=0) + model.unembed.scale * model.b_U[3], logits[..., 3])
    close(cache.logit_attrs(parts, tokens=3), each)


def test_a_post_norm_stream_is_not_decomposed() -> None:
    model = network(normalization_type="LN", norm_position="post")
    _, cache = model.run_with_cache(tokens_for(model))
    with pytest.raises(ValueError, match="no sum of the layers' outputs"):
        cache.decompose_resid()
    with pytest.raises(ValueError, match="no sum of the layers' outputs"):
        cache.get_full_resid_decomposition()


def test_cache_as_a_dict_and_without_the_batch() -> None:
    model = network()
    _, cache = model.run_with_cache(tokens_for(model), return_cache_object=False)
    assert type(cache) is dict
    _, single = model.run_with_cache(tokens_for(model, 1), remove_batch_dim=True)
    assert single["pattern", 0].shape == (3, 4, 4)
    close(single.decompose_resid().sum(dim=0), single["resid_post", 0])


def test_weights_have_transformer_lens_names_and_shapes() -> None:
    model = network(n_layers=2, d_vocab_out=6)
    shapes: dict[str, tuple[int, ...]] = {"W_E": (7, 12), "W_pos": (4, 12), "W_U": (12, 6)}
    shapes |= {f"W_{x}": (2, 3, 12, 4) for x in "QKV"} | {f"b_{x}": (2, 3, 4) for x in "QKV"}
    shapes |= {"W_O": (2, 3, 4, 12), "b_O": (2, 12), "b_U": (6,)}
    shapes |= {"W_in": (2, 12, 20), "b_in": (2, 20), "W_out": (2, 20, 12), "b_out": (2, 12)}
    bare = network(n_layers=2, d_vocab_out=6, biases=False)
    for name, shape in shapes.items():
        assert getattr(model, name).shape == getattr(bare, name).shape == shape
        assert name.startswith("W") or not getattr(bare, name).any()
    assert torch.equal(model.W_V[1], model.state_dict()["blocks.1.attn.W_V"])
    assert torch.equal(model.b_out[1], model.state_dict()["blocks.1.mlp.b_out"])
    QK: Any = model.QK.AB
    OV: Any = model.OV.AB
    close(QK, model.W_Q @ model.W_K.transpose(-2, -1))
    close(OV, model.W_V @ model.W_O)
    assert not any("b_" in name for name in bare.state_dict())


def test_biases_of_the_mlps_alone() -> None:
    """As a network with all biases whose others are zero; and a config of before says True."""
    model, full = network(n_layers=2, biases="mlp"), network(n_layers=2)
    state = model.state_dict()
    assert {name.split(".")[-1] for name in state if ".b_" in name} == {"b_in", "b_out"}
    zeros = {name: torch.zeros_like(w) for name, w in full.state_dict().items()}
    full.load_state_dict(zeros | state)
    tokens = tokens_for(model)
    close(model(tokens), full(tokens))
    for name in ("b_Q", "b_K", "b_V", "b_O", "b_in", "b_out", "b_U"):
        assert torch.equal(getattr(model, name), getattr(full, name)), name
    for layer in range(3):
        close(model.accumulated_bias(layer), full.accumulated_bias(layer))
    old = {"kind": "transformer", "d_model": 8, "biases": True}
    config = gi.RunConfig.from_dict({"model": old})
    assert config.model == TransformerConfig(d_model=8)
    with pytest.raises(TypeError, match="biases must be True, False or 'mlp', got 'attention'"):
        TransformerConfig(biases="attention")


def test_tied_embedding_has_one_matrix() -> None:
    model = network(tie_embedding=True, d_vocab_out=5)
    assert "unembed.W_U" not in model.state_dict()
    assert torch.equal(model.W_U, model.W_E[:5].T)
    untied = network(d_vocab_out=5)
    untied.load_state_dict(model.state_dict() | {"unembed.W_U": model.W_E[:5].T})
    tokens = tokens_for(model)
    close(model(tokens), untied(tokens))
    model(tokens).sum().backward()
    untied(tokens).sum().backward()
    grads = [untied.embed.W_E.grad, untied.unembed.W_U.grad, model.embed.W_E.grad]
    assert grads[0] is not None
    assert grads[1] is not None
    assert grads[2] is not None
    grads[0][:5] += grads[1].T
    close(grads[2], grads[0])


def test_what_a_hook_returns_is_what_the_network_goes_on_with() -> None:
    model = network(n_layers=2)
    tokens = tokens_for(model)
    for name in model.hook_dict:
        changed = model.run_with_hooks(tokens, fwd_hooks=[(name, lambda x, hook: 0.5 * x)])
        assert not torch.allclose(changed, model(tokens)), name


# Bad input


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"d_model": 10}, "d_model=10 is not a multiple of n_heads=3; change one .*give d_head"),
        ({"n_layers": 0}, "n_layers must be at least 1, got 0"),
        ({"act_fn": "rleu"}, "act_fn='rleu' is unknown. Did you mean 'relu'"),
        ({"normalization_type": "RMS"}, "normalization_type='RMS' is unknown"),
        ({"norm_position": "post"}, "norm_position='post' needs a normalization_type"),
        ({"attention_dir": "both"}, "attention_dir='both' is unknown"),
        ({"positional_embedding_type": "rotary"}, "positional_embedding_type='rotary'"),
        ({"attn_rate": 1.5}, r"attn_rate must lie in \[0, 1\], got 1.5"),
        ({"attn_scale": -1.0}, r"attn_scale must lie in \(0"),
        ({"prompt": "a a ="}, "prompt='a a =' must have the words a and b once"),
        ({"init": "xavier"}, "init='xavier' is unknown"),
        ({"n_ctx": None}, "n_ctx=None needs a modulus p, from which it follows; give n_ctx or p"),
        ({"d_vocab": None}, "d_vocab=None needs a modulus p"),
        ({"tie_embedding": True, "d_vocab_out": 8}, "d_vocab_out=8 must be at most d_vocab=7"),
    ],
)
def test_bad_configs_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HookedTransformer(TransformerConfig(**SMALL | fields))


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize(
    ("tokens", "error", "message"),
    [
        (torch.zeros(1, 4), TypeError, r"integer tensor \[batch, pos\], got torch.float32"),
        ([[0]], TypeError, "got list"),
        (torch.zeros(4, dtype=torch.long), ValueError, r"got \[4\]"),
        (torch.zeros(1, 5, dtype=torch.long), ValueError, r"n_ctx=4 positions, got \[1, 5\]"),
        (torch.tensor([[0, 7]]), ValueError, r"0\.\.6 for d_vocab=7, got values from 0 to 7"),
        (torch.tensor([[-1, 0]]), ValueError, "values from -1 to 0"),
    ],
)
def test_bad_tokens_are_refused(tokens: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=rf"^tokens must .*{message}"):
        network()(tokens)
