"""TransformerLens' tools on our transformer, against the same tools on its own model.

What works is equal on the same weights; the rest is refused and says what to do instead. The table
in docs/transformer_lens.md lists both.
"""

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformer_lens import patching as their_patching
from transformer_lens.tools import analysis
from transformer_lens.tools.analysis import EdgeAttributionConfig

from grokinterp.models.transformer import HookedTransformer
from grokinterp.models.transformer_cache import UnfoldedCache
from grokinterp.models.transformer_config import TransformerConfig
from tests.grokinterp.models.twins import native_twin

patching: Any = their_patching  # whose types ask for more of a model than it uses
P = 7
PAIRS = torch.tensor([[1, 2], [3, 4], [5, 0], [6, 6]])
OTHERS = torch.tensor([[2, 5], [4, 0], [6, 3], [0, 2]])
LABELS = PAIRS.sum(dim=1) % P
CLEAN = torch.cat([PAIRS, torch.full((4, 1), P)], dim=1)
CORRUPT = torch.cat([OTHERS, torch.full((4, 1), P)], dim=1)
SWEEPS = {
    name: getattr(patching, name)
    for name in dir(patching)
    if name.startswith("get_act_patch") and "direct" not in name
}


def network(p: int | None = None, **fields: Any) -> HookedTransformer:
    """Two layers, every weight far from zero, biases and norms too."""
    config: dict[str, Any] = {
        "n_layers": 2, "d_model": 12, "n_heads": 3, "d_mlp": 20, "d_vocab": P + 1, "n_ctx": 3,
        "d_vocab_out": P + 1,
    }  # fmt: skip
    model = HookedTransformer(TransformerConfig(**config | fields), p=p).double().eval()
    rng = torch.Generator().manual_seed(11)
    for weight in model.parameters():
        weight.data.normal_(0.0, 0.5, generator=rng)
    return model


@functools.cache
def twins(norm: str | None) -> tuple[HookedTransformer, HookedTransformer, Any]:
    """Without p, with p, and TransformerLens' own, all with the same weights."""
    model, pairs = network(normalization_type=norm), network(P, normalization_type=norm)
    native = native_twin(model)
    pairs.load_state_dict(model.state_dict())
    return model, pairs, native


def close(ours: Any, theirs: Any) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def close_in_float32(ours: Any, theirs: Any) -> None:
    """Sweeps store their metrics in torch's default dtype."""
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def metric(logits: Tensor) -> Tensor:
    """The right answer's logit after "=", averaged over the batch."""
    return logits[:, -1].gather(1, LABELS[:, None]).mean()


def cached(model: Any, tokens: Tensor) -> Any:
    _, cache = model.run_with_cache(tokens)
    return cache


both_norms = pytest.mark.parametrize("norm", [None, "LN"])


# Patching


def test_all_sweeps_are_tried() -> None:
    assert len(SWEEPS) == 18


@both_norms
@pytest.mark.parametrize("name", [name for name in SWEEPS if not name.endswith("resid_mid")])
def test_sweeps_over_all_positions(name: str, norm: str | None) -> None:
    """With and without p: a network for pairs is given its prompt's tokens."""
    model, pairs = network(normalization_type=norm), network(P, normalization_type=norm)
    native = native_twin(model)
    native_twin(pairs)  # its biases of logits are zero, too
    expected = SWEEPS[name](native, CORRUPT, cached(native, CLEAN), metric)
    found = SWEEPS[name](model, CORRUPT, cached(model, CLEAN), metric)
    close_in_float32(found, expected)
    tokens = pairs.sequences(OTHERS)
    assert torch.equal(tokens, CORRUPT)
    close_in_float32(SWEEPS[name](pairs, tokens, cached(pairs, PAIRS), metric), expected)


@both_norms
def test_patching_resid_mid_patches_the_stream(norm: str | None) -> None:
    """As in TransformerLens 2 and 3; its native model patches only what the MLP reads."""
    model = network(normalization_type=norm)
    clean, corrupt = cached(model, CLEAN), cached(model, CORRUPT)
    found = patching.get_act_patch_resid_mid(model, CORRUPT, clean, metric)
    for position in range(3):
        mid = corrupt["resid_mid", 1].clone()
        mid[:, position] = clean["resid_mid", 1][:, position]
        block: Any = model.blocks[1]
        stream = mid + block.mlp(mid if norm is None else block.ln2(mid))
        last = stream if model.ln_final is None else model.ln_final(stream)
        close_in_float32(found[1, position], metric(model.unembed(last)).float())


