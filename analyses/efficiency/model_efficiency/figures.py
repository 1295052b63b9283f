"""Figures of model efficiency: norms and logits as published, controlled, and their slopes."""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from analyses.efficiency.histories import NETWORK_LABEL
from analyses.efficiency.model_efficiency.computation import CIRCUITS, NORM_KINDS
from analyses.pages.labels import seeds_in_words
from analyses.pages.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, finish

if TYPE_CHECKING:
    import plotly.graph_objects as go

# By circuit, in all figures: colour, dash, marker.
_STYLE = dict(
    zip(
        CIRCUITS,
        [
            (BLUE, "solid", "circle"), (SKY, "dash", "square"), (PURPLE, "dot", "x"),
            (ORANGE, "dashdot", "triangle-up"), (RED, "longdash", "diamond"),
            (BLACK, "solid", "circle-open"), (GREEN, "dash", "square-open"),
        ],
        strict=True,
    )
)  # fmt: skip
_LABEL = {
    "C_mem": "C_mem as published",
    "C_mem, validation low": "C_mem, validation at most 5 %",
    "C_mem, equal step": "C_mem, all at one step",
    "random labels": "random labels, when memorised",
    "random labels, equal step": "random labels, end of training",
    "C_gen": "C_gen as published",
    "C_gen, validation high": "C_gen, validation at least 99.9 %",
}
_KINDS = ("memorising", "generalising")


def plot_efficiency(data: xr.Dataset, *, title: str | None = None) -> "go.Figure":
    """The published figure above, the controlled one below; memorising left, generalising right.

    Above: norm of all parameters (line, left axis) and 20 correct-class logits of every network
    (dots, right axis). Below: the norm at a common median margin. Thin lines are seeds, thick ones
    their geometric means.
    """
    from plotly.subplots import make_subplots

    figure = make_subplots(
        rows=2, cols=2, shared_xaxes=True, horizontal_spacing=0.12, vertical_spacing=0.14,
        specs=[[{"secondary_y": True}] * 2, [{}] * 2],
        subplot_titles=[
            "<b>as published</b>: C_mem", "<b>as published</b>: C_gen",
            "<b>controlled</b>: memorising", "<b>controlled</b>: generalising",
        ],
    )  # fmt: skip
    for column, kind in enumerate(_KINDS, 1):
        circuits = [name for name, source in CIRCUITS.items() if source.kind == kind]
        place: dict[str, Any] = {"row": 1, "col": column}
        _add_costs(figure, data, circuits[0], "all parameters", place)
        _add_logits(figure, data.sel(circuit=circuits[0]), first=column == 1)
        for circuit in circuits[1:]:
            _add_costs(figure, data, circuit, "matched margin", place | {"row": 2})
    figure.update_xaxes(title="train fraction", row=2)
    figure.update_yaxes(rangemode="tozero")
    figure.update_yaxes(secondary_y=True, showgrid=False, tickmode="auto", row=1)
    figure.update_yaxes(title="norm of all parameters", secondary_y=False, row=1, col=1)
    figure.update_yaxes(title="correct logit", secondary_y=True, row=1, col=2)
    figure.update_yaxes(title=f"norm at median margin {data.target_margin:.3g}", row=2, col=1)
    figure.update_annotations(font_size=14)
    title = title or f"What logits cost: {NETWORK_LABEL[data.network]}"
    return _legend_below(finish(figure, title=title, height=760, seeds=_seeds(data)))


def _seeds(data: xr.Dataset) -> str:
    """Seeds per fraction and circuit, of which some may never have become the circuit."""
    return seeds_in_words((data.missing == "").sum("seed"), of=data.sizes["seed"])


def plot_layers(data: xr.Dataset, *, title: str = "Norms layer by layer") -> "go.Figure":
    """Norm of every layer against the train fraction: means over seeds, unused rows left out."""
    from plotly.subplots import make_subplots

    shown = ("C_mem", "random labels, equal step", "C_gen")
    norms = data.layer_norm.where(data.missing == "").mean("seed")
    figure = make_subplots(
        cols=len(shown), shared_yaxes=True, horizontal_spacing=0.03,
        subplot_titles=[_LABEL[circuit] for circuit in shown],
    )  # fmt: skip
    looks = list(_STYLE.values())
    for column, circuit in enumerate(shown, 1):
        for i, layer in enumerate(data.layer.values):
            color, dash, symbol = looks[i % len(looks)]
            figure.add_scatter(
                x=data.fraction, y=norms.sel(circuit=circuit, layer=layer),
                name=layer, legendgroup=layer, showlegend=column == 1, mode="lines+markers",
                line={"color": color, "dash": dash}, marker={"symbol": symbol, "size": 8},
                hovertemplate="fraction %{x}: %{y:.3g}", row=1, col=column,
            )  # fmt: skip
    figure.update_xaxes(title="train fraction")
    figure.update_yaxes(title="norm of the layer", rangemode="tozero", col=1)
    figure.update_annotations(font_size=13)
    seeds = _seeds(data.sel(circuit=list(shown)))
    return _legend_below(finish(figure, title=title, height=460, seeds=seeds), at=-0.35)


