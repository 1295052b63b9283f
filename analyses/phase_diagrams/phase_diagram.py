"""Figures of a phase diagram (Doshi et al. 2023, Figs. 3, 24, 25): phases, accuracies and IPR.

phases = sweep_phases.compute(sweep)
plot_diagram(phases).show()

Examples:
    >>> import grokinterp as gi
    >>> from analyses import phase_diagram, sweep_phases
    >>> base = gi.RunConfig().replace({"data.p": 11, "training.steps": 50})
    >>> axes = {"data.train_fraction": [0.3, 0.6], "data.corruption": [0.0, 0.3]}
    >>> phases = sweep_phases.compute(gi.sweep(base, axes))
    >>> figure = phase_diagram.plot_diagram(phases)
    >>> figure.layout.xaxis.title.text, figure.layout.yaxis.title.text
    ('train fraction α', 'corruption ξ')
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from analyses.pages.labels import seeds_in_words
from analyses.pages.palette import GUIDE, INK, PAPER, PHASE_COLOR, SHARE_SCALE
from analyses.pages.style import explain
from analyses.phase_diagrams.panels import Panels, axis_label, finish_panels, split, value_label
from analyses.phase_diagrams.sweep_phases import MIXED, NAMES

X, Y = "data.train_fraction", "data.corruption"


def plot_diagram(
    phases: xr.Dataset,
    *,
    x: str = X,
    y: str = Y,
    panel: str | None = None,
    at: Mapping[str, Any] | None = None,
    title: str = "Phase diagram",
) -> go.Figure:
    """Every cell in the colour of its majority phase, as in Fig. 3.

    Cells whose seeds tie are hatched, untrained cells are dotted. A cross marks cells whose seeds
    disagree, a dot cells that :class:`analyses.phase_diagrams.refine.Refinement` inferred.

    Args:
        phases: from ``sweep_phases.compute`` or ``Refinement.infer``.
        x: dotted path of the horizontal axis.
        y: dotted path of the vertical axis.
        panel: dotted path of the axis with one panel per value; by default the only other axis with
            more than one value.
        at: the value to take of each further axis, such as ``{"training.lr": 0.01}``.
        title: of the figure.
    """
    panels = split(phases, x=x, y=y, panel=panel, at=at)
    figure = panels.grid()
    draw_cells(figure, panels)
    return finish_panels(figure, title=title, seeds=stands_on(phases, panels))


def draw_cells(figure: go.Figure, panels: Panels, row: int = 0, rows: int = 1) -> None:
    """Draw the majority phases of one row of panels, as :func:`plot_diagram` describes.

    The legend has one entry per phase, whichever panels and rows it occurs in.

    Args:
        figure: from ``panels.grid``.
        panels: the cells.
        row: among the figure's ``rows`` diagrams, drawn below each other.
        rows: how many there are.
    """
    traces: Any = figure.data
    named = {trace.name for trace in traces}
    for i, cells in enumerate(panels.data):
        hover = _hover(panels, i)
        for majority, (name, fill) in _FILL.items():
            y, x = np.nonzero(cells.majority.values == majority)
            if len(y):
                figure.add_bar(
                    x=x,
                    base=y - 0.5,
                    y=np.ones(len(y)),
                    width=1.0,
                    name=name,
                    marker=fill | _EDGE,
                    legendgroup=name,
                    showlegend=name not in named,
                    hovertext=hover[y, x],
                    hoverinfo="text",
                    **panels.place(i, row, rows),
                )
                named.add(name)
    for variable, (name, marker) in _MARK.items():
        for i, cells in enumerate(panels.data):
            if variable not in cells or not cells[variable].any():
                continue
            y, x = np.nonzero(cells[variable].values)
            entry = {"name": name, "legendgroup": name, "showlegend": name not in named}
            entry |= {"mode": "markers", "marker": marker, "hoverinfo": "skip"}
            figure.add_scatter(x=x, y=y, **entry, **panels.place(i, row, rows))
            named.add(name)
    figure.update_layout(barmode="overlay", bargap=0)
    order = [name for name, _ in [*_FILL.values(), *_MARK.values()]]
    for trace in figure.data:
        trace.legendrank = 1 + order.index(trace.name)  # pyright: ignore[reportAttributeAccessIssue]


def plot_accuracies(
    phases: xr.Dataset,
    *,
    x: str = X,
    y: str = Y,
    panel: str | None = None,
    at: Mapping[str, Any] | None = None,
    title: str = "Accuracy at the last step, mean over seeds",
) -> go.Figure:
    """Accuracy of every cell on train, test and corrupted labels, as in Figs. 24 and 25.

    Cells that were not trained or diverged are white, as are those without corrupted labels.
    Arguments as for :func:`plot_diagram`.
    """
    panels = split(phases, x=x, y=y, panel=panel, at=at)
    figure = panels.grid(list(_ROWS.values()))
    for i, cells in enumerate(panels.data):
        hover = _hover(panels, i)
        for row, subset in enumerate(_ROWS):
            values = cells.mean_accuracy.sel(subset=subset)
            _add_map(figure, values, hover, panels.place(i, row, len(_ROWS)))
    explain(figure, "not trained, diverged, or no corrupted label", **_WHITE)
    figure.update_layout(coloraxis=_color_axis(SHARE_SCALE, "accuracy"))
    return finish_panels(figure, title=title, seeds=stands_on(phases, panels))


def plot_ipr(
    phases: xr.Dataset,
    *,
    x: str = X,
    y: str = Y,
    panel: str | None = None,
    at: Mapping[str, Any] | None = None,
    title: str = "Mean IPR of living neurons, mean over seeds",
) -> go.Figure:
    """Mean IPR of every cell: how periodic its neurons are.

    Arguments as for :func:`plot_diagram`.

    Raises:
        ValueError: the sweep did not measure the IPR.
    """
    if "mean_ipr" not in phases:
        raise ValueError(
            "phases has no mean_ipr because the sweep did not measure it; call grokinterp.sweep "
            'with measure={"ipr": lambda run: model_neuron_ipr(run.model).ipr} (every neuron) or '
            'measure={"mean_ipr": lambda run: mean_ipr(run.model)}, both from probes'
        )
    panels = split(phases, x=x, y=y, panel=panel, at=at)
    figure = panels.grid()
    for i, cells in enumerate(panels.data):
        _add_map(figure, cells.mean_ipr, _hover(panels, i), panels.place(i))
    explain(figure, "not trained, or diverged", **_WHITE)
    figure.update_layout(coloraxis=_color_axis(SHARE_SCALE, "mean IPR"))
    return finish_panels(figure, title=title, seeds=stands_on(phases, panels))


_ROWS = {"train": "train", "test": "test", "changed": "corrupted labels"}
_SUBSET = {"train": "train", "test": "test", "changed": "corrupted", "unchanged": "uncorrupted"}

_HATCHED = {"shape": "/", "fgcolor": GUIDE, "size": 6, "solidity": 0.3}
# By majority phase, in the order of the legend: the entry's name and the cells' fill.
_FILL: dict[str, tuple[str, dict[str, Any]]] = {
    name: (name, {"color": PHASE_COLOR[name]}) for name in NAMES
} | {
    MIXED: ("mixed (seeds tie)", {"color": PAPER, "pattern": _HATCHED}),
    "diverged": ("diverged", {"color": PHASE_COLOR["diverged"]}),
    "": ("not trained", {"color": PAPER, "pattern": {"shape": ".", "fgcolor": GUIDE, "size": 4}}),
}
_WHITE: dict[str, Any] = {"symbol": "square-open", "color": GUIDE, "size": 12}
_EDGE = {"line": {"color": PAPER, "width": 0.5}}
# By variable: the legend entry's name and the mark on the cells where it holds.
_MARK: dict[str, tuple[str, dict[str, Any]]] = {
    "undecided": (
        "seeds disagree",
        {"symbol": "x-thin", "size": 7, "line": {"color": INK, "width": 1.3}},
    ),
    "inferred": ("inferred, not trained", {"symbol": "circle", "size": 3, "color": INK}),
}


def _add_map(
    figure: go.Figure, values: xr.DataArray, hover: np.ndarray, place: dict[str, int]
) -> None:
    gaps = {"xgap": 0.5, "ygap": 0.5, "hoverongaps": True}
    text = {"hovertext": hover, "hoverinfo": "text"}
    figure.add_heatmap(z=values.values, coloraxis="coloraxis", **gaps, **text, **place)


def _color_axis(scale: str, name: str) -> dict[str, Any]:
    """A colour axis from 0 to 1, the same in every figure."""
    bar = {"title": {"text": name, "side": "right"}, "thickness": 14, "outlinewidth": 0}
    return {"colorscale": scale, "cmin": 0, "cmax": 1, "colorbar": bar}


def _hover(panels: Panels, number: int) -> np.ndarray:
    """The hover text of each cell [y, x] of a panel."""
    cells, title = panels.data[number], panels.titles[number]
    names = {axis: axis_label(axis) for axis in (panels.x, panels.y)}
    texts = np.empty(cells.majority.shape, dtype=object)
    measured = _Measured(cells)
    for row, column in np.ndindex(texts.shape):
        x, y = (
            f"{names[axis]} {value_label(cells[axis].values[at])}"
            for axis, at in ((panels.x, column), (panels.y, row))
        )
        name = _FILL[measured.majority[row, column]][0]
        lines = [f"<b>{name}</b>", f"{x}, {y}", title, *measured.lines(row, column)]
        texts[row, column] = "<br>".join(line for line in lines if line)
    return texts


class _Measured:
    """The numbers of a panel's cells as text; read from arrays, as xarray is slow cell by cell."""

    def __init__(self, cells: xr.Dataset) -> None:
        axes = cells.majority.dims
        self.majority = cells.majority.values
        self.n_seeds, self.n_diverged = cells.n_seeds.values, cells.n_diverged.values
        self.share = cells.share.sel(label=list(NAMES)).transpose(*axes, "label").values
        self.accuracy = [
            cells[f"{kind}_accuracy"].sel(subset=list(_SUBSET)).transpose(*axes, "subset").values
            for kind in ("mean", "lowest", "highest")
        ]
        self.ipr = cells.mean_ipr.values if "mean_ipr" in cells else None
        self.dead = cells.dead_share.values if "dead_share" in cells else None
        self.inferred = cells.get("inferred", xr.zeros_like(cells.n_seeds, dtype=bool)).values

    def lines(self, *at: int) -> "Iterator[str]":
        if self.inferred[at]:
            yield "inferred from the cells around it, not trained"
        if self.n_diverged[at]:
            yield f"diverged: {_seeds(self.n_diverged[at])}"
        if not self.n_seeds[at]:
            return
        shares = zip(NAMES, self.share[at], strict=True)
        parts = ", ".join(f"{name} {share:.0%}" for name, share in shares if share > 0)
        yield f"{_seeds(self.n_seeds[at])}: {parts}"
        for subset, mean, low, high in zip(_SUBSET, *(a[at] for a in self.accuracy), strict=True):
            if not np.isnan(mean):
                span = f" ({low:.3f} to {high:.3f})" if self.n_seeds[at] > 1 else ""
                yield f"{_SUBSET[subset]} accuracy {mean:.3f}{span}"
        if self.ipr is not None and not np.isnan(self.ipr[at]):
            yield f"mean IPR {self.ipr[at]:.3f}"
        if self.dead is not None:
            yield f"dead neurons {self.dead[at]:.1%}"


def stands_on(phases: xr.Dataset, panels: Panels) -> str:
    """The number of seeds of the trained cells, in words."""
    counts = [cells.n_seeds.values.ravel() for cells in panels.data]
    return seeds_in_words(np.concatenate(counts), of=phases.sizes.get("seed"))


def _seeds(count: int | np.integer) -> str:
    return f"{count} seed" if count == 1 else f"{count} seeds"
