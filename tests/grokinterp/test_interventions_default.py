"""Where interventions act if no hook point is named: the neurons of a layer, in any network."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from grokinterp import (
    EmbeddingMLPConfig,
    HookedEmbeddingMLP,
    HookedLSTM,
    HookedMLP,
    HookedModel,
    HookedModule,
    HookedTransformer,
    LSTMConfig,
    MLPConfig,
    TransformerConfig,
    ablate,
    ablate_heads,
    scale,
)
from tests.networks import all_pairs, native_transformer

P = 5
TOKENS = all_pairs(P)
SMALL: dict[str, Any] = {"n_layers": 2, "d_model": 8, "n_heads": 2, "d_mlp": 6}
MODELS: dict[str, HookedModel] = {
    "MLP": HookedMLP(MLPConfig(d_mlp=6, n_layers=2), p=P),
    "embedding MLP": HookedEmbeddingMLP(EmbeddingMLPConfig(d_embed=4, hidden=(6, 6)), p=P),
    "transformer": HookedTransformer(TransformerConfig(**SMALL), p=P),
    "LSTM": HookedLSTM(LSTMConfig(d_embed=4, d_hidden=6), p=P),
}
# Of each network, the hook points of a layer's neurons, with the layer's number left open.
POINTS = {
    "MLP": ["layers.{}.hook_post"],
    "embedding MLP": ["layers.{}.hook_post"],
    "transformer": ["blocks.{}.mlp.hook_post"],
    "LSTM": [f"layers.{{}}.steps.{t}.hook_h" for t in range(3)],
}


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("name", MODELS)
def test_neurons_of_a_layer_in_every_architecture(name: str, layer: int) -> None:
    model, chosen = MODELS[name], [1, 4]
    expected = {point.format(layer) for point in POINTS[name]}
    clean, before = model.run_with_cache(TOKENS)
    with model.hooks(fwd_hooks=ablate(chosen, layer=layer)):
        logits, cache = model.run_with_cache(TOKENS)
    assert not torch.equal(logits, clean)
    for point in expected:
        assert not cache[point][..., chosen].any()
        assert before[point][..., chosen].any()
    assert torch.equal(
        model.run_with_hooks(TOKENS, fwd_hooks=scale(chosen, 0.0, layer=layer)), logits
    )
    for mode in ("mean", "resample"):
        logits = model.run_with_hooks(TOKENS, fwd_hooks=ablate(chosen, mode, layer=layer))
        named = [hook for point in sorted(expected) for hook in ablate(chosen, mode, hook=point)]
        assert torch.equal(logits, model.run_with_hooks(TOKENS, fwd_hooks=named))
    model.add_hook(*ablate(chosen, layer=layer)[0])
    hooked = {point for point in model.hook_dict if model.hook_dict[point].fwd_hooks}
    model.reset_hooks()
    assert hooked == expected


@pytest.mark.parametrize("name", MODELS)
def test_a_layer_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"layer=2, but \w+ has 2 layers of neurons, counted from"):
        MODELS[name].run_with_hooks(TOKENS, fwd_hooks=ablate([0], layer=2))


def test_networks_without_known_neurons_are_refused() -> None:
    alone = HookedTransformer(TransformerConfig(attn_only=True, **SMALL), p=P)
    net = nn.Sequential(nn.Embedding(P, 4), nn.Flatten(), nn.Linear(8, 6), nn.ReLU())
    for model, point in ((alone, "blocks.0.attn.hook_z"), (HookedModule(net, p=P), "3.hook_out")):
        with pytest.raises(
            ValueError, match=rf"no hook point named \*.hook_post.* give hook=.*{point}"
        ):
            model.run_with_hooks(TOKENS, fwd_hooks=ablate([0]))
        with pytest.raises(ValueError, match=r"no hook point named \*.hook_post"):
            model.add_hook(*scale([0], 2.0)[0])


def test_a_function_that_chooses_no_hook_point_is_refused() -> None:
    """TransformerLens runs such a network without the hook, and says nothing."""
    model = MODELS["MLP"]
    seen = []

    def look(tensor: Tensor, hook: Any) -> None:
        seen.append(hook.name)

    model.run_with_hooks(TOKENS, fwd_hooks=[(lambda name: "hook_p" in name, look)])
    assert seen == [f"layers.{i}.hook_{what}" for i in (0, 1) for what in ("pre", "post")]
    for add in (
        lambda: model.run_with_hooks(TOKENS, fwd_hooks=[(lambda name: "attn" in name, look)]),
        lambda: model.run_with_hooks(TOKENS, bwd_hooks=[(lambda name: "attn" in name, look)]),
        lambda: model.add_hook(lambda name: "attn" in name, look),
        lambda: model.add_perma_hook(lambda name: "attn" in name, look),
    ):
        with pytest.raises(ValueError, match=r"chooses no hook point of HookedMLP.* hook_embed"):
            add()
    assert not model.is_hooked


def test_a_network_of_transformer_lens() -> None:
    bridge = native_transformer(P, **SMALL, normalization_type="LN")
    tokens = torch.cat([TOKENS, torch.full((len(TOKENS), 1), P)], dim=1)
    with torch.no_grad():
        clean = bridge(tokens)
        for layer in range(2):
            logits = bridge.run_with_hooks(tokens, fwd_hooks=ablate([1, 4], layer=layer))
            named = ablate([1, 4], hook=f"blocks.{layer}.mlp.hook_post")
            assert torch.equal(logits, bridge.run_with_hooks(tokens, fwd_hooks=named))
            assert not torch.equal(logits, clean)
    with pytest.raises(KeyError, match=r"blocks\.2\.mlp\.hook_post.* does not exist"):
        bridge.run_with_hooks(tokens, fwd_hooks=ablate([1], layer=2))


def test_a_reference_belongs_to_one_hook_point() -> None:
    """An LSTM's states at three steps are not exchanged for those of one of them."""
    model = MODELS["LSTM"]
    reference = torch.zeros(4, 6)
    with pytest.raises(ValueError, match=r"a hook point for each step; give a mapping"):
        model.run_with_hooks(TOKENS, fwd_hooks=ablate([0], "mean", reference=reference))
    hooks = ablate([0], "mean", hook="layers.0.steps.0.hook_h", reference=reference)
    _ = model.run_with_hooks(TOKENS, fwd_hooks=hooks)


