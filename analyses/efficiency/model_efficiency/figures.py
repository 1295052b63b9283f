"""Figures of model efficiency: norms and logits as published, controlled, and their slopes."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from analyses.efficiency.histories import NETWORK_LABEL
from analyses.efficiency.model_efficiency.computation import CIRCUITS, NORM_KINDS
from analyses.pages.labels import seeds_in_words
from analyses.pages.palette import (
    FAINT,
    GENERALISING,
    GUIDE,
    INK,
    MEMORISING,
    SUBSET_LOOK,
    Look,
    series,
)
from analyses.pages.panels import Place, draw, error_bars, finished, panels
from analyses.pages.wrapping import wrapped

# Circuits differ in colour, the ways to take them from a run in dash and marker.
_MEM, _RANDOM = MEMORISING.color, SUBSET_LOOK["changed"].color
_CIRCUIT = {  # name in the legend and look, in all figures
    "C_mem": ("C_mem as published", MEMORISING._replace(dash="solid")),
    "C_mem, validation low": ("C_mem, test at most 5 %", Look(_MEM, "dash", "square-open")),
    "C_mem, equal step": ("C_mem, all at one step", Look(_MEM, "dot", "x")),
    "random labels": ("random labels, when memorised", Look(_RANDOM, "dashdot", "triangle-up")),
    "random labels, equal step": (
        "random labels, end of training",
        Look(_RANDOM, "longdash", "diamond-open"),
    ),
    "C_gen": ("C_gen as published", GENERALISING),
    "C_gen, validation high": (
        "C_gen, test at least 99.9 %",
        Look(GENERALISING.color, "dash", "circle-open"),
    ),
}
_KINDS = {
    kind: [name for name, source in CIRCUITS.items() if source.kind == kind]
    for kind in ("memorising", "generalising")
}


def plot_efficiency(data: xr.Dataset, *, title: str | None = None) -> go.Figure:
    """The published figure above, the controlled one below; memorising left, generalising right.

    Above: norm of all parameters (line, left axis) and 20 correct-class logits of every network
    (dots, right axis). Below: the norm at a common median margin. Thin lines are seeds, thick ones
    their geometric means.
    """
    titles = [f"<b>as published</b>: {circuit}" for circuit in ("C_mem", "C_gen")]
    titles += [f"<b>controlled</b>: {kind}" for kind in _KINDS]
    axes = [[{"secondary_y": True}] * 2, [{}] * 2]
    layout = {"shared_xaxes": True, "shared_yaxes": False, "vertical_spacing": 0.14, "specs": axes}
    figure = panels(titles, rows=2, gap=0.12, **layout)
    for column, circuits in enumerate(_KINDS.values(), 1):
        _draw_costs(figure, data, circuits[0], "all parameters", (1, column))
        _draw_logits(figure, data.sel(circuit=circuits[0]), column)
        for circuit in circuits[1:]:
            _draw_costs(figure, data, circuit, "matched margin", (2, column))
    figure.update_xaxes(title="train fraction", row=2)
    figure.update_yaxes(rangemode="tozero")
    figure.update_yaxes(secondary_y=True, showgrid=False, tickmode="auto", row=1)
    figure.update_yaxes(title="norm of all parameters", secondary_y=False, row=1, col=1)
    figure.update_yaxes(title="correct logit", secondary_y=True, row=1, col=2)
    figure.update_yaxes(title=f"norm at median margin {data.target_margin:.3g}", row=2, col=1)
    title = title or f"What logits cost: {NETWORK_LABEL[data.network]}"
    return finished(figure, title, height=760, note=_seeds(data))


def plot_layers(data: xr.Dataset, *, title: str = "Norms layer by layer") -> go.Figure:
    """Norm of every layer against the train fraction: means over seeds, without unused rows."""
    shown = ("C_mem", "random labels, equal step", "C_gen")
    norms = data.layer_norm.where(data.missing == "").mean("seed")
    figure = panels([_CIRCUIT[circuit][0] for circuit in shown])
    for column, circuit in enumerate(shown, 1):
        for i, layer in enumerate(data.layer.values):
            y, look = norms.sel(circuit=circuit, layer=layer), series(i)
            options = {"width": 2, "size": 8, "hover": "fraction %{x}: %{y:.3g}"}
            draw(figure, (1, column), data.fraction, y, layer, look, **options)
    figure.update_xaxes(title="train fraction")
    figure.update_yaxes(title="norm of the layer", rangemode="tozero", col=1)
    seeds = _seeds(data.sel(circuit=list(shown)))
    return finished(figure, title, height=460, note=seeds)


def plot_trend(
    trend: xr.Dataset, *, title: str = "Does the cost grow with the training set?"
) -> go.Figure:
    """Slopes with 95 % intervals over seeds, a row per measure, a marker per circuit; 0: no trend.

    A missing marker was not detected; the table says why.
    """
    figure = panels(list(_KINDS))
    rows = -np.arange(len(NORM_KINDS))
    for column, circuits in enumerate(_KINDS.values(), 1):
        for i, circuit in enumerate(circuits):
            name, look = _CIRCUIT[circuit]
            here = trend.sel(circuit=circuit)
            ends = (here.slope, here.low.fillna(here.slope), here.high.fillna(here.slope))
            bars = error_bars(*ends, color=look.color, thickness=1.5, width=4)
            options = {"mode": "markers", "size": 10, "error_x": bars, "text": here.verdict}
            y = rows - 0.7 * ((i + 0.5) / len(circuits) - 0.5)
            hover = "D^%{x:.2f}: %{text}"
            draw(figure, (1, column), here.slope, y, name, look, hover=hover, **options)
        figure.add_vline(0, line_color=GUIDE, line_dash="dot", row=1, col=column)
    figure.update_xaxes(title="slope per log D")
    names = [wrapped(name, 16) for name in NORM_KINDS.values()]
    figure.update_yaxes(tickvals=rows, ticktext=names, showgrid=False)
    figure.update_yaxes(range=[rows[-1] - 0.5, 0.5])
    for boundary in rows[1:]:
        figure.add_hline(boundary + 0.5, line_color=FAINT, line_width=1)
    seeds = f"slope of log cost; {seeds_in_words(trend.n_seeds)}, 95 % intervals"
    return finished(figure, title, height=660, note=seeds)


def _seeds(data: xr.Dataset) -> str:
    """Seeds per fraction and circuit; some may never have become the circuit."""
    return seeds_in_words((data.missing == "").sum("seed"), of=data.sizes["seed"])


def _draw_costs(figure: Any, data: xr.Dataset, circuit: str, measure: str, place: Place) -> None:
    name, look = _CIRCUIT[circuit]
    cost = data.cost.sel(circuit=circuit, measure=measure).transpose("seed", "fraction")
    thin = {"mode": "lines", "width": 1, "opacity": 0.4, "showlegend": False, "hoverinfo": "skip"}
    for row in cost.values:
        draw(figure, place, data.fraction, row, name, look, **thin)
    mean = np.exp(np.log(cost).mean("seed"))
    draw(figure, place, data.fraction, mean, name, look, hover="fraction %{x}: norm %{y:.4g}")


def _draw_logits(figure: Any, circuit: xr.Dataset, column: int) -> None:
    logits = circuit.logits.where(circuit.missing == "").transpose("fraction", "seed", "rank")
    x = np.repeat(circuit.fraction.values, logits[0].size)
    look, hover = Look(INK, symbol="diamond"), "fraction %{x}: logit %{y:.3g}"
    dots = {"mode": "markers", "size": 4, "opacity": 0.45, "hover": hover, "secondary_y": True}
    name = "correct logits (right axis)"
    draw(figure, (1, column), x, logits.values.ravel(), name, look, **dots)
