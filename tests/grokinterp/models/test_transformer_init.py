"""The papers' transformers: their sizes, scales and initial weights."""

import math
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from grokinterp.models.transformer import HookedTransformer, TransformerConfig
from tests.networks import all_pairs, far_from_zero
from tests.transformer_variants import TINY

P = 5


def count(model: HookedTransformer, *, besides: tuple[str, ...]) -> int:
    return sum(weight.numel() for name, weight in model.named_parameters() if name not in besides)


def test_the_papers_parameter_counts() -> None:
    first = HookedTransformer(TransformerConfig.paper1(), p=97)
    assert count(first, besides=("embed.W_E", "pos_embed.W_pos")) == 209_024
    assert first.W_E.shape == (97, 128)
    assert first.W_pos.shape == (2, 128)
    second = HookedTransformer(TransformerConfig.paper2(), p=97)
    assert count(second, besides=("embed.W_E", "unembed.W_U")) == 394_240
    assert second.W_E.numel() == second.W_U.numel() == 30_592


def test_first_papers_scales() -> None:
    """Attention is divided by d_head and the logits by d_model (s = 1)."""
    model = far_from_zero(HookedTransformer(TransformerConfig.paper1(**TINY), p=P), seed=21)
    logits, cache = model.run_with_cache(all_pairs(P))
    torch.testing.assert_close(logits, cache["resid_post", 0][:, -1] @ model.W_U / 12)
    products = torch.einsum("bqhd,bkhd->bhqk", cache["q", 0], cache["k", 0])
    torch.testing.assert_close(cache["attn_scores", 0], products / 4)


D, D_MLP, D_VOCAB = 48, 96, 60
NORMAL = {  # standard deviations: tokens, positions, W_Q W_K W_V, W_in, W_O, W_out, W_U
    "gpt2": (0.02,) * 7,
    "paper1": (1, 1, D**-0.5, D**-0.5, 40**-0.5, D_MLP**-0.5, D**-0.5),
    "nanda": (D**-0.5,) * 6 + (D_VOCAB**-0.5,),
    "zhong": (D**-0.5,) * 3 + (D_MLP**-0.5,) + (D**-0.5,) * 2 + (D_VOCAB**-0.5,),
}


def drawn(init: str, **fields: Any) -> dict[str, Tensor]:
    """Heads 8 x 5 wide together: their W_O has a fan-in of its own."""
    sizes: dict[str, Any] = {"d_model": D, "d_mlp": D_MLP, "n_heads": 8, "d_head": 5, "n_ctx": 50}
    fields |= {"n_layers": 2, "init": init, "normalization_type": "LN"}
    config = TransformerConfig(**sizes, **fields)
    return HookedTransformer(config, p=D_VOCAB - 1, seed=4).state_dict()


def parts(state: dict[str, Tensor]) -> list[tuple[str, Tensor]]:
    """Weights in the order of ``NORMAL``."""
    read_in = [state[f"blocks.1.attn.W_{letter}"] for letter in "QKV"]
    return [
        ("tokens", state["embed.W_E"]),
        ("positions", state["pos_embed.W_pos"]),
        ("W_Q W_K W_V", torch.cat([weight.flatten() for weight in read_in])),
        ("W_in", state["blocks.1.mlp.W_in"]),
        ("W_O", state["blocks.1.attn.W_O"]),
        ("W_out", state["blocks.1.mlp.W_out"]),
        ("W_U", state["unembed.W_U"]),
    ]


@pytest.mark.parametrize("init", NORMAL)
def test_normal_initial_weights(init: str) -> None:
    for (name, weight), std in zip(parts(drawn(init)), NORMAL[init], strict=True):
        values = weight.double().flatten()
        assert abs(values.std().item() / std - 1) < 4 / (2 * len(values)) ** 0.5, name
        assert stats.kstest(values.numpy(), "norm", args=(0, std)).pvalue > 1e-3, name


def test_second_papers_initial_weights_are_torchs_defaults() -> None:
    """``nn.Embedding``: N(0, 1); ``nn.Linear``: uniform on +-1 / sqrt(fan_in)."""
    weights = parts(drawn("paper2"))
    for name, weight in weights[:2]:
        assert stats.kstest(weight.flatten().numpy(), "norm").pvalue > 1e-3, name
    for (name, weight), fan_in in zip(weights[2:], (D, D, 40, D_MLP, D), strict=True):
        bound = fan_in**-0.5
        uniform = stats.uniform(-bound, 2 * bound)
        assert stats.kstest(weight.flatten().numpy(), uniform.cdf).pvalue > 1e-3, name


@pytest.mark.parametrize("init", [*NORMAL, "paper2"])
def test_biases_start_at_zero_and_norms_at_the_identity(init: str) -> None:
    for name, weight in drawn(init).items():
        leaf = name.rsplit(".")[-1]
        if leaf == "w":
            assert (weight == 1).all()
        elif leaf.startswith("b"):
            assert not weight.any()
        else:
            assert weight.any()


def test_first_papers_tied_embedding_starts_as_the_unembedding() -> None:
    """There the shared matrix is initialised twice, and the linear layer has the last word."""
    tied = drawn("paper1", tie_embedding=True)
    assert tied["embed.W_E"].std().item() == pytest.approx(D**-0.5, rel=0.06)


def test_every_weight_is_drawn_on_its_own() -> None:
    matrices = [w.flatten()[:900] for name, w in drawn("gpt2").items() if ".W_" in name]
    correlation = torch.corrcoef(torch.stack(matrices)) - torch.eye(len(matrices))
    assert correlation.abs().max() < 5 / math.sqrt(900)


@pytest.mark.usefixtures("no_type_checker")
def test_seed_decides_the_weights_and_nothing_else_does() -> None:
    config, before = TransformerConfig(**TINY), torch.get_rng_state()
    first, again, other = (HookedTransformer(config, p=P, seed=s).state_dict() for s in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    for name, weight in first.items():
        assert torch.equal(weight, again[name])
        assert not weight.any() or not torch.equal(weight, other[name])
