"""Neurons counted by their best frequency, where the frequencies are written down."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

import grokinterp as gi
from analyses.one_run import embedding_spectrum, units_by_frequency
from analyses.one_run.stored_networks import evenly_spaced

P, FREQUENCIES = 11, [1, 3, 3, 3, 5, 5]


@pytest.fixture
def written(tiny_run: gi.Run) -> gi.Run:
    """Neurons (cos wa + cos wb)^2, and one that is always 0."""
    model = gi.HookedMLP(gi.MLPConfig(d_mlp=len(FREQUENCIES) + 1), p=P)
    residues = torch.arange(P)
    with torch.no_grad():
        model.W_E.zero_()
        for neuron, k in enumerate(FREQUENCIES):
            model.W_E[..., neuron] = torch.cos(2 * torch.pi * k * residues / P)
    return dataclasses.replace(tiny_run, model=model)


def test_neurons_are_counted_at_their_frequency(written: gi.Run) -> None:
    data = units_by_frequency.compute(written)
    assert data.layer.values.tolist() == ["layers.0.hook_post"]
    assert data.n_neurons[0].values.tolist() == [1, 0, 3, 0, 2]
    assert data.n_dead.item() == 1
    # cos^2 wa + cos^2 wb + 2 cos wa cos wb: 1/8 + 1/8 of the variance at 2k, 1 at k
    np.testing.assert_allclose(data.share[0].values[[0, 2, 4]], 0.8, rtol=1e-5)
    assert np.isnan(data.share[0].values[1])
    (told,) = units_by_frequency.in_words(data)
    assert "6 living neurons have 3 of 5 frequencies, most often 3 (3), 5 (2), 1 (1)" in told
    assert "80% of its variance (median); 1 are dead." in told
    figure: Any = units_by_frequency.plot_units(data)
    assert figure.data[0].y.tolist() == [1, 0, 3, 0, 2]


def test_tables_of_every_stored_network(written: gi.Run) -> None:
    config = written.config.replace({"training.steps": 4})
    run = gi.train(config, device="cpu", progress=False, checkpoints=evenly_spaced(4, 1))
    data = embedding_spectrum.compute(dataclasses.replace(run, model=written.model))
    assert data.step.values.tolist() == [0, 4] or data.step.values.tolist() == [0, 2, 4]
    assert data.table.values.tolist() == ["W_E[0]", "W_E[1]", "W_U"]
    last = data.share.sel(table="W_E[1]").isel(step=-1).values
    np.testing.assert_allclose(last, np.bincount(FREQUENCIES, minlength=6)[1:] / 6, atol=1e-6)
    np.testing.assert_allclose(data.share.sum("frequency"), 1.0)
    assert (
        "W_E[1] ends with the frequencies 3 (50%), 5 (33%)" in embedding_spectrum.in_words(data)[1]
    )
