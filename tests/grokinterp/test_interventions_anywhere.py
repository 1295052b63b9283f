"""Interventions at any hook point: sequences, attention heads, gates, and patches from a run."""

import pytest
import torch
from torch import Tensor

from grokinterp import HookedLSTM, HookedTransformer, LSTMConfig, TransformerConfig, ablate, scale
from grokinterp.interventions import ablate_heads, patch
from tests.networks import all_pairs

P, WIDTH = 7, 12
TOKENS = all_pairs(P)
GATE = "layers.1.steps.1.hook_f"
Z = "blocks.0.attn.hook_z"
MODES = ["zero", "mean", "resample"]


def rows_of(values: Tensor) -> list[tuple[float, ...]]:
    return [tuple(row) for row in values.tolist()]


@pytest.fixture
def lstm() -> HookedLSTM:
    config = LSTMConfig(d_embed=6, d_hidden=WIDTH)
    return HookedLSTM(config, p=P, seed=1).double().requires_grad_(False)


@pytest.fixture
def transformer() -> HookedTransformer:
    config = TransformerConfig(d_model=8, n_heads=4, d_head=2, d_mlp=WIDTH)
    return HookedTransformer(config, p=P, seed=1).double().requires_grad_(False)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", [GATE, "hook_embed"])
def test_any_hook_point_of_any_network(lstm: HookedLSTM, name: str, mode: str) -> None:
    """By the last axis; with positions, each position has a mean of its own."""
    _, cache = lstm.run_with_cache(TOKENS)
    with lstm.hooks(fwd_hooks=ablate([1, 4], mode, hook=name)):
        _, changed = lstm.run_with_cache(TOKENS)
    before, after = cache[name], changed[name]
    rest = [k for k in range(before.shape[-1]) if k not in (1, 4)]
    assert torch.equal(after[..., rest], before[..., rest])
    ours = after[..., [1, 4]]
    if mode == "zero":
        assert not ours.any()
    elif mode == "mean":
        expected = before[..., [1, 4]].sum(dim=0) / len(TOKENS)
        torch.testing.assert_close(ours, expected.expand_as(ours), rtol=0, atol=1e-14)
    else:
        assert not torch.equal(ours, before[..., [1, 4]])
        assert sorted(rows_of(ours.flatten(1))) == sorted(rows_of(before[..., [1, 4]].flatten(1)))


def test_scaling_at_a_hook_point_with_positions(lstm: HookedLSTM) -> None:
    _, cache = lstm.run_with_cache(TOKENS)
    with lstm.hooks(fwd_hooks=scale([4, 1], torch.tensor([2.0, -3.0]), hook="hook_embed")):
        _, changed = lstm.run_with_cache(TOKENS)
    factors = torch.tensor([1.0, -3.0, 1.0, 1.0, 2.0, 1.0], dtype=torch.float64)
    assert torch.equal(changed["hook_embed"], cache["hook_embed"] * factors)


def test_heads_without_their_output_matrix(transformer: HookedTransformer) -> None:
    """A head that hands on nothing is a head whose W_O is zero."""
    logits = transformer.run_with_hooks(TOKENS, fwd_hooks=ablate_heads([0, 2]))
    mask = torch.tensor([True, False, True, False])
    assert torch.equal(transformer.run_with_hooks(TOKENS, fwd_hooks=ablate_heads(mask)), logits)
    clean = transformer(TOKENS)
    transformer.get_parameter("blocks.0.attn.W_O")[[0, 2]] = 0
    torch.testing.assert_close(transformer(TOKENS), logits, rtol=0, atol=1e-12)
    assert not torch.allclose(clean, logits)


@pytest.mark.parametrize("mode", ["mean", "resample"])
def test_heads_from_other_examples(transformer: HookedTransformer, mode: str) -> None:
    _, cache = transformer.run_with_cache(TOKENS)
    reference = cache[Z][5:9]
    with transformer.hooks(fwd_hooks=ablate_heads([3], mode, reference=reference)):
        _, changed = transformer.run_with_cache(TOKENS)
    assert torch.equal(changed[Z][:, :, :3], cache[Z][:, :, :3])
    ours, theirs = changed[Z][:, :, 3], reference[:, :, 3]
    if mode == "mean":
        torch.testing.assert_close(ours, theirs.mean(dim=0).expand_as(ours), rtol=0, atol=1e-14)
    else:
        assert set(rows_of(ours.flatten(1))) <= set(rows_of(theirs.flatten(1)))


def test_patching_everything_below_the_readout_gives_the_other_answers(lstm: HookedLSTM) -> None:
    swapped = TOKENS.flip(1)
    expected, cache = lstm.run_with_cache(swapped)
    patched = lstm.run_with_hooks(TOKENS, fwd_hooks=patch(cache, ["layers.1.hook_out"]))
    assert torch.equal(patched, expected)
    partly = lstm.run_with_hooks(TOKENS, fwd_hooks=patch(cache, [GATE]))
    assert not torch.equal(partly, expected)
    with lstm.hooks(fwd_hooks=patch(cache, [GATE])):
        assert torch.equal(lstm.run_with_cache(TOKENS)[1][GATE], cache[GATE])


@pytest.mark.usefixtures("no_type_checker")
def test_bad_places_and_patches_are_refused(
    lstm: HookedLSTM, transformer: HookedTransformer
) -> None:
    with pytest.raises(ValueError, match=r"layer=1 and hook='hook_embed' exclude each other"):
        ablate([1], layer=1, hook="hook_embed")
    with pytest.raises(ValueError, match=r"'layers.1.hook_f' is no hook point of HookedLSTM"):
        lstm.run_with_hooks(TOKENS, fwd_hooks=scale([1], 2.0, hook="layers.1.hook_f"))
    with pytest.raises(IndexError, match=rf"heads contains \[4\], but {Z} has 4 heads \(0\.\.3\)"):
        transformer.run_with_hooks(TOKENS, fwd_hooks=ablate_heads([1, 4]))
    with pytest.raises(IndexError, match=r"heads is a mask of shape \[1\].* one value per head"):
        transformer.run_with_hooks(TOKENS, fwd_hooks=ablate_heads([True]))
    with pytest.raises(ValueError, match=r"reference must be \[example, 3, 6\] .*got \[4, 6\]"):
        lstm.run_with_hooks(
            TOKENS, fwd_hooks=ablate([1], "mean", hook="hook_embed", reference=torch.ones(4, 6))
        )
    _, cache = lstm.run_with_cache(TOKENS[:3])
    with pytest.raises(ValueError, match=r"names='layers.1.hook_outs' .*'layers.1.hook_out'"):
        patch(cache, ["layers.1.hook_outs"])
    with pytest.raises(TypeError, match=r"names must be a list of strings, got 'hook_embed'; p"):
        patch(cache, "hook_embed")
    with pytest.raises(TypeError, match=r"cache\['hook_embed'\] must be a tensor, got NoneType"):
        patch({"hook_embed": None}, ["hook_embed"])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=rf"cache holds \[3, 12\] for {GATE}, .* \[49, 12\]; run"):
        lstm.run_with_hooks(TOKENS, fwd_hooks=patch(cache, [GATE]))
