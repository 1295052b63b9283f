"""Bad input is refused before anything is trained or written."""

import itertools
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import grokinterp as gi
from grokinterp.sweeps.executors import check_executor

LR = {"training.lr": [1e-3, 1e-2]}
NAMESAKES = [gi.Table("mine", 7, tuple([label] * 49)) for label in (0, 1)]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"axes": {"training.weight_deca": [1.0]}}, ValueError, "training.weight_decay"),
        ({"axes": {"training.nonsense": [1.0]}}, ValueError, "is not a field"),
        ({"axes": {"seed": [1, 2]}}, ValueError, "'seed' cannot be an axis.*seeds="),
        ({"axes": {"training.lr": []}}, ValueError, "axis 'training.lr' is empty"),
        ({"axes": {"training.lr": [0.1, 0.2, 0.1]}}, ValueError, "0.1 twice"),
        ({"axes": {"training.lr": 0.1}}, TypeError, "axis 'training.lr' must be a list"),
        ({"axes": {"data.operation": "addition"}}, TypeError, "must be a list"),
        ({"axes": {"data.operation": {"addition", "a*b"}}}, TypeError, "must be a list"),
        (
            {"axes": {"data.operation": NAMESAKES}},
            ValueError,
            "axis 'data.operation' has two values with the same text, 'mine'",
        ),
        ({"axes": ["training.lr"]}, TypeError, "axes must map"),
        (
            {"axes": {"model": [gi.MLPConfig()], "model.d_mlp": [8]}},
            ValueError,
            "'model' and 'model.d_mlp' set the same field",
        ),
        (
            {"axes": {"training.lr": [0.1, -1.0], "data.corruption": [0.0]}},
            ValueError,
            "training.lr=-1.0, data.corruption=0.0 is invalid.*lr",
        ),
        (
            {"axes": {"data.train_fraction": [0.5, 0.001]}},
            ValueError,
            "data.train_fraction=0.001 is invalid",
        ),
        ({"axes": {"training.betas": [[0.9, 0.9], (0.9, 0.9)]}}, ValueError, "same"),
        (
            {"axes": {"data": [gi.DataConfig(p=7, seed=1), gi.DataConfig(p=7, seed=2)]}},
            ValueError,
            "same",
        ),
        ({"axes": {"data.operation": [lambda a, b: 0, lambda a, b: 1]}}, ValueError, "names"),
        *[
            ({"axes": {"setting": settings}}, error, message)
            for settings, error, message in [
                ({}, ValueError, "axis 'setting' is empty"),
                ({"": {}}, ValueError, "axis 'setting' has the label ''"),
                ({"a": {}, 3: LR}, ValueError, "has the label 3; labels must be"),
                ({"a": 0.1}, TypeError, "'a' on axis 'setting' must map dotted"),
                ({"a": {"training.lrr": 1}}, ValueError, "'training.lrr' is not a field.*lr"),
                ({"a": {"seed": 1}}, ValueError, "'a' on axis 'setting' sets 'seed'"),
                ({"a": {}, "b": {}}, ValueError, "same: setting='a', seed=0; and setting='b'"),
            ]
        ],
        *[
            ({"axes": {"setting": {"a": {"training.lr": 0.1}}} | other}, ValueError, message)
            for other, message in [
                (LR, "'setting' and 'training.lr' set the same field, 'training.lr'"),
                ({"all": {"b": {"training": gi.TrainConfig()}}}, "'all' and 'setting' set the"),
            ]
        ],
        ({"axes": {"training.lr": {"a": {}}}}, TypeError, "'training.lr' must be a list.*own"),
        ({"axes": {"data": {"a": {}}}}, TypeError, "'data' must be a list.*own"),
        ({"axes": {"seed": {"a": {}}}}, ValueError, "'seed' cannot be an axis"),
        *[
            ({"axes": {name: {"a": {}}}}, ValueError, message)
            for name, message in [
                ("", "axes has '', which cannot name a variable"),
                ("a/b", "cannot name a variable"),
                (5, "cannot name a variable"),
                ("done", "axes has 'done', a name already in use"),
                ("subset", "a name already in use"),
            ]
        ],
        (
            {"axes": {"setting": {"a": {}}}, "measure": {"setting": len}},
            ValueError,
            "measure has 'setting', a name already in use",
        ),
        *[
            ({argument: {name: {"a": {}} if argument == "axes" else len}}, ValueError, message)
            for argument in ("axes", "measure")
            for name, message in [
                ("é" * 128, "'ééé.*of 256 bytes.*file name; use at most 255"),
                ("a\0b", "cannot name a variable"),
                ("\ud800", "cannot name a variable"),
            ]
        ],
        ({"axes": {"setting": {"a\0": {}}}}, ValueError, "has the label 'a.x00'"),
        ({"axes": {"training.lr": np.array(0.1)}}, TypeError, "must be a list of values"),
        ({"axes": {"training.lr": itertools.count(1)}}, ValueError, "more than 1000000 values"),
        ({"axes": {"training.lr": range(10**12)}}, ValueError, "more than 1000000 values"),
        (
            {"axes": {"training.lr": range(1, 1001), "training.weight_decay": range(1001)}},
            ValueError,
            "axes and seeds make 1001000 runs, but a sweep has at most 1000000",
        ),
        (
            {"axes": {f"axis {i}": {"a": {}} for i in range(31)}},
            ValueError,
            "axes has 31 entries, at most 30",
        ),
        ({"base": {"data": {}}}, TypeError, "base must be a RunConfig"),
        ({"seeds": 0}, ValueError, "seeds must be at least 1"),
        ({"seeds": []}, ValueError, "seeds is empty"),
        ({"seeds": [1, 1]}, ValueError, "seeds has 1 twice"),
        ({"seeds": [-1]}, ValueError, "seeds must be at least 0"),
        ({"seeds": [0.5]}, TypeError, "seeds must be an integer"),
        ({"seeds": True}, TypeError, "seeds must be"),
        ({"seeds": [2**70]}, ValueError, "seeds must be less than"),
        ({"seeds": 10**12}, ValueError, "seeds must be at most 1000000"),
        ({"seeds": itertools.count()}, ValueError, "seeds has more than 1000000 values"),
        ({"chunk": 0}, ValueError, "chunk must be at least 1"),
        ({"chunk": 10**400}, ValueError, "chunk must be at most"),
        ({"chunk": 2.5}, TypeError, "chunk must be an integer"),
        ({"precision": "float16"}, ValueError, "precision='float16' is unknown"),
        ({"device": "abacus"}, ValueError, "device='abacus'"),
        ({"memory_limit": "1 KB"}, ValueError, "memory_limit='1 KB' is too low for one run"),
        ({"memory_limit": "much"}, ValueError, "memory_limit='much' is not a valid"),
        ({"measure": {"ipr": 3}}, TypeError, "measure 'ipr' must be a function"),
        ({"measure": [len]}, TypeError, "measure must map names"),
        *[
            ({"measure": {name: len}}, ValueError, f"{name!r}, a name already in use")
            for name in ("final_loss", "done", "seed", "subset", "training.lr")
        ],
        ({"measure": {"a/b": len}}, ValueError, "cannot name a variable"),
        ({"measure": {5: len}}, ValueError, "cannot name a variable"),
        ({"refine": True}, TypeError, "refine must be a function"),
        ({"callbacks": [print]}, TypeError, "callbacks must be instances"),
        ({"executor": "threads"}, TypeError, "client.get_executor"),
        ({"worker_timeout": 0.0}, ValueError, "worker_timeout"),
        ({"worker_timeout": 1e300}, ValueError, "worker_timeout"),
        ({"worker_timeout": 10**9}, ValueError, r"worker_timeout must lie in \(0.0, 1000000000.0"),
        ({"store": ""}, ValueError, "store is an empty string.*'.' is the current one"),
        ({"store": 5}, TypeError, "store must be the path of a folder, got 5"),
        ({"store": b"s"}, TypeError, "store must be the path of a folder"),
        ({"store": "~nobody at all/s"}, ValueError, "store=.* is not a valid path"),
        ({"store": "a\0b"}, ValueError, "store=.* is not a valid path: it has a null character"),
        ({"store": "x" * 300}, gi.SweepStoreError, "cannot read .*too long"),
    ],
)
def test_bad_input(base, tmp_path: Path, trained, change, error, message) -> None:
    arguments = {"base": base, "axes": LR, "store": tmp_path / "s", "device": "cpu"} | change
    with pytest.raises(error, match=message):
        gi.sweep(**arguments)
    assert not trained
    assert not list(tmp_path.iterdir())


