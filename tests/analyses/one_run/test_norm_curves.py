"""Curves with and without norms: the nine published settings, and the runs' own histories."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

import grokinterp as gi
from analyses.one_run import norm_curves
from analyses.one_run.phases import classify

SUBSETS = ["train", "test", "changed", "unchanged", "selected"]


def test_the_nine_runs_have_the_published_settings() -> None:
    configs = norm_curves.configs(seed=2)
    assert [(c.model.norm, c.data.train_fraction) for c in configs] == [
        (norm, alpha) for norm in ("batch", "layer", None) for alpha in (0.4, 0.5, 0.8)
    ]
    training = gi.TrainConfig(steps=8000, lr=0.005, batch_size=64, weight_decay=0.0, eval_every=40)
    for config in configs:
        alpha, norm = config.data.train_fraction, config.model.norm
        assert config == gi.RunConfig(
            data=gi.DataConfig(
                operation="addition", p=97, train_fraction=alpha, corruption=0.3, seed=2
            ),
            model=gi.MLPConfig(d_mlp=500, act="square", norm=norm),
            training=training,
            seed=2,
        )


@pytest.fixture(scope="module")
def runs(corrupted_run: gi.Run) -> list[gi.Run]:
    """BatchNorm at two train fractions, and no norm at one; the last with other steps."""
    base = corrupted_run.config.replace({"training.steps": 20, "training.batch_size": 16})
    changes: list[dict[str, object]] = [
        {"model.norm": "batch"},
        {"model.norm": "batch", "data.train_fraction": 0.7},
        {"training.eval_every": 4},
    ]
    configs = [base.replace(change) for change in changes]
    return gi.train_many(configs, device="cpu", progress=False)


def test_curves_are_the_histories(runs: list[gi.Run]) -> None:
    found = norm_curves.compute(runs)
    assert found.step.values.tolist() == [0, 4, 8, 10, 12, 16, 20]
    for i, run in enumerate(runs):
        for subset in SUBSETS:
            history = run.history[f"{subset}_accuracy"]
            here = found.accuracy.isel(run=i).sel(subset=subset)
            np.testing.assert_array_equal(here.sel(step=history.step), history)
            assert int(here.isnull().sum()) == 7 - len(history)
    assert found.norm.values.tolist() == ["BatchNorm", "BatchNorm", "no norm"]
    assert found.train_fraction.values.tolist() == [0.6, 0.7, 0.6]
    assert found.phase.values.tolist() == [str(classify(run)) for run in runs]
    shares = [1 - run.dataset.is_changed.sum() / run.dataset.is_train.sum() for run in runs]
    np.testing.assert_allclose(found.share_uncorrupted, shares)


def test_every_run_is_drawn_in_its_panel(
    runs: list[gi.Run], axis_titles: Callable[[go.Figure], set[str]]
) -> None:
    other_seed = dataclasses.replace(runs[0], history=runs[0].history * 0.5)
    found = norm_curves.compute([*runs, other_seed])
    figure: Any = norm_curves.plot_norms(found)
    panels = ["x", "x", "x2", "x3"]  # two seeds in the first; no run without a norm at 0.7
    wanted = [0, 3, 1, 2]
    for i, (run, axis) in enumerate(zip(wanted, panels, strict=True)):
        traces = figure.data[4 * i : 4 * i + 4]
        assert [trace.xaxis for trace in traces] == [axis] * 4
        for trace, subset in zip(traces, SUBSETS[:4], strict=True):
            curve = found.accuracy.isel(run=run).sel(subset=subset).dropna("step")
            np.testing.assert_array_equal(trace.y, curve)
            np.testing.assert_array_equal(trace.x, curve.step)
    assert len(figure.data) == 16
    titles = [note.text.replace("<br>", " ") for note in figure.layout.annotations]
    assert titles[1].endswith(str(classify(runs[1])))
    assert titles[3].endswith("no run")
    assert {"step (batches of 16)", "<b>BatchNorm</b> accuracy"} <= axis_titles(figure)


def test_other_networks_and_no_runs_are_refused(runs: list[gi.Run]) -> None:
    with pytest.raises(ValueError, match="runs is empty"):
        norm_curves.compute([])
    config = runs[0].config.replace({"model": gi.TransformerConfig()})
    with pytest.raises(TypeError, match=r"field model\.norm"):
        norm_curves.compute([dataclasses.replace(runs[0], config=config)])
