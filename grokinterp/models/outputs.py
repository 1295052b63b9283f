"""Reading and replacing the first tensor in a module's output of any structure."""

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor


def first_tensor(output: object) -> Tensor | None:
    """The first tensor in a module's output, searched depth first; None if it holds none.

    The output may be a tensor or nested tuples, lists, dicts and dataclasses. From ``nn.LSTM``'s
    (outputs, (h, c)) this takes the outputs.
    """
    if isinstance(output, Tensor):
        return output
    found = (first_tensor(part) for _, part in _parts(output))
    return next((tensor for tensor in found if tensor is not None), None)


def with_first_tensor(output: Any, new: Tensor) -> Any:
    """A copy of a module's output in which the first tensor is replaced by ``new``."""
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
        object.__setattr__(output, at, part)  # works on frozen dataclasses too
    return output


def _parts(output: object) -> Iterator[tuple[Any, object]]:
    """The parts of an output, each after its index, key or field name."""
    if isinstance(output, tuple | list):
        yield from enumerate(output)
    elif isinstance(output, Mapping):
        yield from output.items()
    elif dataclasses.is_dataclass(output) and not isinstance(output, type):
        for field in dataclasses.fields(output):
            yield field.name, getattr(output, field.name, None)
