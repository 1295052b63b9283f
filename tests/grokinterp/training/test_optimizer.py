import torch

from grokinterp import TrainConfig
from grokinterp.training.optimizer import StackedAdamW

CONFIGS = [
    TrainConfig(lr=1e-2, weight_decay=0.0),
    TrainConfig(lr=3e-3, weight_decay=20.0, betas=(0.5, 0.9)),
    TrainConfig(lr=1e-1, weight_decay=1.0, betas=(0.9, 0.999), eps=1e-2),
]


def _gradient(step: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(step)
    return torch.randn(3, 10, generator=rng, dtype=torch.float64) * 10.0 ** (step % 4 - 2)


def test_every_row_is_torchs_adamw() -> None:
    start = torch.randn(3, 10, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    rows = [torch.nn.Parameter(row.clone()) for row in start]
    plain = [
        torch.optim.AdamW([row], lr=c.lr, betas=c.betas, eps=c.eps, weight_decay=c.weight_decay)
        for row, c in zip(rows, CONFIGS, strict=True)
    ]
    weights = start.clone()
    stacked = StackedAdamW(weights, CONFIGS)
    alive = torch.ones(3, dtype=torch.bool)
    for step in range(30):
        grads = _gradient(step)
        stacked.begin_step()
        for columns in (slice(0, 4), slice(4, 10)):  # in two pieces, as two workers would
            stacked.update(grads[:, columns], alive, columns)
        for row, optimizer, grad in zip(rows, plain, grads, strict=True):
            row.grad = grad
            optimizer.step()
    torch.testing.assert_close(weights, torch.stack([row.detach() for row in rows]))


def test_a_frozen_row_keeps_its_weights_whatever_its_gradient() -> None:
    weights = torch.ones(3, 10, dtype=torch.float64)
    stacked = StackedAdamW(weights, CONFIGS)
    grads = torch.ones(3, 10, dtype=torch.float64)
    grads[1] = torch.nan
    stacked.begin_step()
    stacked.update(grads, torch.tensor([True, False, True]), slice(0, 10))
    assert torch.equal(weights[1], torch.ones(10, dtype=torch.float64))
    assert weights.isfinite().all()
    assert not torch.equal(weights[0], torch.ones(10, dtype=torch.float64))
