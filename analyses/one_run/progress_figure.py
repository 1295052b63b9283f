"""The figure of progress measures: a panel per measure, all against steps."""

from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go
import xarray as xr

from analyses.pages.palette import DRAWN_SUBSETS, INK, SERIES, SUBSET_LABEL, SUBSET_STYLE, series
from analyses.pages.panels import draw_band
from analyses.pages.style import LOSS_LABEL, finish, stacked_panels

_PANEL, _GAP = 165, 62  # height of a panel and of the space between two, in pixels


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
    legends: dict[str, Any] = {}
    figure, inner = stacked_panels(len(panels), height=_PANEL, gap=_GAP, shared_xaxes=True)
    for row, (name, draw) in enumerate(panels.items(), 1):
        legend = "legend" if row == 1 else f"legend{row}"
        top = 1 - (row - 1) * (_PANEL + _GAP) / inner
        look = {"orientation": "h", "xref": "paper", "yref": "paper", "font": {"size": 11}}
        look |= {"x": 0, "y": top, "yanchor": "bottom", "tracegroupgap": 0}
        legends[legend] = look
        figure.update_layout({legend: look})
        draw(figure, data, row=row, col=1, legend=legend)
        figure.update_yaxes(title={"text": name, "font": {"size": 13}}, row=row)
    figure.update_xaxes(title="step (updates)", row=len(panels))
    return finish(
        figure,
        title=title,
        height=inner + 160,
        margin_t=50 + _GAP,
        legend=legends["legend"],
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
        if values.isnull().all():  # no such example
            continue
        style = SUBSET_STYLE[subset]
        name = SUBSET_LABEL[subset]
        _line(figure, data.step, values, name, style["color"], style["dash"], **place)
    figure.update_yaxes(range=[-0.03, 1.05], row=place["row"])


def _draw_loss(figure: go.Figure, data: xr.Dataset, **place: Any) -> None:
    names = {
        "full": "all logits",
        "restricted": "key alone",
        "excluded": "without key",
    }
    for variant, colour in zip(names, (INK, SERIES[0].color, SERIES[1].color), strict=True):
        for subset, dash in (("train", "solid"), ("test", "dot")):
            values = data["loss"].sel(variant=variant, subset=subset)
            _line(figure, data.step, values, f"{names[variant]}, {subset}", colour, dash, **place)
    figure.update_yaxes(type="log", tickformat=".0e", row=place["row"])


def _draw_explained(figure: go.Figure, data: xr.Dataset, **place: Any) -> None:
    key = {"final": "final key", "given": "given", "followed": "the step's key"}
    which = key[data.attrs["key_frequencies"]]
    _line(figure, data.step, data.explained, "all frequencies", INK, **place)
    name = f"{which} frequencies"
    _line(figure, data.step, data.explained_by_key, name, SERIES[0].color, "dash", **place)
    counts = [f"{count} key frequencies" for count in data.n_key.values]
    figure.add_scatter(
        x=data.step,
        y=data.n_key / data.sizes["frequency"],
        name=f"key frequencies / {data.sizes['frequency']}",
        text=counts,
        mode="lines+markers",
        marker={"size": 4},
        line={"color": SERIES[1].color, "dash": "dot", "width": 2},
        hovertemplate="step %{x}: %{text}",
        **place,
    )
    figure.update_yaxes(range=[-0.03, 1.05], row=place["row"])


def _draw_periodicity(figure: go.Figure, data: xr.Dataset, **place: Any) -> None:
    steps = data.step.values
    for i, name in enumerate(data.neurons.values.tolist()):
        colour, here = series(i).color, data.sel(neurons=name)
        low, high = (here.periodicity_quantile.sel(quantile=q).values for q in (0.1, 0.9))
        shown = {"opacity": 0.15, "legendgroup": name, "showlegend": False}
        draw_band(figure, (place["row"], place["col"]), steps, low, high, colour, **shown)
        _line(figure, data.step, here.periodicity, name, colour, legendgroup=name, **place)
    figure.update_yaxes(range=[-0.03, 1.05], row=place["row"])


def _draw_gini(figure: go.Figure, data: xr.Dataset, **place: Any) -> None:
    for i, name in enumerate(data.table.values.tolist()):
        colour, dash, _ = series(i)
        _line(figure, data.step, data.gini.sel(table=name), name, colour, dash, **place)
    figure.update_yaxes(range=[-0.03, 1.05], row=place["row"])


def _draw_norms(figure: go.Figure, data: xr.Dataset, **place: Any) -> None:
    _line(figure, data.step, data.total_norm, "all parameters", INK, **place)
    for i, name in enumerate(data.layer.values.tolist()):
        colour, dash, _ = series(i)
        _line(figure, data.step, data.norm.sel(layer=name), name, colour, dash, **place)
    figure.update_yaxes(rangemode="tozero", row=place["row"])


def _draw_measures(figure: go.Figure, data: xr.Dataset, **place: Any) -> None:
    for i, name in enumerate(data.name.values.tolist()):
        colour, dash, _ = series(i)
        _line(figure, data.step, data.measure.sel(name=name), name, colour, dash, **place)
