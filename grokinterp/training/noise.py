"""Gaussian noise on the weights, updates and weight decay of a stack's runs."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from grokinterp.checks import check_choice
from grokinterp.config import RunConfig
from grokinterp.randomness import fill_normal_, stream

KINDS = ("weight_noise", "update_noise")  # fields of TrainConfig, also names of random streams


class Noise:
    """Noisy weights of a stack, and noise for its updates, drawn for some columns at a time.

    Runs without noise cost nothing.

    Args:
        configs: one per run.
        weights: [run, parameter]; only read.
        sizes: number of parameters in each weight tensor, in the order of the columns.
    """

    def __init__(
        self, configs: Sequence[RunConfig], weights: Float[Tensor, "run n"], sizes: Sequence[int]
    ) -> None:
        self._configs, self._clean = configs, weights
        self.on_weights = any(config.training.weight_noise for config in configs)
        self.on_updates = any(config.training.update_noise for config in configs)
        self.on_decay = any(map(_jiggles, configs))
        self._sizes = torch.tensor(sizes)
        # Weights at which gradients are computed; without noise, a view of the run's own weights.
        self.weights = [
            torch.empty_like(row) if config.training.weight_noise else row
            for row, config in zip(weights, configs, strict=True)
        ]

    def perturb(self, step: int, columns: slice) -> None:
        """Redraw columns of the noisy ``weights`` for the forward and backward pass of ``step``."""
        for run, config in enumerate(self._configs):
            if config.training.weight_noise:
                noisy = self.weights[run][columns]
                _fill_(noisy, config, "weight_noise", step, columns.start)
                noisy.add_(self._clean[run, columns])

    def of_update(self, step: int, columns: slice) -> Float[Tensor, "run n"] | None:
        """Noise for columns of the update: zero for runs without noise, None if no run has any."""
        if not self.on_updates:
            return None
        added = torch.zeros_like(self._clean[:, columns])
        for row, config in zip(added, self._configs, strict=True):
            if config.training.update_noise:
                _fill_(row, config, "update_noise", step, columns.start)
        return added

    def of_decay(self, step: int, columns: slice) -> Float[Tensor, "run n"] | None:
        """The normal numbers of decay "jiggle", for columns; None if no run decays so.

        All columns of a weight tensor have the same number; runs that decay otherwise have zeros.
        """
        if not self.on_decay:
            return None
        drawn = torch.zeros(len(self._configs), len(self._sizes), dtype=self._clean.dtype)
        for row, config in zip(drawn, self._configs, strict=True):
            if _jiggles(config):
                fill_normal_(row, stream(config.seed, "jiggle", step), 0)
        spread = drawn.repeat_interleave(self._sizes, dim=1)[:, columns]
        return spread.to(self._clean.device)


def _jiggles(config: RunConfig) -> bool:
    return config.training.decay_kind == "jiggle" and config.training.weight_decay > 0


def noise(
    config: RunConfig,
    kind: str,
    n_parameters: int,
    *,
    step: int,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, " n"]:
    """The noise that one training step adds to a run's weights, or to its update.

    Args:
        config: the run's config, whose seed determines the noise.
        kind: "weight_noise", or "update_noise" (added before the learning rate is applied).
        n_parameters: number of weights. The noise is in the order of ``model.parameters()``, each
            flattened.
        step: number of updates made before this one; the first update is step 0.
        dtype: of the result.
    """
    check_choice("kind", kind, KINDS)
    if step < 0:
        raise ValueError(f"step must be at least 0, the first update, got {step}")
    return _fill_(torch.empty(n_parameters, dtype=dtype, device="cpu"), config, kind, step, 0)


def _fill_(out: Tensor, config: RunConfig, kind: str, step: int, start: int) -> Tensor:
    fill_normal_(out, stream(config.seed, kind, step), start)
    return out.mul_(getattr(config.training, kind))
