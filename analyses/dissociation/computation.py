"""Selectivity of every unit, score and ablation, for many networks, with random controls."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

from analyses.dissociation.selectivity import ABILITIES, best_cut, gap, selectivity
from analyses.dissociation.verdict import verdict
from analyses.one_run import pruning
from analyses.runs_given import runs_of
from grokinterp import Run
from grokinterp.bars import each
from grokinterp.checks import check_choice, check_int, check_names
from grokinterp.session import unaffected
from grokinterp.short_text import short
from probes import NetworkOnPairs, network_on_pairs, unit_periodicity
from probes.unit_periodicity import DEFINITIONS

KINDS = ("neurons", "heads", "hidden")  # units that carry what a network computes
MODES = ("zero", "mean", "resample")
# The row of the main result: a score that every unit has, and the ablation that keeps a unit's mean
# contribution.
SCORE, MODE = "share", "mean"
_FEWEST = 3  # random orders

Row = tuple[str, str, str]  # unit, score, mode


@unaffected()
def compute(
    networks: Mapping[str, Sequence[Run]],
    *,
    scores: Sequence[str] = (SCORE, "ipr", "input_ipr", "output_ipr"),
    modes: Sequence[str] = MODES,
    random_seeds: int = 10,
    progress: bool = False,
) -> xr.Dataset:
    """How selectively memorisation and generalisation are lost, unit by unit.

    Args:
        networks: for each setting, by name, its runs with different seeds.
        scores: definitions of periodicity, of ``probes.unit_periodicity``; those that units do not
            have are left out.
        modes: of the ablation.
        random_seeds: random orders, the control; at least three, since two leave the interval in
            which another would lie too wide to be passed.
        progress: show a progress bar.

    Returns:
        Dataset over ("row", "seed"), NaN where a setting has fewer runs. A row is a setting, one
        kind of its units, a score and a mode (coordinates ``setting``, ``unit``, ``score``,
        ``mode``).

        - ``test`` and ``changed``: accuracies of the whole network; ``units``: how many it has.
        - ``S_mem`` and ``S_gen``: selectivity of removing the least and the most periodic units
          first, each at its best removal, see :mod:`analyses.dissociation.selectivity`.
        - ``removed_mem`` and ``removed_gen``: the share of the units that is gone there.
        - ``control_mem`` and ``control_gen``, also over "order": the same with as many units gone
          at random.
        - ``cut``: the best share of units to call memorising; ``at_cut``: S_mem + S_gen there.
        - ``verdict``: a word of :mod:`analyses.dissociation.verdict`.

    Raises:
        TypeError, ValueError: no networks, something else than runs, or scores and modes that do
            not exist or that no units have.
    """
    check_names("scores", scores)
    check_names("modes", modes)
    for score in scores:
        check_choice("scores", score, DEFINITIONS)
    for mode in modes:
        check_choice("modes", mode, MODES)
    if not (scores and modes):
        raise ValueError("scores and modes must not be empty; leave them out for the usual ones")
    check_int("random_seeds", random_seeds, minimum=_FEWEST)
    if not isinstance(networks, Mapping):
        raise TypeError(f"networks must map names to runs, got {short(networks)}")
    found: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    networks = {setting: runs_of(runs) for setting, runs in networks.items()}
    every = [(setting, run) for setting, runs in networks.items() for run in runs]
    if not every:
        raise ValueError("networks is empty; give at least one run, as in {'MLP': [run]}")
    for setting, run in each(every, "networks taken apart", wanted=progress):
        for row, cell in _of_network(run, scores, modes, random_seeds):
            found.setdefault((setting, *row), []).append(cell)
    if not found:
        raise ValueError(
            f"scores={short(scores)}: no units of these networks have such a score; "
            "probes.unit_periodicity(model, unit).scores names those that there are"
        )
    return _dataset(found)


def _of_network(
    run: Run, scores: Sequence[str], modes: Sequence[str], random_seeds: int
) -> Iterator[tuple[Row, dict[str, Any]]]:
    """All rows of one network, without its setting."""
    network = network_on_pairs(run.model)
    for unit, mode in product(units_of(network), modes):
        there = unit_periodicity(network, unit).scores
        orders = [score for score in scores if score in there]
        data = pruning.compute(
            run, unit=unit, mode=mode, orders=[*orders, "random"], random_seeds=random_seeds
        )
        for score in orders:
            yield (unit, score, mode), _cell(data, score, chance=1 / run.dataset.p)


def units_of(network: NetworkOnPairs) -> list[str]:
    """The units to remove: neurons, heads and hidden states, but neither gates nor frequencies."""
    return [name for name, units in network.units.items() if units.kind in KINDS]


def _cell(data: xr.Dataset, score: str, *, chance: float) -> dict[str, Any]:
    """All numbers of one network, unit, score and mode."""
    removed = data.removed.values
    (low,), (high,) = (_curves(data, score, direction) for direction in ("low", "high"))
    random = _curves(data, "random", "random")

    mem = selectivity(removed, low["changed"], low["test"], chance=chance)
    gen = selectivity(removed, high["test"], high["changed"], chance=chance)
    control_mem = [
        float(gap(curve["changed"], curve["test"], chance=chance)[mem.place]) for curve in random
    ]
    control_gen = [
        float(gap(curve["test"], curve["changed"], chance=chance)[gen.place]) for curve in random
    ]
    cut, at_cut = best_cut((removed, low), (removed, high), chance=chance)
    test, changed = float(low["test"][0]), float(low["changed"][0])
    judged = verdict(
        test=test,
        changed=changed,
        s_mem=mem.score,
        s_gen=gen.score,
        control_mem=control_mem,
        control_gen=control_gen,
    )
    units = int(removed[-1])
    return {
        "units": units,
        "test": test,
        "changed": changed,
        "S_mem": mem.score,
        "S_gen": gen.score,
        "removed_mem": mem.removed / units,
        "removed_gen": gen.removed / units,
        "cut": cut / units,
        "at_cut": at_cut,
        "control_mem": control_mem,
        "control_gen": control_gen,
        "verdict": judged.word,
    }


def _curves(data: xr.Dataset, order: str, direction: str) -> list[dict[str, np.ndarray]]:
    """Accuracies of the two abilities after each removal, of the curves of an order."""
    wanted = (data.order.values == order) & (data.direction.values == direction)
    accuracy = data.accuracy.isel(curve=wanted)
    return [{name: curve.sel(subset=name).values for name in ABILITIES} for curve in accuracy]


def _dataset(found: Mapping[tuple[str, ...], Sequence[Mapping[str, Any]]]) -> xr.Dataset:
    """Cells of rows and seeds side by side, NaN (or no word) where a row has fewer seeds."""
    seeds = max(map(len, found.values()))
    first = next(iter(found.values()))[0]
    data = {}
    for name, value in first.items():
        shape, fill = np.shape(value), "" if isinstance(value, str) else math.nan
        cells = [
            [*(cell[name] for cell in row), *[np.full(shape, fill)[()]] * (seeds - len(row))]
            for row in found.values()
        ]
        data[name] = (("row", "seed", "order")[: 2 + len(shape)], np.array(cells))
    names = ("setting", "unit", "score", "mode")
    coords = {name: ("row", [row[i] for row in found]) for i, name in enumerate(names)}
    return xr.Dataset(data, coords=coords)
