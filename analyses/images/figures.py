"""Figures of the scans over weight decay and dropout on images."""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from analyses.images.computation import of_scan
from analyses.label_noise.curves import plot_curves
from analyses.pages.labels import seeds_in_words
from analyses.pages.palette import DRAWN_SUBSETS, SUBSET_LABEL, SUBSET_LOOK
from analyses.pages.panels import ACCURACIES, draw, draw_phases, finished, level_line, panels

if TYPE_CHECKING:
    import plotly.graph_objects as go

_AXIS = {"weight_decay": "weight decay", "dropout": "dropout probability"}


def plot_scans(data: xr.Dataset, *, title: str) -> "go.Figure":
    """Fig. 16: final accuracies against weight decay and dropout, a row for each corruption.

    Lines are means over seeds, markers single runs. The squares along the bottom have the colour of
    each run's phase, a row for each seed. The dotted line is the share of true training labels.
    """
    titles = [f"<b>corruption {xi:g}</b>" for xi in data.corruption.values for _ in _AXIS]
    rows = data.sizes["corruption"]
    figure = panels(titles, rows=rows, vertical_spacing=0.3 / rows)
    for row in range(rows):
        for column, scan in enumerate(_AXIS, 1):
            here, place = of_scan(data.isel(corruption=row), scan), (row + 1, column)
            x = np.arange(here.sizes[scan])
            last = here.accuracy.isel(step=-1)
            for subset in DRAWN_SUBSETS:
                look, name = SUBSET_LOOK[subset], SUBSET_LABEL[subset]
                of_subset = last.sel(subset=subset)
                dots: dict[str, Any] = {"mode": "markers", "size": 5, "opacity": 0.5}
                for run in of_subset.transpose("seed", scan).values:
                    draw(figure, place, x, run, name, look, showlegend=False, **dots)
                mean, hover = of_subset.mean("seed").values, "%{y:.3f}"
                draw(figure, place, x, mean, name, look, mode="lines", hover=hover)
            draw_phases(figure, place, x, here.phase.transpose("seed", scan).values)
            level_line(figure, float(here.share_uncorrupted.mean()), place)
            ticks = {"tickvals": x, "ticktext": [f"{value:g}" for value in here[scan].values]}
            figure.update_xaxes(title=_AXIS[scan], row=place[0], col=place[1], **ticks)
    lowest = -0.08 - 0.05 * data.sizes["seed"]
    figure.update_yaxes(range=[lowest, ACCURACIES[1]], tickvals=[0, 0.25, 0.5, 0.75, 1])
    figure.update_yaxes(title="accuracy", col=1)
    seeds, height = seeds_in_words(data.sizes["seed"]), 200 + 330 * rows
    return finished(figure, title, height=height, note=seeds)


def plot_history(data: xr.Dataset, scan: str, corruption: float, *, title: str) -> "go.Figure":
    """Accuracies against steps, a panel for each value of "weight_decay" or "dropout"."""
    here = of_scan(data.sel(corruption=corruption), scan)
    return plot_curves(here, scan, title=title)
