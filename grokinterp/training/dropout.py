"""Dropout as a function of the config, the step, the layer, the example and the neuron."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from grokinterp.config import RunConfig
from grokinterp.randomness import Words, stream

_LANES = 4  # 16-bit draws in a 64-bit word
_LEVELS = 1 << 16


@dataclass(frozen=True)
class Dropout:
    """The dropout of one run: each neuron of each example is dropped independently at every step.

    A kept activation is multiplied by 1 / (1 - rate), so that the mask has mean one.

    Source: Doshi et al. 2023, arXiv:2310.13061, Fig. 3b; "pre" is where their code has it.
    """

    seed: int  # the run's
    level: int  # of 65536 equally likely draws, how many drop
    at: str  # "pre": before the activation, "post": after it

    @classmethod
    def of(cls, config: RunConfig) -> "Dropout | None":
        """What a config asks for; None if that is nothing.

        The probability is rounded to a multiple of 1 / 65536 (and less than 1), and the scale
        follows the rounded one: the mask's mean is exactly one.
        """
        level = min(round(config.training.dropout * _LEVELS), _LEVELS - 1)
        return cls(config.seed, level, config.training.dropout_at) if level else None

    @property
    def scale(self) -> float:
        """What kept activations are multiplied by."""
        return _LEVELS / (_LEVELS - self.level)


class Masks:
    """Buffers in which the masks of some examples are made, for one thread.

    Args:
        rows: most examples that are asked for at once.
        width: neurons per layer.
        n_layers: masks that are kept side by side.
        dtype: of the masks.
        device: where the buffers live.
    """

    def __init__(
        self, rows: int, width: int, n_layers: int, *, dtype: torch.dtype, device: torch.device
    ) -> None:
        self._words_per_row = -(-width // _LANES)
        self._words = Words(rows * self._words_per_row, device)
        self._masks = torch.empty(n_layers, rows, width, dtype=dtype, device=device)

    def draw(
        self, dropout: Dropout, *, step: int, layer: int, start: int, count: int
    ) -> Float[Tensor, "count d_mlp"]:
        """The mask of ``count`` examples from number ``start`` on: 0 or ``dropout.scale``."""
        mask, per_row = self._masks[layer, :count], self._words_per_row
        source = stream(dropout.seed, "dropout", step, layer)
        words = self._words.draw(source, start * per_row, count * per_row)
        lanes = words.view(torch.int16).view(count, -1)[:, : mask.shape[1]]
        # int16 runs from -32768: the lowest ``level`` values are dropped
        return torch.ge(lanes, dropout.level - _LEVELS // 2, out=mask).mul_(dropout.scale)


def dropout_mask(
    config: RunConfig, *, step: int, layer: int, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "example d_mlp"]:
    """What training multiplies a layer's activations by: 0, or 1 / (1 - dropout).

    With these the hooked model does what training does, at ``layers.{layer}.hook_pre`` or, for
    ``dropout_at="post"``, ``hook_post``::

        mask = dropout_mask(config, step=0, layer=0)
        hook = ("layers.0.hook_pre", lambda activation, hook: activation * mask)
        model.run_with_hooks(tokens[is_train], fwd_hooks=[hook])

    Args:
        config: the run's; its seed draws the masks.
        step: updates made before this one; the first update is step 0.
        layer: 0 .. n_layers - 1.
        dtype: of the result.

    Returns:
        One row per training example, in the order of the data set; all ones without dropout.
    """
    n_layers = config.model.n_layers
    if not 0 <= layer < n_layers:
        raise ValueError(f"layer must lie in 0..{n_layers - 1}, got {layer}")
    if step < 0:
        raise ValueError(f"step must be at least 0, the first update, got {step}")
    examples, width = config.data.n_train, config.model.d_mlp
    dropout = Dropout.of(config)
    if dropout is None:
        return torch.ones(examples, width, dtype=dtype)
    masks = Masks(examples, width, layer + 1, dtype=dtype, device=torch.device("cpu"))
    return masks.draw(dropout, step=step, layer=layer, start=0, count=examples)
