"""An MLP as plain matrices, with its norms multiplied into them."""

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from grokinterp.models.embedding_mlp import HookedEmbeddingMLP
from grokinterp.models.hidden_layers import HiddenLayer
from grokinterp.models.mlp import HookedMLP
from grokinterp.models.norms import BatchNorm
from grokinterp.session import unaffected
from grokinterp.short_text import short, short_repr


@short_repr
@dataclass(frozen=True)
class Affine:
    """What a norm does to each neuron: x * gain + offset."""

    gain: Tensor
    offset: Tensor


def has_plain_weights(model: object) -> bool:
    """Whether :func:`plain_weights` takes a network: an MLP without layer norms."""
    if type(model) not in (HookedMLP, HookedEmbeddingMLP):  # a subclass may compute otherwise
        return False
    return all(layer.norm is None or isinstance(layer.norm, BatchNorm) for layer in _layers(model))


@unaffected()
def plain_weights(model: HookedMLP | HookedEmbeddingMLP) -> dict[str, np.ndarray]:
    """Weights with which the network is activation and matrix in turn; float32.

    ``W_E`` [2, p, width] and ``b_E`` [width]; for each hidden layer i after the first ``W_in{i}``
    [width before, width] and ``b_in{i}`` [width]; ``W_U`` [width, p] and ``b_U`` [p]. A batch norm
    is multiplied into the matrix behind it, so activations are those of ``hook_post``, before it.
    ``b_E`` is what enters the first layer besides the operands: biases and other tokens.

    Raises:
        TypeError: a network of which :func:`has_plain_weights` is false.
    """
    if not has_plain_weights(model):
        raise TypeError(
            f"model={short(model)} is no MLP whose norms, if any, are batch norms; "
            "explorer.kinds has what a page holds of other networks"
        )
    layers = _layers(model)
    read = [table.detach() for table in model.input_weights]
    found, after = {"W_E": torch.stack([read[0], read[-1]])}, _norm(layers[0].norm)
    found["b_E"] = _besides(model, found["W_E"])
    for i, layer in enumerate(layers[1:], start=1):
        assert layer.W_in is not None
        found[f"W_in{i}"], found[f"b_in{i}"] = _behind(after, layer.W_in, layer.b_in)
        after = _norm(layer.norm)
    read_out = model.read_out
    W_U, b_U = read_out.W_U[:, : model.p], read_out.b_U
    found["W_U"], found["b_U"] = _behind(after, W_U, None if b_U is None else b_U[: model.p])
    return {name: weight.float().cpu().numpy() for name, weight in found.items()}


def _layers(model: object) -> list[HiddenLayer]:
    assert isinstance(model, HookedMLP | HookedEmbeddingMLP)
    return [layer for layer in model.layers if isinstance(layer, HiddenLayer)]


def _besides(model: HookedMLP | HookedEmbeddingMLP, W_E: Tensor) -> Tensor:
    """What the first layer's neurons are given besides the two operands' weights."""
    if isinstance(model, HookedMLP):
        return torch.zeros(W_E.shape[2])
    hook, pair = "layers.0.hook_pre", torch.zeros(1, 2, dtype=torch.int64, device=W_E.device)
    with torch.no_grad():
        _, cache = model.run_with_cache(pair, names_filter=hook)
    return cache[hook][0] - W_E[0, 0] - W_E[1, 0]


def _behind(norm: Affine | None, matrix: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """The matrix and the bias that a norm, a matrix and its bias are together."""
    matrix = matrix.detach()
    bias = torch.zeros(matrix.shape[1]) if bias is None else bias.detach()
    if norm is None:
        return matrix, bias
    whole = matrix.double()
    return norm.gain[:, None] * whole, norm.offset @ whole + bias


def _norm(norm: nn.Module | None) -> Affine | None:
    if norm is None:
        return None
    assert isinstance(norm, BatchNorm)
    width = len(norm.gamma)
    both = torch.stack([torch.zeros(width), torch.ones(width)]).double()
    at_0, at_1 = deepcopy(norm).double().eval()(both).detach()
    return Affine(gain=at_1 - at_0, offset=at_0)
