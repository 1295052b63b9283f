"""Norms against what torch's gradients reach, and against the published network's own numbers."""

import math
from typing import Any

import pytest
import torch

import grokinterp as gi
from probes.parameter_norms import norms_by_layer, parameter_norm

P = 7


def transformer(**fields: Any) -> gi.HookedTransformer:
    return gi.HookedTransformer(gi.TransformerConfig(d_model=8, n_heads=2, **fields), p=P)


PAPER2 = gi.TransformerConfig.paper2(d_model=8, n_heads=2, d_mlp=16)
NETWORKS = {
    "transformer": gi.HookedTransformer(PAPER2, p=P),
    "learned positions": transformer(d_vocab=12, n_ctx=6, d_vocab_out=P),
    "tied": transformer(d_vocab=14, d_vocab_out=11, tie_embedding=True),
    "lstm": gi.HookedLSTM(gi.LSTMConfig.paper2(d_embed=6, d_hidden=5), p=P),
    "mlp": gi.HookedEmbeddingMLP(gi.EmbeddingMLPConfig.paper2(d_embed=6, hidden=(8, 8)), p=P),
    "one-hot": gi.HookedMLP(gi.MLPConfig(d_mlp=9, n_layers=2), p=P),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_rows_that_count_are_those_that_a_gradient_reaches(name: str) -> None:
    model = NETWORKS[name]
    square = 0.0
    weights = dict(model.named_parameters())
    logits = model(gi.make_dataset(gi.DataConfig(p=P)).tokens)
    grads = torch.autograd.grad((logits**2).logsumexp(dim=1).sum(), list(weights.values()))
    for (key, weight), grad in zip(weights.items(), grads, strict=True):
        rows = weight.detach().double()
        if key in ("embed.W_E", "pos_embed.W_pos"):
            rows = rows[grad.abs().sum(dim=1) > 0]
        square += float((rows**2).sum())
    assert parameter_norm(model) == pytest.approx(math.sqrt(square), rel=1e-12)
    everything = torch.cat([w.detach().double().flatten() for w in weights.values()]).norm()
    assert parameter_norm(model, used_only=False) == pytest.approx(float(everything), rel=1e-12)
    assert (parameter_norm(model) < float(everything) - 1e-3) == (name != "one-hot")


@pytest.mark.parametrize("used_only", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_layers_make_up_the_whole(name: str, used_only: bool) -> None:
    layers = norms_by_layer(NETWORKS[name], used_only)
    assert math.hypot(*layers.values()) == pytest.approx(
        parameter_norm(NETWORKS[name], used_only), rel=1e-12
    )


def test_layers_have_names() -> None:
    names = {name: set(norms_by_layer(model)) for name, model in NETWORKS.items()}
    assert names["one-hot"] == {"W_E", "W_U", "layers.1"}
    assert names["mlp"] == {"embed", "layers.0", "layers.1", "unembed"}
    assert names["lstm"] == {"embed", "lstm.0", "lstm.1", "unembed"}
    assert {"embed", "blocks.0.attn", "blocks.1.mlp", "unembed"} <= names["transformer"]
    layer = NETWORKS["mlp"].layers[0]
    both = torch.cat([layer.W_in.detach().flatten(), layer.b_in.detach()]).double().norm()
    found = norms_by_layer(NETWORKS["mlp"])["layers.0"]
    assert found == pytest.approx(float(both), rel=1e-12)


def test_the_published_mlp_at_initialisation() -> None:
    """175.6 in all, 133.9 of it in the 140 token rows that never occur."""
    model = gi.HookedEmbeddingMLP(gi.EmbeddingMLPConfig.paper2(), p=97)
    whole, used = parameter_norm(model, used_only=False), parameter_norm(model)
    assert whole == pytest.approx(175.6, abs=0.5)
    assert math.sqrt(whole**2 - used**2) == pytest.approx(133.9, abs=1.0)
