"""Spectra of tables: known cosines, published networks, and what must not change them."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from probes import ipr, table_spectrum, task_basis

ADDITION = task_basis("addition", 11)


def wave(amplitude: float, k: int, period: int, phase: float = 0.4) -> Tensor:
    x = torch.arange(period, dtype=torch.float64)
    return amplitude * torch.cos(2 * torch.pi * k * x / period + phase)


def rotation(size: int) -> Tensor:
    drawn = torch.randn(size, size, generator=torch.Generator().manual_seed(7)).double()
    return torch.linalg.qr(drawn).Q


def random_table(rows: int, columns: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)).double()


def test_shares_are_the_squared_amplitudes() -> None:
    # Features: 2 at k = 3; 1 at k = 3 with 2 at k = 4. Squares 4 + 1 and 4.
    table = torch.stack([5 + wave(2, 3, 11), wave(1, 3, 11, 1.0) + wave(2, 4, 11)], dim=1)
    found = table_spectrum(table, ADDITION)
    expected = torch.tensor([0, 0, 5 / 9, 4 / 9, 0], dtype=torch.float64)
    torch.testing.assert_close(found.shares, expected, rtol=0, atol=1e-14)
    assert found.total_ipr == pytest.approx(41 / 81, abs=1e-14)
    # Row-wise with DC: (5^2 and half of 2^2 / 2 in a one-sided spectrum), then 1/5 and 4/5.
    dc, at_three = 25.0, 1.0
    first = (dc**2 + at_three**2) / (dc + at_three) ** 2
    want = torch.tensor([first, 17 / 25], dtype=torch.float64)
    torch.testing.assert_close(found.row_ipr, want, rtol=0, atol=1e-14)
    assert found.mean_row_ipr == pytest.approx((first + 17 / 25) / 2)
    assert found.dominant() == [3, 4]
    assert found.dominant(0.5) == [3]


def test_frequency_at_half_of_an_even_period_has_the_share_of_its_variance() -> None:
    # cos(pi x) has variance 1, cos(2 pi x / 8 + s) has 1/2.
    table = (wave(1, 4, 8, 0.0) + wave(1, 1, 8))[:, None]
    found = table_spectrum(table, task_basis("addition", 8))
    expected = torch.tensor([1 / 3, 0, 0, 2 / 3], dtype=torch.float64)
    torch.testing.assert_close(found.shares, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("unit", [2, 7, 10])
def test_relabelling_moves_frequencies_and_keeps_the_total(unit: int) -> None:
    table, renamed = random_table(11, 6), torch.empty(11, 6).double()
    renamed[torch.arange(11) * unit % 11] = table
    before, after = table_spectrum(table, ADDITION), table_spectrum(renamed, ADDITION)
    moved = ADDITION.frequencies * pow(unit, -1, 11) % 11
    moved = torch.minimum(moved, 11 - moved)
    torch.testing.assert_close(after.shares[moved - 1], before.shares, rtol=0, atol=1e-12)
    assert after.total_ipr == pytest.approx(before.total_ipr, abs=1e-12)


def test_residual_rotation_keeps_the_total_and_moves_the_rows() -> None:
    table = random_table(11, 6) * torch.tensor([9.0, 1, 1, 1, 1, 1])
    before = table_spectrum(table, ADDITION)
    after = table_spectrum(table @ rotation(6), ADDITION)
    torch.testing.assert_close(after.shares, before.shares, rtol=0, atol=1e-12)
    assert abs(after.mean_row_ipr - before.mean_row_ipr) > 0.01


def test_subtraction_has_additions_spectrum_and_multiplication_does_not() -> None:
    table = random_table(11, 4)
    plain, minus = (table_spectrum(table, task_basis(n, 11)) for n in ("addition", "subtraction"))
    torch.testing.assert_close(minus.shares, plain.shares)
    basis = task_basis("multiplication", 11)
    periodic = table.clone()
    periodic[basis.order] = torch.stack([wave(1, 3, 10, s) for s in (0.0, 1.0, 2.0, 3.0)], dim=1)
    periodic[0] = 1e3  # has no logarithm, so it must not be looked at
    assert table_spectrum(periodic, basis).total_ipr == pytest.approx(1.0, abs=1e-12)
    assert table_spectrum(periodic, ADDITION).total_ipr < 0.5
    torch.testing.assert_close(table_spectrum(periodic, basis).row_ipr, torch.ones(4).double())


def test_row_ipr_is_the_papers() -> None:
    table = random_table(11, 4)
    torch.testing.assert_close(table_spectrum(table, ADDITION).row_ipr, ipr(table.T))


def test_dead_features_are_counted_and_a_flat_table_has_no_spectrum() -> None:
    table = torch.stack([wave(1, 2, 11), torch.zeros(11).double()], dim=1)
    found = table_spectrum(table, ADDITION)
    assert (found.n_dead, found.mean_row_ipr) == (1, pytest.approx(1.0))
    flat = table_spectrum(torch.full((11, 3), 0.1), ADDITION)
    assert flat.shares.isnan().all()
    assert flat.total_ipr != flat.total_ipr


def test_rows_of_other_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one row per residue, p=11, got \[12, 3\]; leave out"):
        table_spectrum(random_table(12, 3), ADDITION)


# The table of the fixtures' README.
@pytest.mark.parametrize(
    ("file", "total", "dominant"),
    [
        ("pizza_p99zdpze5l", 0.203544, [17, 3, 15, 25, 6, 29]),
        ("pizza_l8k1hzciux", 0.3088, [13, 16, 21, 17]),
        ("pizza_p71frej8t7", 0.1894, [29, 24, 14, 17]),
        ("pizza_n9n7h3p965", 0.0393, [29]),
    ],
)
def test_published_networks(file: str, total: float, dominant: list[int]) -> None:
    folder = os.environ.get("GROKINTERP_ZHONG2023")
    if folder is None:
        pytest.skip("GROKINTERP_ZHONG2023 names no folder with the networks of Zhong et al. 2023")
    state = load_file(Path(folder) / f"{file}.safetensors")
    table = state["embed.weight"] if "embed.weight" in state else state["embed.W_E"].T
    found = table_spectrum(table[:59], task_basis("addition", 59))
    assert found.total_ipr == pytest.approx(total, abs=6e-7 if total == 0.203544 else 5e-5)
    assert found.dominant() == dominant
