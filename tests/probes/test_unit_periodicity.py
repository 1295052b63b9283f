"""Periodicity of units, against planted waves, hand-edited weights and other probes."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import grokinterp as gi
import probes
from grokinterp.basis import task_basis
from probes.unit_periodicity import rank_agreement, unit_periodicity
from tests.networks import all_pairs

P = 11
K = torch.arange(P, dtype=torch.float64)


def wave(k: int, shift: float = 0.3) -> Tensor:
    return torch.cos(2 * math.pi * k * K / P + shift)


def built(config: Any, operation: str = "addition") -> Any:
    model = gi.build_model(gi.RunConfig(data=gi.DataConfig(p=P, operation=operation), model=config))
    return model.double().eval().requires_grad_(False)


def test_the_papers_ipr_is_that_of_a_network_with_one_layer() -> None:
    model = built(gi.MLPConfig(d_mlp=12, init="standard"))
    with torch.no_grad():
        model.W_U[4] = 0.0
    found = unit_periodicity(model)
    expected = probes.model_neuron_ipr(model)
    assert found.scores.keys() == {"ipr", "input_ipr", "output_ipr", "share"}
    torch.testing.assert_close(found.scores["ipr"], expected.ipr, equal_nan=True)
    inputs = expected.parts[:2].mean(dim=0)
    torch.testing.assert_close(found.scores["input_ipr"], inputs)
    torch.testing.assert_close(found.scores["output_ipr"], expected.parts[2], equal_nan=True)
    assert found.n_dead == {"ipr": 1, "input_ipr": 0, "output_ipr": 1, "share": 0}
    (spectrum,) = probes.model_neuron_spectra(model).values()
    torch.testing.assert_close(found.scores["share"], spectrum.share)


def test_iprs_are_measured_in_the_basis_of_the_task() -> None:
    model = built(gi.MLPConfig(d_mlp=3), "multiplication")
    order = task_basis("multiplication", P).order
    turn = 2 * math.pi * torch.arange(P - 1).double() / (P - 1)
    with torch.no_grad():
        for table in (model.W_E[0], model.W_E[1]):
            table[order, 0] = torch.cos(3 * turn + 0.2)  # one frequency of the discrete logarithm
        model.W_E[:, :, 1] = wave(2)
    found = unit_periodicity(model, "neurons.0", "input_ipr").scores["input_ipr"]
    assert found[0] == pytest.approx(1)
    assert found[1] < 0.5  # periodic in the residue, which multiplication has no use for


def test_output_vectors_of_a_transformer_go_through_its_last_norm() -> None:
    model = built(
        gi.TransformerConfig(d_model=12, n_heads=2, d_mlp=8, n_layers=2, normalization_type="LN")
    )
    with torch.no_grad():
        model.W_U[:] = torch.randn(12, P, generator=torch.Generator().manual_seed(0)).double()
        gain = torch.linspace(0.5, 2.0, 12, dtype=torch.float64)
        model.ln_final.w.copy_(gain)
        # The neuron's vector, centred and multiplied by the gain, writes one wave to the logits.
        centre = torch.eye(12, dtype=torch.float64) - 1 / 12
        to_logits = centre @ torch.diag(gain) @ model.W_U
        model.blocks[1].mlp.W_out[3] = torch.linalg.lstsq(to_logits.T, wave(4)[:, None])[0][:, 0]
        model.blocks[1].mlp.W_out[3] += 0.7  # the norm takes it off again
    found = unit_periodicity(model, "neurons.1")
    assert found.scores.keys() == {"output_ipr", "share"}
    assert found.scores["output_ipr"][3] == pytest.approx(1)
    assert (found.scores["output_ipr"].argsort()[-1]) == 3
    assert unit_periodicity(model, "neurons.0").scores.keys() == {"share"}


def test_a_head_is_measured_by_the_vector_that_it_writes() -> None:
    model = built(gi.TransformerConfig(d_model=8, n_heads=2, d_head=4, init="paper1"))
    values = model.run_with_cache(all_pairs(P))[1]
    z = values["blocks.0.attn.hook_z"][:, -1]
    written = torch.einsum("nhd,hdm->nhm", z, model.W_O[0])
    planes = written.reshape(P, P, 2, 8).permute(2, 3, 0, 1)
    power = torch.fft.fft2(planes - planes.mean(dim=(2, 3), keepdim=True)).abs() ** 2
    power = power.sum(dim=1)  # over the vector's components
    best = []
    for head in power:
        ends = [[0, k, P - k] for k in range(1, P // 2 + 1)]
        owned = [head[end][:, end].sum() for end in ends]
        best.append(max(owned) / head.sum())
    found = unit_periodicity(model, "heads.0", "share").scores["share"]
    torch.testing.assert_close(found, torch.stack(best))


def test_a_units_share_behind_its_norm() -> None:
    model = built(gi.MLPConfig(d_mlp=10, init="standard", norm="layer", n_layers=2))
    for layer in range(2):
        found = unit_periodicity(model, f"neurons.{layer}")
        hooks = [f"layers.{layer}.hook_post", f"layers.{layer}.norm.hook_normalized"]
        spectra = probes.model_neuron_spectra(model, hooks=hooks)
        for name, hook in zip(("share", "normalized_share"), hooks, strict=True):
            torch.testing.assert_close(found.scores[name], spectra[hook].share)
        assert not torch.allclose(found.scores["share"], found.scores["normalized_share"])


def test_an_lstms_units_are_measured_at_the_last_step() -> None:
    model = built(gi.LSTMConfig(d_embed=6, d_hidden=5))
    with torch.no_grad():
        model.unembed["W_U"][2, :P] = wave(3)
    last = f"layers.1.steps.{model.prompt.length - 1}.hook_"
    for unit, hook in {"hidden.1": last + "h", "gate_f.1": last + "f"}.items():
        found = unit_periodicity(model, unit).scores
        (spectrum,) = probes.model_neuron_spectra(model, hooks=[hook]).values()
        torch.testing.assert_close(found["share"], spectrum.share)
        assert ("output_ipr" in found) == (unit == "hidden.1")
    assert unit_periodicity(model, "hidden.1").scores["output_ipr"][2] == pytest.approx(1)


def test_units_that_never_change_have_none() -> None:
    model = built(gi.EmbeddingMLPConfig(d_embed=6, hidden=(9, 7)))
    with torch.no_grad():
        model.layers[0].W_in[:, 5] = 0.0  # it answers with its bias
    found = unit_periodicity(model, "neurons.0")
    assert found.n_dead == {"input_ipr": 1, "share": 1}
    assert found.scores["share"][5].isnan()
    assert found.agreement["input_ipr", "share"].n == 8


def test_agreement_is_spearmans() -> None:
    nan = math.nan
    one = torch.tensor([1.0, 2.0, 3.0, nan, 5.0, 4.0])
    other = torch.tensor([10.0, 30.0, 20.0, 7.0, nan, 99.0])
    assert rank_agreement(one, other) == (pytest.approx(1 - 6 * 2 / (4 * 15)), 4)
    assert math.isnan(rank_agreement(one, torch.ones(6)).spearman)
    assert rank_agreement(one[:2], other[:2]).n == 2


@pytest.mark.usefixtures("no_type_checker")
def test_what_does_not_exist_is_refused() -> None:
    model = built(gi.TransformerConfig(d_model=8, n_heads=2))
    with pytest.raises(ValueError, match=r"unit='neurons.1', but HookedTransformer has frequencie"):
        unit_periodicity(model, "neurons.1")
    by_ipr = r"heads.0 of .* no periodicity by definition='ipr': IPRs .* leave definition out"
    with pytest.raises(ValueError, match=by_ipr):
        unit_periodicity(model, "heads.0", "ipr")
    by_none = "frequencies of HookedTransformer have no periodicity: .* neurons; give other units"
    with pytest.raises(ValueError, match=by_none):
        unit_periodicity(model, "frequencies")
    with pytest.raises(ValueError, match=r"definition='irp' is unknown. Did you mean 'ipr'"):
        unit_periodicity(model, "heads.0", "irp")
