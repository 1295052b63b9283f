"""Steps to memorise random labels, to fit the task's, and to generalise."""

from collections.abc import Sequence

import xarray as xr

import grokinterp as gi
from analyses.efficiency.histories import has_random_labels, side_by_side
from analyses.statistics.over_runs import budgets, crossings, median_times
from analyses.statistics.thresholds import TIMED_AT

# Event: whether the labels are random, and the accuracy that shows it.
EVENTS = {
    "memorised": (True, "train_accuracy"),
    "fitted": (False, "train_accuracy"),
    "generalised": (False, "test_accuracy"),
}
# Ratio: the event whose time divides the time to generalise.
RATIOS = {"gap": "memorised", "delay": "fitted"}
_CELL = ("network", "fraction", "seed")


def compute(runs: Sequence[gi.Run], *, level: float = TIMED_AT) -> xr.Dataset:
    """Steps to memorise random labels, to fit the task's labels, and to generalise.

    A time is the first of five consecutive evaluated steps at or above the level. A run that ends
    before that is censored: its time is larger than its last step.

    Args:
        runs: of any networks, fractions and seeds, on the task's labels and, with
            ``data.corruption=1``, on random ones; one run for each combination.
        level: of accuracy.

    Returns:
        Dataset over "network", "fraction" and "seed":

        * ``time`` (..., event) in steps, NaN where there is no run or it is censored; ``budget``,
          the run's last step, NaN where there is no run;
        * ``ratio`` (..., over): the time to generalise divided by the time to memorise random
          labels ("gap") or to fit the task's ("delay"). ``ratio_above`` is a lower bound where only
          the former is censored, ``ratio_below`` an upper bound where only the latter is;
        * over seeds, ``time_median``, ``time_low``, ``time_high`` and ``ratio_...``: Kaplan-Meier
          medians with 95 % intervals, infinite where not reached, NaN where nothing is known. A
          ratio's median is also NaN where any seed has ``ratio_below``: leaving out these seeds,
          the slowest to memorise, would make the median too large;
        * ``n_train`` (fraction), in pairs.

    Raises:
        ValueError: no run on the task's labels or none on random ones, runs with only some random
            labels, two runs for one combination.
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
    """The runs on random labels, or those on the task's."""
    chosen = [run for run in runs if has_random_labels(run.config) == random]
    if not chosen:
        raise ValueError(
            f"runs has none with data.corruption={float(random)}; give runs on the task's labels "
            "(0) and on random ones (1)"
        )
    return chosen
