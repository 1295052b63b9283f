"""A sweep as one HTML page: phase diagram, accuracies, IPR, and the number of cells per phase.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import diagram_page
    >>> base = gi.RunConfig().replace({"data.p": 7, "training.steps": 10})
    >>> axes = {"data.corruption": [0.0, 0.3], "data.train_fraction": [0.3, 0.6]}
    >>> phases = diagram_page.phases_of(gi.sweep(base, axes))
    >>> found = diagram_page.write_diagram(phases, "diagram.html", heading="Small", intro="p = 7.")
    >>> sum(found["cells"][""].values())  # by phase, in the only panel
    4
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from analyses.one_run.phases import Phase
from analyses.pages.page import Section, write_page
from analyses.phase_diagrams import sweep_phases
from analyses.phase_diagrams.comparison import alike, plot_comparison
from analyses.phase_diagrams.panels import axis_label, split
from analyses.phase_diagrams.phase_diagram import X, Y, plot_accuracies, plot_diagram, plot_ipr
from analyses.phase_diagrams.refine import Refinement
from grokinterp import SweepStoreError, open_sweep
from grokinterp.models.registry import MODELS
from grokinterp.sweeps.fingerprint import fingerprint

STORE = "sweep.zarr"  # in the folder of ``grokinterp sweep --out``
_WIDTH = 1240  # pixels; four panels next to each other


def name_of(path: Path) -> str:
    """What a stored sweep is called: its folder's name, where the store has the usual one."""
    return path.parent.name if path.name == STORE else path.stem


def load(path: str | os.PathLike[str]) -> xr.Dataset:
    """Load a sweep from its zarr store, finished or not, or from a netCDF file.

    Raises:
        SweepStoreError: the path does not exist, or the file is not a netCDF file.
    """
    where = Path(path)
    if where.is_file():
        try:
            return xr.load_dataset(where, engine="h5netcdf")
        except (OSError, ValueError) as error:
            raise SweepStoreError(f"{where} is not a netCDF file: {error}") from error
    if not where.exists():
        raise SweepStoreError(f"{where} does not exist; name a SWEEP.zarr or a SWEEP.nc")
    return open_sweep(where)


# The repr of Refinement() in stores of format 1.
_STANDARD = "Refinement(x='data.train_fraction', y='data.corruption', stride=4, thresholds=None)"
# The order of phases in tables; "" are cells that were not trained.
_ORDER = (*sweep_phases.NAMES, sweep_phases.MIXED, str(Phase.DIVERGED), "")


def phases_of(sweep: xr.Dataset, refinement: Refinement | None = None) -> xr.Dataset:
    """The phases of ``sweep_phases.compute``; a refined sweep's skipped cells are inferred.

    Args:
        sweep: any sweep.
        refinement: the rule by which its cells were chosen; by default ``Refinement()`` if the
            store says that it was used, and none otherwise.
    """
    sweep = sweep.load()
    phases = sweep_phases.compute(sweep)
    if "dead_share" in sweep and "dead_share" not in phases:
        finite = (phases.phase != "") & (phases.phase != str(Phase.DIVERGED))
        phases["dead_share"] = sweep.dead_share.where(finite).mean("seed")
    if refinement is None:
        chosen = json.loads(sweep.attrs.get("identity", "{}")).get("refine")
        refinement = Refinement() if _is_standard(chosen) else None
    return phases if refinement is None else refinement.infer(phases)


def _is_standard(chosen: str | Mapping[str, Any] | None) -> bool:
    """Whether a fingerprint has the settings of ``Refinement()``, whatever its code was."""
    if isinstance(chosen, str):  # of a store in format 1
        return chosen.startswith(_STANDARD)
    name, settings = next(iter(fingerprint(Refinement()).items()))
    return chosen is not None and chosen.get(name) == settings


def tally(phases: xr.Dataset, **choice: Any) -> dict[str, Any]:
    """Numbers of cells and runs in a diagram, ready for JSON.

    Args:
        phases: from :func:`phases_of`.
        choice: x, y, panel and at, as for ``phase_diagram.plot_diagram``.

    Returns:
        ``cells``, the number of cells as ``cells[panel][phase]``, with the phase "" for cells that
        were not trained; ``inferred``, how many of them were inferred; ``disagreements`` with the
        published rule: the number of ``runs`` with another phase out of ``of`` trained runs, and
        ``pairs``, a list of ``phase``, ``published`` phase and number of ``runs``.
    """
    panels = split(phases, **_complete(choice))
    cells = {}
    for title, data in zip(panels.titles, panels.data, strict=True):
        names, counts = np.unique(data.majority.values, return_counts=True)
        found = dict(zip(names.tolist(), counts.tolist(), strict=True))
        cells[title] = {name: found[name] for name in _ORDER if name in found}
    compared = sweep_phases.disagreements(phases)
    alike = {str(phase): str(phase) for phase in Phase}
    alike[str(Phase.CLEAN_GENERALIZATION)] = str(Phase.COEXISTENCE)
    pairs = [
        {"phase": ours, "published": theirs, "runs": count}
        for ours in alike
        for theirs in alike
        if (count := int(compared.sel(phase=ours, published_phase=theirs)))
        and alike[ours] != theirs
    ]
    return {
        "cells": cells,
        "inferred": int(phases.inferred.sum()) if "inferred" in phases else 0,
        "disagreements": {
            "runs": sum(pair["runs"] for pair in pairs),
            "of": int(compared.sum()),
            "pairs": sorted(pairs, key=lambda pair: -pair["runs"]),
        },
    }


