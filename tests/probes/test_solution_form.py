"""Frequencies, amplitudes and phases of neurons, of weights that were made from them."""

import math

import pytest
import torch
from torch import Tensor

import grokinterp as gi
import probes
from tests.tolerance import rounding

TASKS = [("addition", 13), ("subtraction", 13), ("multiplication", 13), ("division", 11)]


def cosines(
    basis: probes.Basis, frequency: Tensor, amplitude: Tensor, phase: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """U, V and W by residue; residues without a place have weights of 100."""
    place = torch.arange(basis.period)
    angle = 2 * math.pi * frequency[:, None].double() * place / basis.period
    made = []
    for part, order in enumerate((basis.order, basis.order_b, basis.order)):
        rows = torch.full((len(frequency), basis.p), 100.0, dtype=torch.float64)
        rows[:, order] = amplitude[part, :, None] * torch.cos(angle + phase[part, :, None])
        made.append(rows)
    U, V, W = made
    return U, V, W


@pytest.mark.parametrize(("operation", "p"), TASKS)
def test_modes_that_were_put_in_are_found(operation: str, p: int) -> None:
    basis = probes.task_basis(operation, p)
    rng = torch.Generator().manual_seed(0)
    frequency = torch.arange(1, (basis.period - 1) // 2 + 1)
    amplitude = 0.5 + torch.rand(3, len(frequency), generator=rng, dtype=torch.float64)
    phase = 6 * torch.rand(3, len(frequency), generator=rng, dtype=torch.float64) - 3
    form = probes.solution_form(*cosines(basis, frequency, amplitude, phase), basis)
    gap = rounding(torch.float64, 100 * p, 10.0)
    torch.testing.assert_close(form.frequency, frequency)
    torch.testing.assert_close(form.amplitude, amplitude, rtol=0, atol=gap)
    torch.testing.assert_close(form.phase, phase, rtol=0, atol=gap)
    torch.testing.assert_close(form.share, torch.ones_like(phase), rtol=0, atol=gap)
    expected = phase[0] + phase[1] - phase[2]
    torch.testing.assert_close(form.phase_gap.cos(), expected.cos(), rtol=0, atol=gap)
    torch.testing.assert_close(form.phase_gap.sin(), expected.sin(), rtol=0, atol=gap)
    assert bool((form.phase_gap.abs() <= math.pi).all())
    factor = amplitude.max(dim=0).values / amplitude.min(dim=0).values
    torch.testing.assert_close(form.amplitude_factor, factor, rtol=gap, atol=0)


@pytest.mark.parametrize("operation", ["addition", "subtraction", "multiplication"])
def test_the_true_answer_has_matched_phases(operation: str) -> None:
    """The product of the inputs' cosines holds cos(w (x + y) + phi_u + phi_v) in any task."""
    basis = probes.task_basis(operation, 13)
    table = gi.make_dataset(gi.DataConfig(operation=operation, p=13)).clean_labels
    phase = torch.tensor([[0.4], [1.1], [1.5]], dtype=torch.float64)
    U, V, W = cosines(basis, torch.tensor([2]), torch.ones(3, 1).double(), phase)
    assert probes.solution_form(U, V, W, basis).phase_gap.abs().item() < 1e-12
    written = (U[0][:, None] * V[0]).flatten()
    on_place = torch.zeros(13 * 13, dtype=torch.bool)
    on_place[basis.pairs] = True
    # The output weight at the right class is the part of U V that depends on the answer.
    x = W[0][table[on_place]]
    assert float((x * written[on_place]).mean()) == pytest.approx(0.25)


def test_the_closed_form_obeys_all_rules() -> None:
    p, width = 23, 60
    model = gi.closed_form_mlp(p, width, seed=3)
    form = probes.model_solution_form(model)
    constant = (model.W_E[0] == model.W_E[0][:1]).all(dim=0)
    assert int(constant.sum()) in (2, 3)  # of 60 neurons every 23rd has frequency 0
    torch.testing.assert_close(form.frequency == -1, constant)
    has = form.has_frequency
    gap = rounding(torch.float32, p)
    assert float(form.phase_gap[has].abs().max()) < gap
    assert float(form.amplitude_factor[has].max()) < 1 + gap
    assert float(form.purity[has].min()) > 1 - gap
    expected = torch.full((3, width), (2 / width) ** (1 / 3), dtype=torch.float64)
    torch.testing.assert_close(form.amplitude[:, has], expected[:, has], rtol=gap, atol=0)
    assert bool(form.phase_gap[~has].isnan().all())
    assert bool(form.purity[~has].isnan().all())


def test_shares_are_of_the_whole_vector_and_the_constant_is_no_frequency() -> None:
    basis = probes.task_basis("addition", 11)
    x = torch.arange(11, dtype=torch.float64)
    wave = {k: torch.cos(2 * math.pi * k * x / 11 + 0.3) for k in (2, 4)}
    # Squared norms: 11 of the constant, 11 / 2 times 4 and 1 of the waves.
    row = (1 + 2 * wave[2] + wave[4])[None]
    form = probes.solution_form(row, row, row, basis)
    assert form.frequency.tolist() == [2]
    torch.testing.assert_close(form.share[:, 0], torch.full((3,), 22 / 38.5).double())
    assert form.energy.item() == pytest.approx(3 * 38.5)
    modes = probes.neuron_modes(row, row, row, basis)
    assert modes.share[0, 0].tolist() == pytest.approx([0, 22 / 38.5, 0, 5.5 / 38.5, 0])


def test_half_the_period_is_a_frequency_of_one_direction() -> None:
    basis = probes.task_basis("multiplication", 13)
    place = torch.arange(12)
    rows = torch.zeros(1, 13, dtype=torch.float64)
    rows[:, basis.order] = 3.0 * (1 - 2 * (place % 2)).double()
    form = probes.solution_form(rows, rows, rows, basis)
    assert (form.frequency.item(), form.purity.item()) == (6, pytest.approx(1.0))
    torch.testing.assert_close(form.amplitude[:, 0], torch.full((3,), 3.0).double())


def test_dead_neurons_have_no_frequency() -> None:
    model = gi.closed_form_mlp(11, 20, seed=1)
    U, V, W = (part.clone() for part in probes.neuron_weights(model))
    V[3] = 0.0
    W[4] *= 1e-5
    form = probes.solution_form(U, V, W, probes.task_basis("addition", 11))
    assert form.frequency[[3, 4]].tolist() == [-1, -1]
    assert bool(form.amplitude[:, 3].isnan().all())
    assert bool(form.energy.isfinite().all())


def test_weights_of_another_modulus_are_refused() -> None:
    rows = torch.ones(4, 7)
    with pytest.raises(ValueError, match=r"U must be \[neuron, p\] with p=11"):
        probes.solution_form(rows, rows, rows, probes.task_basis("addition", 11))


def test_the_task_is_the_networks_own_unless_another_is_asked_for() -> None:
    model = gi.HookedMLP(gi.MLPConfig(d_mlp=12), p=7)
    model.operation = "multiplication"
    own, asked = probes.model_solution_form(model), probes.model_solution_form(model, "addition")
    assert (own.period, asked.period) == (6, 7)
    torch.testing.assert_close(own.energy, asked.energy)
    deep = gi.HookedMLP(gi.MLPConfig(d_mlp=12, n_layers=2), p=7)
    with pytest.raises(ValueError, match="needs one hidden layer"):
        probes.model_solution_form(deep, "addition")
