"""What the whole network and each half say on which labels."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

import grokinterp as gi
from analyses.efficiency.circuits.circuits import KINDS
from analyses.efficiency.circuits.label_scores import label_scores
from analyses.efficiency.halves.parts import cut_of, divisible_network
from analyses.pages.labels import run_labels
from grokinterp.models import HookedModel
from grokinterp.session import unaffected
from probes import model_neuron_ipr, neuron_weights
from probes.halves import halves
from probes.margins import all_logits
from probes.parameter_norms import parameter_norm

PARTS = ("whole", *KINDS)

CUTS = tuple(round(0.05 * i, 2) for i in range(1, 20))  # other thresholds that are tried


@unaffected()
def compute(runs: gi.Run | Sequence[gi.Run], threshold: float | None = None) -> xr.Dataset:
    """What the whole network and each half say on which labels, at one threshold and at others.

    Args:
        runs: one or several in Coexistence, as for :func:`split`.
        threshold: the IPR to cut at; None takes :func:`best_cut` of each network.

    Returns:
        Dataset over ("run", "part"), the latter "whole", "memorising" or "generalising": ``norm``
        (of the parameters) and ``n_neurons``; over ("run", "part", "subset", "label") the numbers
        of :func:`label_scores`; over "run": ``threshold``; over ("run",
        "cut", "kind", "subset", "label"): ``cut_accuracy`` of the two halves at the thresholds
        ``CUTS``, NaN where one would have no neurons. A half may fail to be a circuit here.

    Raises:
        TypeError, ValueError: as :func:`split`.
    """
    runs = [runs] if isinstance(runs, gi.Run) else list(runs)
    if not runs:
        raise ValueError("runs is empty; give at least one run in Coexistence")
    found = [_compute(run, threshold) for run in runs]
    labels = run_labels([run.config for run in runs])
    return xr.concat(found, dim=xr.Variable("run", labels))


def _compute(run: gi.Run, threshold: float | None) -> xr.Dataset:
    network = divisible_network(run)
    cut = cut_of(network, threshold)
    parts = {"whole": network} | halves(network, cut)
    said = [_scores(parts[part], run.dataset) for part in PARTS]
    ipr = model_neuron_ipr(network).ipr.numpy()
    possible = [c for c in CUTS if np.nanmin(ipr) <= c < np.nanmax(ipr)]
    at_cuts = [
        xr.concat([_scores(half, run.dataset).accuracy for half in halves(network, c).values()],
                  dim=xr.Variable("kind", list(KINDS)))
        for c in possible
    ]  # fmt: skip
    return xr.concat(said, dim=xr.Variable("part", list(PARTS))).assign(
        norm=("part", [parameter_norm(parts[part]) for part in PARTS]),
        n_neurons=("part", [len(neuron_weights(parts[part]).U) for part in PARTS]),
        threshold=cut,
        cut_accuracy=xr.concat(at_cuts, dim=xr.Variable("cut", possible)).reindex(cut=CUTS),
    )


def _scores(model: HookedModel, dataset: gi.Dataset) -> xr.Dataset:
    return label_scores(all_logits(model, dataset.tokens), dataset)
