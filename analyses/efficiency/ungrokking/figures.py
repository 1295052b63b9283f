"""Figures of ungrokking: what is left, on how much data, and how it went (second paper, Figs. 7-8).

They take what ``place.locate`` returns.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from analyses.efficiency.histories import LOG_TICKS, NETWORK_LABEL, NETWORK_STYLE
from analyses.pages.labels import seeds_in_words
from analyses.pages.style import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, finish

if TYPE_CHECKING:
    import plotly.graph_objects as go

_SERIES = (  # colour, dash and marker of weight decays
    (BLUE, "solid", "circle"), (ORANGE, "dash", "square"), (GREEN, "dot", "diamond"),
    (RED, "dashdot", "triangle-up"), (PURPLE, "longdash", "cross"),
)  # fmt: skip


def plot_final(
    data: xr.Dataset, *, weight_decay: float | None = None, moments: str = "fresh"
) -> "go.Figure":
    """Fig. 7: final validation accuracy against the reduced set, a line per network.

    Lines are means of seeds, small markers seeds, open ones seeds without a plateau.

    Args:
        data: of ``locate``.
        weight_decay: of these runs; None: each network's reference.
        moments: of the optimiser, "fresh" or "kept".
    """
    import plotly.graph_objects as go

    figure, drawn, counts = go.Figure(), set[str](), []
    for network in data.network.values:
        curves = data.sel(network=network, moments=moments)
        decay = curves.reference.item() if weight_decay is None else weight_decay
        cells = curves.sel(weight_decay=decay)
        if cells.n_runs:
            _add_curve(figure, cells, NETWORK_LABEL[network], NETWORK_STYLE[network])
            drawn.add(f"{decay:g}")
            counts.append(_counts(cells))
    decays = " or ".join(sorted(drawn, key=float))
    title = f"Ungrokking at weight decay {decays}, optimiser {moments}"
    return _finish_final(figure, data, title, np.concatenate(counts))


def plot_decay(data: xr.Dataset, *, network: str = "mlp", moments: str = "fresh") -> "go.Figure":
    """Fig. 8: final validation accuracy against the reduced set, a line per weight decay.

    Crosses are the 50 % points with 95 % intervals, one a little below the other.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    cells = _trained(data.sel(network=network, moments=moments))
    for i, weight_decay in enumerate(cells.weight_decay.values):
        curve, style = cells.sel(weight_decay=weight_decay), _SERIES[i % len(_SERIES)]
        _add_curve(figure, curve, f"weight decay {weight_decay:g}", style)
        if curve.midpoint.notnull():
            middle = curve.midpoint.item()
            figure.add_scatter(
                x=[middle], y=[0.5 - 0.04 * i], mode="markers", showlegend=False,
                marker={"color": style[0], "symbol": "x", "size": 11},
                error_x={
                    "array": [curve.midpoint_high.item() - middle],
                    "arrayminus": [middle - curve.midpoint_low.item()], "thickness": 2,
                },
                hovertemplate=f"weight decay {weight_decay:g}: half of the way at %{{x:.0f}} pairs",
            )  # fmt: skip
    title = f"Does weight decay move ungrokking? {NETWORK_LABEL[network]}, optimiser {moments}"
    return _finish_final(figure, data, title, _counts(cells))


