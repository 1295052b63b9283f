"""How far the estimates of D_crit can be trusted: simulated curves with a known answer.

Simulations are stored in ``work`` block by block as they come, below the key of their code, and are
taken from there if the command is killed and begun again.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import xarray as xr

from analyses.ledger.code_key import code_key
from analyses.statistics import coverage as simulation
from analyses.statistics.joint import ESTIMATORS
from analyses.statistics.joint_power import power
from grokinterp.files import replacing, write_netcdf
from grokinterp.sweeps.collect import folder_name

_SHARES = ("differ", "agree", "complete", "holds")
_BLOCK = 20  # data sets that are simulated and stored together, in about a minute


def coverage(
    *, seeds: int, work: Path, estimator: str, replicates: int, numbers: Sequence[int]
) -> xr.Dataset:
    """One estimator's intervals on curves that do, and do not, share its assumptions.

    The dataset of ``analyses.statistics.coverage`` for ``numbers`` of seeds, and of all of these
    together: over "departure" ``holds``, the share of the intervals that contain D_crit, NaN if
    there are none, and over "absence" and "departure" ``finds``, the share of data sets without a
    D_crit that have an interval; ``holds_in_all`` and ``finds_in_all``, of all departures together.
    """
    del seeds
    folder = work / code_key("analyses.statistics.coverage:compute")

    def block(departure: str, number: int) -> xr.Dataset:
        def run() -> xr.Dataset:
            return simulation.compute(
                (number,),
                replicates=replicates,
                estimators=(estimator,),
                departures=(departure,),
            )

        return kept(folder, folder_name(estimator, replicates, departure, number), run)

    cells = [[block(d, n) for n in numbers] for d in simulation.DEPARTURES]
    rows = [xr.concat(row, "seeds") for row in cells]
    data = xr.concat(rows, "departure").squeeze("estimator", drop=True)
    holding = (data.detected * data.coverage.fillna(0)).sum("seeds")
    found = data.detected.sum("seeds")
    finds = data.false.mean("seeds")
    return data.assign(
        holds=holding / found.where(found > 0),
        holds_in_all=holding.sum() / found.sum(),
        finds=finds,
        finds_in_all=finds.mean("departure"),
    )


def joint(*, seeds: int, work: Path, factor: float, replicates: int) -> xr.Dataset:
    """What the joint test says of simulated experiments whose estimates do, and do not, differ.

    Over "shifted": "none", or the estimator whose D_crit is ``factor`` times that of the others.
    ``differ`` and ``agree``, shares of the data sets; ``complete``, the share in which all three
    estimates exist; ``holds``, of those, the share in which all intervals contain the truth.
    """
    folder = work / code_key("analyses.statistics.joint_power:power")
    shifts = {"none": (ESTIMATORS[-1], 1.0)} | {name: (name, factor) for name in ESTIMATORS}

    def block(shifted: str, of: float, seed: int) -> xr.Dataset:
        def run() -> xr.Dataset:
            options = {"shifted": shifted, "seeds": seeds, "seed": seed}
            found = power(of, replicates=_BLOCK, **options)
            return xr.Dataset({name: getattr(found, name) for name in _SHARES})

        return kept(folder, folder_name("joint", shifted, of, seeds, "block", seed), run)

    parts: list[xr.Dataset] = []
    for shifted, of in shifts.values():
        blocks = xr.concat([block(shifted, of, i) for i in range(replicates // _BLOCK)], "block")
        complete = blocks.complete.sum("block")
        holds = (blocks.holds.fillna(0) * blocks.complete).sum("block")
        mean: xr.Dataset = blocks.mean("block")
        parts.append(mean.assign(holds=holds / complete.where(complete > 0)))
    return xr.concat(parts, xr.Variable("shifted", list(shifts)))


def kept(work: Path, name: str, run: Callable[[], xr.Dataset]) -> xr.Dataset:
    """The dataset of this name in a folder; made and stored there if it is missing."""
    path = work / f"{name}.nc"
    if not path.is_file():
        work.mkdir(parents=True, exist_ok=True)
        data = run()
        with replacing(path) as file:
            write_netcdf(data, file)
    with xr.open_dataset(path, engine="h5netcdf") as stored:
        return stored.load()
