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
    """L2 norm of all weights of each neuron: two input vectors and one output vector. float64.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import neuron_norms, neuron_weights, parameter_norm
        >>> model = gi.closed_form_mlp(p=13, d_mlp=60)
        >>> norms = neuron_norms(*neuron_weights(model))
        >>> norms.shape, round(norms.norm().item() / parameter_norm(model), 6)
        (torch.Size([60]), 1.0)
    """
    return torch.cat([U, V, W], dim=1).double().norm(dim=1)


@probe
def model_neuron_norms(model: object) -> Float[Tensor, " neuron"]:
    """:func:`probes.neuron_norms` of a hooked two-layer network.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import model_neuron_norms
        >>> model = gi.closed_form_mlp(p=13, d_mlp=60)
        >>> before = model_neuron_norms(model)
        >>> model.W_E.data[..., 7] *= 2.0
        >>> (model_neuron_norms(model) > before).nonzero().tolist()
        [[7]]
    """
    instead = "probes.weight_norms(model), the norm of every weight matrix"
    return neuron_norms(*neuron_weights(model, instead=instead))
