"""The Gini coefficient against its definition over all pairs of entries."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from probes import gini, spectrum_gini

ROWS = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 4), st.integers(1, 12)), elements=st.floats(0, 100)
)


def by_pairs(row: np.ndarray) -> float:
    return float(np.abs(row[:, None] - row[None]).mean() / (2 * row.mean()))


@given(rows=ROWS)
def test_gini_matches_all_pairs(rows: np.ndarray) -> None:
    assume((rows.sum(axis=1) > 1e-100).all())
    expected = [by_pairs(row) for row in rows]
    np.testing.assert_allclose(gini(torch.from_numpy(rows)).numpy(), expected, atol=1e-12)


def test_gini_keeps_leading_axes_and_float32() -> None:
    values = torch.rand(2, 3, 9, generator=torch.Generator().manual_seed(0))
    found = gini(values)
    assert (found.shape, found.dtype) == ((2, 3), torch.float64)
    assert found[1, 2].item() == pytest.approx(by_pairs(values[1, 2].double().numpy()))


@pytest.mark.parametrize("n", [1, 2, 7, 49])
def test_gini_of_equality_and_monopoly(n: int) -> None:
    monopoly = torch.zeros(n)
    monopoly[n // 2] = 4.0
    both = gini(torch.stack([torch.full((n,), 2.5), monopoly]))
    torch.testing.assert_close(both, torch.tensor([0.0, (n - 1) / n], dtype=torch.float64))


def test_gini_of_nothing_is_nan_and_leaves_its_neighbours_alone() -> None:
    found = gini(torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, math.nan]]))
    assert found.isnan().tolist() == [True, False, True]
    assert found[1].item() == 0.5


def test_negative_values_are_refused() -> None:
    with pytest.raises(ValueError, match=r"non-negative values, got a minimum of -2\.0"):
        gini(torch.tensor([1.0, -2.0]))


@pytest.mark.parametrize("p", [7, 97, 12])
def test_spectrum_gini_looks_at_amplitudes(p: int) -> None:
    x = torch.arange(p, dtype=torch.float64)
    one = torch.cos(2 * math.pi * x / p)
    spike = torch.zeros(p, dtype=torch.float64)
    spike[1] = 1.0
    two = 2 * one + torch.cos(4 * math.pi * x / p)  # amplitudes 2 : 1, powers would be 4 : 1
    n = p // 2 + 1
    amplitudes = np.zeros(n)
    amplitudes[:2] = 1, 2
    expected = [(n - 1) / n, 0.0, by_pairs(amplitudes)]
    found = spectrum_gini(torch.stack([one, spike, two]))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_inputs_are_only_read() -> None:
    values = torch.tensor([[3.0, 1.0, 2.0]])
    gini(values)
    spectrum_gini(values)
    assert values.tolist() == [[3.0, 1.0, 2.0]]
