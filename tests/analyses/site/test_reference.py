"""Every public name has one place in the reference, and docstrings come out as they are meant."""

import importlib
import pkgutil
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import griffe
import pytest

import analyses
import grokinterp
import probes
from analyses.registry import ANALYSES, EXPERIMENTS
from analyses.site.docstrings import Docstrings, comment_of
from analyses.site.reference import names_of_grokinterp, names_of_probes, pages
from analyses.site.topics import OF_ANALYSES

ROOT = Path(__file__).parents[3]


def flat(topics: dict[str, list[str]]) -> list[str]:
    return [name for names in topics.values() for name in names]


@pytest.mark.parametrize(
    ("package", "topics"),
    [(grokinterp, names_of_grokinterp()), (probes, names_of_probes())],
    ids=["grokinterp", "probes"],
)
def test_every_public_name_has_one_place(package: ModuleType, topics: dict[str, list[str]]) -> None:
    """A new name belongs into ``analyses/site/topics.py``."""
    assert sorted(flat(topics)) == sorted(package.__all__)


def modules() -> list[str]:
    return [name for names in OF_ANALYSES.values() for name in names.split()]


def test_analyses_of_the_registry_have_a_place() -> None:
    named = {entry.module for entry in (*ANALYSES.values(), *EXPERIMENTS.values())}
    assert named <= {f"analyses.{name}" for name in modules()}
    assert len(modules()) == len(set(modules()))


def test_modules_that_are_imported_by_their_names_have_a_place() -> None:
    """``from analyses import pruning``: what the package finds without a folder."""
    inside = {"finding", "labels", "style", "summary", "diagram_page", "sweep_job"}
    short = {name.rpartition(".")[2] for name in modules()}
    packages = {module.name for module in pkgutil.iter_modules(analyses.__path__)}
    assert {name for name in dir(analyses) if name in analyses._MODULES} - inside <= short
    assert short - set(analyses._MODULES) - packages  # the list is not only of short names


def paths(texts: Iterable[str]) -> list[str]:
    lines = [line for text in texts for line in text.splitlines()]
    return [line.removeprefix("::: ") for line in lines if line.startswith("::: ")]


def test_pages_name_what_exists() -> None:
    found = paths(text for titles in pages().values() for text in titles.values())
    assert len(found) > 150
    for path in found:
        package, _, name = path.rpartition(".")
        file = ROOT / path.replace(".", "/")
        is_module = file.with_suffix(".py").exists() or (file / "__init__.py").exists()
        assert is_module or hasattr(importlib.import_module(package), name), path


SOURCE = '''
class Point:
    """A point.

    Returns:
        Prose: with a colon,

        - and a list;
          of two lines.

    Source: a book.

    Examples:
        >>> 1
        1
    """

    x: int  # metres
    y: int = 3
    z: list = field(default_factory=list)
    _hidden: int  # not shown

def near() -> Point:
    """See :func:`near` and :class:`~elsewhere.Point`."""
'''


def test_docstrings_are_rewritten() -> None:
    with griffe.temporary_pypackage("made_up", {"__init__.py": SOURCE}) as package:
        extensions = griffe.Extensions(Docstrings())
        module = griffe.load("made_up", search_paths=[package.tmpdir], extensions=extensions)
    point, near = module["Point"].docstring.value, module["near"].docstring.value
    assert 'doc-section-title">Returns:</span>\n\nProse: with a colon,' in point
    assert "\n- and a list;\n  of two lines." in point
    assert "**Source:** a book." in point
    lines = ["Attributes:", "    x: metres", "    y: (default: `3`)", "    z: (default: `list()`)"]
    assert "\n".join(["", "", *lines, "", "Examples:", ""]) in point
    assert '<autoref optional identifier="made_up.near"><code>near</code></autoref>' in near
    assert '<autoref optional identifier="elsewhere.Point"><code>Point</code></autoref>' in near


def test_comments_of_assignments() -> None:
    assert comment_of('x: str = "a # b"  # of two\n    # lines') == "of two lines"
    assert comment_of("x = 1") == comment_of("x = (1  # cut off") == ""
