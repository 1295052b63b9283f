"""Whether a run that stands half-way holds both circuits: its neurons taken out by periodicity.

The paper infers from an accuracy between 10 and 90 % that a network mixes a memorising and a
generalising circuit. If so, and if the two sit in different units, then without the least periodic
neurons the network should know the seen pairs no better than unseen ones, and without the most
periodic neurons it should still know the seen pairs alone. As in :mod:`analyses.dissociation`, each
removal is held against random ones.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from analyses.dissociation.computation import MODE, SCORE
from analyses.dissociation.selectivity import lost
from analyses.dissociation.thresholds import SELECTIVE_FROM
from analyses.dissociation.verdict import upper_bound
from analyses.one_run import pruning
from grokinterp import Run
from grokinterp.session import unaffected

UNIT = "neurons.0"  # of the first hidden layer, or of the transformer's block
BETWEEN = (0.15, 0.9)  # test accuracy of a run that stands half-way
SUBSETS = ("train", "test")
DIRECTIONS = ("low", "high")  # the least periodic neurons go first; the most periodic
VERDICTS = ("both", "memorising only", "generalising only", "neither")
_POINTS = np.linspace(0, 1, 51)  # shares of the neurons at which curves are kept


def half_way(runs: Sequence[Run]) -> list[int]:
    """Which runs end with a test accuracy between 15 and 90 %, as places in the list."""
    low, high = BETWEEN
    last = [float(run.history.test_accuracy[-1]) for run in runs]
    return [i for i, accuracy in enumerate(last) if low <= accuracy <= high]


@unaffected()
def compute(runs: Sequence[Run], outcomes: Sequence[str], *, random_seeds: int = 10) -> xr.Dataset:
    """How selectively each run loses what it memorised, and what it generalises.

    What a run has memorised is its train accuracy less its test accuracy; the rule it has is its
    test accuracy above chance. S_mem is the share of the first that is lost, less the share of the
    second, when the least periodic neurons go; S_gen is the reverse, when the most periodic ones
    go. Each is taken at its best removal. Neurons are replaced by their mean over all pairs, and
    ranked by the share of their variance at their best frequency.

    Args:
        runs: at least one, such as those of :func:`half_way`.
        outcomes: how each ended, a ``statistics.curves.Outcome``.
        random_seeds: random orders, at least two.

    Returns:
        Dataset over "run", with coordinates ``fraction``, ``seed`` and ``outcome``:

        * ``S_mem`` and ``S_gen``, -1..1, NaN if there is nothing to lose; ``removed_mem`` and
          ``removed_gen``, the share of the neurons that is gone there; ``control_mem`` and
          ``control_gen`` (run, order), with as many neurons gone at random;
        * ``verdict``: "both" if S_mem and S_gen are at least .5 and beyond the 95 % interval of
          another random order, "memorising only" (S_mem alone), "generalising only" or "neither";
        * ``accuracy`` (run, direction, subset, removed): on "train" and "test" pairs while the
          least periodic neurons go first ("low") or the most periodic ("high");
        * ``left`` (run, direction, subset): the accuracy at the best removal.
    """
    if not runs:
        raise ValueError("runs is empty; give at least one run that stands half-way")
    found = [_of_run(run, random_seeds) for run in runs]
    return xr.concat(found, "run").assign_coords(
        fraction=("run", [run.config.data.train_fraction for run in runs]),
        seed=("run", [run.config.seed for run in runs]),
        outcome=("run", list(map(str, outcomes))),
    )


def _of_run(run: Run, random_seeds: int) -> xr.Dataset:
    data = pruning.compute(
        run, unit=UNIT, mode=MODE, orders=[SCORE, "random"], random_seeds=random_seeds
    ).sel(subset=list(SUBSETS))
    chance = 1 / run.dataset.p
    curves = {
        direction: data.accuracy.isel(curve=data.direction.values == direction)
        for direction in (*DIRECTIONS, "random")
    }
    gaps = {name: _gaps(curve, chance) for name, curve in curves.items()}
    fraction = data.fraction.values
    numbers: dict[str, Any] = {}
    left = []
    verdicts = []
    for name, direction, sign in (("mem", "low", 1), ("gen", "high", -1)):
        gap, control = sign * gaps[direction][0], sign * gaps["random"]
        best = 0 if np.isnan(gap).any() else int(gap.argmax())
        numbers[f"S_{name}"] = float(gap[best])
        numbers[f"removed_{name}"] = float(fraction[best])
        numbers[f"control_{name}"] = ("order", control[:, best])
        left.append(curves[direction].isel(curve=0, removed=best).values)
        beyond = gap[best] > upper_bound(control[:, best].tolist())
        verdicts.append(bool(gap[best] >= SELECTIVE_FROM and beyond))
    words = dict(zip([(True, True), (True, False), (False, True)], VERDICTS, strict=False))
    kept = [[_at(curves[d].isel(curve=0), fraction, s) for s in SUBSETS] for d in DIRECTIONS]
    return xr.Dataset(
        numbers
        | {
            "verdict": words.get((verdicts[0], verdicts[1]), VERDICTS[-1]),
            "accuracy": (("direction", "subset", "removed"), np.array(kept)),
            "left": (("direction", "subset"), np.array(left)),
        },
        coords={"direction": list(DIRECTIONS), "subset": list(SUBSETS), "removed": _POINTS},
    )


def _gaps(accuracy: xr.DataArray, chance: float) -> np.ndarray:
    """Share lost of what is memorised, less share lost of the rule: [curve, removal]."""
    train, test = (accuracy.sel(subset=subset).values for subset in SUBSETS)
    return np.array(
        [
            lost(seen - unseen, chance=0.0) - lost(unseen, chance=chance)
            for seen, unseen in zip(train, test, strict=True)
        ]
    )


def _at(curve: xr.DataArray, fraction: np.ndarray, subset: str) -> np.ndarray:
    return np.interp(_POINTS, fraction, curve.sel(subset=subset).values)


def table(data: xr.Dataset) -> list[Mapping[str, Any]]:
    """One row for each run: what it is, S_mem and S_gen, and what each half answers."""
    rows = []
    for i in range(data.sizes["run"]):
        run = data.isel(run=i)
        row: dict[str, Any] = {"fraction": run.fraction.item(), "seed": run.seed.item()}
        row |= {"ended": run.outcome.item()}
        row |= {name: float(run[name]) for name in ("S_mem", "S_gen")}
        for direction, words in (("low", "generalising half"), ("high", "memorising half")):
            for subset in SUBSETS:
                row[f"{words}, {subset}"] = float(run.left.sel(direction=direction, subset=subset))
        rows.append(row | {"circuits": run.verdict.item()})
    return rows
