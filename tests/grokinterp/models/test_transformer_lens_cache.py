"""Methods of TransformerLens' cache on our transformer, against the same on its own model."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformer_lens.tools import analysis

from grokinterp.models.transformer_cache import UnfoldedCache
from tests.grokinterp.models.prompted_pairs import (
    CLEAN,
    LABELS,
    PAIRS,
    P,
    both_norms,
    cached,
    close,
    network,
    twins,
)


def labelled(found: Any) -> Any:
    return found[0] if isinstance(found, tuple) else found


CACHED: dict[str, Callable[[Any], Any]] = {
    "decompose_resid": lambda c: c.decompose_resid(return_labels=True),
    "decompose_resid, last norm": lambda c: c.decompose_resid(apply_ln=True),
    "decompose_resid, MLP's input": lambda c: c.decompose_resid(layer=1, mlp_input=True),
    "accumulated_resid": lambda c: c.accumulated_resid(incl_mid=True, return_labels=True),
    "accumulated_resid, last norm": lambda c: c.accumulated_resid(apply_ln=True),
    "stack_head_results": lambda c: c.stack_head_results(incl_remainder=True, return_labels=True),
    "compute_head_results": lambda c: (c.compute_head_results(), c["result", 1])[1],
    "stack_activation": lambda c: c.stack_activation("pattern"),
    "stack_neuron_results": lambda c: c.stack_neuron_results(layer=2, return_labels=True),
    "stack_neuron_results, norm": lambda c: c.stack_neuron_results(2, pos_slice=-1, apply_ln=True),
    "get_neuron_results": lambda c: c.get_neuron_results(1, pos_slice=-1),
    "get_full_resid_decomposition": lambda c: c.get_full_resid_decomposition(return_labels=True),
    "get_full, no neurons": lambda c: c.get_full_resid_decomposition(
        expand_neurons=False, apply_ln=True
    ),
    "apply_ln_to_stack": lambda c: c.apply_ln_to_stack(c.decompose_resid(), layer=-1),
    "logit_lens": lambda c: c.logit_lens(positions=None).readout.values,
    "apply_slice_to_batch_dim": lambda c: c.apply_slice_to_batch_dim(slice(1, 3))["z", 0],
    "to": lambda c: c.to("cpu")["pattern", -1],
}


@both_norms
@pytest.mark.parametrize("name", CACHED)
def test_methods_of_the_cache(name: str, norm: str | None) -> None:
    """With p too, whose cache has all positions of the prompt."""
    (model, pairs, native), ask = twins(norm), CACHED[name]
    expected = ask(cached(native, CLEAN))
    for cache in (cached(model, CLEAN), cached(pairs, PAIRS), cached(pairs, CLEAN)):
        found = ask(cache)
        close(labelled(found), labelled(expected))
        if isinstance(expected, tuple):
            assert found[1] == expected[1]


@pytest.mark.parametrize("norm", [None, "LNPre"])
def test_attributions_to_logits(norm: str | None) -> None:
    model, pairs, native = twins(norm)
    for wrong in (None, (LABELS + 1) % P):
        options: dict[str, Any] = {"tokens": LABELS, "incorrect_tokens": wrong, "pos_slice": -1}
        cache = cached(native, CLEAN)
        expected = cache.logit_attrs(cache.stack_head_results(pos_slice=-1), **options)
        for cache in (cached(model, CLEAN), cached(pairs, PAIRS)):
            found = cache.logit_attrs(cache.stack_head_results(pos_slice=-1), **options)
            close(found, expected)


def test_attributions_behind_gains_are_refused_and_folding_them_helps() -> None:
    """They would leave the last norm's gains out, as they do in an unfolded native model."""
    model = network(normalization_type="LN")
    cache = cached(model, CLEAN)
    assert isinstance(cache, UnfoldedCache)
    parts: Any = cache.decompose_resid(pos_slice=-1)
    with pytest.raises(ValueError, match=r"leaves out the gains ln_final\.w .* model\.folded\(\)"):
        cache.logit_attrs(parts, tokens=LABELS, pos_slice=-1)
    with pytest.raises(ValueError, match=r"model\.folded\(\)"):
        analysis.direct_logit_attribution(model, CLEAN, LABELS)
    folded = model.folded()
    logits, cache = folded.run_with_cache(CLEAN)
    parts = cache.decompose_resid(pos_slice=-1)
    each = cache.logit_attrs(parts, tokens=LABELS, pos_slice=-1)
    answer = logits[:, -1].gather(1, LABELS[:, None])[:, 0]
    close(each.sum(dim=0) + folded.b_U[LABELS], answer)
    with torch.no_grad():
        assert model.ln_final is not None
        model.ln_final.w.fill_(1.0)  # pyright: ignore[reportOptionalMemberAccess]
        model.ln_final.b.fill_(0.0)  # pyright: ignore[reportOptionalMemberAccess]
    cached(model, CLEAN).logit_attrs(parts, tokens=LABELS, pos_slice=-1)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"biases": False},
        {"biases": "mlp"},
        {"attn_only": True, "biases": False},
        {"tie_embedding": True},
        {"mup": 1.0},
    ],
)
def test_a_folded_network_is_the_same_function(fields: dict[str, Any]) -> None:
    model = network(P, normalization_type="LN", **fields)
    model.operation = "addition"
    folded = model.folded()
    assert (folded.cfg.normalization_type, folded.operation) == ("LNPre", "addition")
    close(folded(PAIRS), model(PAIRS))
    (logits, cache), (expected, reference) = (x.run_with_cache(CLEAN) for x in (folded, model))
    close(logits, expected)
    assert set(cache.keys()) == set(reference.keys())
    for name, activation in reference.items():
        if name != "unembed.hook_in":  # behind the gains in one, in front of them in the other
            close(cache[name], activation)
    plain = network(P)
    again = plain.folded()
    assert torch.equal(again(PAIRS), plain(PAIRS))
    assert again.W_E.data_ptr() != plain.W_E.data_ptr()


def test_a_post_norm_network_is_neither_folded_nor_attributed() -> None:
    model = network(normalization_type="LN", norm_position="post")
    with pytest.raises(ValueError, match="norm_position='post'"):
        model.folded()
    with pytest.raises(ValueError, match="norm_position='post'"):
        cached(model, CLEAN).logit_attrs(torch.ones(1, 4, 12).double(), tokens=1, pos_slice=-1)
    with pytest.raises(ValueError, match="no `ln_final` component"):
        analysis.logit_lens(model, CLEAN)
