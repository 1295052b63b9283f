"""Norms of single neurons' weights."""

import torch
from jaxtyping import Float
from torch import Tensor

from probes.neuron_weights import neuron_weights
from probes.probe import probe


@probe
def neuron_norms(
    U: Float[Tensor, "neuron p"], V: Float[Tensor, "neuron p"], W: Float[Tensor, "neuron p"]
) -> Float[Tensor, " neuron"]:
    """Joint L2 norm of each neuron's two input vectors and its output vector, float64."""
    return torch.cat([U, V, W], dim=1).double().norm(dim=1)


@probe
def model_neuron_norms(model: object) -> Float[Tensor, " neuron"]:
    """:func:`probes.neuron_norms` of a hooked two-layer network."""
    instead = "probes.weight_norms(model), the norm of every weight matrix"
    return neuron_norms(*neuron_weights(model, instead=instead))
