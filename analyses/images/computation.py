"""Accuracies and phases of all runs on labelled axes."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from analyses.images.runs import Scan
from analyses.images.training import SUBSETS, ImageConfig
from analyses.label_noise.words import counted


def compute(scan: Scan, configs: Sequence[ImageConfig], runs: Sequence[xr.Dataset]) -> xr.Dataset:
    """Accuracies and phases of a scan.

    Args:
        scan: of which ``runs`` are all.
        configs: of the runs.
        runs: histories from ``runs.collect``.

    Returns:
        Dataset over "setting", "corruption" and "seed": ``accuracy`` (..., step, subset) and
        ``phase`` at the last step; ``share_uncorrupted`` of the training labels. Coordinates of a
        setting: ``scan``, "weight_decay" or "dropout", and ``value``. The runs at 0 are in both.
    """
    found = dict(zip(configs, runs, strict=True))
    settings, seeds = scan.settings(), sorted({config.seed for config in configs})
    nested = [
        [
            [_of_run(found[scan.config(setting, corruption, seed)]) for seed in seeds]
            for corruption in scan.corruptions
        ]
        for setting in settings
    ]
    names, values = zip(*settings, strict=True)
    data = xr.combine_nested(
        nested, concat_dim=["setting", "corruption", "seed"], combine_attrs="drop"
    )
    return data.transpose("setting", "corruption", "seed", ...).assign_coords(
        corruption=list(scan.corruptions),
        seed=seeds,
        scan=("setting", list(names)),
        value=("setting", list(values)),
    )


def _of_run(run: xr.Dataset) -> xr.Dataset:
    share = 1 - run.attrs["n_changed"] / run.attrs["n_train"]
    return run[["accuracy", "phase"]].assign(share_uncorrupted=share)


def of_scan(data: xr.Dataset, scan: str) -> xr.Dataset:
    """The runs of one scan, over its values: a dimension "weight_decay" or "dropout"."""
    here = data.isel(setting=data.scan.values == scan)
    here = here.assign_coords({scan: ("setting", here.value.values)})
    return here.swap_dims(setting=scan).drop_vars(["scan", "value"])


def table(data: xr.Dataset) -> list[dict[str, object]]:
    """One row for each setting and corruption: mean final accuracies, and the seeds' phases."""
    last = data.accuracy.isel(step=-1).mean("seed")
    rows = []
    for corruption, setting in np.ndindex(data.sizes["corruption"], data.sizes["setting"]):
        at = {"corruption": corruption, "setting": setting}
        here = data.isel(at)
        row: dict[str, object] = {
            "corruption": float(here.corruption),
            str(here.scan.values).replace("_", " "): float(here.value),
        }
        row |= {name: float(last.isel(at).sel(subset=name)) for name in SUBSETS}
        rows.append(row | {"phase": counted(here.phase.values)})
    return rows
