"""An optimiser for a stack of runs, each with its own learning rate and weight decay."""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

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
        self._jiggle = decay("jiggle")
        self._start = None if self._to_init is None else weights.clone()
        # Torch's Adam, which passes over memory once but takes one rate at a time. On a GPU, where
        # launches count, all runs are updated together.
        self._fused = None
        plain = self._to_init is None and self._jiggle is None
        if self._adaptive and plain and weights.device.type == "cpu":
            decoupled = configs[0].optimizer == "adamw"
            self._fused = torch.ops.aten._fused_adamw_ if decoupled else torch.ops.aten._fused_adam_
        self._rates = [
            _Rates(c.lr, c.warmup_steps, c.betas, c.eps, c.weight_decay, updates)
            for c, updates in zip(configs, before or [0] * len(configs), strict=True)
        ]

    @property
    def in_one_pass(self) -> bool:
        """Whether :meth:`update_in_one_pass` is available."""
        return self._fused is not None

    def begin_step(self) -> None:
        """Begin a step; :meth:`update` then applies it, to all columns or some at a time."""
        self.taken += 1

    def update(
        self,
        grads: Float[Tensor, "run n"],
        alive: Bool[Tensor, " run"],
        columns: slice,
        noise: Float[Tensor, "run n"] | None = None,
        jiggle: Float[Tensor, "run n"] | None = None,
    ) -> None:
        """Apply the step to some columns of all runs still alive.

        ``grads``, ``noise`` and ``jiggle`` hold only these columns. The noise is added to the
        update before it is multiplied by the learning rate. ``jiggle`` holds the normal numbers for
        the weight decay of that name.
        """
        if self.in_one_pass and noise is None:
            self.update_in_one_pass(grads, alive, columns=columns)
            return
        weights, first, update = (x[:, columns] for x in (self.weights, self.first, self._update))
        lr = self.lr * torch.maximum(((self.taken - 1) / self._warmup).clamp(max=1.0), self._warm)
        if self._l2 is not None:
            grads = torch.addcmul(grads, weights, self._l2)
        if self.second is not None:
            second, updates = self.second[:, columns], self.before + self.taken
            bias2_root = (1 - self._beta2**updates).sqrt()
            rate = lr / (1 - self._beta1**updates) * bias2_root
            first.lerp_(grads, self._one_minus_beta1)
            second.lerp_(torch.mul(grads, grads, out=update), self._one_minus_beta2)
            torch.sqrt(second, out=update).add_((self._eps * bias2_root).to(update))
            torch.div(first, update, out=update).mul_(rate.to(update))
        else:
            first.mul_(self._momentum).add_(grads)
            torch.mul(first, lr.to(first), out=update)
        if noise is not None:
            update.addcmul_(noise, lr.to(update))
        living = alive[:, None]
        if self._to_init is not None and self._start is not None:
            pull = torch.where(living, (lr * self._to_init).to(update), 0.0)
            weights.addcmul_(self._start[:, columns] - weights, pull)
        if self._to_zero is not None:
            weights.mul_(torch.where(living, (1 - lr * self._to_zero).to(update), 1.0))
        if self._jiggle is not None and jiggle is not None:
            grown = (jiggle * (lr * self._jiggle).to(update)).exp_()
            weights.mul_(torch.where(living, grown, 1.0))
        # Masked, not multiplied by zero: the update of a diverged run may be NaN.
        weights.sub_(update.masked_fill_(~living, 0.0))

    def update_in_one_pass(
        self,
        grads: Float[Tensor, "run n"],
        alive: Bool[Tensor, " stack"],
        rows: slice = slice(None),
        columns: slice = slice(None),
    ) -> None:
        """:meth:`update` by torch's fused Adam, where :attr:`in_one_pass` says that it can be.

        ``grads`` holds only these rows and columns, ``alive`` all rows.
        """
        assert self._fused is not None
        assert self.second is not None
        taken = float(self.taken)
        stacked = (self.weights, self.first, self.second)
        weights, first, second = (x[rows, columns] for x in stacked)
        for rates, slices in self._alike(rows, alive, merged=weights.is_contiguous()).items():
            updates = torch.tensor(rates.before + taken)
            self._fused(
                *([x[some] for some in slices] for x in (weights, grads, first, second)),
                [],
                [updates] * len(slices),
                lr=rates.lr * min(1.0, (taken - 1) / rates.warmup) if rates.warmup else rates.lr,
                beta1=rates.betas[0],
                beta2=rates.betas[1],
                weight_decay=rates.weight_decay,
                eps=rates.eps,
                amsgrad=False,
                maximize=False,
            )

    def _alike(
        self, rows: slice, alive: Bool[Tensor, " stack"], *, merged: bool
    ) -> dict["_Rates", list[slice]]:
        """Slices of living rows with the same rates; of one row each unless ``merged``."""
        slices: dict[_Rates, list[slice]] = {}
        start = 0
        runs = zip(self._rates[rows], alive[rows].tolist(), strict=True)
        for (rates, lives), same in groupby(runs):
            stop = start + len([*same])
            if lives:
                size = stop - start if merged else 1
                some = (slice(first, first + size) for first in range(start, stop, size))
                slices.setdefault(rates, []).extend(some)
            start = stop
        return slices


class _Rates(NamedTuple):
    """What the update of a run depends on, besides its gradients and moments."""

    lr: float
    warmup: int
    betas: tuple[float, float]
    eps: float
    weight_decay: float
    before: int  # updates already in the moments
