"""What a function is, as text: two sweeps with different measures must not share a store."""

import functools
import hashlib
import inspect
import re
from collections.abc import Mapping
from types import CodeType
from typing import Any

_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def fingerprint(function: Any) -> str:
    """A name and a digest that change when a function's source does, and not between sessions.

    Default arguments, arguments of ``functools.partial`` and plain values of an enclosing function
    count; what the function calls does not.
    """
    if isinstance(function, functools.partial):
        return (
            f"{fingerprint(function.func)} with {_text(function.args)} {_text(function.keywords)}"
        )
    if not hasattr(function, "__code__"):
        return _of_instance(function)
    code: CodeType = function.__code__
    try:
        # The source of a lambda is that of the whole statement around it.
        source = _code_text(code) if code.co_name == "<lambda>" else inspect.getsource(function)
    except (OSError, TypeError):  # typed into a prompt
        source = _code_text(code)
    enclosed = inspect.getclosurevars(function).nonlocals
    # Lists and the like are left out: an enclosed one is often there to be changed.
    cells = [(k, v) for k, v in enclosed.items() if isinstance(v, (*_PLAIN, tuple))]
    bound = [_text(value) for value in (function.__defaults__, function.__kwdefaults__, cells)]
    digest = hashlib.sha256("\n".join([source, *bound]).encode()).hexdigest()[:12]
    return f"{function.__module__}.{function.__qualname__} {digest}"


def _of_instance(function: Any) -> str:
    """A builtin, or an object that can be called: its text and the source of its call."""
    call = inspect.getattr_static(type(function), "__call__", None)
    source = f" {fingerprint(call)}" if inspect.isfunction(call) else ""
    return f"{_without_address(repr(function))}{source}"


def _text(value: Any) -> str:
    """A value as text that is the same in another session."""
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_text, value))})"
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(map(_text, value)))}}}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_text(item)}' for key, item in value.items())}}}"
    if isinstance(value, CodeType):
        return _code_text(value)
    if hasattr(value, "__code__"):  # not its fingerprint: it may enclose itself
        return _code_text(value.__code__)
    return _without_address(repr(value))


def _without_address(text: str) -> str:
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def _code_text(code: CodeType) -> str:
    return f"{code.co_code.hex()} {code.co_names} {_text(code.co_consts)}"
