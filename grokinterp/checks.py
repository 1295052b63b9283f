"""Argument checks whose messages name the argument, the value and the remedy."""

import difflib
import math
import re
import sys
import warnings
from collections.abc import Iterable, Sequence

from grokinterp.short_text import short

# Bounds of single numbers. Combinations, such as the size of a network, are checked elsewhere.
_LONGEST = 2**128  # larger than any count or useful seed
# Training computes in float32: larger numbers are infinite, smaller ones are flushed to zero.
_FLOAT32_MAX, _FLOAT32_TINY = 2.0**128 - 2.0**104, 2.0**-126


def check_int(name: str, value: object, *, minimum: int, maximum: int = _LONGEST) -> None:
    """Raise unless ``value`` is a Python integer from ``minimum`` to ``maximum``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, got {_with_type(value)}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {short(value)}")
    if value > maximum:
        raise ValueError(f"{name} must be at most {maximum}, got {short(value)}")


def check_bool(name: str, value: object) -> None:
    """Raise unless ``value`` is True or False; the string "False", for one, would count as true."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {_with_type(value)}")


def check_type(name: str, value: object, *kinds: type) -> None:
    """Raise unless ``value`` is of exactly one of these classes; subclasses are not accepted."""
    if type(value) not in kinds:
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{name} must be of type {expected}, got {short(value)}")


def check_text(name: str, value: object, *, example: str) -> None:
    """Raise unless ``value`` is a string."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string such as {example!r}, got {_with_type(value)}")


def check_number(
    name: str,
    value: object,
    *,
    minimum: float = -math.inf,
    below: float = math.inf,
    strict: bool = False,
) -> None:
    """Raise unless ``value`` is finite and in [minimum, below), or (minimum, below) if strict."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, got {_with_type(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value}")
    if abs(value) > _FLOAT32_MAX:
        raise ValueError(f"{name} must be at most 3.4e38, float32's maximum, got {short(value)}")
    if strict and minimum == 0 < value < _FLOAT32_TINY:
        raise ValueError(f"{name} must be at least 1e-38 (below, float32 is 0), got {value}")
    low_ok = value > minimum if strict else value >= minimum
    if not (low_ok and value < below):
        left = "(" if strict else "["
        raise ValueError(f"{name} must lie in {left}{minimum}, {below}), got {short(value)}")


def check_choice(name: str, value: object, known: Iterable[str]) -> None:
    """Raise unless ``value`` is one of ``known``; the message suggests one and lists all.

    Words may follow the argument's name, as in "decay with optimizer='adam'".
    """
    known = sorted(known)
    words = ", ".join(known)
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {words}, got {_with_type(value)}")
    if value not in known:
        hint = nearest(value, known)
        argument, *condition = re.split(r"(?= (?:with|of|in) )", name, maxsplit=1)
        raise ValueError(
            f"{argument}={short(value)}{''.join(condition)} is unknown.{hint} "
            f"Known: {words or 'none'}"
        )


def check_names(name: str, value: object) -> None:
    """Raise unless ``value`` is a list of strings; one string would be read letter by letter."""
    if isinstance(value, str):
        raise TypeError(f"{name} must be a list of strings, got {short(value)}; pass [{value!r}]")
    if not isinstance(value, Sequence) or not all(isinstance(word, str) for word in value):
        raise TypeError(f"{name} must be a list of strings, got {_with_type(value)}")


def nearest(word: str, known: Iterable[str]) -> str:
    """A sentence suggesting the known name most like ``word``; empty if none is similar."""
    known = list(known)
    near = [name for name in known if name.lower() == word.lower()]
    near = near or difflib.get_close_matches(word[:100], known, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def warn_user(message: str, category: type[Warning]) -> None:
    """Warn with the position of the line that called into this package, at any call depth."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("grokinterp."):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _with_type(value: object) -> str:
    return f"{short(value)} ({type(value).__name__})"
