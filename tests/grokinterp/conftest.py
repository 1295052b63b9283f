"""Runs that are saved and loaded. But for ``folder`` they are shared: only read them."""

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import pytest

import grokinterp as gi

SMALL = gi.RunConfig(
    data=gi.DataConfig(p=7, corruption=0.3),
    model=gi.MLPConfig(d_mlp=8),
    training=gi.TrainConfig(steps=20, eval_every=1),
)


@pytest.fixture(scope="session")
def odd_run() -> gi.Run:
    """Another architecture, dtype and task; without corruption one accuracy is NaN throughout."""
    config = gi.RunConfig(
        data=gi.DataConfig(p=5, operation=gi.Table("zéro", 5, (0, 1, 2, 3, 4) * 5)),
        model=gi.MLPConfig(d_mlp=6, n_layers=2, act="gelu", init="lazy"),
        training=gi.TrainConfig(steps=7, eval_every=3, loss="cross_entropy", lr=1e-3),
    )
    probes = {"first_row": lambda model: model.W_E[0, 0].detach(), "E(|w|) > .1, %": lambda _: 1}
    checkpoints = {"start": gi.at_step(0), "später": gi.at_step(5)}
    how: dict[str, Any] = {"device": "cpu", "precision": "float64", "progress": False}
    run = gi.train(config, probes=probes, checkpoints=checkpoints, **how)
    assert bool(run.history["changed_accuracy"].isnull().all())
    return dataclasses.replace(run, provenance=run.provenance | {"note": [1, None]})


@pytest.fixture(scope="session")
def diverged_run() -> gi.Run:
    """Its history has a single row."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gi.DivergenceWarning)
        config = SMALL.replace({"training.lr": 1e30, "training.steps": 5})
        return gi.train(config, device="cpu", progress=False)


@pytest.fixture(scope="session")
def unfinished_run() -> gi.Run:
    """As Ctrl-C after three steps leaves it."""
    run = gi.train(SMALL.replace({"training.steps": 3}), device="cpu", progress=False)
    return dataclasses.replace(run, config=SMALL, interrupted_at=3)


@pytest.fixture
def folder(tiny_run: gi.Run, tmp_path: Path) -> Path:
    """A saved run, to be changed or damaged."""
    return tiny_run.save(tmp_path / "run")
