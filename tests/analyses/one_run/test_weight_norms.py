"""Weight norms against numpy, and the collapse of a network whose weights are known."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

import grokinterp as gi
from analyses.one_run import weight_norms
from tests.tolerance import rounding


def with_norms(run: gi.Run, norms: list[list[float]]) -> gi.Run:
    history = run.history.isel(step=slice(len(norms))).copy(deep=True)
    history["norm"][:] = norms
    return dataclasses.replace(run, history=history)


def test_norms_start_and_end_with_the_weights(corrupted_run: gi.Run) -> None:
    found = weight_norms.compute(corrupted_run)
    assert dict(found.norm.sizes) == {"step": 21, "weight": 3}
    assert found.weight.values.tolist() == ["W_E[0]", "W_E[1]", "W_U"]
    untrained = gi.build_model(corrupted_run.config)
    assert isinstance(untrained, gi.HookedMLP)
    for model, step in ((untrained, 0), (corrupted_run.model, 200)):
        state = {name: weight.numpy() for name, weight in model.state_dict().items()}
        expected = [np.linalg.norm(w) for w in (*state["W_E"], state["W_U"])]
        relative = rounding(torch.float32, untrained.W_U.numel())
        np.testing.assert_allclose(found.norm.sel(step=step), expected, rtol=relative)
    np.testing.assert_array_equal(found.test_accuracy, corrupted_run.history.test_accuracy)


@pytest.mark.parametrize(
    ("norms", "largest", "final", "collapsed"),
    [
        ([[1.0, 2.0, 2.0], [2.0, 3.0, 6.0], [0.0, 0.3, 0.4]], 7.0, 0.5, 0),
        ([[1.0, 2.0, 2.0], [2.0, 3.0, 6.0], [0.0, 0.03, 0.04]], 7.0, 0.05, 1),
        ([[0.0, 3.0, 4.0], [0.0, 0.0, 0.0]], 5.0, 0.0, 1),
    ],
)
def test_a_collapse_is_a_hundredth_of_the_largest_norm(
    corrupted_run: gi.Run, norms: list[list[float]], largest: float, final: float, collapsed: int
) -> None:
    found = weight_norms.compute(with_norms(corrupted_run, norms))
    expected = {"largest": largest, "final": final, "collapsed": collapsed}
    assert found.attrs == pytest.approx(expected)


def test_plot_draws_norms_and_test_accuracy(
    corrupted_run: gi.Run, axis_titles: Callable[[go.Figure], set[str]]
) -> None:
    found = weight_norms.compute(corrupted_run)
    figure: Any = weight_norms.plot_norms(found)
    names = ["U (first operand)", "V (second operand)", "W (output)", "test accuracy"]
    assert [trace.name for trace in figure.data] == names
    for i in range(3):
        np.testing.assert_array_equal(figure.data[i].y, found.norm[:, i])
    np.testing.assert_array_equal(figure.data[3].y, found.test_accuracy)
    assert all(trace.x.tolist() == found.step.values.tolist() for trace in figure.data)
    axes = {"step (updates)", "Frobenius norm", "test accuracy"}
    assert axis_titles(figure) == axes


def test_deep_networks_have_their_hidden_matrices_too(corrupted_run: gi.Run) -> None:
    config = corrupted_run.config.replace({"model.n_layers": 2, "training.steps": 5})
    run = gi.train(config, device="cpu", progress=False)
    found = weight_norms.compute(run)
    weight = run.model.state_dict()["layers.1.W_in"]
    found_norm = found.norm.sel(weight="layers.1.W_in")[-1].item()
    relative = rounding(torch.float32, weight.numel())
    assert found_norm == pytest.approx(weight.norm().item(), rel=relative)
    figure: Any = weight_norms.plot_norms(found)
    assert len(figure.data) == 5