def plot_trajectories(data: xr.Dataset, *, network: str, moments: str = "fresh") -> "go.Figure":
    """Validation accuracy while it trains on, a panel per weight decay, a shade per size."""
    from plotly.colors import sample_colorscale
    from plotly.subplots import make_subplots

    curves = _trained(data.sel(network=network, moments=moments))
    decays = curves.weight_decay.values
    figure = make_subplots(
        cols=len(decays), shared_yaxes=True, horizontal_spacing=0.04,
        subplot_titles=[f"<b>weight decay {decay:g}</b>" for decay in decays],
    )  # fmt: skip
    shades = sample_colorscale("Viridis_r", np.linspace(0.1, 1.0, data.sizes["fraction"]))
    for i, decay in enumerate(decays):
        place: dict[str, Any] = {"row": 1, "col": i + 1}
        cells = curves.sel(weight_decay=decay)
        for fraction, shade in zip(data.fraction.values, shades, strict=True):
            size = cells.n_train.sel(fraction=fraction)
            for j, seed in enumerate(data.seed.values):
                curve = cells.test_accuracy.sel(fraction=fraction, seed=seed).dropna("step")
                curve = curve.sel(step=slice(1, None))  # a logarithmic axis has no step 0
                figure.add_scatter(
                    x=curve.step, y=curve, mode="lines", line={"color": shade, "width": 1.5},
                    name=f"{size:.0f}", legendgroup=str(fraction), showlegend=i == j == 0,
                    hovertemplate=f"seed {seed}, step %{{x}}: %{{y:.3f}}", **place,
                )  # fmt: skip
        figure.add_hline(cells.chance.item(), line_dash="dot", line_color=GREY, **place)
    figure.update_xaxes(type="log", title="step (updates)", exponentformat="power", dtick=1)
    figure.update_yaxes(range=[-0.03, 1.03])
    figure.update_yaxes(title="validation accuracy (dotted: chance)", col=1)
    title = f"Trained on with less data: {NETWORK_LABEL[network]}, optimiser {moments}"
    seeds = seeds_in_words(_counts(curves), of=data.sizes["seed"])
    return finish(figure, title=title, height=460, seeds=seeds).update_layout(
        legend={
            "orientation": "v", "x": 1.02, "xanchor": "left", "y": 1, "yanchor": "top",
            "tracegroupgap": 0, "title": {"text": "training<br>pairs"},
        },
        margin_t=90,
    )  # fmt: skip


def _trained(curves: xr.Dataset) -> xr.Dataset:
    """Those weight decays of one network at which it was trained."""
    return curves.isel(weight_decay=np.flatnonzero(curves.n_runs))


def _add_curve(
    figure: "go.Figure", curve: xr.Dataset, name: str, style: tuple[str, str, str]
) -> None:
    """Seeds, and the line of their means."""
    color, dash, symbol = style
    mean = curve.final_mean
    figure.add_scatter(
        x=curve.n_train, y=mean, mode="lines", name=name, connectgaps=True,
        line={"color": color, "dash": dash, "width": 2.5}, legendgroup=name,
        hovertemplate="%{x} pairs: mean %{y:.3f}",
    )  # fmt: skip
    for seed in curve.seed.values:
        run = curve.sel(seed=seed)
        figure.add_scatter(
            x=curve.n_train, y=run.final, mode="markers", name=name, legendgroup=name,
            showlegend=False, hovertemplate=f"seed {seed}, %{{x}} pairs: %{{y:.3f}}",
            marker={
                "color": color, "size": 7,
                "symbol": [symbol if flat else f"{symbol}-open" for flat in run.flat.values],
            },
        )  # fmt: skip


def _counts(cells: xr.Dataset) -> np.ndarray:
    """Seeds at every size (and weight decay); 0 where there is no such run."""
    return cells.last_step.notnull().sum("seed").values.ravel()


def _finish_final(
    figure: "go.Figure", data: xr.Dataset, title: str, counts: np.ndarray
) -> "go.Figure":
    figure.add_hline(float(data.chance[0]), line_dash="dot", line_color=GREY)
    total = round(1 / float(data.chance[0]) ** 2)
    figure.update_xaxes(
        type="log", tickvals=LOG_TICKS, title=f"training pairs, of {total} (open: no plateau yet)"
    )
    figure.update_yaxes(title="final validation accuracy (dotted: chance)", range=[-0.03, 1.03])
    seeds = seeds_in_words(counts, of=data.sizes["seed"])
    figure = finish(figure, title=title, height=480, seeds=seeds)
    return figure.update_layout(margin_t=110, legend_y=1.02)
