"""Steps to memorise random labels, to fit the task's, and to generalise."""

from collections.abc import Sequence

import xarray as xr

import grokinterp as gi
from analyses.efficiency.histories import side_by_side
from analyses.statistics.over_runs import budgets, crossings, median_times
from analyses.statistics.thresholds import TIMED_AT

# What happens, on which labels (random or not), seen in which accuracy.
EVENTS = {
    "memorised": (True, "train_accuracy"),
    "fitted": (False, "train_accuracy"),
    "generalised": (False, "test_accuracy"),
}

# How much longer generalising takes than what is named.
RATIOS = {"gap": "memorised", "delay": "fitted"}

_CELL = ("network", "fraction", "seed")


def compute(runs: Sequence[gi.Run], *, level: float = TIMED_AT) -> xr.Dataset:
    """Steps to memorise random labels, to fit the task's, and to generalise.

    A time is the first step of five evaluated rows in a row at or above the level. A run that ends
    before that is censored: its time is above its last step.

    Args:
        runs: of any networks, fractions and seeds, on the task's labels and, with
            ``data.corruption=1``, on random ones; no two of one cell.
        level: of accuracy.

    Returns:
        Dataset over "network", "fraction" and "seed": ``time`` (..., "event") in steps, NaN where
        there is no run or it is censored; and ``budget``, the last step, NaN where there is none.
        ``ratio`` (..., "over") of the time to generalise over that to memorise random labels
        ("gap") or to fit the task's ("delay"); ``ratio_above``, the bound where only the former is
        censored, and ``ratio_below``, where only the latter is. Over seeds, ``time_median``,
        ``time_low``, ``time_high`` and ``ratio_...``: Kaplan-Meier medians with 95 % intervals,
        infinite where not reached, NaN where nothing is known, and of ratios where any seed has
        ``ratio_below``: without these seeds, which memorise slowest, the median would be too large.
        ``n_train`` ("fraction").

    Raises:
        ValueError: no run with the task's labels or none with random ones, labels of which only
            some are random, two runs of one cell.
    """
    curves = {random: side_by_side(_with(runs, random), _CELL) for random in (False, True)}
    curves = dict(zip(curves, xr.align(*curves.values(), join="outer"), strict=True))
    per_event = [
        (crossings(curves[random][name], level), budgets(curves[random].last_step))
        for random, name in EVENTS.values()
    ]
    time, budget = (xr.concat(found, "event") for found in zip(*per_event, strict=True))
    data = xr.Dataset({"time": time, "budget": budget}, attrs={"level": level})
    data = data.assign_coords(event=list(EVENTS)).transpose(*_CELL, "event")
    sizes = {run.config.data.train_fraction: run.config.data.n_train for run in runs}
    data["n_train"] = ("fraction", [sizes[f] for f in data.fraction.values])
    last = data.sel(event="generalised", drop=True)
    before = data[["time", "budget"]].sel(event=list(RATIOS.values())).rename(event="over")
    before = before.assign_coords(over=list(RATIOS))
    data["ratio"] = last.time / before.time
    data["ratio_above"] = last.budget.where(last.time.isnull()) / before.time
    data["ratio_below"] = last.time / before.budget.where(before.time.isnull())
    for name, bound in (("time", data.budget), ("ratio", data.ratio_above)):
        for part, values in median_times(data[name], bound).items():
            data[f"{name}_{part}"] = values
    bounded = data.ratio_below.notnull().any("seed")
    ratios = [f"ratio_{end}" for end in ("median", "low", "high")]
    return data.assign(data[ratios].where(~bounded))


def _with(runs: Sequence[gi.Run], random: bool) -> list[gi.Run]:
    if bad := [c for run in runs if (c := run.config.data.corruption) not in (0.0, 1.0)]:
        raise ValueError(
            f"runs has one with data.corruption={bad[0]}; labels are all the task's (0) or all "
            "random (1)"
        )
    chosen = [run for run in runs if (run.config.data.corruption == 1.0) == random]
    if not chosen:
        raise ValueError(
            f"runs has none with data.corruption={float(random)}; it takes runs on the task's "
            "labels (0) and on random ones (1)"
        )
    return chosen
