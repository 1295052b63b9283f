"""Figures of ungrokking: final accuracies by amount of data, and how they got there (Figs. 7-8).

They draw the dataset of ``place.locate``.
"""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from analyses.efficiency.histories import NETWORK_LABEL
from analyses.pages.panels import (
    ACCURACIES,
    LOG_STEPS,
    LOG_TICKS,
    SIDE_LEGEND,
    Look,
    draw,
    error_bars,
    finished,
    level_line,
    panels,
    seeds_of,
    shades,
)
from analyses.pages.style import BLUE, GREEN, ORANGE, PURPLE, RED

_NETWORK = {
    "transformer": Look(BLUE, "solid", "circle"),
    "lstm": Look(ORANGE, "dash", "square"),
    "mlp": Look(GREEN, "dot", "diamond"),
}
_DECAYS = (  # in their order
    Look(BLUE, "solid", "circle"),
    Look(ORANGE, "dash", "square"),
    Look(GREEN, "dot", "diamond"),
    Look(RED, "dashdot", "triangle-up"),
    Look(PURPLE, "longdash", "cross"),
)


def plot_final(
    data: xr.Dataset, *, weight_decay: float | None = None, moments: str = "fresh"
) -> go.Figure:
    """Fig. 7: final validation accuracy against the reduced set, a line per network.

    Lines are means over seeds, small markers seeds, open ones seeds without a plateau.

    Args:
        data: from ``locate``.
        weight_decay: of these runs; None: each network's reference.
        moments: of the optimiser, "fresh" or "kept".
    """
    figure, decays, shown = panels(), set[float](), []
    for network in data.network.values:
        curves = data.sel(network=network, moments=moments)
        decay = curves.reference.item() if weight_decay is None else weight_decay
        cells = curves.sel(weight_decay=decay)
        if cells.n_runs:
            _draw_curve(figure, cells, NETWORK_LABEL[network], _NETWORK[network])
            decays.add(decay)
            shown.append(cells)
    words = " or ".join(f"{decay:g}" for decay in sorted(decays))
    title = f"Ungrokking at weight decay {words}, optimiser {moments}"
    return _finished(figure, data, title, seeds_of(*shown))


def plot_decay(data: xr.Dataset, *, network: str = "mlp", moments: str = "fresh") -> go.Figure:
    """Fig. 8: final validation accuracy against the reduced set, a line per weight decay.

    Crosses are the 50 % points with 95 % intervals, each drawn a little below the one before.
    """
    figure = panels()
    cells = _trained(data.sel(network=network, moments=moments))
    for i, weight_decay in enumerate(cells.weight_decay.values):
        curve, look = cells.sel(weight_decay=weight_decay), _DECAYS[i % len(_DECAYS)]
        name = f"weight decay {weight_decay:g}"
        _draw_curve(figure, curve, name, look)
        if curve.midpoint.notnull():
            ends = (curve.midpoint, curve.midpoint_low, curve.midpoint_high)
            x, low, high = (np.atleast_1d(end.values) for end in ends)
            hover = f"{name}: halfway at %{{x:.0f}} pairs"
            options = {"mode": "markers", "size": 11, "showlegend": False, "hover": hover}
            bars = error_bars(x, low, high, thickness=2)
            cross = look._replace(symbol="x")
            draw(figure, (1, 1), x, [0.5 - 0.04 * i], name, cross, error_x=bars, **options)
    title = f"Does weight decay shift ungrokking? {NETWORK_LABEL[network]}, optimiser {moments}"
    return _finished(figure, data, title, seeds_of(cells))


def plot_trajectories(data: xr.Dataset, *, network: str, moments: str = "fresh") -> go.Figure:
    """Validation accuracy during the second training, a panel per weight decay."""
    curves = _trained(data.sel(network=network, moments=moments))
    decays = curves.weight_decay.values
    figure = panels([f"<b>weight decay {decay:g}</b>" for decay in decays])
    colors = shades(data.sizes["fraction"], start=0.1)
    for column, decay in enumerate(decays, 1):
        cells = curves.sel(weight_decay=decay)
        for fraction, color in zip(data.fraction.values, colors, strict=True):
            size = f"{cells.n_train.sel(fraction=fraction):.0f}"
            for seed in data.seed.values:
                curve = cells.test_accuracy.sel(fraction=fraction, seed=seed).dropna("step")
                curve = curve.sel(step=slice(1, None))  # a logarithmic axis has no step 0
                hover = f"seed {seed}, step %{{x}}: %{{y:.3f}}"
                options = {"mode": "lines", "width": 1.5, "hover": hover}
                draw(figure, (1, column), curve.step, curve, size, Look(color), **options)
        level_line(figure, cells.chance, (1, column))
    figure.update_xaxes(LOG_STEPS)
    figure.update_yaxes(range=ACCURACIES)
    figure.update_yaxes(title="validation accuracy (dotted: chance)", col=1)
    title = f"Trained on with less data: {NETWORK_LABEL[network]}, optimiser {moments}"
    layout = {"legend": SIDE_LEGEND | {"title": {"text": "training<br>pairs"}}, "margin_t": 90}
    return finished(figure, title, height=460, seeds=seeds_of(curves), **layout)


def _trained(curves: xr.Dataset) -> xr.Dataset:
    """Only the weight decays that one network was trained with."""
    return curves.isel(weight_decay=np.flatnonzero(curves.n_runs))


def _draw_curve(figure: Any, curve: xr.Dataset, name: str, look: Look) -> None:
    """The line of the means, and a marker per seed."""
    line = {"mode": "lines", "connectgaps": True, "hover": "%{x} pairs: mean %{y:.3f}"}
    draw(figure, (1, 1), curve.n_train, curve.final_mean, name, look, **line)
    for seed in curve.seed.values:
        run = curve.sel(seed=seed)
        symbols = [look.symbol if flat else f"{look.symbol}-open" for flat in run.flat.values]
        hover = f"seed {seed}, %{{x}} pairs: %{{y:.3f}}"
        options = {"mode": "markers", "size": 7, "showlegend": False, "marker_symbol": symbols}
        draw(figure, (1, 1), curve.n_train, run.final, name, look, hover=hover, **options)


def _finished(figure: Any, data: xr.Dataset, title: str, seeds: str) -> go.Figure:
    chance = float(data.chance[0])
    level_line(figure, chance)
    sizes = f"training pairs, of {round(1 / chance**2)} (open: no plateau yet)"
    figure.update_xaxes(type="log", tickvals=LOG_TICKS, title=sizes)
    figure.update_yaxes(title="final validation accuracy (dotted: chance)", range=ACCURACIES)
    return finished(figure, title, height=480, seeds=seeds, margin_t=110, legend_y=1.02)
