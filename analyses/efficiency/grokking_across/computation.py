"""When accuracies reach given levels, and how long validation lags behind training."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from analyses.efficiency.histories import side_by_side
from analyses.statistics.over_runs import crossings, median_times, values_at
from analyses.statistics.thresholds import GENERALISED_FROM, TIMED_AT
from grokinterp import Run

LEVELS = (0.5, GENERALISED_FROM, TIMED_AT)
# Validation has left chance at five times 1/p: the 5 % of the published numbers at p = 97.
TIMES_CHANCE = 5.0
SPLITS = ("train", "test")
SPLIT_LABEL = {"train": "train", "test": "validation"}
_PER_RUN = ("network", "fraction", "seed")


def compute(runs: Sequence[Run]) -> xr.Dataset:
    """Accuracies of all runs, when they reach given levels, and how long validation lags behind.

    A level counts as reached at the first of five consecutive evaluated steps at or above it, since
    accuracies may collapse for a while. A run that ends before that is censored: its time is larger
    than its ``last_step``, by an unknown amount.

    Args:
        runs: of any networks, training fractions and seeds, one run for each combination.

    Returns:
        Dataset over "network", "fraction" and "seed", NaN where there is no run:

        * ``accuracy`` (..., split, step), 0..1, and its ``median_accuracy`` over seeds; the split
          is "train" or "test" (the pairs held out);
        * ``crossing`` (..., split, level): the step at which the level is reached, NaN if it is not
          by ``last_step`` (...). ``crossing_median``, ``crossing_low`` and ``crossing_high``:
          Kaplan-Meier median over seeds with its 95 % interval, infinite where not reached;
        * ``delay`` (...): the step at which validation reaches 99 % divided by the step at which
          training does, NaN if either does not. ``delay_above`` (...): a lower bound on the delay
          where only training reaches 99 %, else NaN. ``delay_median``, ``delay_low`` and
          ``delay_high`` as for crossings; NaN where training reaches 99 % in no run;
        * ``test_at_learned`` (...): validation accuracy when training reaches 99 %;
        * ``train_at_leaving`` (...): training accuracy when validation reaches 5/p, that is, when
          it leaves chance.

    Source: second paper, Figs. 1-3 and section 3.
    """
    data = side_by_side(runs, _PER_RUN)
    accuracy = xr.concat([data[f"{split}_accuracy"] for split in SPLITS], dim="split")
    accuracy = accuracy.assign_coords(split=list(SPLITS)).transpose(*_PER_RUN, "split", "step")
    crossing = crossings(accuracy, xr.DataArray(list(LEVELS), {"level": list(LEVELS)}))
    train, test = (accuracy.sel(split=split, drop=True) for split in SPLITS)
    learned, generalised = (
        crossing.sel(split=split, level=TIMED_AT, drop=True) for split in SPLITS
    )
    delay = generalised / learned
    above = data.last_step.where(generalised.isnull()) / learned
    found = data[["last_step", "n_train", "chance"]].assign(
        accuracy=accuracy,
        median_accuracy=accuracy.median("seed"),
        crossing=crossing,
        delay=delay,
        delay_above=above,
        test_at_learned=values_at(test, learned),
        train_at_leaving=values_at(train, crossings(test, TIMES_CHANCE * data.chance)),
    )
    for name, times, bounds in (("crossing", crossing, data.last_step), ("delay", delay, above)):
        for part, values in median_times(times, bounds).items():
            found[f"{name}_{part}"] = values
    return found


def table(data: xr.Dataset) -> list[dict[str, Any]]:
    """One row per run: when it learned and generalised, and the delay; None if it did not."""
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
