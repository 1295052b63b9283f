"""Accuracies and losses against training steps (Doshi et al. 2023, Fig. 1)."""

import plotly.graph_objects as go
import xarray as xr

from analyses.pages.finding import Finding
from analyses.pages.style import DRAWN_SUBSETS, GREY, LOSS_LABEL, SUBSET_LABEL, SUBSET_STYLE, finish
from grokinterp import Run
from grokinterp.data import SUBSETS


def compute(run: Run) -> xr.Dataset:
    """The run's history as ``accuracy`` (step, subset) and ``loss`` (step, train or test).

    A run saved by an earlier version may have no "selected" labels in its history.
    """
    history = run.history
    subsets = [subset for subset in SUBSETS if f"{subset}_accuracy" in history]
    accuracy = xr.concat([history[f"{s}_accuracy"] for s in subsets], dim="subset")
    loss = xr.concat([history[f"{s}_loss"] for s in subsets[:2]], dim="split")
    curves = xr.Dataset(
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
    return curves


def plot_accuracy(curves: xr.Dataset, *, title: str = "Training curves") -> go.Figure:
    """Accuracy on four subsets; the dotted line is the share of training labels that are true."""
    figure = go.Figure()
    for subset in DRAWN_SUBSETS:
        values = curves.accuracy.sel(subset=subset)
        figure.add_scatter(
            x=curves.step, y=values, name=SUBSET_LABEL[subset], line=SUBSET_STYLE[subset],
            hovertemplate="step %{x}: %{y:.4f}",
        )  # fmt: skip
    share = curves.attrs["share_uncorrupted"]
    if share < 1:
        figure.add_hline(
            share, line_dash="dot", line_color=GREY,
            annotation={"text": "share of true training labels", "font": {"size": 12}},
            annotation_position="bottom right",
        )  # fmt: skip
    figure.update_xaxes(title="step (updates)")
    figure.update_yaxes(title="accuracy", range=[-0.03, 1.03])
    return finish(figure, title=title)


def plot_loss(curves: xr.Dataset, *, title: str = "Losses") -> go.Figure:
    """Train and test loss on a logarithmic axis."""
    figure = go.Figure()
    for split in curves.split.values:
        figure.add_scatter(
            x=curves.step, y=curves["loss"].sel(split=split), name=split, line=SUBSET_STYLE[split],
            hovertemplate="step %{x}: %{y:.3e}",
        )  # fmt: skip
    figure.update_xaxes(title="step (updates)")
    figure.update_yaxes(title=LOSS_LABEL[curves.attrs["loss"]], type="log", exponentformat="power")
    return finish(figure, title=title)


def analysis(run: Run) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(run)
    return Finding(data=data, figures=[plot_accuracy(data), plot_loss(data)])
