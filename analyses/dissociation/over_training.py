"""S_mem and S_gen as progress measures, at every stored step of a training.

For example::

    from analyses.dissociation.over_training import measures

    data = progress_measures.compute(run, measures=measures("neurons.0", "heads.0"))

Examples:
    >>> import grokinterp as gi
    >>> from analyses import progress_measures
    >>> from analyses.dissociation.over_training import measures
    >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
    >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
    >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
    >>> data = progress_measures.compute(run, measures=measures("neurons.0"))
    >>> data.name.values.tolist(), bool((data.measure.sel(step=200) > 0.5).all())
    (['S_mem, neurons.0', 'S_gen, neurons.0'], True)
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from analyses.dissociation.computation import MODE, SCORE
from analyses.dissociation.selectivity import selectivity
from analyses.one_run.pruning_orders import rising
from grokinterp.data import SUBSETS, Dataset
from probes import network_on_pairs, subset_accuracy, unit_periodicity
from probes.unit_pruning import REMOVALS, Pruner

# Below this accuracy there is so little of an ability that the share of it that is lost is noise.
ACCURACY_FROM = 0.2


def measures(
    *units: str, score: str = SCORE, mode: str = MODE, removals: int = REMOVALS
) -> dict[str, Callable[[Any, Dataset], float]]:
    """Selectivities of some units, see :mod:`analyses.dissociation.selectivity`.

    Each is NaN for a network that answers fewer than 20 % of the test pairs, or of the changed
    labels. Where each removal takes a forward pass, a measure takes up to ``removals`` + 3 of them
    at every stored step.

    Args:
        *units: names of units, such as "neurons.0".
        score: definition of periodicity, of :func:`probes.unit_periodicity`.
        mode: of the ablation.
        removals: as for :func:`analyses.one_run.pruning.compute`.

    Returns:
        ``measures`` of :func:`analyses.one_run.progress_measures.compute`: "S_mem, UNIT" and
        "S_gen, UNIT" for each of the units.
    """
    if not units:
        raise ValueError("units are missing; name at least one, such as 'neurons.0'")
    settings = {"score": score, "mode": mode, "removals": removals}
    return {
        f"{name}, {unit}": partial(_measure, unit=unit, is_mem=name == "S_mem", **settings)
        for unit in units
        for name in ("S_mem", "S_gen")
    }


def _measure(
    model: Any, dataset: Dataset, *, unit: str, is_mem: bool, score: str, mode: str, removals: int
) -> float:
    """S_mem if ``is_mem``, otherwise S_gen."""
    network = network_on_pairs(model)
    has = subset_accuracy(network.logits(), dataset)
    if not min(has["test"], has["changed"]) >= ACCURACY_FROM:
        return np.nan
    order = rising(unit_periodicity(network, unit, score).scores[score])
    pruner = Pruner(network, dataset, unit, "mse", mode, removals=removals)
    curve = pruner.curve(order if is_mem else order.flip(0))
    accuracy = dict(zip(SUBSETS, curve.accuracy.numpy().T, strict=True))
    goes, stays = ("changed", "test") if is_mem else ("test", "changed")
    removed, chance = curve.removed.numpy(), 1 / network.p
    return selectivity(removed, accuracy[goes], accuracy[stays], chance=chance).score