def cell_table(summary: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Number of cells by phase (rows) and panel (columns), after a row of headings."""
    panels: dict[str, dict[str, int]] = summary["cells"]
    rows = [
        (name or "not trained", *(str(counts.get(name, 0)) for counts in panels.values()))
        for name in _ORDER
        if any(name in counts for counts in panels.values())
    ]
    return [("cells", *(title or "all" for title in panels)), *rows]


def about_disagreements(summary: Mapping[str, Any]) -> str:
    """A sentence on how many runs have another phase by the published rule."""
    found = summary["disagreements"]
    if not found["of"]:
        return "No run has been trained yet."
    if not found["runs"]:
        return f"The published rule gives all {found['of']} runs the same phase."
    most = "; ".join(
        f"{pair['runs']} in {pair['phase']} here, {pair['published']} there"
        for pair in found["pairs"][:3]
    )
    rest = "; ..." if len(found["pairs"]) > 3 else ""
    return (
        f"The published rule gives {found['runs']} of {found['of']} runs another phase "
        f"({most}{rest})."
    )


def write_diagram(
    phases: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    heading: str,
    intro: str,
    against: tuple[str, xr.Dataset] | None = None,
    **choice: Any,
) -> dict[str, Any]:
    """Write the page and return the numbers of :func:`tally`.

    Args:
        phases: from :func:`phases_of`.
        path: the HTML file.
        heading: title of the page.
        intro: a paragraph on what was trained.
        against: name and phases of another sweep with the same axes, to compare with. The numbers
            then have ``alike``, see :func:`analyses.phase_diagrams.comparison.alike`.
        choice: as for :func:`tally`.
    """
    if Path(path).suffix != ".html":
        raise ValueError(f"out must end in .html, got {path}")
    summary = tally(phases, **choice)
    sections = [
        Section(
            plot_diagram(phases, **choice),
            "Every cell has the phase of most of its seeds. The phase follows from the accuracy on "
            "the test set and on labels that were really changed. " + about_disagreements(summary),
        ),
        Section(
            plot_accuracies(phases, **choice),
            "The accuracies that decide the phases. A high accuracy on corrupted labels means that "
            "the network has memorised them. Train accuracy alone does not show this if few labels "
            "are wrong.",
        ),
    ]
    if "mean_ipr" in phases:
        about = "How periodic the weights are; near 1, each neuron has a single frequency."
        if "dead_share" in phases and (phases.dead_share >= 0.005).any():
            about += f" Up to {float(phases.dead_share.max()):.0%} of a network's neurons are dead."
        sections.append(Section(plot_ipr(phases, **choice), about))
    if against is not None:
        name, other = against
        summary["alike"] = alike(phases, other, **choice)
        figure = plot_comparison(phases, other, ["this sweep", name], **choice)
        sections.append(Section(figure, f"The same diagram as above, and below it that of {name}."))
    rows = cell_table(summary)
    write_page(path, heading=heading, intro=intro, rows=rows, sections=sections, width=_WIDTH)
    return summary


def describe(sweep: xr.Dataset) -> str:
    """Sentences on what was trained: task, network, axes and number of runs, as far as known."""
    base = json.loads(sweep.attrs.get("base", "{}"))
    done = int(sweep.done.sum())
    axes = ", ".join(
        f"{axis_label(str(dim))} ({sweep.sizes[dim]})" for dim in sweep.done.dims if dim != "seed"
    )
    what = ""
    if base:
        data, model, training = base["data"], base["model"], base["training"]
        operation = data["operation"]
        operation = operation if isinstance(operation, str) else operation["name"]
        what = (
            f"Trained on {operation} mod {data['p']}, {_network(model)}, "
            f"{training['loss']}, {training['steps']} steps. "
        )
    seeds = sweep.sizes["seed"]
    return (
        f"{what}Axes: {axes}; {seeds} {'seed' if seeds == 1 else 'seeds'}. "
        f"{done} of {sweep.done.size} runs are trained."
    )


def _network(model: Mapping[str, Any]) -> str:
    """The architecture's own description, or its kind if it is not registered."""
    fields = dict(model)
    kind = fields.pop("kind")
    if kind not in MODELS:
        return str(kind)
    return MODELS[kind].describe(MODELS[kind].config_class(**fields))


def _complete(choice: Mapping[str, Any]) -> dict[str, Any]:
    return {"x": X, "y": Y, "panel": None, "at": None} | dict(choice)
