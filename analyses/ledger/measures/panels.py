"""Single panels of Fig. 4: what each change adds to full-batch Adam, on the same splits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from analyses.efficiency import settings
from analyses.efficiency.data_efficiency import grids
from analyses.statistics.intervals import half_width
from analyses.statistics.many_comparisons import holm, paired_p
from grokinterp.sweeps.collect import Named, collect, folder_name

_LEVEL, _POWER = 0.05, 0.8


def panels(
    *,
    seeds: int,
    work: Path,
    size: str,
    factors: Sequence[str],
    rate: str,
    fractions: Sequence[float],
) -> xr.Dataset:
    """Final validation accuracy with some of the changes of Fig. 4, and what each adds.

    Over "factor", "fraction" and "seed": ``accuracy``. If full-batch Adam is among the factors,
    also ``gain`` (factor, seed): the mean over fractions, less that of Adam with the same seed;
    over "factor" its ``gain_mean``, with ``gain_low`` and ``gain_high``, 95 % intervals that hold
    at once for all factors (Bonferroni), and ``told``: 1 if a gain is positive and its p value
    below 5 % after Holm's correction for the other factors, -1 if it is negative, NaN if neither
    can be told.

    Args:
        seeds: how many, each with its own split and weights.
        work: a folder.
        size: of the grid, see :mod:`analyses.efficiency.data_efficiency.grids`.
        factors: of ``grids.FACTORS``.
        rate: of ``grids.RATES``.
        fractions: of all pairs.
    """
    grid = grids.get(size)
    base = grid.base.replace({"training.lr": grid.rates[rate]})
    shape = (len(factors), len(fractions), seeds)
    named = [
        Named(
            folder_name("panel", size, factor, rate, fraction, "seed", seed),
            settings.seeded(base, seed).replace(
                {"data.train_fraction": fraction} | grid.changes(factor)
            ),
        )
        for factor in factors
        for fraction in fractions
        for seed in range(seeds)
    ]
    ends = [float(run.history.test_accuracy[-1]) for run in collect(work, named)]
    data = xr.Dataset(
        {"accuracy": (("factor", "fraction", "seed"), np.reshape(ends, shape))},
        coords={"factor": list(factors), "fraction": list(fractions), "seed": range(seeds)},
    )
    return data.assign(gains(data.accuracy)) if grids.BASELINE in factors else data


def gains(accuracy: xr.DataArray) -> dict[str, xr.DataArray]:
    """The gains of :func:`panels` from accuracies over "factor", "fraction" and "seed"."""
    overall = accuracy.mean("fraction", skipna=False)
    plain = overall.sel(factor=grids.BASELINE, drop=True)
    others = overall.factor != grids.BASELINE
    gain = (overall - plain).where(others)
    count, mean = gain.count("seed"), gain.mean("seed")
    error = gain.std("seed", ddof=1) / count**0.5
    half = error.copy(data=half_width(error, count, _LEVEL / int(others.sum())))
    p = xr.apply_ufunc(paired_p, gain, input_core_dims=[["seed"]], vectorize=True)
    told = xr.where(mean > 0, 1.0, -1.0).where(p.copy(data=holm(p)) < _LEVEL)
    ends = {"gain_mean": mean, "gain_low": mean - half, "gain_high": mean + half}
    return {"gain": gain, **ends, "told": told}


def smallest_gain_found(*, seeds: int, work: Path, comparisons: int) -> xr.Dataset:
    """``gain``: how large a gain must be to be found with a power of 80 %, in closed form.

    In units of the standard deviation over seeds of the paired difference, by the noncentral t
    distribution, for the first of ``comparisons`` in Holm's order: it must pass 5 % divided by
    their number.
    """
    del work
    return xr.Dataset({"gain": smallest_gain(seeds, comparisons)})


def smallest_gain(seeds: int, comparisons: int) -> float:
    """The number of :func:`smallest_gain_found`."""
    from scipy import optimize, stats

    bound = stats.t.ppf(1 - _LEVEL / (2 * comparisons), seeds - 1)

    def short(gain: float) -> float:
        return _POWER - float(stats.nct.sf(bound, seeds - 1, gain * seeds**0.5))

    found: Any = optimize.brentq(short, 0.01, 100.0)
    return float(found)
