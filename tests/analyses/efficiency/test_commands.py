"""What all experiments' commands promise: one estimate of the whole before the first step."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import grokinterp as gi
from analyses.efficiency import d_crit, grokking_across, halves, mixing, semi_grokking, ungrokking
from analyses.efficiency.mixing import runs as mixture_runs
from analyses.efficiency.model_efficiency import runs as efficiency_runs
from grokinterp.sweeps import collect, estimate

WANTED = {
    "grokking_across": lambda: grokking_across.wanted("tiny", 2),
    "semi_grokking": lambda: semi_grokking.wanted("tiny", 2),
    "ungrokking": lambda: ungrokking.wanted("tiny", 2),
    "halves": lambda: halves.wanted("tiny", 2),
    "mixture": lambda: [*mixture_runs.wanted("tiny", 2), *halves.wanted("tiny", 2)],
    "model_efficiency": lambda: efficiency_runs.wanted("tiny", 2),
    "training_efficiency": lambda: efficiency_runs.wanted("tiny", 2),
    "d_crit": lambda: d_crit.wanted("tiny", 2),
}


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((gi, "train_many"), (gi, "sweep"), (collect, "train_many")):
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("it was trained"))


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("name", WANTED)
def test_one_estimate_covers_all_stages(
    name: str, tmp_path: Path, command: Callable[..., Any]
) -> None:
    out = tmp_path / "out"
    said = command("run", name, out, "--size", "tiny", "--seeds", 2, "--estimate-only").output
    number = len(WANTED[name]())
    assert len({named.folder for named in WANTED[name]()}) == number
    assert f"{number} of {number} runs to train" in said
    assert said.count("time in all: ") == 1
    assert not out.exists()


@pytest.mark.usefixtures("no_training")
def test_an_estimate_of_a_grid(
    tmp_path: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "_costs", lambda configs, *_: [60.0] * len(configs))
    out = tmp_path / "out"
    words = ["run", "data_efficiency", out, "--size", "tiny", "--seeds", 1, "--estimate-only"]
    said = command(*words).output
    assert "runs to train" in said
    assert not out.exists()


@pytest.mark.usefixtures("no_training")
def test_an_estimate_of_the_hypothesis(tmp_path: Path, command: Callable[..., Any]) -> None:
    out = tmp_path / "out"
    words = ["run", "architectures", out, "--only", "random labels", "--dry-run"]
    said = command(*words).output
    assert "1 of 1 runs to train, 0 steps; time in all: about 1 s." in said.replace("\n", " ")
    assert not out.exists()


def test_mixtures_are_part_of_the_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a clock that counts 1 s for every call and .1 s for every step of every variant."""
    now = 0.0

    def compute(tables: Any, variants: Any, *, steps: int) -> None:
        nonlocal now
        now += 1 + 0.1 * steps * len(variants)

    monkeypatch.setattr(mixing, "compute", compute)
    monkeypatch.setattr(mixing.time, "perf_counter", lambda: now)
    two, one = len(mixing.VARIANTS), len(mixing.OF_HALVES)
    per_step = 0.1 * (2 * two + one)
    # 25 steps are in what is done once, as much as to be on the safe side.
    want = 3 + per_step * (25 + 1000)
    assert mixing._seconds(7, 1000) == pytest.approx(want)
