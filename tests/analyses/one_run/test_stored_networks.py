"""Stored networks are those that training passed through."""

import dataclasses

import pytest
import torch

import grokinterp as gi
from analyses.one_run.stored_networks import (
    checkpoints_at,
    evenly_spaced,
    stored_networks,
)

CONFIG = gi.RunConfig(
    data=gi.DataConfig(p=7, train_fraction=0.6),
    model=gi.MLPConfig(d_mlp=6),
    training=gi.TrainConfig(steps=9, eval_every=3),
)


def stored_steps(run: gi.Run) -> list[int]:
    return [stored.step for stored in stored_networks(run)]


def train(config: gi.RunConfig, **options: object) -> gi.Run:
    return gi.train(config, device="cpu", progress=False, **options)  # pyright: ignore[reportArgumentType]


def test_each_is_the_network_of_a_shorter_training() -> None:
    run = train(CONFIG, checkpoints=checkpoints_at([0, 3, 4, 5, 9]))
    assert stored_steps(run) == [0, 3, 6, 9]  # 4 and 5 are first evaluated at 6
    for stored in stored_networks(run):
        assert not stored.model.training
        expected = gi.build_model(CONFIG)
        if stored.step:
            expected = train(CONFIG.replace({"training.steps": stored.step})).model
        for name, weight in expected.state_dict().items():
            torch.testing.assert_close(stored.model.state_dict()[name], weight)


def test_a_continued_run_has_no_initial_network_of_its_own() -> None:
    first = train(CONFIG)
    run = train(CONFIG, start=first.checkpoint())
    assert stored_steps(run) == [9]
    run = train(CONFIG, start=first.checkpoint(), checkpoints=checkpoints_at([0]))
    start, _ = stored_networks(run)
    torch.testing.assert_close(start.model.W_U, first.model.W_U)


def test_a_diverged_run_has_no_final_network() -> None:
    run = train(CONFIG, checkpoints=checkpoints_at([3]))
    assert stored_steps(dataclasses.replace(run, diverged_at=5)) == [0, 3]


def test_steps_are_checked() -> None:
    with pytest.raises(ValueError, match="steps must name at least one step"):
        checkpoints_at([])
    with pytest.raises(ValueError, match="steps must be at least 0, got -1"):
        checkpoints_at([3, -1])


@pytest.mark.parametrize(
    ("steps", "count", "kept"),
    [(12, 3, [3, 6, 9]), (100, 0, []), (3, 9, [1, 2]), (1, 5, []), (10, 2, [3, 7])],
)
def test_evenly_spaced_steps(steps: int, count: int, kept: list[int]) -> None:
    assert list(evenly_spaced(steps, count)) == [f"step_{step}" for step in kept]
