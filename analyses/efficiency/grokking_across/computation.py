"""When accuracies cross levels, and how long validation lags behind training."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from analyses.efficiency.histories import side_by_side
from analyses.statistics.over_runs import crossings, median_times, values_at
from analyses.statistics.thresholds import GENERALISED_FROM, TIMED_AT
from grokinterp import Run

LEVELS = (0.5, GENERALISED_FROM, TIMED_AT)

# Validation has left chance at five times 1/p, which is the 5 % of the published numbers at p = 97.
TIMES_CHANCE = 5.0

SPLITS = ("train", "test")

SPLIT_LABEL = {"train": "train", "test": "validation"}


def compute(runs: Sequence[Run]) -> xr.Dataset:
    """Accuracies of all runs, when they cross levels, and how long validation lags behind.

    A crossing is the step of the first of five evaluated rows in a row at or above the level, as
    networks may collapse for a while. A run that ends first is censored: it would take longer than
    its ``last_step``, how much longer is not known.

    Args:
        runs: of any networks, training fractions and seeds; no two of one cell.

    Returns:
        Dataset over "network", "fraction" and "seed", NaN where there is no such run:

        * ``accuracy`` (..., split, step) and ``median_accuracy`` over seeds, 0..1, split being
          train or test (the pairs held out);
        * ``crossing`` (..., split, level), in steps, NaN where not crossed by ``last_step`` (...);
          ``crossing_median``, ``crossing_low`` and ``crossing_high``: Kaplan-Meier median over
          seeds and its 95 % interval, infinite where not reached;
        * ``delay`` (...): step at which validation crosses 99 % over that at which training does,
          NaN where either does not; ``delay_above`` (...): the bound if only training does, and
          NaN otherwise; ``delay_median``, ``delay_low`` and ``delay_high`` as for crossings, NaN
          where training crosses 99 % in no run;
        * ``test_at_learned`` (...): validation accuracy where training crosses 99 %;
        * ``train_at_leaving`` (...): training accuracy where validation crosses 5/p for the first
          time, which leaves chance.

    Source: second paper, Figs. 1-3 and section 3.
    """
    per_run = ("network", "fraction", "seed")
    data = side_by_side(runs, per_run)
    accuracy = xr.concat([data[f"{split}_accuracy"] for split in SPLITS], dim="split")
    accuracy = accuracy.assign_coords(split=list(SPLITS)).transpose(*per_run, "split", "step")
    crossing = crossings(accuracy, xr.DataArray(list(LEVELS), {"level": list(LEVELS)}))
    train, test = (accuracy.sel(split=split, drop=True) for split in SPLITS)
    learned, generalised = (
        crossing.sel(split=split, level=TIMED_AT, drop=True) for split in SPLITS
    )
    delay = generalised / learned
    above = data.last_step.where(generalised.isnull()) / learned
    medians = {
        "crossing": median_times(crossing, data.last_step),
        "delay": median_times(delay, above),
    }
    return xr.Dataset(
        {
            "accuracy": accuracy,
            "median_accuracy": accuracy.median("seed"),
            "crossing": crossing,
            "delay": delay,
            "delay_above": above,
            "test_at_learned": values_at(test, learned),
            "train_at_leaving": values_at(train, crossings(test, TIMES_CHANCE * data.chance)),
            **{
                f"{name}_{part}": values
                for name, found in medians.items() for part, values in found.items()
            },
            **{name: data[name] for name in ("last_step", "n_train", "chance")},
        },
    )  # fmt: skip


def table(data: xr.Dataset) -> list[dict[str, Any]]:
    """One row per run: what F6, F7 and the delays are read from; None where it did not happen."""
    rows = []
    for at in np.argwhere(data.last_step.notnull().values):
        run = data.isel(dict(zip(data.last_step.dims, at, strict=True)))
        learned = run.crossing.sel(level=TIMED_AT)
        numbers = {
            **{f"{SPLIT_LABEL[split]} 99 %": learned.sel(split=split) for split in SPLITS},
            "delay": run.delay,
            "delay above": run.delay_above,
            "validation at train 99 %": run.test_at_learned,
            "train at leaving chance": run.train_at_leaving,
        }
        rows.append(
            {axis: run[axis].item() for axis in data.last_step.dims}
            | {name: None if np.isnan(value) else value.item() for name, value in numbers.items()}
        )
    return rows
