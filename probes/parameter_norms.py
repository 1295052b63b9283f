"""The norm of a network's parameters, as a whole and layer by layer.

Published vocabularies have more tokens than the task uses. Embedding rows of unused tokens, and of
positions after the end of the prompt, get no gradient: they keep their initial values, shrunk by
weight decay, and would make the norm depend mostly on the number of steps. So they are left out by
default. Read-out columns of unused classes are included: they are trained, because every example
pushes their logits down.
"""

import math

from torch import nn

from grokinterp import HookedModel
from probes.probe import probe


@probe
def weight_norms(model: nn.Module) -> dict[str, float]:
    """Frobenius norm of every parameter, by its name in ``state_dict``.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import weight_norms
        >>> model = gi.HookedMLP(gi.MLPConfig(d_mlp=20), p=13)
        >>> before = weight_norms(model)
        >>> model.W_U.data *= 3.0
        >>> {name: round(norm / before[name], 3) for name, norm in weight_norms(model).items()}
        {'W_E': 1.0, 'W_U': 3.0}
    """
    return {name: float(w.detach().double().norm()) for name, w in model.named_parameters()}


@probe
def parameter_norm(model: HookedModel, used_only: bool = True) -> float:
    """Euclidean norm of all parameters, float64.

    Args:
        model: any network of the package. In a ``HookedModule``, whose embedding is not known, all
            rows count.
        used_only: leave out embedding rows of tokens that are not in the task's prompt, and of
            positions after its end. The second paper's Fig. 6 includes them (False).

    Examples:
        >>> import grokinterp as gi
        >>> from probes import norms_by_layer, parameter_norm
        >>> model = gi.HookedMLP(gi.MLPConfig(d_mlp=20), p=13)
        >>> squares = sum(norm**2 for norm in norms_by_layer(model).values())
        >>> round(squares / parameter_norm(model) ** 2, 6)
        1.0
    """
    return math.hypot(*norms_by_layer(model, used_only).values())


@probe
def norms_by_layer(model: HookedModel, used_only: bool = True) -> dict[str, float]:
    """Euclidean norm of each layer's parameters; their squares add up to the squared total norm.

    A layer is the module that holds the parameters, weights and biases together: "embed",
    "layers.0", "blocks.0.attn", "unembed". Exceptions: each layer of an LSTM is one ("lstm.0"), and
    so is each parameter of the network itself ("W_E" and "W_U" of a ``HookedMLP``).

    Examples:
        >>> import grokinterp as gi
        >>> from probes import norms_by_layer
        >>> config = gi.RunConfig(model=gi.TransformerConfig(d_model=16))
        >>> list(norms_by_layer(gi.build_model(config.replace({"data.p": 13}))))
        ['embed', 'pos_embed', 'blocks.0.attn', 'blocks.0.mlp', 'unembed']
    """
    squares: dict[str, float] = {}
    for name, square in parameter_squares(model, used_only).items():
        layer = _layer(model, name)
        squares[layer] = squares.get(layer, 0.0) + square
    return {layer: square**0.5 for layer, square in squares.items()}


def parameter_squares(model: HookedModel, used_only: bool = True) -> dict[str, float]:
    """Squared norm of each parameter by name; ``used_only`` as in :func:`parameter_norm`."""
    rows = model.used_rows if used_only else {}
    return {
        name: float(parameter.detach()[: rows.get(name)].double().square().sum())
        for name, parameter in model.named_parameters()
    }


def _layer(model: HookedModel, name: str) -> str:
    holder, _, own = name.rpartition(".")
    if holder and isinstance(model.get_submodule(holder), nn.RNNBase):
        # One module holds the weights of all layers, named as in "weight_ih_l0".
        return f"{holder}.{own.rpartition('_l')[2]}"
    return holder or own
