"""Reduce a run to what a sweep stores: numbers for the phase rules, and the user's measures."""

import reprlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from grokinterp.data import SUBSETS
from grokinterp.runs import Run
from grokinterp.session import unaffected
from grokinterp.short_text import short

Measure = Callable[[Run], Any]
Row = dict[str, xr.Variable]  # name -> value with named dimensions

_LONGEST = 255  # most bytes in a file name, on nearly all file systems

# The variables of every sweep, with their dimensions beside those of the grid.
KEPT: dict[str, tuple[str, ...]] = {
    "final_accuracy": ("subset",),
    "best_accuracy": ("subset",),
    "final_loss": ("subset",),
    "best_loss": ("subset",),
    "final_norm": (),
    "largest_norm": (),
    "largest_zero_loss_share": (),
    "n_changed": (),
    "n_test": (),
    "diverged_at": (),
}
DESCRIPTION = {
    "final_accuracy": "accuracy at the last step before any divergence, in evaluation mode",
    "best_accuracy": "largest accuracy in the history",
    "final_loss": "loss at the last step before any divergence, in evaluation mode",
    "best_loss": "smallest loss in the history",
    "final_norm": "Frobenius norm of all weights at the last step",
    "largest_norm": "largest Frobenius norm of all weights in the history",
    "largest_zero_loss_share": "largest share of training examples with a loss of exactly 0",
    "n_changed": "training labels that are really wrong",
    "n_test": "examples outside the train set",
    "diverged_at": "updates after which the loss was NaN or infinite; -1: never",
}


class MeasureError(Exception):
    """A measure raised or returned something that cannot be stored; names the measure and run.

    Examples:
        >>> import grokinterp as gi
        >>> config = gi.RunConfig().replace({"data.p": 7, "training.steps": 10})
        >>> wrong = {"ratio": lambda run: 1 / 0}
        >>> try:
        ...     result = gi.sweep(config, {"training.lr": [1e-2]}, measure=wrong)
        ... except gi.MeasureError as error:
        ...     print(str(error).split("; ")[0])
        measure 'ratio' raised ZeroDivisionError: division by zero
    """


def check_name(argument: str, name: object, taken: Iterable[str]) -> None:
    """Raise unless ``name``, given in ``argument``, can name a new variable of a sweep."""
    if not isinstance(name, str) or not name or name.startswith((".", "__")) or _is_no_file(name):
        raise ValueError(f"{argument} has {short(name)}, which cannot name a variable; rename it")
    if len(name.encode()) > _LONGEST:
        raise ValueError(
            f"{argument} has {name[:20]!r}... of {len(name.encode())} bytes, which becomes a file "
            f"name; use at most {_LONGEST} bytes"
        )
    if name in taken:
        raise ValueError(f"{argument} has {short(name)}, a name already in use; rename it")


def _is_no_file(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # an unpaired surrogate
        return True
    return "/" in name or "\0" in name


def row_of(run: Run, measure: Mapping[str, Measure]) -> Row:
    """The row of one run: the variables in :data:`KEPT` and the value of each measure.

    Raises:
        MeasureError: a measure raised or did not return numbers.
    """
    return _kept(run) | {name: _measured(name, take, run) for name, take in measure.items()}


def _kept(run: Run) -> Row:
    history = run.history.variables
    accuracy = np.stack([history[f"{subset}_accuracy"].values for subset in SUBSETS], axis=1)
    loss = np.stack([history[f"{subset}_loss"].values for subset in SUBSETS], axis=1)
    norm = np.sqrt((history["norm"].values ** 2).sum(axis=1))
    zeros = history["zero_loss_share"].values
    if len(norm) == 0:  # diverged before the first row
        accuracy = loss = np.full((1, len(SUBSETS)), np.nan)
        norm = zeros = np.array([np.nan])
    values = {
        "final_accuracy": accuracy[-1],
        "best_accuracy": accuracy.max(axis=0),
        "final_loss": loss[-1],
        "best_loss": loss.min(axis=0),
        "final_norm": norm[-1],
        "largest_norm": norm.max(),
        "largest_zero_loss_share": zeros.max(),
        "n_changed": int(run.dataset.is_changed.sum()),
        "n_test": int(run.dataset.is_test.sum()),
        "diverged_at": -1 if run.diverged_at is None else run.diverged_at,
    }
    return {
        name: xr.Variable(dims, np.asarray(values[name], dtype=np.float64))
        for name, dims in KEPT.items()
    }


def _measured(name: str, take: Measure, run: Run) -> xr.Variable:
    import torch

    try:
        with unaffected(), torch.no_grad():
            value = take(run)
    except Exception as error:
        raise MeasureError(
            f"measure {short(name)} raised {type(error).__name__}: {error}"
        ) from error
    if isinstance(value, torch.Tensor):
        real = value.detach().cpu()
        value = (real if real.is_complex() else real.double()).numpy()
    dims = [str(dim) for dim in value.dims] if isinstance(value, xr.DataArray) else None
    try:
        plain = np.asarray(value)
    except (TypeError, ValueError) as error:  # a Dataset, or a ragged list
        raise MeasureError(_no_numbers(name, value)) from error
    if plain.dtype.kind not in "biuf":  # None, strings, complex numbers
        raise MeasureError(_no_numbers(name, value))
    if dims is None:
        dims = [f"{name}_{axis}" for axis in range(plain.ndim)]
    return xr.Variable(dims, plain.astype(np.float64))


def _no_numbers(name: str, value: object) -> str:
    return (
        f"measure {short(name)} must return a number, an array of numbers or a DataArray, got "
        f"{reprlib.repr(value)} ({type(value).__name__})"
    )
