"""How large a network is: the norm of its parameters, whole and layer by layer.

A published vocabulary has more tokens than a task has. The embedding rows of tokens that never
occur, and of positions past the end of the prompt, get no gradient: they only keep their initial
values, shrunk by weight decay, so that the norm of all parameters mostly says when training
stopped. They are left out unless asked for. Columns of classes that never occur are kept: every
example pushes their logits down, so they are trained and part of what the network computes.
"""

import math
import re
from collections.abc import Iterator

from torch import Tensor

from grokinterp import HookedModel

_LSTM_LAYER = re.compile(r"\w+_l(\d+)$")  # torch.nn.LSTM has the weights of all layers side by side


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


def norms_by_layer(model: HookedModel, used_only: bool = True) -> dict[str, float]:
    """Euclidean norm of each layer's parameters together, whose hypotenuse is the whole's.

    A layer is what holds its parameters: "embed", "layers.0" (weights and biases),
    "blocks.0.attn", "lstm.0", "unembed"; a weight that the network itself holds is its own
    ("W_E" and "W_U" of a ``HookedMLP``).
    """
    squares: dict[str, float] = {}
    for name, weight in _parameters(model, used_only):
        layer = _layer(name)
        squares[layer] = squares.get(layer, 0.0) + float(weight.double().square().sum())
    return {layer: square**0.5 for layer, square in squares.items()}


def _parameters(model: HookedModel, used_only: bool) -> Iterator[tuple[str, Tensor]]:
    """Names and values, without rows that are never read if ``used_only``."""
    prompt = getattr(model, "prompt", None)
    for name, parameter in model.named_parameters():
        weight = parameter.detach()
        if used_only and prompt is not None:
            if name == "embed.W_E":
                # A tied embedding's first rows are also the columns of the classes.
                tied = getattr(model.cfg, "tie_embedding", False)
                weight = weight[: max(prompt.d_vocab, model.cfg.d_vocab_out if tied else 0)]
            elif name == "pos_embed.W_pos":
                weight = weight[: prompt.length]
        yield name, weight


def _layer(name: str) -> str:
    holder, _, own = name.rpartition(".")
    of_lstm = _LSTM_LAYER.match(own)
    return f"{holder}.{of_lstm[1]}" if of_lstm else holder or own
