"""Simulated curves around a known D_crit: costs of two circuits, final accuracies, times to grok.

A simulation draws sizes, a factor of 1.2 apart with a random start, and seeds, each with its own
D_crit, an offset that its whole curve shares, and noise in every run. Curves bend like real ones:
the memorising norm is a constant plus a power of the size, transitions may be steeper than the
sizes resolve, and training ends before the slowest runs grok.
"""

from dataclasses import dataclass

import numpy as np

TRUTH = 1000.0
JITTER = 0.05  # standard deviation of a seed's log D_crit
N_SIZES, _RATIO = 9, 1.2


@dataclass(frozen=True, kw_only=True)
class Departure:
    """How curves depart from what the estimators assume; the defaults do not depart.

    Attributes:
        uneven: noise is this many times larger at the smallest sizes than at the largest, and
            differs between seeds by a log-normal factor of half of its logarithm.
        offset: standard deviation of what a seed adds to its whole curve, in units of the noise of
            one run, in place of the default.
        slopes: standard deviation, over seeds, of the logarithm of the slope of their curves.
        censored: share of the runs without an end: costs and times that are too large to be
            reached, and accuracies that have fallen halfway only.
    """

    uneven: float = 1.0
    offset: float | None = None
    slopes: float = 0.0
    censored: float | None = None

    def noise(self, rng: np.random.Generator, seeds: int, size: float) -> np.ndarray:
        """Normal noise [seed, size] of standard deviation ``size``, typical of it if uneven."""
        by_size = self.uneven ** np.linspace(0.5, -0.5, N_SIZES)
        by_seed = np.exp(0.5 * np.log(self.uneven) * rng.standard_normal((seeds, 1)))
        return size * by_size * by_seed * rng.standard_normal((seeds, N_SIZES))

    def slope(self, rng: np.random.Generator, seeds: int) -> np.ndarray:
        """The factor [seed, 1] of each seed's slope."""
        return np.exp(self.slopes * rng.standard_normal((seeds, 1)))

    def offsets(
        self, rng: np.random.Generator, seeds: int, usual: float, noise: float
    ) -> np.ndarray:
        """What each seed's whole curve is shifted by, [seed, 1]."""
        size = usual if self.offset is None else self.offset * noise
        return size * rng.standard_normal((seeds, 1))


NONE = Departure()
Norms = tuple[np.ndarray, np.ndarray]
Times = tuple[np.ndarray, np.ndarray, np.ndarray]


def sizes_around(rng: np.random.Generator, first: float) -> np.ndarray:
    """Nine sizes, the smallest about ``first`` times the true D_crit."""
    return np.round(TRUTH * first * _RATIO ** (np.arange(N_SIZES) + rng.uniform()))


def critical_sizes(rng: np.random.Generator, seeds: int) -> np.ndarray:
    """Every seed's D_crit, [seed, 1]; log-normal around the truth."""
    return TRUTH * np.exp(JITTER * rng.standard_normal((seeds, 1)))


def growing(sizes: np.ndarray, critical: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """A memorising norm, 1 where a generalising one crosses it."""
    return 0.6 + 0.4 * (sizes / critical) ** (0.8 * slope)


def norms(
    rng: np.random.Generator,
    curve: np.ndarray,
    seeds: int,
    how: Departure = NONE,
    usual: float = 0.03,
) -> Norms:
    """Memorising and generalising norms [seed, size]: ``curve`` and a constant, with noise.

    Each circuit has its own offset per seed, of standard deviation ``usual``.
    """
    memorising, generalising = (
        30 * one * np.exp(how.offsets(rng, seeds, usual, 0.05) + how.noise(rng, seeds, 0.05))
        for one in (curve, 1.0)
    )
    if how.censored is not None:
        large = memorising > np.quantile(memorising, 1 - how.censored)
        memorising = np.where(large, np.nan, memorising)
    return memorising, generalising


def accuracies(
    rng: np.random.Generator,
    logit: np.ndarray,
    seeds: int,
    how: Departure = NONE,
    usual: float = 0.0,
) -> np.ndarray:
    """Final accuracies [seed, size] between chance and one, with noise in their logits."""
    logit = logit + how.noise(rng, seeds, 0.5) + how.offsets(rng, seeds, usual, 0.5)
    final = 0.01 + 0.985 / (1 + np.exp(-logit))
    if how.censored is not None:
        final = np.where(rng.uniform(size=final.shape) < how.censored, (1 + final) / 2, final)
    return final


def transition(
    rng: np.random.Generator, sizes: np.ndarray, critical: np.ndarray, slope: np.ndarray
) -> np.ndarray:
    """Logits that cross zero at the critical sizes; each data set has its own width."""
    width = np.exp(rng.uniform(np.log(0.01), np.log(0.15)))  # in the logarithm of the size
    return slope * np.log(sizes / critical) / width


def times(
    rng: np.random.Generator,
    beyond: np.ndarray,
    seeds: int,
    how: Departure = NONE,
    *,
    budget: float,
    usual: float = 0.15,
) -> Times:
    """Steps to grok [seed, size], whether within the budget, and the budget.

    They are a power of ``beyond``, the distance from D_crit or the size itself; below D_crit, where
    ``beyond`` is negative, a run never groks. With censoring the budget is such that a given share
    of the runs above D_crit is cut off.
    """
    exponent = rng.uniform(0.5, 2) * how.slope(rng, seeds)
    logs = np.log(1000) - exponent * np.log(np.maximum(beyond, 1e-6) / TRUTH)
    steps = np.exp(logs + how.offsets(rng, seeds, usual, 0.2) + how.noise(rng, seeds, 0.2))
    steps, above = np.broadcast_arrays(steps, beyond > 0)
    if how.censored is not None:
        budget = float(np.quantile(steps[above], 1 - how.censored))
    return steps, (steps < budget) & above, np.full(steps.shape, budget)
