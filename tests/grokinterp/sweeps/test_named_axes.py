"""Axes of settings with names, each of which changes several fields at once."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import grokinterp as gi
from grokinterp.sweeps.grid import Grid
from grokinterp.training.plan import plan
from grokinterp.training.resources import Resources

SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "decayed, slowly": {"training.weight_decay": 5.0, "training.lr": np.float64(1e-3)},
    "SGD": {"training.optimizer": "sgd", "training.lr": 0.5, "training.momentum": 0.9},
}
AXES = {"setting": SETTINGS, "data.train_fraction": [0.4, 0.7]}


def train_all(base: gi.RunConfig, axes: dict[str, Any] = AXES, **changes: Any) -> xr.Dataset:
    return gi.sweep(base, axes, 2, device="cpu", progress=False, **changes)


def test_every_cell_is_the_run_that_train_gives(base: gi.RunConfig, tmp_path: Path) -> None:
    result = train_all(base, store=tmp_path / "s", precision="float64")
    assert result.final_loss.dims == ("setting", "data.train_fraction", "seed", "subset")
    assert result.setting.values.tolist() == list(SETTINGS)
    for label, changes in SETTINGS.items():
        for fraction in AXES["data.train_fraction"]:
            for seed in (0, 1):
                shared = {"data.train_fraction": fraction, "seed": seed, "data.seed": seed}
                run = gi.train(
                    base.replace(changes | shared),
                    device="cpu",
                    precision="float64",
                    progress=False,
                )
                cell = result.sel({"setting": label, "data.train_fraction": fraction, "seed": seed})
                np.testing.assert_allclose(
                    cell.final_loss.sel(subset="train"), run.history.train_loss[-1], rtol=1e-9
                )
    # These runs differ, so a mix-up of settings could not have passed.
    assert len(np.unique(result.final_loss.sel(subset="train"))) == 12
    xr.testing.assert_identical(gi.open_sweep(tmp_path / "s").load(), result.load())


def test_a_finished_sweep_is_gone_on_with_and_other_settings_are_refused(
    base: gi.RunConfig, tmp_path: Path, same, trained: list[gi.RunConfig]
) -> None:
    store = tmp_path / "s"
    first = train_all(base, store=store).load()
    assert len(trained) == 12
    same(train_all(base, store=store), first)
    assert len(trained) == 12
    other_value = SETTINGS | {"SGD": SETTINGS["SGD"] | {"training.momentum": 0.5}}
    other_label = {label.upper(): changes for label, changes in SETTINGS.items()}
    for settings, message in (
        (other_value, "the runs themselves, in a value that its label does not show"),
        (other_label, r"axes.setting was \['plain'.*, now \['PLAIN'"),
    ):
        with pytest.raises(gi.SweepStoreError, match=message):
            train_all(base, AXES | {"setting": settings}, store=store)


def test_settings_share_a_block_only_if_they_can_share_a_stack(base: gi.RunConfig) -> None:
    grid = Grid(base, AXES, (0, 1))
    assert grid.block_shape(100) == (1, 2, 2)  # an optimiser is a program
    gentle = {"plain": {}, "noisy": {"training.update_noise": 0.1, "training.lr": 1e-3}}
    assert Grid(base, AXES | {"setting": gentle}, (0, 1)).block_shape(100) == (2, 2, 2)
    assert Grid(base, AXES | {"setting": gentle}, (0, 1)).block_shape(4) == (2, 1, 2)
    sizes = {"few": {"data.train_fraction": 0.3}, "many": {"data.train_fraction": 0.8}}
    axes = {"sizes": sizes, "training.weight_decay": [0.0, 1.0]}
    assert Grid(base, axes, (0, 1)).block_shape(4) == (1, 2, 2)  # costs differ: last
    assert Grid(base, {"only": {"as it is": {}}}, (0, 1)).block_shape(4) == (1, 2)


@pytest.mark.parametrize(
    "axes",
    [
        {"training.optimizer": ["adam", "sgd"], "training.momentum": [0.0]},
        {"training.batch_size": [None, 4], "training.weight_decay": [0.0, 1.0]},
        {"model": [gi.MLPConfig(d_mlp=4), gi.MLPConfig(d_mlp=8)]},
        {"training.lr": [0.1, 0.2], "training.steps": [3, 4]},
        AXES,
    ],
)
def test_a_block_is_one_stack_of_the_trainer(base: gi.RunConfig, axes: dict[str, Any]) -> None:
    grid = Grid(base, axes, (0, 1))
    for block in grid.blocks(grid.block_shape(100)):
        configs = list(grid.configs[block].flat)
        assert len(plan(configs, Resources(device="cpu", memory_limit=None))) == 1


def test_a_setting_may_draw_the_data(base: gi.RunConfig) -> None:
    axes = {"split": {"first": {"data.seed": 7}, "second": {"data.seed": 8}}}
    configs = Grid(base, axes, (0, 1)).configs
    assert [config.data.seed for config in configs.flat] == [7, 7, 8, 8]
    assert [config.seed for config in configs.flat] == [0, 1, 0, 1]


def test_messages_name_the_setting(base: gi.RunConfig) -> None:
    grid = Grid(base, AXES, (0, 1))
    assert grid.describe((1, 0, 1)) == "setting='decayed, slowly', data.train_fraction=0.4, seed=1"
    wrong = {"fine": {}, "wrong": {"training.lr": -1.0}}
    with pytest.raises(ValueError, match=r"setting='wrong', data.*=0.4 is invalid.*lr"):
        Grid(base, AXES | {"setting": wrong}, (0,))


def test_refine_chooses_among_settings(base: gi.RunConfig) -> None:
    result = train_all(base, refine=no_sgd)
    assert result.done.all("seed").sel(setting="plain").all()
    assert not result.done.sel(setting="SGD").any()


def no_sgd(dataset: xr.Dataset) -> xr.DataArray:
    cells = dataset.done.isel(seed=0, drop=True)
    return xr.ones_like(cells, dtype=bool).where(cells.setting != "SGD", False)
