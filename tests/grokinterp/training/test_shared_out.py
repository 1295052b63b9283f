"""A batch that is shared out over the cores trains as if it were not, in every way to train it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy import stats

import grokinterp as gi
from grokinterp.training import trainer
from grokinterp.training.passes import Passes, transformers
from grokinterp.training.passes.by_hand import HandWrittenPasses
from grokinterp.training.passes.run_by_run import RunByRunPasses
from grokinterp.training.passes.small import SmallRunsPasses
from grokinterp.training.passes.transformers import TransformerPasses
from grokinterp.training.stack import Stack

# Three threads are more than some machines have cores.
pytestmark = pytest.mark.filterwarnings("ignore:threads=3:RuntimeWarning")

# 1104 training pairs: from 1024 on they are shared out.
LARGE = gi.RunConfig(
    data=gi.DataConfig(p=47, train_fraction=0.5),
    model=gi.MLPConfig(d_mlp=16),
    training=gi.TrainConfig(steps=3, lr=0.1, optimizer="sgd"),
)
TRANSFORMER = gi.TransformerConfig(d_model=8, n_heads=2, init="paper1")

WAYS: dict[str, tuple[Any, type[Passes]]] = {
    "by hand": (LARGE.model, HandWrittenPasses),
    "small runs": (LARGE.model, SmallRunsPasses),
    "transformer": (TRANSFORMER, TransformerPasses),
    "autograd": (TRANSFORMER, RunByRunPasses),
}
EVERY_WAY = pytest.mark.parametrize("way", WAYS)

Train = Callable[..., gi.Run]


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Train:
    """``gi.train`` in one of the ways; its examples are in as many shares as there are threads."""
    monkeypatch.setattr(transformers, "_WORTH_SHARING", 1)

    def train(config: gi.RunConfig, way: str, threads: int, precision: str = "float32") -> gi.Run:
        passes = WAYS[way][1]
        assert passes.suits(config, torch.device("cpu"))
        stacks: list[Stack] = []

        def built(*args: Any, **options: Any) -> Stack:
            stacks.append(Stack(*args, **options, passes=passes))
            return stacks[-1]

        monkeypatch.setattr(trainer, "Stack", built)
        run = gi.train(config, device="cpu", threads=threads, precision=precision, progress=False)
        assert [len(stack.state.grads) for stack in stacks] == [threads]
        assert type(stacks[0].passes) is passes
        return run

    return train


def moved(run: gi.Run) -> dict[str, torch.Tensor]:
    """How far each parameter is from where it started."""
    before = gi.build_model(run.config).state_dict()
    return {name: weight.detach() - before[name] for name, weight in run.model.named_parameters()}


@pytest.mark.parametrize("threads", [1, 3])
@EVERY_WAY
def test_weights_move_as_far_as_in_a_plain_loop(way: str, threads: int, train: Train) -> None:
    """The distances are those of three steps of torch.optim.SGD in float64.

    In float32 each step rounds the weights by at most eps / 2: three times 6e-8 of the MLP's
    read-out, whose norm is 4.2, are a thousandth of the distance.
    """
    model, _ = WAYS[way]
    name, distance = ("W_U", 7.600e-4) if model is LARGE.model else ("unembed.W_U", 0.14217)
    found = moved(train(LARGE.replace({"model": model}), way, threads))[name]
    assert float(found.norm()) == pytest.approx(distance, rel=1e-3)


@pytest.mark.parametrize(
    ("way", "dropout"), [(way, 0.0) for way in WAYS] + [("by hand", 0.3), ("autograd", 0.3)]
)
def test_three_threads_move_the_weights_as_one_does(way: str, dropout: float, train: Train) -> None:
    """The other ways do not suit runs with dropout."""
    config = LARGE.replace({"model": WAYS[way][0], "training.dropout": dropout})
    one, three = (
        torch.cat([w.flatten() for w in moved(train(config, way, n)).values()]) for n in (1, 3)
    )
    assert float((one - three).norm()) < 1e-4 * float(one.norm())


@EVERY_WAY
def test_bfloat16_products_leave_the_weights_in_float32(way: str, train: Train) -> None:
    """A float32 is exact in bfloat16 if its last 16 bits are zero: about one in 65536 is."""
    change = {"model": WAYS[way][0], "training.optimizer": "adamw", "training.lr": 1e-2}
    run = train(LARGE.replace(change), way, 1, "bfloat16")
    weights = torch.cat([weight.detach().flatten() for weight in run.model.parameters()])
    weights = weights[weights != 0]  # biases that never got a gradient
    exact = int((weights == weights.bfloat16().float()).sum())
    assert exact <= stats.binom.isf(1e-6, len(weights), 2**-16)
