"""What stacks of runs cost that differ from the default: dropout, unequal data, small networks."""

import itertools
from collections.abc import Callable

import pytest
import torch

import grokinterp as gi
from analyses.efficiency import settings
from grokinterp.team import Team
from grokinterp.training.passes import embedding_mlps, transformers
from grokinterp.training.passes.by_hand import HandWrittenPasses
from grokinterp.training.passes.run_by_run import RunByRunPasses
from grokinterp.training.passes.small import SmallRunsPasses
from grokinterp.training.resources import Resources
from grokinterp.training.stack import Stack

DEFAULT = gi.RunConfig(data=gi.DataConfig(corruption=0.35))
SMALL = gi.RunConfig(data=gi.DataConfig(p=31, corruption=0.3), model=gi.MLPConfig(d_mlp=64))
RUNS = 16
CPU = Resources(device="cpu")


@pytest.mark.parametrize("dropout", [0.3, 0.9])
def test_dropout(dropout: float, threads: int, compare: Callable[..., None]) -> None:
    with Team(threads) as team:
        without = Stack([DEFAULT] * 2, CPU, team)
        config = DEFAULT.replace({"training.dropout": dropout})
        stack = Stack([config] * 2, CPU, team)
        compare(stack.step, {"without dropout": without.step}, burst=5)


def test_unequal_training_sets(threads: int, compare: Callable[..., None]) -> None:
    """Training sets of 10 to 90 %: a stack costs what they add up to."""
    shares = [0.1 * tenth for tenth in range(1, 10)]
    mixed = [DEFAULT.replace({"data.train_fraction": share}) for share in shares]
    with Team(threads) as team:
        stack = Stack(mixed, CPU, team)
        largest = Stack([mixed[-1]] * len(mixed), CPU, team)
        compare(stack.step, {"as many of the largest": largest.step}, burst=2)


def test_small_runs(threads: int, compare: Callable[..., None]) -> None:
    """A student's size (p 31, 64 neurons), where the overhead per operation is largest."""
    configs = [SMALL.replace({"seed": seed}) for seed in range(RUNS)]
    with Team(threads) as team:
        stack = Stack(configs, CPU, team)
        singles = itertools.cycle([Stack([config], CPU, team) for config in configs])
        compare(stack.step, {"single run": lambda: next(singles).step()}, burst=20, per=RUNS)


def test_many_small_runs(threads: int, compare: Callable[..., None]) -> None:
    """Ten steps and a row of the history, as trained by default: 256 runs, statistics over seeds.

    Many at once, against one after another on each core.
    """
    configs = [SMALL.replace({"seed": seed}) for seed in range(256)]
    with Team(threads) as team:
        at_once, one_by_one = (
            Stack(configs, CPU, team, passes=passes)
            for passes in (SmallRunsPasses, HandWrittenPasses)
        )
        assert isinstance(Stack(configs, CPU, team).passes, SmallRunsPasses)

        def interval(stack: Stack) -> None:
            for _ in range(10):
                stack.step()
            stack.evaluate()

        compare(
            lambda: interval(at_once),
            {"one run after another": lambda: interval(one_by_one)},
        )


@pytest.mark.parametrize("network", ["transformer", "mlp"])
def test_second_paper(
    network: str, threads: int, compare: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """48 small networks of the second paper (p 43, batches of 101), against one after another."""
    one = settings.network(network, "small")
    configs = [settings.seeded(one, seed) for seed in range(48)]
    with Team(threads) as team, torch.no_grad():
        at_once, autograd = (Stack(configs, CPU, team, passes=p) for p in (None, RunByRunPasses))
        for ways in (embedding_mlps, transformers):
            monkeypatch.setattr(ways, "_GROUP_BYTES", 1)
        one_by_one = Stack(configs, CPU, team)
        compare(
            at_once.step,
            {"one run after another": one_by_one.step, "by autograd": autograd.step},
            burst=3,
        )
