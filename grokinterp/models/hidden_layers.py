"""The hidden layers of both MLP architectures, and how they answer the anatomy's questions."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from grokinterp.models.activations import ACTIVATIONS
from grokinterp.models.norms import make_norm


class HiddenLayer(nn.Module):
    """One hidden layer: matrix, bias, activation and norm, all but the activation optional."""

    def __init__(
        self,
        width: int,
        *,
        act: str,
        norm: str | None,
        W_in: nn.Parameter | None,  # None: the input already is the pre-activation
        b_in: nn.Parameter | None = None,
    ) -> None:
        super().__init__()
        self.W_in, self.b_in = W_in, b_in
        self.act = ACTIVATIONS[act].function
        self.hook_pre = HookPoint()
        self.hook_post = HookPoint()
        self.norm = make_norm(norm, width)

    def forward(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch width"]:
        """``act(x W_in + b_in)``, normalised if there is a norm."""
        pre = x if self.W_in is None else x @ self.W_in
        pre = pre if self.b_in is None else pre + self.b_in
        post = self.hook_post(self.act(self.hook_pre(pre)))
        return post if self.norm is None else self.norm(post)


def last_hook(layers: nn.ModuleList) -> str:
    """Hook point of the read-out's input: the last layer's neurons, after the norm if any."""
    point = "hook_post" if layers[-1].norm is None else "norm.hook_normalized"
    return f"layers.{len(layers) - 1}.{point}"


def layer_gains(layers: nn.ModuleList) -> dict[int, str]:
    """Name of the gain parameter of each layer's norm, by layer; empty without norms."""
    return {i: f"layers.{i}.norm.gamma" for i, layer in enumerate(layers) if layer.norm is not None}


def layer_powers(
    layers: nn.ModuleList, act: str, *, table: str, read_out: Sequence[str]
) -> dict[str, Sequence[int]] | None:
    """``Anatomy.scale_powers`` of an MLP; None with norms or an activation without a ``degree``.

    Args:
        layers: the hidden layers.
        act: name of their activation.
        table: name of the input table, in which the first pre-activation is linear.
        read_out: names of the read-out's matrix and, if there is one, its bias.
    """
    degree = ACTIVATIONS[act].degree
    if degree is None or layer_gains(layers):
        return None
    matrices = sum(layer.W_in is not None for layer in layers)
    own = iter(np.eye(1 + matrices, dtype=int))
    signal = next(own)  # exponents of the layers' factors in the current activations
    powers = {table: signal}
    for i, layer in enumerate(layers):
        if layer.W_in is not None:
            powers[f"layers.{i}.W_in"] = factor = next(own)
            signal = signal + factor
        if layer.b_in is not None:
            powers[f"layers.{i}.b_in"] = signal
        signal = degree * signal
    powers |= dict(zip(read_out, (-signal, 0 * signal), strict=False))
    return {name: tuple(power.tolist()) for name, power in powers.items()}
