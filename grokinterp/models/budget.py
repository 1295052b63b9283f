"""How large a network may become that a config describes, where its stored tensors are known."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

_SLACK = 2**20  # numbers that building a network may make besides its weights
_EACH = 2**10  # what a tensor counts for besides its numbers, so that millions of layers count, too


class NotFarLarger(TorchFunctionMode):
    """While it is entered, a network may be built that is about as large as stored tensors.

    A larger one is refused with a ValueError before its memory is filled: the shapes in a file
    cannot lie about its size, a config beside it can.

    Args:
        shapes: of the stored tensors.
    """

    def __init__(self, shapes: Iterable[Sequence[int]]) -> None:
        super().__init__()
        self._left = _SLACK + 4 * sum(_EACH + math.prod(shape) for shape in shapes)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call ``func``, and count what it makes out of nothing."""
        made = func(*args, **(kwargs or {}))
        if isinstance(made, Tensor) and not any(isinstance(arg, Tensor) for arg in args):
            self._left -= _EACH + made.numel()
            if self._left < 0:
                raise ValueError("the config describes a far larger network than is stored")
        return made
