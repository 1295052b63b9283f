"""Check arguments against a function's annotations, with the same messages everywhere."""

import functools
import inspect
import types
import typing
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar

import numpy as np
from torch import Tensor

from grokinterp.short_text import short

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_NUMBERS = {"float32": "floating-point numbers", "int64": "integers", "bool": "booleans"}
_PLAIN = {float: Real, int: Integral, str: str, bool: bool}
_WORDS = {float: "a number", int: "an integer", str: "a string", bool: "True or False"}


def checked(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorator: check a function's arguments against its annotations before it runs.

    Checked are arguments annotated as tensors (by jaxtyping), numbers, strings, classes and unions
    of these; other annotations are ignored. A tensor must have the annotated dtype and axes. Two
    tensors with an axis of the same name must have the same size along it. A floating-point tensor
    must not be empty along its last axis, nor anywhere if its number of axes is open (``...``).

    A NumPy array in place of a tensor raises; it is not converted. So this check and a type
    checker accept the same arguments.

    Raises:
        TypeError: an argument of the wrong type, or a tensor of the wrong dtype.
        ValueError: a tensor of the wrong shape.
    """
    parameters = inspect.signature(function).parameters
    kinds_of = {name: _kinds(parameter.annotation) for name, parameter in parameters.items()}
    judged = {name: kinds for name, kinds in kinds_of.items() if kinds}

    @functools.wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        seen: dict[str, tuple[str, Tensor, int]] = {}
        for name, value in (*zip(parameters, args, strict=False), *kwargs.items()):
            if name in judged:
                kind = _kind_of(name, value, judged[name])
                if _is_array(kind) and isinstance(value, Tensor):
                    _check_shape(name, value, kind.dim_str.split(), seen)
        return function(*args, **kwargs)

    return call


def _kinds(annotation: Any) -> tuple[Any, ...]:
    """The types that an annotation allows; empty if one of them cannot be checked."""
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    kinds = typing.get_args(annotation) if is_union else (annotation,)
    vague = (Any, inspect.Parameter.empty)
    return kinds if all(isinstance(kind, type) and kind not in vague for kind in kinds) else ()


def _is_array(kind: Any) -> bool:
    return getattr(kind, "array_type", None) is Tensor


def _kind_of(name: str, value: object, kinds: tuple[Any, ...]) -> Any:
    for kind in kinds:
        if _fits(value, kind):
            return kind
    wanted = " or ".join(_words(kind) for kind in kinds if kind is not types.NoneType)
    got = f"{short(value)} ({type(value).__name__})"
    remedy = ""
    if any(_is_array(kind) for kind in kinds):
        if isinstance(value, Tensor):
            got = f"{value.dtype} {list(value.shape)}"
            floats = any(_is_array(kind) and "float64" in kind.dtypes for kind in kinds)
            if floats and not value.is_complex():
                remedy = f"; to convert it, pass {name}.double()"
        elif isinstance(value, np.ndarray | list | tuple):
            remedy = f"; pass torch.as_tensor({name})"
    raise TypeError(f"{name} must be {wanted}, got {got}{remedy}")


def _fits(value: object, kind: Any) -> bool:
    if _is_array(kind):
        return isinstance(value, Tensor) and str(value.dtype).split(".")[1] in kind.dtypes
    if kind in _PLAIN:
        return isinstance(value, _PLAIN[kind]) and isinstance(value, bool) <= (kind is bool)
    return isinstance(value, kind)


def _words(kind: Any) -> str:
    if _is_array(kind):
        numbers = next(word for dtype, word in _NUMBERS.items() if dtype in kind.dtypes)
        return f"a tensor of {numbers} [{', '.join(kind.dim_str.split())}]"
    if kind in _PLAIN:
        return _WORDS[kind]
    return f"of type {kind.__module__}.{kind.__name__}"


def _check_shape(
    name: str, value: Tensor, axes: list[str], seen: dict[str, tuple[str, Tensor, int]]
) -> None:
    """Compare a tensor's shape with its named axes; ``*rows`` and ``...`` match any number."""
    is_open = any(axis.startswith(("*", "...")) for axis in axes)
    fits = value.ndim >= len(axes) - 1 if is_open else value.ndim == len(axes)
    is_empty = value.numel() == 0 if is_open else value.shape[-1:] == (0,)
    if not fits or (value.is_floating_point() and is_empty):
        some = " and not empty" if fits else ""
        raise ValueError(f"{name} must be [{', '.join(axes)}]{some}, got {list(value.shape)}")
    if is_open:
        return
    for axis, size in zip(axes, value.shape, strict=True):
        if axes.count(axis) > 1:
            continue  # such as "p p": left to the function, whose message can say more
        other, first, expected = seen.setdefault(axis, (name, value, size))
        if size != expected:
            raise ValueError(
                f"{name} {list(value.shape)} and {other} {list(first.shape)} must have the same "
                f"size along their axis {axis!r}"
            )
