"""A sweep started by a command says what `gi.sweep` says."""

from pathlib import Path

import pytest

import grokinterp as gi
from analyses.phase_diagrams.sweep_job import SweepJob


def test_diverged_runs_are_told_once(tmp_path: Path) -> None:
    base = gi.RunConfig(
        data=gi.DataConfig(p=5),
        model=gi.MLPConfig(d_mlp=4),
        training=gi.TrainConfig(steps=4, optimizer="sgd"),
    )
    job = SweepJob(
        base=base, axes={"training.lr": [1e-3, 1e25]}, seeds=2, store=tmp_path / "s.zarr"
    )
    with pytest.warns(gi.DivergenceWarning, match="2 of 4 runs diverged") as caught:
        data = job.run(progress=False)
    assert len(caught) == 1
    assert (data.diverged_at.values >= 0).sum() == 2