def test_pools_that_cannot_do_the_work(base, tmp_path: Path, trained) -> None:
    from multiprocessing import get_context

    arguments = {"store": tmp_path / "s", "device": "cpu"}
    with (
        ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool,
        pytest.raises(ValueError, match="spawn"),
    ):
        check_executor(pool, torch.device("cuda"))
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises(TypeError, match="top of a module"),
    ):
        gi.sweep(base, LR, measure={"m": lambda run: 1}, executor=pool, **arguments)
    assert not trained
    assert not list(tmp_path.iterdir())


def raises(run: gi.Run) -> float:
    raise KeyError("W_Q")


@pytest.mark.parametrize(
    ("take", "message"),
    [
        (raises, "'m' raised KeyError: 'W_Q'"),
        (lambda run: None, "'m' must return a number.*None"),
        (lambda run: "0.5", "'m' must return a number"),
        (lambda run: 1 + 2j, "'m' must return a number"),
        (lambda run: [[1, 2], [3]], "'m' must return a number"),
        (lambda run: run.history, "'m' must return a number"),
        (lambda run: list(range(2 + run.config.seed)), r"'m' returned .*3\).*but .*2\)"),
    ],
)
def test_a_measure_that_fails(base, tmp_path: Path, trained, take, message) -> None:
    """Seed 0's block is stored, seed 1 is named; once it succeeds, seed 0 is not redone."""
    healthy = tmp_path / "healthy"  # a variable would be a part of the measure

    def measure(run: gi.Run):
        if healthy.exists() or run.config.seed == 0:
            return [0.0, 1.0]
        return take(run)

    arguments = {"store": tmp_path / "s", "chunk": 1, "device": "cpu", "progress": False}
    with pytest.raises(gi.MeasureError, match=f"(?s)measure {message}") as caught:
        gi.sweep(base, {"training.lr": [0.01]}, 3, {"m": measure}, **arguments)
    assert "the run with training.lr=0.01, seed=1" in str(caught.value)
    assert gi.open_sweep(tmp_path / "s").done.values.tolist() == [[True, False, False]]
    healthy.touch()
    trained.clear()
    result = gi.sweep(base, {"training.lr": [0.01]}, 3, {"m": measure}, **arguments)
    assert [config.seed for config in trained] == [1, 2]
    assert result.m.shape == (1, 3, 2)


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        ({"m": ("seed",)}, "'m' has the dimension 'seed'"),
        ({"m": ("m",)}, "'m' has the dimension 'm'"),
        ({"m": ("done",)}, "'m' has the dimension 'done'"),
        ({"m": ("subset",)}, "'m' has size 2 along 'subset', the sweep has 5"),
        ({"m": ("k",), "n": ("k",)}, "'n' has size 3 along 'k', measure 'm' has 2"),
        (
            {"m": tuple(f"d{i}" for i in range(32))},
            "'m' has 32 dimensions.*'s 1, but an array has at most 32",
        ),
    ],
)
def test_dimensions_that_do_not_fit(base, tmp_path: Path, measure, message) -> None:
    import xarray as xr

    take = {
        name: lambda run, dims=dims, size=2 + i: xr.DataArray(
            np.zeros([size, *(1 for _ in dims[1:])]), dims=dims
        )
        for i, (name, dims) in enumerate(measure.items())
    }
    with pytest.raises(gi.MeasureError, match=message):
        gi.sweep(base, {}, measure=take, store=tmp_path / "s", device="cpu", progress=False)
    assert not gi.open_sweep(tmp_path / "s").done.any()
