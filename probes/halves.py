"""Splitting a network with one hidden layer by IPR into memorising and generalising neurons.

Logits are sums over neurons, so the two halves are smaller networks whose logits add up to those
of the whole network. Source: Doshi et al. 2023, arXiv:2310.13061.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from grokinterp.models.base import HookedModel
from grokinterp.session import unaffected
from probes.ipr import model_neuron_ipr
from probes.neuron_weights import check_no_norm, neuron_weights
from probes.probe import probe

_INSTEAD = (
    "probes.unit_halves(model, generalising, unit=...), for any network, with a mask such as "
    "probes.unit_periodicity's scores above a threshold"
)


@probe
def halves(model: HookedModel, threshold: float) -> dict[str, HookedModel]:
    """The networks "memorising" and "generalising", of neurons with low and with high IPR.

    Their logits add up to those of the whole network.

    Args:
        model: a network with one hidden layer and without norms, such as a ``HookedMLP``; its
            class must implement ``HookedModel.only_neurons``.
        threshold: neurons with a larger IPR generalise; all others, dead ones included, memorise.

    Raises:
        TypeError: the network's class does not implement ``only_neurons``.
        ValueError: more than one hidden layer, a norm, or a half without neurons.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import halves, subset_accuracy
        >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
        >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
        >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
        >>> for name, half in halves(run.model, threshold=0.6).items():
        ...     print(name, subset_accuracy(half(run.dataset.tokens), run.dataset)["test"] > 0.9)
        memorising False
        generalising True
    """
    weights = neuron_weights(model, instead=_INSTEAD)
    check_no_norm(model, "the split into halves", instead=_INSTEAD)
    _part(model, torch.ones(len(weights.U), dtype=torch.bool))
    generalising = above(model_neuron_ipr(model).ipr, threshold, "neurons", "IPR")
    return {
        "memorising": _part(model, ~generalising),
        "generalising": _part(model, generalising),
    }


@unaffected()
def above(
    score: Float[Tensor, " unit"], threshold: float, words: str, name: str
) -> Bool[Tensor, " unit"]:
    """Which units have a score above a threshold; never a dead one, whose score is NaN.

    Args:
        score: one number per unit.
        threshold: the boundary.
        words: what messages call the units.
        name: what they call the score.

    Raises:
        ValueError: all units are on one side.
    """
    living = score[~score.isnan()]
    if not len(living):
        raise ValueError(f"all {words} are dead, so that none has a {name} to split them by")
    chosen = score > threshold
    if chosen.all() or not chosen.any():
        raise ValueError(
            f"threshold={threshold} leaves one half without {words}; {name} of this network lies "
            f"in {living.min():.3f}..{living.max():.3f}"
        )
    return chosen


@unaffected()
def best_cut(ipr: Float[Tensor, " neuron"]) -> float:
    """The IPR threshold with the least variance within the two groups of neurons (Otsu's method).

    The threshold lies halfway between two neighbouring values. Dead neurons (NaN) are left out.

    Raises:
        ValueError: there are fewer than two different IPRs.

    Source: Otsu 1979, doi:10.1109/TSMC.1979.4310076.
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


def _part(model: HookedModel, keep: Bool[Tensor, " neuron"]) -> HookedModel:
    part = model.only_neurons(keep)
    if part is None:
        raise TypeError(
            f"the split needs the neurons of a HookedMLP, got {type(model).__name__}; train with "
            f"model=gi.MLPConfig(), or use {_INSTEAD}"
        )
    return part
