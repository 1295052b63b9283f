"""Figures of training efficiency: times, and their ratios."""

from typing import Any

import plotly.graph_objects as go
import xarray as xr

from analyses.efficiency.histories import NETWORK_LABEL
from analyses.pages.labels import seeds_in_words
from analyses.pages.palette import MEMORISING, SUBSET_LOOK
from analyses.pages.panels import draw_times, finished, level_line, panels
from analyses.pages.style import explain

_LOOK = {
    "memorised": ("random labels memorised", MEMORISING),
    "fitted": ("the task's labels fitted", SUBSET_LOOK["train"]),
    "generalised": ("generalised (test)", SUBSET_LOOK["test"]),
    "gap": ("over memorising random labels", MEMORISING),
    "delay": ("over fitting the task's labels", SUBSET_LOOK["train"]),
}


def plot_times(data: xr.Dataset, *, title: str = "How long learning takes") -> go.Figure:
    """Steps against training pairs, a panel per network: seeds, and their median as a line.

    An open triangle is a run that ended before; a median that was not reached is left out.
    """
    figure = _panels(data)
    for i in range(data.sizes["network"]):
        for event in data.event.values:
            here = data.isel(network=i).sel(event=event)
            bounds = [(here.budget.where(here.time.isnull()), "triangle-up-open", "more than ")]
            times = (here.time, bounds, here.time_median)
            draw_times(figure, i + 1, here.n_train, *times, *_LOOK[event])
    explain(figure, "longer than the run", symbol="triangle-up-open")
    figure.update_yaxes(title=f"steps to accuracy {data.level:.0%}", col=1)
    return _finished(figure, data, title)


def plot_ratios(
    data: xr.Dataset,
    *,
    title: str = "How much longer generalising takes",
) -> go.Figure:
    """Time to generalise divided by the two other times.

    An open triangle that points up is a lower bound, one that points down an upper bound. There is
    no median where a seed has only an upper bound.
    """
    figure = _panels(data)
    for i in range(data.sizes["network"]):
        for over in data.over.values:
            here = data.isel(network=i).sel(over=over)
            bounds = [
                (here.ratio_above, "triangle-up-open", "more than "),
                (here.ratio_below, "triangle-down-open", "less than "),
            ]
            ratios = (here.ratio, bounds, here.ratio_median)
            draw_times(figure, i + 1, here.n_train, *ratios, *_LOOK[over])
        level_line(figure, 1.0, (1, i + 1))
    explain(figure, "at least this ratio", symbol="triangle-up-open")
    explain(figure, "at most this ratio", symbol="triangle-down-open")
    figure.update_yaxes(title="steps to generalise over other steps", col=1)
    return _finished(figure, data, title)


def _panels(data: xr.Dataset) -> Any:
    figure = panels([f"<b>{NETWORK_LABEL.get(name, name)}</b>" for name in data.network.values])
    figure.update_xaxes(title="training pairs")
    figure.update_yaxes(type="log")
    return figure


def _finished(figure: Any, data: xr.Dataset, title: str) -> go.Figure:
    seeds = seeds_in_words(data.budget.notnull().sum("seed"), of=data.sizes["seed"])
    return finished(figure, title, height=480, note=seeds)
