"""The networks of Hypothesis 2.2: which they are, and the command that tries them."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import grokinterp as gi
from analyses.announcement import Announcement
from analyses.hypothesis import architectures
from analyses.pages.finding import Finding


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two settings that train at once."""
    config = gi.RunConfig(
        data=gi.DataConfig(p=7), model=gi.MLPConfig(d_mlp=6), training=gi.TrainConfig(steps=3)
    )
    monkeypatch.setattr(architectures, "SETTINGS", {"small": config})
    monkeypatch.setattr(architectures, "CONTROLS", {"odd one": config.replace({"seed": 9})})


def test_what_is_wanted_is_four_architectures_and_controls() -> None:
    found = list(architectures.wanted((*architectures.SETTINGS, *architectures.CONTROLS), 3))
    assert len(found) == 4 * 2 * 3 + len(architectures.CONTROLS)
    assert len({run.folder for run in found}) == len({run.config for run in found}) == len(found)
    corruptions = [run.config.data.corruption for run in found[:6]]
    assert corruptions == [0.0] * 3 + [architectures.CORRUPTION] * 3
    assert [run.config.seed for run in found[:3]] == [0, 1, 2]


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("watched", [True, False])
def test_the_command_shows_how_far_it_is(
    watched: bool,
    tmp_path: Path,
    terminal: Callable[[], io.StringIO],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On a terminal a bar for each part of the work, elsewhere none; the verdict always."""
    if watched:
        stderr = terminal()
    else:
        monkeypatch.setattr(sys, "stderr", stderr := io.StringIO())
    steps = architectures.experiment(tmp_path, only=["small"], seeds=1)
    announced, found = steps
    told = ["networks", "embedding, residues shuf", "layers.0.hook_post, resid"]
    for what in (*told, "random frequencies", "2/2 runs trained"):
        assert (what in stderr.getvalue()) is watched, what
    assert watched or stderr.getvalue() == ""
    assert capsys.readouterr().out == ""
    assert isinstance(announced, Announcement)
    assert isinstance(found, Finding)
    first, second = map(str, found.rows)
    for line, corruption in ((first, 0.0), (second, architectures.CORRUPTION)):
        assert line.startswith("MLP 1x6 square"), line
        assert f"corruption {corruption} seed 0" in line
        assert "not applicable: does not generalise: test accuracy is 0." in line


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
def test_the_command_writes_the_test_and_prints_a_line_per_run(
    tmp_path: Path, command: Callable[..., Any]
) -> None:
    result = command("run", "architectures", tmp_path, "--seeds", 1)
    assert result.exit_code == 0, result.output
    assert "not applicable" in result.output
    assert {"hypothesis.html", "hypothesis.nc"} <= {file.name for file in tmp_path.iterdir()}
    wrong = command("run", "architectures", tmp_path, "--only", "LSTM")
    assert wrong.exit_code != 0
    assert "--only 'LSTM' is unknown" in wrong.output
