"""What was measured of a sweep's runs: numbers of each run, and values over one more dimension."""

from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from analyses.pages.palette import SUBSET_LABEL
from analyses.pages.style import IPR_BINS
from grokinterp.short_text import one_line
from grokinterp.sweeps.reading import BOOKKEEPING
from grokinterp.sweeps.rows import DESCRIPTION, KEPT

HISTOGRAM = "histogram"  # name of the array of the neurons' IPR
_CURVE = "curve "  # begins the name of its array
_SHARES = ("accuracy", "share", "ipr")  # measures whose axis goes from 0 to 1
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


class Measure(NamedTuple):
    """A number of each run, in words."""

    key: str
    label: str
    about: str
    values: np.ndarray  # [cell, seed]; NaN where there is none

    def __repr__(self) -> str:
        return one_line(self)


def measures_of(sweep: xr.Dataset, n_cells: int) -> Iterator[Measure]:
    """The numbers of each run: accuracies first, then what the user measured, then the rest.

    Args:
        sweep: with the dimensions of its axes, then "seed".
        n_cells: how many cells it has.
    """

    def each(name: Hashable) -> Iterator[Measure]:
        variable, key = sweep[name], str(name)
        further = variable.dims[sweep.done.ndim :]
        label, about = _WORDS.get(key, _spoken(key)), DESCRIPTION.get(key, "")
        values = variable.values.reshape(n_cells, sweep.sizes["seed"], -1)
        if not further:
            number = values[..., 0]
            if key == "diverged_at":
                number = np.where(number < 0, np.nan, number)
            # What the colours show is called "phase" where it is the phase.
            yield Measure(key if key != "phase" else "phase, measured", label, about, number)
        elif further == ("subset",):
            for i, subset in enumerate(sweep.subset.values.tolist()):
                words = f"{label}: {SUBSET_LABEL.get(subset, subset)}"
                yield Measure(f"{key} {subset}", words, about, values[..., i])

    own = [name for name in sweep.data_vars if name not in (*KEPT, *BOOKKEEPING)]
    names = ["final_accuracy", *own, *(name for name in KEPT if name != "final_accuracy")]
    found = [measure for name in names if name in sweep for measure in each(name)]
    if has_ipr(sweep):
        neurons = sweep.ipr.values.reshape(n_cells, sweep.sizes["seed"], -1)
        alive = np.isfinite(neurons).sum(axis=-1)
        total = np.nansum(neurons, axis=-1)
        mean = np.divide(total, alive, out=np.full(total.shape, np.nan), where=alive > 0)
        done = sweep.done.values.reshape(alive.shape)
        dead = np.where(done, 1 - alive / neurons.shape[-1], np.nan)
        place = sum(measure.key.startswith("final_accuracy") for measure in found)
        known = {measure.key for measure in found}
        also = [
            Measure("mean_ipr", "mean IPR", "mean over living neurons", mean),
            Measure("dead_share", "dead share", "share of dead neurons", dead),
        ]
        found[place:place] = [measure for measure in also if measure.key not in known]
    yield from (measure for measure in found if np.isfinite(measure.values).any())


def has_ipr(sweep: xr.Dataset) -> bool:
    return "ipr" in sweep and sweep.ipr.ndim == sweep.done.ndim + 1


def in_words(measure: Measure, counted: np.ndarray) -> dict[str, Any]:
    """Key, label and range over the runs that count, for JSON; ``log``: it spans 3 decades."""
    finite = measure.values[np.isfinite(measure.values) & counted]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if low >= 0 and high <= 1 and any(word in measure.key for word in _SHARES):
        low, high = 0.0, 1.0
    is_log = low > 0 and high >= 1000 * low
    about = {"key": measure.key, "label": measure.label, "about": measure.about}
    return about | {"range": [low, high], "log": is_log}


def curves_of(sweep: xr.Dataset, n_cells: int) -> Iterator[tuple[str, str, np.ndarray]]:
    """Measures with one further dimension: the neurons' IPR as counts, others as they are.

    Yields:
        Name of the array, words, and the values [cell, seed, entry].
    """
    seeds = sweep.sizes["seed"]
    if has_ipr(sweep):
        neurons = sweep.ipr.values.reshape(n_cells * seeds, -1)
        edges = np.linspace(0.0, 1.0, round(1 / IPR_BINS["size"]) + 1)
        counts = [np.histogram(np.clip(row, 0, 1), edges)[0] for row in neurons]
        values = np.array(counts, dtype=np.uint16).reshape(n_cells, seeds, -1)
        yield HISTOGRAM, "The IPR of single neurons", values
    for name, variable in sweep.data_vars.items():
        further = variable.dims[sweep.done.ndim :]
        is_own = name not in (*KEPT, *BOOKKEEPING, "ipr")
        if is_own and len(further) == 1 and further != ("subset",):
            values = variable.values.astype(np.float32).reshape(n_cells, seeds, -1)
            yield f"{_CURVE}{name}", _spoken(name), values


def _spoken(name: Hashable) -> str:
    return str(name).replace("_", " ").replace("ipr", "IPR")


def along(sweep: xr.Dataset, key: str) -> str:
    """The dimension of a curve; those of plain arrays are numbered and say nothing."""
    name = key.removeprefix(_CURVE)
    (dim,) = sweep[name].dims[sweep.done.ndim :]
    return "entry" if dim == f"{name}_0" else _spoken(dim)
