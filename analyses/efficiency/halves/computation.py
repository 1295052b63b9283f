"""Accuracy, logits and norm of the whole network and of each half."""

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
CUTS = tuple(round(0.05 * i, 2) for i in range(1, 20))  # other thresholds to try


@unaffected()
def compute(runs: gi.Run | Sequence[gi.Run], threshold: float | None = None) -> xr.Dataset:
    """Accuracy, logits and norm of the whole network and of each half, by kind of example.

    Args:
        runs: one or several in Coexistence, as for :func:`split`.
        threshold: the IPR to cut at; None uses :func:`probes.halves.best_cut` for each network.

    Returns:
        Dataset over ("run", "part"), the part being "whole", "memorising" or "generalising":
        ``norm`` of the parameters and ``n_neurons``. Over ("run", "part", "subset", "label"): the
        numbers of :func:`label_scores`. Over "run": ``threshold``. Over ("run", "cut", "kind",
        "subset", "label"): ``cut_accuracy`` of the two halves at the thresholds ``CUTS``, NaN
        where one half would have no neurons. The halves need not qualify as circuits here.

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
    scores = [_scores(parts[part], run.dataset) for part in PARTS]
    ipr = model_neuron_ipr(network).ipr.numpy()
    possible = [c for c in CUTS if np.nanmin(ipr) <= c < np.nanmax(ipr)]
    at_cuts = [
        [_scores(half, run.dataset).accuracy for half in halves(network, c).values()]
        for c in possible
    ]
    by_kind = xr.Variable("kind", list(KINDS))
    accuracy = [xr.concat(both, dim=by_kind) for both in at_cuts]
    return xr.concat(scores, dim=xr.Variable("part", list(PARTS))).assign(
        norm=("part", [parameter_norm(parts[part]) for part in PARTS]),
        n_neurons=("part", [len(neuron_weights(parts[part]).U) for part in PARTS]),
        threshold=cut,
        cut_accuracy=xr.concat(accuracy, dim=xr.Variable("cut", possible)).reindex(cut=CUTS),
    )


def _scores(model: HookedModel, dataset: gi.Dataset) -> xr.Dataset:
    return label_scores(all_logits(model, dataset.tokens), dataset)
