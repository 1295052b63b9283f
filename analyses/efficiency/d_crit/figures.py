"""The curves from which D_crit is estimated, and the estimates of several settings."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from analyses.pages.labels import seeds_in_words
from analyses.pages.palette import GENERALISING, GUIDE, MEMORISING, SUBSET_LOOK, Look, series
from analyses.pages.panels import draw, error_bars, finished, panels
from analyses.pages.style import explain
from analyses.pages.wrapping import wrapped


def plot_curves(data: xr.Dataset, *, title: str | None = None) -> go.Figure:
    """The curves behind each estimate against training pairs; grey bands are their intervals."""
    words = [f"{name}: {estimate_in_words(data, name)}" for name in data.estimator.values]
    figure = panels(words, rows=3, shared_xaxes=True, vertical_spacing=0.1)
    test = SUBSET_LOOK["test"]._replace(dash="solid")
    assumed = GENERALISING._replace(dash="dot", symbol="circle-open")
    ended = data.budget.where(data.time.isnull())
    lines = (
        (1, "C_mem", data.memorising, MEMORISING),
        (1, "C_gen", data.generalising.where(~data.extended), GENERALISING),
        (1, "C_gen, assumed", data.generalising.where(data.extended), assumed),
        (2, "test accuracy after training on", data.final, test),
        (3, "steps to 90 % test accuracy", data.time, test._replace(symbol="triangle-up")),
        (3, "not by this step", ended, Look(GUIDE, symbol="triangle-up-open")),
    )
    for row, name, values, look in lines:
        size = values.dims[1]
        mode = "markers" if row == 3 else "lines+markers"
        for curve in values:
            options = {"mode": mode, "width": 1, "size": 8, "opacity": 0.75}
            draw(figure, (row, 1), values[size].values, curve.values, name, look, **options)
    for row, low, high in zip((1, 2, 3), data.low.values, data.high.values, strict=True):
        if np.isfinite([low, high]).all():
            band = {"fillcolor": GUIDE, "opacity": 0.25, "line_width": 0}
            figure.add_vrect(low, high, **band, row=row, col=1)
    if np.isfinite(data.low + data.high).any():
        explain(figure, "95 % interval of D_crit", symbol="square", color=GUIDE, opacity=0.4)
    figure.update_xaxes(type="log")
    figure.update_xaxes(title="training pairs D", row=3)
    figure.update_yaxes(title="norm needed", type="log", row=1)
    figure.update_yaxes(title="accuracy", range=[-0.05, 1.05], row=2)
    figure.update_yaxes(title="steps", type="log", row=3)
    title = title or f"Three ways to D_crit: {data.attrs['task']}"
    return finished(figure, title, height=820, note=seeds_behind(data))


def plot_settings(data: xr.Dataset) -> go.Figure:
    """The three estimates with their intervals, a row of them for each setting.

    Args:
        data: from ``d_crit.side_by_side``.
    """
    settings = data.setting.values.tolist()
    figure = panels()
    for i, name in enumerate(data.estimator.values):
        one = data.sel(estimator=name)
        places = np.arange(len(settings)) + 0.18 * (i - 1)
        value, low, high = one.value.values, one.low.values, one.high.values
        bars = error_bars(value, low, high, thickness=2, width=6)
        options = {"mode": "markers", "size": 11, "error_x": bars}
        draw(figure, (1, 1), value, places, str(name), series(i), **options)
    left = {"x": 0.01, "xref": "x domain", "xanchor": "left", "align": "left", "showarrow": False}
    for row, sentence in enumerate(data.sentence.values):
        text = wrapped(str(sentence), 52)
        figure.add_annotation(y=row + 0.36, text=text, font={"size": 12}, yanchor="top", **left)
    names = [wrapped(name, 12) for name in settings]
    figure.update_yaxes(tickvals=list(range(len(settings))), ticktext=names, showgrid=False)
    figure.update_yaxes(range=[len(settings) - 0.1, -0.5], zeroline=False)
    figure.update_xaxes(title="D_crit (training pairs, log scale), 95 % interval", type="log")
    figure.update_xaxes(showticklabels=bool(data.value.notnull().any()))
    seeds = seeds_in_words(data.seeds.values.tolist())
    title = "Is there one D_crit?"
    return finished(figure, title, height=200 + 150 * len(settings), note=seeds)


def seeds_behind(data: xr.Dataset) -> str:
    """How many seeds the estimates stand on."""
    return seeds_in_words([data.sizes["seed"]])


def estimate_in_words(data: xr.Dataset, name: str) -> str:
    """An estimate with its interval, or the reason why there is none."""
    one = data.sel(estimator=name)
    if np.isnan(one.value):
        return one.reason.item()
    interval = "" if np.isnan(one.low) else f" [{one.low:.0f}, {one.high:.0f}]"
    return f"{one.value:.0f} pairs{interval}"
