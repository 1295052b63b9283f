"""Argument checks whose messages name the argument, the value and the remedy."""

import difflib
import math
import sys
import warnings
from collections.abc import Iterable, Sequence

from grokinterp._short import short

# Bounds of single numbers. What several numbers make together, such as the size of a network, is
# checked where they meet.
_LONGEST = 2**128  # no count is higher, and no seed needs to be
# Training computes in float32, where more is infinite and less is flushed to zero.
_FLOAT32_MAX, _FLOAT32_TINY = 2.0**128 - 2.0**104, 2.0**-126


def check_int(name: str, value: object, *, minimum: int, maximum: int = _LONGEST) -> None:
    """Raise unless ``value`` is a plain integer of at least ``minimum``, at most ``maximum``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, got {_with_type(value)}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {short(value)}")
    if value > maximum:
        raise ValueError(f"{name} must be at most {maximum}, got {short(value)}")


def check_bool(name: str, value: object) -> None:
    """Raise unless ``value`` is True or False; a text such as "False" would count as true."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be true or false, got {_with_type(value)}")


def check_type(name: str, value: object, *kinds: type) -> None:
    """Raise unless ``value`` is of one of these classes, and not of one derived from them."""
    if type(value) not in kinds:
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{name} must be of type {expected}, got {short(value)}")


def check_text(name: str, value: object, *, example: str) -> None:
    """Raise unless ``value`` is a text."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a text such as {example!r}, got {_with_type(value)}")


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
        raise ValueError(f"{name} must be at most 3.4e38, float32's largest, got {short(value)}")
    if strict and minimum == 0 < value < _FLOAT32_TINY:
        raise ValueError(f"{name} must be at least 1e-38, below which float32 is 0, got {value}")
    low_ok = value > minimum if strict else value >= minimum
    if not (low_ok and value < below):
        left = "(" if strict else "["
        raise ValueError(f"{name} must lie in {left}{minimum}, {below}), got {short(value)}")


def check_choice(name: str, value: object, known: Iterable[str]) -> None:
    """Raise unless ``value`` is one of ``known``; suggest the nearest and list all."""
    known = sorted(known)
    words = ", ".join(known)
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {words}, got {_with_type(value)}")
    if value not in known:
        hint = nearest(value, known)
        raise ValueError(f"{name}={short(value)} is unknown.{hint} Known: {words}")


def check_names(name: str, value: object) -> None:
    """Raise unless ``value`` is a list of texts; one text would be taken letter by letter."""
    if isinstance(value, str):
        raise TypeError(f"{name} must be a list of texts, got {short(value)}; give [{value!r}]")
    if not isinstance(value, Sequence) or not all(isinstance(word, str) for word in value):
        raise TypeError(f"{name} must be a list of texts, got {_with_type(value)}")


def nearest(word: str, known: Iterable[str]) -> str:
    """A sentence that suggests what is spelt most like ``word``; empty if nothing is."""
    near = difflib.get_close_matches(word[:100], known, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def warn_user(message: str, category: type[Warning]) -> None:
    """Warn at the line that called into this package, however deep the call is by now."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("grokinterp."):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _with_type(value: object) -> str:
    return f"{short(value)} ({type(value).__name__})"
