"""Winners that were chosen by a rule of the initial weights are found to follow it."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

import grokinterp as gi
import probes
from analyses.one_run import frequency_winners

P, WIDTH = 23, 60


def run_won_by(rule: str) -> gi.Run:
    """A run whose final neurons are pure, at the frequency that a rule takes from the initial."""
    changes = {"data.p": P, "model.d_mlp": WIDTH, "training.steps": 1, "seed": 7}
    config = gi.RunConfig().replace(changes)
    run = gi.train(config, device="cpu", progress=False)
    first = gi.build_model(config)
    assert isinstance(first, gi.HookedMLP)
    weights = [table.detach().double().numpy() for table in (*first.W_E, first.W_U.T)]
    modes = np.fft.rfft(weights, axis=1)[:, 1:]  # [part, frequency, neuron]
    u, v, w = np.angle(modes)
    magnitude, match = np.abs(modes).prod(axis=0), np.cos(u + v - w)
    scores = {"magnitude": magnitude, "phase": match, "both": magnitude * match}
    if rule == "chance":
        winner = np.random.default_rng(0).integers(P // 2, size=WIDTH)
    else:
        winner = scores[rule].argmax(axis=0)
    wave = torch.cos(torch.as_tensor(2 * np.pi / P * np.outer(np.arange(P), winner + 1)))
    with torch.no_grad():
        for table in (*run.model.W_E, run.model.W_U.T):
            table.copy_(wave)
    return run


@pytest.mark.parametrize("rule", ["magnitude", "phase", "both"])
def test_the_rule_is_found(rule: str) -> None:
    data = frequency_winners.compute(run_won_by(rule), n_shuffles=200)
    assert data.auc.sel(score=rule).item() == 1
    assert data.won.sel(score=rule).item() == 1
    assert data.attrs["n_winners"] == WIDTH
    # Other neurons' initial weights know nothing of it: 60 uniform ranks have a mean of 0.5
    # with a standard deviation of 1 / sqrt(12 * 60) = 0.037.
    mean, low, high = data.control_auc.sel(score=rule).values
    assert abs(mean - 0.5) < 0.05
    assert high - low == pytest.approx(2 * 1.96 * 0.037, rel=0.35)
    assert data.n_neurons.sum().item() == WIDTH


def test_chance_is_found_to_be_chance() -> None:
    data = frequency_winners.compute(run_won_by("chance"), n_shuffles=200)
    for score in frequency_winners.SCORES:
        here = data.sel(score=score)
        # Three standard deviations of the mean of 60 uniform ranks.
        assert abs(here.auc.item() - 0.5) < 3 * 0.037
        assert here.won.item() < 0.25
    assert data.attrs["chance_won"] == pytest.approx(1 / 11)


def test_the_initial_energy_of_a_frequency_is_that_of_all_weights() -> None:
    run = run_won_by("magnitude")
    data = frequency_winners.compute(run, n_shuffles=5)
    first = gi.build_model(run.config)
    assert isinstance(first, gi.HookedMLP)
    rows = torch.cat([*first.W_E, first.W_U.T], dim=1).detach().double().numpy()
    energy = (np.abs(np.fft.rfft(rows, axis=0)[1:]) ** 2).sum(axis=1)
    np.testing.assert_allclose(data.initial_energy, energy / energy.sum())


def test_neurons_without_a_winner_are_left_out() -> None:
    run = run_won_by("magnitude")
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        run.model.W_E[0][:, :20] = torch.randn(P, 20, generator=rng)
        run.model.W_E[1][:, :20] = torch.randn(P, 20, generator=rng)
    data = frequency_winners.compute(run, n_shuffles=5, periodic_from=0.9)
    assert data.attrs["n_winners"] == WIDTH - 20
    assert bool(data["rank"][:, :20].isnull().all())
    assert data.auc.sel(score="magnitude").item() == 1
    assert probes.model_solution_form(run.model).purity[:20].max() < 0.9


def test_figures_and_rows_show_the_numbers() -> None:
    finding = frequency_winners.analysis(run_won_by("both"), n_shuffles=5)
    figures: Any = finding.figures
    ranks, network = figures
    for trace, score in zip(ranks.data, frequency_winners.SCORES, strict=True):
        np.testing.assert_allclose(trace.x, finding.data["rank"].sel(score=score), atol=1e-8)
        assert max(trace.x) < 1  # for the last bin
    np.testing.assert_array_equal(network.data[0].y, finding.data.n_neurons)
    assert [row["score:"] for row in finding.rows] == list(frequency_winners.SCORES)  # pyright: ignore


def test_what_cannot_be_asked_is_refused(corrupted_run: gi.Run) -> None:
    run = run_won_by("magnitude")
    with pytest.raises(ValueError, match="no neuron has 150% of its weights' energy"):
        frequency_winners.compute(run, periodic_from=1.5)
    began = dataclasses.replace(run, provenance={"start": {"step": 5}})
    with pytest.raises(ValueError, match="the run started from a checkpoint"):
        frequency_winners.compute(began)
