"""Grokking seen in the weights: accuracy and IPR over time (Doshi et al. 2023, Fig. 2).

IPR over time has to be measured while training::

    run = gi.train(config, probes=grokking.PROBES)
"""

import numpy as np
import plotly.graph_objects as go
import torch
import xarray as xr

from analyses.pages.finding import Finding
from analyses.pages.style import BLUE, GREEN, GREY, SUBSET_LABEL, SUBSET_STYLE, finish
from grokinterp import Run, build_model
from grokinterp.session import unaffected
from probes import NeuronIPR, dominant_mode, mean_ipr, model_neuron_ipr, neuron_weights

PROBES = {"mean_ipr": mean_ipr}  # pass as gi.train(..., probes=PROBES)


@unaffected()
def compute(run: Run, *, neuron: int | None = None) -> xr.Dataset:
    """Accuracies and IPR while training, and one neuron and all IPRs before and after.

    Args:
        run: any run of a two-layer network; with ``mean_ipr`` in its history if it was trained
            with ``probes=PROBES``.
        neuron: whose row of U to show; by default, among the quarter of highest IPR, the one of
            lowest non-zero frequency: its period is the easiest to see.

    Returns:
        Dataset with ``train_accuracy``, ``test_accuracy`` and, if measured, ``mean_ipr`` over
        "step"; ``row`` (when, residue) of U; ``ipr`` (when, neuron), NaN where dead, and ``n_dead``
        (when); "when" is before or after training. Attributes: ``neuron`` and the ``frequency`` of
        its row after training.
    """
    untrained = build_model(run.config)
    models = {"before": untrained, "after": run.model}
    found = {when: model_neuron_ipr(model) for when, model in models.items()}
    ipr = torch.stack([one.ipr for one in found.values()])
    if neuron is None:
        neuron = _clearest_neuron(found["after"])
    if not 0 <= neuron < ipr.shape[1]:
        raise ValueError(f"neuron must lie in 0..{ipr.shape[1] - 1}, got {neuron}")
    rows = torch.stack([neuron_weights(model).U[neuron] for model in models.values()])
    measured = ["train_accuracy", "test_accuracy"]
    measured += [name for name in PROBES if name in run.history]
    return run.history[measured].assign(
        row=xr.DataArray(rows.numpy(), dims=("when", "residue")),
        ipr=xr.DataArray(ipr.numpy(), dims=("when", "neuron")),
        n_dead=("when", [one.n_dead for one in found.values()]),
    ).assign_coords(when=list(models)).assign_attrs(
        neuron=neuron, frequency=int(dominant_mode(rows[1]).frequency)
    )  # fmt: skip


def _clearest_neuron(found: NeuronIPR) -> int:
    periodic = found.ipr.nan_to_num(-1.0).argsort(descending=True)[: (len(found.ipr) + 3) // 4]
    frequency = found.modes.frequency[0][periodic]
    frequency = frequency.masked_fill(frequency <= 0, frequency.max() + 1)
    return int(periodic[frequency.argmin()])


def plot_over_time(
    data: xr.Dataset, *, title: str = "Accuracy and IPR while training"
) -> go.Figure:
    """Fig. 2a: train and test accuracy, and mean IPR if it was measured."""
    figure = go.Figure()
    for subset in ("train", "test"):
        figure.add_scatter(
            x=data.step, y=data[f"{subset}_accuracy"], name=f"accuracy: {SUBSET_LABEL[subset]}",
            line=SUBSET_STYLE[subset], hovertemplate="step %{x}: %{y:.4f}",
        )  # fmt: skip
    if "mean_ipr" in data:
        figure.add_scatter(
            x=data.step, y=data.mean_ipr, name="mean IPR", line={"color": GREEN, "width": 4},
            hovertemplate="step %{x}: %{y:.3f}",
        )  # fmt: skip
    figure.update_xaxes(title="step (updates)")
    figure.update_yaxes(title="accuracy, IPR", range=[-0.03, 1.03])
    return finish(figure, title=title)


def plot_row(data: xr.Dataset, *, title: str = "One neuron's input weights") -> go.Figure:
    """Fig. 2b: one row of U before and after training."""
    figure = go.Figure()
    for when, color in (("before", GREY), ("after", BLUE)):
        figure.add_scatter(
            x=np.arange(data.sizes["residue"]), y=data.row.sel(when=when), name=f"{when} training",
            line={"color": color}, mode="lines+markers", marker_size=4,
            hovertemplate="residue %{x}: %{y:.4f}",
        )  # fmt: skip
    figure.update_xaxes(title="residue of the first operand")
    figure.update_yaxes(title=f"weight into neuron {data.attrs['neuron']}")
    return finish(figure, title=f"{title} (frequency {data.attrs['frequency']})")


def plot_shift(data: xr.Dataset, *, title: str = "IPR before and after training") -> go.Figure:
    """Fig. 2c: histogram of per-neuron IPR before and after training."""
    figure = go.Figure()
    for when, color in (("before", GREY), ("after", BLUE)):
        figure.add_histogram(
            x=data.ipr.sel(when=when), xbins={"start": 0, "end": 1.0001, "size": 0.025},
            name=f"{when} training", marker_color=color, opacity=0.75,
            hovertemplate="IPR %{x}: %{y} neurons",
        )  # fmt: skip
    figure.update_xaxes(title="IPR (1 = one frequency)", range=[0, 1])
    figure.update_yaxes(title="neurons")
    return finish(figure, title=title).update_layout(barmode="overlay")


def analysis(run: Run) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(run)
    return Finding(data=data, figures=[plot_over_time(data), plot_row(data), plot_shift(data)])
