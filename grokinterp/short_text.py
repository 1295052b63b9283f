"""Show any value in one short line, for error messages and the repr of configs and results."""

import dataclasses
import math
import reprlib
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from torch import Tensor, nn

Class = TypeVar("Class", bound=type)

_FEW = 4  # arrays with more entries are shown by their shape only
_LONGEST = 500  # characters of ``one_line``
_LONG_BITS = 256  # longer integers are described: Python refuses to print very long ones


class _Short(reprlib.Repr):
    """``reprlib`` with short forms for arrays, networks and dataclasses."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 80
        self.maxtuple = self.maxlist = self.maxdict = 6
        self.maxlevel = 3

    def repr1(self, x: Any, level: int) -> str:
        """The short form of ``x``, showing at most ``level`` nested containers."""
        if isinstance(x, np.generic):
            x = x.item()
        kind = type(x).__name__
        if isinstance(x, Tensor | np.ndarray):
            if math.prod(x.shape) > _FEW:
                return f"{kind}{list(x.shape)}"
            return f"{kind}({self.repr1(x.tolist(), level)})"
        if type(x).__module__.startswith("plotly."):
            return f"plotly.{kind}"
        if isinstance(x, nn.Module):
            return f"{kind}({sum(weight.numel() for weight in x.parameters())} parameters)"
        if type(x).__module__.startswith("xarray.") and hasattr(x, "sizes"):
            return f"xarray.{kind}({', '.join(f'{dim} {n}' for dim, n in x.sizes.items())})"
        if dataclasses.is_dataclass(x) and not isinstance(x, type):
            return f"{type(x).__qualname__}({self._fields(x, level)})"
        names = getattr(x, "_fields", ())
        if isinstance(x, tuple) and names:  # a NamedTuple
            parts = [f"{n}={self.repr1(part, level - 1)}" for n, part in zip(names, x, strict=True)]
            return f"{kind}({', '.join(parts)})"
        if isinstance(x, Mapping):
            return self.repr_dict(dict(x), level)
        return " ".join(super().repr1(x, level).split())

    def repr_int(self, x: int, level: int) -> str:
        """The digits of an integer, or their number if there are many."""
        if x.bit_length() > _LONG_BITS:
            return f"an integer of {round(x.bit_length() * math.log10(2))} digits"
        return repr(x)

    def _fields(self, x: Any, level: int) -> str:
        if level <= 0:
            return "..."
        shown = (
            f"{field.name}={self.repr1(getattr(x, field.name), level - 1)}"
            for field in dataclasses.fields(x)
            if field.repr and not _is_default(field, getattr(x, field.name))
        )
        return ", ".join(shown)


def _is_default(field: "dataclasses.Field[Any]", value: Any) -> bool:
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    else:
        default = field.default
    return type(value) is type(default) and (value == default) is True


_SHORT = _Short()


def short(value: object) -> str:
    """``repr(value)`` on one line: arrays by shape, long strings and containers shortened.

    Dataclass fields that have their default are left out.
    """
    return _SHORT.repr(value)


def one_line(value: object) -> str:
    """Like :func:`short`, showing as many nested levels as fit into 500 characters."""
    texts = (_SHORT.repr1(value, level) for level in range(_SHORT.maxlevel, 0, -1))
    text = ""
    for text in texts:
        if len(text) <= _LONGEST:
            break
    return text


def short_repr(cls: Class) -> Class:
    """Decorator to put above ``@dataclass``: makes :func:`one_line` the ``repr``."""
    setattr(cls, "__repr__", one_line)  # noqa: B010  # type checkers reject a plain assignment
    return cls