def plot_trend(
    trend: xr.Dataset, *, title: str = "Does the cost grow with the training set?"
) -> "go.Figure":
    """Slopes with 95 % intervals over seeds, a line per measure and circuit; 0 is no trend.

    What is missing was not detected; the table says why.
    """
    from plotly.subplots import make_subplots

    figure = make_subplots(
        cols=2, shared_yaxes=True, horizontal_spacing=0.03, subplot_titles=_KINDS
    )
    rows = {measure: -i for i, measure in enumerate(NORM_KINDS)}
    for column, kind in enumerate(_KINDS, 1):
        circuits = [name for name, source in CIRCUITS.items() if source.kind == kind]
        for i, circuit in enumerate(circuits):
            color, _, symbol = _STYLE[circuit]
            here = trend.sel(circuit=circuit)
            reach = (here.high - here.slope).fillna(0.0)
            figure.add_scatter(
                x=here.slope, y=[row - _offset(i, len(circuits)) for row in rows.values()],
                mode="markers", name=_LABEL[circuit], text=here.verdict,
                marker={"color": color, "symbol": symbol, "size": 10},
                error_x={"array": reach, "color": color, "thickness": 1.5, "width": 4},
                hovertemplate="D^%{x:.2f}: %{text}", row=1, col=column,
            )  # fmt: skip
        place: dict[str, Any] = {"row": 1, "col": column}
        figure.add_vline(0, line_color=GREY, line_dash="dot", **place)
    figure.update_xaxes(title="slope of log cost per log D")
    names = [NORM_KINDS[measure] for measure in rows]
    figure.update_yaxes(
        tickvals=list(rows.values()), ticktext=names, range=[min(rows.values()) - 0.5, 0.5],
        showgrid=False,
    )  # fmt: skip
    for boundary in list(rows.values())[1:]:
        figure.add_hline(boundary + 0.5, line_color="#DDDDDD", line_width=1)
    seeds = seeds_in_words(trend.n_seeds)
    figure = _legend_below(finish(figure, title=title, height=660, seeds=seeds))
    return figure.update_layout(margin_l=230)


def _offset(i: int, count: int) -> float:
    """Where the i-th of several circuits lies within a measure's row."""
    return 0.7 * ((i + 0.5) / count - 0.5)


def _add_costs(
    figure: "go.Figure", data: xr.Dataset, circuit: str, measure: str, place: dict[str, Any]
) -> None:
    cost = data.cost.sel(circuit=circuit, measure=measure).transpose("seed", "fraction")
    color, dash, symbol = _STYLE[circuit]
    for row in cost.values:
        figure.add_scatter(
            x=data.fraction, y=row, mode="lines", line={"color": color, "width": 1, "dash": dash},
            opacity=0.4, showlegend=False, hoverinfo="skip", **place,
        )  # fmt: skip
    figure.add_scatter(
        x=data.fraction, y=np.exp(np.log(cost).mean("seed")), name=_LABEL[circuit],
        mode="lines+markers", line={"color": color, "width": 2.5, "dash": dash},
        marker={"symbol": symbol, "size": 9}, hovertemplate="fraction %{x}: norm %{y:.4g}", **place,
    )  # fmt: skip


def _add_logits(figure: "go.Figure", circuit: xr.Dataset, *, first: bool) -> None:
    logits = circuit.logits.where(circuit.missing == "").transpose("fraction", "seed", "rank")
    figure.add_scatter(
        x=np.repeat(circuit.fraction.values, logits[0].size), y=logits.values.ravel(),
        mode="markers", name="correct logits (right axis)", showlegend=first,
        marker={"color": RED, "size": 4, "opacity": 0.45, "symbol": "diamond"},
        hovertemplate="fraction %{x}: logit %{y:.3g}", row=1, col=1 if first else 2,
        secondary_y=True,
    )  # fmt: skip


def _legend_below(figure: "go.Figure", *, at: float = -0.12) -> "go.Figure":
    return figure.update_layout(
        margin={"t": 90, "b": 150},
        legend={"y": at, "yanchor": "top", "x": 0.5, "xanchor": "center"},
    )
