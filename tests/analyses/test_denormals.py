"""Training flushes denormal numbers (below 1e-38 in float32) to 0; nothing else may change."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

import grokinterp as gi
from analyses.one_run import phases
from grokinterp.training import trainer
from grokinterp.training.passes import Passes
from grokinterp.training.passes.by_hand import HandWrittenPasses
from grokinterp.training.passes.small import SmallRunsPasses
from grokinterp.training.stack import Stack
from probes import model_neuron_ipr

pytestmark = pytest.mark.slow
TINY = torch.finfo(torch.float32).tiny
SMALL = gi.RunConfig(
    data=gi.DataConfig(p=23, train_fraction=0.8, corruption=0.1), model=gi.MLPConfig(d_mlp=48)
)
Both = tuple[list[gi.Run], list[gi.Run]]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Denormal numbers stay as they are, in training too."""
    if not torch.set_flush_denormal(True):
        pytest.skip("this CPU cannot flush denormals")
    torch.set_flush_denormal(False)
    monkeypatch.setattr(torch, "set_flush_denormal", lambda mode: True)


@pytest.fixture
def train_both(request: pytest.FixtureRequest) -> Callable[..., Both]:
    """Trains runs twice: with denormals flushed, and kept."""

    def train(configs: Sequence[gi.RunConfig], precision: str = "float32") -> Both:
        flushed = gi.train_many(configs, precision=precision, device="cpu", progress=False)
        request.getfixturevalue("kept")
        return flushed, gi.train_many(configs, precision=precision, device="cpu", progress=False)

    return train


def weights(run: gi.Run) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in run.model.parameters()])


def count_denormals(numbers: torch.Tensor) -> int:
    """By their bits: where they are flushed, a comparison sees zeros. Exponent 0, fraction not."""
    bits = numbers.contiguous().view(torch.int32) & 0x7FFFFFFF
    return int(((bits > 0) & (bits < 0x00800000)).sum())


# High rates and short averages, so that neurons die in few steps: 0.6 of a weight is left by each
# at a decay of 20. The last step is before the weights themselves are denormal.
DECAYS = [
    SMALL.replace(
        {"training.lr": 2e-2, "training.betas": (0.5, 0.9), "training.steps": 160,
         "training.eval_every": 20, "training.weight_decay": decay}
    ) for decay in (0.0, 5.0, 15.0, 20.0)
]  # fmt: skip


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("passes", [HandWrittenPasses, SmallRunsPasses])
def test_curves_and_phases_are_the_same(
    passes: type[Passes],
    precision: str,
    train_both: Callable[..., Both],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Gradients below 1e-38 move no weight by more than 1e-30: Adam divides them by its eps."""
    found: list[list[int]] = []  # of each training: denormal gradients of each run, in all steps

    class Watched(Stack):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options, passes=passes)
            found.append([0] * len(DECAYS))

        def step(self) -> None:
            super().step()
            (grads,) = self.state.grads
            found[-1] = [n + count_denormals(row) for n, row in zip(found[-1], grads, strict=True)]

    monkeypatch.setattr(trainer, "Stack", Watched)
    for flushed, kept in zip(*train_both(DECAYS, precision), strict=True):
        for name, curve in kept.history.items():
            np.testing.assert_allclose(
                flushed.history[name], curve, rtol=1e-6, atol=1e-18, err_msg=str(name)
            )
        assert phases.classify(flushed) == phases.classify(kept)
        torch.testing.assert_close(weights(flushed), weights(kept), rtol=1e-6, atol=1e-20)
    of_flushed, of_kept = found
    assert of_flushed == [0, 0, 0, 0]
    assert min(of_kept[2:]) > 0


# Adam's momentum outlives the weights, so that it takes a thousand steps until some are denormal.
LONG = SMALL.replace(
    {"data.p": 13, "data.corruption": 0.0, "model.d_mlp": 24, "training.weight_decay": 10.0,
     "training.steps": 1300, "training.eval_every": 1300}
)  # fmt: skip


def test_a_neuron_with_denormal_weights_is_dead_as_one_with_none_is(
    train_both: Callable[..., Both],
) -> None:
    """Its size is below 1e-3 of the largest in either case."""
    (flushed,), (kept,) = train_both([LONG])
    is_denormal = (weights(kept) != 0) & (weights(kept).abs() < TINY)
    assert is_denormal.sum() > 10
    assert not weights(flushed)[is_denormal].any()
    dead = [model_neuron_ipr(run.model).ipr.isnan() for run in (flushed, kept)]
    assert torch.equal(*dead)
    assert 0 < dead[0].sum() < 24
