"""Figures of grokking across architectures and amounts of data (Figs. 1, 2 and 3)."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from analyses.efficiency.grokking_across.computation import SPLITS
from analyses.efficiency.histories import NETWORK_LABEL
from analyses.pages.palette import SUBSET_LOOK
from analyses.pages.panels import (
    ACCURACIES,
    LOG_STEPS,
    draw,
    draw_times,
    finished,
    level_line,
    panels,
    seeds_of,
)
from analyses.pages.style import explain
from analyses.statistics.thresholds import TIMED_AT

_NAME = {split: f"{split}, median of seeds" for split in SPLITS}


def plot_networks(data: xr.Dataset, *, fraction: float | None = None) -> go.Figure:
    """Fig. 1: accuracies against steps, a panel per network.

    Args:
        data: from ``compute``.
        fraction: trained on; by default half of the pairs or, without such runs, the middle one
            of those there are.
    """
    if fraction is None:
        there = data.fraction.values.tolist()
        fraction = 0.5 if 0.5 in there else there[len(there) // 2]
    cells = data.sel(fraction=fraction)
    shown = [cells.sel(network=network) for network in data.network.values]
    return _plot_curves(shown, f"Grokking on {fraction:.0%} of the pairs")


def plot_fractions(data: xr.Dataset, *, network: str) -> go.Figure:
    """Figs. 2 and 3: accuracies of one network against steps, a panel per training fraction."""
    cells = data.sel(network=network)
    shown = [cells.sel(fraction=fraction) for fraction in data.fraction.values]
    return _plot_curves(shown, f"Grokking and the amount of data: {NETWORK_LABEL[network]}")


def plot_crossings(data: xr.Dataset, *, level: float = TIMED_AT) -> go.Figure:
    """Steps until accuracy reaches a level, against training pairs, a panel per network.

    Small markers are seeds, lines their medians. An open triangle is a run that had not reached the
    level when it ended.
    """
    networks = data.network.values
    figure = panels([f"<b>{NETWORK_LABEL[network]}</b>" for network in networks])
    for column, network in enumerate(networks, 1):
        for split in SPLITS:
            here = data.sel(network=network, level=level, split=split)
            ended = here.last_step.where(here.crossing.isnull())
            bounds = [(ended, "triangle-up-open", "after ")]
            times = (here.crossing, bounds, here.crossing_median)
            draw_times(figure, column, here.n_train, *times, _NAME[split], SUBSET_LOOK[split])
    figure.update_xaxes(title="training pairs")
    figure.update_yaxes(type="log")
    figure.update_yaxes(title=f"step at which accuracy reaches {level:.0%}", col=1)
    explain(figure, "longer than the run", symbol="triangle-up-open")
    title = "How long training and generalising take"
    return finished(figure, title, height=460, note=seeds_of(data))


def _plot_curves(shown: list[xr.Dataset], title: str) -> go.Figure:
    """Thin lines are seeds, thick ones their medians."""
    figure = panels([_heading(panel) for panel in shown])
    for column, panel in enumerate(shown, 1):
        panel = panel.sel(step=slice(1, None))  # a logarithmic axis has no step 0
        for split in SPLITS:
            cells, thin = panel.sel(split=split), {"width": 1, "opacity": 0.45, "showlegend": False}
            for seed in panel.seed.values:
                _draw(figure, column, cells.accuracy.sel(seed=seed), split, **thin)
            _draw(figure, column, cells.median_accuracy, split, width=3)
        level_line(figure, panel.chance, (1, column))
    figure.update_xaxes(LOG_STEPS)
    figure.update_yaxes(range=ACCURACIES)
    figure.update_yaxes(title="accuracy (dotted: chance)", col=1)
    return finished(figure, title, height=440, note=seeds_of(*shown))


def _draw(figure: Any, column: int, curve: xr.DataArray, split: str, **options: Any) -> None:
    curve = curve.dropna("step")
    options |= {"mode": "lines", "hover": "step %{x}: %{y:.4f}"}
    draw(figure, (1, column), curve.step, curve, _NAME[split], SUBSET_LOOK[split], **options)


def _heading(panel: xr.Dataset) -> str:
    """The network, its data, and how long validation lags behind."""
    name = f"<b>{NETWORK_LABEL[panel.network.item()]}, {panel.fraction.item():.0%}</b>"
    delay, learned = panel.delay_median.item(), f"{TIMED_AT:.0%}"
    if np.isnan(delay):
        return f"{name}<br>training does not reach {learned}"
    if np.isinf(delay):
        return f"{name}<br>most do not reach {learned} test here"
    return f"{name}<br>{learned}: test {delay:.3g} times later"
