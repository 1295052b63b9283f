"""Circles of known size in planes of known frequencies, at every stored step."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

import grokinterp as gi
import probes
from analyses.one_run import embedding_planes
from tests.analyses.one_run.clocks import P, clock_model, run_of

WIDTH = 55


@pytest.fixture(scope="module")
def clocks() -> gi.Run:
    """Frequency 1 at step 20, 2 and 4 at the end."""
    return run_of({20: clock_model({1: 1.0}, WIDTH)}, clock_model({2: 1.0, 4: 1.0}, WIDTH))


def test_residues_lie_on_a_circle_in_their_order(clocks: gi.Run) -> None:
    data = embedding_planes.compute(clocks, n_frequencies=2)
    assert data.frequency.values.tolist() == [2, 4]
    assert data.table.values.tolist() == ["W_E[0]", "W_E[1]"]
    last = data.sel(step=50)
    # 25 neurons cos(w x + u) with u uniform: each axis has the squared norm 25 / 2.
    radius = np.sqrt(12.5)
    for k in (2, 4):
        angle = 2 * np.pi * k * np.arange(P) / P
        circle = radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        for table in data.table.values:
            found = last.position.sel(table=table, frequency=k)
            np.testing.assert_allclose(found, circle, atol=1e-5)
    np.testing.assert_allclose(last.share, 0.5, rtol=1e-5)
    # Two circles, at right angles to each other.
    np.testing.assert_allclose(last["size"], np.sqrt(25), rtol=1e-5)


def test_a_step_of_another_frequency_has_nothing_at_these(clocks: gi.Run) -> None:
    data = embedding_planes.compute(clocks, frequencies=[2, 4]).sel(step=20)
    np.testing.assert_allclose(data.share, 0, atol=1e-10)
    np.testing.assert_allclose(data["size"], np.sqrt(12.5), rtol=1e-5)


def test_shares_of_a_random_table_are_those_of_its_spectrum_in_a_plane(clocks: gi.Run) -> None:
    """The final network's plane holds all of its own frequency, so the shares are equal."""
    model = gi.HookedMLP(gi.MLPConfig(d_mlp=WIDTH), p=P)
    model.operation = "addition"
    run = dataclasses.replace(clocks, model=model)
    data = embedding_planes.compute(run, frequencies=[1, 2, 3, 4, 5]).sel(step=50)
    for name, spectrum in list(probes.model_table_spectra(model).items())[:2]:
        np.testing.assert_allclose(data.share.sel(table=name), spectrum.shares, rtol=1e-6)


@pytest.mark.parametrize("operation", ["addition", "multiplication"])
def test_planes_of_a_transformer(operation: str) -> None:
    config = gi.RunConfig(
        data=gi.DataConfig(p=7, train_fraction=0.6, operation=operation),
        model=gi.TransformerConfig(d_model=8, n_heads=2, d_mlp=8, init="paper1"),
        training=gi.TrainConfig(steps=2),
    )
    run = gi.train(config, device="cpu", progress=False)
    assert embedding_planes.compute(run, n_frequencies=2).sizes["frequency"] == 2
    data = embedding_planes.compute(run, frequencies=[1, 2, 3])
    period = 7 if operation == "addition" else 6
    assert data.frequency.values.tolist() == [1, 2, 3]
    assert data.step.values.tolist() == [0, 2]
    assert sorted(data.residue.values.tolist()) == list(range(7 - period, 7))
    np.testing.assert_allclose(data.share.sel(step=2).sum("frequency"), 1, rtol=1e-6)


def test_key_frequencies_are_those_of_the_logits(clocks: gi.Run) -> None:
    """A frequency of the embedding that no output weight reads is none."""
    model = clock_model({2: 1.0, 4: 1.0}, WIDTH)
    with torch.no_grad():
        model.W_E[:, :, 50] = 9 * torch.cos(2 * torch.pi * 3 * torch.arange(P) / P)
    data = embedding_planes.compute(dataclasses.replace(clocks, model=model), n_frequencies=2)
    assert data.frequency.values.tolist() == [2, 4]
    with torch.no_grad():
        model.W_U.zero_()
    data = embedding_planes.compute(dataclasses.replace(clocks, model=model), n_frequencies=1)
    assert data.frequency.values.tolist() == [3]


def test_a_frame_for_every_step_shows_its_positions(clocks: gi.Run) -> None:
    data = embedding_planes.compute(clocks, n_frequencies=2)
    figure: Any = embedding_planes.plot_planes(data)
    assert [frame.name for frame in figure.frames] == ["0", "20", "50"]
    assert [step.label for step in figure.layout.sliders[0].steps] == ["0", "20", "50"]
    panels = 4  # of three traces each: line, residues, share
    for i, frame in enumerate(figure.frames):
        assert len(frame.data) == len(figure.data) == 3 * panels
        here = data.isel(step=i, table=0, frequency=1)
        np.testing.assert_allclose(frame.data[4].x, here.position[:, 0] / here["size"])
    assert "50.0% of the variance" in figure.frames[-1].data[2].text
    # The line visits neighbours on the circle of frequency 4: from x to x + 3, for 3 * 4 = 1.
    ring = figure.frames[-1].data[3]
    angle = np.unwrap(np.arctan2(ring.y, ring.x))
    np.testing.assert_allclose(np.diff(angle), 2 * np.pi / P, rtol=1e-4)


def test_what_cannot_be_shown_is_refused(clocks: gi.Run) -> None:
    with pytest.raises(ValueError, match=r"frequencies=\[6\] must lie in 1\.\.5"):
        embedding_planes.compute(clocks, frequencies=[6])
    with torch.no_grad():
        nothing = dataclasses.replace(
            clocks, diverged_at=1, checkpoints={}, provenance={"start": {"step": 1}}
        )
    with pytest.raises(ValueError, match="the run has no stored network"):
        embedding_planes.compute(nothing)
