"""Statistics of many runs on labelled arrays: crossings, medians and means with intervals.

The curves of all runs share one axis "step", with NaN where a run was not evaluated. Functions of
one curve (:mod:`analyses.statistics.curves`) get the values of one run at a time, without the NaN.

Examples:
    >>> import xarray as xr
    >>> from analyses.statistics.over_runs import crossings, t_interval
    >>> steps = [0, 10, 20, 30, 40, 50, 60, 70]
    >>> seeds = [[0.1, 0.2, 0.95, 1, 1, 1, 1, 1], [0.1, 0.1, 0.1, 0.95, 1, 1, 1, 1]]
    >>> accuracy = xr.DataArray(seeds, {"seed": [0, 1], "step": steps}, ("seed", "step"))
    >>> times = crossings(accuracy, 0.9)
    >>> times.values.tolist(), t_interval(times)["mean"].item()
    ([20.0, 30.0], 25.0)
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from analyses.statistics.curves import sustained_crossing
from analyses.statistics.intervals import half_width
from analyses.statistics.survival import median_time

_AT_ONCE = float(np.finfo(float).tiny)  # stands for 0 where a time must be positive


def read_each(read: Callable[..., float], curves: xr.DataArray, *arguments: Any) -> xr.DataArray:
    """Apply ``read(steps, values, *arguments)`` to every run's values that are not NaN.

    Args:
        read: a function of one curve that returns one number.
        curves: over "step" and any other axes.
        arguments: numbers, or labelled arrays of numbers that are broadcast with the curves.

    Returns:
        Over the other axes; NaN where a run has fewer than two values.
    """
    steps = curves.step.values

    def of_one(values: np.ndarray, *arguments: Any) -> float:
        own = ~np.isnan(values)
        return float(read(steps[own], values[own], *arguments)) if own.sum() > 1 else np.nan

    core_dims = [["step"], *([] for _ in arguments)]
    return xr.apply_ufunc(of_one, curves, *arguments, input_core_dims=core_dims, vectorize=True)


def crossings(curves: xr.DataArray, level: float | xr.DataArray) -> xr.DataArray:
    """First step from which each run stays at or above a level for five evaluated steps, or NaN.

    A labelled array of levels adds its axis to the result. See
    :func:`analyses.statistics.curves.sustained_crossing`.
    """
    return read_each(sustained_crossing, curves, level)


def first_steps(true: xr.DataArray) -> xr.DataArray:
    """The first step at which something is true of each run; NaN if at none."""
    steps = true.step.isel(step=true.argmax("step")).drop_vars("step")
    return steps.where(true.any("step")).astype(np.float64)


def values_at(curves: xr.DataArray, steps: xr.DataArray) -> xr.DataArray:
    """The value of each curve at its own step; NaN where the step is NaN."""
    return curves.where(curves.step == steps).max("step")


def budgets(last_step: xr.DataArray) -> xr.DataArray:
    """How long each run was observed: its last step; NaN if that is not positive.

    A run that diverged before its first step holds no information on times, like a missing run.
    """
    return last_step.where(last_step > 0)


def median_times(times: xr.DataArray, bounds: xr.DataArray, dim: str = "seed") -> xr.Dataset:
    """Kaplan-Meier medians along an axis: ``median``, ``low`` and ``high``.

    Args:
        times: of an event, or ratios of times; NaN where the event did not happen.
        bounds: lower bounds of the missing times. Runs without a positive bound are left out.
        dim: the axis along which the median is taken.

    Returns:
        As :func:`analyses.statistics.survival.median_time`, infinite where not reached; NaN where
        no run is left.
    """

    def of_one(times: np.ndarray, bounds: np.ndarray) -> tuple[float, ...]:
        finished = ~np.isnan(times)
        at_once = np.where(finished & (times == 0), _AT_ONCE, times)  # times must be positive
        observed = np.where(finished, at_once, bounds)
        known = observed > 0
        if not known.any():
            return (np.nan,) * 3
        found = median_time(observed[known], finished[known])
        return tuple(0.0 if value == _AT_ONCE else value for value in found)

    axes: dict[str, Any] = {"input_core_dims": [[dim]] * 2, "output_core_dims": [[], [], []]}
    found = xr.apply_ufunc(of_one, times, bounds, vectorize=True, **axes)
    return xr.Dataset(dict(zip(("median", "low", "high"), found, strict=True)))


def t_interval(values: xr.DataArray, dim: str = "seed") -> xr.Dataset:
    """``mean`` along an axis with its 95 % Student-t interval, ``low`` and ``high``.

    NaN values are left out. The interval is NaN for fewer than two values, the mean for none.
    """
    count, mean = values.count(dim), values.mean(dim)
    spread = values.std(dim, ddof=1) if values.sizes[dim] > 1 else mean * np.nan
    half = mean.copy(data=half_width(spread / count.clip(1) ** 0.5, count))
    return mean.to_dataset(name="mean").assign(low=mean - half, high=mean + half)
