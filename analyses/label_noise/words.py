"""Results of several seeds in words, for tables."""

import numpy as np


def counted(names: np.ndarray) -> str:
    """How often each name occurs, "" left out: "2 coexistence, 1 memorization"."""
    found, counts = np.unique(np.ravel(names), return_counts=True)
    return ", ".join(f"{n} {name}" for name, n in zip(found, counts, strict=True) if name)


def interval_in_words(mean: float, low: float, high: float) -> str:
    """A mean with its interval, "0.41 [0.38, 0.44]"; without one if it is NaN."""
    return f"{mean:.2f}" if np.isnan(low) else f"{mean:.2f} [{low:.2f}, {high:.2f}]"
