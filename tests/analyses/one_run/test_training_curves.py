"""Training curves are the run's own history, relabelled."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr

import grokinterp as gi
from analyses.one_run import training_curves

SUBSETS = ["train", "test", "changed", "unchanged", "selected"]


def test_curves_are_the_history(corrupted_run: gi.Run) -> None:
    curves = training_curves.compute(corrupted_run)
    history = corrupted_run.history
    assert dict(curves.accuracy.sizes) == {"step": 21, "subset": 5}
    assert dict(curves["loss"].sizes) == {"step": 21, "split": 2}
    assert curves.step.values.tolist() == list(range(0, 201, 10))
    assert curves.subset.values.tolist() == SUBSETS
    assert curves.split.values.tolist() == ["train", "test"]
    for subset in SUBSETS:
        np.testing.assert_array_equal(
            curves.accuracy.sel(subset=subset), history[f"{subset}_accuracy"]
        )
    for split in ("train", "test"):
        np.testing.assert_array_equal(curves["loss"].sel(split=split), history[f"{split}_loss"])
    assert curves.attrs["loss"] == "mse"


def test_a_history_saved_without_the_redrawn_labels_is_shown(corrupted_run: gi.Run) -> None:
    older = corrupted_run.history.drop_vars(["selected_loss", "selected_accuracy"])
    curves = training_curves.compute(dataclasses.replace(corrupted_run, history=older))
    assert curves.subset.values.tolist() == SUBSETS[:4]
    figure: Any = training_curves.plot_accuracy(curves)
    assert len(figure.data) == 4


def test_share_of_uncorrupted_labels_counts_the_labels(
    corrupted_run: gi.Run, clean_run: gi.Run
) -> None:
    data = corrupted_run.dataset
    true = (data.labels == data.tokens.sum(dim=1) % 11)[data.is_train]
    found = training_curves.compute(corrupted_run).attrs["share_uncorrupted"]
    assert found == pytest.approx(true.double().mean().item())
    assert training_curves.compute(clean_run).attrs["share_uncorrupted"] == 1


def test_plots_draw_the_curves(
    corrupted_run: gi.Run, axis_titles: Callable[[go.Figure], set[str]]
) -> None:
    curves = training_curves.compute(corrupted_run)
    accuracy: Any = training_curves.plot_accuracy(curves)
    loss: Any = training_curves.plot_loss(curves)
    assert len(accuracy.data) == 4
    for trace, subset in zip(accuracy.data, SUBSETS[:4], strict=True):
        np.testing.assert_array_equal(trace.x, curves.step)
        np.testing.assert_array_equal(trace.y, curves.accuracy.sel(subset=subset))
    assert [line.y0 for line in accuracy.layout.shapes] == [curves.attrs["share_uncorrupted"]]
    assert len(loss.data) == 2
    for trace, split in zip(loss.data, ["train", "test"], strict=True):
        np.testing.assert_array_equal(trace.y, curves["loss"].sel(split=split))
    assert loss.layout.yaxis.type == "log"
    assert axis_titles(accuracy) == {"step (updates)", "accuracy"}
    assert axis_titles(loss) == {"step (updates)", "mean squared error"}


def test_a_clean_run_has_no_line_at_its_share_of_true_labels(clean_run: gi.Run) -> None:
    figure: Any = training_curves.plot_accuracy(training_curves.compute(clean_run))
    assert not figure.layout.shapes


def test_the_loss_axis_names_the_loss(
    corrupted_run: gi.Run, axis_titles: Callable[[go.Figure], set[str]]
) -> None:
    curves = training_curves.compute(corrupted_run).assign_attrs(loss="cross_entropy")
    assert "cross-entropy (nats)" in axis_titles(training_curves.plot_loss(curves))


@pytest.mark.parametrize(
    ("train_at", "test_at", "expected"),
    [(50, 900, True), (50, None, True), (50, 200, False), (400, 900, False), (None, None, False)],
)
def test_steps_are_logarithmic_where_late_generalisation_squeezes_the_rest(
    train_at: int | None, test_at: int | None, expected: bool
) -> None:
    steps = np.arange(0, 1001, 50)
    learned = [steps >= (at or 2000) for at in (train_at, test_at)]
    accuracy = (("step", "subset"), np.array(learned).T.astype(float))
    curves = xr.Dataset({"accuracy": accuracy}, {"step": steps, "subset": ["train", "test"]})
    assert training_curves.is_squeezed(curves) == expected
