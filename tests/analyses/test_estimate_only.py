"""Every command that trains says how long all of it takes before its first step, and can stop."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import grokinterp as gi
from analyses.registry import EXPERIMENTS
from grokinterp.sweeps import estimate
from grokinterp.training import trainer

WITHOUT_SIZES = ("architectures", "dissociation")
# The words of each command, with OUT where its folder goes.
TRAINING = {
    "demo": ["demo", "--out", "OUT"],
    "train": ["train", "OUT"],
    "sweep": ["sweep", "fig3a", "--size", "tiny", "--out", "OUT"],
} | {
    name: ["run", name, "OUT", *([] if name in WITHOUT_SIZES else ["--size", "tiny"])]
    for name in EXPERIMENTS
    if name != "coverage"  # which simulates; see its own tests
}


@pytest.fixture(autouse=True)
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "_costs", lambda configs, *_: [60.0] * len(configs))
    for place, function in ((trainer, "_train_stack"), (trainer, "train_each"), (gi, "sweep")):
        monkeypatch.setattr(place, function, lambda *_, **__: pytest.fail("it was trained"))


@pytest.mark.parametrize("name", TRAINING)
def test_each_gives_one_estimate_and_stops(
    name: str, tmp_path: Path, command: Callable[..., Any]
) -> None:
    if name == "images":  # whose default images are scikit-learn's
        pytest.importorskip("sklearn")
    out = tmp_path / "out"
    words = [out if word == "OUT" else word for word in TRAINING[name]]
    result = command(*words, "--estimate-only")
    assert result.exit_code == 0, result.output
    assert result.output.count("about ") == 1, result.output
    assert not out.exists()


@pytest.mark.parametrize("name", ["train", "grokking_across"])
def test_an_estimate_in_json(name: str, tmp_path: Path, command: Callable[..., Any]) -> None:
    words = [tmp_path / "out" if word == "OUT" else word for word in TRAINING[name]]
    told = json.loads(command(*words, "--dry-run", "--json").stdout)
    assert told["seconds"] >= 60.0 * told["runs"] / 2 > 0  # two at a time, or one
    assert told["steps"] > 0
