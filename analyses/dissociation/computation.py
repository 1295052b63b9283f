"""Selectivity of every unit, score and ablation, for many networks, with random controls."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product

import numpy as np
import xarray as xr
from tqdm.auto import tqdm

from analyses.dissociation.selectivity import ABILITIES, best_cut, selectivity
from analyses.dissociation.verdict import verdict
from analyses.one_run import pruning
from grokinterp import Run
from grokinterp.session import unaffected
from probes import network_on_pairs

KINDS = ("neurons", "heads", "hidden")  # units that carry what a network computes
MODES = ("zero", "mean", "resample")
# The row that is named first: the score that every unit has, and the ablation that keeps what a
# unit adds on average.
SCORE, MODE = "share", "mean"
NUMBERS = ("test", "changed", "S_mem", "S_gen", "control_mem", "control_gen", "cut", "at_cut")


@unaffected()
def compute(
    networks: Mapping[str, Sequence[Run]],
    *,
    scores: Sequence[str] = (SCORE, "ipr", "input_ipr", "output_ipr"),
    modes: Sequence[str] = MODES,
    random_seeds: int = 20,
    progress: bool = False,
) -> xr.Dataset:
    """How selectively memorisation and generalisation are lost, unit by unit.

    Args:
        networks: for each setting, by name, its runs with different seeds.
        scores: definitions of periodicity, of ``probes.unit_periodicity``; those that units do not
            have are left out.
        modes: of the ablation.
        random_seeds: random orders, the control.
        progress: show a progress bar.

    Returns:
        Dataset over ("row", "seed"), NaN where a setting has fewer runs. A row is a setting, one
        kind of its units, a score and a mode (coordinates ``setting``, ``unit``, ``score``,
        ``mode``). ``test`` and ``changed``: accuracies of the whole network. ``S_mem`` and
        ``S_gen``: selectivity of removing the least and the most periodic units first, each at its
        best removal, see :mod:`analyses.dissociation.selectivity`; ``removed_mem`` and
        ``removed_gen``, the share of the units that is gone there. ``control_mem`` and
        ``control_gen`` ("row", "seed", "order"): the same in random orders. ``cut``: the best
        share of units to call memorising; ``at_cut``: S_mem + S_gen there. ``verdict``.
    """
    seeds = max(map(len, networks.values()), default=0)
    rows: list[tuple[str, str, str, str]] = []
    cells: list[list[dict[str, object]]] = []
    every = [(name, run) for name, runs in networks.items() for run in runs]
    bar = tqdm(total=len(every), desc="networks", disable=not progress)
    found: dict[tuple[str, str, str, str], list[dict[str, object]]] = {}
    for setting, runs in networks.items():
        for run in runs:
            for key, cell in _of_network(run, scores, modes, random_seeds):
                found.setdefault((setting, *key), []).append(cell)
            bar.update()
    bar.close()
    rows, cells = list(found), list(found.values())
    return _dataset(rows, cells, seeds, random_seeds)


def _of_network(
    run: Run, scores: Sequence[str], modes: Sequence[str], random_seeds: int
) -> Iterable[tuple[tuple[str, str, str], dict[str, object]]]:
    chance = 1 / run.config.data.p
    units = [name for name, of in network_on_pairs(run.model).units.items() if of.kind in KINDS]
    for unit, mode in product(units, modes):
        orders = [score for score in scores if score in pruning.orders_of(run, unit)]
        data = pruning.compute(
            run, unit=unit, mode=mode, orders=[*orders, "random"], random_seeds=random_seeds
        )
        for score in orders:
            yield (unit, score, mode), _cell(data, score, chance)


def _cell(data: xr.Dataset, score: str, chance: float) -> dict[str, object]:
    """All numbers of one network, unit, score and mode."""
    removed, low = _curve(data, data.order.values == score, "low")[0]
    removed_high, high = _curve(data, data.order.values == score, "high")[0]
    controls = _curve(data, data.order.values == "random", "random")
    s_mem = selectivity(removed, low["changed"], low["test"], chance=chance)
    s_gen = selectivity(removed_high, high["test"], high["changed"], chance=chance)
    control = {
        "control_mem": [selectivity(r, a["changed"], a["test"], chance=chance).score
                        for r, a in controls],
        "control_gen": [selectivity(r, a["test"], a["changed"], chance=chance).score
                        for r, a in controls],
    }  # fmt: skip
    units = int(removed[-1])
    cut, at_cut = best_cut((removed, low), (removed_high, high), chance=chance)
    test, changed = float(low["test"][0]), float(low["changed"][0])
    word = verdict(test=test, changed=changed, s_mem=s_mem.score, s_gen=s_gen.score, **control).word
    return {
        "test": test, "changed": changed, "S_mem": s_mem.score, "S_gen": s_gen.score,
        "removed_mem": s_mem.removed / units, "removed_gen": s_gen.removed / units,
        "cut": cut / units, "at_cut": at_cut, "verdict": word, "units": units, **control,
    }  # fmt: skip


def _curve(
    data: xr.Dataset, chosen: np.ndarray, direction: str
) -> list[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Numbers of removed units and accuracies there, of each chosen curve in a direction."""
    curves = data.isel(curve=chosen & (data.direction.values == direction))
    return [pruning.points(curves.isel(curve=i), ABILITIES) for i in range(curves.sizes["curve"])]


def _dataset(
    rows: Sequence[tuple[str, str, str, str]],
    cells: Sequence[Sequence[Mapping[str, object]]],
    seeds: int,
    orders: int,
) -> xr.Dataset:
    numbers = [
        name for name in cells[0][0] if name not in ("verdict", "control_mem", "control_gen")
    ]
    values = {name: np.full((len(rows), seeds), math.nan) for name in numbers}
    controls = {
        name: np.full((len(rows), seeds, orders), math.nan)
        for name in ("control_mem", "control_gen")
    }
    words = np.full((len(rows), seeds), "", dtype=object)
    for i, of_row in enumerate(cells):
        for j, cell in enumerate(of_row):
            for name in numbers:
                values[name][i, j] = cell[name]
            for name, into in controls.items():
                into[i, j] = cell[name]
            words[i, j] = cell["verdict"]
    named = zip(("setting", "unit", "score", "mode"), zip(*rows, strict=True), strict=True)
    return xr.Dataset(
        {name: (("row", "seed"), value) for name, value in values.items()}
        | {name: (("row", "seed", "order"), value) for name, value in controls.items()}
        | {"verdict": (("row", "seed"), words.astype(str))},
        coords={name: ("row", list(column)) for name, column in named},
    )
