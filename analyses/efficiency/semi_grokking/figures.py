"""Figures of semi-grokking: trajectories and outcomes (Fig. 9)."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from analyses.efficiency.histories import NETWORK_LABEL
from analyses.pages.labels import seeds_in_words
from analyses.pages.style import BLACK, BLUE, GREY, ORANGE, SKY
from analyses.statistics.curves import Outcome

if TYPE_CHECKING:
    import plotly.graph_objects as go

OUTCOME_STYLE = {  # colour, marker, and pattern of a bar
    Outcome.GROKKED: (BLUE, "circle", ""),
    Outcome.SEMI_GROKKED: (ORANGE, "diamond", "x"),
    Outcome.UNFINISHED: (SKY, "triangle-right-open", "/"),
    Outcome.NOT_GENERALISED: (GREY, "square", "."),
    Outcome.DIVERGED: (BLACK, "x", "+"),
}


def plot_trajectories(data: xr.Dataset, *, network: str = "transformer") -> "go.Figure":
    """Fig. 9: validation accuracy against steps; colours are fractions, symbols how runs ended."""
    import plotly.graph_objects as go
    from plotly.colors import sample_colorscale

    from analyses.pages.style import finish

    figure = go.Figure()
    cells = data.sel(network=network).isel(budget=-1)
    shades = sample_colorscale("Viridis_r", np.linspace(0.15, 1.0, data.sizes["fraction"]))
    for fraction, shade in zip(data.fraction.values, shades, strict=True):
        for seed in data.seed.values:
            run = cells.sel(fraction=fraction, seed=seed)
            curve = run.test_accuracy.dropna("step").sel(step=slice(1, None))
            if not curve.size:
                continue
            symbol = OUTCOME_STYLE[Outcome(run.outcome.item())][1]
            figure.add_scatter(
                x=curve.step, y=curve, mode="lines+markers", name=f"{fraction:.3g}",
                line={"color": shade, "width": 1.5}, legendgroup=str(fraction),
                showlegend=bool(seed == data.seed.values[0]),
                marker={"symbol": symbol, "size": [0] * (curve.size - 1) + [11]},
                hovertemplate=f"{fraction:.3g}, seed {seed}: %{{x}}, %{{y:.3f}}<extra></extra>",
            )  # fmt: skip
    for end in Outcome:
        if (cells.outcome == str(end)).any():
            figure.add_scatter(
                x=[None], y=[None], mode="markers", name=str(end),
                marker={"color": BLACK, "symbol": OUTCOME_STYLE[end][1], "size": 10},
            )  # fmt: skip
    for budget in data.budget.values[:-1]:
        figure.add_vline(budget, line_dash="dot", line_color=GREY)
    figure.add_hline(cells.chance.item(), line_dash="dot", line_color=GREY)
    figure.update_xaxes(
        type="log", exponentformat="power", dtick=1,
        title="step (updates; dotted: end of a smaller budget)",
    )  # fmt: skip
    figure.update_yaxes(title="validation accuracy (dotted: chance)", range=[-0.03, 1.03])
    title = f"Near the critical amount of data: {NETWORK_LABEL[network]}"
    return finish(figure, title=title, height=520, seeds=_seeds(cells)).update_layout(
        legend={
            "orientation": "v", "x": 1.02, "xanchor": "left", "y": 1, "yanchor": "top",
            "tracegroupgap": 0,
        },
        legend_title="share of pairs<br>that train; outcome",
    )  # fmt: skip


def plot_outcomes(data: xr.Dataset, *, network: str = "transformer") -> "go.Figure":
    """Share of seeds that ended in each way against the training fraction, a panel per budget."""
    from plotly.subplots import make_subplots

    from analyses.pages.style import finish

    figure = make_subplots(
        cols=data.sizes["budget"], shared_yaxes=True, horizontal_spacing=0.05,
        subplot_titles=[f"<b>judged at step {budget}</b>" for budget in data.budget.values],
    )  # fmt: skip
    cells = data.sel(network=network)
    fractions = [f"{fraction:.3g}" for fraction in data.fraction.values]
    for i in range(data.sizes["budget"]):
        for end in Outcome:
            if not (cells.outcome == str(end)).any():
                continue
            color, _, pattern = OUTCOME_STYLE[end]
            figure.add_bar(
                x=fractions, y=cells.share.isel(budget=i).sel(ending=str(end)), name=str(end),
                marker={"color": color, "pattern": {"shape": pattern, "fgcolor": BLACK}},
                legendgroup=str(end), showlegend=i == 0, row=1, col=i + 1,
                hovertemplate="%{x}: %{y:.0%} " + str(end) + "<extra></extra>",
            )  # fmt: skip
    figure.update_xaxes(title="share of pairs that train", type="category")
    figure.update_yaxes(range=[0, 1], tickformat=".0%")
    figure.update_yaxes(title="share of seeds", col=1)
    title = f"Semi-grokked, or unfinished? {NETWORK_LABEL[network]}"
    return finish(figure, title=title, height=440, seeds=_seeds(cells)).update_layout(
        barmode="stack", margin_t=120, legend={"y": 1.1}
    )


def _seeds(cells: xr.Dataset) -> str:
    return seeds_in_words(cells.last_step.notnull().sum("seed"), of=cells.sizes["seed"])
