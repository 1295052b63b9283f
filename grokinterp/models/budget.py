"""A memory limit for networks that are rebuilt from files."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

_SLACK = 2**20  # tensor elements that building a network may create besides its weights
_EACH = 2**10  # added to every tensor's size, so that millions of tiny layers are refused, too


class NotFarLarger(TorchFunctionMode):
    """Context in which a network may be built that is about as large as the stored tensors.

    A far larger one raises ValueError before its memory is filled. A file cannot hold tensors
    larger than itself, but the config beside it can describe a network of any size.

    Args:
        shapes: shapes of the stored tensors.
    """

    def __init__(self, shapes: Iterable[Sequence[int]]) -> None:
        super().__init__()
        self._left = _SLACK + 4 * sum(_EACH + math.prod(shape) for shape in shapes)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call ``func`` and count the elements of new tensors."""
        made = func(*args, **(kwargs or {}))
        if isinstance(made, Tensor) and not any(isinstance(arg, Tensor) for arg in args):
            self._left -= _EACH + made.numel()
            if self._left < 0:
                raise ValueError("the config describes a far larger network than is stored")
        return made
