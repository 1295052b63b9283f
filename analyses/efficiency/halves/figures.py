"""Figures and a table of the dataset of :mod:`analyses.efficiency.halves`."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from analyses.one_run.pruning_orders import NAMES
from analyses.pages.palette import GENERALISING, GUIDE, INK, MEMORISING, SUBSET_LOOK, Look
from analyses.pages.panels import ACCURACIES, draw, finished, panels
from analyses.pages.style import explain
from analyses.pages.wrapping import wrapped
from grokinterp.models.units import WORDS, kind_of

# Rows of the table and groups of the figures: examples, label, and the style of a line.
_SCORED: dict[str, tuple[str, str, Look]] = {
    "changed, given label": ("changed", "given", SUBSET_LOOK["changed"]),
    "changed, true label": ("changed", "true", Look(INK, "longdash")),
    "unchanged": ("unchanged", "given", SUBSET_LOOK["unchanged"]),
    "test": ("test", "given", SUBSET_LOOK["test"]),
}
_COSTS = {"matched margin": "norm at equal margin", "least": "least norm at that margin"}
_PART = {
    "whole": ("whole network", Look(INK, symbol="diamond-open")),
    "memorising": ("memorising half", MEMORISING),
    "generalising": ("generalising half", GENERALISING),
}


def plot_halves(
    data: xr.Dataset, *, title: str = "What each half of a network has learned"
) -> go.Figure:
    """Accuracy and median logit of the whole and both halves, by examples; a marker per run."""
    figure = panels([""] * 2, rows=2, shared_xaxes=True, vertical_spacing=0.06)
    names = np.repeat([wrapped(name, 10) for name in _SCORED], data.sizes["run"])
    runs = np.tile(data.run.values, len(_SCORED))
    for part, (label, look) in _PART.items():
        here = data.sel(part=part)
        hover = f"{label} %{{customdata}}: %{{y:.3f}}<extra></extra>"
        marks = {"mode": "markers", "size": 11, "hover": hover, "customdata": runs}
        for row, quantity in enumerate(("accuracy", "median_logit"), 1):
            values = [here[quantity].sel(subset=s, label=a) for s, a, _ in _SCORED.values()]
            y = np.concatenate(values)
            draw(figure, (row, 1), names, y, label, look, **marks, offsetgroup=part)
    figure.update_traces(marker_line_width=2, cliponaxis=False)
    figure.update_yaxes(title="accuracy", range=ACCURACIES, row=1)
    figure.update_yaxes(title="median logit at the label", row=2, zerolinecolor=GUIDE)
    figure.update_xaxes(title="training examples by label, and test", row=2)
    grouped = {"scattermode": "group", "scattergap": 0.5}
    return finished(figure, title, height=620, note=_networks(data), **grouped)


def plot_cuts(
    data: xr.Dataset, *, title: str = "Does it matter where a network is cut?"
) -> go.Figure:
    """Accuracy of both halves against the threshold; grey lines are the thresholds in use."""
    kinds = data.kind.values.tolist()
    figure = panels([_PART[kind][0] for kind in kinds])
    for column, kind in enumerate(kinds, 1):
        for run in range(data.sizes["run"]):
            here = data.cut_accuracy.isel(run=run).sel(kind=kind)
            for name, (subset, label, look) in _SCORED.items():
                y, hover = (
                    here.sel(subset=subset, label=label),
                    f"{name}, {_periodicity(data)} %{{x:.2f}}: %{{y:.3f}}",
                )
                line = {"mode": "lines", "width": 2, "hover": f"{hover}<extra></extra>"}
                draw(figure, (1, column), data.cut, y, name, look, **line)
            grey = {"line_color": GUIDE, "line_width": 1.5}
            figure.add_vline(float(data.threshold[run]), **grey, row=1, col=column)
    figure.update_xaxes(title=f"threshold ({_periodicity(data)})", range=[0, 1])
    figure.update_yaxes(range=ACCURACIES)
    figure.update_yaxes(title="accuracy of the half", col=1)
    explain(figure, "threshold in use", symbol="line-ns-open", color=GUIDE, size=12)
    return finished(figure, title, height=470, note=_networks(data))


def _networks(data: xr.Dataset) -> str:
    return "one network" if data.sizes["run"] == 1 else f"{data.sizes['run']} networks"


def table(data: xr.Dataset) -> list[dict[str, Any]]:
    """One row per run and part: units, norms, and accuracy on each kind of example and label."""
    units = WORDS[kind_of(data.attrs["unit"])][0]
    return [
        ({"run": str(run)} if str(run) else {})
        | {"part": part, units: int(here.n_neurons), "norm": float(here.norm)}
        | {name: float(here.cost.sel(measure=kind)) for kind, name in _COSTS.items()}
        | {
            name: float(here.accuracy.sel(subset=subset, label=label))
            for name, (subset, label, _) in _SCORED.items()
        }
        for run in data.run.values
        for part in _PART
        for here in [data.sel(run=run, part=part)]
    ]


def _periodicity(data: xr.Dataset) -> str:
    return NAMES[data.attrs["definition"]]
