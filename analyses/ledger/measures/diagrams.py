"""The runs of the paper's phase diagrams, and counts on one or several of them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

import grokinterp as gi
from analyses.one_run.phases import Phase
from analyses.phase_diagrams import measures, presets, sweep_phases
from analyses.phase_diagrams.presets import X, Y
from analyses.phase_diagrams.refine import Refinement

INVERSION = ("partial inversion", "full inversion")
_PRESENT = ["memorization", "coexistence", "partial inversion"]
_GENERALISES = ("coexistence", *INVERSION, "clean generalization")
_LITTLE_NOISE = 0.15  # below it, table 2's phases overlap


def trained(
    *,
    seeds: int,
    work: Path,
    name: str,
    size: str,
    panel: int | None = None,
    adaptive: bool = False,
    precision: str,
) -> xr.Dataset:
    """The runs of a preset's diagram, or of one of its panels.

    Args:
        seeds: per cell.
        work: the sweep is stored here, and resumed.
        name: of the preset.
        size: of its grid, from ``presets.SIZES``.
        panel: which one, from 0; None for all.
        adaptive: train only the cells where phases meet, see ``Refinement``.
        precision: of the matrix products, as for ``grokinterp.sweep``.

    Returns:
        What ``grokinterp.sweep`` returns, with each run's ``mean_ipr`` and ``dead_share``.
    """
    preset = presets.get(name)
    config, axes = preset.config(size), preset.axes(size)
    if panel is not None:
        axes[preset.panel] = axes[preset.panel][panel : panel + 1]
    part = "" if panel is None else f"-panel-{panel}"
    store = work / f"{name}-{size}-{seeds}-{precision}{part}{'-adaptive' if adaptive else ''}.zarr"
    refinement = Refinement() if adaptive else None
    sweep = gi.sweep(
        config, axes, seeds, measures.MEASURES, store, refine=refinement, precision=precision
    )
    return sweep.load().drop_attrs()


def joined(sweeps: Sequence[xr.Dataset], name: str) -> xr.Dataset:
    """The sweep of a preset from those of its panels, in their order."""
    preset = presets.get(name)
    base = json.dumps(preset.config("full").to_dict())
    return xr.concat(sweeps, preset.panel).assign_attrs(base=base)


def diagrams(
    *,
    seeds: int,
    work: Path,
    parts: Mapping[str, xr.Dataset],
    names: Mapping[str, Sequence[str]],
    size: str,
    adaptive: Sequence[str] = (),
) -> xr.Dataset:
    """What the paper says of phase diagrams, over "preset" and "panel" (0, 1, ...).

    Args:
        seeds: per cell; those of the parts.
        work: not used.
        parts: from :func:`trained`.
        names: preset -> the parts with its panels. Of a finer grid only the cells of ``size`` are
            used.
        size: of the grid, from ``presets.SIZES``.
        adaptive: presets of which only the cells where phases meet were trained.

    Returns:
        See :func:`compared`.
    """
    found = []
    for name, panels in names.items():
        refinement = Refinement() if name in adaptive else None
        sweep = joined([parts[panel] for panel in panels], name)
        found.append(_cells(sweep, name, size, refinement))
    return compared(found, list(names))


def compared(found: Sequence[xr.Dataset], names: Sequence[str]) -> xr.Dataset:
    """Counts on diagrams, and on each against the first.

    Args:
        found: from :func:`cells_of`.
        names: of the diagrams.

    Returns:
        Dataset of the cells' majority phases: ``cells`` (preset, panel, phase); ``inversion`` and
        ``generalising`` (preset, panel), numbers of cells; ``mean_alpha`` (preset, panel, phase);
        ``boundary`` (preset, panel), the smallest train fraction that generalises, median over the
        corruptions at which any panel generalises; ``largest_xi`` (preset, panel), NaN if no cell
        generalises, and so is ``xi_falls``, the most grid steps by which the largest corruption
        that generalises falls when the train fraction grows; ``corner``, the share of the cells
        with alpha up to .2 and xi from .5 in Memorization; ``plateau_error``, the largest
        difference of train accuracy and 1 - xi + xi/p in Full Inversion; ``forgot``, the number of
        runs that memorised, never generalised, and lost it, and ``forgot_share`` of those that
        memorised and never generalised; ``same`` (preset, panel), the share of cells with the phase
        of the first preset; ``least_present``, the cells of the rarest of Memorization, Coexistence
        and Partial Inversion; ``consistent``, 1 if where all seeds agree, accuracies are those of
        the phase.

        Over "preset": ``most_xi``, the largest corruption that generalises in any panel;
        ``generalising_anywhere``, cells of all panels; ``generalising_share`` and
        ``confusion_share``, such cells over those of the first preset; ``same_share`` and
        ``plateau_error_anywhere``, of all panels; ``first_inverting``, the smallest value of the
        panels' setting at which a cell inverts. ``moved`` (preset, cut), the share of cells with
        another phase if .9 and .1 are .7 and .15 ("0.7"), or .5 and .05 ("0.5"). ``table_differs``
        (preset, noise): of runs on wrong labels that generalise, the share with another phase by
        the paper's table, for xi "below 0.15" and "from 0.15". NaN where there is nothing to
        measure.
    """
    first = found[0].majority
    counted = [_count(data.assign(same=data.majority == first.values)) for data in found]
    both = xr.concat(counted, xr.Variable("preset", list(names)), join="outer")
    return both.assign(
        most_xi=both.largest_xi.max("panel"),
        generalising_anywhere=both.generalising.sum("panel"),
        generalising_share=_relative(both.generalising),
        confusion_share=_relative(both.cells.sel(phase=str(Phase.CONFUSION), drop=True)),
        same_share=both.same.mean("panel"),
        plateau_error_anywhere=both.plateau_error.max("panel"),
        first_inverting=both.setting.where(both.inversion > 0).min("panel"),
    )


def _relative(cells: xr.DataArray) -> xr.DataArray:
    """Cells of all panels over those of the first preset."""
    total = cells.sum("panel")
    return total / total.isel(preset=0)


def _cells(
    sweep: xr.Dataset, name: str, size: str, refinement: Refinement | None = None
) -> xr.Dataset:
    """The cells of a size, of a preset's sweep that may have more."""
    preset = presets.get(name)
    sweep = sweep.sel({path: list(values) for path, values in preset.axes(size).items()})
    return cells_of(sweep, preset.panel, preset.config(size).data.p, refinement)


