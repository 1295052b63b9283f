"""What the explorer shows of a sweep: its axes, phases, numbers of every run, IPR histograms."""

from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from analyses.explorer.sweep_commands import train_command
from analyses.pages.palette import FAINT, PAPER, PHASE_COLOR, SHARE_SCALE, SUBSET_LABEL
from analyses.pages.style import IPR_BINS
from analyses.phase_diagrams.diagram_page import describe, phases_of
from analyses.phase_diagrams.panels import axis_label, value_label
from analyses.phase_diagrams.phase_diagram import X, Y
from analyses.phase_diagrams.sweep_phases import MIXED, NAMES
from grokinterp.short_text import one_line
from grokinterp.sweeps.reading import BOOKKEEPING
from grokinterp.sweeps.rows import DESCRIPTION, KEPT

MOST_CELLS = 20_000  # each is a rectangle of the figure
MOST_NUMBERS = 4_000_000  # of all runs: about 12 MB in the page
_SHOWN_FIRST = ("test", "changed", "unchanged", "train")  # columns of the table of seeds
_WORDS = {
    "final_accuracy": "accuracy",
    "best_accuracy": "best accuracy",
    "final_loss": "loss",
    "best_loss": "least loss",
    "final_norm": "weight norm",
    "largest_norm": "largest weight norm",
    "largest_zero_loss_share": "largest share with loss 0",
    "n_changed": "wrong labels",
    "n_test": "test examples",
    "diverged_at": "diverged at step",
}
_CURVE = "curve "  # begins the name of its array
_SHARES = ("accuracy", "share", "ipr")  # measures whose axis goes from 0 to 1
_TRAINED = {"": ("not trained", PAPER, "dotted")}


