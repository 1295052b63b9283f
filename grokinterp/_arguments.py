"""Arguments checked against a function's annotations, so that all public functions refuse alike."""

import functools
import inspect
import types
import typing
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar

import numpy as np
from torch import Tensor

from grokinterp._short import short

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_NUMBERS = {"float32": "floating-point numbers", "int64": "integers", "bool": "booleans"}
_PLAIN = {float: (Real, "a number"), int: (Integral, "an integer"), str: (str, "a text"),
          bool: (bool, "true or false")}  # fmt: skip


def checked(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Refuse what is not of the annotated type before ``function`` computes anything.

    Judged are arguments annotated as tensors (in jaxtyping's words), numbers, texts, classes and
    unions of these; any other annotation is left to the function. A tensor must hold the numbers
    and have the axes that are named, and the size of other arguments along an axis of the same
    name. Of floating-point numbers it needs a column, and a row where it may have any number of
    axes: there is no spectrum of nothing.

    A NumPy array is refused where a tensor is wanted, and not converted: what a function takes is
    what its annotation says, to a type checker and here.

    Raises:
        TypeError: an argument of another type, or a tensor of other numbers.
        ValueError: a tensor of another shape.
    """
    parameters = inspect.signature(function).parameters
    judged = {name: kinds for name, parameter in parameters.items()
              if (kinds := _kinds(parameter.annotation))}  # fmt: skip

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
    """The types that an annotation allows; none if one of them cannot be judged."""
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    kinds = typing.get_args(annotation) if is_union else (annotation,)
    known = all(isinstance(kind, type) and kind not in (Any, inspect.Parameter.empty)
                for kind in kinds)  # fmt: skip
    return kinds if known else ()


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
                remedy = f"; if these are the numbers meant, give {name}.double()"
        elif isinstance(value, np.ndarray | list | tuple):
            remedy = f"; give torch.as_tensor({name})"
    raise TypeError(f"{name} must be {wanted}, got {got}{remedy}")


def _fits(value: object, kind: Any) -> bool:
    if _is_array(kind):
        return isinstance(value, Tensor) and str(value.dtype).split(".")[1] in kind.dtypes
    if kind in _PLAIN:
        return isinstance(value, _PLAIN[kind][0]) and isinstance(value, bool) <= (kind is bool)
    return isinstance(value, kind)


def _words(kind: Any) -> str:
    if _is_array(kind):
        numbers = next(word for dtype, word in _NUMBERS.items() if dtype in kind.dtypes)
        return f"a tensor of {numbers} [{', '.join(kind.dim_str.split())}]"
    if kind in _PLAIN:
        return _PLAIN[kind][1]
    return f"of type {kind.__module__}.{kind.__name__}"


def _check_shape(
    name: str, value: Tensor, axes: list[str], seen: dict[str, tuple[str, Tensor, int]]
) -> None:
    """Compare with the named axes, of which ``*rows`` and ``...`` stand for any number."""
    is_open = any(axis.startswith(("*", "...")) for axis in axes)
    fits = value.ndim >= len(axes) - 1 if is_open else value.ndim == len(axes)
    is_empty = value.numel() == 0 if is_open else value.shape[-1:] == (0,)
    if not fits or (value.is_floating_point() and is_empty):
        some = ", and not empty" if fits else ""
        raise ValueError(f"{name} must be [{', '.join(axes)}]{some}, got {list(value.shape)}")
    if is_open:
        return
    for axis, size in zip(axes, value.shape, strict=True):
        if axes.count(axis) > 1:
            continue  # the function knows which of its own axes is wrong
        other, first, expected = seen.setdefault(axis, (name, value, size))
        if size != expected:
            raise ValueError(
                f"{name} {list(value.shape)} and {other} {list(first.shape)} must have the same "
                f"size along their axis {axis!r}"
            )
