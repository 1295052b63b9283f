"""Accuracy and IPR while training, and one neuron's weights (Doshi et al. 2023, Fig. 2).

The IPR at each step has to be measured during training::

    run = gi.train(config, probes=grokking.PROBES)

Examples:
    >>> import grokinterp as gi
    >>> from analyses import grokking
    >>> changes = {"data.p": 11, "training.steps": 100}
    >>> run = gi.train(gi.RunConfig().replace(changes), probes=grokking.PROBES)
    >>> data = grokking.compute(run)
    >>> data.mean_ipr.sizes["step"], dict(data.row.sizes)  # one neuron's weights before and after
    (11, {'when': 2, 'residue': 11})
    >>> figure = grokking.plot_over_time(data)
"""

import numpy as np
import plotly.graph_objects as go
import torch
import xarray as xr

from analyses.pages.finding import Finding
from analyses.pages.palette import GUIDE, INK, PLAIN, SUBSET_LABEL, SUBSET_STYLE
from analyses.pages.style import IPR_BINS, finish
from analyses.runs_given import check_run
from grokinterp import Run, build_model
from grokinterp.basis import residue_order
from grokinterp.session import unaffected
from probes import NeuronIPR, dominant_mode, mean_ipr, model_neuron_ipr, neuron_weights

PROBES = {"mean_ipr": mean_ipr}  # for gi.train(..., probes=PROBES)
_WHEN = {"before": GUIDE, "after": PLAIN}


@unaffected()
def compute(run: Run, *, neuron: int | None = None) -> xr.Dataset:
    """Accuracies and mean IPR against steps, and the neurons before and after training.

    Args:
        run: a run of a network with one hidden layer.
        neuron: index of the neuron whose input weights are shown. By default the one with the
            lowest non-zero frequency among the quarter of neurons with the highest IPR, because
            its period is the easiest to see.

    Returns:
        Dataset with ``train_accuracy`` and ``test_accuracy`` (step); ``mean_ipr`` (step), if the
        run was trained with ``probes=PROBES``; ``row`` (when, residue), the neuron's weights from
        the first operand, residues in the order in which the task is periodic; ``ipr`` (when,
        neuron), NaN for a dead neuron; ``n_dead`` (when). "when" is "before" or "after" training.
        Attributes: ``neuron``, and ``frequency``, the dominant one of its row after training.

    Raises:
        ValueError: the network has no neuron of that index.
    """
    check_run(run)
    models = {"before": build_model(run.config), "after": run.model}
    found = {when: model_neuron_ipr(model) for when, model in models.items()}
    ipr = torch.stack([one.ipr for one in found.values()])
    if neuron is None:
        neuron = _clearest_neuron(found["after"])
    if not 0 <= neuron < ipr.shape[1]:
        raise ValueError(f"neuron must lie in 0..{ipr.shape[1] - 1}, got {neuron}")
    order = residue_order(run.config.data.operation, run.config.data.p)
    rows = torch.stack([neuron_weights(model).U[neuron, order] for model in models.values()])
    measured = ["train_accuracy", "test_accuracy"]
    measured += [name for name in PROBES if name in run.history]
    data = run.history[measured].assign_coords(when=list(models))
    data["row"] = ("when", "residue"), rows.numpy()
    data["residue"] = "residue", order.numpy()
    data["ipr"] = ("when", "neuron"), ipr.numpy()
    data["n_dead"] = "when", [one.n_dead for one in found.values()]
    return data.assign_attrs(neuron=neuron, frequency=int(dominant_mode(rows[1]).frequency))


def _clearest_neuron(found: NeuronIPR) -> int:
    periodic = found.ipr.nan_to_num(-1.0).argsort(descending=True)[: (len(found.ipr) + 3) // 4]
    frequency = found.modes.frequency[0][periodic]
    frequency = frequency.masked_fill(frequency <= 0, frequency.max() + 1)
    return int(periodic[frequency.argmin()])


def plot_over_time(
    data: xr.Dataset, *, title: str = "Accuracy and IPR while training"
) -> go.Figure:
    """Fig. 2a: train and test accuracy, and the mean IPR if it was measured."""
    figure = go.Figure()
    for subset in ("train", "test"):
        name, line = f"accuracy: {SUBSET_LABEL[subset]}", SUBSET_STYLE[subset]
        accuracy, hover = data[f"{subset}_accuracy"], "step %{x}: %{y:.4f}"
        figure.add_scatter(x=data.step, y=accuracy, name=name, line=line, hovertemplate=hover)
    if "mean_ipr" in data:
        line, hover = {"color": INK, "width": 4}, "step %{x}: %{y:.3f}"
        figure.add_scatter(
            x=data.step, y=data.mean_ipr, name="mean IPR", line=line, hovertemplate=hover
        )
    figure.update_xaxes(title="step (updates)")
    figure.update_yaxes(title="accuracy, IPR", range=[-0.03, 1.03])
    return finish(figure, title=title)


def plot_row(data: xr.Dataset, *, title: str = "One neuron's input weights") -> go.Figure:
    """Fig. 2b: one neuron's weights from the first operand, before and after training."""
    figure = go.Figure()
    for when, colour in _WHEN.items():
        figure.add_scatter(
            x=np.arange(data.sizes["residue"]),
            y=data.row.sel(when=when),
            customdata=data.residue,
            name=f"{when} training",
            line={"color": colour},
            mode="lines+markers",
            marker_size=4,
            hovertemplate="residue %{customdata}: %{y:.4f}",
        )
    is_log = bool((data.residue != np.arange(data.sizes["residue"])).any())
    figure.update_xaxes(
        title="discrete logarithm of the first operand"
        if is_log
        else "residue of the first operand"
    )
    figure.update_yaxes(title=f"weight into neuron {data.attrs['neuron']}")
    return finish(figure, title=f"{title} (frequency {data.attrs['frequency']})")


def plot_shift(data: xr.Dataset, *, title: str = "IPR before and after training") -> go.Figure:
    """Fig. 2c: histogram of the neurons' IPR before and after training."""
    figure = go.Figure()
    for when, colour in _WHEN.items():
        figure.add_histogram(
            x=data.ipr.sel(when=when),
            xbins=IPR_BINS,
            name=f"{when} training",
            marker_color=colour,
            opacity=0.75,
            hovertemplate="IPR %{x}: %{y} neurons",
        )
    figure.update_xaxes(title="IPR (1 = one frequency)", range=[0, 1])
    figure.update_yaxes(title="neurons")
    return finish(figure, title=title, barmode="overlay")


def analysis(run: Run) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(run)
    before, after = (float(data.ipr.sel(when=when).mean()) for when in data.when.values)
    rows = [
        f"mean IPR of the living neurons: {before:.3f} before training, {after:.3f} after",
        f"neuron {data.attrs['neuron']} has mainly frequency {data.attrs['frequency']}",
    ]
    sentences = [
        "Accuracy, and the mean IPR where it was measured while training.",
        "The weights of one neuron from the first operand: noise before training, and a wave of "
        "one frequency after it if the neuron generalises.",
        "Neurons that generalise move from the left to the right.",
    ]
    figures = [plot_over_time(data), plot_row(data), plot_shift(data)]
    return Finding(data=data, figures=figures, rows=rows, sentences=sentences)
