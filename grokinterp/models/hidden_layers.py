"""Hidden layers one after the other, as both kinds of MLP have them, and what they tell."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from grokinterp.models.activations import ACTIVATIONS
from grokinterp.models.norms import make_norm


class HiddenLayer(nn.Module):
    """One hidden layer: its matrix and bias where it has them, the activation, the norm."""

    def __init__(
        self,
        width: int,
        *,
        act: str,
        norm: str | None,
        W_in: nn.Parameter | None,  # None where the input is the pre-activation itself
        b_in: nn.Parameter | None = None,
    ) -> None:
        super().__init__()
        self.W_in, self.b_in = W_in, b_in
        self.act = ACTIVATIONS[act].function
        self.hook_pre = HookPoint()
        self.hook_post = HookPoint()
        self.norm = make_norm(norm, width)

    def forward(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch width"]:
        """``act(x W_in + b_in)``, normalised if the config says so."""
        pre = x if self.W_in is None else x @ self.W_in
        pre = pre if self.b_in is None else pre + self.b_in
        post = self.hook_post(self.act(self.hook_pre(pre)))
        return post if self.norm is None else self.norm(post)


def last_hook(layers: nn.ModuleList) -> str:
    """The hook point of what the last layer hands to the read-out."""
    point = "hook_post" if layers[-1].norm is None else "norm.hook_normalized"
    return f"layers.{len(layers) - 1}.{point}"


def layer_gains(layers: nn.ModuleList) -> dict[int, str]:
    """The parameter with the gains of each layer's norm."""
    return {i: f"layers.{i}.norm.gamma" for i, layer in enumerate(layers) if layer.norm is not None}


def layer_powers(
    layers: nn.ModuleList, act: str, *, table: str, read_out: Sequence[str]
) -> dict[str, Sequence[int]] | None:
    """``Anatomy.scale_powers`` of an MLP; None with norms, or neurons without a degree.

    Args:
        layers: its hidden layers.
        act: their activation.
        table: name of the parameter that enters the first layer linearly.
        read_out: names of the read-out's matrix and, if there is one, its bias.
    """
    degree = ACTIVATIONS[act].degree
    if degree is None or layer_gains(layers):
        return None
    matrices = sum(layer.W_in is not None for layer in layers)
    own = iter(np.eye(1 + matrices, dtype=int))
    signal = next(own)  # the powers of the factor by which the activations so far are multiplied
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


def normal(shape: tuple[int, ...], std: float, rng: torch.Generator) -> nn.Parameter:
    """Initial weights, normal with zero mean, in float32 on the CPU."""
    # Named, not left to torch's defaults: a run must not depend on the session's settings.
    drawn = torch.empty(shape, dtype=torch.float32, device="cpu")
    return nn.Parameter(drawn.normal_(0.0, std, generator=rng))
