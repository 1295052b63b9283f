"""Neurons needed to generalise, against the network's width (Doshi et al. 2023, Fig. 32).

Networks of many widths are trained on corrupted labels. Then their neurons are removed one by one,
lowest IPR first, as long as the network still generalises. The paper does not state when it counts
a network as still generalising. Here: while test accuracy has not fallen by more than 0.01 below
that of the whole network; and, as a second reading, while it is at least 0.90.

The published settings: learning rate 0.005, weight decay 1, train fraction 0.5, corruption 0.35,
widths from 500 to 10,000. The paper has 40 seeds; the default here is five. The widths between, and
2000 steps, are our choice.

Examples:
    >>> import grokinterp as gi
    >>> from analyses.label_noise import pruned_width
    >>> wanted, few = pruned_width.wanted("tiny", seeds=1), {"training.steps": 10}
    >>> runs = gi.train_many([named.config.replace(few) for named in wanted])
    >>> data = pruned_width.compute(runs)
    >>> data.width.values.tolist(), data.needed.dims
    ([50, 100, 200], ('reading', 'width', 'seed'))
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from jaxtyping import Float

from analyses.announcement import Announcement
from analyses.label_noise.grids import grid, side_by_side
from analyses.label_noise.settings import paper_mlp
from analyses.one_run import pruning
from analyses.options import Out, Seeds, Size
from analyses.pages.finding import Finding
from analyses.pages.labels import seeds_in_words
from analyses.pages.palette import GUIDE, Look, series
from analyses.pages.panels import draw, draw_band, finished, panels
from analyses.statistics.intervals import half_width
from analyses.statistics.thresholds import GENERALISED_FROM
from grokinterp import Run
from grokinterp.bars import progress_bar
from grokinterp.sweeps.collect import Named, collect

LOST = 0.01  # test accuracy that may be lost, in the first reading
READINGS = {
    "within 0.01": f"test accuracy within {LOST} of the whole network's",
    "0.90": f"test accuracy at least {GENERALISED_FROM:.2f}",
}
_PATH = "model.d_mlp"
_WIDTHS = {
    "tiny": (50, 100, 200),
    "small": (125, 250, 500, 1000, 2000),
    "published": (500, 1000, 2000, 3500, 5000, 7000, 10_000),
}


def wanted(size: str, seeds: int) -> list[Named]:
    """The runs: every width with seeds 0, 1, ..."""
    base = paper_mlp(size, {"training.lr": 5e-3, "training.weight_decay": 1.0})
    return grid("width", base, _PATH, _WIDTHS[size], seeds)


def neurons_needed(accuracy: Float[np.ndarray, " removed"], level: float) -> int:
    """Fewest neurons left such that accuracy was at least ``level`` at every removal up to there.

    Args:
        accuracy: on the test set after removing 0, 1, ... all neurons.
        level: what counts as generalising; at most ``accuracy[0]``.
    """
    below = np.flatnonzero(accuracy < level)
    removed = below[0] - 1 if len(below) else len(accuracy) - 1
    return len(accuracy) - 1 - int(removed)


def compute(runs: Sequence[Run], *, progress: bool = False) -> xr.Dataset:
    """Neurons needed by runs that differ in width and seed, and the exponent of their growth.

    Returns:
        Dataset over "width" and "seed":

        - ``test``, ``changed``: accuracies of the whole network;
        - ``needed`` (reading, ...): neurons needed, NaN if there is no such run or if the whole
          network does not generalise (test accuracy below 0.90), where none would be meaningful.

        Over "reading" and "width": ``mean`` over seeds, ``error``, its standard error (NaN for
        fewer than two), and ``n``, the seeds. Over "reading": ``exponent`` b of needed ~ width^b,
        the slope of a straight line through the logarithms of all runs, with its 95 % Student-t
        interval ``low`` to ``high``; NaN with fewer than two widths or three runs.
    """
    with progress_bar(len(runs), unit="run", desc="pruning", wanted=progress, leave=False) as bar:

        def of_run(run: Run) -> xr.Dataset:
            found = _of_run(run)
            bar.update()
            return found

        data = side_by_side(runs, _PATH, of_run, axis="width")
    data = data.transpose("reading", "width", "seed")
    n = data.needed.count("seed")
    spread = data.needed.std("seed", ddof=1 if data.sizes["seed"] > 1 else 0).where(n > 1)
    slopes = [_exponent(data.needed.sel(reading=reading)) for reading in READINGS]
    data = data.assign(mean=data.needed.mean("seed"), error=spread / n.clip(1) ** 0.5, n=n)
    for name, values in zip(("exponent", "low", "high"), zip(*slopes, strict=True), strict=True):
        data[name] = ("reading", list(values))
    return data


def _of_run(run: Run) -> xr.Dataset:
    accuracy = pruning.curve(pruning.compute(run, orders=["ipr"]), "ipr").accuracy
    test = accuracy.sel(subset="test").values
    levels, needed = (test[0] - LOST, GENERALISED_FROM), [np.nan] * len(READINGS)
    if test[0] >= GENERALISED_FROM:
        needed = [float(neurons_needed(test, level)) for level in levels]
    whole = {name: float(accuracy.sel(subset=name)[0]) for name in ("test", "changed")}
    return xr.Dataset({"needed": ("reading", needed), **whole}, coords={"reading": list(READINGS)})


def _exponent(needed: xr.DataArray) -> tuple[float, float, float]:
    """Slope of log(needed) against log(width) over all runs, with its 95 % interval."""
    from scipy.stats import linregress

    width = needed.width.broadcast_like(needed).values
    known = (needed > 0).values
    if known.sum() < 3 or len(set(width[known])) < 2:
        return np.nan, np.nan, np.nan
    fit: Any = linregress(np.log(width[known]), np.log(needed.values[known]))
    half = float(half_width(fit.stderr, known.sum() - 1))  # two parameters, n - 2 degrees
    return float(fit.slope), fit.slope - half, fit.slope + half


def plot_needed(data: xr.Dataset, *, title: str | None = None) -> go.Figure:
    """Fig. 32: neurons needed, and their share of the width, against the width.

    Lines are means over seeds, bands their standard errors, markers single runs.
    """
    titles = ["<b>neurons needed</b>", "<b>share of the neurons</b>"]
    figure = panels(titles, shared_yaxes=False, gap=0.14)
    looks = (series(0), series(1))
    width = data.width.values
    for reading, look in zip(READINGS, looks, strict=True):
        here, name = data.sel(reading=reading), READINGS[reading]
        for column, by in ((1, 1.0), (2, width)):
            mean, error = here["mean"].values / by, here.error.fillna(0.0).values / by
            band = mean - error, mean + error
            draw_band(figure, (1, column), width, *band, look.color, opacity=0.2, showlegend=False)
            hover = "N %{x}: %{y:.3g}"
            draw(figure, (1, column), width, mean, name, look, size=8, hover=hover)
            points: dict[str, Any] = {"mode": "markers", "size": 5, "opacity": 0.4}
            for needed in here.needed.transpose("seed", "width").values:
                draw(
                    figure, (1, column), width, needed / by, name, look, showlegend=False, **points
                )
    draw(figure, (1, 1), width, width, "all neurons", Look(GUIDE, "dot"), mode="lines", width=1.5)
    figure.update_xaxes(
        title="neurons N", type="log", tickvals=width, ticktext=[str(w) for w in width]
    )
    figure.update_yaxes(type="log", row=1, col=1)
    figure.update_yaxes(rangemode="tozero", row=1, col=2)
    seeds = seeds_in_words(data.n.values, of=data.sizes["seed"])
    title = title or "Neurons needed after pruning, lowest IPR first"
    return finished(figure, title, height=480, note=seeds)


def table(data: xr.Dataset) -> list[dict[str, object] | str]:
    """One row per width, and a sentence on each reading's exponent."""
    rows: list[dict[str, object] | str] = []
    for width in data.width.values:
        here = data.sel(width=width)
        row: dict[str, object] = {"N": int(width)}
        row |= {name: float(here[name].mean()) for name in ("test", "changed")}
        for reading in READINGS:
            one = here.sel(reading=reading)
            row[f"needed ({reading})"] = float(one["mean"])
            row[f"error ({reading})"] = float(one.error)
        row["seeds"] = int(here.n.isel(reading=0))
        rows.append(row)
    for reading, words in READINGS.items():
        one = data.sel(reading=reading)
        if np.isnan(one.exponent):
            rows.append(f"{words}: too few networks generalise for an exponent")
            continue
        rows.append(
            f"{words}: needed ~ N^{float(one.exponent):.2f} "
            f"[{float(one.low):.2f}, {float(one.high):.2f}]"
        )
    return rows


def experiment(
    out: Out, size: Size = "small", seeds: Seeds = 5
) -> Iterator[Announcement | Finding]:
    """Train networks of many widths, and remove neurons as long as they generalise."""
    runs = wanted(size, seeds)
    yield Announcement.of(out, runs)
    data = compute(collect(out, runs), progress=True)
    yield Finding(data=data, figures=[plot_needed(data)], rows=table(data))
