"""What a sweep returns, against runs trained one by one."""

import itertools
import json
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import grokinterp as gi
from grokinterp.data import SUBSETS

AXES = {"training.weight_decay": [0.0, 5.0], "data.corruption": [0.0, 0.2, 0.4]}


def test_every_cell_is_the_run_that_train_gives(base: gi.RunConfig, tmp_path: Path) -> None:
    result = gi.sweep(
        base, AXES, 2, store=tmp_path / "s", device="cpu", precision="float64", progress=False
    )
    assert result.final_accuracy.dims == (*AXES, "seed", "subset")
    assert result.subset.values.tolist() == list(SUBSETS)
    assert result.done.all()
    for wd, corruption, seed in itertools.product(*AXES.values(), range(2)):
        labels = dict(zip(AXES, (wd, corruption), strict=True))
        run = gi.train(
            base.replace(labels | {"seed": seed, "data.seed": seed}),
            device="cpu",
            precision="float64",
            progress=False,
        )
        cell = result.sel(labels | {"seed": seed})
        for subset in SUBSETS:
            accuracy, loss = run.history[f"{subset}_accuracy"], run.history[f"{subset}_loss"]
            want = {
                "final_accuracy": accuracy[-1],
                "best_accuracy": accuracy.max(skipna=False),
                "final_loss": loss[-1],
                "best_loss": loss.min(skipna=False),
            }
            for name, value in want.items():
                np.testing.assert_allclose(cell[name].sel(subset=subset), value, rtol=1e-9)
        norm = sum(float((w.detach().double() ** 2).sum()) for w in run.model.parameters()) ** 0.5
        np.testing.assert_allclose(cell.final_norm, norm, rtol=1e-9)
        norms = (run.history.norm**2).sum("weight") ** 0.5
        np.testing.assert_allclose(cell.largest_norm, norms.max(), rtol=1e-9)
        assert cell.n_changed == run.dataset.is_changed.sum()
        assert cell.n_test == run.dataset.is_test.sum()
        assert cell.diverged_at == -1
    # These cells differ, so a mix-up of cells could not have passed.
    assert len(np.unique(result.final_loss.sel(subset="train"))) == 12


def test_best_is_the_extreme_of_the_history(base: gi.RunConfig) -> None:
    """The loss of a run that is pushed around is worst and best somewhere in the middle."""
    wild = base.replace({"training.lr": 0.3, "training.steps": 4, "training.eval_every": 1})
    result = gi.sweep(wild, {}, seeds=[4], device="cpu", progress=False).isel(seed=0)
    run = gi.train(wild.replace({"seed": 4, "data.seed": 4}), device="cpu", progress=False)
    loss = run.history.train_loss
    assert 0 < int(loss.values.argmin()) < 4
    np.testing.assert_allclose(result.best_loss.sel(subset="train"), loss.min(), rtol=1e-3)


def test_measures_of_every_kind(base: gi.RunConfig, tmp_path: Path) -> None:
    def named(run: gi.Run) -> xr.DataArray:
        return xr.DataArray(
            np.arange(6.0).reshape(2, 3) + run.config.seed,
            dims=("half", "third"),
            coords={"third": [5, 6, 7], "other": 1},
        )

    measure = {
        "number": lambda run: run.config.seed,
        "flag": lambda run: run.config.seed == 1,
        "tensor": lambda run: torch.ones(2, requires_grad=True) * run.config.seed,
        "half_precision": lambda run: torch.full((2,), 0.5, dtype=torch.bfloat16),
        "array": lambda run: np.full((2, 2), run.config.seed, dtype=np.int8),
        "nothing": lambda run: np.copysign(np.nan, -1),
        "named": named,
    }
    store = tmp_path / "s"
    result = gi.sweep(base, {}, [3, 1], measure, store, device="cpu", progress=False)
    assert result.number.values.tolist() == [3, 1]
    assert result.flag.values.tolist() == [0, 1]
    assert result.tensor.dims == ("seed", "tensor_0")
    assert result.tensor.values.tolist() == [[3, 3], [1, 1]]
    assert result.half_precision.values.tolist() == [[0.5, 0.5]] * 2
    assert result.array.dims == ("seed", "array_0", "array_1")
    assert (result.array.sel(seed=1) == 1).all()
    assert result.named.dims == ("seed", "half", "third")
    assert result.named.sel(seed=3).values.tolist() == [[3, 4, 5], [6, 7, 8]]
    assert np.isnan(result.nothing).all()
    # A NaN with a sign, of which zarr keeps no sign, is no damage.
    gi.sweep(base, {}, [3, 1], measure, store, device="cpu", progress=False)


@pytest.mark.filterwarnings("error")
def test_xarray_alone_can_open_the_store(base: gi.RunConfig, tmp_path: Path) -> None:
    axes = {"training.betas": [(0.9, 0.98), (0.5, 0.5)], "data.operation": ["addition", "a*b + 1"]}
    store = tmp_path / "s.zarr"
    result = gi.sweep(
        base, axes, 2, {"m": lambda run: [1.0, 2.0]}, store, device="cpu", progress=False
    )
    plain = xr.open_zarr(store)
    xr.testing.assert_identical(plain[list(result.data_vars)].load(), result.load())
    xr.testing.assert_identical(gi.open_sweep(store).load(), result)
    assert json.loads(plain.attrs["provenance"])[0]["runs"] == 8
    assert gi.RunConfig.from_dict(json.loads(plain.attrs["base"])) == base


