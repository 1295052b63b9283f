"""Whether low precision changes phases: what the script counts, of a toy sweep."""

import json
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

import grokinterp as gi
from analyses.phase_diagrams import presets, sweep_phases
from analyses.phase_diagrams.presets import WEIGHT_DECAY, X, Y

# Stopped while the networks learn: some cells memorise, and accuracies depend on the precision.
SMALL = {"data.p": 13, "model.d_mlp": 32, "training.steps": 25, "training.eval_every": 5}
Shell = Callable[..., ForkServerProcess]


def run(shell: Shell, folder: Path, module: str, *words: object) -> None:
    """``python -m module words``, which must succeed."""
    process = shell(folder, module, *words)
    process.join(timeout=900)
    assert process.exitcode == 0, (folder / "stderr").read_text()


@pytest.mark.slow
def test_precision_counts_the_phases_that_differ(tmp_path: Path, shell: Shell) -> None:
    axes = {WEIGHT_DECAY: (0.0, 5.0), X: (0.3, 0.9), Y: (0.0, 0.5)}
    config, store = presets.get("fig3a").config("tiny").replace(SMALL), tmp_path / "bfloat16"
    low = gi.sweep(config, axes, 2, store=store, precision="bfloat16", progress=False).load()
    words = ("tests.benchmarks.precision", tmp_path, "--sweep", store, "--share", 0.5)
    run(shell, tmp_path, *words)
    text = (tmp_path / "precision.json").read_text()
    found = json.loads(text)
    high = gi.open_sweep(tmp_path / "float32").load()
    assert high.done.all()
    [session] = json.loads(high.attrs["provenance"])
    assert (session["precision"], session["runs"]) == ("float32", 8)

    ours, theirs = (sweep_phases.compute(sweep).phase for sweep in (low, high))
    same, off = 0, 0.0
    for name in high.cell.values:
        decay, fraction, corruption = map(float, str(name).split())
        cell = {WEIGHT_DECAY: decay, X: fraction, Y: corruption}
        same += int((ours.sel(cell).values == theirs.sel(cell=name).values).sum())
        difference = low.sel(cell).final_accuracy - high.sel(cell=name).final_accuracy
        off = max(off, float(abs(difference.sel(subset="train")).max()))
    assert (found["cells"], found["runs"]) == (4, 8)
    assert found["runs with the same phase"] == same
    assert len(found["other phase"]) == 8 - same
    assert 0 <= found["cells with the same majority"] <= 4
    assert 0 <= found["pairs of seeds with the same phase, share"] <= 1
    median, largest = found["difference of accuracy, median and largest"]["train"]
    assert 0 <= median <= largest == pytest.approx(off)
    assert largest > 0

    run(shell, tmp_path, *words)  # everything is there already
    assert (tmp_path / "precision.json").read_text() == text
