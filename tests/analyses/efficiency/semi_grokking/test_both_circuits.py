"""A network that stands half-way by construction: neurons for the rule, and one for each pair."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

import grokinterp as gi
from analyses.efficiency.semi_grokking import both_circuits
from analyses.efficiency.semi_grokking.figures import plot_circuits
from analyses.statistics.curves import Outcome
from probes import network_on_pairs
from tests.networks import adding_and_remembering

P, PERIODIC, WRITES = 13, 30, 0.8
CONFIG = gi.RunConfig(data=gi.DataConfig(p=P, train_fraction=0.5), training=gi.TrainConfig(steps=1))


def _run(model: gi.HookedMLP, data: gi.Dataset) -> gi.Run:
    history = xr.Dataset({"test_accuracy": ("step", [_accuracies(model, data)["test"]])})
    return gi.Run(CONFIG, data, model.eval(), history)


def _accuracies(model: Any, data: gi.Dataset) -> dict[str, float]:
    right = network_on_pairs(model).logits().argmax(-1) == data.labels
    return {
        "train": float(right[data.is_train].double().mean()),
        "test": float(right[~data.is_train].double().mean()),
    }


@pytest.fixture(scope="module")
def run() -> gi.Run:
    """Too few analytic neurons to add well, and for each training pair one that sees it most."""
    data = gi.make_dataset(CONFIG.data)
    seen = data.is_train.nonzero()[:, 0]
    model = adding_and_remembering(data, seen, periodic=PERIODIC, writes=WRITES)
    return _run(model, data)


@pytest.fixture(scope="module")
def found(run: gi.Run) -> xr.Dataset:
    return both_circuits.compute([run], [Outcome.SEMI_GROKKED], random_seeds=4)


def test_planted_circuits_are_both_found(run: gi.Run, found: xr.Dataset) -> None:
    whole = _accuracies(run.model, run.dataset)
    assert whole["train"] == 1
    assert 0.5 < whole["test"] < 0.7
    only = found.squeeze("run")
    assert only.verdict.item() == "both"
    assert only.S_mem.item() > 0.9 > float(only.control_mem.max()) + 0.5
    assert only.S_gen.item() > 0.9 > float(only.control_gen.max()) + 0.2
    periodic = PERIODIC / (PERIODIC + int(run.dataset.is_train.sum()))
    assert 0 < only.removed_gen.item() < periodic + 0.05  # the rule is lost before its last neuron
    assert only.removed_mem.item() > 0.95 * (1 - periodic)  # and some that the rule can spare
    without_memory = only.left.sel(direction="low")
    assert abs(without_memory.diff("subset").item()) < 0.05
    without_rule = only.left.sel(direction="high")
    assert without_rule.sel(subset="train") > 0.75
    assert without_rule.sel(subset="test") < 0.15
    for direction in both_circuits.DIRECTIONS:
        start = only.accuracy.sel(direction=direction).isel(removed=0).values
        np.testing.assert_allclose(start, [whole["train"], whole["test"]])


def test_a_rule_without_memory_is_not_both(run: gi.Run) -> None:
    """Analytic weights alone do not know which pairs were seen, so there is nothing to lose."""
    rule = gi.closed_form_mlp(P, 20, seed=1)
    accuracies = _accuracies(rule, run.dataset)
    assert accuracies["train"] <= accuracies["test"]
    data = both_circuits.compute([_run(rule, run.dataset)], [Outcome.UNFINISHED], random_seeds=2)
    assert data.verdict.item() == "neither"
    assert data[["S_mem", "S_gen"]].to_array().isnull().all()


def test_runs_between_15_and_90_percent_are_taken_apart(run: gi.Run) -> None:
    ends = [0.149, 0.15, 0.9, 0.901]
    runs = [
        gi.Run(CONFIG, run.dataset, None, xr.Dataset({"test_accuracy": ("step", [0.5, end])}))
        for end in ends
    ]
    assert both_circuits.half_way(runs) == [1, 2]
    with pytest.raises(ValueError, match="runs is empty"):
        both_circuits.compute([], [])


def test_a_row_and_a_figure_show_each_run(found: xr.Dataset) -> None:
    (row,) = both_circuits.table(found)
    assert (row["fraction"], row["seed"], row["ended"]) == (0.5, 0, "semi-grokked")
    assert row["memorising half, test"] == float(found.left[0, 1, 1])
    figure: Any = plot_circuits(found)
    assert [trace.name for trace in figure.data] == ["train", "test"] * 2
    np.testing.assert_array_equal(figure.data[3].y, found.accuracy[0, 1, 1])