def test_labels_of_values_that_are_no_numbers(base: gi.RunConfig) -> None:
    def twice(a: int, b: int) -> int:
        return (2 * a + b) % 7

    models = [gi.MLPConfig(d_mlp=8), gi.MLPConfig(d_mlp=12)]
    axes = {
        "data.operation": ["addition", twice],
        "training.betas": np.array([[0.9, 0.98], [0.5, 0.5]]),
        "model": models,
    }
    measure = {
        "beta": lambda run: run.config.training.betas[0],
        "width": lambda run: run.config.model.d_mlp,
        "label": lambda run: run.dataset.clean_labels[8],  # of the pair (1, 1)
    }
    result = gi.sweep(base, axes, 1, measure, device="cpu", progress=False)
    assert result["data.operation"].values.tolist() == ["addition", "twice"]
    assert result["training.betas"].values.tolist() == ["(0.9, 0.98)", "(0.5, 0.5)"]
    assert result["model"].values.tolist() == [str(model) for model in models]
    assert (result.label.sel({"data.operation": "twice"}) == 3).all()
    assert (result.label.sel({"data.operation": "addition"}) == 2).all()
    assert (result.beta.sel({"training.betas": "(0.5, 0.5)"}) == 0.5).all()
    assert (result.width.sel(model=str(models[1])) == 12).all()


def test_axes_that_change_the_program(base: gi.RunConfig) -> None:
    axes = {"data.p": [7, 11], "training.steps": [3, 6], "training.loss": ["mse", "cross_entropy"]}
    measure = {"p": lambda run: run.dataset.p, "steps": lambda run: run.history.step[-1]}
    result = gi.sweep(base, axes, 2, measure, device="cpu", progress=False)
    assert (result.p == result["data.p"]).all()
    assert (result.steps == result["training.steps"]).all()
    losses = result.final_loss.sel(subset="train")
    assert (losses.sel({"training.loss": "cross_entropy"}) > 1).all()
    assert (losses.sel({"training.loss": "mse"}) < 1).all()


SEEN = {
    "seed": lambda run: run.config.seed,
    "data_seed": lambda run: run.config.data.seed,
}
MEASURE = {f"its_{name}": take for name, take in SEEN.items()}


def test_a_seed_draws_weights_and_data(base: gi.RunConfig) -> None:
    result = gi.sweep(base, {}, [5, 2], MEASURE, device="cpu", progress=False)
    assert result.seed.values.tolist() == [5, 2]
    assert result.its_seed.values.tolist() == result.its_data_seed.values.tolist() == [5, 2]


def test_data_seed_can_be_an_axis(base: gi.RunConfig) -> None:
    result = gi.sweep(base, {"data.seed": [7, 8, 9]}, 2, MEASURE, device="cpu", progress=False)
    assert (result.its_data_seed == result["data.seed"]).all()
    assert (result.its_seed == result.seed).all()


def test_published_data_stay_published(base: gi.RunConfig) -> None:
    axes = {"data.protocol": ["published", "independent"]}
    result = gi.sweep(base, axes, 2, MEASURE, device="cpu", progress=False)
    of = result.its_data_seed
    assert of.sel({"data.protocol": "published"}).values.tolist() == [0, 0]
    assert of.sel({"data.protocol": "independent"}).values.tolist() == [0, 1]


def test_neither_blocks_nor_executor_nor_order_matter(base: gi.RunConfig, same) -> None:
    alone = gi.sweep(base, AXES, 2, device="cpu", chunk=1, progress=False)
    same(gi.sweep(base, AXES, 2, device="cpu", chunk=100, progress=False), alone)
    same(gi.sweep(base, AXES, [1, 0], device="cpu", progress=False).sortby("seed"), alone)
    turned = gi.sweep(base, dict(reversed(AXES.items())), 2, device="cpu", progress=False)
    same(turned.transpose(*AXES, "seed", "subset"), alone)
    with ThreadPoolExecutor(2) as threads:
        same(gi.sweep(base, AXES, 2, executor=threads, device="cpu", progress=False), alone)


@pytest.mark.parametrize("workers", [0, 2])
def test_diverging_runs_leave_their_neighbours_alone(
    base: gi.RunConfig, tmp_path: Path, workers: int
) -> None:
    axes = {"training.lr": [1e-2, 1e25]}
    quiet = {"device": "cpu", "progress": False, "chunk": 4}
    with ThreadPoolExecutor(2) as threads, pytest.warns(gi.DivergenceWarning) as caught:
        result = gi.sweep(
            base, axes, 3, store=tmp_path / "s", executor=threads if workers else None, **quiet
        )
    assert len(caught) == 1
    assert "3 of 6 runs diverged" in str(caught[0].message)
    assert "training.lr=1e+25, seed=0" in str(caught[0].message)
    at = result.diverged_at
    assert (at.sel({"training.lr": 1e25}) > 0).all()
    assert (at.sel({"training.lr": 1e-2}) == -1).all()
    assert result.done.all()
    assert result.final_loss.sel(subset="train").notnull().all()
    alone = gi.sweep(base, {}, 3, device="cpu", progress=False)
    np.testing.assert_allclose(
        result.final_loss.sel({"training.lr": 1e-2}), alone.final_loss, rtol=1e-5
    )
    with pytest.warns(gi.DivergenceWarning, match="3 of 6"):  # resumed: nothing to train
        gi.sweep(base, axes, 3, store=tmp_path / "s", **quiet)


def test_divergence_loses_nothing_where_warnings_are_errors(
    base: gi.RunConfig, tmp_path: Path
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(gi.DivergenceWarning):
            gi.sweep(
                base,
                {"training.lr": [1e25, 1e-2]},
                store=tmp_path / "s",
                device="cpu",
                progress=False,
            )
    assert gi.open_sweep(tmp_path / "s").done.all()
