"""Dropout masks that depend only on the config, step, hook point, example and activation."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from grokinterp._checks import check_choice
from grokinterp.config import RunConfig
from grokinterp.models.registry import model_class
from grokinterp.randomness import Words, stream
from grokinterp.training.minibatches import batch_rows

_LANES = 4  # 16-bit draws in a 64-bit word
_LEVELS = 1 << 16


@dataclass(frozen=True)
class Dropout:
    """The dropout of one run: activations of each example are dropped independently at every step.

    A kept activation is multiplied by 1 / (1 - rate), so that the mask has mean one.

    Source: Doshi et al. 2023, arXiv:2310.13061, Fig. 3b; "pre" is where their code has it.
    """

    seed: int  # the run's
    level: int  # of 65536 equally likely draws, how many drop
    at: str  # "pre": before an MLP's activation, "post": after it, ...
    points: tuple[tuple[str, tuple[int, ...]], ...]  # hook points with an example's shape

    @classmethod
    def of(cls, config: RunConfig) -> "Dropout | None":
        """The dropout of a config; None if it has none.

        The probability is rounded to a multiple of 1 / 65536 (and less than 1), and the scale
        follows the rounded one: the mask's mean is exactly one.
        """
        level = min(round(config.training.dropout * _LEVELS), _LEVELS - 1)
        if not level:
            return None
        at = config.training.dropout_at
        points = model_class(config.model).dropout_points(config.model, at)
        return cls(config.seed, level, at, tuple(points.items()))

    @property
    def scale(self) -> float:
        """The factor of kept activations, 1 / (1 - rate)."""
        return _LEVELS / (_LEVELS - self.level)


class Masks:
    """Buffers in which the masks of some examples are made, for one thread.

    Args:
        rows: the largest number of examples in one call of :meth:`draw`.
        dropout: whose points the buffers are for.
        dtype: of the masks.
        device: where the buffers live.
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
        """The mask of ``count`` examples from number ``start`` on: 0 or ``dropout.scale``.

        ``layer`` numbers the points; an example's activations there are one flat row.
        """
        mask = self._masks[layer][:count]
        per_row = -(-mask.shape[1] // _LANES)
        source = stream(dropout.seed, "dropout", step, layer)
        words = self._words.draw(source, start * per_row, count * per_row)
        lanes = words.view(torch.int16).view(count, -1)[:, : mask.shape[1]]
        # int16 runs from -32768: the lowest ``level`` values are dropped
        return torch.ge(lanes, dropout.level - _LEVELS // 2, out=mask).mul_(dropout.scale)


def dropout_mask(
    config: RunConfig, *, step: int, hook: str, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "example ..."]:
    """What training multiplies the activations at a hook point by: 0, or 1 / (1 - dropout).

    Multiplied into the hooked model, they reproduce the training step::

        mask = dropout_mask(config, step=0, hook="layers.0.hook_pre")
        hook = ("layers.0.hook_pre", lambda activation, hook: activation * mask)
        model.run_with_hooks(tokens[is_train], fwd_hooks=[hook])

    Args:
        config: the run's; its seed draws the masks.
        step: updates made before this one; the first update is step 0.
        hook: a hook point at which the config drops.
        dtype: of the result.

    Returns:
        One row per example of that update's batch: all training examples in the order of the data
        set, or a mini-batch in its own.

    Raises:
        ValueError: there is no dropout, or not at that hook point; the names are listed.
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
