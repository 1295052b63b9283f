"""How far the estimates of D_crit can be trusted: simulated curves with a known answer."""

from pathlib import Path

import xarray as xr

from analyses.statistics import coverage as simulation
from analyses.statistics.joint_power import power


def coverage(
    *, seeds: int, work: Path, estimator: str, replicates: int, numbers: tuple[int, ...]
) -> xr.Dataset:
    """One estimator's intervals on curves that do, and do not, share its assumptions.

    The dataset of ``analyses.statistics.coverage`` for ``numbers`` of seeds, and over all of its
    data sets together: ``holds``, the share of the intervals that contain D_crit; and over
    "absence" ``finds``, the share of data sets without a D_crit that have an interval.
    """
    del seeds, work
    data = simulation.compute(numbers, replicates=replicates, estimators=(estimator,))
    data = data.squeeze("estimator", drop=True)
    holding, found = (data.detected * data.coverage.fillna(0)).sum(), data.detected.sum()
    finds = data.false.mean(("departure", "seeds"))
    return data.assign(holds=holding / found, finds=finds)


def joint(*, seeds: int, work: Path, factors: tuple[float, ...], replicates: int) -> xr.Dataset:
    """What the joint test says of ten seeds, over the true "factor" between two estimates.

    ``differ`` and ``agree``, shares of the data sets; ``complete``, the share in which all three
    estimates exist; ``holds``, of those, the share in which all intervals contain the truth.
    """
    del work
    found = [power(factor, seeds=seeds, replicates=replicates) for factor in factors]
    names = ("differ", "agree", "complete", "holds")
    shares = {name: ("factor", [getattr(one, name) for one in found]) for name in names}
    return xr.Dataset(shares, coords={"factor": list(factors)})
