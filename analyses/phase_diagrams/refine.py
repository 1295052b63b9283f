"""A phase diagram for a third of the runs: train a coarse grid, then only where phases meet.

Phases fill connected regions, so a cell between two cells of one phase most likely has that phase
too. It is then inferred and never trained. What this saves it pays for with islands: a region that
fits between the lines of the coarse grid is not seen.
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

    Each panel (combination of the other axes) is refined by itself. The rows and columns of the
    coarse grid are trained first. Lines are then put halfway between them until none is left out:
    a cell on a new line is inferred if the two cells next to it, across the line, have one phase;
    a cell where two new lines cross, if three of its four neighbours do. All others are trained.
    """

    x: str = "data.train_fraction"  # the two axes of a panel
    y: str = "data.corruption"
    stride: int = 4  # cells from one line of the coarse grid to the next, about
    thresholds: Thresholds | None = None  # where phases part; by default .90 and .10

    def __post_init__(self) -> None:
        check_int("stride", self.stride, minimum=1)
        for name in ("x", "y"):
            check_text(name, getattr(self, name), example="data.corruption")
        if self.thresholds is not None:
            check_type("thresholds", self.thresholds, Thresholds)
        if self.x == self.y:
            raise ValueError(f"x and y must be two different axes, got {short(self.x)} twice")

    def __call__(self, sweep: xr.Dataset) -> xr.DataArray:
        """The cells to train next, True over the axes of the sweep; none when it is complete."""
        phases = sweep_phases.compute(sweep, self.thresholds)
        whole = (phases.phase != "").all("seed")  # a cell that lacks a seed is trained on
        return self._step(phases.majority.where(whole, ""))[1]

    def infer(self, phases: xr.Dataset) -> xr.Dataset:
        """Fill in the majority phase of cells that were left out.

        Args:
            phases: ``sweep_phases.compute(sweep)`` of a refined sweep.

        Returns:
            The same with ``majority`` filled in and ``inferred``, True where it was. A cell that
            still has to be trained, or waits for one, keeps "".
        """
        majority = self._step(phases.majority)[0]
        inferred = (phases.majority == "") & (majority != "")
        return phases.assign(majority=majority, inferred=inferred)

    def _step(self, majority: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
        """:func:`refine_panel` in every panel: labels known or inferred, and cells to train."""
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
        known: labels (x, y) as text, "" where a cell is not trained.
        stride: as in :class:`Refinement`.

    Returns:
        The labels with those that can be inferred filled in, and the cells to train next. Without
        any to train, no label is "".
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
    """About every ``stride``-th of ``size`` positions, evenly spread, with the first and last."""
    gaps = max(1, round((size - 1) / stride))
    return sorted({round(i * (size - 1) / gaps) for i in range(gaps + 1)})


def _halfway(line: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Positions in the middle of each gap, with the two at its ends."""
    return {(a + b) // 2: (a, b) for a, b in pairwise(line) if b - a > 1}


def _common(labels: list[Any], agreeing: int) -> Any:
    """The label that at least ``agreeing`` of ``labels`` have, or "" if there is none."""
    most = max(labels, key=labels.count)
    return most if labels.count(most) >= agreeing else ""


def _check_axis(name: str, majority: xr.DataArray) -> None:
    dims = majority.dims
    if name not in dims:
        raise ValueError(
            f"{short(name)} is no axis of the sweep; it has {', '.join(map(str, dims))}. "
            "Name two of them as Refinement(x=..., y=...)"
        )
    values = majority[name].values
    steps = np.diff(values) if np.issubdtype(values.dtype, np.number) else np.array([0])
    if len(values) > 1 and not ((steps > 0).all() or (steps < 0).all()):
        raise ValueError(
            f"refinement needs neighbours: the values of {short(name)} must be numbers in order, "
            f"got {short(values.tolist())}"
        )
