"""Training flushes denormal numbers (below 1e-38 in float32) to 0; nothing else may change."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

import grokinterp as gi
from analyses.one_run import phases
from probes import model_neuron_ipr

pytestmark = pytest.mark.slow
TINY = torch.finfo(torch.float32).tiny
SMALL = gi.RunConfig(
    data=gi.DataConfig(p=23, train_fraction=0.8, corruption=0.1),
    model=gi.MLPConfig(d_mlp=48),
    training=gi.TrainConfig(steps=300, eval_every=20),
)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Denormal numbers stay as they are, in training too."""
    if not torch.set_flush_denormal(True):
        pytest.skip("this CPU cannot flush denormals")
    torch.set_flush_denormal(False)
    monkeypatch.setattr(torch, "set_flush_denormal", lambda mode: True)


@pytest.fixture
def both(request: pytest.FixtureRequest) -> tuple[list[gi.Run], list[gi.Run]]:
    """The same runs with denormals flushed, and kept."""
    configs: Sequence[gi.RunConfig] = request.param
    flushed = gi.train_many(configs, progress=False)
    request.getfixturevalue("kept")
    return flushed, gi.train_many(configs, progress=False)


def weights(run: gi.Run) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in run.model.parameters()])


DECAYS = [SMALL.replace({"training.weight_decay": decay}) for decay in (0.0, 5.0, 15.0, 20.0)]


@pytest.mark.parametrize("both", [DECAYS], indirect=True)
def test_curves_and_phases_are_the_same(both: tuple[list[gi.Run], list[gi.Run]]) -> None:
    for flushed, kept in zip(*both, strict=True):
        for name, curve in kept.history.items():
            np.testing.assert_allclose(flushed.history[name], curve, rtol=1e-6, err_msg=str(name))
        assert phases.classify(flushed) == phases.classify(kept)
        torch.testing.assert_close(weights(flushed), weights(kept), rtol=1e-6, atol=1e-20)
    assert len({phases.classify(run) for run in both[0]}) > 1


# Adam's momentum outlives the weights, so that it takes a thousand steps until some are denormal.
LONG = SMALL.replace(
    {"data.p": 13, "data.corruption": 0.0, "model.d_mlp": 24, "training.weight_decay": 10.0,
     "training.steps": 1300, "training.eval_every": 1300}
)  # fmt: skip


@pytest.mark.parametrize("both", [[LONG]], indirect=True)
def test_a_neuron_with_denormal_weights_is_dead_as_one_with_none_is(
    both: tuple[list[gi.Run], list[gi.Run]],
) -> None:
    """Its size is below 1e-3 of the largest in either case."""
    (flushed,), (kept,) = both
    is_denormal = (weights(kept) != 0) & (weights(kept).abs() < TINY)
    assert is_denormal.sum() > 10
    assert not weights(flushed)[is_denormal].any()
    dead = [model_neuron_ipr(run.model).ipr.isnan() for run in (flushed, kept)]
    assert torch.equal(*dead)
    assert 0 < dead[0].sum() < 24
