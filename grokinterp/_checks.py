"""Argument checks whose messages name the argument, the value and the remedy."""

import dataclasses
import difflib
import math
import sys
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np


def plain_numbers(config: Any) -> None:
    """Turn a frozen dataclass's NumPy scalars (as from ``np.linspace``) into Python's, in place."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, np.generic):
            object.__setattr__(config, field.name, value.item())


def check_int(name: str, value: object, *, minimum: int) -> None:
    """Raise unless ``value`` is a plain integer of at least ``minimum``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, got {value!r} ({type(value).__name__})")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}")


def check_bool(name: str, value: object) -> None:
    """Raise unless ``value`` is True or False; a text such as "False" would count as true."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be true or false, got {value!r} ({type(value).__name__})")


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
        raise TypeError(f"{name} must be a number, got {value!r} ({type(value).__name__})")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value}")
    low_ok = value > minimum if strict else value >= minimum
    if not (low_ok and value < below):
        left = "(" if strict else "["
        raise ValueError(f"{name} must lie in {left}{minimum}, {below}), got {value}")


def check_choice(name: str, value: object, known: Iterable[str]) -> None:
    """Raise unless ``value`` is one of ``known``; suggest the nearest and list all."""
    known = sorted(known)
    if value in known:
        return
    near = difflib.get_close_matches(str(value), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{name}={value!r} is unknown.{hint} Known: {', '.join(known)}")


def warn_user(message: str, category: type[Warning]) -> None:
    """Warn at the line that called into this package, however deep the call is by now."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("grokinterp."):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
