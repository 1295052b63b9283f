"""Kaplan-Meier medians: typical times where some runs ended before the event.

A run without the event by its last step is *censored*: its time is larger than that step. A mean
over the finished runs alone would be too small.

Examples:
    >>> from analyses.statistics.survival import median_time
    >>> times, finished = [100, 200, 300, 400, 400], [True, True, True, False, False]
    >>> median_time(times, finished)[0]  # the mean over the finished runs is 200
    300.0
"""

import math
import warnings
from collections.abc import Sequence

import numpy as np

from grokinterp.short_text import short

Numbers = Sequence[int | float] | np.ndarray
Flags = Sequence[bool | int] | np.ndarray

_CERTAIN = -9.0  # a normal number is larger than this but for 1e-19


def median_time(times: Numbers, finished: Flags) -> tuple[float, float, float]:
    """Kaplan-Meier median of times, with a 95 % interval.

    The median is the first time by which the event has happened in at least half of the runs, by
    the Kaplan-Meier curve; it needs no model. The interval is Brookmeyer and Crowley's: the times
    at which the curve's log-log band (Greenwood's variance) contains one half. It is meant for many
    runs: its upper end is infinite below 7 finished runs, and the smallest of n times exceeds the
    median once in 2^n. Curve and band come from ``scipy.stats.ecdf``.

    Args:
        times: of the event, or the last step of a run without it; positive.
        finished: whether the event happened.

    Returns:
        ``(median, low, high)``; infinite, "not reached", where the curve or its band stays above
        one half.

    Source: Kaplan & Meier 1958; Brookmeyer & Crowley 1982, Biometrics 38, 29-41.
    """
    from scipy import stats

    times, finished = _times(times, finished)
    left = stats.ecdf(stats.CensoredData.right_censored(times, ~finished)).sf
    with warnings.catch_warnings():
        # Once no run is left the band is NaN, so that end of the interval stays infinite.
        warnings.simplefilter("ignore", RuntimeWarning)
        band = left.confidence_interval(confidence_level=0.95, method="log-log")
    shares = (left.probabilities, band.low.probabilities, band.high.probabilities)
    median, low, high = (_halved(left.quantiles, share) for share in shares)
    return median, min(low, median), high


def log_survival(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log probability that a standard normal number is larger than z, and minus its derivative.

    The derivative is exact for any z, the logarithm to 1e-14 and to rounding.
    """
    from scipy import special

    z = np.maximum(z, _CERTAIN)  # or erfcx would overflow
    scaled = special.erfcx(z / math.sqrt(2))  # no cancellation for large z
    return np.log(scaled / 2) - z**2 / 2, math.sqrt(2 / math.pi) / scaled


def _halved(times: np.ndarray, left: np.ndarray) -> float:
    """First time at which at most half are left, up to rounding of the shares' products."""
    reached = left <= 0.5 + 1e-12
    return float(times[reached.argmax()]) if reached.any() else math.inf


def _times(times: Numbers, finished: Flags) -> tuple[np.ndarray, np.ndarray]:
    times, finished = np.asarray(times, dtype=float), np.asarray(finished)
    if times.ndim != 1 or times.shape != finished.shape or finished.dtype != bool or not len(times):
        raise ValueError(
            "times and finished must hold a number and a truth value for each of one or more runs; "
            f"got shapes {times.shape} and {finished.shape} of {finished.dtype}"
        )
    if not (np.isfinite(times) & (times > 0)).all():
        raise ValueError(
            f"times must be positive and finite, got {short(times.tolist())}; "
            "for a run that did not finish give its last step"
        )
    return times, finished
