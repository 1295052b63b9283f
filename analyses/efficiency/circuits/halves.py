"""The two halves of one network: its memorising and its generalising neurons, as two networks.

A network in Coexistence has learned the rule and its wrong labels, and its neurons fall into two
groups: periodic ones with high IPR and others with low IPR (Doshi et al. 2023). With one hidden
layer logits are sums over neurons. So cutting the neurons at an IPR gives two smaller networks
whose logits add up to the whole's exactly: a C_mem and a C_gen that one training has made together.

``grokinterp run halves OUT`` trains such networks and takes them apart.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

import grokinterp as gi
from analyses.announcement import Announcement
from analyses.efficiency import settings
from analyses.efficiency.circuits.circuits import KINDS, Circuit
from analyses.efficiency.circuits.label_scores import label_scores
from analyses.efficiency.circuits.margins import all_logits
from analyses.efficiency.circuits.parameters import parameter_norm
from analyses.one_run.phases import EndPoint, Phase, Thresholds, phase_of
from analyses.options import Out, Seeds, Size
from analyses.pages.finding import Finding
from analyses.pages.labels import run_labels
from grokinterp._checks import check_choice, check_number
from grokinterp.models import HookedMLP
from grokinterp.session import unaffected
from grokinterp.sweeps.collect import Named, collect, folder_name
from probes import model_neuron_ipr
from probes.mlp import check_no_norm, neuron_weights

if TYPE_CHECKING:
    import xarray as xr

PARTS = ("whole", *KINDS)
CUTS = tuple(round(0.05 * i, 2) for i in range(1, 20))  # other thresholds that are tried


@unaffected()
def split(run: gi.Run, threshold: float | None = None) -> dict[str, Circuit]:
    """Both halves as circuits, by kind; their logits add up to the network's.

    Args:
        run: of a quadratic (or other) MLP on one-hot pairs with one hidden layer and no norm, in
            Coexistence.
        threshold: neurons with a larger IPR generalise, the others memorise, dead ones among them;
            None takes :func:`best_cut`.

    Raises:
        TypeError: another network.
        ValueError: more than one hidden layer, a norm, another phase than Coexistence (with its
            numbers), or a threshold that leaves a half without neurons.
        CircuitError: a half does not do its part: memorise changed labels, or generalise.
    """
    network = _network(run)
    cut = _cut(network, threshold)
    return {
        kind: Circuit(
            kind=kind,
            source=f"neurons with IPR {'>' if kind == 'generalising' else '<='} {cut:.3f}",
            model=half,
            dataset=run.dataset,
            seen=run.dataset.is_train,
            definition="half",
        )
        for kind, half in halves(network, cut).items()
    }


@unaffected()
def halves(model: HookedMLP, threshold: float) -> dict[str, HookedMLP]:
    """The networks of the neurons on either side of an IPR, by kind.

    Raises:
        ValueError: a side without neurons.
    """
    ipr = model_neuron_ipr(model).ipr
    generalising = ipr > threshold  # never of a dead neuron, whose IPR is NaN
    if generalising.all() or not generalising.any():
        raise ValueError(
            f"threshold={threshold} leaves one half without neurons; IPRs of this network lie "
            f"in {ipr[~ipr.isnan()].min():.3f}..{ipr[~ipr.isnan()].max():.3f}"
        )
    return {"memorising": _part(model, ~generalising), "generalising": _part(model, generalising)}


@unaffected()
def best_cut(ipr: Float[Tensor, " neuron"]) -> float:
    """The threshold that leaves the least variance of IPR within the two groups of neurons.

    Of all ways to cut the sorted values in two (Otsu 1979, doi:10.1109/TSMC.1979.4310076), halfway
    between the neighbours. Dead neurons (NaN) are left out.

    Raises:
        ValueError: all IPRs are alike, or fewer than two.
    """
    rising = ipr[~ipr.isnan()].double().sort().values
    if len(rising) < 2 or rising[0] == rising[-1]:
        raise ValueError(
            f"{len(rising)} living neurons without two different IPRs have no cut; give threshold"
        )
    n, total, below = len(rising), rising.sum(), rising.cumsum(0)[:-1]
    k = torch.arange(1, n)
    between = k * (n - k) * (below / k - (total - below) / (n - k)) ** 2
    at = int(between.argmax())
    return float(rising[at] + rising[at + 1]) / 2


@unaffected()
def compute(runs: gi.Run | Sequence[gi.Run], threshold: float | None = None) -> "xr.Dataset":
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
    import xarray as xr

    runs = [runs] if isinstance(runs, gi.Run) else list(runs)
    if not runs:
        raise ValueError("runs is empty; give at least one run in Coexistence")
    found = [_compute(run, threshold) for run in runs]
    labels = run_labels([run.config for run in runs])
    return xr.concat(found, dim=xr.Variable("run", labels))


def _compute(run: gi.Run, threshold: float | None) -> "xr.Dataset":
    import xarray as xr

    network = _network(run)
    cut = _cut(network, threshold)
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
        n_neurons=("part", [parts[part].cfg.d_mlp for part in PARTS]),
        threshold=cut,
        cut_accuracy=xr.concat(at_cuts, dim=xr.Variable("cut", possible)).reindex(cut=CUTS),
    )


_INSTEAD = (
    "gi.ablate on the neurons that probes.model_neuron_spectra finds periodic, and on the others; "
    "both work for any network"
)


def _network(run: gi.Run) -> HookedMLP:
    """The run's network, if it can be split."""
    model = run.model
    if not isinstance(model, HookedMLP):
        raise TypeError(
            f"the split needs the neurons of a HookedMLP, got {type(model).__name__}; train with "
            f"model=gi.MLPConfig(), or use {_INSTEAD}"
        )
    neuron_weights(model, instead=_INSTEAD)
    check_no_norm(model, "the split into halves", instead=_INSTEAD)
    end = EndPoint.of(run)
    phase = phase_of(end)
    if phase != Phase.COEXISTENCE:
        raise ValueError(
            f"only a network in Coexistence has two halves; this one is in {phase.value!r}: "
            f"validation accuracy {end.test:.3f}, {end.changed:.3f} on {end.n_changed} changed "
            f"labels, and both must be at least {Thresholds().learned}. Train with "
            "data.corruption > 0 and without weight decay"
        )
    return model


