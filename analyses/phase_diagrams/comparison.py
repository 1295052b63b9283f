"""Two phase diagrams with the same axes, one above the other, as the paper compares them in words.

So are compared: another activation (Figs. 27, 28), width (29, 30), loss (26) or task (31) with
Fig. 3.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import sweep_phases
    >>> from analyses.phase_diagrams import comparison
    >>> base = gi.RunConfig().replace({"data.p": 7, "training.steps": 10})
    >>> axes = {"data.corruption": [0.0, 0.3], "data.train_fraction": [0.3, 0.6]}
    >>> one = sweep_phases.compute(gi.sweep(base, axes))
    >>> comparison.alike(one, one)  # in the only panel
    {'': 1.0}
    >>> other = sweep_phases.compute(gi.sweep(base.replace({"training.lr": 1e-3}), axes))
    >>> figure = comparison.plot_comparison(one, other, ["fast", "slow"])
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from analyses.phase_diagrams.panels import Panels, finish_panels, split
from analyses.phase_diagrams.phase_diagram import X, Y, draw_cells, stands_on
from grokinterp.short_text import short


def alike(one: xr.Dataset, other: xr.Dataset, **choice: Any) -> dict[str, float]:
    """The share of cells with the same majority phase, by panel.

    Args:
        one: from ``sweep_phases.compute`` or ``Refinement.infer``.
        other: the same, of a sweep with the same axes and values.
        choice: x, y, panel and at, as for ``phase_diagram.plot_diagram``.

    Returns:
        By the panels' titles, of the first diagram. Cells that are not trained in both are left
        out; NaN if none is.

    Raises:
        ValueError: the panels, or the values of their axes, differ.
    """
    first, second = _panels(one, choice), _panels(other, choice)
    return dict(zip(first.titles, _shares(first, second), strict=True))


def plot_comparison(
    one: xr.Dataset,
    other: xr.Dataset,
    names: Sequence[str],
    *,
    title: str = "Two phase diagrams",
    **choice: Any,
) -> go.Figure:
    """Two diagrams below each other; titles say which share of a panel's cells is alike.

    Args:
        one: as for :func:`alike`.
        other: as for :func:`alike`.
        names: of the two.
        title: of the figure.
        choice: as for :func:`alike`.
    """
    first, second = _panels(one, choice), _panels(other, choice)
    shares = _shares(first, second)
    titles = [
        f"{name}<br>{share:.0%} of the cells alike".removeprefix("<br>")
        for name, share in zip(first.titles, shares, strict=True)
    ]
    figure = dataclasses.replace(first, titles=tuple(titles)).grid(list(names))
    for row, panels in enumerate((first, second)):
        draw_cells(figure, panels, row, 2)
    return finish_panels(figure, title=title, seeds=stands_on(one, first))


def _panels(phases: xr.Dataset, choice: dict[str, Any]) -> Panels:
    return split(phases, **{"x": X, "y": Y, "panel": None, "at": None} | choice)


def _shares(one: Panels, other: Panels) -> list[float]:
    """The share of cells alike, of each pair of panels."""
    if len(one.data) != len(other.data):
        raise ValueError(
            f"the diagrams have {len(one.data)} and {len(other.data)} panels; compare sweeps with "
            "the same axes"
        )
    shares = []
    for first, second in zip(one.data, other.data, strict=True):
        for axis in (one.x, one.y):
            values = first[axis].values, second[axis].values
            if not np.array_equal(values[0], values[1]):
                shown = " and ".join(short(v.tolist()) for v in values)
                raise ValueError(
                    f"the diagrams differ in the values of {axis}: {shown}; compare sweeps of the "
                    "same --size"
                )
        both = (first.majority.values != "") & (second.majority.values != "")
        same = (first.majority.values == second.majority.values)[both]
        shares.append(float(same.mean()) if same.size else np.nan)
    return shares
