"""The law of grokking times near the critical size, and its likelihood.

``log T = a_seed - b log(D - D_crit) + sigma * normal``. Every seed has an offset ``a_seed`` of its
own, since its runs share a start: a seed may be slow at all sizes, which says nothing about D_crit.
The offsets are integrated out under a flat prior, so a seed's times are only compared with each
other and the result does not depend on how much the offsets vary (restricted likelihood).

Every seed also has a D_crit of its own, log-normal around the common one with standard deviation
tau. Without that a single lucky seed that groks below the common D_crit would be impossible, and
would bound it. Below its D_crit a run never groks. The seeds' D_crit are integrated out, too.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from analyses.statistics.intervals import interval_end, student_drop, student_p
from analyses.statistics.survival import censored_normal

_NODES, _MOST_NODES = 101, 1601  # of the integral over a seed's D_crit
_OFFSETS, _OFFSET_WEIGHTS = np.polynomial.hermite_e.hermegauss(7)  # given the finished runs
_LOG_OFFSET_WEIGHTS = np.log(_OFFSET_WEIGHTS / _OFFSET_WEIGHTS.sum())
_IMPOSSIBLE = -1e6  # log likelihood of a run that groks below its D_crit
# log b, log sigma, log tau: between what no data could tell from zero and from infinity.
_BOUNDS: list[Any] = [(-5.0, 3.0), (math.log(0.01), 3.0), (-7.0, math.log(0.5))]
_NEAR = (0.3, 0.7, 0.9, 0.97)  # where to look first, of the seeds' smallest sizes that grokked
_NO_CRITICAL_SIZE = 1e-3  # of the same: a power law of D for all that the data can say
_RESOLVED = 0.01  # change of the log likelihood with four times as many nodes


@dataclass(frozen=True, kw_only=True)
class DivergenceFit:
    """Where the likelihood is largest, and the 95 % profile interval."""

    value: float
    low: float  # 0: a power law without a critical size is not excluded
    high: float
    p_value: float  # of a likelihood ratio this large if there were no critical size
    exponent: float  # b
    tau: float  # spread of log D_crit over seeds


class _Distances(NamedTuple):
    """x = -log(D - D_crit) of some runs, [deviation, run], and its slope in log D_crit."""

    x: np.ndarray
    slope: np.ndarray
    above: np.ndarray  # whether D > D_crit

    def at(self, runs: np.ndarray) -> "_Distances":
        return _Distances(*(part[:, runs] for part in self))


class TimeLaw:
    """The likelihood of some times, [seed, size].

    Args:
        sizes: [size], numbers of training pairs.
        times: when a run grokked, or the last step of one that did not.
        finished: whether it grokked; a seed without any such run says nothing and is left out.
        exists: whether there is such a run.
    """

    def __init__(
        self, sizes: np.ndarray, times: np.ndarray, finished: np.ndarray, exists: np.ndarray
    ) -> None:
        seeds = finished.any(axis=1)
        times, finished, exists = times[seeds], finished[seeds], exists[seeds]
        censored = exists & ~finished
        # One seed is one unit of information on D_crit.
        self.scale = float(np.median(np.where(finished, sizes, np.inf).min(axis=1)))
        self.sizes = sizes / self.scale
        self.largest = float(self.sizes[finished.any(axis=0)].max())
        self.seed, self.size = np.nonzero(finished)  # of every finished run
        self.late_seed, self.late_size = np.nonzero(censored)  # and of every censored one
        self.count = finished.sum(axis=1)  # [seed], at least 1
        self.of_seed = np.eye(len(times))[self.seed]  # [finished run, seed]: sums over a seed
        self.of_late_seed = np.eye(len(times))[self.late_seed]
        logs, late = np.log(times[finished]), np.log(times[censored])
        means = self._means(logs)
        self.logs = logs - means[self.seed]  # from now on relative to the seed's finished runs
        self.late_logs = late - means[self.late_seed]
        # Given the finished runs, an offset is normal around their mean: its nodes, over sigma.
        self.offsets = _OFFSETS[:, None] / np.sqrt(self.count)[self.late_seed]
        self.set_nodes(_NODES)
        self.constant = -(self.count - 1) / 2 * math.log(2 * math.pi) - np.log(self.count) / 2

    def set_nodes(self, nodes: int) -> None:
        """Integrate over a seed's log D_crit at so many deviations from the common one."""
        self.deviations = np.linspace(-5, 5, nodes)  # in units of tau
        log_density = -(self.deviations**2) / 2
        self.log_weights = log_density - math.log(np.exp(log_density).sum())

    def loss(self, at: np.ndarray) -> tuple[float, np.ndarray]:
        """Minus the log likelihood and its gradient at log b, log sigma, log tau, log D_crit."""
        b, sigma, tau = np.exp(at[:3])
        distances = _distances(self.sizes, np.exp(at[3] + tau * self.deviations)[:, None])
        done = distances.at(self.size)
        mean_x, mean_slope = self._means(done.x), self._means(done.slope)
        x, x_slope = done.x - mean_x[:, self.seed], done.slope - mean_slope[:, self.seed]
        z = (self.logs - b * x) / sigma
        squares = z**2 @ self.of_seed
        free = self.count - 1  # the offset takes one
        log_p = self.constant - free * at[1] - squares / 2  # [deviation, seed]
        by_b, by_sigma, by_x = (z * x) @ self.of_seed, squares - free, (z * x_slope) @ self.of_seed

        late = distances.at(self.late_size)
        ever = np.any(late.above, axis=0)  # a run below every D_crit is sure not to finish
        if ever.any():
            seed, sums, late = self.late_seed[ever], self.of_late_seed[ever], late.at(ever)
            x, x_slope = late.x - mean_x[:, seed], late.slope - mean_slope[:, seed]
            z = (self.late_logs[ever] - b * x) / sigma
            nodes = np.where(late.above, z, -np.inf) - self.offsets[:, None, ever]
            log_larger, hazard = censored_normal(nodes, np.zeros(nodes.shape, bool))
            log_q, share = _log_mean(
                log_larger @ sums, _LOG_OFFSET_WEIGHTS[:, None, None]
            )  # over offsets
            log_p = log_p + log_q
            hazard = (hazard * share[:, :, seed]).sum(axis=0)
            by_b = by_b + (hazard * x) @ sums
            by_sigma = by_sigma + (hazard * np.where(late.above, z, 0.0)) @ sums
            by_x = by_x + (hazard * x_slope) @ sums

        impossible = ~done.above @ self.of_seed  # how many runs are
        log_p = np.where(impossible > 0, _IMPOSSIBLE * impossible, log_p)
        total, share = _log_mean(log_p, self.log_weights[:, None])  # over deviations
        share = np.where(impossible > 0, 0.0, share)
        by_critical = (share * by_x).sum(axis=1) * b / sigma
        gradient = [
            (share * by_b).sum() * b / sigma, (share * by_sigma).sum(),
            (by_critical * tau * self.deviations).sum(), by_critical.sum(),
        ]  # fmt: skip
        return -float(total.sum()), -np.array(gradient)

    def fit(self, at: np.ndarray) -> tuple[np.ndarray, float]:
        """Least loss from a start; where, and how much."""
        from scipy import optimize

        bounds = [*_BOUNDS, (math.log(_NO_CRITICAL_SIZE), math.log(self.largest))]
        best = optimize.minimize(self.loss, at, jac=True, method="L-BFGS-B", bounds=bounds)
        return best.x, float(best.fun)

    def fit_at(self, log_critical: float, at: np.ndarray) -> tuple[np.ndarray, float]:
        """The same with log D_crit held; ``at`` starts the other three."""
        from scipy import optimize

        def held(free: np.ndarray) -> tuple[float, np.ndarray]:
            loss, gradient = self.loss(np.append(free, log_critical))
            return loss, gradient[:3]

        best = optimize.minimize(held, at, jac=True, method="L-BFGS-B", bounds=_BOUNDS)
        return np.append(best.x, log_critical), float(best.fun)

    def critical_size(self) -> DivergenceFit:
        """Maximum likelihood, and where the likelihood has fallen by ``student_drop(seeds)``.

        The p value is the larger of two, so that it is below 5 % only if the interval excludes
        zero: Student's, which allows for few seeds, and that of chi-squared with two degrees of
        freedom, for the two parameters that a power law lacks, D_crit and tau.
        """
        from scipy import stats

        nowhere = math.log(_NO_CRITICAL_SIZE)
        (best, least), without = self._resolved(nowhere)
        drop = student_drop(len(self.count))
        # A wider spread over seeds is needed the farther away D_crit is, so the start has one.
        wide = np.array([best[0], best[1], max(best[2], math.log(0.05))])

        def fall(log_critical: float) -> float:
            return 2 * (self.fit_at(log_critical, wide)[1] - least) - drop

        ratio = max(2 * (min(without, self.fit_at(nowhere, wide)[1]) - least), 0.0)
        p_value = max(student_p(ratio, len(self.count)), float(stats.chi2.sf(ratio, 2)))
        low = 0.0 if ratio < drop else math.exp(interval_end(fall, best[3], -0.02))
        high = math.exp(interval_end(fall, best[3], 0.02))
        value, low, high = (self.scale * size for size in (math.exp(best[3]), low, high))
        return DivergenceFit(
            value=value, low=low, high=high, p_value=p_value, exponent=math.exp(best[0]),
            tau=math.exp(best[2]),
        )  # fmt: skip

    def _resolved(self, nowhere: float) -> tuple[tuple[np.ndarray, float], float]:
        """What :meth:`_search` finds, with nodes so dense that more of them change nothing."""
        while True:
            found = self._search(nowhere)
            nodes, (best, least) = len(self.deviations), found[0]
            if nodes >= _MOST_NODES:
                return found
            self.set_nodes(4 * nodes - 3)
            if abs(self.loss(best)[0] - least) < _RESOLVED:
                self.set_nodes(nodes)
                return found

    def _search(self, nowhere: float) -> tuple[tuple[np.ndarray, float], float]:
        """Least loss, where and how much, and the loss without a critical size."""
        start = np.array([0.0, -1.0, -3.0])
        # Each is followed to its end: with little noise the best one at first may lead nowhere.
        tried = [self.fit(self.fit_at(math.log(near), start)[0]) for near in _NEAR]
        tried.append(self.fit_at(nowhere, start))
        return min(tried, key=lambda found: found[1]), tried[-1][1]

    def _means(self, values: np.ndarray) -> np.ndarray:
        """Of every seed's finished runs, over the last axis."""
        return values @ self.of_seed / self.count


def _distances(sizes: np.ndarray, critical: np.ndarray) -> _Distances:
    beyond = sizes - critical
    above = beyond > 1e-12
    beyond = np.where(above, beyond, 1.0)
    return _Distances(-np.log(beyond), critical / beyond, above)


def _log_mean(log_p: np.ndarray, log_weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logarithm of a weighted mean over the first axis, and the share of each in it."""
    log_p = log_p + log_weights
    top = log_p.max(axis=0)
    share = np.exp(log_p - top)
    total = share.sum(axis=0)
    return top + np.log(total), share / total
