"""Figures and table of mixtures: what is drawn is what was computed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
import torch.nn.functional as F
import xarray as xr

import grokinterp as gi
from analyses.efficiency.mixing import gradient_flow, mixture
from analyses.efficiency.mixing.delay import summary
from analyses.efficiency.mixing.figures import plot_mixture, plot_scalars, plot_variants, table
from analyses.efficiency.mixing.tables import Tables

P = 5
TRAINING = gi.TrainConfig(steps=30, lr=0.05, warmup_steps=2, loss="mse_softmax", eval_every=5)
CONFIG = mixture.MixtureConfig(training=TRAINING)


@pytest.fixture(scope="module")
def tables() -> Tables:
    dataset = gi.make_dataset(gi.DataConfig(p=P, train_fraction=0.5))
    right = 5.0 * F.one_hot(dataset.labels, P).double()
    memorising = torch.where(dataset.is_train[:, None], right, 5.0 * torch.eye(P)[0].double())
    return Tables(memorising, right, dataset.labels, dataset.is_train, dataset.is_test)


@pytest.fixture(scope="module")
def data(tables: Tables) -> xr.Dataset:
    return mixture.compute(tables, config=CONFIG)


def test_every_curve_of_fig_5_is_drawn(
    data: xr.Dataset, axis_titles: Callable[[go.Figure], set[str]]
) -> None:
    figure: Any = plot_mixture(data)
    assert len(figure.data) == 8
    assert [trace.name for trace in figure.data if trace.showlegend] == ["train", "test"]
    np.testing.assert_array_equal(
        figure.data[1].y, data.accuracy.sel(start="10:1", split="test").values
    )
    np.testing.assert_array_equal(figure.data[6].y, data.loss.sel(start="1:1", split="train"))
    assert {trace.line.dash for trace in figure.data} == {"solid", "dash"}
    assert figure.layout.yaxis2.type == "log"
    assert "step (updates)" in axis_titles(figure)
    accuracy, loss = (figure.layout.annotations[i].text.replace("<br>", " ") for i in (0, 1))
    assert accuracy == "accuracy w<sub>m2</sub> : w<sub>g2</sub> = 10:1"
    assert loss.startswith("mean squared error of probabilities")


def test_a_start_that_diverged_does_not_flatten_the_others(data: xr.Dataset) -> None:
    lost = data.copy(deep=True)
    lost.loss[0, 1:3] = 1e200
    lost.loss[0, 3:] = np.inf
    for some in (lost, lost.isel(start=[0])):
        figure: Any = plot_mixture(some)
        top = figure.layout.yaxis2.range[1]
        assert top < np.log10(data.loss.max()) + 0.4


def test_seeds_are_lines_with_one_name(data: xr.Dataset) -> None:
    seeds = xr.concat([data, 2 * data], dim=xr.Variable("seed", [0, 1]))
    figure: Any = plot_mixture(seeds)
    assert len(figure.data) == 16
    assert sum(bool(trace.showlegend) for trace in figure.data) == 2
    assert "2 seeds" in figure.layout.title.text
    some: Any = plot_mixture(seeds.isel(seed=[1]).assign_attrs(n_wanted=3))
    assert "1 of 3 seeds" in some.layout.title.text  # the others were no circuits
    np.testing.assert_array_equal(
        figure.data[1].y, 2 * data.accuracy.sel(start="10:1", split="train")
    )


def test_predictions_lie_over_the_scalars(tables: Tables, data: xr.Dataset) -> None:
    flow = gradient_flow.predict(tables, config=CONFIG)
    figure: Any = plot_scalars(data, flow)
    assert len(figure.data) == 16
    names = [trace.name for trace in figure.data if trace.showlegend]
    circuits, curves = ("C<sub>mem</sub>", "C<sub>gen</sub>"), ("trained", "sign flow")
    assert names == [f"{circuit}, {curve}" for circuit in circuits for curve in curves]
    first = data.scalars.sel(start="10:1", scalar="w_m1")
    np.testing.assert_array_equal(figure.data[0].y, first)
    grown = flow.weights.sel(start="10:1", circuit="memorising")
    np.testing.assert_array_equal(figure.data[3].y, grown)
    assert figure.layout.title.text == "Scalars and their sign flow"


@pytest.fixture(scope="module")
def found(data: xr.Dataset) -> xr.Dataset:
    """Two variants and three seeds, of which one seed of one variant never falls."""
    one = summary(data)
    seeds = xr.concat([one] * 3, dim=xr.Variable("seed", [0, 1, 2])).copy(deep=True)
    seeds["fall_step"][:] = 10.0
    late = seeds.copy(deep=True)
    late.fall_step.loc[{"split": "test", "start": "10:1"}] = np.nan
    late.fall_step.loc[{"split": "test", "start": "10:1", "seed": 0}] = 25.0
    return xr.concat([seeds, late], dim=xr.Variable("variant", ["plain", "late"]))


def test_what_has_not_fallen_is_open_at_the_end(found: xr.Dataset) -> None:
    figure: Any = plot_variants(found)
    train, _, test, never = figure.data[:4]  # of the first start, 10:1
    assert list(train.x) == [10] * 6
    assert list(test.x) == [10, 10, 10, 25]
    assert list(test.y) == ["plain"] * 3 + ["late"]
    assert (list(never.x), list(never.y)) == ([30, 30], ["late", "late"])
    symbols = [trace.marker.symbol for trace in (train, test, never)]
    assert symbols == ["circle", "diamond", "diamond-open"]
    assert [t.name for t in figure.data if t.showlegend] == ["train", "test", "not by the end"]


def test_the_legend_names_what_never_falls(found: xr.Dataset) -> None:
    never = found.assign(fall_step=found.fall_step.where(found.split == "train"))
    figure: Any = plot_variants(never)
    named = [trace for trace in figure.data if trace.showlegend]
    assert [trace.name for trace in named] == ["train", "test", "not by the end"]
    assert all(len(trace.x) for trace in named)  # plotly leaves empty traces out of the legend
    assert list(named[1].x) == [None]


def test_a_median_that_is_censored_is_not_told(found: xr.Dataset) -> None:
    rows = table(found)
    assert [row["variant"] for row in rows] == ["plain", "plain", "late", "late"]
    assert [row["start"] for row in rows] == ["10:1", "1:1", "10:1", "1:1"]
    assert rows[0]["test / 10"] == 10
    assert np.isnan(rows[2]["test / 10"])
    assert rows[2]["train / 2"] == 10
    verdict = found.verdict.sel(variant="plain", start="10:1").values[0]
    assert rows[0]["verdict"] == f"3 {verdict}"
