"""The probes of a two-layer network: on the closed form, on a relabelled one, and refusals."""

import copy
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import grokinterp as gi
from probes import (
    mean_ipr,
    model_neuron_attribution,
    model_neuron_ipr,
    model_neuron_norms,
    neuron_weights,
    pruning_curve,
)

ON_WEIGHTS = (neuron_weights, model_neuron_ipr, model_neuron_norms, mean_ipr)


def numpy_ipr(rows: np.ndarray) -> np.ndarray:
    power = np.abs(np.fft.rfft(rows.astype(np.float64))) ** 2
    return (power**2).sum(axis=-1) / power.sum(axis=-1) ** 2


def test_neuron_weights_are_the_papers_matrices(random_model: gi.HookedMLP) -> None:
    U, V, W = neuron_weights(random_model)
    state = random_model.state_dict()
    assert torch.equal(U, state["W_E"][0].T)
    assert torch.equal(V, state["W_E"][1].T)
    assert torch.equal(W, state["W_U"])
    assert not any(part.requires_grad for part in (U, V, W))
    # In the paper's own words: f(m, n) = W (U e_m + V e_n)^2.
    logits = random_model(torch.tensor([[3, 8]])).detach()[0]
    torch.testing.assert_close(logits, (U[:, 3] + V[:, 8]).square() @ W)


def test_model_ipr_matches_numpy(random_model: gi.HookedMLP) -> None:
    state = {name: weight.numpy() for name, weight in random_model.state_dict().items()}
    parts = [numpy_ipr(state["W_E"][0].T), numpy_ipr(state["W_E"][1].T), numpy_ipr(state["W_U"])]
    found = model_neuron_ipr(random_model)
    np.testing.assert_allclose(found.parts.numpy(), parts, rtol=1e-9)
    np.testing.assert_allclose(found.ipr.numpy(), np.mean(parts, axis=0), rtol=1e-9)
    assert mean_ipr(random_model) == pytest.approx(np.mean(parts), rel=1e-9)


def test_every_neuron_of_the_closed_form_network_is_one_frequency(
    closed_form: gi.HookedMLP,
) -> None:
    found = model_neuron_ipr(closed_form)
    torch.testing.assert_close(found.parts, torch.ones(3, 500).double(), rtol=0, atol=1e-6)
    assert found.n_dead == 0
    U, V, W = found.modes.frequency
    assert torch.equal(U, V)
    assert torch.equal(U, W)
    # 500 neurons over 97 frequencies, each 5 or 6 times; k and 97 - k look alike.
    times = torch.bincount(U, minlength=49)
    assert times.sum() == 500
    assert 5 <= times[0] <= 6
    assert bool(((times[1:] >= 10) & (times[1:] <= 12)).all())


def test_output_phase_of_the_closed_form_network_is_the_sum_of_the_input_phases(
    closed_form: gi.HookedMLP,
) -> None:
    modes = model_neuron_ipr(closed_form).modes
    periodic = modes.frequency[0] > 0  # a constant row has no phase
    phase_u, phase_v, phase_w = modes.phase[:, periodic]
    gap = phase_u + phase_v - phase_w
    torch.testing.assert_close(gap.cos(), torch.ones_like(gap), rtol=0, atol=1e-9)
    # Not all phases are equal, or the sum would be no test.
    assert phase_u.std() > 1
    assert (phase_u - phase_v).std() > 1


def test_modes_rebuild_the_closed_form_network(closed_form: gi.HookedMLP) -> None:
    modes = model_neuron_ipr(closed_form).modes
    periodic = (modes.frequency[0] > 0).numpy()
    frequency, phase = modes.frequency.numpy()[..., None], modes.phase.numpy()[..., None]
    waves = np.cos(2 * np.pi * frequency * np.arange(97) / 97 + phase)
    expected = (2 / 500) ** (1 / 3) * waves[:, periodic]
    vectors = torch.stack(list(neuron_weights(closed_form))).numpy()[:, periodic]
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("unit", [2, 7, 10])
def test_relabelling_residues_moves_frequencies_and_nothing_else(unit: int) -> None:
    p, inverse = 11, pow(unit, -1, 11)
    model = gi.closed_form_mlp(p=p, d_mlp=40, seed=4).double()
    with torch.no_grad():
        model.W_U.add_(torch.randn(40, p, generator=torch.Generator().manual_seed(0)), alpha=0.1)
    renamed = copy.deepcopy(model)
    called = torch.arange(p) * unit % p
    with torch.no_grad():
        renamed.W_E[:, called] = model.W_E
        renamed.W_U[:, called] = model.W_U
    before, after = model_neuron_ipr(model), model_neuron_ipr(renamed)
    torch.testing.assert_close(after.parts, before.parts, rtol=1e-12, atol=0)
    moved = before.modes.frequency * inverse % p
    assert torch.equal(after.modes.frequency, torch.minimum(moved, p - moved) % p)
    torch.testing.assert_close(model_neuron_norms(renamed), model_neuron_norms(model))


