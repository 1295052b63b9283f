"""Dead neurons: one rule, relative to the layer, in everything that averages over neurons."""

import copy

import pytest
import torch
from torch import Tensor

import grokinterp as gi
from probes import (
    is_dead,
    model_gamma_ipr,
    model_neuron_ipr,
    model_neuron_spectra,
    model_table_spectra,
    neuron_ipr,
    neuron_spectrum,
    table_spectrum,
    task_basis,
)
from probes.alive import are_dead_sizes

P, WEAK = 13, 40
NAN = float("nan")


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def cosines(p: int, count: int) -> Tensor:
    x = torch.arange(p).double()
    return torch.stack([torch.cos(2 * torch.pi * (1 + k % 3) * x / p + k) for k in range(count)])


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_a_row_is_dead_below_a_thousandth_of_the_largest(scale: float) -> None:
    rows = scale * torch.tensor([1.0, 1.01e-3, 0.99e-3, 0.0, NAN])[:, None] * cosines(P, 5)
    assert is_dead(rows).tolist() == [False, False, True, True, True]
    assert is_dead(rows, alive_from=0.5).tolist() == [False, True, True, True, True]
    assert is_dead(rows, alive_from=0.0).tolist() == [False, False, False, True, True]
    assert [is_dead(row).item() for row in rows] == [False, False, False, True, True]


def test_every_layer_has_a_largest_row_of_its_own() -> None:
    layers = torch.tensor([[1.0, 1e-4], [1e-4, 1e-4]])[..., None] * cosines(P, 2)
    assert is_dead(layers).tolist() == [[False, True], [False, False]]


def test_infinite_and_missing_sizes_are_dead_and_no_measure_for_others() -> None:
    sizes = torch.tensor([float("inf"), 1.0, 1e-2, 1e-4, NAN])
    assert are_dead_sizes(sizes).tolist() == [True, False, False, True, True]


@pytest.mark.parametrize("p", [11, 97, 499])
def test_a_neuron_that_fires_at_one_pair_is_alive(p: int) -> None:
    at_one, everywhere = torch.zeros(p, p), torch.zeros(p, p)
    at_one[1, 2] = 1.0
    everywhere += torch.cos(2 * torch.pi * torch.arange(p) / p)
    found = neuron_spectrum(torch.stack([everywhere, at_one], dim=-1), task_basis("addition", p))
    # Variances: 1 / 2, and 1 / p^2 less its square.
    torch.testing.assert_close(found.variance, torch.tensor([0.5, p**-2 - p**-4]).double())
    assert found.n_dead == 0


def test_no_mean_over_neurons_sees_those_of_a_billionth_of_the_largest_variance() -> None:
    basis = task_basis("addition", P)
    pure = cosines(P, 20)[:, :, None] + cosines(P, 20)[:, None]
    weak = 3e-5 * noise(5, P, P)
    activations = torch.cat([pure, weak]).permute(1, 2, 0)
    found = neuron_spectrum(activations, basis)
    assert (found.n_dead, found.mean_share) == (5, pytest.approx(1.0, abs=1e-12))
    assert found.frequency[20:].tolist() == [-1] * 5
    everyone = neuron_spectrum(activations, basis, alive_from=1e-6)
    assert everyone.n_dead == 0
    assert everyone.mean_share < 0.9

    table = torch.cat([cosines(P, 20), 3e-5 * noise(5, P)]).T
    features = table_spectrum(table, basis)
    assert (features.n_dead, features.mean_row_ipr) == (5, pytest.approx(1.0, abs=1e-12))
    assert table_spectrum(table, basis, alive_from=1e-6).mean_row_ipr < 0.9

    neurons = neuron_ipr(table.T, table.T, cosines(P, 25))  # two vectors of each are weak
    assert (neurons.n_dead, neurons.mean) == (5, pytest.approx(1.0, abs=1e-12))
    assert neurons.parts.isnan().sum(dim=1).tolist() == [5, 5, 0]
    assert neurons.modes.frequency[:, 20:].tolist() == [[-1] * 5, [-1] * 5, [3, 1, 2, 3, 1]]
    assert neuron_ipr(table.T, table.T, cosines(P, 25), alive_from=1e-6).mean < 0.95


def test_a_network_is_read_as_if_it_had_no_weak_neurons(with_weak_neurons: gi.HookedMLP) -> None:
    found = model_neuron_ipr(with_weak_neurons)
    assert found.n_dead == WEAK
    assert found.mean == pytest.approx(1.0, abs=1e-6)
    assert model_neuron_ipr(with_weak_neurons, alive_from=0.0).mean < 0.8
    assert model_table_spectra(with_weak_neurons, "addition")["W_U"].n_dead == WEAK
    (neurons,) = model_neuron_spectra(with_weak_neurons, "addition").values()
    assert neurons.n_dead >= WEAK  # and the living ones of frequency 0, which do not vary


def test_a_norm_is_judged_without_weak_neurons() -> None:
    model = gi.HookedMLP(gi.MLPConfig(d_mlp=20, norm="batch"), p=P, seed=1)
    quiet = copy.deepcopy(model)
    with torch.no_grad():
        quiet.W_E[..., 3] *= 1e-4
        quiet.W_U[4] *= 1e-4
        quiet.W_E[..., 5] = 1.0 + 1e-5 * quiet.W_E[..., 5]  # large weights, a constant activation
    (before,) = model_gamma_ipr(model, "addition").values()
    (found,) = model_gamma_ipr(quiet, "addition").values()
    assert found.ipr.isnan().nonzero().flatten().tolist() == [3, 4, 5]
    rest = ~found.ipr.isnan()
    torch.testing.assert_close(found.ipr[rest], before.ipr[rest])


@pytest.mark.parametrize("value", [-0.1, 1.0, NAN])
def test_bounds_that_leave_nobody_or_mean_nothing_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="alive_from must"):
        is_dead(cosines(P, 2), alive_from=value)
