"""Forward passes on trial: what submodules are given, weights changed for a while, equality."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def recorded(net: nn.Module, names: set[str]) -> Iterator[dict[str, list[Tensor]]]:
    """What some submodules are given, call by call."""
    reads: dict[str, list[Tensor]] = {name: [] for name in names}
    with ExitStack() as stack:
        for name in names:

            def note(module: nn.Module, inputs: tuple[Any, ...], name: str = name) -> None:
                reads[name].append(inputs[0])

            handle = net.get_submodule(name).register_forward_pre_hook(note)
            stack.callback(handle.remove)
        yield reads


@contextmanager
def added(weight: Tensor, at: Any, change: Tensor) -> Iterator[None]:
    """Some rows of a weight changed for a while, and then exactly as before."""
    before = weight.detach().clone()
    try:
        weight[at] += change
        yield
    finally:
        weight.copy_(before)


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two results are equal up to rounding."""
    if one.shape != other.shape:
        return False
    scale = float(other.abs().max()) if other.numel() else 0.0
    tolerance = 1000 * torch.finfo(other.dtype).eps * scale
    return bool(((one - other).abs() <= tolerance).all())
