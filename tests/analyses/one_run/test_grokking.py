"""Weights before and after training, and IPR over time, against the weights themselves."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

import grokinterp as gi
from analyses.one_run import grokking


def spectra(model: gi.HookedMLP) -> np.ndarray:
    """[part, neuron, frequency], complex."""
    state = {name: weight.double().numpy() for name, weight in model.state_dict().items()}
    return np.fft.rfft([state["W_E"][0].T, state["W_E"][1].T, state["W_U"]])


def numpy_ipr(model: gi.HookedMLP) -> np.ndarray:
    power = np.abs(spectra(model)) ** 2
    return ((power**2).sum(axis=-1) / power.sum(axis=-1) ** 2).mean(axis=0)


def test_before_and_after_are_the_weights(corrupted_run: gi.Run) -> None:
    found = grokking.compute(corrupted_run, neuron=3)
    assert found.when.values.tolist() == ["before", "after"]
    assert dict(found.row.sizes) == {"when": 2, "residue": 11}
    assert dict(found.ipr.sizes) == {"when": 2, "neuron": 24}
    models = {"before": gi.build_model(corrupted_run.config), "after": corrupted_run.model}
    for when, model in models.items():
        first_operand = model.state_dict()["W_E"][0]
        np.testing.assert_array_equal(found.row.sel(when=when), first_operand[:, 3])
        np.testing.assert_allclose(found.ipr.sel(when=when), numpy_ipr(model), rtol=1e-9)
    strongest = np.abs(spectra(corrupted_run.model)[0, 3]).argmax()
    assert found.attrs == {"neuron": 3, "frequency": strongest}


def test_mean_ipr_over_time_joins_before_and_after(corrupted_run: gi.Run) -> None:
    found = grokking.compute(corrupted_run)
    assert dict(found.mean_ipr.sizes) == {"step": 21}
    ends = found.mean_ipr.isel(step=[0, -1])
    np.testing.assert_allclose(ends, found.ipr.mean("neuron"), rtol=1e-6)
    for name in ("train_accuracy", "test_accuracy", "mean_ipr"):
        np.testing.assert_array_equal(found[name], corrupted_run.history[name])


def test_the_neuron_shown_is_periodic_and_slow(half_solved_run: gi.Run) -> None:
    found = grokking.compute(half_solved_run)
    neuron, frequency = found.attrs["neuron"], found.attrs["frequency"]
    first = np.abs(spectra(half_solved_run.model)[0])
    ipr = numpy_ipr(half_solved_run.model)
    best = np.argsort(-ipr)[:40]  # a quarter of 160; all within rounding of 1
    slowest = min(k for k in first[best].argmax(axis=1) if k > 0)
    assert neuron < 130
    assert frequency == first[neuron].argmax() == slowest
    assert ipr[neuron] > 0.999


def test_a_collapsed_network_has_no_frequency(corrupted_run: gi.Run) -> None:
    dead = copy.deepcopy(corrupted_run.model)
    with torch.no_grad():
        dead.W_E.zero_()
    found = grokking.compute(dataclasses.replace(corrupted_run, model=dead))
    assert found.attrs["frequency"] == -1
    assert bool(found.ipr.sel(when="after").isnull().all())
    assert not bool(found.ipr.sel(when="before").isnull().any())
    figure: Any = grokking.plot_shift(found)
    assert len(figure.data) == 2


@pytest.mark.parametrize("neuron", [-1, 24])
def test_neurons_that_do_not_exist_are_named(corrupted_run: gi.Run, neuron: int) -> None:
    with pytest.raises(ValueError, match=rf"neuron must lie in 0\.\.23, got {neuron}"):
        grokking.compute(corrupted_run, neuron=neuron)


def test_double_precision_runs_are_read_too(clean_run: gi.Run) -> None:
    precise = dataclasses.replace(clean_run, model=copy.deepcopy(clean_run.model).double())
    found = grokking.compute(precise, neuron=0)
    np.testing.assert_array_equal(
        found.row.sel(when="after"), precise.model.state_dict()["W_E"][0, :, 0]
    )


def test_plots_draw_the_data(
    corrupted_run: gi.Run, axis_titles: Callable[[go.Figure], set[str]]
) -> None:
    found = grokking.compute(corrupted_run)
    over_time: Any = grokking.plot_over_time(found)
    drawn = zip(over_time.data, ("train_accuracy", "test_accuracy", "mean_ipr"), strict=True)
    for trace, name in drawn:
        np.testing.assert_array_equal(trace.x, found.step)
        np.testing.assert_array_equal(trace.y, found[name])
    assert axis_titles(over_time) == {"step (updates)", "accuracy, IPR"}

    row: Any = grokking.plot_row(found)
    shift: Any = grokking.plot_shift(found)
    for i, when in enumerate(["before", "after"]):
        np.testing.assert_array_equal(row.data[i].x, np.arange(11))
        np.testing.assert_array_equal(row.data[i].y, found.row.sel(when=when))
        np.testing.assert_array_equal(shift.data[i].x, found.ipr.sel(when=when))
    neuron = found.attrs["neuron"]
    assert axis_titles(row) == {"residue of the first operand", f"weight into neuron {neuron}"}
    assert axis_titles(shift) == {"IPR (1 = one frequency)", "neurons"}


def test_without_ipr_in_its_history_a_run_is_shown_without(clean_run: gi.Run) -> None:
    found = grokking.compute(clean_run)
    assert "mean_ipr" not in found
    figure: Any = grokking.plot_over_time(found)
    assert len(figure.data) == 2


def test_weights_of_a_product_are_shown_over_discrete_logarithms() -> None:
    """Powers of 2 mod 11 are 1, 2, 4, 8, 5, ...; the residue 0 has no logarithm."""
    changes = {"data.p": 11, "data.operation": "multiplication", "training.steps": 1}
    run = gi.train(gi.RunConfig().replace(changes | {"model.d_mlp": 8}), progress=False)
    found = grokking.compute(run, neuron=3)
    order = [1, 2, 4, 8, 5, 10, 9, 7, 3, 6]
    assert found.residue.values.tolist() == order
    np.testing.assert_array_equal(
        found.row.sel(when="after"), run.model.state_dict()["W_E"][0][order, 3]
    )
    power = np.abs(np.fft.rfft(found.row.sel(when="after").values)) ** 2
    assert found.attrs["frequency"] == power.argmax()
    figure: Any = grokking.plot_row(found)
    assert figure.layout.xaxis.title.text == "discrete logarithm of the first operand"
    plain: Any = grokking.plot_row(
        grokking.compute(
            gi.train(run.config.replace({"data.operation": "addition"}), progress=False)
        )
    )
    assert plain.layout.xaxis.title.text == "residue of the first operand"
