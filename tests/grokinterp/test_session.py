"""What a session has set in torch neither changes a training nor is changed by one."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

import grokinterp as gi
from grokinterp.team import Team, use_threads

SMALL = gi.RunConfig(
    data=gi.DataConfig(p=7), model=gi.MLPConfig(d_mlp=8), training=gi.TrainConfig(steps=4)
)
TINY = torch.finfo(torch.float32).tiny  # the smallest normal number; half of it is a denormal


def half_of_tiny() -> float:
    """A denormal number, or zero where the thread flushes them."""
    return (torch.full((1,), TINY) / 2).item()


@pytest.fixture(params=[False, True], ids=["kept", "flushed"])
def flushes(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether the session flushes denormals: both ways."""
    if not torch.set_flush_denormal(True):
        pytest.skip("this CPU cannot flush denormals")
    torch.set_flush_denormal(request.param)
    yield request.param
    torch.set_flush_denormal(False)


@pytest.mark.parametrize("threads", [1, 2])
def test_denormals_are_zero_in_a_training_and_as_before_after_it(
    flushes: bool, threads: int
) -> None:
    run = gi.train(
        SMALL, probes={"half": lambda model: half_of_tiny()}, threads=threads, progress=False
    )
    assert run.history["half"].values.tolist() == [0.0, 0.0]
    assert (half_of_tiny() == 0.0) == flushes


def test_denormals_are_as_before_after_an_error(flushes: bool) -> None:
    def broken(model: Any) -> float:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        gi.train(SMALL, probes={"broken": broken}, progress=False)
    assert (half_of_tiny() == 0.0) == flushes


@pytest.mark.usefixtures("flushes")
@pytest.mark.parametrize("size", [2, 3])
def test_denormals_are_zero_in_every_worker(size: int) -> None:
    seen: list[float] = []
    with Team(size) as team:
        team.each(lambda worker: seen.append(half_of_tiny()))
    assert seen == [0.0] * size


@pytest.mark.usefixtures("flushes")
def test_threads_that_torch_starts_while_it_trains_do_not_keep_flushing() -> None:
    """They live on for the thread that needed them first, and begin with its settings."""
    large = torch.full((1 << 20,), TINY)

    def train_first() -> list[bool]:
        torch.set_flush_denormal(False)
        use_threads(2)
        gi.train(SMALL, probes={"any": lambda model: (large / 2).any()}, progress=False)
        return [bool(half.all()) for half in (large / 2).chunk(2)]

    with ThreadPoolExecutor(1) as new_thread:
        assert new_thread.submit(train_first).result() == [True, True]


@pytest.mark.parametrize("threads", [1, 2])
def test_weights_that_decay_away_end_at_zero(threads: int) -> None:
    """Kept denormals would stop above it: .6 times 1.4e-45, the smallest, rounds to 1.4e-45."""
    config = SMALL.replace(
        {"training.optimizer": "sgd", "training.decay": "decoupled_zero", "training.lr": 1e-2,
         "training.weight_decay": 40.0, "training.steps": 250}
    )  # fmt: skip
    run = gi.train(config, threads=threads, progress=False)
    for weight in run.model.parameters():
        assert not weight.any()
