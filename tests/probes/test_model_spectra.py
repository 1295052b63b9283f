"""The probes on whole networks: symmetries exact to 1e-10, and tasks in their own basis."""

import copy
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import grokinterp as gi
from grokinterp.models.transformer import HookedTransformer
from grokinterp.models.transformer_config import TransformerConfig
from grokinterp.models.zhong2023 import load_zhong2023
from probes import (
    model_frequency_scores,
    model_key_frequencies,
    model_logit_spectrum,
    model_neuron_spectra,
    model_table_spectra,
    network_on_pairs,
)

P = 11


def close(after: Tensor, before: Tensor) -> None:
    """Equal up to the rounding of float64; a dead neuron stays dead."""
    torch.testing.assert_close(after, before, rtol=0, atol=1e-10, equal_nan=True)


def in_basis_of(operation: str, p: int = P) -> gi.HookedMLP:
    """The closed-form network of addition mod p - 1, its residue x called 2^x mod p."""
    root, period = 2, p - 1  # 2 is a primitive root mod 11
    solved = gi.closed_form_mlp(p=period, d_mlp=400, seed=2).double().state_dict()
    model = gi.HookedMLP(gi.MLPConfig(d_mlp=400), p=p).double()
    first = [pow(root, x, p) for x in range(period)]
    second = [pow(root, -x if operation == "division" else x, p) for x in range(period)]
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        model.W_E[0, first] = solved["W_E"][0]
        model.W_E[1, second] = solved["W_E"][1]
        model.W_U[:, first] = solved["W_U"]
    return model


@pytest.mark.parametrize("operation", ["multiplication", "division"])
def test_a_multiplication_network_is_periodic_in_logarithms_only(operation: str) -> None:
    model = in_basis_of(operation)
    right = model_logit_spectrum(model, operation)
    plain = model_logit_spectrum(model, "addition")
    assert right.explained > 0.8
    assert plain.explained < 0.05
    assert sorted(model_key_frequencies(model, operation)) == [1, 2, 3, 4, 5]
    tables, blind = (model_table_spectra(model, name) for name in (operation, "addition"))
    assert list(tables) == ["W_E[0]", "W_E[1]", "W_U"]
    # Each neuron's weights are one frequency of the logarithm, none of the residue.
    for name, table in tables.items():
        torch.testing.assert_close(table.row_ipr, torch.ones(400).double(), rtol=0, atol=1e-6)
        assert blind[name].mean_row_ipr < 0.6
    (neurons,) = model_neuron_spectra(model, operation).values()
    (unseen,) = model_neuron_spectra(model, "addition").values()
    assert neurons.mean_share > 0.799  # 4/5, and 1 at half the period
    assert unseen.mean_share < 0.5
    found = model_frequency_scores(model, operation)
    assert found.n_pairs == 100
    assert found.accuracy["full"] == found.accuracy["restricted"] == 1.0
    assert found.accuracy["excluded"] < 0.4


def test_subtraction_needs_its_phase_reversed() -> None:
    model = gi.closed_form_mlp(p=P, d_mlp=440, seed=1).double()
    with torch.no_grad():
        model.W_E[1] = model.W_E[1][-torch.arange(P) % P].clone()
    assert model_logit_spectrum(model, "subtraction").explained > 0.85
    assert model_logit_spectrum(model, "addition").explained < 0.2
    assert model_frequency_scores(model, "subtraction").accuracy["full"] == 1.0


def noisy_closed_form() -> gi.HookedMLP:
    model = gi.closed_form_mlp(p=P, d_mlp=60, seed=4).double()
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=rng), alpha=0.1)
    return model


def random_transformer() -> HookedTransformer:
    config = TransformerConfig(d_model=16, n_heads=2, d_mlp=24, n_layers=2)
    model = HookedTransformer(config, p=P, seed=3).double()
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():  # large enough that the network is far from linear
            weight.copy_(torch.randn(weight.shape, generator=rng) / 3)
    return model


def renamed(model: Any, unit: int) -> Any:
    """The same network for somebody who calls residue t u t."""
    other, called = copy.deepcopy(model), torch.arange(P) * unit % P
    table = other.W_E if isinstance(other, gi.HookedMLP) else other.embed.W_E
    readout = other.W_U if isinstance(other, gi.HookedMLP) else other.unembed.W_U
    with torch.no_grad():
        table[..., called, :] = table[..., :P, :].clone()
        readout[:, called] = readout[:, :P].clone()
        if not isinstance(other, gi.HookedMLP):
            other.unembed.b_U[called] = other.unembed.b_U[:P].clone()
    return other


