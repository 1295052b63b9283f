"""The loss over the plane of two weights: against its definition and torch's autograd."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from analyses.efficiency.mixing.loss_surface import MIXED, loss_surface

N, CLASSES = 12, 7
PAIRS = [(mixed, loss) for mixed, losses in MIXED.items() for loss in losses]
WEIGHTS = [[0.0, 0.0], [0.3, 0.1], [1.2, -0.05], [0.02, 2.5]]


def tables(mixed: str) -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    logits = 2 * torch.randn(2, N, CLASSES, generator=rng, dtype=torch.float64)
    said = logits.softmax(dim=-1) if mixed == "probabilities" else logits
    return said[0], said[1], torch.randint(CLASSES, (N,), generator=rng)


def defined(mixed: str, loss: str, w: Tensor, rows: Tensor) -> Tensor:
    """Mean loss of the mixture of some rows at one point, written as one would say it."""
    memorising, generalising, labels = tables(mixed)
    mix, label = (w[0] * memorising + w[1] * generalising)[rows], labels[rows]
    if loss == "cross_entropy":
        if mixed == "logits":
            return F.cross_entropy(mix, label)
        with_background = (mix + 1 / CLASSES) / (1 + w.sum())
        torch.testing.assert_close(with_background.sum(dim=1), torch.ones(len(rows)).double())
        return F.nll_loss(with_background.log(), label)
    said = mix.softmax(dim=1) if (mixed, loss) == ("logits", "mse_softmax") else mix
    return F.mse_loss(said, F.one_hot(label, CLASSES).double())


@pytest.mark.parametrize(("mixed", "loss"), PAIRS)
@pytest.mark.parametrize("rows", [None, [3, 1, 7]])
def test_loss_and_gradient_are_those_of_the_definition(
    mixed: str, loss: str, rows: list[int] | None
) -> None:
    surface = loss_surface(*tables(mixed), mixed=mixed, loss=loss)
    weights = torch.tensor(WEIGHTS, dtype=torch.float64)
    among = torch.arange(N) if rows is None else torch.tensor(rows)
    values, slopes = [], []
    for point in weights:
        w = point.clone().requires_grad_()
        value = defined(mixed, loss, w, among)
        slopes.append(torch.autograd.grad(value, w)[0])
        values.append(value.detach())
    found = surface.gradient(weights, None if rows is None else among)
    torch.testing.assert_close(found, torch.stack(slopes), rtol=1e-10, atol=1e-12)
    if rows is None:
        torch.testing.assert_close(surface.loss(weights), torch.stack(values))


def test_what_says_nothing_starts_at_the_known_losses() -> None:
    nothing = torch.zeros(1, 2, dtype=torch.float64)
    for mixed, loss in PAIRS:
        found = loss_surface(*tables(mixed), mixed=mixed, loss=loss).loss(nothing).item()
        expected = {
            "cross_entropy": math.log(CLASSES),
            "mse": 1 / CLASSES,
            # Zero logits are uniform probabilities, zero probabilities are none.
            "mse_softmax": 1 / CLASSES if mixed == "probabilities" else (1 - 1 / CLASSES) / CLASSES,
        }[loss]
        assert found == pytest.approx(expected)


def test_a_loss_of_nothing_does_not_drown_in_rounding() -> None:
    """Sums of squares and products that cancel would leave about 1e-17, of either sign."""
    labels = torch.arange(CLASSES)
    right = torch.eye(CLASSES, dtype=torch.float64)
    surface = loss_surface(right, right, labels, mixed="probabilities", loss="mse_softmax")
    weights = torch.tensor([[1.0, 0.0], [0.3, 0.7], [1.0 + 1e-10, 0.0]], dtype=torch.float64)
    found = surface.loss(weights)
    assert (found[:2] < 1e-28).all()
    assert found[2].item() == pytest.approx(1e-20 / CLASSES, rel=1e-4)


def test_losses_that_do_not_go_with_what_is_mixed_are_refused() -> None:
    with pytest.raises(ValueError, match="loss='mse' with mixed='probabilities' is unknown"):
        loss_surface(*tables("probabilities"), mixed="probabilities", loss="mse")
    with pytest.raises(ValueError, match="Did you mean 'logits'"):
        loss_surface(*tables("logits"), mixed="logit", loss="mse")
