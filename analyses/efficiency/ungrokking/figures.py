"""Figures of ungrokking: final accuracies by amount of data, and how they got there (Figs. 7-8).

They draw the dataset of ``place.locate``.
"""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from analyses.efficiency.histories import NETWORK_LABEL
from analyses.pages.palette import Look, series, shades
from analyses.pages.panels import (
    ACCURACIES,
    LOG_STEPS,
    draw,
    error_bars,
    finished,
    level_line,
    panels,
    seeds_of,
)
from analyses.pages.style import explain

_NETWORK = {
    "transformer": series(0),
    "lstm": series(1),
    "mlp": series(2),
}


def plot_final(
    data: xr.Dataset, *, weight_decay: float | None = None, moments: str = "fresh"
) -> go.Figure:
    """Fig. 7: final test accuracy against the reduced set, a line per network.

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
    """Fig. 8: final test accuracy against the reduced set, a line per weight decay.

    Crosses are the 50 % points with 95 % intervals, each drawn a little below the one before.
    """
    figure = panels()
    cells = _trained(data.sel(network=network, moments=moments))
    for i, weight_decay in enumerate(cells.weight_decay.values):
        curve, look = cells.sel(weight_decay=weight_decay), series(i)
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
    """Test accuracy during the second training, a panel per weight decay."""
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
    figure.update_yaxes(title="test accuracy (dotted: chance)", col=1)
    title = f"Trained on with less data: {NETWORK_LABEL[network]}, optimiser {moments}"
    legend = {"title": {"text": "training pairs", "side": "top"}}
    return finished(figure, title, height=460, note=seeds_of(curves), legend=legend)


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
    explain(figure, "a seed without a plateau yet", symbol="circle-open")
    sizes = f"training pairs, of {round(1 / chance**2)}"
    figure.update_xaxes(type="log", title=sizes)
    figure.update_yaxes(title="final test accuracy (dotted: chance)", range=ACCURACIES)
    return finished(figure, title, height=480, note=seeds)