class Measure(NamedTuple):
    """A number of each run, in words."""

    key: str
    label: str
    about: str
    values: np.ndarray  # [cell, seed]; NaN where there is none

    def __repr__(self) -> str:
        return one_line(self)


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
    measures = list(_measures(sweep, n_cells))
    codes, arrays = _cells(sweep, phases, n_cells)
    room = MOST_NUMBERS - sum(array.size for array in arrays.values())
    kept = measures[: max(0, room // sweep.done.size)]
    if len(kept) < len(measures):
        left = ", ".join(measure.label for measure in measures[len(kept) :])
        notes.append(f"Left out: {left}. A page holds {MOST_NUMBERS:,} numbers.")
    numbers = [measure.values.astype(np.float32) for measure in kept]
    arrays["runs"] = np.stack(numbers or [np.full((0, *codes["shape"]), np.nan, np.float32)])
    room -= arrays["runs"].size
    curves = []
    for key, label, values in _along_a_dimension(sweep, n_cells):
        if values.size > room:
            notes.append(
                f"{label} has {values.size:,} numbers, which do not fit into a page of "
                f"{MOST_NUMBERS:,}; read them from the store with gi.open_sweep."
            )
            continue
        room -= values.size
        arrays[key] = values
        if key != "histogram":
            curves.append({"key": key, "label": label, "along": _along(sweep, key)})
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
        "measures": [_measure_in_words(measure) for measure in kept],
        "columns": [key for key in first if key in labels],
        "histogram": "histogram" in arrays,
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


def _measures(sweep: xr.Dataset, n_cells: int) -> Iterator[Measure]:
    """Accuracies first, then what the user measured, then the rest."""

    def each(name: Hashable) -> Iterator[Measure]:
        variable, key = sweep[name], str(name)
        further = variable.dims[sweep.done.ndim :]
        label, about = _WORDS.get(key, _in_words(key)), DESCRIPTION.get(key, "")
        values = variable.values.reshape(n_cells, sweep.sizes["seed"], -1)
        if not further:
            number = values[..., 0]
            if key == "diverged_at":
                number = np.where(number < 0, np.nan, number)
            yield Measure(key, label, about, number)
        elif further == ("subset",):
            for i, subset in enumerate(sweep.subset.values.tolist()):
                words = f"{label}: {SUBSET_LABEL.get(subset, subset)}"
                yield Measure(f"{key} {subset}", words, about, values[..., i])

    own = [name for name in sweep.data_vars if name not in (*KEPT, *BOOKKEEPING)]
    names = ["final_accuracy", *own, *(name for name in KEPT if name != "final_accuracy")]
    found = [measure for name in names if name in sweep for measure in each(name)]
    if _has_ipr(sweep):
        neurons = sweep.ipr.values.reshape(n_cells, sweep.sizes["seed"], -1)
        alive = np.isfinite(neurons).sum(axis=-1)
        total = np.nansum(neurons, axis=-1)
        mean = np.divide(total, alive, out=np.full(total.shape, np.nan), where=alive > 0)
        dead = np.where(_done(sweep, n_cells), 1 - alive / neurons.shape[-1], np.nan)
        place = sum(measure.key.startswith("final_accuracy") for measure in found)
        known = {measure.key for measure in found}
        also = [
            Measure("mean_ipr", "mean IPR", "mean over living neurons", mean),
            Measure("dead_share", "dead share", "share of dead neurons", dead),
        ]
        found[place:place] = [measure for measure in also if measure.key not in known]
    yield from (measure for measure in found if np.isfinite(measure.values).any())


def _has_ipr(sweep: xr.Dataset) -> bool:
    return "ipr" in sweep and sweep.ipr.ndim == sweep.done.ndim + 1


def _done(sweep: xr.Dataset, n_cells: int) -> np.ndarray:
    return sweep.done.values.astype(bool).reshape(n_cells, sweep.sizes["seed"])


def _measure_in_words(measure: Measure) -> dict[str, Any]:
    finite = measure.values[np.isfinite(measure.values)]
    low, high = float(finite.min()), float(finite.max())
    if low >= 0 and high <= 1 and any(word in measure.key for word in _SHARES):
        low, high = 0.0, 1.0
    is_log = low > 0 and high >= 1000 * low
    about = {"key": measure.key, "label": measure.label, "about": measure.about}
    return about | {"range": [low, high], "log": is_log}


def _cells(
    sweep: xr.Dataset, phases: xr.Dataset | None, n_cells: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Codes of the phases, and by cell [cell] and run [cell, seed] what the plane is drawn from."""
    done, shape = _done(sweep, n_cells), (n_cells, sweep.sizes["seed"])
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


def _along_a_dimension(sweep: xr.Dataset, n_cells: int) -> Iterator[tuple[str, str, np.ndarray]]:
    """Measures with one further dimension: the neurons' IPR as counts, others as they are."""
    seeds = sweep.sizes["seed"]
    if _has_ipr(sweep):
        neurons = sweep.ipr.values.reshape(n_cells * seeds, -1)
        edges = np.linspace(0.0, 1.0, round(1 / IPR_BINS["size"]) + 1)
        counts = [np.histogram(np.clip(row, 0, 1), edges)[0] for row in neurons]
        values = np.array(counts, dtype=np.uint16).reshape(n_cells, seeds, -1)
        yield "histogram", "The IPR of single neurons", values
    for name, variable in sweep.data_vars.items():
        further = variable.dims[sweep.done.ndim :]
        is_own = name not in (*KEPT, *BOOKKEEPING, "ipr")
        if is_own and len(further) == 1 and further != ("subset",):
            values = variable.values.astype(np.float32).reshape(n_cells, seeds, -1)
            yield f"{_CURVE}{name}", _in_words(name), values


def _in_words(name: Hashable) -> str:
    return str(name).replace("_", " ").replace("ipr", "IPR")


def _along(sweep: xr.Dataset, key: str) -> str:
    """The dimension of a curve; those of plain arrays are numbered and say nothing."""
    name = key.removeprefix(_CURVE)
    (dim,) = sweep[name].dims[sweep.done.ndim :]
    return "entry" if dim == f"{name}_0" else _in_words(dim)


def _left_out(sweep: xr.Dataset, cells: list[str]) -> Iterator[str]:
    for name, variable in sweep.data_vars.items():
        further = variable.ndim - len(cells) - 1
        if name not in (*KEPT, *BOOKKEEPING) and further > 1:
            yield f"{name} has {further} dimensions for each run and is left out."
    if not _has_ipr(sweep):
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
