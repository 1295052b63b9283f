"""The curves that the estimates of D_crit are read off."""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from analyses.efficiency.histories import LOG_TICKS
from analyses.pages.labels import seeds_in_words
from analyses.statistics import agreement

if TYPE_CHECKING:
    import plotly.graph_objects as go


def plot_curves(data: xr.Dataset, *, title: str | None = None) -> "go.Figure":
    """What each estimate is read off, over the number of training pairs; estimates as bands."""
    from plotly.subplots import make_subplots

    from analyses.pages.style import BLUE, GREEN, GREY, ORANGE, finish

    figure = make_subplots(
        rows=3, shared_xaxes=True, vertical_spacing=0.07,
        subplot_titles=[
            agreement.wrapped(f"{name}: {estimate_in_words(data, name)}", 110)
            for name in data.estimator.values
        ],
    )  # fmt: skip
    lines = (
        (1, "C_mem", data.memorising, "size", ORANGE, "circle"),
        (1, "C_gen", data.generalising, "size", BLUE, "square"),
        (2, "validation accuracy after training on", data.final, "reduced_size", GREEN, "diamond"),
        (3, "steps to 90 % validation accuracy", data.time, "time_size", BLUE, "triangle-up"),
        (3, "not by this step", data.budget.where(data.time.isnull()), "time_size", GREY,
         "triangle-up-open"),
    )  # fmt: skip
    for row, name, values, along, color, symbol in lines:
        for i, seed in enumerate(values.transpose(..., along).values):
            figure.add_scatter(
                x=values[along].values, y=seed, row=row, col=1, name=name, legendgroup=name,
                showlegend=i == 0, mode="markers" if row == 3 else "lines+markers",
                marker={"color": color, "symbol": symbol, "size": 8},
                line={"color": color, "width": 1}, opacity=0.75,
            )  # fmt: skip
    for row, low, high in zip((1, 2, 3), data.low.values, data.high.values, strict=True):
        if np.isfinite([low, high]).all():
            place: dict[str, Any] = {"row": row, "col": 1}
            figure.add_vrect(low, high, fillcolor=GREY, opacity=0.25, line_width=0, **place)
    figure.update_xaxes(type="log", tickvals=LOG_TICKS)
    figure.update_xaxes(title="training pairs D", row=3)
    figure.update_yaxes(title="norm needed", type="log", row=1, nticks=4)
    figure.update_yaxes(title="accuracy", range=[-0.05, 1.05], row=2)
    figure.update_yaxes(title="steps", type="log", row=3, tickvals=LOG_TICKS)
    figure.update_annotations(font_size=13)
    title = title or f"Three ways to D_crit: {data.attrs['task']}"
    figure = finish(figure, title=title, height=820, seeds=seeds_behind(data))
    return figure.update_layout(legend={"y": -0.09, "yanchor": "top", "x": 0, "xanchor": "left"})


def seeds_behind(data: xr.Dataset) -> str:
    """How many stand behind each estimate."""
    return seeds_in_words([data.sizes[axis] for axis in ("seed", "reduced_seed", "time_seed")])


def estimate_in_words(data: xr.Dataset, name: str) -> str:
    """An estimate, or the reason why there is none."""
    one = data.sel(estimator=name)
    if np.isnan(one.value):
        return one.reason.item()
    return f"{one.value:.0f} pairs" + (
        "" if np.isnan(one.low) else f" [{one.low:.0f}, {one.high:.0f}]"
    )
