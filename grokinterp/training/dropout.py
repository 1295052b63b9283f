"""Dropout masks, each entry a function of config, step, hook point, example and activation only."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from grokinterp.checks import check_choice
from grokinterp.config import RunConfig
from grokinterp.models.registry import model_class
from grokinterp.randomness import Words, stream
from grokinterp.training.minibatches import batch_rows

_LANES = 4  # 16-bit draws in a 64-bit word
_LEVELS = 1 << 16


@dataclass(frozen=True)
class Dropout:
    """The dropout of one run: at each step, each activation of each example drops independently.

    A kept activation is multiplied by 1 / (1 - rate), so the mask has mean one.

    Source: Doshi et al. 2023, arXiv:2310.13061, Fig. 3b; their code drops at "pre".
    """

    seed: int  # seed of the run
    level: int  # number of dropping draws among 65536 equally likely ones: rate = level / 65536
    at: str  # "pre": before an MLP's activation, "post": after it, ...
    points: tuple[tuple[str, tuple[int, ...]], ...]  # (hook point, shape of one example) pairs

    @classmethod
    def of(cls, config: RunConfig) -> "Dropout | None":
        """The dropout of a config; None if it has none.

        The rate is rounded to a multiple of 1 / 65536 below 1. ``scale`` follows from the rounded
        rate, so the mask's mean is exactly one.
        """
        level = min(round(config.training.dropout * _LEVELS), _LEVELS - 1)
        if not level:
            return None
        at = config.training.dropout_at
        points = model_class(config.model).dropout_points(config.model, at)
        return cls(config.seed, level, at, tuple(points.items()))

    @property
    def scale(self) -> float:
        """The factor on kept activations, 1 / (1 - rate)."""
        return _LEVELS / (_LEVELS - self.level)


class Masks:
    """Makes dropout masks, in buffers for use by one thread.

    Args:
        rows: most examples in one call of :meth:`draw`.
        dropout: the dropout whose hook points set the buffers' sizes.
        dtype: of the masks.
        device: of the buffers.
    """

    def __init__(
        self, rows: int, dropout: Dropout, *, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.rows = rows
        widths = [math.prod(shape) for _, shape in dropout.points]
        self._words = Words(rows * -(-max(widths) // _LANES), device)
        self._masks = [torch.empty(rows, n, dtype=dtype, device=device) for n in widths]

    def draw(
        self, dropout: Dropout, *, step: int, layer: int, start: int, count: int
    ) -> Float[Tensor, "count width"]:
        """The mask of ``count`` examples from index ``start`` on: entries 0 or ``dropout.scale``.

        ``layer`` is an index into ``dropout.points``; a row holds one example's flat activations.
        """
        mask = self._masks[layer][:count]
        per_row = -(-mask.shape[1] // _LANES)
        source = stream(dropout.seed, "dropout", step, layer)
        words = self._words.draw(source, start * per_row, count * per_row)
        lanes = words.view(torch.int16).view(count, -1)[:, : mask.shape[1]]
        # int16 starts at -32768; the lowest ``level`` values drop
        return torch.ge(lanes, dropout.level - _LEVELS // 2, out=mask).mul_(dropout.scale)


def dropout_mask(
    config: RunConfig, *, step: int, hook: str, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "example ..."]:
    """The dropout mask of one training step at one hook point: entries 0 or 1 / (1 - dropout).

    Multiplying it into the hooked model reproduces the training step::

        mask = dropout_mask(config, step=0, hook="layers.0.hook_pre")
        hook = ("layers.0.hook_pre", lambda activation, hook: activation * mask)
        model.run_with_hooks(tokens[is_train], fwd_hooks=[hook])

    Args:
        config: the run's config, whose seed determines the mask.
        step: number of updates made before this one; the first update is step 0.
        hook: a hook point with dropout.
        dtype: of the result.

    Returns:
        One row per example of the update's batch: all training examples in the order of the data
        set, or a mini-batch in the order of the batch.

    Raises:
        ValueError: the config has no dropout, or none at this hook point.
    """
    if step < 0:
        raise ValueError(f"step must be at least 0, the first update, got {step}")
    dropout = Dropout.of(config)
    if dropout is None:
        raise ValueError("training.dropout is 0: nothing is dropped; set it above 0")
    check_choice("hook", hook, [name for name, _ in dropout.points])
    layer = [name for name, _ in dropout.points].index(hook)
    rows = batch_rows(config)
    masks = Masks(rows, dropout, dtype=dtype, device=torch.device("cpu"))
    mask = masks.draw(dropout, step=step, layer=layer, start=0, count=rows)
    return mask.unflatten(1, dropout.points[layer][1])


def multiply_by(mask: Tensor) -> Callable[[Tensor, HookPoint], Tensor]:
    """A hook that multiplies by ``mask``."""
    return lambda activation, hook: activation * mask
