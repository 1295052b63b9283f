"""Norms of weights: of whole matrices and of single neurons."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from probes._probe import probe


@probe
def weight_norms(model: nn.Module) -> dict[str, float]:
    """Frobenius norm of every parameter, by its name in ``state_dict``."""
    return {name: float(weight.detach().double().norm()) for name, weight in
            model.named_parameters()}  # fmt: skip


@probe
def neuron_norms(
    U: Float[Tensor, "neuron p"], V: Float[Tensor, "neuron p"], W: Float[Tensor, "neuron p"]
) -> Float[Tensor, " neuron"]:
    """Joint L2 norm of each neuron's two input vectors and its output vector, float64."""
    return torch.cat([U, V, W], dim=1).double().norm(dim=1)
