"""An MLP as plain matrices, with its norms multiplied into them."""

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from grokinterp.models.hidden_layers import HiddenLayer
from grokinterp.models.mlp import HookedMLP
from grokinterp.models.norms import BatchNorm
from grokinterp.session import unaffected
from grokinterp.short_text import short_repr


@short_repr
@dataclass(frozen=True)
class Affine:
    """What a norm does to each neuron: x * gain + offset."""

    gain: Tensor
    offset: Tensor


@unaffected()
def plain_weights(model: HookedMLP) -> dict[str, np.ndarray]:
    """Weights with which the network is activation and matrix in turn; float32.

    ``W_E`` [2, p, width]; for each hidden layer i after the first ``W_in{i}`` [width, width] and
    ``b_in{i}`` [width]; ``W_U`` [width, p] and ``b_U`` [p]. A batch norm is multiplied into the
    matrix behind it, so activations are those of ``hook_post``, before it.

    Raises:
        ValueError: a layer norm, which divides by a number that depends on all neurons.
    """
    layers = [layer for layer in model.layers if isinstance(layer, HiddenLayer)]
    found, after = {"W_E": model.W_E.detach()}, _norm(layers[0].norm)
    for i, layer in enumerate(layers[1:], start=1):
        assert layer.W_in is not None
        found[f"W_in{i}"], found[f"b_in{i}"] = _behind(after, layer.W_in)
        after = _norm(layer.norm)
    found["W_U"], found["b_U"] = _behind(after, model.W_U)
    return {name: weight.float().cpu().numpy() for name, weight in found.items()}


def _behind(norm: Affine | None, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """The matrix and the bias that a norm and a matrix are together."""
    whole = matrix.detach().double()
    if norm is None:
        return matrix.detach(), torch.zeros(matrix.shape[1])
    return norm.gain[:, None] * whole, norm.offset @ whole


def _norm(norm: nn.Module | None) -> Affine | None:
    if norm is None:
        return None
    if not isinstance(norm, BatchNorm):
        raise ValueError(
            "the explorer switches units off one by one, which a layer norm does not allow: it "
            "divides by a number that depends on all neurons. Use probes.unit_pruning_curve"
        )
    width = len(norm.gamma)
    both = torch.stack([torch.zeros(width), torch.ones(width)]).double()
    at_0, at_1 = deepcopy(norm).double().eval()(both).detach()
    return Affine(gain=at_1 - at_0, offset=at_0)
