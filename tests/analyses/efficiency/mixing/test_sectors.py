"""Accuracy of a mixture by sectors of weights: against argmax at each of many weights."""

import numpy as np
import pytest
import torch

from analyses.efficiency.mixing.sectors import Sectors

N, CLASSES = 40, 5


@pytest.fixture(scope="module")
def tables() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two tables that are often right, so that sectors of all widths occur."""
    rng = torch.Generator().manual_seed(0)
    labels = torch.randint(CLASSES, (N,), generator=rng)
    noise = torch.randn(2, N, CLASSES, generator=rng, dtype=torch.float64)
    right = torch.nn.functional.one_hot(labels, CLASSES)
    return noise[0] + right, noise[1] + right, labels


def test_it_is_the_argmax_at_all_weights(
    tables: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    memorising, generalising, labels = tables
    weights = torch.randn(300, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    weights = torch.cat([weights, torch.tensor([[1.0, 0], [0, 1.0], [-1.0, 0], [-1e-3, -2e-3]])])
    mixed = weights[:, 0, None, None] * memorising + weights[:, 1, None, None] * generalising
    expected = (mixed.argmax(dim=-1) == labels).double().mean(dim=1)
    assert float(expected.min()) < 0.1 < 0.5 < float(expected.max())
    found = Sectors.of(memorising, generalising, labels).accuracy(weights)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    again = Sectors.of(memorising, generalising, labels).accuracy(1e-9 * weights)
    torch.testing.assert_close(again, expected, rtol=0, atol=1e-12)  # length does not matter


def test_in_parts_it_is_the_same(
    tables: tuple[torch.Tensor, torch.Tensor, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = torch.randn(30, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    sectors = Sectors.of(*tables)
    whole = sectors.accuracy(weights)
    monkeypatch.setattr("analyses.efficiency.mixing.sectors._MEMBERS", 7 * N)
    assert torch.equal(sectors.accuracy(weights), whole)


def test_ties_are_wrong_and_nan_stays() -> None:
    one, none = torch.tensor([[1.0, 0, 0]]), torch.zeros(1, 3)
    label = torch.tensor([0])
    weights = torch.tensor(
        [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [-1.0, 5.0], [np.nan, 1.0]], dtype=torch.float64
    )
    found = Sectors.of(one, none, label).accuracy(weights)
    assert found[:4].tolist() == [0.0, 1.0, 1.0, 0.0]
    assert torch.isnan(found[4])
    assert Sectors.of(none, none, label).accuracy(weights)[:4].tolist() == [0.0] * 4
