"""Accuracies and losses against training steps (Doshi et al. 2023, Fig. 1).

Examples:
    >>> import grokinterp as gi
    >>> from analyses import training_curves
    >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
    >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
    >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
    >>> curves = training_curves.compute(run)
    >>> curves.accuracy.sel(step=200, subset=["changed", "test"]).values.tolist()
    [1.0, 1.0]
    >>> figure = training_curves.plot_accuracy(curves)
"""

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from analyses.pages.finding import Finding
from analyses.pages.palette import SUBSET_STYLE
from analyses.pages.style import LEVEL, LOSS_LABEL, add_subset_lines, finish
from analyses.runs_given import check_run
from analyses.statistics.thresholds import GENERALISED_FROM
from grokinterp import Run
from grokinterp.data import SUBSETS

# Training is squeezed on a linear axis if the training set is learned in this share of the steps,
# and the test set takes this many times as long, or for ever.
_SQUEEZED_WITHIN, _LATER_BY = 0.1, 5


def compute(run: Run) -> xr.Dataset:
    """Accuracies and losses of a run against training steps.

    Returns:
        Dataset with ``accuracy`` (step, subset) and ``loss`` (step, split; "train" and "test").
        Attributes: ``loss``, the kind of loss, and ``share_uncorrupted``, the share of training
        labels that are true. Histories saved by an earlier version lack the subset "selected".
    """
    check_run(run)
    history = run.history
    subsets = [subset for subset in SUBSETS if f"{subset}_accuracy" in history]
    accuracy = xr.concat([history[f"{s}_accuracy"] for s in subsets], dim="subset")
    loss = xr.concat([history[f"{s}_loss"] for s in subsets[:2]], dim="split")
    return xr.Dataset(
        {
            "accuracy": accuracy.transpose("step", "subset"),
            "loss": loss.transpose("step", "split"),
        },
        coords={"subset": subsets, "split": subsets[:2]},
        attrs={
            "loss": run.config.training.loss,
            "share_uncorrupted": 1 - int(run.dataset.is_changed.sum()) / run.config.data.n_train,
        },
    )


def is_squeezed(curves: xr.Dataset) -> bool:
    """Whether late generalisation leaves early training no room on a linear axis of steps.

    Args:
        curves: the dataset of :func:`compute`.
    """
    steps = curves.step.values
    first = {}
    for subset in ("train", "test"):
        learned = curves.accuracy.sel(subset=subset).values >= GENERALISED_FROM
        first[subset] = float(steps[learned.argmax()]) if learned.any() else np.inf
    early = max(first["train"], 1.0)
    return bool(early <= _SQUEEZED_WITHIN * steps[-1] and first["test"] >= _LATER_BY * early)


def plot_accuracy(curves: xr.Dataset, *, title: str = "Training curves") -> go.Figure:
    """Accuracy on four subsets; the dotted line marks the share of true training labels."""
    figure = go.Figure()
    add_subset_lines(figure, curves.step, curves.accuracy, hover="step %{x}: %{y:.4f}")
    share = curves.attrs["share_uncorrupted"]
    if share < 1:
        note = {"text": "share of true training labels", "font": {"size": 12}}
        figure.add_hline(share, annotation=note, annotation_position="bottom right", **LEVEL)
    figure.update_xaxes(title="step (updates)")
    figure.update_yaxes(title="accuracy", range=[-0.03, 1.03])
    return finish(figure, title=title)


def plot_loss(curves: xr.Dataset, *, title: str = "Losses") -> go.Figure:
    """Train and test loss on a logarithmic axis."""
    figure = go.Figure()
    for split in curves.split.values:
        loss, line = curves["loss"].sel(split=split), SUBSET_STYLE[split]
        hover = "step %{x}: %{y:.3e}"
        figure.add_scatter(x=curves.step, y=loss, name=split, line=line, hovertemplate=hover)
    figure.update_xaxes(title="step (updates)")
    figure.update_yaxes(title=LOSS_LABEL[curves.attrs["loss"]], type="log", exponentformat="power")
    return finish(figure, title=title)


def analysis(run: Run) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(run)
    last = data.accuracy.isel(step=-1)
    rows = [{f"accuracy, {name}": float(last.sel(subset=name)) for name in data.subset.values}]
    sentences = [
        "Accuracy against the labels given in training; corrupted labels are wrong ones, so a high "
        "accuracy on them is memorisation.",
        "The loss of the kind used in training, on a logarithmic axis.",
    ]
    figures = [plot_accuracy(data), plot_loss(data)]
    return Finding(data=data, figures=figures, rows=rows, sentences=sentences)
