"""Norms of matrices and neurons against numpy and against networks of known size."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import grokinterp as gi
from probes import model_neuron_norms, neuron_norms, weight_norms


def test_weight_norms_are_numpys_frobenius_norms(random_model: gi.HookedMLP) -> None:
    weights = {name: w.numpy().astype(np.float64) for name, w in random_model.state_dict().items()}
    expected = {name: np.linalg.norm(w.ravel()) for name, w in weights.items()}
    found = weight_norms(random_model)
    assert found == pytest.approx(expected, rel=1e-12)
    assert set(found) == {"W_E", "W_U"}


def test_weight_norms_read_any_module() -> None:
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight[:] = torch.tensor([[3.0, 4.0]])
        layer.bias[:] = -7.0
    assert weight_norms(layer) == {"weight": 5.0, "bias": 7.0}


def test_tiny_float32_weights_do_not_underflow() -> None:
    layer = nn.Linear(1, 4, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1e-30)
    assert weight_norms(layer)["weight"] == pytest.approx(2e-30)
    rows = layer.weight.detach()
    assert neuron_norms(rows, rows, rows)[0].item() == pytest.approx(math.sqrt(3) * 1e-30)


def test_neuron_norms_join_the_three_vectors() -> None:
    U, V, W = torch.randn(3, 6, 5, generator=torch.Generator().manual_seed(0))
    expected = np.linalg.norm(np.concatenate([U, V, W], axis=1).astype(np.float64), axis=1)
    found = neuron_norms(U, V, W)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_neuron_norms_of_the_closed_form_network(closed_form: gi.HookedMLP) -> None:
    # Three cosines of amplitude (2 / N)^(1/3), each of squared norm amplitude^2 p / 2.
    expected = (2 / 500) ** (1 / 3) * math.sqrt(3 * 97 / 2)
    constant = closed_form.W_U.std(dim=1) < 1e-6  # frequency 0 has other norms
    assert constant.sum() <= 500 // 97 + 1
    found = model_neuron_norms(closed_form)[~constant]
    torch.testing.assert_close(found, torch.full_like(found, expected), rtol=1e-6, atol=0)
