"""How a grid is cut into blocks, and that a large one is made without detours."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch

import grokinterp as gi
from grokinterp.sweeps.chunks import default_chunk
from grokinterp.sweeps.grid import Grid, indices

AXES = {
    "data.p": [7, 11],
    "data.train_fraction": [0.3, 0.5, 0.7],
    "training.weight_decay": [0.0, 1.0, 2.0, 3.0, 4.0],
}


@pytest.mark.parametrize("runs", [1, 2, 3, 4, 8, 10, 15, 1000])
def test_blocks_cover_every_run_once_with_one_program_each(base: gi.RunConfig, runs: int) -> None:
    grid = Grid(base, AXES, (0, 1))
    shape = grid.block_shape(runs)
    assert np.prod(shape) <= runs
    count = np.zeros(grid.shape, dtype=int)
    for block in grid.blocks(shape):
        count[block] += 1
        assert len({config.data.p for config in grid.configs[block].flat}) == 1
        assert [grid.configs[i] for i in indices(block)] == list(grid.configs[block].flat)
    assert (count == 1).all()


def test_seeds_share_a_block_first(base: gi.RunConfig) -> None:
    grid = Grid(base, AXES, (0, 1))
    assert grid.block_shape(2) == (1, 1, 1, 2)
    assert grid.block_shape(10) == (1, 1, 5, 2)
    assert grid.block_shape(8) == (1, 1, 3, 2)  # 3 + 2, not 4 + 1


def test_a_large_grid_makes_every_config_once(
    base: gi.RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two steps each, the axes' values and then the seed, however often the grid is asked."""
    made, replace = [], gi.RunConfig.replace

    def counted(config: gi.RunConfig, changes: Mapping[str, object]) -> gi.RunConfig:
        made.append(changes)
        return replace(config, changes)

    monkeypatch.setattr(gi.RunConfig, "replace", counted)
    axes = {
        "data.train_fraction": np.linspace(0.2, 0.9, 17),
        "data.corruption": np.linspace(0.0, 0.9, 19),
        "training.weight_decay": [0.0, 5.0, 15.0, 20.0],
    }
    grid = Grid(base, axes, (0, 1, 2))
    grid.to_dict()
    for index in np.ndindex(grid.shape):
        grid.describe(index)
    assert grid.size == 3876
    assert len(made) <= 2 * grid.size


@pytest.mark.parametrize(
    ("changes", "runs", "chunk"),
    [
        ({}, 360, 8),  # the papers' size: minutes each block
        ({}, 6, 1),  # one minute each run
        (
            {"data.p": 29, "model.d_mlp": 100},
            48,
            19,
        ),  # README's sweep: blocks of 16, some seconds each
        ({"data.p": 29, "model.d_mlp": 100}, 1000, 64),
        ({"data.p": 29, "model.d_mlp": 100, "training.steps": 100}, 48, 64),  # seconds in all
    ],
)
def test_an_interrupt_leaves_most_of_a_sweep(
    changes: Mapping[str, object], runs: int, chunk: int
) -> None:
    configs = [gi.RunConfig().replace(changes)] * runs
    assert default_chunk(configs, torch.device("cpu"), None) == chunk
