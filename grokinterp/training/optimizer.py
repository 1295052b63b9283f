"""AdamW over a stack of runs, each with its own learning rate, weight decay and betas."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from grokinterp.training.config import TrainConfig


class StackedAdamW:
    """Decoupled weight decay on every weight, then Adam: ``torch.optim.AdamW`` row by row.

    Args:
        weights: [run, parameter], updated in place.
        configs: one per row; lr, weight_decay, betas and eps may differ.
    """

    def __init__(self, weights: Float[Tensor, "run n"], configs: Sequence[TrainConfig]) -> None:
        self.weights = weights
        self.first, self.second, self._update = (torch.zeros_like(weights) for _ in range(3))
        self.steps_done = 0
        self.beta1, self.beta2, self.lr, weight_decay, self._eps = torch.tensor(
            [(*c.betas, c.lr, c.weight_decay, c.eps) for c in configs], dtype=torch.float64
        ).T[:, :, None]
        self._one_minus_beta1 = (1 - self.beta1).to(weights)
        self._one_minus_beta2 = (1 - self.beta2).to(weights)
        self._lr = self.lr.to(weights)
        self._keep = (1 - self.lr * weight_decay).to(weights)

    def begin_step(self) -> None:
        """Count a step; :meth:`update` then applies it, all columns or some at a time."""
        self.steps_done += 1
        like, t = self.weights, self.steps_done
        bias2_root = (1 - self.beta2**t).sqrt()
        self._rate = (self.lr / (1 - self.beta1**t) * bias2_root).to(like)
        self._scaled_eps = (self._eps * bias2_root).to(like)

    def update(
        self,
        grads: Float[Tensor, "run n"],
        alive: Bool[Tensor, " run"],
        columns: slice,
        noise: Float[Tensor, "run n"] | None = None,
    ) -> None:
        """Apply the step to some columns of every run still alive; ``grads`` has only those.

        ``noise``, of the same columns, is added to Adam's direction and so multiplied by the
        learning rate.
        """
        weights, first, second, update = (
            x[:, columns] for x in (self.weights, self.first, self.second, self._update)
        )
        first.lerp_(grads, self._one_minus_beta1)
        second.lerp_(torch.mul(grads, grads, out=update), self._one_minus_beta2)
        torch.sqrt(second, out=update).add_(self._scaled_eps)
        torch.div(first, update, out=update).mul_(self._rate)
        if noise is not None:
            update.addcmul_(noise, self._lr)
        # Set to zero, not multiplied by it: the update of a diverged run may be NaN.
        update.masked_fill_(~alive[:, None], 0.0)
        weights.mul_(torch.where(alive[:, None], self._keep, 1.0)).sub_(update)