def cells_of(
    sweep: xr.Dataset, panel: str, p: int, refinement: Refinement | None = None
) -> xr.Dataset:
    """Phases and end points over "panel", train fraction "alpha" and corruption "xi".

    Args:
        sweep: over train fraction, corruption, ``panel`` and "seed".
        panel: dotted path of the setting that differs between panels.
        p: modulus.
        refinement: of a sweep that was trained adaptively; phases of other cells are inferred.
    """
    data = sweep_phases.compute(sweep)
    if refinement is not None:
        data = refinement.infer(data)
    data["best_train"] = sweep.best_accuracy.sel(subset="train", drop=True)
    data["best_test"] = sweep.best_accuracy.sel(subset="test", drop=True)
    data["last_train"] = sweep.final_accuracy.sel(subset="train", drop=True)
    cuts = sweep_phases.moved(sweep)
    data["moved"] = cuts.share.assign_coords(cut=[f"{cut:g}" for cut in cuts.learned.values])
    data = data.drop_vars(["learned", "not_memorised"], errors="ignore")
    data = data.rename({panel: "panel", X: "alpha", Y: "xi"})
    values = data.panel.values
    return data.assign_coords(panel=np.arange(len(values))).assign(
        setting=("panel", values.astype(float)), p=p
    )


def _count(data: xr.Dataset) -> xr.Dataset:
    names = [str(phase) for phase in Phase]
    phase = xr.DataArray(names, dims="phase", coords={"phase": names})
    is_phase = data.majority == phase
    works = data.majority.isin(_GENERALISES)
    alpha, xi = data.alpha, data.xi
    grid = float(np.diff(xi).min()) if xi.size > 1 else 1.0
    largest = xi.where(works).max("xi")  # per panel and alpha
    falls = -largest.fillna(-grid).diff("alpha") / grid
    corner = (alpha <= 0.2) & (xi >= 0.5)
    full = data.majority == str(Phase.FULL_INVERSION)
    plateau = 1 - xi + xi / data.p
    train = data.mean_accuracy.sel(subset="train", drop=True)
    never = (data.best_test < 0.9) & (data.best_train >= 0.9)
    over, runs = ("alpha", "xi"), ("alpha", "xi", "seed")
    lost = (never & (data.last_train < 0.5)).sum(runs)
    smallest = alpha.where(works).min("alpha").fillna(1.0)
    numbers = {
        "setting": data.setting,
        "cells": is_phase.sum(over),
        "mean_alpha": alpha.where(is_phase).mean(over),
        "inversion": data.majority.isin(INVERSION).sum(over),
        "generalising": works.sum(over),
        "boundary": smallest.where(works.any(("panel", "alpha"))).median("xi"),
        "largest_xi": largest.max("alpha"),
        "xi_falls": falls.max("alpha").clip(min=0).where(works.any(over)),
        "corner": is_phase.sel(phase="memorization", drop=True).where(corner).mean(over),
        "plateau_error": abs(train - plateau).where(full).max(over),
        "forgot": lost,
        "forgot_share": lost / never.sum(runs).where(lambda count: count > 0),
        "same": data.same.mean(over),
        "least_present": is_phase.sel(phase=_PRESENT).sum(over).min("phase"),
        "consistent": _consistent(data, works).all(over),
        "moved": data.moved,
        "table_differs": _table_differs(data),
    }
    return xr.Dataset({name: one.astype(float) for name, one in numbers.items()})


def _consistent(data: xr.Dataset, works: xr.DataArray) -> xr.DataArray:
    """Whether test accuracies are on the phase's side of .9, in cells where all seeds agree."""
    least, most = (
        data[f"{end}_accuracy"].sel(subset="test", drop=True) for end in ("lowest", "highest")
    )
    agreed = xr.where(works, least >= 0.9, most < 0.9)
    return agreed | (data.agreement < 1) | (data.n_diverged > 0) | (data.n_seeds == 0)


def _table_differs(data: xr.Dataset) -> xr.DataArray:
    """Share of the runs on wrong labels that generalise, with another phase by table 2 (noise)."""
    works = data.phase.isin(_GENERALISES) & (data.phase != str(Phase.CLEAN_GENERALIZATION))
    other = (data.phase != data.published_phase).astype(float)
    little = data.xi < _LITTLE_NOISE
    shares = [float(other.where(works & where).mean()) for where in (little, ~little)]
    names = [f"{word} {_LITTLE_NOISE:g}" for word in ("below", "from")]
    return xr.DataArray(shares, {"noise": names})
