"""The decorator of all configs: a frozen dataclass of plain values, with helpful messages."""

import dataclasses
import functools
from typing import Any, TypeVar, dataclass_transform

import numpy as np

from grokinterp.checks import nearest
from grokinterp.short_text import short

Class = TypeVar("Class", bound=type)


@dataclass_transform(
    frozen_default=True, kw_only_default=True, field_specifiers=(dataclasses.field,)
)
def frozen_config(cls: Class) -> Class:
    """``@dataclass(frozen=True, kw_only=True)`` for configs.

    Before the class's own ``__post_init__`` runs, values are normalised so that equal configs have
    the same JSON: NumPy scalars become Python's, lists become tuples, an int in a float field
    becomes a float, and -0.0 becomes 0.0. An unknown field raises, with a suggestion. The ``repr``
    leaves out fields that have their default.
    """
    check = getattr(cls, "__post_init__", None)

    def __post_init__(self: Any) -> None:
        for field in dataclasses.fields(cls):
            plain = _plain(getattr(self, field.name), field.type in (float, float | None))
            object.__setattr__(self, field.name, plain)
        if check is not None:
            check(self)

    cls.__post_init__ = __post_init__

    cls = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    setattr(cls, "__repr__", short)  # noqa: B010
    init = cls.__init__

    @functools.wraps(init)
    def __init__(self: Any, *values: Any, **fields: Any) -> None:
        if values:
            raise TypeError(f"{cls.__name__} takes keyword arguments only: {_names(cls)[0]}=...")
        for name in fields:
            check_field(cls, name)
        init(self, **fields)

    cls.__init__ = __init__
    return cls


def check_field(config: type, name: str) -> None:
    """Raise a TypeError unless a config class has the field ``name``; suggest a similar one."""
    known = _names(config)
    if name in known:
        return
    hint = nearest(name, known)
    for field in dataclasses.fields(config):
        section: Any = field.default_factory
        if dataclasses.is_dataclass(section) and name in _names(section):
            hint = f" Did you mean {field.name}={section.__name__}({name}=...)?"  # pyright: ignore[reportAttributeAccessIssue]
    raise TypeError(
        f"{config.__name__} has no field {short(name)}.{hint} Fields: {', '.join(known)}"
    )


def _names(config: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(config) if field.init]


def _plain(value: Any, is_float: bool) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, list | tuple):
        return tuple(_plain(item, is_float=False) for item in value)
    if is_float and type(value) is int:
        try:
            return float(value)
        except OverflowError:  # the class's own check raises
            return value
    if type(value) is float and value == 0:
        return 0.0
    return value
