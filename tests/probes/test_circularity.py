"""Circularity of perfect circles, of the published formula, and where it is not defined."""

import numpy as np
import pytest
import torch
from torch import Tensor

import grokinterp as gi
from probes import task_basis
from probes.circularity import circularity, model_circularity

P = 13


def circles(amplitudes: dict[int, float], width: int = 12, p: int = P) -> Tensor:
    """Circles of several frequencies in orthogonal planes, turned at random, off the origin."""
    x = torch.arange(p, dtype=torch.float64)
    angles = ((a, 2 * torch.pi * k * x / p) for k, a in amplitudes.items())
    columns = [a * wave(angle) for a, angle in angles for wave in (torch.cos, torch.sin)]
    rng = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(width, width, generator=rng, dtype=torch.float64)).Q
    return torch.stack(columns, dim=1) @ turn[: len(columns)] + 3


@pytest.mark.parametrize("operation", ["addition", "multiplication"])
def test_circles_are_circular(operation: str) -> None:
    basis = task_basis(operation, P)
    table = torch.randn(P, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    table[basis.order] = circles({2: 3.0, 5: 2.0}, p=basis.period)
    found = circularity(table, basis)
    assert found.value == pytest.approx(1.0, abs=1e-12)
    torch.testing.assert_close(
        found.variance, torch.tensor([9.0, 9.0, 4.0, 4.0]).double() / 26, rtol=0, atol=1e-12
    )
    assert circularity(table.float(), basis).value == pytest.approx(1.0, abs=1e-6)
    if operation == "multiplication":  # no circle in the plain order
        assert circularity(table, task_basis("addition", P)).value < 0.8


def test_against_the_published_formula() -> None:
    rng = torch.Generator().manual_seed(2)
    table = torch.randn(P, 7, generator=rng, dtype=torch.float64)
    kept = table.clone()
    X = table.numpy() - table.numpy().mean(axis=0)
    values, vectors = np.linalg.eigh(X.T @ X)
    parts = []
    for i in np.argsort(values)[::-1][:4]:
        v = X @ vectors[:, i]
        power = [
            2 / (P * (v**2).sum()) * abs((v * np.exp(2j * np.pi * k * np.arange(P) / P)).sum()) ** 2
            for k in range(P)
        ]
        parts.append(max(power))
    found = circularity(table, task_basis("addition", P))
    np.testing.assert_allclose(found.by_component.numpy(), parts, rtol=0, atol=1e-12)
    assert found.value == pytest.approx(np.mean(parts), abs=1e-12)
    np.testing.assert_allclose(
        found.variance.numpy(), np.sort(values)[::-1][:4] / values.sum(), rtol=0, atol=1e-12
    )
    assert torch.equal(table, kept)


def test_degenerate_components_are_refused() -> None:
    basis = task_basis("addition", P)
    # Circles of one size mix in the components by accident.
    equal = circularity(circles({2: 1.0, 5: 1.0}), basis)
    assert not equal.is_defined
    assert equal.sensitivity > 0.01
    assert equal.value != equal.value
    nearly = circularity(circles({2: 1.0, 5: 1.0 + 1e-9}), basis)
    assert not nearly.is_defined
    assert circularity(circles({2: 1.0, 5: 1.01}), basis).value == pytest.approx(1.0, abs=1e-8)
    # One circle has no third component; it is a circle all the same.
    one = circles({3: 2.0})
    assert not circularity(one, basis).is_defined
    assert circularity(one, basis, components=2).value == pytest.approx(1.0, abs=1e-12)
    # Neither has a table without any variance.
    assert not circularity(torch.ones(P, 6), basis).is_defined


def test_half_the_period_is_no_more_than_a_whole() -> None:
    alternating = torch.tensor([1.0, -1.0] * 6)[:, None] * torch.tensor([1.0, 2.0])
    found = circularity(alternating, task_basis("addition", 12), components=1)
    assert found.value == pytest.approx(1.0, abs=1e-12)


def test_every_operand_has_its_own_table() -> None:
    model = gi.closed_form_mlp(p=P, d_mlp=60)
    assert list(model_circularity(model, "addition", components=2)) == ["W_E[0]", "W_E[1]"]


def test_tables_that_do_not_fit_are_refused() -> None:
    basis = task_basis("addition", P)
    with pytest.raises(ValueError, match=r"one row per residue, p=13, got \[14, 3\]"):
        circularity(torch.zeros(14, 3), basis)
    with pytest.raises(ValueError, match=r"components=4, but a table \[13, 3\] has at most 3"):
        circularity(torch.zeros(13, 3), basis)
    diverged = torch.zeros(13, 5)
    diverged[3, 2] = torch.nan
    with pytest.raises(ValueError, match="table has entries that are not finite"):
        circularity(diverged, basis)
