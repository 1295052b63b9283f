"""The delay of generalisation as a function of the two circuits' initial speeds.

Examples:
    >>> import dataclasses
    >>> import grokinterp as gi
    >>> from analyses.efficiency.circuits.sources import END, closed_form, from_checkpoint
    >>> from analyses.efficiency.mixing.landscape import compute_landscape
    >>> from analyses.efficiency.mixing.mixture import MixtureConfig
    >>> from analyses.efficiency.mixing.tables import tables_of
    >>> config = gi.RunConfig().replace({"data.p": 13, "data.train_fraction": 0.3})
    >>> run = gi.train(config.replace({"training.steps": 200}))
    >>> memorising = from_checkpoint(run, END, "memorising", definition="published")
    >>> tables = tables_of(memorising, closed_form(config.data, d_mlp=200))
    >>> training = dataclasses.replace(MixtureConfig().training, steps=20)
    >>> speeds, how = (1.0, 10.0), MixtureConfig(training=training)
    >>> dict(compute_landscape(tables, speeds, speeds, how).delay.sizes)
    {'w_m2': 2, 'w_g2': 2, 'factor': 2}
"""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from analyses.efficiency.mixing import mixture
from analyses.efficiency.mixing.delay import summary
from analyses.efficiency.mixing.tables import Tables
from analyses.pages.palette import FAINT, PAPER, SHARE_SCALE, Look
from analyses.pages.panels import draw, finished, panels
from analyses.pages.style import explain
from grokinterp.checks import check_number
from grokinterp.session import unaffected

SPEEDS = (0.3, 1.0, 3.0, 10.0, 30.0)


@unaffected()
def compute_landscape(
    tables: Tables,
    memorising: Sequence[float] = SPEEDS,
    generalising: Sequence[float] = SPEEDS,
    config: mixture.MixtureConfig | None = None,
) -> xr.Dataset:
    """When train and test losses fall for every pair of second factors, with first factors of 0.

    Args:
        tables: as for ``mixture.compute``.
        memorising: values of w_m2.
        generalising: values of w_g2.
        config: how the scalars are trained; all starts together.

    Returns:
        The variables of ``delay.summary`` over ("w_m2", "w_g2"). NaN did not happen in time; where
        only the train loss has fallen, the delay is censored.

    Raises:
        ValueError: a speed that is not positive or is given twice, or what ``mixture.compute``
            refuses.
    """
    for name, speeds in (("memorising", memorising), ("generalising", generalising)):
        for speed in speeds:
            check_number(name, float(speed), minimum=0.0, strict=True)
        if len(set(speeds)) < len(speeds) or not speeds:
            raise ValueError(f"{name}={list(speeds)} must be speeds, each given once")
    starts = {f"{m}:{g}": (float(m), float(g)) for m in memorising for g in generalising}
    found = summary(mixture.compute(tables, starts, config)).drop_vars("start")
    speeds = {
        "w_m2": ("start", [m for m, _ in starts.values()]),
        "w_g2": ("start", [g for _, g in starts.values()]),
    }
    plane = found.assign_coords(speeds).set_index(start=["w_m2", "w_g2"]).unstack("start")
    return plane.transpose("w_m2", "w_g2", ...)


def plot_landscape(
    landscape: xr.Dataset, *, factor: float = 10.0, seed: int | None = None
) -> go.Figure:
    """Heat map of T_test / T_train on a logarithmic scale; censored cells are crossed out.

    The number in a cell is the ratio, or a lower bound from the last step (">"), or "-" where the
    train loss has not fallen either. ``seed`` goes to the title.
    """
    at = landscape.sel(factor=factor)
    train, ratio = at.fall_step.sel(split="train").values, at.delay_ratio.values
    known, bound = ~np.isnan(ratio), landscape.attrs["steps"] / train
    shown = np.where(known, ratio, bound)
    words = [f"{'' if k else '> '}{n:.2g}" for k, n in zip(known.flat, shown.flat, strict=True)]
    text = np.where(np.isnan(train), "-", np.reshape(words, ratio.shape))
    x, y = ([f"{speed:g}" for speed in landscape[axis].values] for axis in ("w_g2", "w_m2"))
    ticks = [0.5, 1, 2, 5, 10, 20, 50, 100]
    bar = {"title": "T<sub>test</sub> / T<sub>train</sub>", "tickvals": np.log10(ticks)}
    bar["ticktext"] = [f"{tick:g}" for tick in ticks]
    cells = {"colorscale": SHARE_SCALE, "hoverongaps": False, "colorbar": bar}
    hover = "w_m2 %{y}, w_g2 %{x}: %{text}<extra></extra>"
    labels = {"text": text, "texttemplate": "%{text}", "hovertemplate": hover}
    figure = panels()
    figure.add_heatmap(x=x, y=y, z=np.log10(shown), **labels, **cells)
    censored = np.argwhere(~known & ~np.isnan(train))
    name = f"test loss has not fallen by step {landscape.attrs['steps']}"
    where = [x[j] for _, j in censored], [y[i] for i, _ in censored]
    look = Look(PAPER, symbol="x-thin-open")
    crosses = {"mode": "markers", "size": 44, "hoverinfo": "skip", "showlegend": False}
    draw(figure, (1, 1), *where, name, look, **crosses)
    if len(censored):
        explain(figure, name, symbol="x-thin-open")
    figure.update_xaxes(title="w<sub>g2</sub>, initial speed of C<sub>gen</sub>", type="category")
    figure.update_yaxes(title="w<sub>m2</sub>, initial speed of C<sub>mem</sub>", type="category")
    title = f"How much later test loss falls by {factor:g} times than train loss"
    seeds = "" if seed is None else f"seed {seed}"
    if np.isnan(train).any():
        explain(figure, "-: train loss has not fallen", symbol="square", color=FAINT)
    layout = {"plot_bgcolor": FAINT}
    return finished(figure, title, height=520, note=seeds, **layout)
