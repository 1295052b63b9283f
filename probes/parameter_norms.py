"""How large a network is: the norm of its parameters, whole and layer by layer.

A published vocabulary has more tokens than a task has. The embedding rows of tokens that never
occur, and of positions past the end of the prompt, get no gradient: they only keep their initial
values, shrunk by weight decay, so that the norm of all parameters mostly says when training
stopped. They are left out unless asked for. Columns of classes that never occur are kept: every
example pushes their logits down, so they are trained and part of what the network computes.
"""

import math

from torch import nn

from grokinterp import HookedModel
from probes.probe import probe


@probe
def weight_norms(model: nn.Module) -> dict[str, float]:
    """Frobenius norm of every parameter, by its name in ``state_dict``."""
    return {name: float(weight.detach().double().norm()) for name, weight in
            model.named_parameters()}  # fmt: skip


@probe
def parameter_norm(model: HookedModel, used_only: bool = True) -> float:
    """Euclidean norm of all parameters, float64.

    Args:
        model: any network of the package. Of a wrapped one (``HookedModule``), whose embedding is
            not known as such, everything counts.
        used_only: without the embedding rows of tokens that never occur in the task's prompt and
            the position rows past its end.

    Source: the second paper's Fig. 6 has ``used_only=False``.
    """
    return math.hypot(*norms_by_layer(model, used_only).values())


@probe
def norms_by_layer(model: HookedModel, used_only: bool = True) -> dict[str, float]:
    """Euclidean norm of each layer's parameters together, whose hypotenuse is the whole's.

    A layer is what holds its parameters: "embed", "layers.0" (weights and biases),
    "blocks.0.attn", "lstm.0", "unembed"; a weight that the network itself holds is its own
    ("W_E" and "W_U" of a ``HookedMLP``).
    """
    squares: dict[str, float] = {}
    for name, square in parameter_squares(model, used_only).items():
        layer = _layer(model, name)
        squares[layer] = squares.get(layer, 0.0) + square
    return {layer: square**0.5 for layer, square in squares.items()}


def parameter_squares(model: HookedModel, used_only: bool = True) -> dict[str, float]:
    """Squared norm of each parameter, by its name; rows as for :func:`parameter_norm`."""
    rows = model.used_rows if used_only else {}
    return {
        name: float(parameter.detach()[: rows.get(name)].double().square().sum())
        for name, parameter in model.named_parameters()
    }


def _layer(model: HookedModel, name: str) -> str:
    holder, _, own = name.rpartition(".")
    if holder and isinstance(model.get_submodule(holder), nn.RNNBase):
        # It has the weights of all layers side by side, as in "weight_ih_l0".
        return f"{holder}.{own.rpartition('_l')[2]}"
    return holder or own
