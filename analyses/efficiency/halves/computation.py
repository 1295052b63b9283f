"""Accuracy, logits and norm of the whole network and of each half."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float

import grokinterp as gi
from analyses.efficiency.circuits.circuits import KINDS
from analyses.efficiency.circuits.label_scores import label_scores
from analyses.efficiency.halves.parts import UNIT, Division
from analyses.efficiency.model_efficiency.computation import NORM_KINDS, costs, ratio
from analyses.pages.labels import run_labels
from grokinterp.models import HookedModel
from grokinterp.session import unaffected
from probes import network_on_pairs
from probes.margins import all_logits
from probes.parameter_norms import parameter_norm
from probes.unit_pruning import Removals

PARTS = ("whole", *KINDS)
# Of which examples' labels a part is asked what their logits cost.
_OWN = {"whole": "train", "memorising": "changed", "generalising": "unchanged"}
CUTS = tuple(round(0.05 * i, 2) for i in range(1, 20))  # other thresholds to try


@unaffected()
def compute(
    runs: gi.Run | Sequence[gi.Run],
    threshold: float | None = None,
    *,
    unit: str = UNIT,
    definition: str | None = None,
    mode: str = "zero",
) -> xr.Dataset:
    """Accuracy, logits and norm of the whole network and of each half, by kind of example.

    Args:
        runs: one or several in Coexistence, as for :func:`split`.
        threshold: the periodicity to cut at; None uses :func:`probes.halves.best_cut` for each
            network.
        unit: name of the units that are divided.
        definition: of their periodicity; None uses the first that they have, "ipr" for a network
            with one hidden layer.
        mode: what removed activations are: "zero", or their "mean" over all pairs.

    Returns:
        Dataset over ("run", "part"), the part being "whole", "memorising" or "generalising":
        ``norm`` of the parameters and ``n_neurons``, the number of units. Over ("run", "part",
        "measure"): ``cost``, the norms of :mod:`analyses.efficiency.model_efficiency`, matched at
        the whole network's median logit or margin on training examples. A memorising half must
        reach it on the changed ones, a generalising half on the others; NaN where the measure does
        not exist, such as the least norm of a transformer or of a half by the mean. Over ("run",
        "part", "subset", "label"): the numbers of :func:`label_scores`. Over "run":
        ``threshold``, and ``remainder``, by how much the halves' logits miss the whole's
        (``share`` of :class:`probes.UnitHalves`). Over ("run", "cut", "kind", "subset", "label"):
        ``cut_accuracy`` of the two halves at the thresholds ``CUTS``, NaN where one half would
        have no units. The halves need not qualify as circuits here. Attributes: ``unit``,
        ``definition`` and ``mode``.

    Raises:
        ValueError: as :func:`split`.
    """
    runs = [runs] if isinstance(runs, gi.Run) else list(runs)
    if not runs:
        raise ValueError("runs is empty; give at least one run in Coexistence")
    divisions = [
        Division.of(run, threshold, unit=unit, definition=definition, mode=mode) for run in runs
    ]
    found = [_compute(*pair) for pair in zip(runs, divisions, strict=True)]
    labels = run_labels([run.config for run in runs])
    named = {"unit": unit, "definition": divisions[0].definition, "mode": mode}
    return xr.concat(found, dim=xr.Variable("run", labels)).assign_attrs(named)


def _compute(run: gi.Run, division: Division) -> xr.Dataset:
    parts = {"whole": division.network, **division.parts}
    scores = [_scores(parts[part], run.dataset) for part in PARTS]
    generalising = int(division.generalising(division.cut).sum())
    width = len(division.score)
    possible = [c for c in CUTS if 0 < int(division.generalising(c).sum()) < width]
    cost = [_costs(parts[part], part, dict(zip(PARTS, scores, strict=True))) for part in PARTS]
    taken_out = Removals(network_on_pairs(division.network), division.unit, division.mode)
    by_kind = xr.Variable("kind", list(KINDS))
    accuracy = []
    for c in possible:
        mask = division.generalising(c)
        both = [label_scores(taken_out.logits(gone), run.dataset) for gone in (mask, ~mask)]
        accuracy.append(xr.concat([half.accuracy for half in both], dim=by_kind))
    return xr.concat(scores, dim=xr.Variable("part", list(PARTS))).assign(
        norm=("part", [parameter_norm(parts[part]) for part in PARTS]),
        n_neurons=("part", [width, width - generalising, generalising]),
        cost=(("part", "measure"), np.stack(cost)),
        measure=list(NORM_KINDS),
        threshold=division.cut,
        remainder=division.halves.share,
        cut_accuracy=xr.concat(accuracy, dim=xr.Variable("cut", possible)).reindex(cut=CUTS),
    )


def _costs(
    model: HookedModel, part: str, scores: Mapping[str, xr.Dataset]
) -> Float[np.ndarray, " measure"]:
    """The price, in parameters, of a part's logits on the examples that it is for."""
    whole, own = (scores[x].sel(subset=_OWN[x], label="given") for x in ("whole", part))
    medians = ("median_logit", "median_margin")
    scale = {name: ratio(float(whole[name]), float(own[name])) for name in medians}
    return costs(model, float(own.median_logit), scale)


def _scores(model: HookedModel, dataset: gi.Dataset) -> xr.Dataset:
    return label_scores(all_logits(model, dataset.tokens), dataset)
