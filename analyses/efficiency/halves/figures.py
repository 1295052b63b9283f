"""Figures and a table of :mod:`analyses.efficiency.halves`'s dataset."""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from analyses.pages.style import BLACK, GREEN, GREY, ORANGE, PURPLE, SUBSET_STYLE, finish

if TYPE_CHECKING:
    import plotly.graph_objects as go

# What is asked of a part: the name, the examples, the label, and the line's style.
_ASKED: tuple[tuple[str, str, str, dict[str, str]], ...] = (
    ("changed, given label", "changed", "given", SUBSET_STYLE["changed"]),
    ("changed, true label", "changed", "true", {"color": PURPLE, "dash": "dashdot"}),
    ("unchanged", "unchanged", "given", SUBSET_STYLE["unchanged"]),
    ("validation", "test", "given", SUBSET_STYLE["test"]),
)
_PART = {
    "whole": ("whole network", BLACK, "diamond-open"),
    "memorising": ("memorising half", ORANGE, "circle"),
    "generalising": ("generalising half", GREEN, "square"),
}


def plot_halves(
    data: xr.Dataset, *, title: str = "What each half of a network says"
) -> "go.Figure":
    """Accuracy and median logit of the whole and both halves, by examples; a marker per run."""
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=2, shared_xaxes=True, vertical_spacing=0.06)
    names = [name for name, *_ in _ASKED]
    for part, (label, color, symbol) in _PART.items():
        here = data.sel(part=part)
        for row, quantity in enumerate(("accuracy", "median_logit"), 1):
            values = [here[quantity].sel(subset=s, label=a).values for _, s, a, _ in _ASKED]
            figure.add_scatter(
                x=np.repeat(names, data.sizes["run"]), y=np.concatenate(values), mode="markers",
                marker={"color": color, "symbol": symbol, "size": 11, "line": {"width": 2}},
                name=label, legendgroup=part, showlegend=row == 1, offsetgroup=part,
                cliponaxis=False, row=row, col=1, customdata=np.tile(data.run.values, len(_ASKED)),
                hovertemplate=f"{label} %{{customdata}}: %{{y:.3f}}<extra></extra>",
            )  # fmt: skip
    figure.update_yaxes(title="accuracy", range=[-0.03, 1.03], row=1)
    figure.update_yaxes(title="median logit at the label", row=2, zerolinecolor=GREY)
    figure.update_xaxes(title="training examples by label, and validation", row=2)
    return finish(figure, title=title, height=620, seeds=_networks(data)).update_layout(
        scattermode="group", scattergap=0.5, margin_t=90, legend={"y": 1.01}
    )


def plot_cuts(
    data: xr.Dataset, *, title: str = "Does it matter where a network is cut?"
) -> "go.Figure":
    """Accuracy of both halves against the threshold; grey lines mark the one taken for each run."""
    from plotly.subplots import make_subplots

    kinds = data.kind.values.tolist()
    figure = make_subplots(
        cols=len(kinds), shared_yaxes=True, horizontal_spacing=0.05,
        subplot_titles=[_PART[kind][0] for kind in kinds],
    )  # fmt: skip
    for column, kind in enumerate(kinds, 1):
        place: dict[str, Any] = {"row": 1, "col": column}
        for run in range(data.sizes["run"]):
            here = data.cut_accuracy.isel(run=run).sel(kind=kind)
            for name, subset, label, line in _ASKED:
                figure.add_scatter(
                    x=data.cut, y=here.sel(subset=subset, label=label), mode="lines",
                    line=line | {"width": 2}, name=name, legendgroup=name,
                    showlegend=column == 1 and run == 0,
                    hovertemplate=f"{name}, IPR %{{x:.2f}}: %{{y:.3f}}<extra></extra>", **place,
                )  # fmt: skip
            figure.add_vline(float(data.threshold[run]), line_color=GREY, line_width=1.5, **place)
    figure.update_xaxes(title="threshold (IPR)", range=[0, 1])
    figure.update_yaxes(range=[-0.03, 1.03])
    figure.update_yaxes(title="accuracy of the half", col=1)
    figure = finish(figure, title=title, height=470, seeds=_networks(data))
    return figure.update_layout(margin_t=110, legend={"y": 1.08})


def _networks(data: xr.Dataset) -> str:
    return "one network" if data.sizes["run"] == 1 else f"{data.sizes['run']} networks"


def table(data: xr.Dataset) -> list[dict[str, Any]]:
    """One row per run and part: neurons, norm, and accuracy on each kind of example and label."""
    return [
        ({"run": str(run)} if str(run) else {})
        | {"part": part, "neurons": int(here.n_neurons), "norm": float(here.norm)}
        | {
            name: float(here.accuracy.sel(subset=subset, label=label))
            for name, subset, label, _ in _ASKED
        }
        for run in data.run.values
        for part in _PART
        for here in [data.sel(run=run, part=part)]
    ]
