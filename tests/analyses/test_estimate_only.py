"""Every command that trains says how long all of it takes before its first step, and can stop."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import analyses
import grokinterp as gi
from analyses.cli import app
from grokinterp.sweeps import estimate
from grokinterp.training import trainer

# Arguments of commands that train nothing: they read what is there, or simulate.
OTHERS = {"run_dir", "run_dirs", "sweep", "replicates"}


def commands() -> dict[str, Callable[..., Any]]:
    """Those of ``grokinterp``, and the ``main`` of every module that can be run, by name."""
    found = {f"grokinterp {command.callback.__name__}": command.callback
             for command in app.registered_commands if command.callback}  # fmt: skip
    root = Path(analyses.__path__[0])
    for module in pkgutil.walk_packages([str(root)], "analyses."):
        file = root.joinpath(*module.name.split(".")[1:]).with_suffix(".py")
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        if "\ndef main(" in text and "typer.run(main)" in text:
            found[module.name] = importlib.import_module(module.name).main
    return found


COMMANDS = commands()
TRAINING = {name: command for name, command in COMMANDS.items()
            if not OTHERS & set(inspect.signature(command).parameters)}  # fmt: skip


def test_commands_are_found() -> None:
    assert {"grokinterp demo", "grokinterp train", "grokinterp sweep"} <= TRAINING.keys()
    assert {"analyses.hypothesis.architectures", "analyses.efficiency.d_crit"} <= TRAINING.keys()
    others = {"grokinterp analyse", "grokinterp diagram", "analyses.statistics.coverage"}
    assert COMMANDS.keys() - TRAINING.keys() == others


@pytest.mark.parametrize("name", TRAINING)
def test_each_gives_one_estimate_and_stops(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "_costs", lambda configs, *_: [60.0] * len(configs))
    for place, function in ((trainer, "_train_stack"), (trainer, "train_each"), (gi, "sweep")):
        monkeypatch.setattr(place, function, lambda *_, **__: pytest.fail("it was trained"))
    options = inspect.signature(TRAINING[name]).parameters
    words = ["--estimate-only", *(["fig3a"] if "preset" in options else [])]
    words += ["--size", "tiny"] if "size" in options else []
    out = tmp_path / "out"
    is_option = options["out"].default is not inspect.Parameter.empty
    words += ["--out", str(out)] if is_option else [str(out)]
    alone = typer.Typer()
    alone.command()(TRAINING[name])
    result = CliRunner().invoke(alone, words)
    assert result.exit_code == 0, result.output
    assert result.output.count("about ") == 1, result.output
    assert not out.exists()
