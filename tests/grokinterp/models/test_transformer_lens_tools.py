"""TransformerLens' analyses and calls on our transformer, against the same on its own model.

What works is equal on the same weights; the rest is refused and says what to do instead. The table
in docs/transformer_lens.md lists both.
"""

from typing import Any

import pytest
import torch
from torch import Tensor
from transformer_lens.tools import analysis

from grokinterp.models.transformer import HookedTransformer
from tests.grokinterp.models.prompted_pairs import (
    CLEAN,
    CORRUPT,
    LABELS,
    OTHERS,
    PAIRS,
    P,
    both_norms,
    cached,
    close,
    network,
    twins,
)
from tests.grokinterp.models.twins import native_twin


@both_norms
def test_logit_lens(norm: str | None) -> None:
    model, pairs, native = twins(norm)
    expected = analysis.logit_lens(native, CLEAN, incl_mid=True, positions=None)
    for one in (model, pairs):
        found = analysis.logit_lens(one, CLEAN, incl_mid=True, positions=None)
        close(found.readout.values, expected.readout.values)
        assert found.labels == expected.labels
        vectors = cached(one, CLEAN)["resid_post", 0]
        direct = analysis.logit_readout(one, vectors).values
        close(direct, analysis.logit_readout(native, vectors).values)
    with pytest.raises(ValueError, match=r"the model returned logits of shape \(4, 8\)"):
        analysis.logit_lens(pairs, PAIRS)  # give it pairs.sequences(PAIRS), or the cache


def test_logit_lens_scales_as_the_network() -> None:
    """With ``mup`` the logits are divided by d_model, which the lens must know."""
    model = network(mup=1.0)
    logits, cache = model.run_with_cache(CLEAN)
    close(analysis.logit_lens(model, CLEAN).readout.values[-1], logits[:, -1])
    close(analysis.logit_readout(model, cache["resid_post", -1]).values, logits)


@pytest.mark.parametrize("norm", [None, "LN"])
@pytest.mark.parametrize("unit", ["component", "layer", "head"])
def test_direct_logit_attribution(unit: str, norm: str | None) -> None:
    """Of differences of logits: compatibility mode shifts all classes of theirs alike.

    It also moves what b_V writes from the heads to the bias b_O, so values have no biases here.
    """
    model, pairs = network(normalization_type=norm), network(P, normalization_type=norm)
    for name, weight in model.named_parameters():
        if name.endswith(("attn.b_V", "ln1.b")):
            weight.data.zero_()
    native = native_twin(model)
    pairs.load_state_dict(model.state_dict())
    native.enable_compatibility_mode()
    wrong = (LABELS + 1) % P
    expected = analysis.direct_logit_attribution(native, CLEAN, LABELS, wrong, unit=unit)
    for one in (model.folded(), pairs.folded()):
        found = analysis.direct_logit_attribution(one, CLEAN, LABELS, wrong, unit=unit)
        assert found.labels == expected.labels
        torch.testing.assert_close(
            found.attribution, expected.attribution.double(), rtol=1e-4, atol=1e-4
        )


@both_norms
def test_attribution_patching_by_node(norm: str | None) -> None:
    model, pairs, native = twins(norm)

    def scores(one: Any, clean: Tensor, corrupt: Tensor, logit: Any) -> dict[str, float]:
        found = analysis.attribution_patch(one, clean, corrupt, logit).node_scores
        return {str(node): score for node, score in found.items()}

    expected = scores(native, CLEAN, CORRUPT, lambda logits: logits[0, -1, 3])
    assert len(expected) > 10
    for found in (
        scores(model, CLEAN, CORRUPT, lambda logits: logits[0, -1, 3]),
        scores(pairs, PAIRS, OTHERS, lambda logits: logits[0, 3]),
    ):
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_subspaces() -> None:
    model = network()
    native = native_twin(model)
    for role in ("Q", "K", "V"):
        found, expected = (
            analysis.attention_head_subspace_affinity(one, source_role="O", target_role=role)
            for one in (model, native)
        )
        close(found.scores, expected.scores)
    swap = analysis.SubspaceInterchange(analysis.random_basis(12, 3, seed=0).double())
    at, last = "blocks.0.hook_resid_post", torch.full((4,), 2)

    def swapped(one: Any) -> Tensor:
        def answers(tokens: Tensor) -> Tensor:
            return one(tokens)[:, -1]

        source = analysis.collect_activations(one, at, CORRUPT, answers, positions=last)
        return analysis.intervened_logits(one, at, swap, CLEAN, source, answers, positions=last)

    close(swapped(model), swapped(native))
    assert (swapped(model) - model(CLEAN)[:, -1]).abs().max() > 1e-3
    with pytest.raises(ValueError, match="reinitialized cannot reset embed"):
        analysis.reinitialized(model, 0)  # HookedTransformer(config, seed=...) instead


