"""The parts of the logits: they add up, and each neuron is in the part that its IPR says."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

import grokinterp as gi
import probes
from analyses.one_run import logit_split
from probes import model_neuron_ipr
from tests.tolerance import rounding


def with_model(run: gi.Run, model: Any) -> gi.Run:
    return dataclasses.replace(run, model=model.eval())


@pytest.fixture(scope="module", params=[None, "batch", "layer"])
def run(request: pytest.FixtureRequest) -> gi.Run:
    """A few steps of training, from weights of which a third are periodic."""
    p, width = 13, 60
    config = gi.RunConfig(
        data=gi.DataConfig(p=p, corruption=0.4),
        model=gi.MLPConfig(d_mlp=width, norm=request.param),
        training=gi.TrainConfig(steps=4, lr=1e-3),
    )
    trained = gi.train(config, device="cpu", progress=False)
    solution = gi.closed_form_mlp(p=p, d_mlp=20)
    with torch.no_grad():
        trained.model.W_E[..., :20] = solution.W_E
        trained.model.W_U[:20] = solution.W_U
    return trained


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_parts_add_up_to_the_logits(run: gi.Run, dtype: torch.dtype) -> None:
    model = copy.deepcopy(run.model).to(dtype)
    found = logit_split.compute(with_model(run, model), examples=5)
    gap = rounding(dtype, 60, float(abs(found.part_curve).max()))
    np.testing.assert_allclose(found.part_logit.sum("part"), found.logit, rtol=0, atol=gap)
    np.testing.assert_allclose(found.part_curve.sum("part"), found.curve, rtol=0, atol=gap)
    assert found.n_neurons.sum() == 60
    assert abs(found.part_curve).max() > 0.01


def test_a_part_is_the_network_without_the_other_neurons(run: gi.Run) -> None:
    """Other neurons silenced at their output, by hand."""
    ipr = model_neuron_ipr(run.model).ipr
    parts = {"memorising": ipr < 0.2, "generalising": ipr > 0.5}
    parts["rest"] = ~(parts["memorising"] | parts["generalising"])
    found = logit_split.compute(run).isel(run=0)
    tokens = run.dataset.tokens[run.dataset.is_changed]
    for name, members in parts.items():
        model = copy.deepcopy(run.model)
        model.W_U.data[~members] = 0
        with torch.no_grad():
            logits = model(tokens)
        gap = rounding(torch.float32, 60, logits.abs().max().item())
        here = found.sel(part=name)
        assert here.n_neurons == members.sum()
        for role, classes in zip(
            ("given", "true", "other"), (found.given, found.true, found.best_other), strict=True
        ):
            wanted = logits[torch.arange(len(tokens)), torch.tensor(classes.values)]
            np.testing.assert_allclose(here.part_logit.sel(role=role), wanted, rtol=0, atol=gap)
        curve = logits.numpy()[found.shown]
        np.testing.assert_allclose(here.part_curve, curve, rtol=0, atol=gap)
    assert found.n_neurons.sel(part="generalising") >= 20


def test_means_are_over_the_examples(run: gi.Run) -> None:
    found = logit_split.compute(run)
    np.testing.assert_allclose(found.part_mean, found.part_logit.values.mean(axis=2))
    np.testing.assert_allclose(found.part_std, found.part_logit.values.std(axis=2))


def test_dead_neurons_are_in_the_rest_and_add_nothing(run: gi.Run) -> None:
    """Two generalising neurons lose their output weights."""
    model = copy.deepcopy(run.model)
    model.W_U.data[[0, 1]] = 0
    tokens = run.dataset.tokens[:50]
    before, after = (probes.logit_parts(m, tokens, low=0.2, high=0.5) for m in (run.model, model))
    assert (after[1] - before[1]).tolist() == [0, -2, 2]
    for part in (0, 2):
        torch.testing.assert_close(after[0][part], before[0][part], rtol=0, atol=1e-12)
    assert (after[0][1] - before[0][1]).abs().max() > 0.01


def test_other_networks_are_refused(corrupted_run: gi.Run) -> None:
    config = corrupted_run.config
    tokens = corrupted_run.dataset.tokens
    deep = gi.build_model(config.replace({"model.n_layers": 2}))
    with pytest.raises(ValueError, match="one hidden layer"):
        probes.logit_parts(deep, tokens, low=0.2, high=0.5)
    transformer = gi.build_model(config.replace({"model": gi.TransformerConfig(d_model=8)}))
    with pytest.raises(ValueError, match=r"HookedTransformer.*corrupted_logits"):
        probes.logit_parts(transformer, tokens, low=0.2, high=0.5)


def test_figures_draw_means_and_curves(
    corrupted_run: gi.Run, axis_titles: Callable[[go.Figure], set[str]]
) -> None:
    found = logit_split.compute([corrupted_run] * 2, examples=3, labels=["one", "two"])
    bars: Any = logit_split.plot_parts(found)
    assert len(bars.data) == 6
    for i, bar in enumerate(bars.data):
        run, part = divmod(i, 3)
        np.testing.assert_array_equal(bar.y, found.part_mean[run, part])
        np.testing.assert_array_equal(bar.error_y.array, found.part_std[run, part])
    assert axis_titles(bars) == {"class", "contribution to the logit", ""}
    split: Any = logit_split.plot_split(found, run=1)
    lines = [trace.y for trace in split.data if trace.mode == "lines"]
    np.testing.assert_array_equal(lines[:3], found.curve[1])
    np.testing.assert_array_equal(lines[3:], found.part_curve[1].values.reshape(9, -1))
    n = int(found.n_neurons.sel(run="two", part="memorising"))
    assert f"memorising {n} logit" in axis_titles(split)
