"""Typical times where some runs ended before it happened: Kaplan-Meier and a log-normal fit.

A run that has not crossed by its last step is *censored*: its time is larger than that step. A mean
over the runs that finished would be too small.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from grokinterp._short import short

Numbers = Sequence[float] | np.ndarray
Flags = Sequence[bool] | np.ndarray

_Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, kw_only=True)
class LogNormalFit:
    """A log-normal law of times; all NaN where the data do not say."""

    median: float
    low: float  # 95 % interval of the median
    high: float
    sigma: float  # standard deviation of the log times


def median_time(times: Numbers, finished: Flags) -> tuple[float, float, float]:
    """Kaplan-Meier median of times, with a 95 % interval.

    The median is the first time at which at most half of the runs are left; it needs no model. The
    interval is Brookmeyer and Crowley's: the times at which the log-log band of the curve
    (Greenwood's variance) holds one half. It is a formula for many runs: it has an upper end from
    7 finished runs on, and the smallest of n times is above the median once in 2^n.

    Args:
        times: of a finished run when it happened, of the others their last step; positive.
        finished: whether it happened.

    Returns:
        ``(median, low, high)``; each is infinite, "not reached", where the curve or its band stays
        above one half.

    Source: Kaplan & Meier 1958; Brookmeyer & Crowley 1982, Biometrics 38, 29-41.
    """
    times, finished = _times(times, finished)
    if not finished.any():
        return math.inf, math.inf, math.inf
    at = np.unique(times[finished])
    happened = (times[finished, None] == at).sum(axis=0)
    still = (times[:, None] >= at).sum(axis=0)
    left = np.cumprod(1 - happened / still)
    # Where no run is left there is no band (NaN), so that end stays open.
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(np.cumsum(happened / (still * (still - happened)))) / -np.log(left)
        lower, upper = left ** np.exp(_Z * error), left ** np.exp(-_Z * error)
    median, low, high = (_halved(at, curve) for curve in (left, lower, upper))
    return median, min(low, median), high


def lognormal_fit(times: Numbers, finished: Flags) -> LogNormalFit:
    """Maximum-likelihood log-normal law of censored times, with a profile interval of its median.

    The likelihood may fall by :func:`student_drop` of the number of finished runs. Without
    censoring this is Student's interval of the mean log time, however few runs there are.

    Args:
        times: of a finished run when it happened, of the others their last step; positive.
        finished: whether it happened.

    Returns:
        All NaN if fewer than 2 runs finished, or all at the same time.
    """
    from scipy import optimize

    times, finished = _times(times, finished)
    logs, n = np.log(times), int(finished.sum())
    if n < 2 or np.ptp(logs[finished]) == 0:
        return LogNormalFit(median=math.nan, low=math.nan, high=math.nan, sigma=math.nan)
    spread = float(np.ptp(logs))

    def best_sigma(mean: float) -> tuple[float, float]:
        """The most likely sigma at a mean of the log times, and minus the log likelihood."""

        def loss(log_sigma: float) -> float:
            z = (logs - mean) / math.exp(log_sigma)
            return n * log_sigma - censored_normal(z, finished)[0].sum()

        # No sigma is below that of the closest runs or far above the most distant one.
        bounds = (math.log(spread) - 12, math.log(2 * (spread + np.abs(logs - mean).max())))
        best = optimize.minimize_scalar(loss, bounds=bounds, options={"xatol": 1e-8})
        return math.exp(best.x), float(best.fun)

    start = float(logs.mean())  # at most the answer: of censored runs these are lower bounds
    mean = float(
        optimize.brent(lambda mean: best_sigma(mean)[1], brack=(start, start + spread / 4))  # pyright: ignore[reportArgumentType]
    )
    sigma, least = best_sigma(mean)

    def fall(mean: float) -> float:
        return 2 * (best_sigma(mean)[1] - least) - student_drop(n)

    low, high = (interval_end(fall, mean, side * sigma) for side in (-1, 1))
    with np.errstate(over="ignore"):  # too large for a number is infinite
        median, low, high = np.exp([mean, low, high]).tolist()
    return LogNormalFit(median=median, low=low, high=high, sigma=sigma)


def student_drop(n: int) -> float:
    """How far twice the log likelihood may fall inside a 95 % interval from ``n`` units.

    The profile interval of the mean of n normal values is then exactly Student's; for many it tends
    to chi-squared's 3.84.
    """
    from scipy import stats

    return n * math.log1p(stats.t.ppf(0.975, n - 1) ** 2 / (n - 1))


def student_p(drop: float, n: int) -> float:
    """Of a fall of twice the log likelihood by ``drop``: :func:`student_drop` gives 0.05."""
    from scipy import stats

    with np.errstate(over="ignore"):  # an infinite t has p value 0
        t = np.sqrt((n - 1) * np.expm1(drop / n))
    return float(2 * stats.t.sf(t, n - 1))


def interval_end(fall: Callable[[float], float], start: float, step: float) -> float:
    """Where ``fall``, negative at ``start``, becomes positive in the direction of ``step``.

    Infinite, with the sign of ``step``, if that is farther away than a million steps.
    """
    from scipy import optimize

    inside = start
    for _ in range(20):
        outside = inside + step
        if fall(outside) >= 0:
            return optimize.root_scalar(fall, bracket=(inside, outside), xtol=1e-6).root
        inside, step = outside, 2 * step
    return math.copysign(math.inf, step)


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
