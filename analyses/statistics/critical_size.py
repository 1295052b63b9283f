"""The critical training-set size D_crit, where memorising and generalising are equally efficient.

Three estimators use different data: the size at which the two efficiency curves cross, the size at
which an ungrokked network's accuracy is halfway down, and the size at which the time to grok
diverges. Sizes are numbers of training pairs. An estimate that the data do not support is NaN, with
a reason.

Each estimator first tests whether there is a critical size at all, so that noise alone gives an
estimate in at most one of 20 data sets: do the curves change places, does accuracy go from one
plateau to the other, do the times diverge? The last fails where seeds differ in the exponent of
their times, see :mod:`time_divergence`.

A seed's curve is one observation, since more sizes do not average out an offset that its runs
share; so intervals resample whole seeds. Bootstrap intervals of few seeds are too narrow, so we
rescale by sqrt(n / (n - 1)) and use Student-t quantiles; for curves that are shifted as a whole the
interval is then exactly Student's. ``grokinterp run coverage OUT`` measures how often the intervals
contain a known truth, and how often there is an estimate without a critical size.

Examples:
    >>> import numpy as np
    >>> from analyses.statistics.critical_size import ungrokking_midpoint
    >>> sizes = np.array([100, 200, 400, 800])  # of the training set
    >>> seeds = [[0.02, 0.1, 0.9, 1.0], [0.03, 0.2, 0.95, 1.0], [0.02, 0.1, 0.85, 0.99]]
    >>> found = ungrokking_midpoint(sizes, np.array(seeds))
    >>> round(found.value), float(found.low), float(found.high)
    (281, 200.0, 400.0)
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from analyses.statistics.intervals import half_width
from analyses.statistics.monotone_curves import crossing, draws, monotone, resampled_means
from analyses.statistics.thresholds import GENERALISED_FROM, NOT_GENERALISED_BELOW
from analyses.statistics.time_divergence import TimeLaw
from grokinterp.short_text import short

Sizes = Float[np.ndarray, " size"] | Int[np.ndarray, " size"]
PerSeed = Float[np.ndarray, "seed size"]
Counts = Int[np.ndarray, "resample seed"]

_MISSING = 0.05  # largest share of resamples without an answer
_FINISHED_SIZES = 3  # fewer cannot distinguish a power law from a divergence
_FINISHED_BEYOND = 4  # grokked runs needed besides the first of each seed, to fit the law
_LEVEL = 0.05  # significance level of the tests for a critical size


@dataclass(frozen=True)
class CriticalSize:
    """An estimate of D_crit with its 95 % interval, or the reason why there is none."""

    value: float  # NaN: not detected
    low: float = math.nan
    high: float = math.nan
    n_boot: int = 0  # resamples behind the interval; 0: no interval, or one from the likelihood
    reason: str = ""  # "not detected: ..." if there is no value, else a caveat
    p_value: float = math.nan  # of the test against no critical size; NaN: not tested

    def __str__(self) -> str:
        if math.isnan(self.value):
            return self.reason
        if math.isnan(self.low):
            return f"{self.value:.4g} ({self.reason})"
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


def efficiency_crossing(
    sizes: Sizes,
    memorising: PerSeed,
    generalising: PerSeed,
    *,
    n_boot: int = 1000,
    seed: int = 0,
) -> CriticalSize:
    """The size at which the two circuits' efficiencies, or the norms they need, are equal.

    Not detected unless the curves change places: the difference must be below zero at one end of
    the sizes and above zero at the other. Each is a one-sided t test over seeds, on the mean
    over the outer quarter of the sizes. The p value is the larger of the two, so curves that only
    meet pass in one of 20 cases, and equal or parallel ones hardly ever.

    The mean difference over seeds is made monotone in the direction of its trend (least squares),
    so that noise cannot make it cross twice, and interpolated in the logarithm of the size.

    Args:
        sizes: increasing.
        memorising: one curve per seed, rising or falling with more data; NaN where unknown.
        generalising: the same, for the same seeds.
        n_boot: number of resamples of the seeds.
        seed: of the resampling.
    """
    memorising, generalising = np.asarray(memorising, float), np.asarray(generalising, float)
    if memorising.shape != generalising.shape:
        raise ValueError(
            "memorising and generalising must have the same seeds and sizes, got shapes "
            f"{memorising.shape} and {generalising.shape}"
        )
    sizes, gap = _known(sizes, generalising - memorising)
    if len(sizes) < 2:
        return CriticalSize(
            math.nan, reason="not detected: fewer than two sizes have both circuits"
        )
    gap, counts = _rising(sizes, gap), draws(len(gap), n_boot, seed)
    where = float(crossing_places(sizes, gap, _once(gap))[0])
    if math.isnan(where):
        side = f"below the smallest size, {sizes[0]:g}"
        if monotone(np.nanmean(gap, axis=0))[-1] < 0:
            side = f"above the largest size, {sizes[-1]:g}"
        return CriticalSize(math.nan, reason=f"not detected: the curves cross, if at all, {side}")
    found = _estimate(where, crossing_places(sizes, gap, counts), len(gap))
    if len(gap) == 1:
        return found
    outer = max(1, len(sizes) // 4)
    p_value = max(_student_p(-gap[:, :outer]), _student_p(gap[:, -outer:]))
    if p_value > _LEVEL:
        return CriticalSize(
            math.nan,
            reason="not detected: the seeds do not show that the curves change places between the "
            f"smallest and the largest sizes (p = {p_value:.2g})",
            p_value=p_value,
        )
    return replace(found, p_value=p_value)


def ungrokking_midpoint(
    sizes: Sizes,
    test_accuracy: PerSeed,
    *,
    low: float = NOT_GENERALISED_BELOW,
    high: float = GENERALISED_FROM,
    n_boot: int = 1000,
    seed: int = 0,
) -> CriticalSize:
    """The size at which the final accuracy of ungrokked networks is halfway between its plateaus.

    The mean over seeds is made monotone (least squares) and interpolated in the logarithm of the
    size. No shape is assumed, because published transitions are not symmetric and the tails would
    bias a logistic fit. A transition may be steeper than the sizes resolve, which resampling cannot
    show, so the interval always contains the two sizes around the halfway point.

    Args:
        sizes: increasing.
        test_accuracy: final accuracy in 0..1, one curve per seed; NaN where unknown.
        low: the lower plateau, the mean at the smallest size, must be below this; otherwise there
            is no estimate.
        high: the upper plateau, the mean at the largest size, must be above this.
        n_boot: number of resamples of the seeds.
        seed: of the resampling.
    """
    if not 0 <= low < high <= 1:
        raise ValueError(f"low and high are accuracies with low < high, got {low} and {high}")
    sizes, accuracy = _known(sizes, np.asarray(test_accuracy, float))
    if len(sizes) < 2:
        return CriticalSize(math.nan, reason="not detected: fewer than two sizes have accuracies")
    mean = monotone(np.nanmean(accuracy, axis=0))
    for end, missed in (("smallest", mean[0] >= low), ("largest", mean[-1] <= high)):
        if missed:
            place = 0 if end == "smallest" else -1
            wanted = f"below {low:g}" if end == "smallest" else f"above {high:g}"
            return CriticalSize(
                math.nan,
                reason=f"not detected: accuracy {mean[place]:.3f} at the {end} size, "
                f"{sizes[place]:g}, is not {wanted}",
            )
    counts = draws(len(accuracy), n_boot, seed)
    where = float(midpoint_places(sizes, accuracy, _once(accuracy))[0])
    found = _estimate(where, midpoint_places(sizes, accuracy, counts), len(accuracy))
    if math.isnan(found.low):
        return found
    right = int(np.searchsorted(np.log(sizes), where))
    cell = sizes[right - 1], sizes[right]
    return replace(found, low=min(found.low, cell[0]), high=max(found.high, cell[1]))


def divergence_of_time(
    sizes: Sizes,
    times: PerSeed,
    finished: Bool[np.ndarray, "seed size"],
    budget: float | PerSeed,
) -> CriticalSize:
    """The size at which the time to grok diverges, by maximum likelihood with censored times.

    The law is that of ``time_divergence``, where every seed has its own time offset. The interval
    is a profile-likelihood interval, with a threshold from Student's t for the number of seeds. Not
    detected if a power law of the size without a D_crit, straight or bent, fits as well by a
    likelihood-ratio test.

    Args:
        sizes: increasing.
        times: steps to grok, one row per seed; ignored where a run did not finish.
        finished: whether the run grokked within the budget.
        budget: last step, one number or one per run; NaN for a run that does not exist.
    """
    times, finished = np.asarray(times, float), np.asarray(finished, bool)
    budget = np.broadcast_to(np.asarray(budget, float), times.shape)
    sizes, exists = _sizes(sizes, times), ~np.isnan(budget)
    if finished.shape != times.shape:
        raise ValueError(
            f"finished has shape {finished.shape} and times {times.shape}; they must be equal"
        )
    bad = finished & ~(exists & (times > 0) & (times <= budget))
    if bad.any() or not (budget[exists] > 0).all():
        raise ValueError(
            "times must be positive and within the budget where finished, got "
            f"{short(times[bad].tolist())} with budgets {short(budget[bad].tolist())}"
        )
    runs, seeds = int(finished.sum()), int(finished.any(axis=1).sum())
    n_sizes, needed = int(finished.any(axis=0).sum()), max(seeds, 2) + _FINISHED_BEYOND
    if n_sizes < _FINISHED_SIZES or runs < needed or seeds < 2:
        return CriticalSize(
            math.nan,
            reason=f"not detected: {runs} runs of {seeds} seeds grokked, at {n_sizes} sizes; "
            f"it takes {needed}, 2 and {_FINISHED_SIZES}",
        )
    reached = np.where(finished, times, budget)
    found = TimeLaw(sizes, reached, finished, exists).critical_size()
    if found.p_value > _LEVEL:
        return CriticalSize(
            math.nan,
            reason="not detected: a power law of the size without a D_crit, straight or bent, "
            f"fits as well (p = {found.p_value:.2g}); if there is one, D_crit < {found.high:.4g}",
            p_value=found.p_value,
        )
    return CriticalSize(found.value, found.low, found.high, p_value=found.p_value)


def crossing_places(sizes: Sizes, gap: PerSeed, counts: Counts) -> Float[np.ndarray, " resample"]:
    """Logarithms of the sizes at which the means of resampled seeds cross zero; NaN: nowhere.

    Args:
        sizes: increasing.
        gap: one circuit's curve minus the other's, one row per seed; NaN where unknown.
        counts: how often each seed occurs in each resample.
    """
    sizes, gap = _known_sizes(sizes, np.asarray(gap, float))
    means = monotone(resampled_means(_rising(sizes, gap), counts))
    return crossing(np.log(sizes), means, np.zeros(len(means)))


def midpoint_places(
    sizes: Sizes, test_accuracy: PerSeed, counts: Counts
) -> Float[np.ndarray, " resample"]:
    """Logarithms of the sizes at which the mean accuracies of resampled seeds are halfway.

    Args:
        sizes: increasing.
        test_accuracy: in 0..1, one row per seed; NaN where unknown.
        counts: how often each seed occurs in each resample.
    """
    sizes, accuracy = _known_sizes(sizes, np.asarray(test_accuracy, float))
    means = monotone(resampled_means(accuracy, counts))
    return crossing(np.log(sizes), means, (means[:, 0] + means[:, -1]) / 2)


def _rising(sizes: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """The curves, with another sign if their mean falls with the size."""
    falls = np.polyfit(np.log(sizes), np.nanmean(gap, axis=0), 1)[0] < 0
    return -gap if falls else gap


def _once(curves: np.ndarray) -> np.ndarray:
    """The counts of one resample that holds each seed once."""
    return np.ones((1, len(curves)), int)


def _estimate(where: float, resampled: np.ndarray, seeds: int) -> CriticalSize:
    """The estimate from the logarithm of the size for all seeds, and for resamples of them."""
    value, n_boot = math.exp(where), len(resampled)
    if seeds == 1:
        return CriticalSize(value, reason="one seed: no interval")
    missing = np.isnan(resampled).mean()
    if missing > _MISSING:
        return CriticalSize(
            math.nan,
            n_boot=n_boot,
            reason="not detected: all seeds together show it, but not "
            f"{missing:.0%} of their resamples",
        )
    half = half_width(np.nanstd(resampled) * math.sqrt(seeds / (seeds - 1)), seeds)
    low, high = np.exp([where - half, where + half]).tolist()
    return CriticalSize(value, low, high, n_boot)


def _student_p(values: np.ndarray) -> float:
    """One-sided p value of the hypothesis that the mean over seeds is at most zero.

    ``values`` are [seed, size]; NaN is left out.
    """
    from scipy import stats

    known = ~np.isnan(values)
    values, count = np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1)
    means = values[count > 0] / count[count > 0]
    if len(means) < 2:
        return 1.0
    with np.errstate(divide="ignore", invalid="ignore"):  # seeds that agree exactly
        t = means.mean() / (means.std(ddof=1) / math.sqrt(len(means)))
    return 1.0 if np.isnan(t) else float(stats.t.sf(t, len(means) - 1))


def _known(sizes: Sizes, curves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sizes and curves without sizes and seeds that are all NaN."""
    sizes, curves = _known_sizes(sizes, curves)
    return sizes, curves[~np.isnan(curves).all(axis=1)]


def _known_sizes(sizes: Sizes, curves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sizes and curves without sizes that are all NaN."""
    sizes, known = _sizes(sizes, curves), ~np.isnan(curves).all(axis=0)
    return sizes[known], curves[:, known]


def _sizes(sizes: Sizes, curves: np.ndarray) -> np.ndarray:
    sizes = np.asarray(sizes, float)
    if curves.ndim != 2 or sizes.shape != curves.shape[1:]:
        raise ValueError(
            f"curves must be [seed, size], got shape {curves.shape} for {len(sizes)} sizes"
        )
    if not (np.diff(sizes, prepend=0.0) > 0).all():
        raise ValueError(f"sizes must be positive and increase, got {short(sizes.tolist())}")
    return sizes
