"""Every public name has an example in its docstring; ``tests/run_examples.py`` runs them."""

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

import grokinterp as gi
import probes

PACKAGES = ("grokinterp", "probes")


def methods(owner: type) -> Iterator[tuple[str, Any]]:
    """Public methods of a class and its bases in our packages, without those that override one."""
    for cls in owner.__mro__:
        if cls.__module__.partition(".")[0] not in PACKAGES:
            continue
        for name, value in vars(cls).items():
            is_method = inspect.isfunction(value) or isinstance(value, classmethod | staticmethod)
            overrides = any(name in vars(base) for base in cls.__mro__[1:])
            if is_method and not overrides and not name.startswith("_"):
                yield f"{cls.__name__}.{name}", getattr(cls, name)


def public_names() -> Iterator[tuple[str, Any]]:
    for package in (gi, probes):
        for name in package.__all__:
            value = getattr(package, name)
            yield f"{package.__name__}.{name}", value
            if inspect.isclass(value):
                for method, function in methods(value):
                    yield f"{package.__name__}.{method}", function


NAMES = dict(public_names())


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_an_example(name: str) -> None:
    assert ">>> " in (NAMES[name].__doc__ or ""), f"give the docstring of {name} an example"
