from collections.abc import Callable

import pytest
import torch

from grokinterp import TrainConfig
from grokinterp.training.optimizer import StackedOptimizer

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
    stacked = StackedOptimizer(weights, CONFIGS)
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


ADAM = [
    TrainConfig(optimizer="adam", lr=lr, weight_decay=wd) for lr, wd in ((1e-2, 0.0), (1e-1, 3.0))
]
SGD = [
    TrainConfig(optimizer="sgd", lr=1e-2, momentum=0.9, weight_decay=0.3),
    TrainConfig(optimizer="sgd", lr=1e-1),
]


@pytest.mark.parametrize("configs", [ADAM, SGD], ids=["adam", "sgd"])
def test_every_row_is_torchs_adam_or_sgd_with_l2(configs: list[TrainConfig]) -> None:
    rows = [torch.nn.Parameter(row.clone()) for row in _gradient(9)[:2]]
    plain = [
        torch.optim.Adam([row], lr=c.lr, betas=c.betas, eps=c.eps, weight_decay=c.weight_decay)
        if c.optimizer == "adam"
        else torch.optim.SGD([row], lr=c.lr, momentum=c.momentum, weight_decay=c.weight_decay)
        for row, c in zip(rows, configs, strict=True)
    ]
    weights = _gradient(9)[:2]
    _train(weights, configs, lambda step, row: _take(plain[row], rows[row], _gradient(step)[row]))
    torch.testing.assert_close(weights, torch.stack([row.detach() for row in rows]))


def test_decay_to_init_is_adamw_around_where_the_weights_started() -> None:
    """Decay towards w0 of w is decay towards zero of w - w0, the gradients being given."""
    start = _gradient(9)[:2]
    config = TrainConfig(lr=3e-2, weight_decay=2.0, decay="decoupled_init")
    weights, moved = start.clone(), torch.zeros_like(start)
    _train(weights, [config, TrainConfig(lr=1e-2, decay="decoupled_init")])
    _train(moved, [TrainConfig(lr=3e-2, weight_decay=2.0), TrainConfig(lr=1e-2)])
    torch.testing.assert_close(weights - start, moved)
    assert not torch.allclose(weights, start)


def test_sgd_with_decoupled_decay_shrinks_by_one_minus_lr_times_decay() -> None:
    config = TrainConfig(optimizer="sgd", lr=0.1, weight_decay=2.0, decay="decoupled_zero")
    weights = torch.ones(1, 10, dtype=torch.float64)
    stacked = StackedOptimizer(weights, [config])
    stacked.begin_step()
    grads = torch.full((1, 10), 0.5, dtype=torch.float64)
    stacked.update(grads, torch.tensor([True]), slice(0, 10))
    torch.testing.assert_close(weights, torch.full_like(weights, 0.8 - 0.05))


def test_warm_up_is_linear_from_a_first_step_of_zero() -> None:
    """As the second paper's code: the rate of update t is lr * min(1, t / 10)."""
    config = TrainConfig(lr=1e-2, warmup_steps=10, weight_decay=1.0)
    row = torch.nn.Parameter(_gradient(9)[0])
    plain = torch.optim.AdamW([row], lr=1e-2, betas=config.betas, weight_decay=1.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(plain, lambda t: min(1.0, t / 10))
    weights = _gradient(9)[:1]
    start = weights.clone()

    def step_plain(step: int, _: int) -> None:
        _take(plain, row, _gradient(step)[0])
        schedule.step()
        if step == 0:
            assert torch.equal(row.detach(), start[0])

    _train(weights, [config], step_plain)
    torch.testing.assert_close(weights[0], row.detach())


def _take(optimizer: torch.optim.Optimizer, row: torch.nn.Parameter, grad: torch.Tensor) -> None:
    row.grad = grad
    optimizer.step()


def _train(
    weights: torch.Tensor,
    configs: list[TrainConfig],
    plain: Callable[[int, int], None] = lambda step, row: None,
) -> None:
    stacked = StackedOptimizer(weights, configs)
    alive = torch.ones(len(configs), dtype=torch.bool)
    for step in range(30):
        grads = _gradient(step)[: len(configs)]
        stacked.begin_step()
        for columns in (slice(0, 4), slice(4, 10)):
            stacked.update(grads[:, columns], alive, columns)
        for row in range(len(configs)):
            plain(step, row)


@pytest.mark.parametrize("configs", [CONFIGS, ADAM], ids=["adamw", "adam"])
def test_a_step_in_one_pass_is_the_step_that_noise_of_zero_takes(
    configs: list[TrainConfig],
) -> None:
    """Noise needs the update by itself, so it is made in several passes."""
    start, alive = _gradient(9)[: len(configs)], torch.ones(len(configs), dtype=torch.bool)
    alive[1] = False
    ends = []
    for noise in (None, torch.zeros_like(start)):
        weights = start.clone()
        stacked = StackedOptimizer(weights, configs, before=[5 * run for run in range(len(start))])
        for step in range(30):
            stacked.begin_step()
            stacked.update(_gradient(step)[: len(start)], alive, slice(None), noise)
        ends.append(weights)
    torch.testing.assert_close(*ends, rtol=1e-9, atol=1e-9)
    assert torch.equal(ends[0][1], start[1])
    assert not torch.equal(ends[0][0], start[0])


def test_runs_of_equal_rates_are_updated_as_one_piece_of_memory() -> None:
    """Rows 0, 1 and 3, 4 are neighbours with the same rates; row 2 has diverged."""
    configs = [CONFIGS[0]] * 4 + [CONFIGS[1]]
    start = torch.stack([*_gradient(9), *_gradient(8)[:2]])
    alive = torch.tensor([True, True, False, True, True])
    one, other = start.clone(), start.clone()
    stacks = [StackedOptimizer(w, configs, before=[0, 0, 0, 0, 7]) for w in (one, other)]
    for step in range(5):
        grads = torch.stack([*_gradient(step), *_gradient(step + 1)[:2]])
        for stacked in stacks:
            stacked.begin_step()
        for rows in (slice(0, 2), slice(2, 5)):
            stacks[0].update_in_one_pass(grads[rows], alive, rows)
        for columns in (slice(0, 4), slice(4, 10)):  # of which each row is a piece of its own
            stacks[1].update(grads[:, columns], alive, columns)
    torch.testing.assert_close(one, other)
    assert torch.equal(one[2], start[2])
    assert not torch.equal(one[4], start[4])


def test_a_frozen_row_keeps_its_weights_whatever_its_gradient() -> None:
    weights = torch.ones(3, 10, dtype=torch.float64)
    stacked = StackedOptimizer(weights, CONFIGS)
    grads = torch.ones(3, 10, dtype=torch.float64)
    grads[1] = torch.nan
    stacked.begin_step()
    stacked.update(grads, torch.tensor([True, False, True]), slice(0, 10))
    assert torch.equal(weights[1], torch.ones(10, dtype=torch.float64))
    assert weights.isfinite().all()
    assert not torch.equal(weights[0], torch.ones(10, dtype=torch.float64))
