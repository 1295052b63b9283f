"""What training curves say: histories, first steps at a level, and claims on their course."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

import grokinterp as gi

LEVELS = (0.5, 0.9, 0.99)
_WEIGHTS = {"W_E[0]": "U", "W_E[1]": "V", "W_U": "W"}  # the paper's names


def histories(runs: Sequence[gi.Run]) -> xr.Dataset:
    """Losses, accuracies, mean IPR and, over "weight" too, ``frobenius`` norms (seed, step)."""
    data = xr.concat([run.history for run in runs], "seed").drop_vars("zero_loss_share")
    names = [_WEIGHTS.get(name, name) for name in data.weight.values.tolist()]
    return data.assign_coords(weight=names).rename(norm="frobenius")


def first_steps(curves: xr.Dataset) -> xr.Dataset:
    """``first_step`` (subset, level, seed): first evaluated step at a level; NaN if never."""
    accuracy = xr.concat(
        [curves.train_accuracy, curves.test_accuracy], xr.Variable("subset", ["train", "test"])
    )
    level = xr.DataArray(list(LEVELS), dims="level", coords={"level": list(LEVELS)})
    above = accuracy >= level
    step = curves.step.isel(step=above.argmax("step")).drop_vars("step").astype(float)
    return step.where(above.any("step")).to_dataset(name="first_step")


def accuracy_claims(curves: xr.Dataset, config: gi.RunConfig) -> xr.Dataset:
    """Numbers and claims (seed) on the course of training.

    ``final_train``, ``final_test`` and ``final_gap``, test minus train accuracy. ``delay``: first
    step of 99 % test accuracy over that of 99 % train accuracy. ``unlearns_all`` and
    ``unlearns_part`` (1 or 0): train accuracy reaches .99 and ends below 1.05 - xi, or between that
    and .90; for ``unlearns_all`` it also reaches its largest value before it first falls to .70.
    ``collapses``: test accuracy reaches .99 and ends below .05, with 1 % of the largest weight
    norm. ``ipr_rises``: from step 4 on, mean IPR is never below its value ten steps before.
    """
    train, test = curves.train_accuracy, curves.test_accuracy
    last, after = train.isel(step=-1), 1.05 - config.data.corruption
    memorised = train.max("step") >= 0.99
    peak = curves.step.isel(step=train.argmax("step")).drop_vars("step")
    low = curves.step.where(train <= 0.70).where(curves.step > peak).min("step")
    unlearned = low.notnull()
    norm = np.sqrt((curves.frobenius**2).sum("weight"))
    collapsed = norm.isel(step=-1) <= 0.01 * norm.max("step")
    crossed = [(a >= 0.99).idxmax("step").where((a >= 0.99).any("step")) for a in (train, test)]
    claims = {
        "unlearns_all": memorised & (last <= after) & unlearned,
        "unlearns_part": memorised & (last > after) & (last <= 0.90),
        "collapses": (test.max("step") >= 0.99) & (test.isel(step=-1) <= 0.05) & collapsed,
        "falling": (np.maximum(last, test.isel(step=-1)) < 0.5),
        "ipr_rises": _rises(curves.mean_ipr),
    }
    numbers = {
        "final_gap": test.isel(step=-1) - last,
        "final_train": last,
        "final_test": test.isel(step=-1),
        "delay": crossed[1] / crossed[0],
        "norm_imbalance": _imbalance(curves.frobenius.isel(step=-1)),
        "max_test": test.max("step"),
        "peak_step": curves.step.isel(step=test.argmax("step")).drop_vars("step").astype(float),
    }
    named = numbers | {name: claim.astype(float) for name, claim in claims.items()}
    return xr.Dataset({name: one.drop_vars("step", errors="ignore") for name, one in named.items()})


def _rises(mean_ipr: xr.DataArray) -> xr.DataArray:
    """Whether the value ten steps later is never smaller, from step 4 on."""
    from_four = mean_ipr.sel(step=slice(4, None))
    grid = np.arange(from_four.step[0], from_four.step[-1] + 1)
    every = from_four.interp(step=grid)
    return (every.shift(step=-10) >= every).where(every.shift(step=-10).notnull(), True).all("step")


def _imbalance(norm: xr.DataArray) -> xr.DataArray:
    """Largest ratio of two weights' norms, minus 1."""
    return norm.max("weight") / norm.min("weight") - 1
