"""What the explorer shows of a sweep: its axes, phases, numbers of every run, IPR histograms."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from analyses.explorer.sweep_commands import train_command
from analyses.explorer.sweep_measures import (
    HISTOGRAM,
    along,
    curves_of,
    has_ipr,
    in_words,
    measures_of,
)
from analyses.explorer.words import DISJOINT
from analyses.pages.palette import FAINT, PAPER, PHASE_COLOR, SHARE_SCALE
from analyses.phase_diagrams.diagram_page import describe, phases_of
from analyses.phase_diagrams.panels import axis_label, value_label
from analyses.phase_diagrams.phase_diagram import X, Y
from analyses.phase_diagrams.sweep_phases import MIXED, NAMES
from grokinterp.short_text import one_line
from grokinterp.sweeps.reading import BOOKKEEPING
from grokinterp.sweeps.rows import KEPT

MOST_CELLS = 20_000  # each is a rectangle of the figure
MOST_NUMBERS = 4_000_000  # of all runs: about 12 MB in the page
_SHOWN_FIRST = (*DISJOINT, "train")  # columns of the table of seeds
_TRAINED = {"": ("not trained", PAPER, "dotted")}


class SweepPayload(NamedTuple):
    """A sweep as the page needs it."""

    about: dict[str, Any]  # plain data, for JSON
    arrays: dict[str, np.ndarray]

    def __repr__(self) -> str:
        return one_line(self)


def gather_sweep(sweep: xr.Dataset, *, name: str, going_on: str) -> SweepPayload:
    """Everything that the page shows.

    Args:
        sweep: the dataset of ``grokinterp.sweep`` or ``open_sweep``, finished or not.
        name: of the sweep, for the heading.
        going_on: what trains the missing runs, in words.

    Raises:
        ValueError: it is not a sweep's dataset, or has too many cells for a page.
    """
    if "done" not in sweep or "seed" not in sweep.done.dims:
        raise ValueError(
            f"{name} is not the whole dataset of a sweep: it needs the variable done, and the "
            "dimension seed, which sweep.sel(seed=[0]) keeps"
        )
    cells = [str(dim) for dim in sweep.done.dims if dim != "seed"]
    sweep = sweep.load().transpose(*cells, "seed", ...)
    n_cells = int(np.prod([sweep.sizes[dim] for dim in cells], dtype=int))
    if n_cells > MOST_CELLS:
        raise ValueError(
            f"the sweep has {n_cells:,} cells, and a page shows at most {MOST_CELLS:,}; save a "
            'part of it, gi.open_sweep(...).isel(...).to_netcdf("part.nc"), and explore part.nc'
        )
    notes: list[str] = []
    phases = _phases(sweep, notes)
    measures = list(measures_of(sweep, n_cells))
    codes, arrays = _cells(sweep, phases, n_cells)
    room = MOST_NUMBERS - sum(array.size for array in arrays.values())
    kept = measures[: max(0, room // sweep.done.size)]
    if len(kept) < len(measures):
        left = ", ".join(measure.label for measure in measures[len(kept) :])
        notes.append(f"Left out: {left}. A page holds {MOST_NUMBERS:,} numbers.")
    with np.errstate(over="ignore"):  # of runs that diverged
        numbers = [measure.values.astype(np.float32) for measure in kept]
    counted = arrays["counted"] == 1
    arrays["runs"] = np.stack(numbers or [np.full((0, *codes["shape"]), np.nan, np.float32)])
    room -= arrays["runs"].size
    curves = []
    for key, label, values in curves_of(sweep, n_cells):
        if values.size > room:
            notes.append(
                f"{label} has {values.size:,} numbers, which do not fit into a page of "
                f"{MOST_NUMBERS:,}; read them from the store with gi.open_sweep."
            )
            continue
        room -= values.size
        arrays[key] = values
        if key != HISTOGRAM:
            curves.append({"key": key, "label": label, "along": along(sweep, key)})
    notes += _left_out(sweep, cells)
    labels = [measure.key for measure in kept]
    first = [f"final_accuracy {subset}" for subset in _SHOWN_FIRST] + ["mean_ipr", "dead_share"]
    about = {
        "name": name,
        "intro": describe(sweep),
        "axes": _axes(sweep, cells),
        "start": _start(cells),
        "cell": _first_cell(sweep),
        "seeds": sweep.seed.values.tolist(),
        "phases": codes["phases"],
        "by": "phase" if phases is not None else "trained",
        "measures": [in_words(measure, counted) for measure in kept],
        "columns": [key for key in first if key in labels],
        "histogram": HISTOGRAM in arrays,
        "curves": curves,
        "notes": [*_progress(sweep, phases, going_on), *notes],
        "train": train_command(sweep, cells),
        "scale": _scale(),
    }
    return SweepPayload(about, arrays)


def _phases(sweep: xr.Dataset, notes: list[str]) -> xr.Dataset | None:
    try:
        return phases_of(sweep)
    except ValueError as error:
        notes.append(f"Without phases: {error}.")
        return None


def _axes(sweep: xr.Dataset, cells: list[str]) -> list[dict[str, Any]]:
    """At least two, so that there is a plane; one that the sweep lacks has no name."""
    found = [
        {
            "name": dim,
            "label": axis_label(dim),
            "values": [value_label(value) for value in sweep[dim].values.tolist()],
        }
        for dim in cells
    ]
    return found + [{"name": "", "label": "", "values": [""]}] * (2 - len(found))


def _start(cells: list[str]) -> list[int]:
    """The axes of the first plane: those of the phase diagram, or the last two."""
    wanted = [axis for axis in (X, Y) if axis in cells]
    wanted += [axis for axis in reversed(cells) if axis not in wanted]
    found = [cells.index(axis) for axis in wanted[:2]]
    return found + list(range(len(found), 2))


def _first_cell(sweep: xr.Dataset) -> list[int]:
    """The trained cell nearest to the middle, as its place on each axis."""
    done = sweep.done.any("seed").values
    middle = [(length - 1) // 2 for length in done.shape]
    known = np.argwhere(done) if done.any() and done.ndim else np.array([middle])
    nearest = known[np.abs(known - middle).sum(axis=1).argmin()] if done.ndim else []
    return [*map(int, nearest)] + [0] * (2 - done.ndim)


def _cells(
    sweep: xr.Dataset, phases: xr.Dataset | None, n_cells: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Codes of the phases, and by cell [cell] and run [cell, seed] what the plane is drawn from."""
    shape = n_cells, sweep.sizes["seed"]
    done = sweep.done.values.astype(bool).reshape(shape)
    if phases is None:
        looks = {"trained": ("trained", FAINT, "")} | _TRAINED
        run = np.where(done, "trained", "")
        majority = np.where(done.any(axis=1), "trained", "")
        counted, inferred = done, np.zeros(n_cells, dtype=bool)
        agree = done.sum(axis=1)
        borderline = np.zeros(shape, dtype=bool)
    else:
        looks = {name: (name, PHASE_COLOR[name], "") for name in (*NAMES, "diverged")}
        looks |= {MIXED: ("mixed (seeds tie)", PAPER, "hatched")} | _TRAINED
        along = [dim for dim in sweep.done.dims if dim != "seed"]
        run = phases.phase.transpose(*along, "seed").values.reshape(shape)
        majority = phases.majority.transpose(*along).values.reshape(n_cells)
        counted = (run != "") & (run != "diverged")
        inferred = np.zeros(n_cells, dtype=bool)
        if "inferred" in phases:
            inferred = phases.inferred.transpose(*along).values.reshape(n_cells)
        share = phases.share.transpose(*along, "label").values.reshape(n_cells, -1)
        agree = np.nan_to_num(share).max(axis=1) * counted.sum(axis=1)
        borderline = phases.borderline.transpose(*along, "seed").values.reshape(shape)
    names = list(looks)
    arrays = {
        "majority": np.vectorize(names.index, otypes=[np.uint8])(majority),
        "phase": np.vectorize(names.index, otypes=[np.uint8])(run),
        "counted": counted.astype(np.uint8),
        "borderline": borderline.astype(np.uint8),
        "agree": np.round(agree).astype(np.uint16),
        "inferred": inferred.astype(np.uint8),
    }
    words = [
        {"name": name, "label": label, "color": color, "pattern": pattern}
        for name, (label, color, pattern) in looks.items()
    ]
    return {"phases": words, "shape": shape}, arrays


def _left_out(sweep: xr.Dataset, cells: list[str]) -> Iterator[str]:
    for name, variable in sweep.data_vars.items():
        further = variable.ndim - len(cells) - 1
        if name not in (*KEPT, *BOOKKEEPING) and further > 1:
            yield f"{name} has {further} dimensions for each run and is left out."
    if not has_ipr(sweep):
        yield (
            "The store has no IPR of single neurons, so there is no histogram; grokinterp sweep "
            "--per-neuron keeps it."
        )


def _progress(sweep: xr.Dataset, phases: xr.Dataset | None, going_on: str) -> Iterator[str]:
    done, size = int(sweep.done.sum()), sweep.done.size
    inferred = int(phases.inferred.sum()) if phases is not None and "inferred" in phases else 0
    open_cells = done < size if phases is None else bool((phases.majority == "").any())
    if inferred:
        yield f"{inferred} cells are inferred from the cells around them, not trained (dots)."
    if open_cells or (done < size and not inferred):
        yield f"{size - done:,} of {size:,} runs are not trained yet. {going_on}"


def _scale() -> list[str]:
    from plotly.colors import sequential

    return list(getattr(sequential, SHARE_SCALE))
