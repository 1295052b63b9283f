"""A network split in two by a mask over its units, and how far the two halves add up to it.

A half is a network of its own, without the other units. With r the logits without any of the units,

    whole = memorising + generalising - r + remainder

where the remainder is zero if the logits are a sum over the units and of a rest, which is r. Then
r is in both halves, and a network in which nothing but these units writes to the logits has r = 0.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from grokinterp.checks import check_choice
from grokinterp.models.base import HookedModel
from grokinterp.models.units import FREQUENCIES
from grokinterp.short_text import short_repr
from probes.network_on_pairs import network_on_pairs
from probes.own_parameters import own_parameters
from probes.probe import probe
from probes.unit_pruning import Removals

MODES = ("zero", "mean")


@short_repr
@dataclass(frozen=True, eq=False)
class UnitHalves:
    """Two networks, and by how much their logits miss those of the whole network.

    Examples:
        >>> import grokinterp as gi
        >>> import torch
        >>> from probes import unit_halves
        >>> model = gi.closed_form_mlp(p=13, d_mlp=60)
        >>> split = unit_halves(model, torch.arange(60) < 30)
        >>> list(split.parts), bool(split.remainder.abs().max() < 1e-3)
        (['memorising', 'generalising'], True)
    """

    parts: Mapping[str, HookedModel]  # "memorising" and "generalising", in evaluation mode
    rest: Float[Tensor, "pair p"]  # logits without any of the units; in both parts
    remainder: Float[Tensor, "pair p"]  # whole - memorising - generalising + rest; float64
    # Root mean square of the remainder over that of the whole network's logits, over pairs and
    # residues, the mean over the residues of a pair being taken off both.
    share: float


@probe
def unit_halves(
    model: HookedModel,
    generalising: Bool[Tensor, " unit"],
    *,
    unit: str = "neurons.0",
    mode: str = "zero",
) -> UnitHalves:
    """The network without its memorising units, and the one without its generalising units.

    The halves can be copied, moved, saved and scaled like any network. What only the removed units
    used is zero in them, so that norms of their parameters count what a half computes with.

    Args:
        model: any network of ``grokinterp.models`` for pairs.
        generalising: which units stay in the generalising half; the memorising one has all others.
        unit: name of the units, as ``model.list_units()`` lists them; not "frequencies".
        mode: what removed activations become, permanently: "zero", or their "mean" over all pairs
            in the whole network. A half by the mean carries a hook for it, which stays when hooks
            are reset. :func:`probes.least_norm` refuses it, as scaling would not reach the mean.

    Raises:
        ValueError: the network lacks these units; a mask of the wrong length, or with all units in
            one half; frequencies, which ``gi.filtered_embedding`` splits.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import subset_accuracy, unit_halves, unit_periodicity
        >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
        >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
        >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
        >>> generalising = gi.highest(unit_periodicity(run.model).scores["ipr"], 0.5)
        >>> for name, half in unit_halves(run.model, generalising).parts.items():
        ...     print(name, subset_accuracy(half(run.dataset.tokens), run.dataset)["test"] > 0.9)
        memorising False
        generalising True
    """
    check_choice("mode", mode, MODES)
    if unit == FREQUENCIES:
        raise ValueError(
            "unit='frequencies' cannot be left out of a copy of the network; use "
            "gi.filtered_embedding(model, frequencies), with keep=True and with keep=False"
        )
    network = network_on_pairs(model)
    taken_out = Removals(network, unit, mode)
    width = taken_out.units.count
    if generalising.shape != (width,):
        raise ValueError(
            f"generalising is a mask of {len(generalising)} units, but there are {width} {unit}"
        )
    mask = generalising.cpu()
    if mask.all() or not mask.any():
        raise ValueError(
            f"generalising has {int(mask.sum())} of {width} {unit}, which leaves one half without "
            "units; choose a mask between them"
        )
    parts = {"memorising": _with(taken_out, ~mask), "generalising": _with(taken_out, mask)}
    rest, whole = taken_out.logits(torch.ones_like(mask)), network.logits()
    remainder = whole + rest
    for part in parts.values():
        remainder = remainder - network_on_pairs(part).logits()
    share = float(_centred(remainder).norm() / _centred(whole).norm())
    return UnitHalves(parts, rest, remainder, share)


def _with(taken_out: Removals, kept: Bool[Tensor, " unit"]) -> HookedModel:
    """A network that has only some of the units."""
    model = taken_out.network.model
    if taken_out.units.name == "neurons.0" and taken_out.mode == "zero":
        narrow = model.only_neurons(kept)
        if narrow is not None:
            return narrow
    hooks, expected = taken_out.hooks(~kept), taken_out.logits(~kept)
    part = copy.deepcopy(model).eval()
    weights = {name: weight.detach().clone() for name, weight in part.named_parameters()}
    (own,) = own_parameters(taken_out, [~kept])
    with torch.no_grad():
        for name, weight in part.named_parameters():
            weight.masked_fill_(own[name], 0.0)
    # Zero weights alone take the units out, unless a norm or a gate makes something of a zero.
    if taken_out.mode == "zero" and _same(network_on_pairs(part).logits(), expected):
        return part
    for name, hook in hooks:
        part.add_hook(name, hook, is_permanent=True)
    if not _same(network_on_pairs(part).logits(), expected):
        # An architecture in which something else uses these weights: then they all count.
        part.load_state_dict(part.state_dict() | weights)
    return part


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether logits agree up to what float32 rounds."""
    return bool((one - other).abs().max() <= 1e-5 * other.abs().max())


def _centred(logits: Float[Tensor, "pair p"]) -> Float[Tensor, "pair p"]:
    return logits - logits.mean(dim=1, keepdim=True)
