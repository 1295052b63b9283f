"""Every example in a docstring, run as a reader copies it: nothing is imported or made before.

Not part of ``pytest tests``: ``pytest -o addopts="" tests/run_examples.py``, as ``.ci/run`` does,
without the hook that checks types, which readers do not have and which takes twice the time.
``tests/test_examples.py`` says which names need an example.
"""

import ast
import doctest
import shutil
import signal
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("grokinterp", "probes", "analyses")
NEEDS_BROWSER = ("grokinterp.printed_figures.save_figure",)
HAS_BROWSER = find_spec("kaleido") is not None and shutil.which("chromium") is not None


def docstrings(node: ast.AST, name: str) -> Iterator[tuple[str, ast.Constant]]:
    """The docstrings in a module, class or function, by dotted name."""
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.ClassDef | ast.FunctionDef):
            yield from docstrings(inner, f"{name}.{inner.name}")
    match getattr(node, "body", None):
        case [ast.Expr(value=ast.Constant(value=str()) as text), *_]:
            yield name, text


def examples() -> Iterator[doctest.DocTest]:
    """All examples of the three packages; one docstring's run one after the other."""
    parser = doctest.DocTestParser()
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for name, text in docstrings(ast.parse(path.read_text(encoding="utf-8")), module):
            variables = {"__name__": "__main__"}
            docstring = str(text.value)
            example = parser.get_doctest(docstring, variables, name, str(path), text.lineno - 1)
            if example.examples:
                yield example


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C does what it does at a terminal, wherever the tests run."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("example", list(examples()), ids=lambda example: example.name)
def test_example(example: doctest.DocTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if example.name in NEEDS_BROWSER and not HAS_BROWSER:
        pytest.skip("needs kaleido and Chromium: pip install kaleido, apt install chromium")
    monkeypatch.chdir(tmp_path)
    report: list[str] = []
    result = doctest.DocTestRunner().run(example, out=report.append)
    assert not result.failed, "".join(report)
