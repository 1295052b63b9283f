"""The ledger's diagram of three layers with dropout, on a toy."""

from pathlib import Path
from typing import Any

import pytest
import xarray as xr

import grokinterp as gi
from analyses.ledger.measures import deep_dropout
from analyses.phase_diagrams import presets


def test_accuracies_are_those_of_single_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = {"data.p": 7, "model.d_mlp": 8, "training.steps": 30}

    def sweep(config: gi.RunConfig, *args: Any, **options: Any) -> xr.Dataset:
        return swept(config.replace(short), *args, **options)

    swept = gi.sweep
    monkeypatch.setattr(gi, "sweep", sweep)
    data = deep_dropout.deep_dropout(
        seeds=2,
        work=tmp_path,
        size="full",
        train_fractions=[0.4, 0.7],
        corruptions=[0.2],
        dropouts=[0.0, 0.5],
        precision="float32",
    )
    config = presets.get("fig7b").config("full").replace(short)
    config = config.replace({"data.train_fraction": 0.7, "data.corruption": 0.2, "seed": 1})
    run = gi.train(config.replace({"data.seed": 1, "training.dropout": 0.0}))
    ours = data.train.sel(dropout=0.0, alpha=0.7, xi=0.2, seed=1)
    assert float(ours) == pytest.approx(float(run.history.train_accuracy[-1]))
    assert float(data.largest_train[0]) == float(data.train.sel(dropout=0.0).max())
    assert data.confusion.values.tolist() == [2, 2]  # thirty steps teach nothing
    assert data.full_inversion.values.tolist() == [0, 0]
