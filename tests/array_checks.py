"""The shapes and dtypes that annotations name, checked at every call by beartype and jaxtyping.

jaxtyping's import hook wraps every function of the packages that pytest's options name, whatever
its annotations are, and checks its arguments twice: many tests then take twice as long. What stands
here checks arrays, once; the other types are left to the static type checker.
"""

import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from functools import wraps
from typing import Any, get_args

import jaxtyping
from beartype import beartype

_with_axes = jaxtyping.jaxtyped  # an axis name means one length throughout a call


def install() -> None:
    """Let jaxtyping's import hook check no more than arrays in modules imported from here on."""
    jaxtyping.jaxtyped = _decorator  # the hook writes it above every function and class


def _decorator(*, typechecker: object) -> Callable[[Any], Any]:
    return _checked_class_or_function


def _checked_class_or_function(defined: Any) -> Any:
    if not inspect.isclass(defined):
        return checked(defined)
    if is_dataclass(defined):
        defined.__init__ = checked(defined.__init__)
    return defined


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as it is if no annotation names an array, else one that checks its arrays."""
    if not any(map(_names_an_array, function.__annotations__.values())):
        return function
    checking = _with_axes(beartype(function), typechecker=None)

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return (function if jaxtyping.config.jaxtyping_disable else checking)(*args, **kwargs)

    return call


def _names_an_array(hint: Any) -> bool:
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(map(_names_an_array, get_args(hint)))