def test_jacobian_lens_is_of_bridges_alone() -> None:
    with pytest.raises(TypeError, match="TransformerBridge"):
        analysis.JacobianLens.fit(network(), ["1 + 2"], corpus="none")


# What TransformerLens' calls may ask for


@both_norms
@pytest.mark.parametrize(
    "asked",
    [
        {"return_type": "loss"},
        {"return_type": "both"},
        {"return_type": "loss", "loss_per_token": True},
        {"stop_at_layer": 0},
        {"stop_at_layer": 1},
        {"stop_at_layer": -1},
        {"prepend_bos": False},
    ],
)
def test_arguments_of_a_call(asked: dict[str, Any], norm: str | None) -> None:
    model, pairs, native = twins(norm)
    expected, reference = native.run_with_cache(CLEAN, **asked)
    for one in (model, pairs):
        found, cache = one.run_with_cache(CLEAN, **asked)
        close(found, expected)
        close(one(CLEAN, **asked), expected)
        assert set(cache.keys()) <= set(reference.keys())
        assert ("blocks.1.hook_resid_post" in cache) == ("blocks.1.hook_resid_post" in reference)
        close(cache["hook_embed"], reference["hook_embed"])
    if "stop_at_layer" in asked:
        close(pairs(PAIRS, **asked), expected)


def test_nothing_is_returned_if_only_hooks_matter() -> None:
    model, seen = network(P), []
    hooks = [("blocks.1.hook_resid_post", lambda x, hook: seen.append(x.shape))]
    assert model.run_with_hooks(PAIRS, return_type=None, fwd_hooks=hooks) is None
    assert seen == [(4, 3, 12)]


def test_gradients_in_the_cache() -> None:
    model = network()
    native = native_twin(model)
    _, expected = native.run_with_cache(CLEAN, return_type="loss", incl_bwd=True)
    _, found = model.run_with_cache(CLEAN, return_type="loss", incl_bwd=True)
    names = [name for name in found.keys() if name.endswith("_grad")]  # noqa: SIM118
    assert len(names) == len(found.keys()) / 2
    for name in names:
        # Their scores are the softmax, and their resid_mid is only what the MLP reads.
        apart = "scores" in name or "resid_mid" in name
        if not apart and name in expected.keys():  # noqa: SIM118
            close(found[name], expected[name])
    pairs = network(P)
    cache = pairs.add_caching_hooks(incl_bwd=True)
    torch.nn.functional.cross_entropy(pairs(PAIRS), LABELS).backward()
    pairs.reset_hooks()
    assert cache["blocks.0.hook_resid_post_grad"].abs().max() > 0


def test_calls_that_cannot_be_served_are_refused() -> None:
    model, pairs = network(), network(P)
    refused: list[tuple[HookedTransformer, Tensor, dict[str, Any], str]] = [
        (model, CLEAN, {"prepend_bos": True}, "prepend_bos=True: this network has no token for"),
        (model, CLEAN, {"return_type": "logit"}, "return_type='logit' is unknown"),
        (pairs, PAIRS, {"return_type": "loss"}, r"does not learn; take logits = model\(pairs\)"),
        (model, CLEAN, {"stop_at_layer": 2}, r"not before one of the 2 layers; .*resid_post"),
        (model, CLEAN, {"stop_at_layer": -3}, "stop_at_layer must be at least -2"),
        (network(d_vocab_out=4), CLEAN, {"return_type": "loss"}, "has 4 classes"),
    ]
    for one, tokens, asked, message in refused:
        with pytest.raises(ValueError, match=message):
            one(tokens, **asked)
        with pytest.raises(ValueError, match=message):
            one.run_with_cache(tokens, **asked)
        assert not one.is_hooked
    for asked in ({}, {"return_type": "loss", "stop_at_layer": 1}):
        with pytest.raises(ValueError, match=r"incl_bwd=True needs return_type='loss'.*add_cach"):
            model.run_with_cache(CLEAN, incl_bwd=True, **asked)
    with torch.no_grad(), pytest.raises(ValueError, match="gradients, but they are switched off"):
        model.run_with_cache(CLEAN, incl_bwd=True, return_type="loss")
    with pytest.raises(ValueError, match=r"tokens must lie in 0\.\.7 for d_vocab=8"):
        pairs(CLEAN + 1)
    with pytest.raises(ValueError, match=r"one row \(a, b\) per pair, got \[4, 4\]"):
        pairs(torch.zeros(4, 4, dtype=torch.long))
