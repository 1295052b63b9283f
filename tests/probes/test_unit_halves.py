"""Halves of any network: exact sums, edited weights, and measured remainders."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

import grokinterp as gi
import probes
from probes.unit_halves import unit_halves
from tests.networks import all_pairs

P = 7
PAIRS = all_pairs(P)
CONFIGS: dict[str, Any] = {
    "mlp": gi.MLPConfig(d_mlp=8, init="standard"),
    "deep": gi.MLPConfig(d_mlp=8, init="standard", act="relu", n_layers=2),
    "normed": gi.MLPConfig(d_mlp=8, init="standard", norm="layer"),
    "embedding": gi.EmbeddingMLPConfig(d_embed=6, hidden=(9, 8)),
    "transformer": gi.TransformerConfig(d_model=12, n_heads=3, d_mlp=8, init="paper1"),
    "lstm": gi.LSTMConfig(d_embed=6, d_hidden=5),
}


def built(name: str) -> Any:
    run = gi.RunConfig(data=gi.DataConfig(p=P), model=CONFIGS[name], seed=2)
    model = gi.build_model(run).double()
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=rng, dtype=torch.float64)
    return model.eval().requires_grad_(False)


def mask(n: int, *kept: int) -> Tensor:
    return torch.isin(torch.arange(n), torch.tensor(kept))


@pytest.mark.parametrize("mode", ["zero", "mean"])
@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("mlp", "neurons.0"),
        ("deep", "neurons.1"),
        ("embedding", "neurons.1"),
        ("transformer", "neurons.0"),
    ],
)
def test_halves_of_a_sum_add_up_exactly(name: str, unit: str, mode: str) -> None:
    model, kept = built(name), mask(8, 1, 2, 6)
    found = unit_halves(model, kept, unit=unit, mode=mode)
    one, other = (part(PAIRS)[:, :P] for part in found.parts.values())
    hooks = gi.ablate(torch.ones(8, dtype=torch.bool), mode, unit=unit)
    rest = model.run_with_hooks(PAIRS, fwd_hooks=hooks)[:, :P]
    torch.testing.assert_close(one + other - rest, model(PAIRS)[:, :P], rtol=0, atol=1e-10)
    assert found.share < 1e-10
    if name == "mlp" and mode == "zero":
        assert not found.rest.any()
        expected = probes.parameter_norm(model) ** 2
        assert sum(probes.parameter_norm(p) ** 2 for p in found.parts.values()) == pytest.approx(
            expected
        )


@pytest.mark.parametrize("mode", ["zero", "mean"])
@pytest.mark.parametrize(
    ("name", "unit", "n"),
    [
        ("deep", "neurons.0", 8),
        ("normed", "neurons.0", 8),
        ("embedding", "neurons.0", 9),
        ("transformer", "heads.0", 3),
        ("lstm", "hidden.0", 5),
        ("lstm", "gate_f.1", 5),
    ],
)
def test_elsewhere_a_half_is_the_ablated_network_and_the_remainder_is_told(
    name: str, unit: str, n: int, mode: str
) -> None:
    model, kept = built(name), mask(n, 0, 2)
    before = copy.deepcopy(model.state_dict())
    found = unit_halves(model, kept, unit=unit, mode=mode)
    reference = model.run_with_cache(PAIRS)[1]
    whole = torch.ones(n, dtype=torch.bool)
    expected = {
        kind: model.run_with_hooks(
            PAIRS, fwd_hooks=gi.ablate(gone, mode, unit=unit, reference=reference)
        )[:, :P]
        for kind, gone in {"memorising": kept, "generalising": ~kept, "rest": whole}.items()
    }
    for kind, part in found.parts.items():
        for same in (part, copy.deepcopy(part), copy.deepcopy(part).float()):
            atol = 1e-4 if next(same.parameters()).dtype == torch.float32 else 1e-12
            logits = same(PAIRS[:13])[:, :P].double()  # of a part of the pairs
            torch.testing.assert_close(logits, expected[kind][:13], rtol=0, atol=atol)
        part.reset_hooks()
        torch.testing.assert_close(part(PAIRS)[:, :P], expected[kind], rtol=0, atol=1e-12)
        # What only removed units used is not counted.
        assert probes.parameter_norm(part) < probes.parameter_norm(model)
    remainder = (
        model(PAIRS)[:, :P] - expected["memorising"] - expected["generalising"] + expected["rest"]
    )
    torch.testing.assert_close(found.remainder, remainder, rtol=0, atol=1e-12)
    assert found.share > 1e-6
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])


def test_weights_that_a_half_needs_are_kept_and_others_are_zero() -> None:
    model, kept = built("transformer"), mask(8, 1, 2, 6)
    half = unit_halves(model, kept, unit="neurons.0").parts["generalising"]
    before, after = model.state_dict(), half.state_dict()
    for name, axis in {"W_in": -1, "b_in": -1, "W_out": 0}.items():
        was, now = (state[f"blocks.0.mlp.{name}"].movedim(axis, 0) for state in (before, after))
        assert torch.equal(now[kept], was[kept])
        assert not now[~kept].any()
    others = [name for name in before if not name.startswith("blocks.0.mlp.")]
    others += ["blocks.0.mlp.b_out"]
    assert all(torch.equal(before[name], after[name]) for name in others)
    assert not half.is_hooked  # zero weights do it, so that it can be saved


def test_norms_at_a_common_margin_are_those_of_the_half() -> None:
    model = built("transformer")
    half = unit_halves(model, mask(8, 1, 2, 6)).parts["generalising"]
    labels = half(PAIRS)[:, :P].argmax(dim=1)
    norm = probes.matched_norm(half, PAIRS, labels, 3.0)
    scaled: Any = copy.deepcopy(half)
    median = probes.model_label_margins(half, PAIRS, labels).median()
    with torch.no_grad():
        scaled.unembed.W_U *= 3.0 / median
        scaled.unembed.b_U *= 3.0 / median
    assert probes.model_label_margins(scaled, PAIRS, labels).median() == pytest.approx(3.0)
    assert norm == pytest.approx(probes.parameter_norm(scaled))


@pytest.mark.usefixtures("no_type_checker")
def test_bad_masks_are_refused() -> None:
    model = built("deep")
    with pytest.raises(ValueError, match=r"mask of 7 units, but there are 8 neurons\.0"):
        unit_halves(model, mask(7, 1))
    for kept in ((), range(8)):
        with pytest.raises(ValueError, match=r"of 8 neurons\.0, which leaves one half without"):
            unit_halves(model, mask(8, *kept))
    with pytest.raises(ValueError, match=r"unit='heads\.0', but HookedMLP has"):
        unit_halves(model, mask(8, 1), unit="heads.0")
    with pytest.raises(ValueError, match="mode='resample' is unknown"):
        unit_halves(model, mask(8, 1), mode="resample")
    with pytest.raises(ValueError, match=r"use gi\.filtered_embedding"):
        unit_halves(model, mask(3, 1), unit="frequencies")
