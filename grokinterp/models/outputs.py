"""The first tensor of what a module returns, be it a tensor, a tuple, a dict or a dataclass."""

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor


def first_tensor(output: object) -> Tensor | None:
    """The first tensor in an output, depth first; None if it holds none.

    Of ``nn.LSTM``'s (outputs, (h, c)) these are the outputs, of ``nn.MultiheadAttention``'s
    (output, weights) the output.
    """
    if isinstance(output, Tensor):
        return output
    found = (first_tensor(part) for _, part in _parts(output))
    return next((tensor for tensor in found if tensor is not None), None)


def with_first_tensor(output: Any, new: Tensor) -> Any:
    """An output like the given one, with another first tensor; the given one is not changed."""
    if isinstance(output, Tensor):
        return new
    at, part = next((at, part) for at, part in _parts(output) if first_tensor(part) is not None)
    part = with_first_tensor(part, new)
    if isinstance(output, tuple):
        parts = [*output[:at], part, *output[at + 1 :]]
        return type(output)(*parts) if hasattr(output, "_fields") else type(output)(parts)  # pyright: ignore[reportArgumentType]
    output = copy.copy(output)
    if isinstance(output, list | Mapping):
        output[at] = part  # pyright: ignore[reportIndexIssue]
    else:
        object.__setattr__(output, at, part)  # also of a frozen dataclass
    return output


def _parts(output: object) -> Iterator[tuple[Any, object]]:
    """What an output consists of, with the index, key or name of each part."""
    if isinstance(output, tuple | list):
        yield from enumerate(output)
    elif isinstance(output, Mapping):
        yield from output.items()
    elif dataclasses.is_dataclass(output) and not isinstance(output, type):
        for field in dataclasses.fields(output):
            yield field.name, getattr(output, field.name, None)
