"""Patches of single units and positions, against edits by hand and TransformerLens' own sweeps."""

from typing import Any

import pytest
import torch
import transformer_lens.patching as theirs
from torch import Tensor

import grokinterp as gi
from tests.networks import all_pairs, native_transformer

P = 7
PAIRS = all_pairs(P)
OTHERS = PAIRS.flip(1)
Z = "blocks.1.attn.hook_z"


@pytest.fixture(scope="module")
def transformer() -> gi.HookedTransformer:
    config = gi.TransformerConfig(d_model=12, n_heads=3, n_layers=2, d_mlp=10)
    return gi.HookedTransformer(config, p=P, seed=1).double().requires_grad_(False)


@pytest.fixture(scope="module")
def lstm() -> gi.HookedLSTM:
    config = gi.LSTMConfig(d_embed=6, d_hidden=8)
    return gi.HookedLSTM(config, p=P, seed=1).double().requires_grad_(False)


def seen(model: Any, hooks: Any, name: str) -> Tensor:
    with model.hooks(fwd_hooks=hooks):
        return model.run_with_cache(PAIRS)[1][name]


@pytest.mark.parametrize("positions", [None, [1], [-1, 0]])
@pytest.mark.parametrize("chosen", [None, [2, 0], torch.tensor([True, False, True])])
def test_some_heads_at_some_positions(
    transformer: gi.HookedTransformer, positions: list[int] | None, chosen: Any
) -> None:
    own, other = (transformer.run_with_cache(pairs)[1][Z] for pairs in (PAIRS, OTHERS))
    expected = own.clone()
    for at in range(3) if positions is None else positions:
        for head in range(3) if chosen is None else (0, 2):
            expected[:, at, head] = other[:, at, head]
    _, cache = transformer.run_with_cache(OTHERS)
    hooks = gi.patch(cache, ["heads.1"], positions=positions, chosen=chosen)
    assert torch.equal(seen(transformer, hooks, Z), expected)


def test_a_hook_points_units_are_on_its_last_axis(transformer: gi.HookedTransformer) -> None:
    names = ["blocks.0.hook_resid_mid", "neurons.0"]
    own, other = (transformer.run_with_cache(pairs)[1] for pairs in (PAIRS, OTHERS))
    expected = own[names[0]].clone()
    expected[:, 2, 9] = other[names[0]][:, 2, 9]
    hooks = gi.patch(other, names, positions=torch.tensor([2]), chosen=[9])
    assert torch.equal(seen(transformer, hooks, names[0]), expected)
    expected = seen(transformer, hooks[:1], "blocks.0.mlp.hook_post")
    expected[:, 2, 9] = other["blocks.0.mlp.hook_post"][:, 2, 9]
    assert torch.equal(seen(transformer, hooks, "blocks.0.mlp.hook_post"), expected)


def test_positions_of_a_pattern_are_the_queries(transformer: gi.HookedTransformer) -> None:
    name = "blocks.0.attn.hook_pattern"
    own, other = (transformer.run_with_cache(pairs)[1][name] for pairs in (PAIRS, OTHERS))
    hooks = gi.patch({name: other}, [name], positions=[2])
    expected = torch.cat([own[:, :, :2], other[:, :, 2:]], dim=2)
    assert torch.equal(seen(transformer, hooks, name), expected)


def test_positions_of_an_lstms_units_are_its_steps(lstm: gi.HookedLSTM) -> None:
    _, cache = lstm.run_with_cache(OTHERS)
    hooks = gi.patch(cache, ["hidden.0"], positions=[0, -1], chosen=[3])

    def put(activation: Tensor, hook: Any) -> Tensor:
        changed = activation.clone()
        changed[:, 3] = cache[hook.name][:, 3]
        return changed

    by_hand: Any = [(f"layers.0.steps.{t}.hook_h", put) for t in (0, 2)]
    found = lstm.run_with_hooks(PAIRS, fwd_hooks=hooks)
    assert torch.equal(found, lstm.run_with_hooks(PAIRS, fwd_hooks=by_hand))
    assert not torch.equal(found, lstm.run_with_hooks(PAIRS, fwd_hooks=by_hand[:1]))
    everything = gi.patch(cache, ["hidden.0", "hidden.1"])
    found = lstm.run_with_hooks(PAIRS, fwd_hooks=everything)
    torch.testing.assert_close(found, lstm(OTHERS), rtol=0, atol=1e-12)


