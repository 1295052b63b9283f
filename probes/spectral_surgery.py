"""Spectral surgery: a network whose neurons keep their own frequency and nothing else."""

import copy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from grokinterp.basis import Basis
from grokinterp.checks import check_int
from grokinterp.models.base import HookedModel
from grokinterp.randomness import generator
from grokinterp.tasks import Operation
from probes.alive import ALIVE
from probes.network_on_pairs import network_on_pairs
from probes.neuron_weights import NeuronWeights, neuron_weights
from probes.probe import probe
from probes.solution_form import rows_in_places, solution_form

_INSTEAD = (
    "gi.filtered_embedding(model, frequencies) or gi.ablate(chosen, unit='frequencies') to keep "
    "some frequencies of a network's embedding alone"
)


@probe
def own_frequency_weights(
    model: Any, operation: Operation | None = None, *, alive_from: float = ALIVE
) -> NeuronWeights:
    """U, V and W with each neuron's own frequency alone (:func:`probes.solution_form`).

    Everything else goes, the constant too; a neuron without a frequency becomes zero. The weights
    of a residue without a place in the task's basis stay as they are. In the network's dtype.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import neuron_ipr, own_frequency_weights
        >>> untrained = gi.HookedMLP(gi.MLPConfig(d_mlp=20), p=13)
        >>> weights = own_frequency_weights(untrained, "addition")
        >>> round(neuron_ipr(*weights).mean, 3)
        1.0
    """
    weights = neuron_weights(model, instead=_INSTEAD)
    basis = network_on_pairs(model).basis(operation)
    own = solution_form(*weights, basis, alive_from=alive_from).frequency
    rows = rows_in_places(*weights, basis)
    modes = torch.fft.rfft(rows, dim=-1)
    keep = torch.arange(modes.shape[-1]) == own[:, None]
    return _in_residues(torch.fft.irfft(modes * keep, n=basis.period, dim=-1), weights, basis)


@probe
def randomly_reduced_weights(
    model: Any,
    reduced: NeuronWeights,
    operation: Operation | None = None,
    *,
    evenly: bool = False,
    seed: int = 0,
) -> NeuronWeights:
    """U, V and W, each vector projected so that they lose as much energy as in ``reduced``.

    The control of :func:`own_frequency_weights`: that is an orthogonal projection of each vector,
    and so is this, but onto a random direction. With c^2 the share of squared norm that stays, a
    vector x becomes c^2 x + c sqrt(1 - c^2) |x| n, n being a random unit vector orthogonal to x.

    Args:
        model: the network with the whole weights.
        reduced: its weights after the removal, as :func:`own_frequency_weights` gives them; none
            larger than before.
        operation: the task; by default the one that the network was built for.
        evenly: True: all vectors of U lose the same share of their energy, and so in V and W.
            False: each vector loses what it loses in ``reduced``. Neurons that are nearly pure then
            stay nearly whole, so this control knows which neurons are periodic.
        seed: of the directions.
    """
    check_int("seed", seed, minimum=0)
    weights = neuron_weights(model, instead=_INSTEAD)
    basis = network_on_pairs(model).basis(operation)
    whole = rows_in_places(*weights, basis)
    size = whole.norm(dim=-1, keepdim=True)
    left = rows_in_places(*reduced, basis).norm(dim=-1, keepdim=True)
    if evenly:
        total = (left.square().sum(dim=1, keepdim=True), size.square().sum(dim=1, keepdim=True))
        cos = (total[0] / total[1]).sqrt().nan_to_num(0.0).clamp(max=1.0)
    else:
        cos = (left / size).nan_to_num(0.0).clamp(max=1.0)
    unit = (whole / size).nan_to_num(0.0)
    drawn = torch.randn(
        whole.shape,
        generator=generator(seed, "spectral surgery"),
        dtype=torch.float64,
        device="cpu",
    )
    across = drawn - (drawn * unit).sum(dim=-1, keepdim=True) * unit
    across /= across.norm(dim=-1, keepdim=True)
    rows = size * cos * (cos * unit + (1 - cos.square()).sqrt() * across)
    return _in_residues(rows, weights, basis)


@probe
def with_neuron_weights(model: HookedModel, weights: NeuronWeights) -> HookedModel:
    """A copy of a network with one hidden layer that has other weights U, V and W.

    Args:
        model: any network that :func:`probes.neuron_weights` accepts. Only read.
        weights: the new U, V and W, each [neuron, p].

    Raises:
        ValueError: weights of other shapes.
    """
    changed = copy.deepcopy(model)
    own = neuron_weights(changed, instead=_INSTEAD)  # the copy's weights themselves
    shapes = [list(new.shape) for new in weights]
    if shapes != [list(old.shape) for old in own]:
        raise ValueError(
            f"weights must be U, V and W, each {list(own.U.shape)}, got {shapes}; "
            "take them from probes.neuron_weights"
        )
    with torch.no_grad():
        for old, new in zip(own, weights, strict=True):
            old.copy_(new)
    return changed


def _in_residues(
    rows: Float[Tensor, "part neuron place"],
    weights: NeuronWeights,
    basis: Basis,
) -> NeuronWeights:
    """Weights by residue again; a residue without a place keeps its own."""
    changed = []
    for new, old, order in zip(
        rows, weights, (basis.order, basis.order_b, basis.order), strict=True
    ):
        whole = old.detach().double().cpu().clone()
        whole[:, order] = new
        changed.append(whole.to(old))
    return NeuronWeights(*changed)
