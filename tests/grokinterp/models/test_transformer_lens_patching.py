"""TransformerLens' patching on our transformer, against the same on its own model."""

from typing import Any

import pytest
import torch
from torch import Tensor
from transformer_lens import patching as their_patching
from transformer_lens.tools import analysis
from transformer_lens.tools.analysis import EdgeAttributionConfig

from tests.grokinterp.models.prompted_pairs import (
    CLEAN,
    CORRUPT,
    LABELS,
    OTHERS,
    PAIRS,
    P,
    both_norms,
    cached,
    network,
)
from tests.grokinterp.models.twins import native_twin

patching: Any = their_patching  # whose types ask for more of a model than it uses
pytestmark = pytest.mark.slow
SWEEPS = {
    name: getattr(patching, name)
    for name in dir(patching)
    if name.startswith("get_act_patch") and "direct" not in name
}


def close_in_float32(ours: Any, theirs: Any) -> None:
    """Sweeps store their metrics in torch's default dtype."""
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def metric(logits: Tensor) -> Tensor:
    """The right answer's logit after "=", averaged over the batch."""
    return logits[:, -1].gather(1, LABELS[:, None]).mean()


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

    def effect(one: Any) -> Tensor:
        found = patching.get_act_patch_mlp_out(
            one, CORRUPT, cached(one, CLEAN), of_two, reduce="none", baseline=True
        )
        return found.effect()

    def of_two(logits: Tensor) -> Tensor:
        return logits[:, -1, 2]

    assert effect(model).shape == (2, 3, 4)
    close_in_float32(effect(model), effect(native))


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
