"""Controls of the second paper: the gradient is that of the training pairs, gains are paired."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import grokinterp as gi
from analyses.efficiency import settings
from analyses.efficiency.data_efficiency import grids
from analyses.ledger import catalogue
from analyses.ledger.measures import controls
from grokinterp.sweeps.collect import Named


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> list[Named]:
    """MLPs of 10 steps instead of 3000; the runs that were asked for."""
    training = {"steps": 1, "lr": 1e-2, "weight_decay": 0.5, "eval_every": 1}
    monkeypatch.setitem(settings._P, "tiny", 7)
    monkeypatch.setitem(settings._WIDTH, "tiny", 8)
    monkeypatch.setitem(settings._TRAINING, "tiny", training)
    monkeypatch.setitem(settings._OWN, "tiny", {"mlp": {"loss": "mse_softmax"}})
    asked: list[Named] = []

    def trained(_: Path, wanted: list[Named]) -> list[gi.Run]:
        asked.extend(wanted)
        return gi.train_many([named.config for named in wanted], progress=False)

    monkeypatch.setattr(controls, "collect", trained)
    return asked


def assert_has_what_entries_read(found: xr.Dataset, source: str) -> None:
    parts = [
        part
        for entry in catalogue.entries()
        if entry.source.name == source
        for part in entry.reads.values()
    ]
    assert parts
    for part in parts:
        assert set(part.at) <= set(found[part.variable].dims), part


def test_the_gradient_is_that_of_the_training_pairs(toys: list[Named], tmp_path: Path) -> None:
    found = controls.gradient_norm(seeds=2, work=tmp_path, size="tiny")
    assert len({named.folder for named in toys}) == len(toys) == found.distance.size == 8
    config = toys[-1].config  # decoupled decay, all pairs, the second seed
    assert (config.training.optimizer, config.training.decay_kind) == ("adamw", "decoupled_zero")
    assert (config.training.steps, config.training.batch_size, config.seed) == (10, None, 1)
    assert toys[0].config.training.decay_kind == "l2"
    assert_has_what_entries_read(found, "gradient_norm")
    run = gi.train(config, progress=False)
    data, model = run.dataset, run.model.double()
    error = model(data.tokens).softmax(dim=1) - torch.eye(7)[data.labels]
    error[data.is_train].square().mean().backward()
    weights = torch.cat([w.detach().flatten() for w in model.parameters()])
    gradient = torch.cat([w.grad.flatten() for w in model.parameters() if w.grad is not None])
    expected = (gradient / 0.5 + weights).norm() / weights.norm()
    at = {"decay": "decoupled_zero", "batches": "all pairs", "seed": 1}
    np.testing.assert_allclose(found.distance.sel(at), expected, rtol=1e-5)  # of float32
    assert found.test_accuracy.sel(at) == run.history.test_accuracy[-1]
    # The other seed, and the other decay, are other runs.
    assert len(np.unique(found.push.sel(batches="all pairs"))) == 4


def test_gains_are_paired_by_seed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    right = {"none": 0.2, "decoupled_zero": 0.6, "decoupled_init": 0.3, "jiggle": 0.2}
    asked: list[gi.RunConfig] = []

    def made(_: Path, wanted: list[Named]) -> list[Any]:
        asked.extend(named.config for named in wanted)
        runs = []
        for config in asked:
            kind = config.training.decay if config.training.weight_decay else "none"
            accuracy = right[str(kind)] + 0.1 * config.seed + config.data.train_fraction / 10
            values = xr.DataArray([0.0, accuracy], dims="step")
            runs.append(SimpleNamespace(history=xr.Dataset({"test_accuracy": values})))
        return runs

    monkeypatch.setattr(controls, "collect", made)
    found = controls.jiggle(seeds=3, work=tmp_path, size="small")
    grid = grids.get("small")
    assert {config.training.lr for config in asked} == {grid.rates["baseline"]}
    assert {config.training.weight_decay for config in asked} == {0.0, grid.weight_decay}
    assert {config.data.seed for config in asked} == {0, 1, 2}
    for kind, accuracy in right.items():
        np.testing.assert_allclose(found.gain.sel(decay=kind), accuracy - 0.2, atol=1e-12)
        np.testing.assert_allclose(found.gain_low.sel(decay=kind), accuracy - 0.2, atol=1e-12)
    np.testing.assert_allclose(
        found.accuracy.sel(decay="jiggle", fraction=0.4, seed=2), 0.2 + 0.2 + 0.04
    )


def test_decays_of_the_smallest_size_are_trained(
    toys: list[Named], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """For real, on a grid of toys."""
    small = grids.SettingsGrid(
        base=settings.network("mlp", "tiny").replace({"training.batch_size": None}),
        rates={"baseline": 1e-2},
        batch_size=8,
        weight_decay=1.0,
    )
    monkeypatch.setitem(grids.GRIDS, "tiny", small)
    found = controls.jiggle(seeds=1, work=tmp_path, size="tiny")
    assert [named.config.training.decay for named in toys] == [None, *found.decay.values[1:]]
    assert (found.gain.sel(decay="none") == 0).all()
    assert found.gain_low.isnull().all()  # one seed has no interval
    assert_has_what_entries_read(found, "jiggle")


@pytest.mark.parametrize("size", ["tiny", "small"])
def test_networks_are_given_as_many_parameters_as_the_transformer(size: str) -> None:
    found = controls.matched(size)
    built = {name: gi.build_model(config) for name, config in found.items()}
    counts = {n: sum(w.numel() for w in model.parameters()) for n, model in built.items()}
    for name, config in found.items():
        assert controls.parameters(config) == counts[name]
    assert counts["lstm"] == pytest.approx(counts["transformer"], rel=0.02)  # a width more: 3 %
    assert counts["mlp"] == pytest.approx(counts["transformer"], rel=0.02)
    assert found["transformer"] == settings.network("transformer", size)


def test_networks_of_equal_size_are_trained(toys: list[Named], tmp_path: Path) -> None:
    found = controls.size_matched(seeds=1, work=tmp_path, size="tiny")
    names = ["transformer", "lstm", "mlp"]
    assert [named.folder for named in toys] == [f"matched-{n}-0.5-seed-0" for n in names]
    assert found.network.values.tolist() == names
    assert found.parameters.dims == found.delay.dims == ("network",)
    assert_has_what_entries_read(found, "size_matched")


def test_a_network_is_trained_five_times_as_long(toys: list[Named], tmp_path: Path) -> None:
    options = {"size": "tiny", "network": "mlp", "fraction": 0.5}
    found = controls.five_times_longer(seeds=2, work=tmp_path, **options)
    runs = gi.train_many([named.config for named in toys], progress=False)
    assert [(run.config.seed, int(run.history.step[-1])) for run in runs] == [(0, 5), (1, 5)]
    assert found.best.values.tolist() == [float(run.history.test_accuracy.max()) for run in runs]
    assert found.budget == 5
    assert found.step.isnull().all()
    assert set(found.coords) == {"seed"}
    assert_has_what_entries_read(found, "lstm_longer")
