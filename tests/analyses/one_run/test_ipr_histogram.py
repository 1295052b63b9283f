"""Per-neuron IPR of runs against numpy's DFT, and against a network of known composition."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

import grokinterp as gi
from analyses.one_run import ipr_histogram


def spectra(model: gi.HookedMLP) -> np.ndarray:
    """[part, neuron, frequency], complex."""
    state = {name: weight.double().numpy() for name, weight in model.state_dict().items()}
    return np.fft.rfft([state["W_E"][0].T, state["W_E"][1].T, state["W_U"]])


def numpy_ipr(model: gi.HookedMLP) -> np.ndarray:
    power = np.abs(spectra(model)) ** 2
    return (power**2).sum(axis=-1) / power.sum(axis=-1) ** 2


def with_dead_neurons(run: gi.Run, *neurons: int) -> gi.Run:
    model = copy.deepcopy(run.model)
    with torch.no_grad():
        model.W_E[1][:, list(neurons)] = 0
    return dataclasses.replace(run, model=model)


def test_histogram_data_match_numpy(corrupted_run: gi.Run, clean_run: gi.Run) -> None:
    clean = dataclasses.replace(
        clean_run, config=clean_run.config.replace({"training.weight_decay": 7.0})
    )
    found = ipr_histogram.compute([corrupted_run, clean])
    assert dict(found.sizes) == {"run": 2, "neuron": 24, "part": 3}
    assert found.part.values.tolist() == ["U", "V", "W"]
    assert found.weight_decay.values.tolist() == [1.0, 7.0]
    for i, run in enumerate((corrupted_run, clean)):
        parts, modes = numpy_ipr(run.model), spectra(run.model)
        strongest = np.abs(modes).argmax(axis=-1)
        phase = np.angle(np.take_along_axis(modes, strongest[..., None], axis=-1)[..., 0])
        ipr = parts.mean(axis=0)
        np.testing.assert_allclose(found.part_ipr[i], parts, rtol=1e-9)
        np.testing.assert_allclose(found.ipr[i], ipr, rtol=1e-9)
        np.testing.assert_array_equal(found.frequency[i], strongest)
        np.testing.assert_allclose(np.cos(found.phase[i] - phase), 1, atol=1e-9)
        assert found.mean_ipr[i].item() == pytest.approx(ipr.mean())
        assert found.n_low[i].item() == (ipr < 0.2).sum()
        assert found.n_high[i].item() == (ipr > 0.5).sum()
        assert found.n_dead[i].item() == 0


def test_counts_of_a_network_of_known_composition(half_solved_run: gi.Run) -> None:
    found = ipr_histogram.compute(with_dead_neurons(half_solved_run, 0, 1, 140)).isel(run=0)
    assert found.n_dead.item() == 3
    assert np.isnan(found.ipr.values).nonzero()[0].tolist() == [0, 1, 140]
    assert found.n_high.item() == 128  # the periodic ones, less two dead
    noise = np.r_[130:140, 141:160]
    ipr = numpy_ipr(half_solved_run.model).mean(axis=0)
    assert found.n_low.item() == (ipr[noise] < 0.2).sum()
    assert found.mean_ipr.item() == pytest.approx((128 + ipr[noise].sum()) / 157, rel=1e-6)
    assert found.frequency.sel(part="V")[140].item() == -1
    assert found.frequency.sel(part="U")[140].item() >= 0


def test_runs_of_other_widths_are_refused(corrupted_run: gi.Run, half_solved_run: gi.Run) -> None:
    with pytest.raises(ValueError, match=r"runs must share d_mlp, got \[24, 160\]"):
        ipr_histogram.compute([corrupted_run, half_solved_run])


@pytest.mark.parametrize("count", [1, 3])
def test_plot_has_a_histogram_and_a_mean_for_every_run(
    corrupted_run: gi.Run, count: int, axis_titles: Callable[[go.Figure], set[str]]
) -> None:
    runs = [with_dead_neurons(corrupted_run, *range(i)) for i in range(count)]
    found = ipr_histogram.compute(runs)
    figure: Any = ipr_histogram.plot_histogram(found)
    *histograms, mean = figure.data
    assert mean.name == "mean of living neurons"
    assert len(histograms) == count
    for i, trace in enumerate(histograms):
        assert trace.type == "histogram"
        np.testing.assert_array_equal(trace.x, found.ipr[i])
    assert [line.x0 for line in figure.layout.shapes] == found.mean_ipr.values.tolist()
    assert {"IPR (1 = one frequency)", "neurons"} <= axis_titles(figure)


def test_a_network_of_dead_neurons_can_be_drawn(corrupted_run: gi.Run) -> None:
    found = ipr_histogram.compute(with_dead_neurons(corrupted_run, *range(24)))
    assert (found.n_dead.item(), found.n_low.item(), found.n_high.item()) == (24, 0, 0)
    assert np.isnan(found.mean_ipr.item())
    figure: Any = ipr_histogram.plot_histogram(found)
    assert [trace.type for trace in figure.data] == ["histogram", "scatter"]
