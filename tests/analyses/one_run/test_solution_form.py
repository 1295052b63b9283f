"""The rules of eq. 2 on a network half of which is the analytic solution."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

import grokinterp as gi
from analyses.one_run import solution_form
from tests.analyses.conftest import N_NOISE, N_PERIODIC


def test_the_solution_obeys_and_noise_does_not(half_solved_run: gi.Run) -> None:
    data = solution_form.compute(half_solved_run, n_shuffles=200)
    weights = [half_solved_run.model.W_E[0].T, half_solved_run.model.W_E[1].T]
    weights.append(half_solved_run.model.W_U)
    energy = torch.cat(weights, dim=1).detach().double().square().sum(dim=1).numpy()
    np.testing.assert_allclose(data.energy, energy / energy.sum(), rtol=1e-6)
    # Ten of the 130 neurons have frequency 0: at p = 13 every thirteenth.
    solved = (data.frequency.values > 0) & (data.neuron.values < N_PERIODIC)
    assert (solved.sum(), data.attrs["n_without"]) == (120, 10)
    share = energy[solved].sum() / energy.sum()
    assert data.obeys_phases.sel(degrees=0).item() == pytest.approx(share)
    assert data.obeys_amplitudes.sel(factor=1).item() == pytest.approx(share)
    assert data.obeys_input_amplitudes.sel(factor=1).item() == pytest.approx(share)
    # Twenty neurons at each of six frequencies, whose phases match; noise is not periodic.
    assert data.n_periodic.values.tolist() == [20] * 6
    assert data.n_obeying.values.tolist() == [20] * 6
    assert data.n_own.sum().item() == 120 + N_NOISE
    assert data.attrs["n_frequencies"] == 6
    alive = energy[data.frequency.values > 0].sum() / energy.sum()
    assert data.energy_at.sum().item() == pytest.approx(alive)
    assert data.obeys_phases.sel(degrees=180).item() == pytest.approx(alive)


def test_shuffled_phases_match_by_chance_alone() -> None:
    """Phases of the solution are uniform: within x degrees of 180 lie x / 180 of the gaps."""
    changes = {"data.p": 13, "model.d_mlp": 260, "training.steps": 1}
    config = gi.RunConfig().replace(changes)
    run = gi.train(config, device="cpu", progress=False)
    run = dataclasses.replace(run, model=gi.closed_form_mlp(13, 260))
    data = solution_form.compute(run, n_shuffles=300)
    # Of the energy, the constant neurons' belongs to none.
    alive = float(data.energy.where(data.frequency > 0).sum())
    mean, low, high = data.control_phases
    chance = alive * data.degrees / 180
    assert float(abs(mean - chance).max()) < 0.02
    # The interval of a share s of 240 neurons: about 1.96 sqrt(s (1 - s) / 240) to either side.
    half = float((high - low).sel(degrees=90)) / 2
    assert half == pytest.approx(1.96 * math.sqrt(0.25 / 240) * alive, rel=0.35)
    assert bool(((low <= mean) & (mean <= high)).all())
    assert data.attrs["phases"] == pytest.approx(alive)
    assert data.attrs["phases_high"] < 0.2
    # All amplitudes are equal, also after shuffling: the control says so.
    np.testing.assert_allclose(data.control_amplitudes, alive)


def test_a_rotated_output_phase_is_seen_at_its_angle(half_solved_run: gi.Run) -> None:
    """W moved by one residue turns the phase of frequency k by 2 pi k / p."""
    model = gi.closed_form_mlp(13, 130)
    with torch.no_grad():
        model.W_U.copy_(model.W_U.roll(1, dims=1))
    run = dataclasses.replace(half_solved_run, model=model)
    data = solution_form.compute(run, n_shuffles=10)
    k = data.frequency.values
    expected = 2 * np.pi * k / 13
    has = k > 0
    np.testing.assert_allclose(np.abs(data.phase_gap.values[has]), expected[has], atol=1e-5)
    # Within 60 degrees: frequencies 1 and 2, at 28 and 55.
    energy = data.energy.values[np.isin(k, [1, 2])].sum()
    assert data.obeys_phases.sel(degrees=60).item() == pytest.approx(energy)
    assert data.n_obeying.sum().item() == 0
    assert data.n_periodic.values.tolist() == [20] * 6


def test_a_larger_read_out_is_seen_in_all_amplitudes_but_not_in_the_inputs(
    half_solved_run: gi.Run,
) -> None:
    model = gi.closed_form_mlp(13, 130)
    with torch.no_grad():
        model.W_U.mul_(3)
    data = solution_form.compute(dataclasses.replace(half_solved_run, model=model), n_shuffles=5)
    has = data.frequency.values > 0
    np.testing.assert_allclose(data.amplitude_factor.values[has], 3, rtol=1e-5)
    energy = float(data.energy.values[has].sum())
    assert data.attrs["amplitudes"] == 0
    assert data.attrs["input_amplitudes"] == pytest.approx(energy)


def test_figures_show_the_numbers(
    half_solved_run: gi.Run, axis_titles: Callable[[go.Figure], set[str]]
) -> None:
    data = solution_form.compute(half_solved_run, n_shuffles=20)
    rules: Any = solution_form.plot_rules(data)
    lines = [trace for trace in rules.data if trace.name == "network"]
    for line, rule in zip(lines, solution_form.RULES, strict=True):
        np.testing.assert_array_equal(line.y, data[f"obeys_{rule}"])
    bars: Any = solution_form.plot_frequencies(data)
    np.testing.assert_array_equal(sum(bar.y for bar in bars.data), data.n_own)
    points: Any = solution_form.plot_gaps(data)
    np.testing.assert_array_equal(points.data[0].x, data.purity)
    assert "neurons" in axis_titles(bars)
    finding = solution_form.analysis(half_solved_run, n_shuffles=20)
    assert "120 of 160 neurons are periodic, at 6 of 6 frequencies" in str(list(finding.rows)[-1])


def test_a_network_without_frequencies_is_refused(half_solved_run: gi.Run) -> None:
    model = gi.closed_form_mlp(13, 130)
    with torch.no_grad():
        model.W_E.fill_(1.0)
        model.W_U.fill_(1.0)
    with pytest.raises(ValueError, match="no neuron has a frequency"):
        solution_form.compute(dataclasses.replace(half_solved_run, model=model))