def test_a_dead_neuron_is_counted_and_left_out_of_the_mean(random_model: gi.HookedMLP) -> None:
    model = copy.deepcopy(random_model)
    alive = model_neuron_ipr(model).ipr[1:]
    with torch.no_grad():
        model.W_U[0] = 0
    found = model_neuron_ipr(model)
    assert found.n_dead == 1
    assert mean_ipr(model) == pytest.approx(alive.mean().item())
    with torch.no_grad():
        model.W_E.zero_()
    assert math.isnan(mean_ipr(model))


def test_any_object_with_the_two_matrices_is_measured(random_model: gi.HookedMLP) -> None:
    state = random_model.state_dict()
    stranger = SimpleNamespace(W_E=state["W_E"], W_U=state["W_U"])
    assert mean_ipr(stranger) == mean_ipr(random_model)
    assert torch.equal(model_neuron_norms(stranger), model_neuron_norms(random_model))


@pytest.mark.parametrize("probe", ON_WEIGHTS)
@pytest.mark.parametrize("missing", ["W_E", "W_U"])
def test_models_without_the_matrices_are_refused(probe: Callable[..., Any], missing: str) -> None:
    parts = {"W_E": torch.ones(2, 5, 4), "W_U": torch.ones(4, 5)}
    del parts[missing]
    with pytest.raises(TypeError, match=f"SimpleNamespace has no tensor {missing}.*as HookedMLP"):
        probe(SimpleNamespace(**parts))


@pytest.mark.parametrize("probe", ON_WEIGHTS)
def test_deep_networks_are_refused(probe: Callable[..., Any]) -> None:
    deep = gi.HookedMLP(gi.MLPConfig(d_mlp=4, n_layers=2), p=5)
    with pytest.raises(ValueError, match=r"has 2 hidden layers.*needs one.* Use probes\."):
        probe(deep)
    with pytest.raises(ValueError, match="one hidden layer"):
        model_neuron_attribution(deep, torch.tensor([[0, 1]]), torch.tensor([1]))


@pytest.mark.parametrize(
    ("W_E", "W_U"),
    [((5, 4), (4, 5)), ((3, 5, 4), (4, 5)), ((2, 5, 4), (4, 6)), ((2, 5, 4), (5, 4))],
)  # a transformer's embedding, three operands, other classes, the paper's orientation
def test_matrices_of_other_shapes_are_refused(W_E: tuple[int, ...], W_U: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"has W_E \[.*\] and W_U \[.*; this needs one hidden"):
        neuron_weights(SimpleNamespace(W_E=torch.ones(W_E), W_U=torch.ones(W_U)))


def test_models_are_only_read(random_model: gi.HookedMLP) -> None:
    kept = copy.deepcopy(random_model.state_dict())
    tokens, labels = torch.tensor([[0, 1], [2, 3]]), torch.tensor([1, 5])
    for probe in ON_WEIGHTS:
        probe(random_model)
    model_neuron_attribution(random_model, tokens, labels)
    assert all(
        torch.equal(weight, kept[name]) for name, weight in random_model.state_dict().items()
    )
    assert all(weight.grad is None for weight in random_model.parameters())
    assert not any(point.fwd_hooks for point in random_model.hook_dict.values())


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_sums_over_neurons_are_refused_where_a_norm_comes_between(norm: str) -> None:
    model = gi.HookedMLP(gi.MLPConfig(d_mlp=6, norm=norm), p=5).eval()
    data = gi.make_dataset(gi.DataConfig(p=5))
    with pytest.raises(
        ValueError, match=r"pruning_curve takes the logits for a sum over neurons\.0"
    ):
        pruning_curve(model, data, torch.arange(6))
    with pytest.raises(ValueError, match="model_neuron_attribution takes the logits for a sum"):
        model_neuron_attribution(model, data.tokens, data.labels)
    assert torch.equal(neuron_weights(model).U, model.W_E[0].T)  # the IPR is defined all the same
