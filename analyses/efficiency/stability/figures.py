"""The figure: test accuracy of every run, a panel for each norm and learning rate."""

import plotly.graph_objects as go
import xarray as xr

from analyses.efficiency.stability.computation import STAYS_FROM
from analyses.pages.labels import seeds_in_words
from analyses.pages.panels import ACCURACIES, Look, draw, finished, level_line, panels, shades

_NORM = {"none": "no norms", "pre": "norms before layers", "post": "norms after layers"}


def plot_curves(data: xr.Dataset) -> go.Figure:
    """Test accuracy against steps; colours are weight decays, thin lines seeds."""
    pairs = list(dict.fromkeys(zip(data.norm.values, data.learning_rate.values, strict=True)))
    titles = [f"<b>{_NORM[norm]}</b><br>rate {rate:g}" for norm, rate in pairs]
    figure = panels(titles, gap=0.015)
    decays = sorted(set(data.weight_decay.values.tolist()))
    colors = dict(zip(decays, shades(len(decays), start=0.2), strict=True))
    for i in range(data.sizes["setting"]):
        here = data.isel(setting=i)
        column = 1 + pairs.index((here.norm.item(), here.learning_rate.item()))
        decay = here.weight_decay.item()
        for seed in data.seed.values:
            curve = here.test_accuracy.sel(seed=seed).dropna("step")
            hover = f"decay {decay:g}, seed {seed}: %{{x}}, %{{y:.3f}}<extra></extra>"
            look = Look(colors[decay])
            options = {"mode": "lines", "width": 1.2, "hover": hover}
            draw(figure, (1, column), curve.step, curve, f"decay {decay:g}", look, **options)
    for column in range(1, len(pairs) + 1):
        level_line(figure, STAYS_FROM, (1, column))
    figure.update_xaxes(title="step (updates)")
    figure.update_yaxes(range=ACCURACIES)
    figure.update_yaxes(title="test accuracy (dotted: 95 %)", col=1)
    figure.update_annotations(font_size=13)
    title = "Which transformers grok and stay grokked?"
    layout = {"margin_t": 130, "legend": {"y": 1.14}}
    return finished(figure, title, height=460, seeds=seeds_in_words(data.sizes["seed"]), **layout)
