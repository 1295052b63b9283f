"""Several comparisons at once: p values of paired differences, and Holm's correction.

Examples:
    >>> from analyses.statistics.many_comparisons import holm, paired_p
    >>> round(paired_p([0.1, 0.3, 0.2]), 3)
    0.074
    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
"""

from typing import Any

import numpy as np


def paired_p(differences: Any) -> float:
    """The two-sided p value of Student's test that paired differences have mean zero.

    Args:
        differences: one number per pair; NaN is left out.

    Returns:
        NaN for fewer than two pairs; 1 if no pair differs, and 0 if all differ by the same.
    """
    from scipy import stats

    values = np.asarray(differences, dtype=float)
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return float("nan")
    if (values == values[0]).all():
        return float(values[0] == 0)
    return float(stats.ttest_1samp(values, 0.0).pvalue)  # pyright: ignore[reportAttributeAccessIssue]


def holm(p: Any) -> np.ndarray:
    """P values corrected for being the smallest of many, by Holm's step-down rule.

    Below 0.05, a difference is found, and the chance to find any that is not there is at most 5 %.

    Args:
        p: of any shape; NaN is no comparison.

    Returns:
        The corrected values, in the same places.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    p = np.asarray(p, dtype=float)
    places = np.argsort(p, axis=None)[: int((~np.isnan(p)).sum())]  # NaN comes last
    scaled = p.ravel()[places] * np.arange(len(places), 0, -1)
    corrected = np.full(p.size, np.nan)
    corrected[places] = np.minimum(np.maximum.accumulate(scaled), 1)
    return corrected.reshape(p.shape)
