"""Norms of single units against the parameters that they have, by hand."""

from typing import Any

import pytest
import torch
from torch import Tensor

import grokinterp as gi
import probes
from tests.networks import far_from_zero, native_transformer

P = 5


def joined(*parts: Tensor) -> Tensor:
    """Norm over everything but the first axis, the units."""
    return torch.cat([part.detach().flatten(1) for part in parts], dim=1).norm(dim=1)


def check(model: gi.HookedModel, unit: str, *parts: Tensor) -> None:
    torch.testing.assert_close(
        probes.unit_norms(model, unit), joined(*parts), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("p", [P, 13])  # with 13, not all pairs are tried
def test_neurons_with_one_hidden_layer_have_their_three_vectors(p: int) -> None:
    model = far_from_zero(gi.HookedMLP(gi.MLPConfig(d_mlp=9), p=p), seed=1)
    expected = probes.model_neuron_norms(model)
    torch.testing.assert_close(probes.unit_norms(model), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("norm", [None, "layer"])
def test_behind_a_norm_output_weights_are_not_a_neurons_own(norm: Any) -> None:
    """It makes something of a neuron at zero, which they pass on."""
    config = gi.MLPConfig(d_mlp=6, n_layers=2, norm=norm, act="relu", init="standard")
    model = far_from_zero(gi.HookedMLP(config, p=P), seed=2)
    read = model.get_parameter("W_E").permute(2, 0, 1)
    between = model.get_parameter("layers.1.W_in")
    check(model, "neurons.0", read, *([] if norm else [between]))
    check(model, "neurons.1", between.T, *([] if norm else [model.get_parameter("W_U")]))


@pytest.mark.parametrize("n_heads", [1, 3])
def test_heads_and_neurons_of_a_transformer(n_heads: int) -> None:
    config = gi.TransformerConfig(
        d_model=6, n_heads=n_heads, d_head=2, d_mlp=5, n_layers=2, biases=True
    )
    model = far_from_zero(gi.HookedTransformer(config, p=P), seed=3)
    attn, mlp = (model.blocks[1].get_submodule(name) for name in ("attn", "mlp"))
    names = ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V")
    check(model, "heads.1", *(attn.get_parameter(name) for name in names))
    vectors = (mlp.get_parameter("W_in").T, mlp.get_parameter("b_in")[:, None])
    check(model, "neurons.1", *vectors, mlp.get_parameter("W_out"))


def test_hidden_units_and_gates_of_an_lstm() -> None:
    model = far_from_zero(gi.HookedLSTM(gi.LSTMConfig(d_embed=4, d_hidden=3), p=P), seed=4)
    names = [f"lstm.{name}_l0" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    gates = [model.get_parameter(name).unflatten(0, (4, 3)).reshape(4, 3, -1) for name in names]
    check(model, "gate_f.0", *(w[1] for w in gates))
    # Recurrent weights between two of the units are neither's alone.
    again = model.get_parameter("lstm.weight_hh_l0").unflatten(0, (4, 3))
    its_own = again.diagonal(dim1=1, dim2=2).T
    others = [w.transpose(0, 1) for w, name in zip(gates, names, strict=True) if "hh" not in name]
    biases = model.get_parameter("lstm.bias_hh_l0").unflatten(0, (4, 3)).T
    later = model.get_parameter("lstm.weight_ih_l1").T
    check(model, "hidden.0", *others, biases, its_own, later)


def test_a_network_is_only_read() -> None:
    model = gi.HookedMLP(gi.MLPConfig(d_mlp=4), p=P)
    before = [weight.detach().clone() for weight in model.parameters()]
    probes.unit_norms(model)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert not model.is_hooked
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.usefixtures("no_type_checker")
def test_what_has_no_norm_is_refused() -> None:
    model: Any = gi.HookedMLP(gi.MLPConfig(d_mlp=4), p=P)
    with pytest.raises(ValueError, match=r"'frequencies' have no parameters of .*model_table_s"):
        probes.unit_norms(model, "frequencies")
    with pytest.raises(ValueError, match=r"unit='heads\.0', but HookedMLP has neurons\.0"):
        probes.unit_norms(model, "heads.0")
    with pytest.raises(TypeError, match="model must be of type"):
        probes.unit_norms(native_transformer(P))
