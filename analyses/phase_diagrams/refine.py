"""A phase diagram with a third of the runs: train a coarse grid, then only where phases meet.

Phases fill connected regions, so a cell between two cells of the same phase most likely has that
phase too. It is inferred instead of trained. The price: a region so small that it fits between the
lines of the coarse grid is missed.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import refine, sweep_phases
    >>> base = gi.RunConfig().replace({"data.p": 7, "training.steps": 10})
    >>> axes = {"data.train_fraction": [0.2, 0.3, 0.4, 0.5, 0.6]}
    >>> axes["data.corruption"] = [0.0, 0.1, 0.2, 0.3, 0.4]
    >>> refinement = refine.Refinement()
    >>> sweep = gi.sweep(base, axes, refine=refinement)
    >>> phases = refinement.infer(sweep_phases.compute(sweep))
    >>> int(sweep.done.sum()) < 25, bool((phases.majority != "").all())
    (True, True)
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr

from analyses.one_run.phases import Thresholds
from analyses.phase_diagrams import sweep_phases
from grokinterp.checks import check_int, check_text, check_type
from grokinterp.frozen import frozen_config
from grokinterp.short_text import short


@frozen_config
class Refinement:
    """Which cells of a sweep to train next; pass it as ``grokinterp.sweep(..., refine=...)``.

    Each panel (combination of values of the other axes) is refined by itself. First the crossings
    of a coarse grid of lines are trained. Then new lines are put halfway between the old ones until
    every row and column is a line. A cell where a new line crosses an old one is inferred if its
    two neighbours on the old line have the same phase. A cell where two new lines cross is inferred
    if three of its four neighbours have the same phase. All other crossings are trained.
    """

    x: str = "data.train_fraction"  # dotted path of one axis of a panel
    y: str = "data.corruption"  # of the other axis
    stride: int = 4  # approximate distance, in cells, between lines of the coarse grid
    thresholds: Thresholds | None = None  # between phases; by default 0.90 and 0.10

    def __post_init__(self) -> None:
        check_int("stride", self.stride, minimum=1)
        for name in ("x", "y"):
            check_text(name, getattr(self, name), example="data.corruption")
        if self.thresholds is not None:
            check_type("thresholds", self.thresholds, Thresholds)
        if self.x == self.y:
            raise ValueError(f"x and y must be two different axes, got {short(self.x)} twice")

    def __call__(self, sweep: xr.Dataset) -> xr.DataArray:
        """Over the axes of the sweep, True for the cells to train next; none if it is complete."""
        phases = sweep_phases.compute(sweep, self.thresholds)
        whole = (phases.phase != "").all("seed")  # a cell with a missing seed is trained again
        return self._step(phases.majority.where(whole, ""))[1]

    def infer(self, phases: xr.Dataset) -> xr.Dataset:
        """Fill in the majority phase of the cells that were not trained.

        Args:
            phases: ``sweep_phases.compute(sweep)`` of a refined sweep.

        Returns:
            The dataset with ``majority`` filled in, and ``inferred``, True where it was. The
            majority stays "" in cells that still have to be trained or whose neighbours have.
        """
        majority = self._step(phases.majority)[0]
        inferred = (phases.majority == "") & (majority != "")
        return phases.assign(majority=majority, inferred=inferred)

    def _step(self, majority: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
        """:func:`refine_panel` in every panel: known or inferred labels, and cells to train."""
        for name in (self.x, self.y):
            _check_axis(name, majority)
        panels = [dim for dim in majority.dims if dim not in (self.x, self.y)]
        labels = majority.transpose(*panels, self.x, self.y).astype(object)
        wanted = labels.copy(data=np.zeros(labels.shape, dtype=bool))
        for panel in np.ndindex(labels.shape[:-2]):
            labels.values[panel], wanted.values[panel] = refine_panel(
                labels.values[panel], self.stride
            )
        return labels.astype(str).transpose(*majority.dims), wanted.transpose(*majority.dims)


def refine_panel(known: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """One step of refinement in one panel.

    Args:
        known: phase [x, y] as text, "" where a cell is not trained.
        stride: as in :class:`Refinement`.

    Returns:
        The phases, with those that can be inferred filled in, and the mask [x, y] of the cells to
        train next. If there are none to train, every phase is known.
    """
    labels, ask = known.astype(object), np.zeros(known.shape, dtype=bool)
    lines = [_coarse(size, stride) for size in known.shape]
    for i in lines[0]:
        for j in lines[1]:
            ask[i, j] = labels[i, j] == ""
    while not ask.any() and any(len(a) < n for a, n in zip(lines, known.shape, strict=True)):
        (old_x, old_y), (new_x, new_y) = lines, [_halfway(line) for line in lines]
        edges = {(i, j): [(a, j), (b, j)] for i, (a, b) in new_x.items() for j in old_y}
        edges |= {(i, j): [(i, a), (i, b)] for j, (a, b) in new_y.items() for i in old_x}
        crossings = {
            (i, j): [(a, j), (b, j), (i, c), (i, d)]
            for i, (a, b) in new_x.items()
            for j, (c, d) in new_y.items()
        }
        for cells, agreeing in ((edges, 2), (crossings, 3)):
            for cell, around in cells.items():
                if labels[cell] == "":
                    labels[cell] = _common([labels[at] for at in around], agreeing)
            for cell in cells:
                ask[cell] = labels[cell] == ""
            if ask.any():
                return labels, ask
        lines = [sorted([*old_x, *new_x]), sorted([*old_y, *new_y])]
    return labels, ask


def _coarse(size: int, stride: int) -> list[int]:
    """About every ``stride``-th of ``size`` positions, evenly spaced, first and last included."""
    gaps = max(1, round((size - 1) / stride))
    return sorted({round(i * (size - 1) / gaps) for i in range(gaps + 1)})


def _halfway(line: Sequence[int]) -> dict[int, tuple[int, int]]:
    """The position in the middle of each gap, with the two ends of the gap."""
    return {(a + b) // 2: (a, b) for a, b in pairwise(line) if b - a > 1}


def _common(labels: list[Any], agreeing: int) -> Any:
    """The label that occurs at least ``agreeing`` times, or "" if there is none."""
    most = max(labels, key=labels.count)
    return most if labels.count(most) >= agreeing else ""


def _check_axis(name: str, majority: xr.DataArray) -> None:
    dims = majority.dims
    if name not in dims:
        raise ValueError(
            f"{short(name)} is not an axis of the sweep; axes are {', '.join(map(str, dims))}. "
            "Name two of them with Refinement(x=..., y=...)"
        )
    values = majority[name].values
    steps = np.diff(values) if np.issubdtype(values.dtype, np.number) else np.array([0])
    if len(values) > 1 and not ((steps > 0).all() or (steps < 0).all()):
        raise ValueError(
            f"the values of {short(name)} must be numbers in order, because refinement compares "
            f"neighbouring cells; got {short(values.tolist())}"
        )
