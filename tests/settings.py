"""A setting of the whole process, for a while."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def chosen(choose: Callable[[Any], object], now: object, before: object) -> Iterator[None]:
    """Call ``choose(now)``, such as ``torch.set_default_dtype``; ``choose(before)`` on leaving."""
    choose(now)
    try:
        yield
    finally:
        choose(before)
