"""Student-t 95 % intervals for few units: of a mean, and of a profile likelihood.

Examples:
    >>> import numpy as np
    >>> from analyses.statistics.intervals import half_width
    >>> values = np.array([1.0, 2.0, 3.0])
    >>> error = values.std(ddof=1) / 3**0.5
    >>> round(float(half_width(error, n=3) / error), 2)  # Student's t, not 1.96
    4.3
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np


def half_width(error: Any, n: Any, outside: float = 0.05) -> np.ndarray:
    """Half the width of the 95 % interval of a mean of ``n`` units; NaN for fewer than two.

    Where all units agree (``error`` 0) the width is 0; ``scipy.stats.t.interval`` gives NaN there.

    Args:
        error: standard error of the mean, of any shape.
        n: number of units, of a shape that broadcasts with ``error``.
        outside: probability that the interval misses; 5 % over the number of intervals for all of
            them to hold at once with 95 % (Bonferroni).
    """
    from scipy import stats

    error, n = np.broadcast_arrays(np.asarray(error, dtype=float), n)
    return np.where(n > 1, stats.t.ppf(1 - outside / 2, np.maximum(n - 1, 1)) * error, np.nan)


def student_drop(n: int) -> float:
    """Largest drop of twice the log likelihood inside a 95 % profile interval from ``n`` units.

    With it the profile interval of the mean of n normal values is exactly Student's. For large n it
    tends to 3.84, the threshold of chi-squared.
    """
    from scipy import stats

    return n * math.log1p(stats.t.ppf(0.975, n - 1) ** 2 / (n - 1))


def student_p(drop: float, n: int) -> float:
    """The p value of a drop of twice the log likelihood; 0.05 at :func:`student_drop`."""
    from scipy import stats

    with np.errstate(over="ignore"):  # an infinite t has p value 0
        t = np.sqrt((n - 1) * np.expm1(drop / n))
    return float(2 * stats.t.sf(t, n - 1))


def interval_end(fall: Callable[[float], float], start: float, step: float) -> float:
    """The root of ``fall``, which is negative at ``start``, in the direction of ``step``.

    Infinite, with the sign of ``step``, if it is more than a million steps away.
    """
    from scipy import optimize

    inside = start
    for _ in range(20):
        outside = inside + step
        if fall(outside) >= 0:
            return optimize.root_scalar(fall, bracket=(inside, outside), xtol=1e-6).root
        inside, step = outside, 2 * step
    return math.copysign(math.inf, step)
