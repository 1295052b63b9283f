"""The law of grokking times near the critical size, and its likelihood.

``log T = a_seed - b log(D - D_crit) + sigma * normal``. Every seed has its own offset ``a_seed``,
because its runs share their initial weights: a seed may be slow at all sizes, which says nothing
about D_crit. The offsets are integrated out with a flat prior (restricted likelihood). So a seed's
times are only compared with each other, and the result does not depend on the offsets' spread.

Every seed also has its own D_crit, log-normal around the common one with standard deviation tau,
which is integrated out as well. Below its D_crit a run never groks; with a single D_crit, one lucky
seed would bound it.

The exponent b and the noise are the same for all seeds. Where exponents differ between seeds (by
30 % in :mod:`coverage`), a critical size of each seed's own describes that better than one power
law for all, and the test finds a divergence that is not there in about half of the data sets.

Examples:
    >>> import numpy as np
    >>> from analyses.statistics.critical_size import divergence_of_time
    >>> sizes = np.array([320, 360, 420, 500, 640, 800, 1000])
    >>> noise = np.exp(0.1 * np.random.default_rng(0).standard_normal((4, 7)))
    >>> times = 1e5 / (sizes - 300.0) * noise  # of four seeds; they diverge at 300 pairs
    >>> found = divergence_of_time(sizes, times, times < 1e4, budget=1e4)
    >>> bool(found.low < 300 < found.high)
    True
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from analyses.statistics.intervals import interval_end, student_drop, student_p
from analyses.statistics.survival import log_survival

_NODES, _MOST_NODES = 101, 1601  # nodes of the integral over a seed's D_crit
_SPREADS = (0.01, 0.05, 0.1, 0.2)  # of log D_crit over seeds, from which a search starts
_OFFSETS, _OFFSET_WEIGHTS = np.polynomial.hermite_e.hermegauss(7)  # nodes for a seed's offset
_LOG_OFFSET_WEIGHTS = np.log(_OFFSET_WEIGHTS / _OFFSET_WEIGHTS.sum())
_IMPOSSIBLE = -1e6  # log likelihood of a run that groks below its D_crit
# Of log b, log sigma, log tau. Values outside are as good as zero or infinity for any data.
_BOUNDS: list[Any] = [(-5.0, 3.0), (math.log(0.01), 3.0), (-7.0, math.log(0.5))]
_BENT = (-20.0, 20.0)  # bounds of the curvature of a power law
_NEAR = (0.3, 0.7, 0.9, 0.97)  # starts for D_crit, relative to the smallest size that grokked
_NO_CRITICAL_SIZE = 1e-3  # relative to the same; indistinguishable from a power law of D
_RESOLVED = 0.01  # tolerated change of the log likelihood with four times as many nodes


@dataclass(frozen=True, kw_only=True)
class DivergenceFit:
    """The maximum-likelihood D_crit with its 95 % profile interval."""

    value: float
    low: float  # 0: a power law without a critical size is not excluded
    high: float
    p_value: float  # of the likelihood ratio against no critical size
    exponent: float  # b
    tau: float  # spread of log D_crit over seeds


class _Distances(NamedTuple):
    """x = -log(D - D_crit) of runs [deviation, run], and its derivative by log D_crit."""

    x: np.ndarray
    slope: np.ndarray
    above: np.ndarray  # whether D > D_crit

    def at(self, runs: np.ndarray) -> "_Distances":
        return _Distances(*(part[:, runs] for part in self))


class TimeLaw:
    """The likelihood of given times [seed, size].

    Args:
        sizes: [size], numbers of training pairs.
        times: when a run grokked, or its last step if it did not.
        finished: whether it grokked; seeds without any grokked run are left out.
        exists: whether there is a run.
    """

    def __init__(
        self, sizes: np.ndarray, times: np.ndarray, finished: np.ndarray, exists: np.ndarray
    ) -> None:
        self.grokked = seeds = finished.any(axis=1)  # of all seeds given
        times, finished, exists = times[seeds], finished[seeds], exists[seeds]
        censored = exists & ~finished
        # Sizes are relative to the median, over seeds, of the smallest size that grokked.
        self.scale = float(np.median(np.where(finished, sizes, np.inf).min(axis=1)))
        self.sizes = sizes / self.scale
        # The squared logarithm of the size, from the middle of the sizes: what bends a power law.
        logs = np.log(self.sizes)
        self.squares = (logs - (logs[0] + logs[-1]) / 2) ** 2
        self.largest = float(self.sizes[finished.any(axis=0)].max())
        self.seed, self.size = np.nonzero(finished)  # of the finished runs
        self.late_seed, self.late_size = np.nonzero(censored)  # of the censored runs
        self.count = finished.sum(axis=1)  # [seed], at least 1
        self.of_seed = np.eye(len(times))[self.seed]  # [finished run, seed], to sum over a seed
        self.of_late_seed = np.eye(len(times))[self.late_seed]
        logs, late = np.log(times[finished]), np.log(times[censored])
        means = self._means(logs)
        self.logs = logs - means[self.seed]  # relative to the mean of the seed's finished runs
        self.late_logs = late - means[self.late_seed]
        # Given its finished runs, a seed's offset is normal around their mean. In units of sigma.
        self.offsets = _OFFSETS[:, None] / np.sqrt(self.count)[self.late_seed]
        self.set_nodes(_NODES)
        self.weights = np.ones(len(times))  # how often each seed counts
        self.constant = -(self.count - 1) / 2 * math.log(2 * math.pi) - np.log(self.count) / 2

    def set_nodes(self, nodes: int) -> None:
        """Set the number of nodes of the integral over a seed's log D_crit."""
        self.deviations = np.linspace(-5, 5, nodes)  # in units of tau
        log_density = -(self.deviations**2) / 2
        self.log_weights = log_density - math.log(np.exp(log_density).sum())

    def loss(self, at: np.ndarray) -> tuple[float, np.ndarray]:
        """Minus the log likelihood and its gradient at log b, log sigma, log tau, log D_crit.

        A fifth number bends the law, see :meth:`bent`; without it the law is straight.
        """
        b, sigma, tau = np.exp(at[:3])
        bend = at[4] if len(at) > 4 else 0.0
        distances = _distances(self.sizes, np.exp(at[3] + tau * self.deviations)[:, None])
        distances = distances._replace(x=distances.x + bend * self.squares)
        done, bent = distances.at(self.size), self.squares[self.size]
        mean_bent = self._means(bent)
        mean_x, mean_slope = self._means(done.x), self._means(done.slope)
        x, x_slope = done.x - mean_x[:, self.seed], done.slope - mean_slope[:, self.seed]
        z = (self.logs - b * x) / sigma
        squares = z**2 @ self.of_seed
        free = self.count - 1  # one degree of freedom is the offset's
        log_p = self.constant - free * at[1] - squares / 2  # [deviation, seed]
        by_b, by_sigma, by_x = (z * x) @ self.of_seed, squares - free, (z * x_slope) @ self.of_seed
        by_bend = (z * (bent - mean_bent[self.seed])) @ self.of_seed

        late = distances.at(self.late_size)
        ever = np.any(late.above, axis=0)  # below every node a censored run has probability 1
        if ever.any():
            seed, sums, late = self.late_seed[ever], self.of_late_seed[ever], late.at(ever)
            x, x_slope = late.x - mean_x[:, seed], late.slope - mean_slope[:, seed]
            z = (self.late_logs[ever] - b * x) / sigma
            nodes = np.where(late.above, z, -np.inf) - self.offsets[:, None, ever]
            log_larger, hazard = log_survival(nodes)
            log_q, share = _log_mean(
                log_larger @ sums, _LOG_OFFSET_WEIGHTS[:, None, None]
            )  # over offsets
            log_p = log_p + log_q
            hazard = (hazard * share[:, :, seed]).sum(axis=0)
            by_b = by_b + (hazard * x) @ sums
            by_sigma = by_sigma + (hazard * np.where(late.above, z, 0.0)) @ sums
            by_x = by_x + (hazard * x_slope) @ sums
            bent = self.squares[self.late_size[ever]] - mean_bent[seed]
            by_bend = by_bend + (hazard * bent) @ sums

        impossible = ~done.above @ self.of_seed  # number of such runs
        log_p = np.where(impossible > 0, _IMPOSSIBLE * impossible, log_p)
        total, share = _log_mean(log_p, self.log_weights[:, None])  # over deviations
        share = self.weights * np.where(impossible > 0, 0.0, share)
        by_critical = (share * by_x).sum(axis=1) * b / sigma
        by_tau = (by_critical * tau * self.deviations).sum()
        by_log_b, by_log_sigma = (share * by_b).sum() * b / sigma, (share * by_sigma).sum()
        gradient = [by_log_b, by_log_sigma, by_tau, by_critical.sum()]
        gradient += [(share * by_bend).sum() * b / sigma] if len(at) > 4 else []
        return -float(self.weights @ total), -np.array(gradient)

    def fit(self, at: np.ndarray) -> tuple[np.ndarray, float]:
        """Minimise the loss from a start; return the minimum's place and value."""
        from scipy import optimize

        bounds = [*_BOUNDS, (math.log(_NO_CRITICAL_SIZE), math.log(self.largest))]
        best = optimize.minimize(self.loss, at, jac=True, method="L-BFGS-B", bounds=bounds)
        return best.x, float(best.fun)

    def fit_at(self, log_critical: float, at: np.ndarray) -> tuple[np.ndarray, float]:
        """The same at a fixed log D_crit; ``at`` is the start of the other three parameters."""
        from scipy import optimize

        def held(free: np.ndarray) -> tuple[float, np.ndarray]:
            loss, gradient = self.loss(np.append(free, log_critical))
            return loss, gradient[:3]

        best = optimize.minimize(held, at, jac=True, method="L-BFGS-B", bounds=_BOUNDS)
        return np.append(best.x, log_critical), float(best.fun)

    def bent(self) -> float:
        """The least loss of a power law without D_crit that bends.

        Times that fall to a constant, say, are steeper at small sizes, as diverging ones are. So
        ``log T = a_seed - b (log D - c (log D - m)^2) + sigma * normal``, where m is the middle of
        the logarithms of all sizes.
        """
        from scipy import optimize

        nowhere = math.log(_NO_CRITICAL_SIZE)
        bounds = [*_BOUNDS, (nowhere, nowhere), _BENT]
        starts = (np.array([0.0, -1.0, -3.0, nowhere, bend]) for bend in (0.0, 0.5))
        found = (
            optimize.minimize(self.loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
            for start in starts
        )
        return min(float(best.fun) for best in found)

    def critical_size(self) -> DivergenceFit:
        """The maximum-likelihood D_crit with its profile interval, see ``student_drop``.

        The p value is the largest of four, two for each of two laws without a D_crit, a power law
        and one that bends (:meth:`bent`): Student's, which allows for few seeds; and that of
        chi-squared, with a degree of freedom for each parameter that the law lacks, D_crit and tau
        or tau alone. The second law is no special case of the first, so that its likelihood ratio
        must be as large as if it were; how often the test is wrong is measured in
        :mod:`analyses.statistics.coverage`.
        """
        from scipy import stats

        nowhere = math.log(_NO_CRITICAL_SIZE)
        (best, least), without = self._resolved(nowhere)
        drop = student_drop(len(self.count))
        # Far from the best D_crit a larger spread over seeds fits better. With little noise the
        # loss has many minima, so the end that one start gives hangs on rounding.
        starts = [np.array([*best[:2], max(best[2], math.log(tau))]) for tau in _SPREADS]

        def lowest(log_critical: float) -> float:
            return min(self.fit_at(log_critical, start)[1] for start in starts)

        def fall(log_critical: float) -> float:
            return 2 * (lowest(log_critical) - least) - drop

        ratio = max(2 * (min(without, lowest(nowhere)) - least), 0.0)
        of_bent = max(2 * (self.bent() - least), 0.0)
        p_value = max(
            max(student_p(drop, len(self.count)), float(stats.chi2.sf(drop, lacking)))
            for drop, lacking in ((ratio, 2), (of_bent, 1))
        )
        low = 0.0 if ratio < drop else math.exp(interval_end(fall, best[3], -0.02))
        high = math.exp(interval_end(fall, best[3], 0.02))
        value, low, high = (self.scale * size for size in (math.exp(best[3]), low, high))
        exponent, tau = math.exp(best[0]), math.exp(best[2])
        return DivergenceFit(
            value=value, low=low, high=high, p_value=p_value, exponent=exponent, tau=tau
        )

    def resampled_places(self, counts: np.ndarray) -> np.ndarray:
        """The logarithm of D_crit, in training pairs, for resamples of the seeds.

        Args:
            counts: [resample, seed], how often each seed occurs, of all seeds given.

        Returns:
            [resample]; NaN where no critical size is the most likely, or no seed has grokked. Every
            fit starts at the optimum of all seeds, so it finds the optimum near to it.
        """
        found = np.full(len(counts), np.nan)
        (best, _), _ = self._resolved(math.log(_NO_CRITICAL_SIZE))
        for i, weights in enumerate(counts[:, self.grokked]):
            if not weights.any():
                continue
            self.weights = weights.astype(float)
            place = self.fit(best)[0][3]
            if place > math.log(_NO_CRITICAL_SIZE) + 1e-6:
                found[i] = place + math.log(self.scale)
        self.weights = np.ones(len(self.count))
        return found

    def _resolved(self, nowhere: float) -> tuple[tuple[np.ndarray, float], float]:
        """The result of :meth:`_search` with enough nodes that more of them change nothing."""
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
        """The minimum's place and value, and the loss without a critical size."""
        start = np.array([0.0, -1.0, -3.0])
        # Every start is optimised: with little noise the best start may end in a poor optimum.
        tried = [self.fit(self.fit_at(math.log(near), start)[0]) for near in _NEAR]
        tried.append(self.fit_at(nowhere, start))
        return min(tried, key=lambda found: found[1]), tried[-1][1]

    def _means(self, values: np.ndarray) -> np.ndarray:
        """Mean over each seed's finished runs, along the last axis."""
        return values @ self.of_seed / self.count


def _distances(sizes: np.ndarray, critical: np.ndarray) -> _Distances:
    beyond = sizes - critical
    above = beyond > 1e-12
    beyond = np.where(above, beyond, 1.0)
    return _Distances(-np.log(beyond), critical / beyond, above)


def _log_mean(log_p: np.ndarray, log_weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logarithm of the weighted mean over the first axis, and each entry's share of it."""
    log_p = log_p + log_weights
    top = log_p.max(axis=0)
    share = np.exp(log_p - top)
    total = share.sum(axis=0)
    return top + np.log(total), share / total