def test_a_prompt_of_two_tokens_is_swept_on_pairs() -> None:
    fields: dict[str, Any] = {"prompt": "a b", "n_ctx": 2, "d_vocab": P, "d_vocab_out": P}
    model = network(P, **fields)
    native = native_twin(model)
    assert torch.equal(model.sequences(OTHERS), OTHERS)

    def of_pairs(logits: Tensor) -> Tensor:
        return logits.gather(1, LABELS[:, None]).mean()

    for name in ("get_act_patch_resid_pre", "get_act_patch_attn_head_pattern_by_pos"):
        expected = SWEEPS[name](native, OTHERS, cached(native, PAIRS), metric)
        close_in_float32(SWEEPS[name](model, OTHERS, cached(model, PAIRS), of_pairs), expected)


def test_results_of_every_example_with_a_baseline() -> None:
    model = network()
    native = native_twin(model)
    effects = [
        patching.get_act_patch_mlp_out(
            one, CORRUPT, cached(one, CLEAN), lambda logits: logits[:, -1, 2],
            reduce="none", baseline=True,
        ).effect()
        for one in (model, native)
    ]  # fmt: skip
    assert effects[0].shape == (2, 3, 4)
    close_in_float32(*effects)


def test_a_sweep_on_pairs_of_a_longer_prompt_is_refused() -> None:
    """It would leave out the position of "="."""
    model = network(P)
    with pytest.raises(ValueError, match=r"3 tokens, but the sweep counts 2 .*model\.sequences"):
        patching.get_act_patch_resid_pre(model, OTHERS, cached(model, PAIRS), metric)
    with pytest.raises(TypeError, match="a network without p"):
        network().sequences(PAIRS)
    with pytest.raises(ValueError, match=r"tokens must lie in 0\.\.6"):
        model.sequences(PAIRS + 3)


def test_what_needs_hook_points_that_do_not_exist_is_refused() -> None:
    """As in ``boot_native``'s models; nothing stays switched on."""
    model = network()
    caches = cached(model, CLEAN), cached(model, CORRUPT)
    with pytest.raises(NotImplementedError, match=r"no hook points named attn.hook_q_input; use"):
        patching.get_act_patch_direct_path(model, CORRUPT, *caches, metric, 0, 1, verbose=False)
    edges = EdgeAttributionConfig(granularity="edge")
    with pytest.raises(NotImplementedError, match=r"hook points named attn.hook_result; use cach"):
        analysis.attribution_patch(model, CLEAN, CORRUPT, lambda x: x[0, -1, 1], config=edges)
    with pytest.raises(NotImplementedError, match=r"hook points named attn.hook_result"):
        analysis.faithfulness(model, CLEAN[:1], CORRUPT[:1], lambda x: x[0, -1, 1], [])
    for switch, name in (("mlp_in", "hook_mlp_in"), ("attn_in", "hook_attn_in")):
        method = "set_use_hook_mlp_in" if switch == "mlp_in" else "set_use_attn_in"
        getattr(model, method)(False)
        with pytest.raises(NotImplementedError, match=f"no hook points named {name}; use a hook"):
            getattr(model, method)(True)


# The cache


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
        options: dict[str, Any] = {
            "tokens": LABELS, "incorrect_tokens": wrong, "pos_slice": -1,
        }  # fmt: skip
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
        {}, {"biases": False}, {"biases": "mlp"}, {"attn_only": True, "biases": False},
        {"tie_embedding": True}, {"mup": 1.0},
    ],
)  # fmt: skip
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


# transformer_lens.tools.analysis


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
        return analysis.intervened_logits(
            one, at, swap, CLEAN, source, answers, positions=last
        )  # fmt: skip

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
        {"return_type": "loss"}, {"return_type": "both"},
        {"return_type": "loss", "loss_per_token": True}, {"stop_at_layer": 0},
        {"stop_at_layer": 1}, {"stop_at_layer": -1}, {"prepend_bos": False},
    ],
)  # fmt: skip
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
