"""How often the joint test finds a factor between the estimates, on simulated experiments.

In each data set one of the three experiments has a D_crit of its own, a known factor times that of
the other two; with a factor of 1 every difference that is found is false. The seeds' own sizes and
curves are those of :mod:`simulated_curves`; a seed's deviation from the common D_crit is the same
in all three experiments, as its networks share weights and split.
"""

from dataclasses import dataclass

import numpy as np

from analyses.statistics import simulated_curves as curves
from analyses.statistics.joint import ESTIMATORS, Experiments, JointTest, joint_test
from analyses.statistics.simulated_curves import TRUTH
from grokinterp.bars import progress_bar
from grokinterp.checks import check_choice, check_int, check_number


@dataclass(frozen=True, kw_only=True)
class Power:
    """What the joint test said of many simulated data sets, as shares of them."""

    factor: float
    shifted: str  # the estimator with another D_crit
    seeds: int
    replicates: int
    differ: float  # at factor 1 these are false
    agree: float  # beyond a factor of ``joint.SAME`` these are false
    complete: float  # all three estimates exist
    holds: float  # of the complete ones: all intervals of ratios hold the truth at once

    def row(self) -> dict[str, object]:
        """As a row of a table."""
        return {
            "factor": self.factor,
            "of the": self.shifted,
            "seeds": self.seeds,
            "differ": self.differ,
            "agree": self.agree,
            "all three exist": self.complete,
            "intervals hold": self.holds,
        }


def power(
    factor: float,
    *,
    shifted: str = ESTIMATORS[2],
    seeds: int = 10,
    replicates: int = 100,
    n_boot: int = 40,
    seed: int = 0,
    progress: bool = False,
) -> Power:
    """How often the joint test says what, with a known factor between the estimates.

    Args:
        factor: of the ``shifted`` estimator's D_crit over the others'.
        shifted: one of ``joint.ESTIMATORS``.
        seeds: of each experiment.
        replicates: number of data sets; each takes seconds.
        n_boot: number of resamples for each.
        seed: of the simulation.
        progress: show a bar.
    """
    check_number("factor", factor, minimum=0.0, strict=True)
    check_choice("shifted", shifted, ESTIMATORS)
    check_int("replicates", replicates, minimum=1)
    truth = {name: TRUTH * (factor if name == shifted else 1.0) for name in ESTIMATORS}
    rng = np.random.default_rng([seed, seeds])
    found: list[JointTest] = []
    with progress_bar(replicates, unit="", desc="simulated data sets", wanted=progress) as bar:
        for i in range(replicates):
            found.append(joint_test(simulated(rng, seeds, truth), n_boot=n_boot, seed=i))
            bar.update()
    complete = [one for one in found if len(one.ratios) == 3]
    holds = [
        all(r.low <= truth[r.larger] / truth[r.smaller] <= r.high for r in one.ratios)
        for one in complete
    ]
    return Power(
        factor=factor,
        shifted=shifted,
        seeds=seeds,
        replicates=replicates,
        differ=float(np.mean([one.verdict == "differ" for one in found])),
        agree=float(np.mean([one.verdict == "agree" for one in found])),
        complete=len(complete) / replicates,
        holds=float(np.mean(holds)) if holds else np.nan,
    )


def simulated(rng: np.random.Generator, seeds: int, truth: dict[str, float]) -> Experiments:
    """Three experiments, each around its own true D_crit, on sizes that suit it."""
    deviation = curves.critical_sizes(rng, seeds) / TRUTH
    factors = [truth[name] / TRUTH for name in ESTIMATORS]
    # The same simulation at every truth: sizes and D_crit are multiplied by the factor.
    crossing, midpoint, divergence = (curves.sizes_around(rng, first) for first in (0.4, 0.4, 0.6))
    level = np.ones((seeds, 1))
    memorising, generalising = curves.norms(
        rng, curves.growing(crossing, TRUTH * deviation, level), seeds
    )
    accuracy = curves.accuracies(
        rng, curves.transition(rng, midpoint, TRUTH * deviation, level), seeds
    )
    budget = float(np.exp(rng.uniform(np.log(4e3), np.log(3e4))))
    times, finished, budgets = curves.times(
        rng, divergence - TRUTH * deviation, seeds, budget=budget
    )
    return Experiments(
        cost_sizes=crossing * factors[0],
        memorising=memorising,
        generalising=generalising,
        reduced_sizes=midpoint * factors[1],
        accuracy=accuracy,
        time_sizes=divergence * factors[2],
        times=times,
        finished=finished,
        budget=budgets,
    )
