"""Distance irrelevance against its definition on the (a - b, a + b) grid, and at its extremes."""

import numpy as np
import pytest
import torch
from torch import Tensor

from grokinterp.tasks import operation_table
from probes import task_basis
from probes.distance import distance_irrelevance

P = 11


def logits_with(correct: Tensor, operation: str = "addition") -> Tensor:
    """Logits of all pairs whose correct one is given, the others noise."""
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(P * P, P, generator=rng, dtype=torch.float64)
    return logits.scatter(1, operation_table(operation, P).view(-1, 1), correct.view(-1, 1))


def test_against_the_definition() -> None:
    logits = logits_with(torch.randn(P * P, generator=torch.Generator().manual_seed(1)).double())
    L = np.zeros((P, P))
    for a in range(P):
        for b in range(P):
            L[(a - b) % P, (a + b) % P] = logits[a * P + b, (a + b) % P]
    kept = logits.clone()
    found = distance_irrelevance(logits, task_basis("addition", P))
    assert found == pytest.approx(np.mean(np.std(L, axis=1)) / np.std(L), abs=1e-13)
    assert found != pytest.approx(np.mean(np.std(L, axis=0)) / np.std(L), abs=1e-3)
    assert torch.equal(logits, kept)


@pytest.mark.parametrize(
    ("operation", "x", "y"),
    [("addition", 1, 1), ("subtraction", 1, -1), ("multiplication", 1, 1), ("division", 1, -1)],
)
def test_extremes_in_the_basis_of_the_task(operation: str, x: int, y: int) -> None:
    logarithm = torch.full((P,), -1)
    logarithm[[pow(2, e, P) for e in range(P - 1)]] = torch.arange(P - 1)  # 2 generates mod 11
    is_log = operation in ("multiplication", "division")
    place, period = (logarithm.double(), P - 1) if is_log else (torch.arange(P).double(), P)
    of_a, of_b = (2 * torch.pi / period * sign * place for sign in (x, y))
    distance, total = of_a[:, None] - of_b, of_a[:, None] + of_b
    basis = task_basis(operation, P)
    assert distance_irrelevance(logits_with(distance.cos(), operation), basis) < 1e-7
    if not is_log:  # with an even period half of the sums do not occur at a distance
        found = distance_irrelevance(logits_with(total.cos(), operation), basis)
        assert found == pytest.approx(1.0, abs=1e-7)


def test_a_constant_logit_has_no_spread() -> None:
    constant = torch.full((P, P), 0.1, dtype=torch.float64)
    found = distance_irrelevance(logits_with(constant), task_basis("addition", P))
    assert found != found


def test_other_logits_are_refused() -> None:
    with pytest.raises(ValueError, match=r"logits must be \[p \* p, p\]"):
        distance_irrelevance(torch.zeros(P, P), task_basis("addition", P))
