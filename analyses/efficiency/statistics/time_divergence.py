"""The law of grokking times near the critical size, and its likelihood.

``log T = a - b log(D - D_crit) + sigma * normal``, where every seed has a D_crit of its own,
log-normal around the common one with standard deviation tau. Without that a single lucky seed that
groks below the common D_crit would be impossible, and would bound it. Below its D_crit a run never
groks. The seeds' D_crit are integrated out numerically.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyses.efficiency.statistics.survival import censored_normal, interval_end, student_drop

_DEVIATIONS = np.linspace(-5, 5, 101)  # of a seed's log D_crit, in units of tau
_LOG_WEIGHTS = -(_DEVIATIONS**2) / 2 - math.log(np.exp(-(_DEVIATIONS**2) / 2).sum())
_IMPOSSIBLE = -1e6  # log likelihood of a run that groks below its D_crit
# log b, log sigma, log tau: between what no data could tell from zero and from infinity.
_BOUNDS: list[Any] = [(None, None), (-5.0, 3.0), (-6.0, 3.0), (-7.0, 0.0)]
_NEAR = (0.3, 0.7, 0.9, 0.97)  # where to look first, of the seeds' smallest sizes that grokked
_NO_CRITICAL_SIZE = 1e-3  # of the same: a power law of D for all that the data can say


@dataclass(frozen=True, kw_only=True)
class CriticalSize:
    """Where the likelihood is largest, and the 95 % profile interval."""

    value: float
    low: float  # 0: a power law without a critical size is not excluded
    high: float
    exponent: float  # b
    tau: float  # spread of log D_crit over seeds


class TimeLaw:
    """The likelihood of some times, [seed, size].

    Args:
        sizes: [size], numbers of training pairs.
        times: when a run grokked, or the last step of one that did not.
        finished: whether it grokked.
        exists: whether there is such a run.
    """

    def __init__(
        self, sizes: np.ndarray, times: np.ndarray, finished: np.ndarray, exists: np.ndarray
    ) -> None:
        # One seed is one unit of information on D_crit.
        self.scale = float(np.median(np.where(finished, sizes, np.inf).min(axis=1)))
        if math.isinf(self.scale):
            self.scale = float(sizes[finished.any(axis=0)].min())
        self.sizes = sizes / self.scale
        logs = np.log(np.where(exists, times, 1.0))
        self.log_times = logs - np.median(logs[finished])
        self.finished, self.exists = finished[:, None], exists[:, None]  # [seed, deviation, size]

    def loss(self, at: np.ndarray) -> tuple[float, np.ndarray]:
        """Minus the log likelihood and its gradient at a, log b, log sigma, log tau, log D_crit."""
        b, sigma, tau = np.exp(at[1:4])
        critical = np.exp(at[4] + tau * _DEVIATIONS)[:, None]
        beyond = self.sizes - critical  # [deviation, size]
        can = beyond > 1e-12
        beyond = np.where(can, beyond, 1.0)
        x = -np.log(beyond)
        z = (self.log_times[:, None] - at[0] - b * x) / sigma
        log_p, slope = censored_normal(z, self.finished)
        log_p = log_p - self.finished * at[2]
        log_p = np.where(can, log_p, np.where(self.finished, _IMPOSSIBLE, 0.0))
        log_p = np.where(self.exists, log_p, 0.0).sum(axis=2) + _LOG_WEIGHTS
        top = log_p.max(axis=1, keepdims=True)
        share = np.exp(log_p - top)
        total = share.sum(axis=1, keepdims=True)
        share = (share / total)[..., None]  # of each deviation, given the seed's times
        slope = np.where(can & self.exists, slope, 0.0) * share  # by the mean, times sigma
        by_sigma = slope * z - share * (self.finished & self.exists & can)
        by_critical = slope / sigma * b * critical / beyond
        gradient = [
            slope.sum() / sigma, (slope * x).sum() * b / sigma, by_sigma.sum(),
            (by_critical * (tau * _DEVIATIONS)[:, None]).sum(), by_critical.sum(),
        ]  # fmt: skip
        return -float((top + np.log(total)).sum()), -np.array(gradient)

    def fit(self, at: np.ndarray) -> tuple[np.ndarray, float]:
        """Least loss from a start; where, and how much."""
        from scipy import optimize

        bounds = [*_BOUNDS, (math.log(_NO_CRITICAL_SIZE), None)]
        best = optimize.minimize(self.loss, at, jac=True, method="L-BFGS-B", bounds=bounds)
        return best.x, float(best.fun)

    def fit_at(self, log_critical: float, at: np.ndarray) -> tuple[np.ndarray, float]:
        """The same with log D_crit held; ``at`` starts the other four."""
        from scipy import optimize

        def held(free: np.ndarray) -> tuple[float, np.ndarray]:
            loss, gradient = self.loss(np.append(free, log_critical))
            return loss, gradient[:4]

        best = optimize.minimize(held, at, jac=True, method="L-BFGS-B", bounds=_BOUNDS)
        return np.append(best.x, log_critical), float(best.fun)

    def critical_size(self) -> CriticalSize:
        """Maximum likelihood, and where the likelihood has fallen by ``student_drop(seeds)``."""
        start = np.array([0.0, 0.0, -1.0, -3.0])
        # Each is followed to its end: with little noise the best one at first may lead nowhere.
        tried = [self.fit(self.fit_at(math.log(near), start)[0]) for near in _NEAR]
        best, least = min(tried, key=lambda found: found[1])
        drop = student_drop(len(self.log_times))
        # A wider spread over seeds is needed the farther away D_crit is, so the start has one.
        wide = np.append(best[:3], max(best[3], math.log(0.05)))

        def fall(log_critical: float) -> float:
            return 2 * (self.fit_at(log_critical, wide)[1] - least) - drop

        nowhere = math.log(_NO_CRITICAL_SIZE)
        low = 0.0 if fall(nowhere) < 0 else math.exp(interval_end(fall, best[4], -0.02))
        high = math.exp(interval_end(fall, best[4], 0.02))
        value, low, high = (self.scale * size for size in (math.exp(best[4]), low, high))
        return CriticalSize(
            value=value, low=low, high=high, exponent=math.exp(best[1]), tau=math.exp(best[3])
        )
