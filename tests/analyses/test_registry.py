"""The registry of experiments and analyses: complete, true, and listed without importing torch."""

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import analyses
from analyses.efficiency import mixing
from analyses.images import training as image_training
from analyses.registry import ANALYSES, EXPERIMENTS, resolve
from grokinterp.sweeps import estimate

Command = Callable[..., Any]
TABLES = {"experiment": EXPERIMENTS, "analysis": ANALYSES}


@pytest.mark.parametrize("kind", TABLES)
def test_every_function_of_this_name_is_registered(kind: str) -> None:
    modules = [m.name for m in pkgutil.walk_packages(analyses.__path__, "analyses.")]
    found = {getattr(importlib.import_module(m), kind, None) for m in modules if ".cli" not in m}
    assert found - {None} == {resolve(kind, name) for name in TABLES[kind]}


def test_every_question_to_one_run_is_registered() -> None:
    """Each module that computes something of a run, and draws it."""
    package = importlib.import_module("analyses.one_run")
    names = [m.name for m in pkgutil.iter_modules(package.__path__, "analyses.one_run.")]
    asking = {name for name in names if hasattr(importlib.import_module(name), "compute")}
    assert asking == {e.module for e in ANALYSES.values() if e.module.startswith(package.__name__)}


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k, table in TABLES.items() for n in table])
def test_every_entry_is_a_command(kind: str, name: str, command: Command) -> None:
    first = next(iter(inspect.signature(resolve(kind, name)).parameters))
    assert first in {"experiment": ("out",), "analysis": ("run", "runs")}[kind]
    result = command({"experiment": "run", "analysis": "analyse"}[kind], name, "--help")
    assert result.exit_code == 0, result.output
    assert "--json" in result.output
    assert ("--estimate-only" in result.output) is (kind == "experiment")
    assert TABLES[kind][name].shows[1:].split()[0] in result.output


@pytest.mark.parametrize(("verb", "table"), [("run", EXPERIMENTS), ("analyse", ANALYSES)])
def test_a_list_says_what_there_is(verb: str, table: Any, command: Command) -> None:
    listed = command(verb, "--list").stdout
    told = json.loads(command(verb, "--list", "--json").stdout)
    assert told.keys() >= table.keys()
    for name, entry in table.items():
        assert any(line.startswith(f"{name} ") for line in listed.splitlines())
        expected = {"shows": entry.shows, "figures": entry.figures, "cost": entry.cost}
        assert told[name] == expected


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("dcrit", "did you mean d_crit?"),
        ("semi-grokking", "did you mean semi_grokking"),
        ("Ungroking", "did you mean ungrokking"),
        ("xyz", "there is grokking_across, data_efficiency, "),
    ],
)
def test_an_unknown_experiment_names_the_near_ones(name: str, near: str, command: Command) -> None:
    result = command("run", name, "out", "--size", "tiny")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: {name!r} is not an experiment; {near}")
    assert result.stderr.count("\n") == 1


def test_help_and_lists_load_nothing_heavy() -> None:
    code = """
import sys
from analyses.cli import app
for words in (["--help"], ["run", "--help"], ["run", "--list"], ["analyse", "--list"],
              ["run", "dcrit"], ["analyse", "prunning"]):
    try:
        app(words)
    except SystemExit:
        pass
heavy = {"torch", "numpy", "xarray", "plotly", "transformer_lens", "grokinterp"}
sys.exit(str(heavy & sys.modules.keys()) if heavy & sys.modules.keys() else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "d_crit" in done.stdout


WITHOUT_SIZES = ("architectures", "dissociation")


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name != "coverage"])
def test_a_cost_is_what_the_command_would_train(
    name: str, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "images":  # whose default images are scikit-learn's
        pytest.importorskip("sklearn")
    monkeypatch.setattr(estimate, "_costs", lambda configs, *_: [1.0] * len(configs))
    monkeypatch.setattr(mixing, "_seconds", lambda *_: 0.0)
    monkeypatch.setattr(image_training, "seconds", lambda *_: 0.0)
    told = []
    for size in ("tiny", "small", "published"):
        options = [] if name in WITHOUT_SIZES else ["--size", size]
        out = command("run", name, tmp_path, *options, "--estimate-only", "--json").stdout
        ahead = json.loads(out)
        told.append(f"{size} {ahead['runs']} runs, {ahead['steps']:,} steps")
    if name in WITHOUT_SIZES:
        told = [told[0].removeprefix("tiny ")]
    assert EXPERIMENTS[name].cost == "; ".join(told)
