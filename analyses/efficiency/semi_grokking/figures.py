"""Figures of semi-grokking: trajectories and outcomes (Fig. 9), and what half-way runs hold."""

import plotly.graph_objects as go
import xarray as xr

from analyses.efficiency.histories import NETWORK_LABEL
from analyses.pages.palette import FAINT, GUIDE, INK, SERIES, SUBSET_LOOK, Look, shades
from analyses.pages.panels import (
    ACCURACIES,
    LOG_STEPS,
    draw,
    finished,
    level_line,
    panels,
    seeds_of,
)
from analyses.statistics.curves import Outcome

OUTCOME_STYLE = {  # colour, marker, and pattern of a bar
    Outcome.GROKKED: (SERIES[0].color, "circle", ""),
    Outcome.SEMI_GROKKED: (SERIES[1].color, "diamond", "x"),
    Outcome.UNFINISHED: (SERIES[3].color, "triangle-right-open", "/"),
    Outcome.NOT_GENERALISED: (FAINT, "square", "."),
    Outcome.DIVERGED: (INK, "x", "+"),
}


def plot_trajectories(data: xr.Dataset, *, network: str = "transformer") -> go.Figure:
    """Fig. 9: test accuracy against steps; colours are fractions, symbols outcomes."""
    figure = panels()
    cells = data.sel(network=network).isel(budget=-1)
    colors = shades(data.sizes["fraction"], start=0.15)
    for fraction, color in zip(data.fraction.values, colors, strict=True):
        for seed in data.seed.values:
            run = cells.sel(fraction=fraction, seed=seed)
            curve = run.test_accuracy.dropna("step").sel(step=slice(1, None))
            if not curve.size:
                continue
            look = Look(color, symbol=OUTCOME_STYLE[Outcome(run.outcome.item())][1])
            end = [0] * (curve.size - 1) + [11]  # the symbol stands at the end
            hover = f"{fraction:.3g}, seed {seed}: %{{x}}, %{{y:.3f}}<extra></extra>"
            options = {"width": 1.5, "size": end, "hover": hover}
            draw(figure, (1, 1), curve.step, curve, f"{fraction:.3g}", look, **options)
    for end in Outcome:
        if (cells.outcome == str(end)).any():
            look = Look(INK, symbol=OUTCOME_STYLE[end][1])
            draw(figure, (1, 1), [None], [None], str(end), look, mode="markers", size=10)
    for budget in data.budget.values[:-1]:
        figure.add_vline(budget, line_dash="dot", line_color=GUIDE)
    level_line(figure, cells.chance)
    figure.update_xaxes(LOG_STEPS, title="step (updates; dotted: smaller budgets end)")
    figure.update_yaxes(title="test accuracy (dotted: chance)", range=ACCURACIES)
    title = f"Near the critical amount of data: {NETWORK_LABEL[network]}"
    legend = {"title": {"text": "share of pairs that train, and outcome", "side": "top"}}
    return finished(figure, title, height=520, note=seeds_of(cells), legend=legend)


def plot_outcomes(data: xr.Dataset, *, network: str = "transformer") -> go.Figure:
    """Share of seeds with each outcome against the training fraction, a panel per budget."""
    figure = panels([f"<b>judged at step {budget}</b>" for budget in data.budget.values])
    cells = data.sel(network=network)
    fractions = [f"{fraction:.3g}" for fraction in data.fraction.values]
    for i in range(data.sizes["budget"]):
        for end in Outcome:
            if not (cells.outcome == str(end)).any():
                continue
            color, _, pattern = OUTCOME_STYLE[end]
            marker = {"color": color, "pattern": {"shape": pattern, "fgcolor": INK}}
            shares = cells.share.isel(budget=i).sel(ending=str(end))
            hover = "%{x}: %{y:.0%} " + str(end) + "<extra></extra>"
            bar = {"marker": marker, "name": str(end), "hovertemplate": hover}
            figure.add_bar(x=fractions, y=shares, **bar, row=1, col=i + 1)
    figure.update_xaxes(title="share of pairs that train", type="category")
    figure.update_yaxes(range=[0, 1], tickformat=".0%")
    figure.update_yaxes(title="share of seeds", col=1)
    title = f"Semi-grokked, or unfinished? {NETWORK_LABEL[network]}"
    return finished(figure, title, height=440, note=seeds_of(cells), barmode="stack")


def plot_circuits(data: xr.Dataset) -> go.Figure:
    """Train and test accuracy of runs that stand half-way while their neurons are taken out.

    Args:
        data: from ``both_circuits.compute``.
    """
    titles = ["<b>least periodic first</b>", "<b>most periodic first</b>"]
    figure = panels(titles)
    for i in range(data.sizes["run"]):
        run = data.isel(run=i)
        name = f"{run.fraction.item():.3g}, seed {run.seed.item()}, {run.outcome.item()}"
        for column, direction in enumerate(run.direction.values, 1):
            for subset in run.subset.values:
                y = run.accuracy.sel(direction=direction, subset=subset)
                hover = f"{name}: %{{x:.0%}} gone, {subset} %{{y:.3f}}<extra></extra>"
                options = {"mode": "lines", "width": 1.5, "hover": hover}
                look = SUBSET_LOOK[subset]
                draw(figure, (1, column), data.removed, y, subset, look, **options)
    figure.update_xaxes(title="share of the neurons removed", tickformat=".0%")
    figure.update_yaxes(range=ACCURACIES)
    figure.update_yaxes(title="accuracy", col=1)
    runs = data.sizes["run"]
    counted = "one run" if runs == 1 else f"{runs} runs"
    return finished(figure, "Two circuits in runs that end half-way?", height=420, note=counted)