def test_against_transformer_lens_sweep_of_heads_by_position() -> None:
    sizes = {"n_layers": 2, "d_model": 12, "n_heads": 3, "n_ctx": 4, "d_vocab": P}
    model = native_transformer(P, **sizes, normalization_type="LN")
    model = model.double().requires_grad_(False).eval()
    rng = torch.Generator().manual_seed(0)
    clean, corrupted = (torch.randint(P, (5, 4), generator=rng) for _ in range(2))
    _, cache = model.run_with_cache(clean)

    def metric(logits: Tensor) -> Tensor:
        return logits[:, -1, 2].sum()

    sweep: Any = theirs.get_act_patch_attn_head_out_by_pos
    expected = sweep(model, corrupted, cache, metric).double()
    for layer in range(2):
        for position in range(4):
            for head in range(3):
                hooks = gi.patch(cache, [f"heads.{layer}"], positions=[position], chosen=[head])
                found = metric(model.run_with_hooks(corrupted, fwd_hooks=hooks))
                # Their table is in float32.
                torch.testing.assert_close(
                    found, expected[layer, position, head], rtol=0, atol=1e-6
                )


def test_a_hook_point_with_several_names() -> None:
    """What TransformerLens calls blocks.0.attn.hook_q is also blocks.0.attn.q.hook_out."""
    model = native_transformer(P, d_model=12, n_heads=3, normalization_type="LN")
    model = model.double().requires_grad_(False)
    clean, other = (torch.cat([pairs, pairs[:, :1]], dim=1) for pairs in (PAIRS, OTHERS))
    for name in ("blocks.0.attn.hook_q", "blocks.0.attn.hook_z", "blocks.0.mlp.hook_post"):
        cache = {name: model.run_with_cache(other)[1][name]}
        patched = model.run_with_hooks(clean, fwd_hooks=gi.patch(cache, [name]))
        assert not torch.equal(patched, model(clean))
    cache = {"blocks.0.attn.hook_z": model.run_with_cache(other)[1]["blocks.0.attn.hook_z"]}
    for hooks in (
        gi.patch(cache, ["heads.0"], chosen=[1], positions=[-1]),
        gi.ablate([1], "mean", unit="heads.0", reference=cache),
    ):
        assert not torch.equal(model.run_with_hooks(clean, fwd_hooks=hooks), model(clean))


def test_what_is_cached_later_changes_nothing(lstm: gi.HookedLSTM) -> None:
    _, cache = lstm.run_with_cache(OTHERS)
    hooks = gi.patch(cache, ["hidden.1"], positions=[-1])
    before = lstm.run_with_hooks(PAIRS, fwd_hooks=hooks)
    for value in cache.values():
        value.zero_()
    assert torch.equal(lstm.run_with_hooks(PAIRS, fwd_hooks=hooks), before)


@pytest.mark.usefixtures("no_type_checker")
def test_what_does_not_exist_is_refused(
    transformer: gi.HookedTransformer, lstm: gi.HookedLSTM
) -> None:
    _, cache = transformer.run_with_cache(OTHERS)
    _, states = lstm.run_with_cache(OTHERS)
    run = transformer.run_with_hooks
    wrong: Any = "12"
    with pytest.raises(TypeError, match=r"positions must be a list of integers, got '12'"):
        gi.patch(cache, [Z], positions=wrong)
    with pytest.raises(TypeError, match=r"positions must be a list of integers, got \[True\]"):
        gi.patch(cache, [Z], positions=[True])
    with pytest.raises(IndexError, match=r"positions contains \[3, -4\], but .*hook_z has 3 pos"):
        run(PAIRS, fwd_hooks=gi.patch(cache, ["heads.0"], positions=[3, 1, -4]))
    with pytest.raises(IndexError, match=r"positions contains \[3\], but hidden units has 3 pos"):
        lstm.run_with_hooks(PAIRS, fwd_hooks=gi.patch(states, ["hidden.0"], positions=[3]))
    name = "layers.0.steps.0.hook_h"
    with pytest.raises(ValueError, match=r"positions=\[0\] .* has no positions; .*'hidden.0'"):
        lstm.run_with_hooks(PAIRS, fwd_hooks=gi.patch(states, [name], positions=[0]))
    with pytest.raises(IndexError, match=r"heads contains \[3\], but .*hook_z has 3 heads"):
        run(PAIRS, fwd_hooks=gi.patch(cache, ["heads.0"], chosen=[3]))
    with pytest.raises(TypeError, match="chosen: heads must be a list of indices"):
        gi.patch(cache, ["heads.0"], chosen=[0.5])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"unit='heads.2', but HookedTransformer has"):
        run(PAIRS, fwd_hooks=gi.patch(cache, ["heads.2"]))
    with pytest.raises(ValueError, match=r"unit='heads' is not a name of units"):
        gi.patch(cache, ["heads"])
    with pytest.raises(ValueError, match="frequencies are not activations"):
        gi.patch(cache, ["frequencies"])
    with pytest.raises(ValueError, match=r"names='blocks.1.attn.hook_z' is unknown"):
        run(PAIRS, fwd_hooks=gi.patch({"hook_embed": cache["hook_embed"]}, ["heads.1"]))
