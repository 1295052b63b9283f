"""One value of each seed: its mean, its median, how far they reach, and these in words."""

import math
from collections.abc import Sequence

import numpy as np
import xarray as xr

from analyses.statistics.intervals import half_width


def seeds(ours: xr.DataArray) -> np.ndarray:
    """The values of the seeds; one value where there is no such axis."""
    extra = [dim for dim in ours.dims if dim != "seed"]
    if extra:
        raise ValueError(f"{ours.name} has the axes {extra}; choose one value of each")
    return np.atleast_1d(np.asarray(ours.values, dtype=float))


def median(values: Sequence[float] | np.ndarray) -> float:
    """The median, in which NaN stands for "never", infinity."""
    return float(np.median(np.where(np.isnan(values), math.inf, values)))


def prediction(values: np.ndarray) -> float:
    """Half the width of the 95 % prediction interval for one more value."""
    count = len(values)
    return float(half_width(values.std(ddof=1) * math.sqrt(1 + 1 / count), count))


def mean(values: np.ndarray) -> tuple[float, float]:
    """The mean over seeds and half of its 95 % interval."""
    half = half_width(values.std(ddof=1) / math.sqrt(len(values)), len(values))
    return float(values.mean()), float(half)


def told(values: np.ndarray, by_median: bool = False) -> str:
    """The mean with its 95 % interval, or the median with the range of the seeds."""
    if len(values) == 1:
        return f"{values[0]:.6g}"
    if by_median:
        known = np.where(np.isnan(values), math.inf, values)
        return f"{median(values):.4g} ({known.min():.4g} to {known.max():.4g})"
    center, half = mean(values)
    return f"{center:.4g} ± {half:.2g}"
