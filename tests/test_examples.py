"""Every public name has an example in its docstring; ``tests/run_examples.py`` runs them."""

import ast
import inspect
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import analyses
import grokinterp as gi
import probes
from analyses.site.topics import OF_ANALYSES

PACKAGES = ("grokinterp", "probes")


def methods(owner: type) -> Iterator[tuple[str, str | None]]:
    """Public methods of a class and its bases in our packages, without those that override one."""
    for cls in owner.__mro__:
        if cls.__module__.partition(".")[0] not in PACKAGES:
            continue
        for name, value in vars(cls).items():
            is_method = inspect.isfunction(value) or isinstance(value, classmethod | staticmethod)
            overrides = any(name in vars(base) for base in cls.__mro__[1:])
            if is_method and not overrides and not name.startswith("_"):
                yield f"{cls.__name__}.{name}", getattr(cls, name).__doc__


def public_names() -> Iterator[tuple[str, str | None]]:
    """Names of the libraries and of their classes' methods, with their docstrings."""
    for name in gi.models.__all__:
        yield f"grokinterp.models.{name}", getattr(gi.models, name).__doc__
    for package in (gi, probes):
        for name in package.__all__:
            value = getattr(package, name)
            yield f"{package.__name__}.{name}", value.__doc__
            if inspect.isclass(value):
                for method, docstring in methods(value):
                    yield f"{package.__name__}.{method}", docstring


def modules() -> Iterator[tuple[str, str | None]]:
    """Modules of analyses with short names or in the reference, with their docstrings."""
    of_reference = " ".join(OF_ANALYSES.values()).split()
    for name in sorted({*analyses._MODULES.values(), *(f"analyses.{m}" for m in of_reference)}):
        spec = find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        yield name, ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8")))


DOCSTRINGS = dict([*public_names(), *modules()])


@pytest.mark.parametrize("name", DOCSTRINGS)
def test_every_public_name_has_an_example(name: str) -> None:
    assert ">>> " in (DOCSTRINGS[name] or ""), f"give the docstring of {name} an example"