@pytest.mark.parametrize("mode", ["mean", "resample"])
@pytest.mark.parametrize("name", MODELS)
def test_a_single_example_has_no_other_to_take_values_from(name: str, mode: str) -> None:
    """It would keep its own, and the logits would look as if nothing depended on the neurons."""
    model, one = MODELS[name], TOKENS[7:8]
    point = POINTS[name][-1].format(0)
    needs = rf"mode='{mode}' takes its values from the batch.* pass reference=.*"
    with pytest.raises(ValueError, match=needs):
        model.run_with_hooks(one, fwd_hooks=ablate([1, 4], mode))
    with pytest.raises(ValueError, match=needs):
        model.run_with_hooks(one, fwd_hooks=ablate([1, 3], mode, hook="hook_embed"))
    reference = model.run_with_cache(TOKENS)[1][point]
    for hooks in (ablate(range(6), mode, hook=point, reference=reference), ablate(range(6))):
        assert not torch.equal(model.run_with_hooks(one, fwd_hooks=hooks), model(one))


def test_heads_of_a_single_example() -> None:
    model = MODELS["transformer"]
    for mode in ("mean", "resample"):
        with pytest.raises(
            ValueError, match=r"only one example; pass .*at blocks\.1\.attn\.hook_z"
        ):
            model.run_with_hooks(TOKENS[:1], fwd_hooks=ablate_heads([0], mode, layer=1))


@pytest.mark.parametrize("seed", range(8))
def test_two_examples_always_change_places(seed: int) -> None:
    """Every second permutation of two leaves both where they are."""
    model = MODELS["MLP"]
    point, two = "layers.0.hook_post", TOKENS[3:5]
    _, cache = model.run_with_cache(two)
    with model.hooks(fwd_hooks=ablate(list(range(6)), "resample", seed=seed)):
        _, changed = model.run_with_cache(two)
    assert torch.equal(changed[point], cache[point].flip(0))
