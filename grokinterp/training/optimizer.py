"""AdamW over a stack of runs, each with its own learning rate, weight decay and betas."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from grokinterp.training.config import TrainConfig


class StackedAdamW:
    """Decoupled weight decay on every weight, then Adam: ``torch.optim.AdamW`` row by row.

    Args:
        weights: [run, parameter], updated in place by :meth:`step`.
        configs: one per row; lr, weight_decay, betas and eps may differ.
    """

    def __init__(self, weights: Float[Tensor, "run n"], configs: Sequence[TrainConfig]) -> None:
        self.weights = weights
        self.first, self.second, self._update = (torch.zeros_like(weights) for _ in range(3))
        self.steps_done = 0
        self.beta1, self.beta2, self.lr, self.weight_decay, self.eps = torch.tensor(
            [(*c.betas, c.lr, c.weight_decay, c.eps) for c in configs], dtype=torch.float64
        ).T[:, :, None]

    def step(self, grads: Float[Tensor, "run n"], alive: Bool[Tensor, " run"]) -> None:
        """One update of every run that is still alive; the others keep their weights."""
        self.steps_done += 1
        like, t = self.weights, self.steps_done
        lr_over_bias = (self.lr / (1 - self.beta1**t)).to(like)
        bias2_root = (1 - self.beta2**t).sqrt().to(like)
        update = self._update
        self.first.lerp_(grads, (1 - self.beta1).to(like))
        self.second.lerp_(torch.mul(grads, grads, out=update), (1 - self.beta2).to(like))
        torch.sqrt(self.second, out=update).div_(bias2_root).add_(self.eps.to(like))
        torch.div(self.first, update, out=update).mul_(lr_over_bias)
        alive = alive[:, None]
        self.weights.mul_(torch.where(alive, (1 - self.lr * self.weight_decay).to(like), 1.0))
        # where, not a product: the update of a diverged run may be NaN
        self.weights.sub_(torch.where(alive, update, 0.0))
