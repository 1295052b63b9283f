"""Surgery on a network whose periodic part is the solution and whose rest is noise."""

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

import grokinterp as gi
import probes
from analyses.one_run import spectral_surgery


def noisy(run: gi.Run, size: float) -> gi.Run:
    """The closed form, with a frequency beside each neuron's own that drowns the answer."""
    model = gi.closed_form_mlp(13, 260)
    own = probes.model_solution_form(model).frequency
    other = torch.where(own >= 6, 1, own + 1).clamp(min=1)
    angle = 2 * torch.pi / 13 * torch.arange(13)[:, None] * other
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for table in (*model.W_E, model.W_U.T):
            phase = 6 * torch.rand(260, generator=rng)
            table.add_(size * (2 / 260) ** (1 / 3) * torch.cos(angle + phase))
    return dataclasses.replace(run, model=model)


def test_surgery_restores_what_noise_has_drowned(half_solved_run: gi.Run) -> None:
    run = noisy(half_solved_run, 0.9)
    data = spectral_surgery.compute(run, seeds=3)
    test = data.accuracy.sel(subset="test")
    trained, alone = test.values
    assert trained < 0.99
    assert alone == 1.0
    assert float(data.random_accuracy.sel(subset="test").max()) < alone
    # Squared norms are 1 and 0.81 per neuron; the twenty constant ones lose everything.
    assert data.energy_kept.min().item() > 0.4
    assert data.energy_kept.max().item() < 0.6


def test_scores_are_those_of_the_networks(half_solved_run: gi.Run) -> None:
    data = spectral_surgery.compute(half_solved_run, seeds=2)
    expected = probes.subset_scores(half_solved_run.model, half_solved_run.dataset)
    for subset, score in expected.items():
        here = data.sel(network="trained", subset=subset)
        assert here.accuracy.item() == pytest.approx(score["accuracy"], nan_ok=True)
        assert here["loss"].item() == pytest.approx(score["loss"], nan_ok=True)
    assert dict(data.random_accuracy.sizes) == {"control": 2, "seed": 2, "subset": 5}


def test_nothing_to_remove_changes_nothing(half_solved_run: gi.Run) -> None:
    model = gi.closed_form_mlp(13, 130)
    has = probes.model_solution_form(model).has_frequency
    pure = copy.deepcopy(model)
    with torch.no_grad():
        pure.W_E[:, :, ~has] = 0
        pure.W_U[~has] = 0
    data = spectral_surgery.compute(dataclasses.replace(half_solved_run, model=pure), seeds=2)
    np.testing.assert_allclose(data.energy_kept, 1, rtol=1e-6)
    everything = np.concatenate([data.loss.values, data.random_loss.values.reshape(4, -1)])
    np.testing.assert_allclose(everything, np.tile(everything[0], (6, 1)), rtol=1e-3)


def test_figure_and_rows(half_solved_run: gi.Run) -> None:
    finding = spectral_surgery.analysis(half_solved_run, seeds=2)
    figure: Any = finding.figures[0]
    assert len(figure.data) == 4
    shown = ["train", "test", "changed", "unchanged"]
    for trace, network in zip(figure.data[:2], finding.data.network.values, strict=True):
        expected = finding.data.accuracy.sel(network=network, subset=shown)
        np.testing.assert_array_equal(trace.y, expected)
    assert [row["network"] for row in finding.rows][:2] == ["trained", "own frequencies"]  # pyright: ignore
