"""The shapes and dtypes that annotations name, checked at every call by beartype and jaxtyping.

jaxtyping's import hook checks every function of the packages that pytest's options name, whatever
its annotations are; many tests then take half as long again. What stands here lets it check those
with arrays; all other types are left to the static type checker.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, get_args

import jaxtyping

_checked = jaxtyping.jaxtyped


def install() -> None:
    """Let jaxtyping's import hook check arrays alone in modules that are imported from here on."""
    jaxtyping.jaxtyped = where_arrays  # the hook writes it above every function and class


def where_arrays(defined: Any = None, *, typechecker: Callable[..., Any]) -> Any:
    """Jaxtyping's decorator of a function or class; leaves what names no array as it is."""
    if defined is None:
        return partial(where_arrays, typechecker=typechecker)
    if not any(map(_names_an_array, getattr(defined, "__annotations__", {}).values())):
        return defined
    return _checked(defined, typechecker=typechecker)


def _names_an_array(hint: Any) -> bool:
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(map(_names_an_array, get_args(hint)))
