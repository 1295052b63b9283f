"""Runs side by side: every number is where its run's labels say, and nowhere else."""

import dataclasses
import itertools

import numpy as np
import pytest
import xarray as xr

import grokinterp as gi
from analyses.efficiency import settings
from analyses.efficiency.histories import network_of, side_by_side

AXES = ("network", "fraction", "seed")


def made(
    network: str = "mlp", fraction: float = 0.5, seed: int = 0, every: int = 10, rows: int = 4
) -> gi.Run:
    """A run whose accuracies tell which run they are of: seed / 10 for training, fraction held."""
    config = settings.with_fraction(settings.network(network, "tiny"), fraction)
    config = config.replace({"seed": seed})
    steps = np.arange(rows) * every
    history = xr.Dataset(
        {
            "train_accuracy": ("step", np.full(rows, seed / 10)),
            "test_accuracy": ("step", np.full(rows, fraction)),
        },
        coords={"step": steps},
    )
    return gi.Run(config, gi.make_dataset(config.data), None, history)


def test_the_three_networks_have_their_names() -> None:
    for name in settings.NETWORKS:
        assert network_of(settings.network(name, "tiny")) == name
    assert network_of(gi.RunConfig()) == "mlp"


def test_every_run_is_in_its_cell() -> None:
    cells = itertools.product(("transformer", "lstm"), (2, 1), (0.6, 0.3))
    runs = [made(network, fraction, seed) for network, seed, fraction in cells]
    data = side_by_side(runs[1:], AXES)  # without transformer, 0.6, seed 2
    assert data.network.values.tolist() == ["transformer", "lstm"]
    assert data.fraction.values.tolist() == [0.3, 0.6]
    assert data.seed.values.tolist() == [1, 2]
    missing = data.sel(network="transformer", fraction=0.6, seed=2)
    assert missing.test_accuracy.isnull().all()
    assert missing.last_step.isnull()
    others = data.test_accuracy.stack(run=AXES).dropna("run", how="all").T
    assert len(others) == 7
    np.testing.assert_array_equal(others, others.fraction.values[:, None] * np.ones(4))
    train = data.train_accuracy.stack(run=AXES).dropna("run", how="all").T
    np.testing.assert_array_equal(train, train.seed.values[:, None] / 10 * np.ones(4))
    np.testing.assert_array_equal(data.n_train, [[int(0.3 * 169), int(0.6 * 169)]] * 2)
    np.testing.assert_array_equal(data.chance, 1 / 13)


def test_steps_of_runs_that_were_evaluated_at_others_are_nan() -> None:
    data = side_by_side([made(seed=0, every=10), made(seed=1, every=4, rows=6)], AXES)
    assert data.step.values.tolist() == [0, 4, 8, 10, 12, 16, 20, 30]
    known = data.test_accuracy.notnull().squeeze()
    assert data.step.values[known[0]].tolist() == [0, 10, 20, 30]
    assert data.step.values[known[1]].tolist() == [0, 4, 8, 12, 16, 20]
    assert data.last_step.values.ravel().tolist() == [30, 20]


def test_more_axes_and_numbers_of_ones_own() -> None:
    runs = [made(seed=0), made(seed=0), made(seed=1)]
    moments, score = ["kept", "fresh", "kept"], [1.0, 2.0, 3.0]
    data = side_by_side(runs, AXES, labels={"moments": moments}, numbers={"score": score})
    assert data.test_accuracy.dims == ("moments", *AXES, "step")
    assert data.moments.values.tolist() == ["fresh", "kept"]
    np.testing.assert_array_equal(data.score.squeeze(), [[2.0, np.nan], [1.0, 3.0]])


def test_what_cannot_be_laid_out_is_refused() -> None:
    with pytest.raises(ValueError, match="runs is empty"):
        side_by_side([], AXES)
    with pytest.raises(ValueError, match=r"two with network=mlp, fraction=0\.5, seed=0"):
        side_by_side([made(), made()], AXES)
    small = settings.network("mlp", "small")
    other = gi.Run(small, gi.make_dataset(small.data), None, made().history)
    with pytest.raises(ValueError, match="mlp on addition, p=43 and addition, p=13"):
        side_by_side([made(seed=1), other], AXES)
    other = made()
    config = other.config.replace({"data.operation": "subtraction"})
    with pytest.raises(ValueError, match="mlp on subtraction, p=13 and addition, p=13"):
        side_by_side([made(seed=1), dataclasses.replace(other, config=config)], AXES)
