"""A network's memorising and generalising neurons as two networks."""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

import grokinterp as gi
from analyses.efficiency.circuits.circuits import Circuit
from analyses.one_run.phases import EndPoint, Phase, Thresholds, phase_of
from grokinterp._checks import check_number
from grokinterp.models import HookedMLP
from grokinterp.session import unaffected
from probes import model_neuron_ipr
from probes.mlp import check_no_norm, neuron_weights


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
    network = divisible_network(run)
    cut = cut_of(network, threshold)
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


_INSTEAD = (
    "gi.ablate on the neurons that probes.model_neuron_spectra finds periodic, and on the others; "
    "both work for any network"
)


def divisible_network(run: gi.Run) -> HookedMLP:
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


def cut_of(network: HookedMLP, threshold: float | None) -> float:
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
