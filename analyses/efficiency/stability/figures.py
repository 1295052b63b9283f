"""The figure: test accuracy of every run, a panel for each network."""

import plotly.graph_objects as go
import xarray as xr

from analyses.efficiency.stability.computation import STAYS_FROM
from analyses.pages.labels import seeds_in_words
from analyses.pages.palette import Look, shades
from analyses.pages.panels import ACCURACIES, draw, finished, level_line, panels

_NAME = {
    "none": "no norms",
    "none, small weights": "no norms, small weights",
    "pre": "norms before layers",
    "post": "norms after layers",
}


def plot_curves(data: xr.Dataset) -> go.Figure:
    """Test accuracy against steps; colours are rates and decays, thin lines seeds."""
    names = list(dict.fromkeys(data.network.values.tolist()))
    figure = panels([f"<b>{_NAME[name]}</b>" for name in names], gap=0.015)
    pairs = sorted(set(zip(data.learning_rate.values, data.weight_decay.values, strict=True)))
    colors = dict(zip(pairs, shades(len(pairs), start=0.15), strict=True))
    for i in range(data.sizes["setting"]):
        here = data.isel(setting=i)
        column = 1 + names.index(here.network.item())
        pair = here.learning_rate.item(), here.weight_decay.item()
        label = "rate {:g}, decay {:g}".format(*pair)
        for seed in data.seed.values:
            curve = here.test_accuracy.sel(seed=seed).dropna("step")
            hover = f"{label}, seed {seed}: %{{x}}, %{{y:.3f}}<extra></extra>"
            look = Look(colors[pair])
            options = {"mode": "lines", "width": 1.2, "hover": hover}
            draw(figure, (1, column), curve.step, curve, label, look, **options)
    for column in range(1, len(names) + 1):
        level_line(figure, STAYS_FROM, (1, column))
    figure.update_xaxes(title="step (updates)")
    figure.update_yaxes(range=ACCURACIES)
    figure.update_yaxes(title="test accuracy (dotted: 95 %)", col=1)
    title = "Which transformers grok and stay grokked?"
    return finished(figure, title, height=460, note=seeds_in_words(data.sizes["seed"]))
