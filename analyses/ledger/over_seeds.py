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


def number(value: float, digits: int = 4, *, missing: str = "no value") -> str:
    """A value with so many digits, steps without a power of ten; ``missing`` for NaN."""
    if math.isnan(value):
        return missing
    short = f"{value:.{digits}g}"
    return f"{float(short):.0f}" if "e+" in short and abs(value) < 1e7 else short


def told(values: np.ndarray, by_median: bool = False) -> str:
    """The mean with its 95 % interval, or the median with the range of the seeds."""
    if len(values) == 1:
        return number(values[0], 6)
    if by_median:
        known = np.where(np.isnan(values), math.inf, values)
        return f"{number(median(values))} ({number(known.min())} to {number(known.max())})"
    center, half = mean(values)
    return "no value" if math.isnan(center) else f"{number(center)} ± {number(half, 2)}"
