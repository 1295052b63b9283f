"""A batch that is shared out over the cores trains as if it were not."""

from typing import Any

import pytest
import torch
from scipy import stats

import grokinterp as gi

# Three threads are more than some machines have cores.
pytestmark = pytest.mark.filterwarnings("ignore:threads=3:RuntimeWarning")

# 1104 training pairs: from 1024 on they are shared out.
LARGE = gi.RunConfig(
    data=gi.DataConfig(p=47, train_fraction=0.5),
    model=gi.MLPConfig(d_mlp=16),
    training=gi.TrainConfig(steps=3, lr=0.1, optimizer="sgd"),
)
TRANSFORMER = gi.TransformerConfig(d_model=8, n_heads=2, init="paper1")


BOTH = pytest.mark.parametrize("model", [LARGE.model, TRANSFORMER], ids=["by hand", "autograd"])


def moved(config: gi.RunConfig, threads: int) -> dict[str, torch.Tensor]:
    """How far each parameter is from where it started."""
    run = gi.train(config, threads=threads, progress=False)
    before = gi.build_model(config).state_dict()
    return {name: weight.detach() - before[name] for name, weight in run.model.named_parameters()}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    ("model", "name", "distance"),
    [(LARGE.model, "W_U", 7.600e-4), (TRANSFORMER, "unembed.W_U", 0.14217)],
    ids=["by hand", "autograd"],
)
def test_weights_move_as_far_as_in_a_plain_loop(
    model: Any, name: str, distance: float, threads: int
) -> None:
    """The distances are those of three steps of torch.optim.SGD in float64.

    In float32 each step rounds the weights by at most eps / 2: three times 6e-8 of the MLP's
    read-out, whose norm is 4.2, are a thousandth of the distance.
    """
    found = moved(LARGE.replace({"model": model}), threads)[name]
    assert float(found.norm()) == pytest.approx(distance, rel=1e-3)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@BOTH
def test_three_threads_move_the_weights_as_one_does(model: Any, dropout: float) -> None:
    config = LARGE.replace({"model": model, "training.dropout": dropout})
    one, three = (torch.cat([w.flatten() for w in moved(config, n).values()]) for n in (1, 3))
    assert float((one - three).norm()) < 1e-4 * float(one.norm())


@BOTH
def test_bfloat16_products_leave_the_weights_in_float32(model: Any) -> None:
    """A float32 is exact in bfloat16 if its last 16 bits are zero: about one in 65536 is."""
    config = LARGE.replace({"model": model, "training.optimizer": "adamw", "training.lr": 1e-2})
    run = gi.train(config, precision="bfloat16", progress=False)
    weights = torch.cat([weight.detach().flatten() for weight in run.model.parameters()])
    weights = weights[weights != 0]  # biases that never got a gradient
    exact = int((weights == weights.bfloat16().float()).sum())
    assert exact <= stats.binom.isf(1e-6, len(weights), 2**-16)
