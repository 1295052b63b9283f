"""Weight decays that invert, with cross-entropy and squared error (Doshi et al. 2023, Fig. 26).

With cross-entropy, the paper finds Inversion in a narrow band of weight decays and Confusion
beyond, but states no values. Here decays on a coarse grid are trained first, and then the two edges
of the band are bisected. Squared error is scanned in the same way, because "narrow" needs a
comparison.

The published size is a network of Fig. 3 at train fraction 0.6 and corruption 0.3, one of the cells
in which cross-entropy generalises. The grid doubles the decay from 0.5 to 32, at a learning rate of
0.01. "small" and "tiny" are the networks of ``settings``.

Examples:
    >>> import grokinterp as gi
    >>> from analyses.label_noise import inversion_band
    >>> wanted, few = inversion_band.grid_runs("tiny", seeds=1), {"training.steps": 10}
    >>> runs = gi.train_many([named.config.replace(few) for named in wanted])
    >>> data = inversion_band.compute(runs)
    >>> data.loss.values.tolist(), dict(data.phase.sizes)
    (['cross_entropy', 'mse'], {'loss': 2, 'decay': 7, 'seed': 1})
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from analyses.announcement import Announcement
from analyses.label_noise.settings import paper_mlp
from analyses.label_noise.words import counted
from analyses.one_run.phases import EndPoint, Phase, phase_of
from analyses.options import Out, Seeds, Size
from analyses.pages.finding import Finding
from analyses.pages.labels import seeds_in_words
from analyses.pages.palette import PHASE_COLOR, SUBSET_LABEL, SUBSET_LOOK
from analyses.pages.panels import ACCURACIES, draw, draw_phases, finished, panels
from grokinterp import Run
from grokinterp.sweeps.collect import Named, collect, folder_name

LOSSES = {"cross_entropy": "cross-entropy", "mse": "squared error"}
GRID = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # each twice the one before
ROUNDS = 3  # of bisection; an edge is then known up to a factor of 2 ** (1 / 8), which is 9 %
EDGES = ("lower", "upper")
INVERTS = (str(Phase.PARTIAL_INVERSION), str(Phase.FULL_INVERSION))
_CELL = {"data.train_fraction": 0.6, "data.corruption": 0.3}


def grid_runs(size: str, seeds: int) -> list[Named]:
    """The runs of the coarse grid, of both losses."""
    return [
        _named(size, loss, decay, seed, folder_name(loss, "decay", decay))
        for loss, decay, seed in product(LOSSES, GRID, range(seeds))
    ]


def edge_runs(size: str, seeds: int, turn: int, decays: Mapping[Any, float]) -> list[Named]:
    """The runs of one round of bisection.

    Args:
        size: one of ``settings.SIZES``.
        seeds: how many.
        turn: number of the round, from 1. The folders' names hold it, not the decay, so what a
            command will train can be listed before the decays are known.
        decays: by (loss, edge), names from ``LOSSES`` and ``EDGES``.
    """
    return [
        _named(size, loss, decay, seed, folder_name(loss, edge, "edge", turn))
        for (loss, edge), decay in decays.items()
        for seed in range(seeds)
    ]


def _named(size: str, loss: str, decay: float, seed: int, folder: str) -> Named:
    changes: dict[str, Any] = {"training.loss": loss, "training.weight_decay": decay}
    changes |= {"seed": seed, "data.seed": seed} | (_CELL if size == "published" else {})
    return Named(f"{folder}-seed-{seed}", paper_mlp(size, changes))


def inverting(inverts: Mapping[float, bool]) -> tuple[float, float] | None:
    """First and last decay of the longest stretch of neighbouring decays that invert.

    Args:
        inverts: by decay, in any order, whether most seeds invert.

    Returns:
        None if none inverts. "Longest" is in the logarithm of the decay; of equals the first.
    """
    stretches: list[list[float]] = []
    open_stretch = False
    for decay in sorted(inverts):
        if not inverts[decay]:
            open_stretch = False
        elif open_stretch:
            stretches[-1].append(decay)
        else:
            stretches.append([decay])
            open_stretch = True
    if not stretches:
        return None
    longest = max(stretches, key=lambda stretch: stretch[-1] / stretch[0])
    return longest[0], longest[-1]


def brackets(inverts: Mapping[float, bool]) -> dict[str, tuple[float, float]]:
    """The neighbouring decays between which each edge of the band lies; only edges that are known.

    An edge outside of the decays that were tried has no bracket.
    """
    band, tried = inverting(inverts), sorted(inverts)
    if band is None:
        return {}
    below = [decay for decay in tried if decay < band[0]]
    above = [decay for decay in tried if decay > band[1]]
    found = {"lower": (below[-1], band[0])} if below else {}
    return found | ({"upper": (band[1], above[0])} if above else {})


def scan(out: str | PathLike[str], size: str, seeds: int) -> list[Run]:
    """All runs: of the coarse grid, then of ``ROUNDS`` bisections of every edge that is there."""
    out = Path(out)
    runs = collect(out, grid_runs(size, seeds))
    for turn in range(1, ROUNDS + 1):
        decays = {
            (loss, edge): (low * high) ** 0.5
            for loss in LOSSES
            for edge, (low, high) in brackets(_inverts(runs, loss)).items()
        }
        runs += collect(out, edge_runs(size, seeds, turn, decays))
    return runs


def _inverts(runs: Sequence[Run], loss: str) -> dict[float, bool]:
    """Whether most seeds invert, by decay; a tie does not."""
    votes: dict[float, list[bool]] = {}
    for run in runs:
        if run.config.training.loss == loss:
            inverts = str(phase_of(EndPoint.of(run))) in INVERTS
            votes.setdefault(run.config.training.weight_decay, []).append(inverts)
    return {decay: 2 * sum(seeds) > len(seeds) for decay, seeds in votes.items()}


def compute(runs: Sequence[Run]) -> xr.Dataset:
    """Phases and accuracies by loss, decay and seed, and the band of decays that invert.

    Returns:
        Dataset over "loss", "decay" (all that were tried with any loss) and "seed": ``phase``, ""
        where nothing was trained; ``test``, ``changed`` and ``max_test`` accuracies, NaN there.
        Over "loss" and "edge" ("lower", "upper"): ``inside`` and ``outside``, the neighbouring
        decays between which the edge lies; NaN if there is no band, and ``outside`` also if all
        decays on that side invert. Over "loss": ``width``, the ratio of the edges, each taken at
        the geometric middle of its bracket, NaN if one is not known; ``least_width``, the ratio of
        the outermost decays that invert, NaN if none does; ``most_width``, that of the neighbours
        that do not, infinite if one is not known.
    """
    decays = sorted({run.config.training.weight_decay for run in runs})
    seeds = sorted({run.config.seed for run in runs})
    shape = len(LOSSES), len(decays), len(seeds)
    phase = np.full(shape, "", dtype=object)
    numbers = {name: np.full(shape, np.nan) for name in ("test", "changed", "max_test")}
    for run in runs:
        at = (
            list(LOSSES).index(run.config.training.loss),
            decays.index(run.config.training.weight_decay),
            seeds.index(run.config.seed),
        )
        end = EndPoint.of(run)
        phase[at] = str(phase_of(end))
        for name, values in numbers.items():
            values[at] = getattr(end, name)
    edges = np.full((2, len(LOSSES), len(EDGES)), np.nan)  # inside and outside
    for i, loss in enumerate(LOSSES):
        inverts = _inverts(runs, loss)
        edges[0, i] = inverting(inverts) or np.nan
        for edge, bracket in brackets(inverts).items():
            edges[1, i, EDGES.index(edge)] = min(bracket) if edge == "lower" else max(bracket)
    per_run = ("loss", "decay", "seed")
    middle = np.sqrt(edges[0] * edges[1])
    least, most = (ends[:, 1] / ends[:, 0] for ends in edges)
    most = np.where(np.isfinite(least) & np.isnan(most), np.inf, most)
    return xr.Dataset(
        {"phase": (per_run, phase.astype(str))}
        | {name: (per_run, values) for name, values in numbers.items()}
        | {
            "inside": (("loss", "edge"), edges[0]),
            "outside": (("loss", "edge"), edges[1]),
            "width": ("loss", middle[:, 1] / middle[:, 0]),
            "least_width": ("loss", least),
            "most_width": ("loss", most),
        },
        coords={"loss": list(LOSSES), "decay": decays, "seed": seeds, "edge": list(EDGES)},
    )


def plot_band(data: xr.Dataset, *, title: str = "Weight decays that invert") -> go.Figure:
    """Accuracies of every run against weight decay, a panel per loss; the band is shaded.

    The squares along the bottom have the colour of the run's phase, one row for each seed.
    """
    figure = panels([f"<b>{_heading(data, loss)}</b>" for loss in data.loss.values])
    for column, loss in enumerate(data.loss.values, 1):
        here = data.sel(loss=loss)
        here = here.isel(decay=(here.phase != "").any("seed").values)
        x = here.decay.values
        for subset in ("test", "changed"):
            look, name = SUBSET_LOOK[subset], SUBSET_LABEL[subset]
            for run in here[subset].transpose("seed", "decay").values:
                dots: dict[str, Any] = {"mode": "markers", "size": 5, "opacity": 0.5}
                draw(figure, (1, column), x, run, name, look, showlegend=False, **dots)
            mean, hover = here[subset].mean("seed").values, "decay %{x:.3g}: %{y:.3f}"
            draw(figure, (1, column), x, mean, name, look, mode="lines", hover=hover)
        draw_phases(figure, (1, column), x, here.phase.transpose("seed", "decay").values)
        edges = here.inside.values
        if np.isfinite(edges).all():
            shade: dict[str, Any] = {"fillcolor": PHASE_COLOR["full inversion"], "opacity": 0.12}
            figure.add_vrect(*edges, line_width=0, row=1, col=column, **shade)
    lowest = -0.08 - 0.05 * data.sizes["seed"]
    figure.update_xaxes(title="weight decay", type="log", tickvals=GRID)
    figure.update_yaxes(range=[lowest, ACCURACIES[1]])
    figure.update_yaxes(title="accuracy", tickvals=[0, 0.25, 0.5, 0.75, 1], col=1)
    seeds = seeds_in_words(data.sizes["seed"])
    return finished(figure, title, height=520, note=seeds)


def _heading(data: xr.Dataset, loss: str) -> str:
    here = data.sel(loss=loss)
    if np.isnan(here.inside).all():
        return f"{LOSSES[loss]}: none inverts"
    low, high = here.inside.values
    name = f"{LOSSES[loss]}: {low:.3g} to {high:.3g}"
    return name if np.isnan(here.width) else f"{name}, a factor of {float(here.width):.2g}"


def table(data: xr.Dataset) -> list[dict[str, object]]:
    """One row per loss: the band's edges with what they are known to, and the phases beyond."""
    rows = []
    for loss in data.loss.values:
        here = data.sel(loss=loss)
        row: dict[str, object] = {"loss": LOSSES[loss]}
        for edge in EDGES:
            one = here.sel(edge=edge)
            row[f"{edge} edge"], row[f"{edge}, outside"] = float(one.inside), float(one.outside)
        row["factor"] = float(here.width)
        row["below"] = _phases(here, ~(here.decay >= here.inside.sel(edge="lower")))
        row["above"] = _phases(here, here.decay > here.inside.sel(edge="upper"))
        rows.append(row)
    return rows


def _phases(here: xr.Dataset, where: xr.DataArray) -> str:
    return counted(here.phase.isel(decay=where.values).values) or "nothing tried"


def experiment(
    out: Out, size: Size = "small", seeds: Seeds = 3
) -> Iterator[Announcement | Finding]:
    """Scan weight decay with cross-entropy and squared error, and bisect the band that inverts."""
    unknown = dict.fromkeys(product(LOSSES, EDGES), 1.0)
    later = [n for turn in range(ROUNDS) for n in edge_runs(size, seeds, turn + 1, unknown)]
    yield Announcement.of(out, [*grid_runs(size, seeds), *later])
    data = compute(scan(out, size, seeds))
    yield Finding(data=data, figures=[plot_band(data)], rows=table(data))
