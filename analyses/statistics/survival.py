"""Typical times where some runs ended before it happened: Kaplan-Meier medians.

A run that has not crossed by its last step is *censored*: its time is larger than that step. A mean
over the runs that finished would be too small.
"""

import math
import warnings
from collections.abc import Sequence

import numpy as np

from grokinterp.short_text import short

Numbers = Sequence[int | float] | np.ndarray
Flags = Sequence[bool | int] | np.ndarray


def median_time(times: Numbers, finished: Flags) -> tuple[float, float, float]:
    """Kaplan-Meier median of times, with a 95 % interval.

    The median is the first time at which at most half of the runs are left; it needs no model. The
    interval is Brookmeyer and Crowley's: the times at which the log-log band of the curve
    (Greenwood's variance) holds one half. It is a formula for many runs: it has an upper end from
    7 finished runs on, and the smallest of n times is above the median once in 2^n. Curve and band
    are those of ``scipy.stats.ecdf``.

    Args:
        times: of a finished run when it happened, of the others their last step; positive.
        finished: whether it happened.

    Returns:
        ``(median, low, high)``; each is infinite, "not reached", where the curve or its band stays
        above one half.

    Source: Kaplan & Meier 1958; Brookmeyer & Crowley 1982, Biometrics 38, 29-41.
    """
    from scipy import stats

    times, finished = _times(times, finished)
    left = stats.ecdf(stats.CensoredData.right_censored(times, ~finished)).sf
    with warnings.catch_warnings():
        # Where no run is left there is no band (NaN), so that end stays open.
        warnings.simplefilter("ignore", RuntimeWarning)
        band = left.confidence_interval(confidence_level=0.95, method="log-log")
    shares = (left.probabilities, band.low.probabilities, band.high.probabilities)
    median, low, high = (_halved(left.quantiles, share) for share in shares)
    return median, min(low, median), high


def censored_normal(z: np.ndarray, finished: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log likelihood of standardised times, and its slope in -z.

    Args:
        z: (time - mean) / sigma; of a censored run its lower bound.
        finished: density where true, probability of a larger value where false.
    """
    from scipy import special

    log_density = -(z**2 + math.log(2 * math.pi)) / 2
    hazard = math.sqrt(2 / math.pi) / special.erfcx(z / math.sqrt(2))  # does not cancel far away
    larger = special.log_ndtr(-z)
    return np.where(finished, log_density, larger), np.where(finished, z, hazard)


def _halved(times: np.ndarray, left: np.ndarray) -> float:
    """First time at which at most half are left; products of shares may miss 1/2 by rounding."""
    reached = left <= 0.5 + 1e-12
    return float(times[reached.argmax()]) if reached.any() else math.inf


def _times(times: Numbers, finished: Flags) -> tuple[np.ndarray, np.ndarray]:
    times, finished = np.asarray(times, dtype=float), np.asarray(finished)
    if times.ndim != 1 or times.shape != finished.shape or finished.dtype != bool or not len(times):
        raise ValueError(
            "times and finished are lists of one number and one truth value per run, at least one; "
            f"got shapes {times.shape} and {finished.shape} of {finished.dtype}"
        )
    if not (np.isfinite(times) & (times > 0)).all():
        raise ValueError(
            f"times must be positive and finite, got {short(times.tolist())}; "
            "the time of a run that did not finish is its last step"
        )
    return times, finished
