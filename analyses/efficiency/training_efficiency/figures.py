"""Figures of training efficiency: times, and their ratios."""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from analyses.efficiency.histories import NETWORK_LABEL
from analyses.pages.labels import seeds_in_words
from analyses.pages.style import BLUE, ORANGE, RED

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Label, colour, dash and marker.
_LOOKS = {
    "memorised": ("random labels memorised", RED, "dot", "diamond"),
    "fitted": ("the task's labels fitted", BLUE, "solid", "circle"),
    "generalised": ("generalised (validation)", ORANGE, "dash", "square"),
    "gap": ("over memorising random labels", RED, "dot", "diamond"),
    "delay": ("over fitting the task's labels", BLUE, "solid", "circle"),
}


def plot_times(
    data: xr.Dataset, *, title: str = "How long learning takes (open triangles: longer)"
) -> "go.Figure":
    """Steps against training pairs, a panel per network: seeds, and their median as a line.

    An open triangle is a run that ended before; a median that was not reached is left out.
    """
    figure = _panels(data, title)
    for i in range(data.sizes["network"]):
        for event in data.event.values:
            here = data.isel(network=i).sel(event=event)
            bound = here.budget.where(here.time.isnull())
            _draw(figure, here.n_train, here.time, bound, here.time_median, event, i + 1)
    figure.update_yaxes(title=f"steps to accuracy {data.level:.0%}", col=1)
    return figure


def plot_ratios(
    data: xr.Dataset,
    *,
    title: str = "How much longer generalising takes (open triangles up: more, down: less)",
) -> "go.Figure":
    """Time to generalise over the two others; an open triangle is a bound, lower if it points up.

    There is no median where a seed has an upper bound only.
    """
    from analyses.pages.style import GREY

    figure = _panels(data, title)
    for i in range(data.sizes["network"]):
        for over in data.over.values:
            here = data.isel(network=i).sel(over=over)
            _draw(
                figure, here.n_train, here.ratio, here.ratio_above, here.ratio_median, over, i + 1,
                below=here.ratio_below,
            )  # fmt: skip
    figure.add_hline(1.0, line_color=GREY, line_dash="dot")
    figure.update_yaxes(title="steps to generalise over other steps", col=1)
    return figure


def _panels(data: xr.Dataset, title: str) -> "go.Figure":
    from plotly.subplots import make_subplots

    from analyses.pages.style import finish

    names = [f"<b>{NETWORK_LABEL.get(name, name)}</b>" for name in data.network.values]
    figure = make_subplots(
        cols=len(names), shared_yaxes=True, horizontal_spacing=0.04, subplot_titles=names
    )
    figure.update_xaxes(title="training pairs")
    figure.update_yaxes(type="log", exponentformat="none", dtick="D2")
    seeds = seeds_in_words(data.budget.notnull().sum("seed"), of=data.sizes["seed"])
    figure = finish(figure, title=title, height=480, seeds=seeds)
    return figure.update_layout(margin_t=130, legend_y=1.1)


def _draw(
    figure: "go.Figure", pairs: Any, values: Any, above: Any, median: Any, kind: str, column: int,
    below: Any = None,
) -> None:  # fmt: skip
    label, color, dash, symbol = _LOOKS[kind]
    place: dict[str, Any] = {"row": 1, "col": column, "legendgroup": kind}
    drawn = [(values, symbol, ""), (above, "triangle-up-open", "more than ")]
    if below is not None:
        drawn.append((below, "triangle-down-open", "less than "))
    for seed in values.seed.values:
        for y, mark, what in drawn:
            figure.add_scatter(
                x=pairs, y=y.sel(seed=seed), mode="markers", showlegend=False,
                marker={"color": color, "symbol": mark, "size": 7 if y is values else 11},
                opacity=0.6, **place,
                hovertemplate=f"seed {seed}, %{{x}} pairs: {what}%{{y:.4g}}<extra></extra>",
            )  # fmt: skip
    figure.add_scatter(
        x=pairs, y=median.where(np.isfinite(median)), mode="lines+markers", name=label,
        line={"color": color, "dash": dash, "width": 2.5}, showlegend=column == 1,
        marker={"symbol": symbol, "size": 9}, hovertemplate="%{x} pairs: median %{y:.4g}", **place,
    )  # fmt: skip
