"""Counts on the phase diagrams of one or several presets."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

import grokinterp as gi
from analyses.one_run.phases import Phase
from analyses.phase_diagrams import presets, sweep_phases
from analyses.phase_diagrams.measures import ipr
from analyses.phase_diagrams.presets import X, Y
from grokinterp.sweeps.rows import Measure

_INVERSION = ("partial inversion", "full inversion")
_PRESENT = ["memorization", "coexistence", "partial inversion"]
_GENERALISES = ("coexistence", *_INVERSION, "clean generalization")


def diagrams(
    *,
    seeds: int,
    work: Path,
    names: Sequence[str],
    size: str,
    grids: Mapping[str, str] | None = None,
    precision: str = "float32",
    neurons: bool = False,
) -> xr.Dataset:
    """What the paper says of phase diagrams, over "preset" and "panel" (0, 1, ...).

    Args:
        seeds: per cell.
        work: each preset's sweep is stored here, and resumed.
        names: presets.
        size: of their grid, from ``presets.SIZES``.
        grids: preset -> the finer size in which it is trained, because other results need that;
            only the cells of ``size`` are used here.
        precision: of the matrix products, as for ``grokinterp.sweep``.
        neurons: also store every neuron's IPR, of networks with one hidden layer.

    Returns:
        Dataset of the cells' majority phases: ``cells`` (preset, panel, phase); ``inversion`` and
        ``generalising`` (preset, panel), numbers of cells; ``mean_alpha`` (preset, panel, phase);
        ``boundary`` (preset, panel), the smallest train fraction that generalises, median over
        corruptions; ``largest_xi`` (preset, panel); ``xi_falls``, the most grid steps by which the
        largest corruption that generalises falls when the train fraction grows; ``corner``, the
        share of the cells with alpha up to .2 and xi from .5 in Memorization; ``plateau_error``,
        the largest difference of train accuracy and 1 - xi + xi/p in Full Inversion; ``forgot``,
        the number of runs that memorised, never generalised, and lost it; ``same`` (preset, panel),
        the share of cells with the phase of the first preset; ``least_present``, the cells of the
        rarest of Memorization, Coexistence and Partial Inversion; ``consistent``, 1 if where all
        seeds agree, accuracies are those of the phase. Over "preset": ``most_xi``, the largest
        corruption that generalises in any panel; ``generalising_share`` and ``confusion_share``,
        such cells over those of the first preset. With ``neurons``: ``mean_ipr``.
    """
    found = []
    for name in names:
        grid = (grids or {}).get(name, size)
        measure = {"ipr": ipr} if neurons else None
        found.append(_cells(_trained(name, seeds, work, grid, precision, measure), name, size))
    first = found[0].majority
    counted = [_count(data.assign(same=data.majority == first.values)) for data in found]
    both = xr.concat(counted, xr.Variable("preset", list(names)), join="outer")
    return both.assign(
        most_xi=both.largest_xi.max("panel"),
        generalising_share=_relative(both.generalising),
        confusion_share=_relative(both.cells.sel(phase=str(Phase.CONFUSION), drop=True)),
    )


def _relative(cells: xr.DataArray) -> xr.DataArray:
    """Cells of all panels over those of the first preset."""
    total = cells.sum("panel")
    return total / total.isel(preset=0)


def _trained(
    name: str,
    seeds: int,
    work: Path,
    size: str,
    precision: str,
    measure: Mapping[str, Measure] | None,
) -> xr.Dataset:
    """A preset's sweep, stored in ``work`` and resumed from there."""
    preset = presets.get(name)
    store = work / f"{name}-{size}-{seeds}-{precision}{'-neurons' if measure else ''}.zarr"
    return gi.sweep(
        preset.config(size), preset.axes(size), seeds, measure, store, precision=precision
    ).load()


def _cells(sweep: xr.Dataset, name: str, size: str) -> xr.Dataset:
    """Phases and end points over "panel", train fraction and corruption, of the cells of a size."""
    preset = presets.get(name)
    sweep = sweep.sel({path: list(values) for path, values in preset.axes(size).items()})
    data = sweep_phases.compute(sweep)
    data["best_train"] = sweep.best_accuracy.sel(subset="train", drop=True)
    data["best_test"] = sweep.best_accuracy.sel(subset="test", drop=True)
    data["last_train"] = sweep.final_accuracy.sel(subset="train", drop=True)
    if "ipr" in sweep:
        data["mean_ipr"] = sweep.ipr.mean("ipr_0")
    data = data.rename({preset.panel: "panel", X: "alpha", Y: "xi"})
    return data.assign_coords(panel=np.arange(data.sizes["panel"])).assign_attrs(
        p=preset.config(size).data.p
    )


def _count(data: xr.Dataset) -> xr.Dataset:
    names = [str(phase) for phase in Phase]
    phase = xr.DataArray(names, dims="phase", coords={"phase": names})
    is_phase = data.majority == phase
    works = data.majority.isin(_GENERALISES)
    alpha, xi = data.alpha, data.xi
    grid = float(np.diff(xi).min()) if xi.size > 1 else 1.0
    largest = xi.where(works).max("xi").fillna(-grid)  # per panel and alpha
    corner = (alpha <= 0.2) & (xi >= 0.5)
    full = data.majority == str(Phase.FULL_INVERSION)
    plateau = 1 - xi + xi / data.attrs["p"]
    train = data.mean_accuracy.sel(subset="train", drop=True)
    lost = (data.best_test < 0.9) & (data.best_train >= 0.9) & (data.last_train < 0.5)
    numbers = {
        "cells": is_phase.sum(("alpha", "xi")),
        "mean_alpha": alpha.where(is_phase).mean(("alpha", "xi")),
        "inversion": data.majority.isin(_INVERSION).sum(("alpha", "xi")),
        "generalising": works.sum(("alpha", "xi")),
        "boundary": alpha.where(works).min("alpha").fillna(1.0).median("xi"),
        "largest_xi": largest.max("alpha"),
        "xi_falls": (-largest.diff("alpha") / grid).max("alpha").clip(min=0),
        "corner": is_phase.sel(phase="memorization", drop=True).where(corner).mean(("alpha", "xi")),
        "plateau_error": abs(train - plateau).where(full).max(("alpha", "xi")),
        "forgot": lost.sum(("alpha", "xi", "seed")),
        "same": data.same.mean(("alpha", "xi")),
        "least_present": is_phase.sel(phase=_PRESENT).sum(("alpha", "xi")).min("phase"),
        "consistent": _consistent(data, works).all(("alpha", "xi")),
    }
    if "mean_ipr" in data:
        numbers["mean_ipr"] = data.mean_ipr.mean(("alpha", "xi"))
    return xr.Dataset({name: one.astype(float) for name, one in numbers.items()})


def _consistent(data: xr.Dataset, works: xr.DataArray) -> xr.DataArray:
    """Whether test accuracies are on the phase's side of .9, in cells where all seeds agree."""
    least, most = (
        data[f"{end}_accuracy"].sel(subset="test", drop=True) for end in ("lowest", "highest")
    )
    agreed = xr.where(works, least >= 0.9, most < 0.9)
    return agreed | (data.agreement < 1) | (data.n_diverged > 0)
