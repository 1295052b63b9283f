"""A batch that is shared out over the cores trains as if it were not."""

from typing import Any

import pytest
import torch

import grokinterp as gi

# 1104 training pairs: from 1024 on they are shared out.
LARGE = gi.RunConfig(
    data=gi.DataConfig(p=47, train_fraction=0.5),
    model=gi.MLPConfig(d_mlp=16),
    training=gi.TrainConfig(steps=3, lr=0.1, optimizer="sgd"),
)
TRANSFORMER = gi.TransformerConfig(d_model=8, n_heads=2)


def moved(config: gi.RunConfig, threads: int) -> torch.Tensor:
    run = gi.train(config, threads=threads, progress=False)
    before = gi.build_model(config)
    pairs = zip(run.model.parameters(), before.parameters(), strict=True)
    return torch.cat([(after - start).detach().flatten() for after, start in pairs])


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("model", [LARGE.model, TRANSFORMER], ids=["by hand", "autograd"])
def test_three_threads_move_the_weights_as_one_does(model: Any, dropout: float) -> None:
    config = LARGE.replace({"model": model, "training.dropout": dropout})
    one, three = moved(config, 1), moved(config, 3)
    assert float((one - three).norm()) < 1e-4 * float(one.norm())


def test_bfloat16_products_leave_the_weights_in_float32() -> None:
    config = LARGE.replace({"training.optimizer": "adamw", "training.lr": 1e-2})
    weight = gi.train(config, precision="bfloat16", progress=False).model.W_E.detach()
    exact = weight == weight.bfloat16().float()  # one in 65536 by chance
    assert float(exact.double().mean()) < 1e-2


def test_moments_count_the_updates_of_all_parts() -> None:
    config = LARGE.replace(
        {"data.p": 7, "training.optimizer": "adamw", "training.lr": 1e-2, "training.steps": 10}
    )
    end: gi.Checkpoint | None = None
    for part in range(3):
        run = gi.train(config, start=end, checkpoints={"end": gi.at_step(10)}, progress=False)
        end = run.checkpoints["end"]
        assert end.moments is not None
        assert end.moments.updates == 10 * (part + 1)
    whole = gi.train(config.replace({"training.steps": 30}), progress=False)
    assert end is not None
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(end.state[name], weight)
