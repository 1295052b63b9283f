"""What many runs say together, on labelled arrays: crossings, medians and means with intervals.

Runs lie on labelled axes, the curves of all of them on one axis "step" with NaN where a run was not
evaluated. A function that reads one curve (:mod:`analyses.statistics.curves`) is given the rows of
one run at a time.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from analyses.statistics.curves import sustained_crossing
from analyses.statistics.intervals import half_width
from analyses.statistics.survival import median_time


def read_each(read: Callable[..., float], curves: xr.DataArray, *arguments: Any) -> xr.DataArray:
    """``read(steps, values, *arguments)`` of every run's own rows, those that are not NaN.

    Args:
        read: as the functions of :mod:`analyses.statistics.curves` that return one number.
        curves: over "step" and any other axes.
        arguments: numbers, or labelled arrays of them that are broadcast with the curves.

    Returns:
        Over the other axes; NaN where there are fewer than two rows, which make no curve.
    """
    steps = curves.step.values

    def of_one(values: np.ndarray, *arguments: Any) -> float:
        own = ~np.isnan(values)
        return float(read(steps[own], values[own], *arguments)) if own.sum() > 1 else np.nan

    core_dims = [["step"], *([] for _ in arguments)]
    return xr.apply_ufunc(of_one, curves, *arguments, input_core_dims=core_dims, vectorize=True)


def crossings(curves: xr.DataArray, level: float | xr.DataArray) -> xr.DataArray:
    """The step from which each run stays at or above a level for five rows; NaN: it never does.

    Several levels are an axis of their own.

    See :func:`analyses.statistics.curves.sustained_crossing`.
    """
    return read_each(sustained_crossing, curves, level)


def values_at(curves: xr.DataArray, steps: xr.DataArray) -> xr.DataArray:
    """The value of every curve at a step of its own; NaN at no step (NaN)."""
    return curves.where(curves.step == steps).max("step")


def budgets(last_step: xr.DataArray) -> xr.DataArray:
    """How long each run was watched: its last step. NaN, not known, if that is not positive.

    A run that diverged before its first step says nothing about times, like one that is not there.
    """
    return last_step.where(last_step > 0)


def median_times(times: xr.DataArray, bounds: xr.DataArray, dim: str = "seed") -> xr.Dataset:
    """Kaplan-Meier medians along an axis: ``median``, ``low`` and ``high``.

    Args:
        times: when it happened, or a ratio of times; NaN where it did not.
        bounds: what the missing times are above; NaN or not positive where nothing is known, and
            such a run is left out.
        dim: the axis of the runs that are compared.

    Returns:
        As :func:`analyses.statistics.survival.median_time`: infinite where not reached. NaN where
        nothing is known of any run.
    """

    def of_one(times: np.ndarray, bounds: np.ndarray) -> tuple[float, ...]:
        finished = ~np.isnan(times)
        observed = np.where(finished, times, bounds)
        known = observed > 0
        return median_time(observed[known], finished[known]) if known.any() else (np.nan,) * 3

    found = xr.apply_ufunc(
        of_one, times, bounds, input_core_dims=[[dim], [dim]], output_core_dims=[[], [], []],
        vectorize=True,
    )  # fmt: skip
    return xr.Dataset(dict(zip(("median", "low", "high"), found, strict=True)))


def t_interval(values: xr.DataArray, dim: str = "seed") -> xr.Dataset:
    """``mean`` along an axis and its 95 % Student interval, ``low`` and ``high``.

    NaN values are left out; fewer than two have no interval (NaN), and none has no mean.
    """
    count, mean = values.count(dim), values.mean(dim)
    spread = values.std(dim, ddof=1) if values.sizes[dim] > 1 else mean * np.nan
    half = mean.copy(data=half_width(spread / count.clip(1) ** 0.5, count))
    return mean.to_dataset(name="mean").assign(low=mean - half, high=mean + half)
