"""One word on where memorisation and generalisation sit in a network.

Examples:
    >>> from analyses.dissociation.verdict import verdict
    >>> whole = {"test": 1.0, "changed": 1.0}  # accuracies
    >>> control = {"control_mem": [-0.1, 0.1, 0.0], "control_gen": [0.1, 0.0, 0.2]}
    >>> verdict(**whole, s_mem=0.8, s_gen=0.9, **control).word
    'separable'
    >>> verdict(**whole, s_mem=0.1, s_gen=0.1, **control).word
    'entangled'
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from analyses.dissociation.thresholds import CHANGED_FROM, SELECTIVE_FROM, TEST_FROM

VERDICTS = ("separable", "memorising only", "generalising only", "entangled", "not applicable")


class Verdict(NamedTuple):
    """The word, and the sentence behind it."""

    word: str  # of ``VERDICTS``
    reason: str


def verdict(
    *,
    test: float,
    changed: float,
    s_mem: float,
    s_gen: float,
    control_mem: Sequence[float],
    control_gen: Sequence[float],
) -> Verdict:
    """Whether two abilities dissociate, beyond what random removals do.

    - "separable": S_mem and S_gen are both at least ``SELECTIVE_FROM`` and beyond the control's
      interval.
    - "memorising only": S_mem alone: the least periodic units carry the wrong labels, but the
      others do not carry the rule apart from them.
    - "generalising only": S_gen alone.
    - "entangled": neither.
    - "not applicable": the network does not do both, see ``TEST_FROM`` and ``CHANGED_FROM``.

    Args:
        test: accuracy of the whole network on unseen pairs.
        changed: on wrong training labels.
        s_mem: selectivity of removing the least periodic units.
        s_gen: of removing the most periodic ones.
        control_mem: the same as ``s_mem`` with as many units removed, several times at random.
            They are not taken at their own best removal, because wrong labels that need one unit
            each are lost before a rule that many units share, in any order.
        control_gen: the same as ``s_gen``.
    """
    if not (test >= TEST_FROM and changed >= CHANGED_FROM):
        return Verdict(
            "not applicable",
            f"test accuracy {test:.3f} (wanted {TEST_FROM}), on changed labels {changed:.3f} "
            f"(wanted {CHANGED_FROM}): it does not do both",
        )
    found = []
    told = []
    for name, score, control in (("S_mem", s_mem, control_mem), ("S_gen", s_gen, control_gen)):
        bound = upper_bound(control)
        found.append(score >= SELECTIVE_FROM and score > bound)
        told.append(f"{name} {score:.2f} (wanted {SELECTIVE_FROM}, random orders to {bound:.2f})")
    words = {(True, True): 0, (True, False): 1, (False, True): 2, (False, False): 3}
    return Verdict(VERDICTS[words[found[0], found[1]]], "; ".join(told))


def upper_bound(control: Sequence[float]) -> float:
    """The upper end of the 95 % interval in which another random order would lie.

    Student's prediction interval of one more value from the same normal distribution. With a
    single order there is none: infinite.
    """
    from scipy import stats

    values = np.asarray(control, dtype=float)
    n = len(values)
    if n < 2:
        return np.inf
    return float(
        values.mean() + stats.t.ppf(0.975, n - 1) * values.std(ddof=1) * (1 + 1 / n) ** 0.5
    )
