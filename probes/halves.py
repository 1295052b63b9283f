"""A network with one hidden layer in two halves: its neurons on either side of an IPR.

Logits are sums over neurons, so the halves are two smaller networks whose logits add up to the
whole network's: one of memorising neurons and one of generalising neurons (Doshi et al. 2023).
"""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from grokinterp.models.mlp import HookedMLP
from probes._probe import probe
from probes.ipr import model_neuron_ipr
from probes.neuron_weights import check_no_norm, neuron_weights

_INSTEAD = (
    "gi.ablate on the neurons that probes.model_neuron_spectra finds periodic, and on the others; "
    "both work for any network"
)


@probe
def halves(model: object, threshold: float) -> dict[str, HookedMLP]:
    """The networks of the neurons on either side of an IPR, by kind.

    Their logits add up to the whole network's.

    Raises:
        TypeError: no ``HookedMLP``.
        ValueError: more than one hidden layer, a norm, or a side without neurons.
    """
    model = checked_for_halves(model)
    ipr = model_neuron_ipr(model).ipr
    generalising = ipr > threshold  # never of a dead neuron, whose IPR is NaN
    if generalising.all() or not generalising.any():
        raise ValueError(
            f"threshold={threshold} leaves one half without neurons; IPRs of this network lie "
            f"in {ipr[~ipr.isnan()].min():.3f}..{ipr[~ipr.isnan()].max():.3f}"
        )
    return {"memorising": _part(model, ~generalising), "generalising": _part(model, generalising)}


@probe
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


def checked_for_halves(model: object) -> HookedMLP:
    """The network, if it can be split; raise as :func:`halves` does if not."""
    if not isinstance(model, HookedMLP):
        raise TypeError(
            f"the split needs the neurons of a HookedMLP, got {type(model).__name__}; train with "
            f"model=gi.MLPConfig(), or use {_INSTEAD}"
        )
    neuron_weights(model, instead=_INSTEAD)
    check_no_norm(model, "the split into halves", instead=_INSTEAD)
    return model


def _part(model: HookedMLP, keep: Bool[Tensor, " neuron"]) -> HookedMLP:
    """The network of some of the neurons, in evaluation mode."""
    config = replace(model.cfg, d_mlp=int(keep.sum()))
    part = HookedMLP(config, p=model.p)
    weights = {"W_E": model.W_E.detach()[..., keep], "W_U": model.W_U.detach()[keep]}
    part.adopt({name: weight.clone() for name, weight in weights.items()})
    return part
