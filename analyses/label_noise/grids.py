"""Runs that differ in one setting and in the seed: their configs, and their results on two axes."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

import grokinterp as gi
from analyses.phase_diagrams.panels import value_label
from grokinterp.config import field_value
from grokinterp.sweeps.collect import Named, folder_name


def grid(
    name: str, base: gi.RunConfig, path: str, values: Sequence[Any], seeds: int
) -> list[Named]:
    """Every value of a setting with seeds 0, 1, ... for data and weights.

    Args:
        name: begins the folders' names.
        base: all other settings.
        path: of the setting, such as "training.dropout".
        values: of the setting.
        seeds: how many.
    """
    return [
        Named(
            folder_name(name, value_label(value), "seed", seed),
            base.replace({path: value, "seed": seed, "data.seed": seed}),
        )
        for value in values
        for seed in range(seeds)
    ]


def side_by_side(
    runs: Sequence[gi.Run], path: str, of_run: Callable[[gi.Run], xr.Dataset], *, axis: str
) -> xr.Dataset:
    """What a function finds in each run, over the setting (named ``axis``) and "seed".

    Values of the setting stay in the order of the runs.

    Raises:
        ValueError: a value lacks one of the seeds, or has it twice.
    """
    found = {(field_value(run.config, path), run.config.seed): run for run in runs}
    values, seeds = (list(dict.fromkeys(column)) for column in zip(*found, strict=True))
    if len(found) != len(runs) or len(found) != len(values) * len(seeds):
        cells = [(field_value(run.config, path), run.config.seed) for run in runs]
        raise ValueError(f"runs must hold each {path} with each seed once, got {cells}")
    nested = [[of_run(found[value, seed]) for seed in seeds] for value in values]
    data = xr.combine_nested(nested, concat_dim=[axis, "seed"], combine_attrs="drop_conflicts")
    return data.transpose(axis, "seed", ...).assign_coords({axis: np.array(values), "seed": seeds})
