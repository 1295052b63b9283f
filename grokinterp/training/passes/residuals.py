"""Losses of several runs at once, and the gradients of their logits."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp.losses import Loss


def losses_and_residuals(
    loss: Loss,
    logits: Float[Tensor, "run n column"],
    labels: Int[Tensor, "run n"],
    *,
    classes: int,
    n_total: int,
) -> tuple[Float[Tensor, " run"], Float[Tensor, "run n column"]]:
    """A share's part of the losses, and the gradient of its logits, which may overwrite them.

    Args:
        loss: one without ``residual_`` goes through autograd by itself.
        logits: contiguous; columns beyond the classes hold ``loss.absent``, or whatever for a loss
            without ``residual_``.
        labels: of the share's examples.
        classes: how many columns are classes.
        n_total: examples of a run's whole batch.
    """
    if loss.residual_ is None:
        with torch.enable_grad():
            leaf = logits.requires_grad_()
            losses = loss.per_example(leaf[..., :classes], labels).sum(dim=1) / n_total
            return losses.detach(), torch.autograd.grad(losses.sum(), leaf)[0]
    at_label = torch.arange(0, logits.numel(), logits.shape[-1]) + labels.flatten()
    losses = loss.residual_(logits, at_label) * (loss.loss_scale(classes) / n_total)
    return losses, logits.mul_(loss.grad_scale(n_total, classes))