@pytest.mark.parametrize("make", [noisy_closed_form, random_transformer])
@pytest.mark.parametrize("unit", [2, 7, 10])
def test_relabelling_moves_frequencies_and_nothing_else(make: Any, unit: int) -> None:
    model = make()
    other = renamed(model, unit)
    frequency = torch.arange(1, 6) * pow(unit, -1, P) % P
    to = torch.minimum(frequency, P - frequency) - 1

    def same(after: Tensor, before: Tensor) -> None:
        close(after[..., to], before)

    before, after = (model_table_spectra(m, "addition") for m in (model, other))
    for name in before:
        same(after[name].shares, before[name].shares)
        assert after[name].total_ipr == pytest.approx(before[name].total_ipr, abs=1e-10)
    before, after = (model_neuron_spectra(m, "addition") for m in (model, other))
    for name in before:
        same(after[name].shares, before[name].shares)
        close(after[name].share, before[name].share)
    before, after = (model_logit_spectrum(m, "addition") for m in (model, other))
    same(after.shares, before.shares)
    same(after.cos, before.cos)
    for k in (2, 5):
        moved = int(to[k - 1]) + 1
        old = model_frequency_scores(model, "addition", frequencies=[k])
        new = model_frequency_scores(other, "addition", frequencies=[moved])
        assert new.accuracy == old.accuracy
        for name, value in old.loss.items():
            assert new.loss[name] == pytest.approx(value, abs=1e-10)


def test_residual_rotation_moves_the_row_wise_ipr_only() -> None:
    model = random_transformer()
    other, rng = copy.deepcopy(model), torch.Generator().manual_seed(2)
    turn = torch.linalg.qr(torch.randn(16, 16, generator=rng).double()).Q
    with torch.no_grad():
        for name, weight in other.named_parameters():
            last = name.split(".")[-1]
            if last in ("W_E", "W_pos", "W_O", "b_O", "W_out", "b_out"):  # write to the stream
                weight.copy_(weight @ turn)
            elif last in ("W_Q", "W_K", "W_V", "W_in", "W_U"):  # read from it
                weight.copy_(turn.T @ weight)
    pairs = network_on_pairs(model).pairs
    close(other(pairs), model(pairs))
    before, after = (model_table_spectra(m, "addition") for m in (model, other))
    for name in ("W_E", "W_U"):
        close(after[name].shares, before[name].shares)
    moved = (after["W_E"].row_ipr - before["W_E"].row_ipr).abs().max()
    assert moved > 0.01  # the papers' row-wise IPR depends on the basis of the stream
    before, after = (model_neuron_spectra(m, "addition") for m in (model, other))
    assert list(before) == ["blocks.0.mlp.hook_post", "blocks.1.mlp.hook_post"]
    for name in before:
        close(after[name].shares, before[name].shares)


# Frequencies of W_U and the neurons; the embedding of the first has 25, 6 and 29 beside them.
@pytest.mark.parametrize(
    ("file", "keys"),
    [
        ("pizza_p99zdpze5l", [17, 3, 15]),
        ("pizza_l8k1hzciux", [13, 16, 21]),
        ("pizza_p71frej8t7", [29, 24, 14, 17]),
    ],
)
def test_published_networks_are_their_key_frequencies(file: str, keys: list[int]) -> None:
    folder = os.environ.get("GROKINTERP_ZHONG2023")
    if folder is None:
        pytest.skip("GROKINTERP_ZHONG2023 names no folder with the networks of Zhong et al. 2023")
    model = load_zhong2023(Path(folder) / f"{file}.safetensors")
    assert sorted(model_key_frequencies(model, "addition")) == sorted(keys)
    assert model_logit_spectrum(model, "addition").explained > 0.98
    assert set(model_table_spectra(model, "addition")["W_U"].dominant()) == set(keys)
    found = model_frequency_scores(model, "addition")
    assert found.accuracy["full"] == found.accuracy["restricted"] == 1.0
    assert found.accuracy["excluded"] < 0.2
    first, *_ = model_neuron_spectra(model, "addition").values()
    assert set(first.frequencies[first.layer_shares > 0.05].tolist()) == set(keys)


def test_hooks_of_your_choice() -> None:
    model = random_transformer()
    found = model_neuron_spectra(model, "addition", hooks=["blocks.0.attn.hook_z"])
    assert found["blocks.0.attn.hook_z"].shares.shape == (16, 5)

    class Unnamed(gi.HookedMLP):
        pass

    plain = Unnamed(gi.MLPConfig(d_mlp=4), p=P)
    del plain.hook_dict["layers.0.hook_post"]
    with pytest.raises(ValueError, match=r"Unnamed has no .* give hooks=\[...\], from: hook_embed"):
        model_neuron_spectra(plain, "addition")


def test_frequencies_and_bases_that_do_not_fit_are_refused() -> None:
    model = noisy_closed_form()
    with pytest.raises(ValueError, match=r"frequencies=\[6\] must lie in 1\.\.5"):
        model_frequency_scores(model, "addition", frequencies=[6])
    for probe in (model_logit_spectrum, model_table_spectra, model_neuron_spectra):
        with pytest.raises(ValueError, match="no known periodic basis"):
            probe(model, "a**2 + b**2")
