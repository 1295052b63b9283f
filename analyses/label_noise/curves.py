"""Training curves of runs that differ in one setting, averaged over seeds."""

from typing import Any

import plotly.graph_objects as go
import xarray as xr

from analyses.one_run import training_curves
from analyses.one_run.phases import classify
from analyses.pages.labels import seeds_in_words
from analyses.pages.palette import DRAWN_SUBSETS, SUBSET_LABEL, SUBSET_LOOK
from analyses.pages.panels import ACCURACIES, draw, finished, level_line, panels
from grokinterp import Run


def of_run(run: Run) -> xr.Dataset:
    """A run's ``accuracy`` (step, subset), ``share_uncorrupted`` of its labels, and ``phase``."""
    curves = training_curves.compute(run)
    share = curves.attrs["share_uncorrupted"]
    return xr.Dataset(
        {"accuracy": curves.accuracy, "share_uncorrupted": share, "phase": str(classify(run))}
    )


def titles(data: xr.Dataset, axis: str) -> list[str]:
    """The headings of panels: the name of the axis and each of its values."""
    return [f"<b>{axis.replace('_', ' ')} {value:g}</b>" for value in data[axis].values]


def plot_curves(data: xr.Dataset, axis: str, *, title: str) -> go.Figure:
    """Accuracies against steps, a panel for each value; lines are means, thin lines single seeds.

    Args:
        data: with the variables of :func:`of_run`, over ``axis`` and "seed".
        axis: name of the setting's dimension.
        title: of the figure.
    """
    figure, step = panels(titles(data, axis)), data.step.values
    for column in range(1, data.sizes[axis] + 1):
        here = data.isel({axis: column - 1})
        for subset in DRAWN_SUBSETS:
            look, name = SUBSET_LOOK[subset], SUBSET_LABEL[subset]
            of_subset = here.accuracy.sel(subset=subset)
            thin: dict[str, Any] = {"width": 0.7, "opacity": 0.45, "showlegend": False}
            for curve in of_subset.transpose("seed", "step").values:
                draw(figure, (1, column), step, curve, name, look, mode="lines", **thin)
            mean, hover = of_subset.mean("seed").values, "step %{x}: %{y:.3f}"
            draw(figure, (1, column), step, mean, name, look, mode="lines", hover=hover)
        level_line(figure, float(here.share_uncorrupted.mean()), (1, column))
    figure.update_xaxes(title="step (updates)")
    figure.update_yaxes(range=ACCURACIES)
    figure.update_yaxes(title="accuracy", col=1)
    seeds = seeds_in_words(data.sizes["seed"])
    return finished(figure, title, height=430, note=seeds)
