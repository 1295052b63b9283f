"""Figures of grokking across architectures and amounts of data (Figs. 1, 2 and 3)."""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from analyses.efficiency.grokking_across.computation import SPLIT_LABEL, SPLITS
from analyses.efficiency.histories import LOG_TICKS, NETWORK_LABEL
from analyses.pages.labels import seeds_in_words
from analyses.statistics.thresholds import TIMED_AT

if TYPE_CHECKING:
    import plotly.graph_objects as go


def plot_networks(data: xr.Dataset, *, fraction: float = 0.5) -> "go.Figure":
    """Fig. 1: accuracies against steps, a panel per network."""
    cells = data.sel(fraction=fraction)
    panels = [cells.sel(network=network) for network in data.network.values]
    return _plot_curves(panels, f"Grokking on {fraction:.0%} of the pairs")


def plot_fractions(data: xr.Dataset, *, network: str) -> "go.Figure":
    """Figs. 2 and 3: accuracies of one network against steps, a panel per training fraction."""
    cells = data.sel(network=network)
    panels = [cells.sel(fraction=fraction) for fraction in data.fraction.values]
    return _plot_curves(panels, f"Grokking and the amount of data: {NETWORK_LABEL[network]}")


def plot_crossings(data: xr.Dataset, *, level: float = TIMED_AT) -> "go.Figure":
    """Steps to a level against training pairs: seeds, and their median; triangles are censored."""
    from plotly.subplots import make_subplots

    from analyses.pages.style import SUBSET_STYLE, finish

    symbols = {"train": "circle", "test": "diamond"}
    networks = data.network.values
    figure = make_subplots(
        cols=len(networks), shared_yaxes=True, horizontal_spacing=0.04,
        subplot_titles=[f"<b>{NETWORK_LABEL[network]}</b>" for network in networks],
    )  # fmt: skip
    for i, network in enumerate(networks):
        place: dict[str, Any] = {"row": 1, "col": i + 1}
        at_level = data.sel(network=network, level=level)
        for split in SPLITS:
            cells, color = at_level.sel(split=split), SUBSET_STYLE[split]["color"]
            for seed in data.seed.values:
                run = cells.sel(seed=seed)
                figure.add_scatter(
                    x=run.n_train, y=run.crossing, mode="markers", showlegend=False,
                    marker={"color": color, "symbol": symbols[split], "size": 6, "opacity": 0.5},
                    hovertemplate=f"seed {seed}, %{{x}} pairs: step %{{y}}<extra></extra>", **place,
                )  # fmt: skip
                figure.add_scatter(
                    x=run.n_train, y=run.last_step.where(run.crossing.isnull()), mode="markers",
                    marker={"color": color, "symbol": "triangle-up-open", "size": 11},
                    name="not reached by then", legendgroup="censored",
                    showlegend=bool(i == 0 and split == "test" and seed == data.seed.values[0]),
                    hovertemplate=f"seed {seed}, %{{x}} pairs: after step %{{y}}<extra></extra>",
                    **place,
                )  # fmt: skip
            figure.add_scatter(
                x=cells.n_train, y=cells.crossing_median.where(np.isfinite(cells.crossing_median)),
                mode="lines+markers", name=f"{SPLIT_LABEL[split]}, median of seeds",
                legendgroup=split, showlegend=i == 0,
                line={**SUBSET_STYLE[split], "width": 2},
                marker={"symbol": symbols[split], "size": 10}, **place,
            )  # fmt: skip
    figure.update_xaxes(title="training pairs")
    figure.update_yaxes(type="log", tickvals=LOG_TICKS)
    figure.update_yaxes(title=f"step at which accuracy reaches {level:.0%}", col=1)
    figure = finish(
        figure, title="How long training and generalising take", height=460, seeds=_seeds(data)
    )
    return _spacious(figure)


def _seeds(*parts: xr.Dataset) -> str:
    counts = [part.last_step.notnull().sum("seed").values.ravel() for part in parts]
    return seeds_in_words(np.concatenate(counts), of=parts[0].sizes["seed"])


def _plot_curves(panels: list[xr.Dataset], title: str) -> "go.Figure":
    """Thin lines are seeds, thick ones their medians."""
    from plotly.subplots import make_subplots

    from analyses.pages.style import GREY, finish

    figure = make_subplots(
        cols=len(panels), shared_yaxes=True, horizontal_spacing=0.04,
        subplot_titles=[_heading(panel) for panel in panels],
    )  # fmt: skip
    for i, panel in enumerate(panels):
        place: dict[str, Any] = {"row": 1, "col": i + 1}
        panel = panel.sel(step=slice(1, None))  # a logarithmic axis has no step 0
        for split in SPLITS:
            cells = panel.sel(split=split)
            for seed in panel.seed.values:
                _draw(figure, cells.accuracy.sel(seed=seed), split, place)
            _draw(figure, cells.median_accuracy, split, place, median=True, legend=i == 0)
        figure.add_hline(panel.chance.item(), line_dash="dot", line_color=GREY, **place)
    figure.update_xaxes(type="log", title="step (updates)", exponentformat="power", dtick=1)
    figure.update_yaxes(range=[-0.03, 1.03])
    figure.update_yaxes(title="accuracy (dotted: chance)", col=1)
    return _spacious(finish(figure, title=title, height=440, seeds=_seeds(*panels)))


def _draw(
    figure: "go.Figure",
    curve: xr.DataArray,
    split: str,
    place: dict[str, Any],
    *,
    median: bool = False,
    legend: bool = False,
) -> None:
    from analyses.pages.style import SUBSET_STYLE

    curve = curve.dropna("step")
    figure.add_scatter(
        x=curve.step, y=curve, mode="lines", name=f"{SPLIT_LABEL[split]}, median of seeds",
        line={**SUBSET_STYLE[split], "width": 3 if median else 1}, opacity=1.0 if median else 0.45,
        legendgroup=split, showlegend=legend, hovertemplate="step %{x}: %{y:.4f}", **place,
    )  # fmt: skip


def _spacious(figure: "go.Figure") -> "go.Figure":
    """Room for two lines over each panel, and the legend above them."""
    figure.update_annotations(font_size=13)
    return figure.update_layout(margin_t=140, legend={"y": 1.17})


def _heading(panel: xr.Dataset) -> str:
    """The network, its data, and how long validation lags behind."""
    name = f"<b>{NETWORK_LABEL[panel.network.item()]}, {panel.fraction.item():.0%}</b>"
    delay, learned = panel.delay_median.item(), f"{TIMED_AT:.0%}"
    if np.isnan(delay):
        return f"{name}<br>training does not reach {learned}"
    if np.isinf(delay):
        return f"{name}<br>most do not reach {learned} validation here"
    return f"{name}<br>{learned}: validation {delay:.3g} times later"
