"""Training with more and more dropout (Doshi et al. 2023, Fig. 19), and the neurons' IPR (Fig. 4b).

The paper does not state the train fraction and the corruption; they are those of Fig. 4, 0.5 and
0.35. Dropout acts before the activation and weight decay is 0, as in the authors' code.

Examples:
    >>> import grokinterp as gi
    >>> from analyses.label_noise import dropout_curves
    >>> wanted, few = dropout_curves.wanted("tiny", seeds=1), {"training.steps": 10}
    >>> runs = gi.train_many([named.config.replace(few) for named in wanted])
    >>> data = dropout_curves.compute(runs)
    >>> data.dropout.values.tolist(), dict(data.ipr.sizes)
    ([0.0, 0.3, 0.6, 0.9], {'dropout': 4, 'seed': 1, 'neuron': 100})
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from analyses.announcement import Announcement
from analyses.label_noise.curves import of_run, plot_curves, titles
from analyses.label_noise.grids import grid, side_by_side
from analyses.label_noise.settings import paper_mlp
from analyses.label_noise.words import counted
from analyses.one_run import ipr_histogram
from analyses.options import Out, Seeds, Size
from analyses.pages.finding import Finding
from analyses.pages.labels import seeds_in_words
from analyses.pages.palette import DRAWN_SUBSETS, INK, PAPER, PLAIN
from analyses.pages.panels import finished, panels
from analyses.pages.style import IPR_BINS, explain
from grokinterp import Run
from grokinterp.sweeps.collect import Named, collect

DROPOUTS = (0.0, 0.3, 0.6, 0.9)
AXIS, _PATH = "dropout", "training.dropout"


def wanted(size: str, seeds: int) -> list[Named]:
    """The runs: every dropout probability with seeds 0, 1, ..."""
    return grid("dropout", paper_mlp(size, {}), _PATH, DROPOUTS, seeds)


def compute(runs: Sequence[Run]) -> xr.Dataset:
    """Accuracies against steps, final phases and IPR of runs that differ in dropout and seed.

    Returns:
        Dataset over "dropout" and "seed":

        - ``accuracy`` (..., step, subset); NaN after a run diverged;
        - ``phase``, the name at the last step;
        - ``ipr`` (..., neuron), NaN for a dead neuron; ``mean_ipr`` over living neurons;
        - ``share_uncorrupted`` of the training labels.

    Raises:
        ValueError: a dropout probability lacks one of the seeds, or has it twice.
    """
    return side_by_side(runs, _PATH, _of_run, axis=AXIS)


def _of_run(run: Run) -> xr.Dataset:
    neurons = ipr_histogram.compute(run).isel(run=0, drop=True)
    return of_run(run).assign(ipr=neurons.ipr, mean_ipr=neurons.mean_ipr)


def plot_ipr(data: xr.Dataset, *, title: str = "IPR of the neurons") -> go.Figure:
    """Fig. 4b: histograms of all seeds' neurons; the dashed lines are means of living neurons."""
    figure = panels(titles(data, AXIS))
    for column, dropout in enumerate(data.dropout.values, 1):
        here = data.sel(dropout=dropout)
        place: dict[str, Any] = {"row": 1, "col": column}
        figure.add_histogram(
            x=here.ipr.values.ravel(),
            xbins=IPR_BINS,
            histnorm="percent",
            marker={"color": PLAIN, "line": {"color": PAPER, "width": 0.5}},
            showlegend=False,
            hovertemplate="IPR %{x}: %{y:.1f} % of the neurons<extra></extra>",
            **place,
        )
        mean = float(here.mean_ipr.mean())
        if np.isfinite(mean):
            figure.add_vline(mean, line_dash="dash", line_color=INK, **place)
    explain(figure, "mean of living neurons", symbol="line-ns-open", size=12)
    figure.update_xaxes(title="IPR (1 = one frequency)", range=[0, 1])
    figure.update_yaxes(title="% of neurons", col=1)
    seeds = seeds_in_words(data.sizes["seed"])
    return finished(figure, title, height=430, note=seeds)


def table(data: xr.Dataset) -> list[dict[str, object]]:
    """One row per dropout probability: phases of its seeds, mean final accuracies, mean IPR."""
    last = data.accuracy.isel(step=-1).mean("seed")
    rows = []
    for dropout in data.dropout.values:
        row: dict[str, object] = {"dropout": float(dropout)}
        row |= {s: float(last.sel(dropout=dropout, subset=s)) for s in DRAWN_SUBSETS}
        row["IPR"] = float(data.mean_ipr.sel(dropout=dropout).mean())
        row["phase"] = counted(data.phase.sel(dropout=dropout).values)
        rows.append(row)
    return rows


def experiment(
    out: Out, size: Size = "small", seeds: Seeds = 5
) -> Iterator[Announcement | Finding]:
    """Train with four dropout probabilities: what is learned when, and which neurons are left."""
    runs = wanted(size, seeds)
    yield Announcement.of(out, runs)
    data = compute(collect(out, runs))
    figures = [plot_curves(data, AXIS, title="Training with dropout"), plot_ipr(data)]
    yield Finding(data=data, figures=figures, rows=table(data))
