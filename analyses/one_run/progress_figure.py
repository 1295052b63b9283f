"""The figure of progress measures: a panel per measure, all against steps."""

from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go
import xarray as xr

from analyses.pages.panels import draw_band
from analyses.pages.style import (
    BLACK,
    BLUE,
    DRAWN_SUBSETS,
    GREEN,
    LOSS_LABEL,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    SUBSET_LABEL,
    SUBSET_STYLE,
    finish,
    stacked_panels,
)

_PANEL, _GAP = 175, 28  # height of a panel and of the space between two, in pixels
_COLOURS, _DASHES = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY), ("solid", "dash", "dot", "dashdot")


def plot_progress(data: xr.Dataset, *, title: str = "Progress measures over training") -> go.Figure:
    """One panel per measure, all against steps; the band spans 10 % to 90 % of the neurons."""
    panels: dict[str, Callable[..., None]] = {
        "accuracy": _draw_accuracy,
        LOSS_LABEL[data.attrs["loss"]]: _draw_loss,
        "trigonometric share<br>of the logits": _draw_explained,
    }
    if data.sizes["neurons"]:
        panels["periodicity of<br>the neurons"] = _draw_periodicity
    if data.sizes["table"]:
        panels["Gini of a table's<br>frequencies"] = _draw_gini
    panels["norm of the<br>parameters"] = _draw_norms
    if data.sizes["name"]:
        panels["further measures"] = _draw_measures
    figure, inner = stacked_panels(len(panels), height=_PANEL, gap=_GAP, shared_xaxes=True)
    for row, (name, draw) in enumerate(panels.items(), 1):
        legend = "legend" if row == 1 else f"legend{row}"
        top = 1 - (row - 1) * (_PANEL + _GAP) / inner
        look = {"x": 1.01, "y": top, "yanchor": "top", "font": {"size": 12}, "tracegroupgap": 0}
        figure.update_layout({legend: look})
        draw(figure, data, row=row, col=1, legend=legend)
        figure.update_yaxes(title={"text": name, "font": {"size": 13}}, row=row)
    figure.update_xaxes(title="step (updates)", row=len(panels))
    return finish(
        figure,
        title=title,
        height=inner + 130,
        margin={"l": 95, "r": 270, "t": 60, "b": 70},
        legend={"orientation": "v", "xanchor": "left", "yanchor": "top", "x": 1.01, "y": 1},
    )


def _line(
    figure: go.Figure, x: Any, y: Any, name: str, colour: str, dash: str = "solid", **place: Any
) -> None:
    figure.add_scatter(
        x=x,
        y=y,
        name=name,
        mode="lines+markers",
        marker={"size": 4},
        line={"color": colour, "dash": dash, "width": 2},
        hovertemplate="step %{x}: %{y:.4g}",
        **place,
    )


def _draw_accuracy(figure: go.Figure, data: xr.Dataset, **place: Any) -> None:
    for subset in DRAWN_SUBSETS:
        values = data.accuracy.sel(variant="full", subset=subset)
        style = SUBSET_STYLE[subset]
        name = SUBSET_LABEL[subset]
        _line(figure, data.step, values, name, style["color"], style["dash"], **place)
    figure.update_yaxes(range=[-0.03, 1.05], row=place["row"])


def _draw_loss(figure: go.Figure, data: xr.Dataset, **place: Any) -> None:
    names = {
        "full": "all of the logits",
        "restricted": "key frequencies alone",
        "excluded": "without key frequencies",
    }
    for variant, colour in zip(names, (BLACK, BLUE, ORANGE), strict=True):
        for subset, dash in (("train", "solid"), ("test", "dot")):
            values = data["loss"].sel(variant=variant, subset=subset)
            _line(figure, data.step, values, f"{names[variant]}, {subset}", colour, dash, **place)
    figure.update_yaxes(type="log", tickformat=".0e", row=place["row"])


def _draw_explained(figure: go.Figure, data: xr.Dataset, **place: Any) -> None:
    key = {"final": "final key", "given": "given", "followed": "the step's key"}
    which = key[data.attrs["key_frequencies"]]
    _line(figure, data.step, data.explained, "all frequencies", BLUE, **place)
    name = f"{which} frequencies"
    _line(figure, data.step, data.explained_by_key, name, ORANGE, "dash", **place)
    counts = [f"{count} key frequencies" for count in data.n_key.values]
    figure.add_scatter(
        x=data.step,
        y=data.n_key / data.sizes["frequency"],
        name=f"key frequencies / {data.sizes['frequency']}",
        text=counts,
        mode="lines+markers",
        marker={"size": 4},
        line={"color": GREEN, "dash": "dot", "width": 2},
        hovertemplate="step %{x}: %{text}",
        **place,
    )
    figure.update_yaxes(range=[-0.03, 1.05], row=place["row"])


def _draw_periodicity(figure: go.Figure, data: xr.Dataset, **place: Any) -> None:
    steps = data.step.values
    for i, name in enumerate(data.neurons.values.tolist()):
        colour, here = _COLOURS[i % len(_COLOURS)], data.sel(neurons=name)
        low, high = (here.periodicity_quantile.sel(quantile=q).values for q in (0.1, 0.9))
        shown = {"opacity": 0.15, "legendgroup": name, "showlegend": False}
        draw_band(figure, (place["row"], place["col"]), steps, low, high, colour, **shown)
        _line(figure, data.step, here.periodicity, name, colour, legendgroup=name, **place)
    figure.update_yaxes(range=[-0.03, 1.05], row=place["row"])


def _draw_gini(figure: go.Figure, data: xr.Dataset, **place: Any) -> None:
    for i, name in enumerate(data.table.values.tolist()):
        dash = _DASHES[i % len(_DASHES)]
        colour = _COLOURS[i % len(_COLOURS)]
        _line(figure, data.step, data.gini.sel(table=name), name, colour, dash, **place)
    figure.update_yaxes(range=[-0.03, 1.05], row=place["row"])


def _draw_norms(figure: go.Figure, data: xr.Dataset, **place: Any) -> None:
    _line(figure, data.step, data.total_norm, "all parameters", BLACK, **place)
    for i, name in enumerate(data.layer.values.tolist()):
        dash, colour = _DASHES[i % len(_DASHES)], _COLOURS[i % len(_COLOURS)]
        _line(figure, data.step, data.norm.sel(layer=name), name, colour, dash, **place)
    figure.update_yaxes(rangemode="tozero", row=place["row"])


def _draw_measures(figure: go.Figure, data: xr.Dataset, **place: Any) -> None:
    for i, name in enumerate(data.name.values.tolist()):
        dash, colour = _DASHES[i % len(_DASHES)], _COLOURS[i % len(_COLOURS)]
        _line(figure, data.step, data.measure.sel(name=name), name, colour, dash, **place)
