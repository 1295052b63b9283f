"""The losses, each with a definition and, for some, an in-place gradient for fast training."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Loss:
    """A loss averaged over examples.

    ``per_example(logits [..., n, p], labels [..., n])`` is the definition. ``per_example_`` is the
    same, but overwrites the logits, where that is faster. The other fields are only for the
    hand-written backward pass: ``residual_(logits, at_label)`` overwrites the logits by the
    gradient divided by ``grad_scale(n, p)``, and returns the sum of the loss over examples divided
    by ``loss_scale(p)``. Logits are [n, p] or, for several runs, [run, n, p]; there is one sum per
    run. ``at_label`` [n] or [run * n] are the positions of the labels in the flattened logits.
    Further columns that hold ``absent`` count as no class: their gradient is 0.
    """

    per_example: Callable[[Tensor, Tensor], Tensor]
    per_example_: Callable[[Tensor, Tensor], Tensor] | None = None
    residual_: Callable[[Tensor, Tensor], Tensor] | None = None
    loss_scale: Callable[[int], float] = lambda p: 1.0
    grad_scale: Callable[[int, int], float] = lambda n, p: 1 / n
    absent: float = 0.0


def mse(
    logits: Float[Tensor, "*run n p"], labels: Int[Tensor, "*run n"]
) -> Float[Tensor, "*run n"]:
    """Mean over classes of (logit - one-hot)^2, per example. Zero logits give 1 / p."""
    label = labels[..., None]
    at_label = (logits.gather(-1, label) - 1).square()
    # Scattered before the sum: correcting the sum instead would lose a small loss to cancellation.
    return logits.square().scatter(-1, label, at_label).mean(dim=-1)


def cross_entropy(
    logits: Float[Tensor, "*run n p"], labels: Int[Tensor, "*run n"]
) -> Float[Tensor, "*run n"]:
    """Negative log-probability of the label, in nats, per example."""
    return F.cross_entropy(logits.movedim(-1, 1), labels, reduction="none")


def cross_entropy_float64(
    logits: Float[Tensor, "*run n p"], labels: Int[Tensor, "*run n"]
) -> Float[Tensor, "*run n"]:
    """:func:`cross_entropy` computed in float64, whatever the precision of the logits.

    In float32 the loss of a sure answer comes in steps of 1.2e-7 and ends at exactly 0, where its
    gradient does.

    Source: Nanda et al. 2023, arXiv:2301.05217, and the code of Zhong et al. 2023.
    """
    return cross_entropy(logits.double(), labels)


def mse_softmax(
    logits: Float[Tensor, "*run n p"], labels: Int[Tensor, "*run n"]
) -> Float[Tensor, "*run n"]:
    """Mean over classes of (probability - one-hot)^2, per example.

    Source: "Towards Understanding Grokking Phenomenon via Model and Training Efficiency" (2023).
    The sign in its formula is wrong; its code computes this mean.
    """
    return mse(logits.softmax(dim=-1), labels)


def _mse_(logits: Tensor, labels: Tensor) -> Tensor:
    label = labels[..., None]
    logits.scatter_(-1, label, logits.gather(-1, label) - 1)
    return logits.square_().mean(dim=-1)


def _mse_residual_(logits: Tensor, at_label: Tensor) -> Tensor:
    flat = logits.view(-1)
    flat.index_add_(0, at_label, flat.new_full((1,), -1.0).expand(len(at_label)))
    if logits.ndim == 2:
        return torch.dot(flat, flat)
    return torch.linalg.vector_norm(logits.flatten(1), dim=1).square()


def _cross_entropy_residual_(logits: Tensor, at_label: Tensor) -> Tensor:
    flat = logits.view(-1)
    logits.copy_(logits.log_softmax(dim=-1))
    total = -flat.index_select(0, at_label).view(logits.shape[:-1]).sum(dim=-1)
    logits.exp_()
    flat.index_add_(0, at_label, flat.new_full((1,), -1.0).expand(len(at_label)))
    return total


LOSSES = {
    "mse": Loss(mse, _mse_, _mse_residual_, lambda p: 1 / p, lambda n, p: 2 / (n * p)),
    "cross_entropy": Loss(cross_entropy, residual_=_cross_entropy_residual_, absent=-math.inf),
    "cross_entropy_float64": Loss(cross_entropy_float64),
    "mse_softmax": Loss(mse_softmax),
}
