"""Weight norms of single neurons."""

import torch
from jaxtyping import Float
from torch import Tensor

from probes.neuron_weights import neuron_weights
from probes.probe import probe


@probe
def neuron_norms(
    U: Float[Tensor, "neuron p"], V: Float[Tensor, "neuron p"], W: Float[Tensor, "neuron p"]
) -> Float[Tensor, " neuron"]:
    """L2 norm of all weights of each neuron: two input vectors and one output vector. float64."""
    return torch.cat([U, V, W], dim=1).double().norm(dim=1)


@probe
def model_neuron_norms(model: object) -> Float[Tensor, " neuron"]:
    """:func:`probes.neuron_norms` of a hooked two-layer network."""
    instead = "probes.weight_norms(model), the norm of every weight matrix"
    return neuron_norms(*neuron_weights(model, instead=instead))
