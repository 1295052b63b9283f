"""Activation functions, with the derivatives that the hand-written backward pass needs."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Activation:
    """One function in two forms: ``function`` for hooked models, the others for the trainer.

    ``backward_(grad, pre)`` multiplies ``grad`` in place by the derivative at ``pre``, divided by
    ``gain``. The caller applies ``gain`` to a small matrix instead, which is cheaper.
    """

    function: Callable[[Tensor], Tensor]
    forward_into: Callable[[Tensor, Tensor], Tensor]  # (pre, out)
    backward_: Callable[[Tensor, Tensor], Tensor]  # (grad, pre); overwrites grad
    gain: float = 1.0
    degree: int | None = None  # d with function(c x) = c^d function(x) for c > 0; None: no such d


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