def _cut(network: HookedMLP, threshold: float | None) -> float:
    if threshold is not None:
        check_number("threshold", threshold, minimum=0.0, below=1.0)
        return threshold
    return best_cut(model_neuron_ipr(network).ipr)


def _part(model: HookedMLP, keep: Bool[Tensor, " neuron"]) -> HookedMLP:
    """The network of some of the neurons, in evaluation mode."""
    config = replace(model.cfg, d_mlp=int(keep.sum()))
    part = HookedMLP(config, p=model.p)
    weights = {"W_E": model.W_E.detach()[..., keep], "W_U": model.W_U.detach()[keep]}
    part.adopt({name: weight.clone() for name, weight in weights.items()})
    return part


def _scores(model: HookedMLP, dataset: gi.Dataset) -> "xr.Dataset":
    return label_scores(all_logits(model, dataset.tokens), dataset)


def coexistence(size: str) -> gi.RunConfig:
    """Settings in Coexistence: "published" is Doshi et al. 2023, Fig. 1a; others a smaller task."""
    check_choice("size", size, settings.SIZES)
    published = gi.RunConfig(
        data=gi.DataConfig(corruption=0.35), training=gi.TrainConfig(steps=1000)
    )
    return published.replace(_SMALLER.get(size, {}))


# The fewer pairs there are, the larger a share of them the rule needs.
_SMALLER: dict[str, dict[str, object]] = {
    "small": {
        "data.p": 59, "data.train_fraction": 0.7, "data.corruption": 0.25, "model.d_mlp": 350,
        "training.steps": 500,
    },
    "tiny": {
        "data.p": 41, "data.train_fraction": 0.85, "data.corruption": 0.2, "model.d_mlp": 250,
        "training.steps": 200,
    },
}  # fmt: skip


def wanted(size: str, seeds: int) -> list[Named]:
    """The runs of this experiment: networks in Coexistence."""
    return [
        Named(
            folder_name("coexistence", size, "seed", seed),
            settings.seeded(coexistence(size), seed),
        )
        for seed in range(seeds)
    ]


def collect_runs(out: Path, size: str, seeds: int) -> list[gi.Run]:
    """Train what is not in ``out`` yet."""
    return collect(out, wanted(size, seeds))


def experiment(
    out: Out, size: Size = "small", seeds: Seeds = 3
) -> Iterator[Announcement | Finding]:
    """Train networks in Coexistence and take them apart into a C_mem and a C_gen."""
    from analyses.efficiency.circuits.halves_plot import plot_cuts, plot_halves, table

    yield Announcement.of(out, wanted(size, seeds))
    data = compute(collect_runs(out, size, seeds))
    yield Finding(data=data, figures=[plot_halves(data), plot_cuts(data)], rows=table(data))
