"""Attribution to all parts: that it adds up, agrees with TransformerLens, and survives ablation."""

from typing import Any

import pytest
import torch
from torch import Tensor

from grokinterp.models.embedding_mlp import EmbeddingMLPConfig, HookedEmbeddingMLP
from grokinterp.models.lstm import HookedLSTM, LSTMConfig
from grokinterp.models.mlp import HookedMLP, MLPConfig
from grokinterp.models.transformer import HookedTransformer
from grokinterp.models.transformer_config import TransformerConfig
from probes.attribution import logit_attribution, neuron_attribution

P = 7
TOKENS = torch.tensor([[0, 3], [6, 6], [2, 5], [0, 3], [4, 1]])
LABELS = torch.tensor([3, 5, 0, 1, 6])
SMALL: dict[str, Any] = {"d_model": 8, "n_heads": 2, "d_mlp": 12}
BATCH_NORM = EmbeddingMLPConfig(d_embed=5, hidden=(9, 8), norm="batch", d_vocab_out=P + 2)

NETWORKS = {
    "plain": (HookedTransformer, TransformerConfig(**SMALL)),
    "two layers": (HookedTransformer, TransformerConfig(**SMALL, n_layers=2)),
    "LN": (HookedTransformer, TransformerConfig(**SMALL, n_layers=2, normalization_type="LN")),
    "LNPre": (HookedTransformer, TransformerConfig(**SMALL, normalization_type="LNPre")),
    "paper 1": (HookedTransformer, TransformerConfig.paper1(**SMALL)),
    "paper 2": (HookedTransformer, TransformerConfig.paper2(**SMALL)),  # post-norm, more classes
    "attention": (HookedTransformer, TransformerConfig(d_model=8, n_heads=2, attn_only=True)),
    "tied": (HookedTransformer, TransformerConfig(**SMALL, tie_embedding=True, mup=0.5)),
    "mlp": (HookedMLP, MLPConfig(d_mlp=9, n_layers=2, act="relu")),
    "batch norm": (HookedMLP, MLPConfig(d_mlp=9, norm="batch")),
    "layer norm": (HookedMLP, MLPConfig(d_mlp=9, n_layers=2, norm="layer")),
    "embedding mlp": (HookedEmbeddingMLP, BATCH_NORM),
}


def network(name: str) -> Any:
    """With random weights everywhere, biases and norms too."""
    kind, config = NETWORKS[name]
    model = kind(config, p=P).double()
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():  # matrices of either sign; variances are positive
                drawn = torch.rand(tensor.shape, generator=rng, dtype=torch.float64)
                tensor.copy_(drawn - 0.4 if tensor.ndim > 1 else drawn + 0.1)
    return model


def margins(logits: Tensor) -> Tensor:
    """The labels' logits above the mean of the residues'."""
    residues = logits[:, :P]
    return residues[torch.arange(len(LABELS)), LABELS] - residues.mean(dim=1)


@pytest.mark.parametrize("name", NETWORKS)
def test_all_parts_add_up_to_the_centred_logit(name: str) -> None:
    model = network(name)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    found = logit_attribution(model.train(), TOKENS, LABELS)
    assert model.training
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    with torch.no_grad():
        expected = margins(model.eval()(TOKENS))
    assert expected.abs().min() > 1e-3
    torch.testing.assert_close(found.total, expected, rtol=1e-11, atol=1e-11)
    assert not any(part.requires_grad for part in found.parts.values())


def test_the_parts_of_a_transformer() -> None:
    found = logit_attribution(network("two layers"), TOKENS, LABELS)
    block = {"attn.hook_z": 2, "attn.b_O": 1, "mlp.hook_post": 12, "mlp.b_out": 1}
    blocks = {f"blocks.{i}.{name}": units for i in range(2) for name, units in block.items()}
    units = {name: part.shape[1] for name, part in found.parts.items()}
    assert units == {"hook_embed": 1, "hook_pos_embed": 1, **blocks, "unembed.b_U": 1}
    # In the order in which the network computes them.
    assert list(found.parts)[:3] == ["hook_embed", "hook_pos_embed", "blocks.0.attn.hook_z"]
    assert list(found.parts)[-1] == "unembed.b_U"


