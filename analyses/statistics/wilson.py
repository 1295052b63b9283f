"""Wilson's interval of a share of examples, and whether it contains a threshold (borderline).

Examples:
    >>> from analyses.statistics.wilson import interval_holds, wilson_interval
    >>> low, high = wilson_interval(0.9, 200)  # 180 of 200 examples are right
    >>> round(float(low), 3), round(float(high), 3)
    (0.851, 0.934)
    >>> bool(interval_holds(0.9, 200, [0.93]))  # borderline
    True
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

Z = 1.959963984540054  # 97.5 % quantile of the standard normal distribution


def wilson_interval(share: Any, n: Any) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the 95 % interval of ``share`` of ``n`` examples; NaN if n is 0 or share is NaN."""
    share, n = np.broadcast_arrays(np.asarray(share, dtype=float), n)
    known = (n > 0) & ~np.isnan(share)
    n = np.where(known, n, 1)
    right = np.rint(np.where(known, share, 0) * n)
    part = right / n
    middle = (2 * right + Z**2) / (2 * (n + Z**2))
    half = Z * np.sqrt(4 * right * (1 - part) + Z**2) / (2 * (n + Z**2))
    low = np.where(right == 0, 0.0, middle - half)  # exact, so that levels 0 and 1 can lie inside
    high = np.where(right == n, 1.0, middle + half)
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


def interval_holds(share: Any, n: Any, levels: Sequence[float]) -> np.ndarray | np.bool_:
    """Whether the interval contains one of the levels; never if it is NaN."""
    low, high = wilson_interval(share, n)
    return np.logical_or.reduce([(low <= level) & (level <= high) for level in levels])
