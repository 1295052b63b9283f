"""Parts of somebody's module by name, and views of its parameters that stay valid."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from grokinterp.short_text import short


@dataclass(frozen=True)
class View:
    """A parameter, or a part of one in another order of axes, found again at every look.

    A tensor that is a view of a parameter is left behind when the module is moved or cast.
    """

    parameter: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int

    @classmethod
    def of(cls, net: nn.Module, tensor: Tensor, argument: str) -> "View":
        """The view that a tensor is.

        Raises:
            TypeError: it is no view of a parameter or buffer of the module.
        """
        memory = tensor.untyped_storage().data_ptr()
        for name, weight in _tensors(net).items():
            if weight.untyped_storage().data_ptr() == memory:
                return cls(name, tuple(tensor.shape), tensor.stride(), int(tensor.storage_offset()))
        raise TypeError(
            f"{argument}: a tensor {list(tensor.shape)} that is neither a parameter of the "
            f"{type(net).__name__} nor a view of one, so that changes of it would not reach the "
            "network; give the parameter itself, or a view such as net.weight.T"
        )

    def whole(self, net: nn.Module) -> Tensor:
        """The parameter."""
        return _tensors(net)[self.parameter]

    def tensor(self, net: nn.Module) -> Tensor:
        """The view of the parameter as it is now; the parameter itself if it is all of it."""
        whole = self.whole(net)
        if (self.shape, self.stride) == (tuple(whole.shape), whole.stride()):
            return whole
        return whole.as_strided(self.shape, self.stride, self.offset)


def listed(given: Any) -> list[Any]:
    """One part or several, as a list; None is no part."""
    if given is None:
        return []
    return list(given) if isinstance(given, list | tuple) else [given]


def find(net: nn.Module, argument: str, part: Any) -> tuple[str, nn.Module | Tensor]:
    """A part by its name, or by itself: a submodule, or a parameter that is none of a submodule's.

    The name of the weight of a Linear or an Embedding stands for the submodule.

    Args:
        net: the module.
        argument: what errors call the part.
        part: a name, a submodule, a tensor or a view of one.

    Raises:
        TypeError: something else, or a module that is no part of ``net``.
        ValueError: a name of nothing; the message suggests similar ones.
    """
    modules = {name: module for name, module in net.named_modules() if name}
    if isinstance(part, View):
        return "", part.tensor(net)
    if isinstance(part, Tensor):
        names = [name for name, tensor in _tensors(net).items() if tensor is part]
        return find(net, argument, names[0]) if names else ("", part)
    if isinstance(part, nn.Module):
        for name, module in modules.items():
            if module is part:
                return name, module
        raise TypeError(
            f"{argument}: this {type(part).__name__} is no submodule of the {type(net).__name__}; "
            f"give one of {_few(modules)}"
        )
    if not isinstance(part, str):
        raise TypeError(
            f"{argument} must be the name of a submodule or parameter, or one itself, got "
            f"{short(part)}"
        )
    if part in modules:
        return part, modules[part]
    owner, _, kind = part.rpartition(".")
    if kind == "weight" and isinstance(modules.get(owner), nn.Linear | nn.Embedding):
        return owner, modules[owner]
    if part in (tensors := _tensors(net)):
        return part, tensors[part]
    near = difflib.get_close_matches(part, [*modules, *tensors], n=3, cutoff=0.4)
    raise ValueError(
        f"{argument}={short(part)} names no submodule or parameter of the {type(net).__name__}. "
        f"Nearest: {', '.join(near) or 'none'}; submodules: {_few(modules)}"
    )


def _tensors(net: nn.Module) -> dict[str, Tensor]:
    return dict(net.named_parameters()) | dict(net.named_buffers())


def _few(names: Iterable[str], most: int = 30) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if names[most:] else "")