@pytest.mark.parametrize("name", ["two layers", "LNPre"])
def test_against_the_cache_of_transformer_lens(name: str) -> None:
    model = network(name)
    with torch.no_grad():
        _, cache = model.run_with_cache(TOKENS)
        stack, names = cache.decompose_resid(return_labels=True, mode="attn", pos_slice=-1)
        heads = cache.stack_head_results(pos_slice=-1)
        own, each = (
            torch.stack(
                [
                    cache.logit_attrs(parts, tokens=torch.full_like(LABELS, c), pos_slice=-1)
                    for c in range(P)
                ]
            )
            for parts in (stack, heads)
        )  # [class, part, example]
    found = logit_attribution(model, TOKENS, LABELS).parts
    example = torch.arange(len(LABELS))
    for i, part in enumerate(names):
        if part in ("embed", "pos_embed"):
            expected = own[LABELS, i, example] - own[:, i].mean(dim=0)
            torch.testing.assert_close(found[f"hook_{part}"][:, 0], expected, rtol=0, atol=1e-10)
    for layer in range(model.cfg.n_layers):
        for head in range(2):
            i = 2 * layer + head
            expected = each[LABELS, i, example] - each[:, i].mean(dim=0)
            ours = found[f"blocks.{layer}.attn.hook_z"][:, head]
            torch.testing.assert_close(ours, expected, rtol=0, atol=1e-10)


def test_a_part_is_what_ablation_takes_away_without_a_norm() -> None:
    model = network("two layers")
    found = logit_attribution(model, TOKENS, LABELS).parts["blocks.1.mlp.hook_post"]
    whole = margins(model(TOKENS))
    for neuron in (0, 7):

        def silence(post: Tensor, hook: Any, neuron: int = neuron) -> Tensor:
            post[..., neuron] = 0.0
            return post

        with torch.no_grad():
            hooked = model.run_with_hooks(TOKENS, fwd_hooks=[("blocks.1.mlp.hook_post", silence)])
        torch.testing.assert_close(found[:, neuron], (whole - margins(hooked)).detach())


def test_neurons_of_one_layer_are_those_of_the_tensor_function() -> None:
    model = network("mlp")
    _, cache = model.run_with_cache(TOKENS)
    found = logit_attribution(model, TOKENS, LABELS).parts
    assert list(found) == ["layers.1.hook_post"]
    expected = neuron_attribution(cache["layers.1.hook_post"], model.W_U, LABELS).detach()
    torch.testing.assert_close(found["layers.1.hook_post"].mean(dim=0), expected)


def test_refusals(no_type_checker: None) -> None:
    lstm = HookedLSTM(LSTMConfig(d_embed=4, d_hidden=4), p=P)
    with pytest.raises(TypeError, match=r"HookedLSTM has no sum of parts .* multiplies gates"):
        logit_attribution(lstm, TOKENS, LABELS)
    sequences = HookedTransformer(TransformerConfig(**SMALL, d_vocab=P, n_ctx=3))
    with pytest.raises(TypeError, match="as a HookedTransformer with p"):
        logit_attribution(sequences, TOKENS, LABELS)
    model = network("mlp")
    with pytest.raises(ValueError, match=r"labels \[3\] and tokens \[5, 2\] must have the same"):
        logit_attribution(model, TOKENS, LABELS[:3])
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.6"):
        logit_attribution(model, TOKENS, LABELS + 1)
    with pytest.raises(TypeError, match="labels must be a tensor of integers"):
        logit_attribution(model, TOKENS, LABELS.double())
    with pytest.raises(ValueError, match="take them mod p"):
        logit_attribution(model, TOKENS + 1, LABELS)
