"""Activation functions, each with the derivative that the stacked trainer multiplies by."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Activation:
    """One function in two forms: for the hooked model, and in place for the trainer.

    ``backward_(grad, pre)`` multiplies ``grad`` by the derivative at ``pre`` divided by ``gain``;
    the trainer folds ``gain`` into a small matrix and so saves a pass over the activations.
    """

    function: Callable[[Tensor], Tensor]
    forward_into: Callable[[Tensor, Tensor], Tensor]  # (pre, out)
    backward_: Callable[[Tensor, Tensor], Tensor]  # (grad, pre), grad is overwritten
    gain: float = 1.0
    degree: int | None = None  # d: function(c x) = c^d function(x) for c > 0, where there is one


def _relu_backward_(grad: Tensor, pre: Tensor) -> Tensor:
    return torch.ops.aten.threshold_backward.grad_input(grad, pre, 0, grad_input=grad)


def _gelu_backward_(grad: Tensor, pre: Tensor) -> Tensor:
    return torch.ops.aten.gelu_backward.grad_input(grad, pre, grad_input=grad)


ACTIVATIONS = {
    "square": Activation(
        function=torch.square,
        forward_into=lambda pre, out: torch.mul(pre, pre, out=out),
        backward_=lambda grad, pre: grad.mul_(pre),
        gain=2.0,
        degree=2,
    ),
    "relu": Activation(
        function=torch.relu,
        forward_into=lambda pre, out: torch.clamp_min(pre, 0, out=out),
        backward_=_relu_backward_,
        degree=1,
    ),
    "gelu": Activation(
        function=F.gelu,
        forward_into=lambda pre, out: torch.ops.aten.gelu.out(pre, out=out),
        backward_=_gelu_backward_,
    ),
}
