"""What a function is, as text: two sweeps with different measures must not share a store."""

import functools
import hashlib
import inspect
from types import CodeType
from typing import Any


def fingerprint(function: Any) -> str:
    """A name and a digest that change when a function's source does, and not between sessions."""
    if isinstance(function, functools.partial):
        bound = f"{function.args!r} {sorted(function.keywords.items())!r}"
        return f"{fingerprint(function.func)} with {bound}"
    if not hasattr(function, "__code__"):  # an instance that can be called, or a builtin
        return repr(function) if "object at 0x" not in repr(function) else type(function).__name__
    try:
        text = inspect.getsource(function)
    except (OSError, TypeError):  # typed into a prompt
        text = _code_text(function.__code__)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"{function.__module__}.{function.__qualname__} {digest}"


def _code_text(code: CodeType) -> str:
    constants = [_code_text(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {constants}"
