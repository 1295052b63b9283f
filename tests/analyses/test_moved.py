"""Old module paths, imported or run with ``python -m``, say what to type instead."""

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import analyses
from analyses._moved import _EXPERIMENTS, OldPaths
from analyses.registry import ANALYSES, EXPERIMENTS

(FINDER,) = (finder for finder in sys.meta_path if isinstance(finder, OldPaths))
TYPED = "on the command line: grokinterp"
WORDS = {
    "analyses.pruning": f"analyses.pruning moved to analyses.one_run.pruning; {TYPED} "
    "analyse RUN pruning",
    "analyses.architectures": "analyses.architectures moved to "
    f"analyses.hypothesis.architectures; {TYPED} run architectures OUT",
    "analyses.hypothesis_verdict": "analyses.hypothesis_verdict moved to "
    "analyses.hypothesis.verdict",
    "analyses.collect": "analyses.collect moved to grokinterp.sweeps.collect",
}


@pytest.mark.parametrize("module", WORDS)
def test_importing_an_old_path(module: str) -> None:
    with pytest.raises(ModuleNotFoundError) as caught:
        importlib.import_module(module)
    assert str(caught.value) == WORDS[module]


def test_parts_of_a_folder_that_moved() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"statistics moved to analyses\.statistics"):
        importlib.import_module("analyses.efficiency.statistics.curves")


def test_names_without_a_folder_still_work() -> None:
    from analyses import hypothesis, phase_diagram, phases, pruning, report

    assert phases.__name__ == analyses.phases.__name__ == "analyses.one_run.phases"
    assert pruning.__name__ == "analyses.one_run.pruning"
    assert report.__name__ == "analyses.pages.report"
    assert hypothesis.compute
    assert phase_diagram.plot_diagram
    with pytest.raises(ModuleNotFoundError, match=r"moved to analyses\.hypothesis\.verdict"):
        exec("from analyses import hypothesis_verdict")
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        exec("from analyses import nothing")


def test_what_has_moved_is_there_and_no_longer_here() -> None:
    root = Path(analyses.__path__[0]).parent
    for old, new in FINDER.moved.items():
        assert all(importlib.util.find_spec(name) for name in new.split(" and "))
        assert not list(root.glob(f"{old.replace('.', '/')}.py")), old
    assert set(_EXPERIMENTS.values()) <= EXPERIMENTS.keys()  # newer ones never moved


@pytest.mark.parametrize(
    ("module", "typed"),
    [
        *((module, f"run {name} OUT") for module, name in _EXPERIMENTS.items()),
        *((entry.module, f"run {name} OUT") for name, entry in EXPERIMENTS.items()),
        *((f"analyses.{name}", f"analyse RUN {name}") for name in ANALYSES),
        *((entry.module, f"analyse RUN {name}") for name, entry in ANALYSES.items()),
    ],
)
def test_running_what_was_a_command(
    module: str, typed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While Python looks for the module of -m it is as follows."""
    monkeypatch.setattr(sys, "argv", ["-m", "OUT"])
    for words in (["-m", module], [f"-Wd -m{module}".split()[1]]):
        monkeypatch.setattr(sys, "orig_argv", ["python", *words, "OUT"])
        with pytest.raises(ModuleNotFoundError) as caught:
            FINDER.find_spec(module)
        assert str(caught.value).endswith(f"{TYPED} {typed}")
        assert module in str(caught.value)
    FINDER.find_spec("analyses.registry")  # other modules are none of its business
    FINDER.find_spec("numpy")


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("analyses.efficiency.d_crit", "is no longer a command"),
        ("analyses.efficiency.statistics.coverage", "moved to analyses.statistics.coverage"),
    ],
)
def test_in_a_shell(module: str, words: str, tmp_path: Path) -> None:
    asked = [sys.executable, "-m", module, "OUT"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (1, "")
    name = module.rsplit(".")[-1]
    assert f"{module} {words}; on the command line: grokinterp run {name} OUT" in done.stderr
    assert done.stderr.count("\n") == 1
