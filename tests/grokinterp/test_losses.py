import math

import pytest
import torch
import torch.nn.functional as F

from grokinterp.losses import LOSSES


def _logits_and_labels(n: int = 12, p: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    logits = torch.randn(n, p, generator=rng, dtype=torch.float64)
    return logits, torch.randint(p, (n,), generator=rng)


def test_mse_is_torchs_against_one_hot() -> None:
    logits, labels = _logits_and_labels()
    want = F.mse_loss(logits, F.one_hot(labels, 7).double())
    torch.testing.assert_close(LOSSES["mse"].per_example(logits, labels).mean(), want)


@pytest.mark.parametrize("name", [name for name in LOSSES if LOSSES[name].per_example_])
def test_a_loss_that_overwrites_its_logits_is_the_same(name: str) -> None:
    logits, labels = _logits_and_labels()
    overwriting = LOSSES[name].per_example_
    assert overwriting is not None
    want = LOSSES[name].per_example(logits, labels)
    torch.testing.assert_close(overwriting(logits, labels), want)


def test_mse_of_zero_logits_is_one_over_p() -> None:
    labels = torch.arange(97)
    zero = torch.zeros(97, 97, dtype=torch.float64)
    want = torch.tensor(0.010309278350515464, dtype=torch.float64)  # published, 1 / 97
    torch.testing.assert_close(LOSSES["mse"].per_example(zero, labels).mean(), want)


def test_a_small_mse_survives_float32() -> None:
    """The logit of the label is 1 + 1e-5, the others are 1e-6: no sum may cancel to rounding."""
    labels = torch.arange(97)
    logits = torch.full((97, 97), 1e-6) + torch.eye(97) * (1 + 1e-5 - 1e-6)
    off = float(logits[0, 0].double()) - 1
    want = torch.full((97,), (96 * 1e-12 + off**2) / 97)
    torch.testing.assert_close(LOSSES["mse"].per_example(logits, labels), want, rtol=1e-5, atol=0)


def test_cross_entropy_is_torchs() -> None:
    logits, labels = _logits_and_labels()
    want = torch.nn.CrossEntropyLoss()(logits, labels)
    torch.testing.assert_close(LOSSES["cross_entropy"].per_example(logits, labels).mean(), want)


def test_cross_entropy_in_float64_outlives_float32() -> None:
    """A margin of 30 between 97 classes: the loss is log(1 + 96 e^-30), below float32's steps."""
    labels = torch.arange(97)
    logits = (30 * torch.eye(97)).requires_grad_()
    assert not LOSSES["cross_entropy"].per_example(logits, labels).any()
    losses = LOSSES["cross_entropy_float64"].per_example(logits, labels)
    want = torch.full((97,), math.log1p(96 * math.exp(-30)), dtype=torch.float64)
    torch.testing.assert_close(losses, want, rtol=1e-3, atol=0)  # of a sum 1 + 9e-12 in float64
    (grad,) = torch.autograd.grad(losses.sum(), logits)
    off = math.exp(-30) / (1 + 96 * math.exp(-30))
    assert grad.dtype == torch.float32
    torch.testing.assert_close(grad[0, 1].item(), off, rtol=1e-6, atol=0)
    torch.testing.assert_close(grad[0, 0].item(), -96 * off, rtol=1e-3, atol=0)
    exact, labels = _logits_and_labels()
    want = torch.nn.CrossEntropyLoss(reduction="none")(exact, labels)
    assert torch.equal(LOSSES["cross_entropy_float64"].per_example(exact, labels), want)


def test_mse_on_softmax_is_torchs_and_falls_towards_the_label() -> None:
    """The second paper's loss; its printed sign would make the right answer the worst."""
    logits, labels = _logits_and_labels()
    want = F.mse_loss(logits.softmax(dim=1), F.one_hot(labels, 7).double())
    torch.testing.assert_close(LOSSES["mse_softmax"].per_example(logits, labels).mean(), want)
    sure = 50 * F.one_hot(labels, 7).double()
    assert float(LOSSES["mse_softmax"].per_example(sure, labels).max()) < 1e-20
    # no answer at all among C classes: ((1 - 1/C)^2 + (C - 1) / C^2) / C = (C - 1) / C^2
    zero = torch.zeros(1, 239, dtype=torch.float64)
    value = float(LOSSES["mse_softmax"].per_example(zero, torch.tensor([3])))
    assert value == pytest.approx(238 / 239**2)


@pytest.mark.parametrize("name", [n for n, loss in LOSSES.items() if loss.residual_ is not None])
def test_residual_is_the_gradient(name: str) -> None:
    loss = LOSSES[name]
    logits, labels = _logits_and_labels()
    n, p = logits.shape
    leaf = logits.clone().requires_grad_()
    mean = loss.per_example(leaf, labels).mean()
    (want,) = torch.autograd.grad(mean, leaf)
    assert loss.residual_ is not None
    total = loss.residual_(logits, torch.arange(n) * p + labels)  # overwrites logits
    torch.testing.assert_close(logits * loss.grad_scale(n, p), want)
    torch.testing.assert_close(total * loss.loss_scale(p) / n, mean.detach())
