"""A sweep as one page: phase diagram, accuracies, IPR, and how many cells are in which phase."""

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
from analyses.phase_diagrams.panels import axis_label, split
from analyses.phase_diagrams.phase_diagram import X, Y, plot_accuracies, plot_diagram, plot_ipr
from analyses.phase_diagrams.refine import Refinement
from grokinterp import SweepStoreError, open_sweep
from grokinterp.models.registry import MODELS
from grokinterp.sweeps.fingerprint import fingerprint

_WIDTH = 1240  # pixels; four panels next to each other


def load(path: str | os.PathLike[str]) -> xr.Dataset:
    """A sweep from its zarr store, finished or not, or from a netCDF file it was written to.

    Raises:
        SweepStoreError: neither is there.
    """
    where = Path(path)
    if where.is_file():
        try:
            return xr.load_dataset(where, engine="h5netcdf")
        except (OSError, ValueError) as error:
            raise SweepStoreError(f"{where} is no netCDF file: {error}") from error
    if not where.exists():
        raise SweepStoreError(f"{where} is not there; name a SWEEP.zarr or a SWEEP.nc")
    return open_sweep(where)


_STANDARD = (  # the repr of Refinement(), as stores in format 1 have it
    "Refinement(x='data.train_fraction', y='data.corruption', stride=4, thresholds=None)"
)


def phases_of(sweep: xr.Dataset, refinement: Refinement | None = None) -> xr.Dataset:
    """``sweep_phases.compute``, with cells inferred that a refined sweep left out.

    Args:
        sweep: any sweep.
        refinement: what chose its cells; by default the standard one if the store says so.
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
    """Whether a fingerprint is that of the standard refinement, whatever its code was then."""
    if isinstance(chosen, str):  # of a store in format 1
        return chosen.startswith(_STANDARD)
    name, settings = next(iter(fingerprint(Refinement()).items()))
    return chosen is not None and chosen.get(name) == settings


def summarise(phases: xr.Dataset, **choice: Any) -> dict[str, Any]:
    """A diagram in numbers, ready for JSON.

    Args:
        phases: from :func:`phases_of`.
        choice: x, y, panel and at, as for ``phase_diagram.plot_diagram``.

    Returns:
        ``cells``: panel -> phase -> how many cells ("" for a phase: not trained); ``inferred``
        cells among them; ``disagreements`` with the published rule: ``runs``, out of ``of`` that
        were trained, and ``pairs`` of phase, published phase and runs.
    """
    panels = split(phases, **_complete(choice))
    cells = {}
    for title, data in zip(panels.titles, panels.data, strict=True):
        names, counts = np.unique(data.majority.values, return_counts=True)
        found = dict(zip(names.tolist(), counts.tolist(), strict=True))
        order = [*sweep_phases.NAMES, sweep_phases.MIXED, str(Phase.DIVERGED), ""]
        cells[title] = {name: found[name] for name in order if name in found}
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
    """Cells per phase (rows) and panel (columns), a heading first."""
    panels: dict[str, dict[str, int]] = summary["cells"]
    order = [*sweep_phases.NAMES, sweep_phases.MIXED, str(Phase.DIVERGED), ""]
    present = [name for name in order if any(name in counts for counts in panels.values())]
    rows = [
        (name or "not trained", *(str(counts.get(name, 0)) for counts in panels.values()))
        for name in present
    ]
    return [("cells", *(title or "all" for title in panels)), *rows]


def about_disagreements(summary: Mapping[str, Any]) -> str:
    """One sentence on how the published rule, in train accuracy, would have sorted the runs."""
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
    phases: xr.Dataset, path: str | os.PathLike[str], *, heading: str, intro: str, **choice: Any
) -> dict[str, Any]:
    """Write the page and return :func:`summarise`.

    Args:
        phases: from :func:`phases_of`.
        path: the HTML file.
        heading: title of the page.
        intro: a paragraph on what was trained.
        choice: as for :func:`summarise`.
    """
    if Path(path).suffix != ".html":
        raise ValueError(f"out must end in .html, got {path}")
    summary = summarise(phases, **choice)
    sections = [
        Section(
            plot_diagram(phases, **choice),
            "Every cell has the phase of most of its seeds; phases are told apart by the accuracy "
            "on the test set and on labels that were really changed. "
            + about_disagreements(summary),
        ),
        Section(
            plot_accuracies(phases, **choice),
            "What the phases are made of. Where corrupted labels are answered as given, the "
            "network has memorised them; the train accuracy alone cannot show it when few labels "
            "are wrong.",
        ),
    ]
    if "mean_ipr" in phases:
        about = "How periodic the weights are: near 1, a neuron sees a single frequency."
        if "dead_share" in phases and (phases.dead_share >= 0.005).any():
            about += f" Up to {float(phases.dead_share.max()):.0%} of a network's neurons are dead."
        sections.append(Section(plot_ipr(phases, **choice), about))
    write_page(
        path, heading=heading, intro=intro, rows=cell_table(summary), sections=sections,
        width=_WIDTH,
    )  # fmt: skip
    return summary


def describe(sweep: xr.Dataset) -> str:
    """What was trained, as far as the dataset tells."""
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
    """What the architecture says of itself; its kind where it is not registered here."""
    fields = dict(model)
    kind = fields.pop("kind")
    if kind not in MODELS:
        return str(kind)
    return MODELS[kind].describe(MODELS[kind].config_class(**fields))


def _complete(choice: Mapping[str, Any]) -> dict[str, Any]:
    return {"x": X, "y": Y, "panel": None, "at": None} | dict(choice)
