"""An optimiser for a stack of runs, each with its own learning rate and weight decay."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from grokinterp.config.training import TrainConfig


class StackedOptimizer:
    """AdamW, Adam or SGD as in ``torch.optim``, for one run per row; also decays towards init.

    Args:
        weights: [run, parameter], updated in place.
        configs: one per row; all with the same ``optimizer``, other fields may differ.
        before: number of updates already in each row's moments, which the caller fills in.
    """

    def __init__(
        self,
        weights: Float[Tensor, "run n"],
        configs: Sequence[TrainConfig],
        before: Sequence[int] | None = None,
    ) -> None:
        self.weights = weights
        self._adaptive = configs[0].optimizer != "sgd"
        self.first = torch.zeros_like(weights)  # Adam's first moment, or SGD's momentum buffer
        self.second = torch.zeros_like(weights) if self._adaptive else None
        self._update = torch.empty_like(weights)

        def column(values: Sequence[int | float]) -> Float[Tensor, "run 1"]:
            column = torch.tensor(values, dtype=torch.float64, device=weights.device)
            return column[:, None]

        self.before = column(before or [0] * len(configs))
        # On the device, so that a step is the same operations whichever step it is.
        self.taken = torch.zeros((), dtype=torch.float64, device=weights.device)
        self.lr = column([c.lr for c in configs])
        self._warmup = column([max(1, c.warmup_steps) for c in configs])
        self._warm = column([float(c.warmup_steps == 0) for c in configs])  # 1: has no warm-up
        self._beta1, self._beta2 = (column([c.betas[i] for c in configs]) for i in (0, 1))
        self._momentum = column([c.momentum for c in configs]).to(weights)
        self._one_minus_beta1 = (1 - self._beta1).to(weights)
        self._one_minus_beta2 = (1 - self._beta2).to(weights)
        self._eps = column([c.eps for c in configs])

        def decay(kind: str) -> Float[Tensor, "run 1"] | None:
            if not any(c.weight_decay and c.decay_kind == kind for c in configs):
                return None
            return column([c.weight_decay * (c.decay_kind == kind) for c in configs])

        l2 = decay("l2")
        self._l2 = None if l2 is None else l2.to(weights)
        self._to_zero, self._to_init = decay("decoupled_zero"), decay("decoupled_init")
        self._start = None if self._to_init is None else weights.clone()

    def begin_step(self) -> None:
        """Begin a step; :meth:`update` then applies it, to all columns or some at a time."""
        like, t = self.weights, self.taken
        lr = self.lr * torch.maximum((t / self._warmup).clamp(max=1.0), self._warm)
        self._lr = lr.to(like)
        self._keep = None if self._to_zero is None else (1 - lr * self._to_zero).to(like)
        self._return = None if self._to_init is None else (lr * self._to_init).to(like)
        if self._adaptive:
            updates = self.before + t + 1
            bias2_root = (1 - self._beta2**updates).sqrt()
            self._rate = (lr / (1 - self._beta1**updates) * bias2_root).to(like)
            self._scaled_eps = (self._eps * bias2_root).to(like)
        self.taken += 1

    def update(
        self,
        grads: Float[Tensor, "run n"],
        alive: Bool[Tensor, " run"],
        columns: slice,
        noise: Float[Tensor, "run n"] | None = None,
    ) -> None:
        """Apply the step to some columns of all runs still alive.

        ``grads`` and ``noise`` hold only these columns. The noise is added to the update before it
        is multiplied by the learning rate.
        """
        weights, first, update = (x[:, columns] for x in (self.weights, self.first, self._update))
        if self._l2 is not None:
            grads = torch.addcmul(grads, weights, self._l2)
        if self.second is not None:
            second = self.second[:, columns]
            first.lerp_(grads, self._one_minus_beta1)
            second.lerp_(torch.mul(grads, grads, out=update), self._one_minus_beta2)
            torch.sqrt(second, out=update).add_(self._scaled_eps)
            torch.div(first, update, out=update).mul_(self._rate)
        else:
            first.mul_(self._momentum).add_(grads)
            torch.mul(first, self._lr, out=update)
        if noise is not None:
            update.addcmul_(noise, self._lr)
        living = alive[:, None]
        if self._return is not None and self._start is not None:
            pull = torch.where(living, self._return, 0.0)
            weights.addcmul_(self._start[:, columns] - weights, pull)
        if self._keep is not None:
            weights.mul_(torch.where(living, self._keep, 1.0))
        # Masked, not multiplied by zero: the update of a diverged run may be NaN.
        weights.sub_(update.masked_fill_(~living, 0.0))
