"""Means of curves over resampled seeds, made monotone, and where they cross a level."""

import numpy as np

from grokinterp.checks import check_int


def draws(seeds: int, n_boot: int, seed: int) -> np.ndarray:
    """How often each seed occurs in each resample of all of them, [n_boot, seed]."""
    check_int("n_boot", n_boot, minimum=1)
    rng = np.random.default_rng(seed)
    return rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=n_boot)


def resampled_means(curves: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Means [resample, size] of curves [seed, size] that occur ``counts`` [resample, seed] times.

    NaN is left out. A resample without any value at a size gets the mean of all seeds there.
    """
    known = ~np.isnan(curves)
    number = counts @ known
    total = counts @ np.where(known, curves, 0.0)
    return np.where(number > 0, total / np.maximum(number, 1), np.nanmean(curves, axis=0))


def monotone(curves: np.ndarray) -> np.ndarray:
    """The least-squares non-decreasing curves along the last axis, by the minimax formula.

    Value i is max over j <= i of min over k >= i of the mean from j to k.
    """
    n = curves.shape[-1]
    sums = np.concatenate([np.zeros((*curves.shape[:-1], 1)), curves.cumsum(axis=-1)], axis=-1)
    length = np.arange(n + 1) - np.arange(n)[:, None]  # [start, end]
    with np.errstate(divide="ignore", invalid="ignore"):
        means = (sums[..., None, :] - sums[..., :-1, None]) / length
    means = np.where(length > 0, means, np.inf)
    fitted = [means[..., : i + 1, i + 1 :].min(axis=-1).max(axis=-1) for i in range(n)]
    return np.stack(fitted, axis=-1)


def crossing(x: np.ndarray, curves: np.ndarray, levels: np.ndarray | np.floating) -> np.ndarray:
    """Where non-decreasing curves [..., size] cross a level [...], interpolated; NaN if nowhere."""
    levels = np.asarray(levels)
    below = (curves < levels[..., None]).sum(axis=-1)  # number of sizes
    inside = (below > 0) & (below < len(x))
    right = np.where(inside, below, 1)
    y0, y1 = (np.take_along_axis(curves, i[..., None], -1)[..., 0] for i in (right - 1, right))
    rise = np.where(inside, y1 - y0, 1.0)
    place = x[right - 1] + (levels - y0) / rise * (x[right] - x[right - 1])
    return np.where(inside, place, np.nan)
