"""Whether three estimates of D_crit agree: one test, with all of them from the same seeds.

A seed's networks enter all three estimators together: the seeds are resampled, and each resample
gives three logarithms of D_crit. So what a seed has in common in all its networks, such as its
split, is not counted as a difference, and the errors may be correlated.

Each pair of estimates has a ratio. The error of its logarithm is the bootstrap's, rescaled by
sqrt(n / (n - 1)) for n seeds, and the quantiles are Student's with n - 1 degrees of freedom, as in
:mod:`critical_size`. All intervals hold at once with 95 % (Bonferroni), and the estimates differ
where one of them excludes 1. Otherwise the farthest end of an interval bounds the largest ratio:
the estimates agree within so many percent, or nothing can be said.

:mod:`joint_power` measures how often the test finds a difference that is there, or is not.

Examples:
    >>> import numpy as np
    >>> from analyses.statistics import joint, joint_power
    >>> truth = {name: 300.0 for name in joint.ESTIMATORS}  # pairs: the same for all three
    >>> experiments = joint_power.simulated(np.random.default_rng(0), 5, truth)
    >>> test = joint.joint_test(experiments, n_boot=20)
    >>> test.verdict, len(test.ratios)
    ('cannot tell', 3)
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float, Int

from analyses.statistics.critical_size import (
    Counts,
    CriticalSize,
    crossing_places,
    divergence_of_time,
    efficiency_crossing,
    midpoint_places,
    ungrokking_midpoint,
)
from analyses.statistics.monotone_curves import draws, monotone
from analyses.statistics.time_divergence import TimeLaw
from grokinterp.checks import check_number
from grokinterp.short_text import short_repr

ESTIMATORS = ("efficiency crossing", "ungrokking midpoint", "divergence of time")
SAME = 1.5  # ratios below this count as agreement
LEVEL = 0.05  # of the test
POWER = 0.8  # wanted, where the number of seeds is given
_MISSING = 0.05  # largest share of resamples in which an estimate may be missing
_MOST_SEEDS = 1000


@short_repr
@dataclass(frozen=True, kw_only=True, eq=False)
class Experiments:
    """Three experiments on the same seeds, in the same order; NaN where a seed has no run.

    Attributes:
        cost_sizes: numbers of training pairs, increasing; so are the others.
        memorising: what memorising costs, [seed, size].
        generalising: what generalising costs.
        reduced_sizes: of the training that goes on with less data.
        accuracy: final test accuracy after it.
        time_sizes: of the training that is timed.
        times: steps to grok; ignored where a run did not finish.
        finished: whether the run grokked within the budget.
        budget: last step; NaN for a run that does not exist.
    """

    cost_sizes: Float[np.ndarray, " cost"] | Int[np.ndarray, " cost"]
    memorising: Float[np.ndarray, "seed cost"]
    generalising: Float[np.ndarray, "seed cost"]
    reduced_sizes: Float[np.ndarray, " reduced"] | Int[np.ndarray, " reduced"]
    accuracy: Float[np.ndarray, "seed reduced"]
    time_sizes: Float[np.ndarray, " timed"] | Int[np.ndarray, " timed"]
    times: Float[np.ndarray, "seed timed"]
    finished: Bool[np.ndarray, "seed timed"]
    budget: Float[np.ndarray, "seed timed"]

    def __post_init__(self) -> None:
        names = ("memorising", "generalising", "accuracy", "times", "finished", "budget")
        rows = {name: len(getattr(self, name)) for name in names}
        if len(set(rows.values())) != 1:
            raise ValueError(
                f"all experiments must have the same seeds, got {rows} rows; give a seed without a "
                "run a row of NaN"
            )

    @property
    def seeds(self) -> int:
        """The number of seeds."""
        return len(self.times)

    def seeds_of(self, name: str) -> int:
        """The number of seeds that tell something about one estimate."""
        tells = {
            ESTIMATORS[0]: ~np.isnan(self.generalising - self.memorising),
            ESTIMATORS[1]: ~np.isnan(self.accuracy),
            ESTIMATORS[2]: self.finished,
        }
        return int(tells[name].any(axis=1).sum())

    def estimates(self, n_boot: int = 1000) -> dict[str, CriticalSize]:
        """The three estimates, each by itself."""
        norms = self.cost_sizes, self.memorising, self.generalising
        found = (
            efficiency_crossing(*norms, n_boot=n_boot),
            ungrokking_midpoint(self.reduced_sizes, self.accuracy, n_boot=n_boot),
            divergence_of_time(self.time_sizes, self.times, self.finished, self.budget),
        )
        return dict(zip(ESTIMATORS, found, strict=True))

    def places(self, name: str, counts: Counts) -> Float[np.ndarray, " resample"]:
        """The logarithm of one estimate for resamples of the seeds; NaN where it has none."""
        if name == ESTIMATORS[0]:
            return crossing_places(self.cost_sizes, self.generalising - self.memorising, counts)
        if name == ESTIMATORS[1]:
            return midpoint_places(self.reduced_sizes, self.accuracy, counts)
        exists = ~np.isnan(self.budget)
        reached = np.where(self.finished, self.times, self.budget)
        law = TimeLaw(np.asarray(self.time_sizes, float), reached, self.finished, exists)
        return law.resampled_places(counts)


@dataclass(frozen=True)
class Ratio:
    """One estimate divided by a smaller one, with an interval that holds for all pairs at once."""

    larger: str
    smaller: str
    value: float
    low: float
    high: float
    p_value: float  # of this pair alone

    @property
    def most(self) -> float:
        """The largest factor between the two, in either direction, inside the interval."""
        return max(self.high, 1 / self.low)


@short_repr
@dataclass(frozen=True, kw_only=True)
class JointTest:
    """What can be said about the equality of the estimates."""

    estimates: Mapping[str, CriticalSize]
    ratios: Sequence[Ratio] = ()  # of each pair of estimates that exist
    p_value: float = math.nan  # of equality: Bonferroni's over the pairs
    seeds_needed: float = math.nan  # to tell, in 80 % of the cases; inf: no number is enough
    missing: Mapping[str, float]  # share of the resamples in which an estimate is missing
    same: float = SAME  # ratios below this count as agreement
    n_boot: int = 0

    @property
    def within(self) -> float:
        """With 95 % confidence no ratio is larger than this; NaN without a ratio."""
        return max((ratio.most for ratio in self.ratios), default=math.nan)

    @property
    def verdict(self) -> str:
        """One of "differ", "agree" and "cannot tell"."""
        if self.p_value <= LEVEL:
            return "differ"
        complete = len(self.ratios) == math.comb(len(self.estimates), 2)
        return "agree" if complete and self.within <= self.same else "cannot tell"

    def __str__(self) -> str:
        without = {
            name: found.reason
            for name, found in self.estimates.items()
            if not any(name in (ratio.larger, ratio.smaller) for ratio in self.ratios)
        }
        absent = "; ".join(f"{name} has no estimate ({why})" for name, why in without.items())
        if self.verdict == "differ":
            most = min(self.ratios, key=lambda ratio: ratio.p_value)
            said = (
                f"They differ by a factor of {most.value:.2f} [{most.low:.2f}, {most.high:.2f}], "
                f"{most.larger} over {most.smaller} (p = {self.p_value:.2g})."
            )
            return f"{said} Besides, {absent}." if absent else said
        if self.verdict == "agree":
            return f"They agree within {100 * (self.within - 1):.0f} % (p = {self.p_value:.2g})."
        if absent:
            rest = f"; the others are within {100 * (self.within - 1):.0f} %" if self.ratios else ""
            return f"Cannot tell: {absent}{rest}."
        needs = (
            "it needs sizes that are closer together, as no number of seeds is enough"
            if math.isinf(self.seeds_needed)
            else f"it needs about {self.seeds_needed:.0f} seeds"
        )
        return f"Cannot tell: they agree within {100 * (self.within - 1):.0f} % only; {needs}."


def joint_test(
    experiments: Experiments, *, same: float = SAME, n_boot: int = 1000, seed: int = 0
) -> JointTest:
    """Test whether the three estimates of D_crit are equal.

    An estimate takes part if it exists by its own test (see :mod:`critical_size`) and in at least
    95 % of the resamples; the others are left out there. Without all three, the estimates may
    differ but cannot be said to agree.

    The number of seeds that it needs is such that, if the true ratios are those found, a pair is
    shown to differ, or to be closer than ``same``, whichever is easier, with a power of 80 %.

    The place of a transition that is steeper than the sizes resolve does not vary over resamples.
    So the midpoint has a further error: a share s of the transition that happens between two sizes
    may lie anywhere between them, which adds (s w)^2 / 12 to the variance, where w is their
    distance in logarithms.

    Args:
        experiments: at least two seeds.
        same: ratio up to which estimates are said to agree, above 1.
        n_boot: number of resamples; each takes a fit of the times.
        seed: of the resampling.
    """
    check_number("same", same, minimum=1.0, strict=True)
    if experiments.seeds < 2:
        raise ValueError("experiments has one seed; a joint test needs at least two")
    estimates = experiments.estimates(n_boot)
    counts = draws(experiments.seeds, n_boot, seed)
    places = {
        name: experiments.places(name, counts)
        for name, found in estimates.items()
        if not math.isnan(found.low)
    }
    missing = {name: float(np.isnan(logs).mean()) for name, logs in places.items()}
    for name, share in missing.items():
        if share > _MISSING:
            del places[name]
            reason = f"it is missing in {share:.0%} of the resamples"
            estimates[name] = CriticalSize(math.nan, n_boot=n_boot, reason=reason)
    resolution = {ESTIMATORS[1]: _resolution(experiments)} if ESTIMATORS[1] in places else {}
    pairs = list(combinations(places, 2))
    ratios, needed = [], []
    for pair in pairs:
        smaller, larger = sorted(pair, key=lambda name: estimates[name].value)
        n = min(map(experiments.seeds_of, pair))
        apart = math.log(estimates[larger].value / estimates[smaller].value)
        spread = float(np.nanstd(places[larger] - places[smaller])) * math.sqrt(n / (n - 1))
        coarse = sum(resolution.get(name, 0.0) ** 2 for name in pair)
        error = math.sqrt(spread**2 + coarse)
        ratios.append(_ratio(larger, smaller, apart, error, n, len(pairs)))
        easier = max(apart, math.log(same) - apart)
        needed.append(_seeds_for(easier, spread * math.sqrt(n), coarse, len(pairs)))
    p_values = [min(1.0, len(pairs) * ratio.p_value) for ratio in ratios]
    return JointTest(
        estimates=estimates,
        ratios=tuple(ratios),
        p_value=min(p_values, default=math.nan),
        seeds_needed=max(needed, default=math.nan),
        missing=missing,
        same=same,
        n_boot=n_boot,
    )


def _ratio(larger: str, smaller: str, apart: float, error: float, n: int, pairs: int) -> Ratio:
    from scipy import stats

    half = float(stats.t.ppf(1 - LEVEL / (2 * pairs), n - 1)) * error
    p_value = 2 * float(stats.t.sf(apart / error, n - 1)) if error else float(apart == 0)
    value, low, high = np.exp([apart, apart - half, apart + half]).tolist()
    return Ratio(larger, smaller, value, low, high, p_value)


def _resolution(experiments: Experiments) -> float:
    """Standard error of the logarithm of the midpoint that comes from the distance of the sizes."""
    known = ~np.isnan(experiments.accuracy).all(axis=0)
    logs = np.log(np.asarray(experiments.reduced_sizes, float)[known])
    mean = monotone(np.nanmean(experiments.accuracy[:, known], axis=0))
    right = int(np.argmax(mean >= (mean[0] + mean[-1]) / 2))
    share = (mean[right] - mean[right - 1]) / (mean[-1] - mean[0])
    return float(share * (logs[right] - logs[right - 1]) / math.sqrt(12))


def _seeds_for(apart: float, spread: float, coarse: float, pairs: int) -> float:
    """Seeds with which a test of one of ``pairs`` ratios finds a difference of logarithms.

    Args:
        apart: the difference.
        spread: standard deviation over seeds.
        coarse: variance that does not fall with more seeds.
        pairs: how many ratios are tested.

    Returns:
        The number with power 80 % by the noncentral t distribution; infinite if there is none.
    """
    from scipy import stats

    n = np.arange(2, _MOST_SEEDS + 1)
    error = np.sqrt(spread**2 / n + coarse)
    if not error.all():
        return 2.0
    bound = stats.t.ppf(1 - LEVEL / (2 * pairs), n - 1)
    enough = stats.nct.sf(bound, n - 1, apart / error) >= POWER
    return float(n[enough.argmax()]) if enough.any() else math.inf
