"""Spectra and dominant modes against known cosines, and against numpy's and a plain DFT."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from probes import dominant_mode, fourier_basis, is_dead, power_shares, power_spectrum

MODULI = (2, 3, 4, 7, 12, 97)  # odd and even, prime and not, the smallest and the paper's


def cosine(p: int, k: int, phase: float = 0.0) -> Tensor:
    return torch.cos(2 * math.pi * k * torch.arange(p, dtype=torch.float64) / p + phase)


def random_rows(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("p", [1, *MODULI])
def test_basis_is_orthonormal(p: int) -> None:
    basis = fourier_basis(p)
    assert basis.dtype == torch.float64
    torch.testing.assert_close(basis @ basis.T, torch.eye(p).double(), rtol=0, atol=1e-13)


@pytest.mark.parametrize("p", MODULI)
def test_basis_rows_stand_in_the_documented_order(p: int) -> None:
    spectra = np.abs(np.fft.rfft(fourier_basis(p).numpy()))
    for row, spectrum in enumerate(spectra):
        expected = np.zeros(p // 2 + 1)
        frequency = (row + 1) // 2  # rows 2k - 1 and 2k belong to frequency k
        alone = frequency in (0, p / 2)  # no sine beside it, so its cosine is not halved
        expected[frequency] = math.sqrt(p if alone else p / 2)
        np.testing.assert_allclose(spectrum, expected, rtol=0, atol=1e-12)
    cosines = fourier_basis(p)[1::2]
    torch.testing.assert_close(cosines[:, 0], cosines.amax(dim=1))  # a cosine peaks at 0


@pytest.mark.parametrize("p", MODULI)
def test_spectrum_is_the_power_along_the_basis(p: int) -> None:
    row = random_rows(p)
    along = (fourier_basis(p) @ row).square()
    power = power_spectrum(row)
    # One DFT coefficient stands for k and p - k, so k > 0 holds half of p times its power.
    expected = [p * along[0]]
    expected += [p / 2 * (along[2 * k - 1] + along[2 * k]) for k in range(1, (p + 1) // 2)]
    if p % 2 == 0:
        expected.append(p * along[-1])
    torch.testing.assert_close(power, torch.stack(expected), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("p", MODULI)
@pytest.mark.parametrize("rows", [(), (5,), (2, 3)])
def test_spectrum_matches_a_plain_dft(p: int, rows: tuple[int, ...]) -> None:
    weights = random_rows(*rows, p)
    waves = np.exp(-2j * np.pi * np.outer(np.arange(p), np.arange(p // 2 + 1)) / p)
    expected = np.abs(weights.numpy() @ waves) ** 2
    power = power_spectrum(weights)
    assert power.dtype == torch.float64
    np.testing.assert_allclose(power.numpy(), expected, rtol=1e-9, atol=1e-10)


def test_shares_are_the_power_over_its_sum() -> None:
    weights = random_rows(6, 13)
    power = np.abs(np.fft.rfft(weights.numpy())) ** 2
    expected = power / power.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(power_shares(weights).numpy(), expected, rtol=1e-12)


DEAD, ALIVE = (0.0, 1e-25, 0.9e-20, math.nan), (1.1e-20, 1e-18, 1.0, 1e200)


@pytest.mark.parametrize(
    ("size", "dead"), [(size, True) for size in DEAD] + [(size, False) for size in ALIVE]
)
def test_dead_rows_are_shorter_than_1e_20(size: float, dead: bool) -> None:
    row = torch.zeros(97, dtype=torch.float64)
    row[5] = size  # a single entry: its size is the norm
    assert is_dead(row).item() is dead
    assert bool(power_shares(row).isnan().all()) is dead
    assert bool(power_shares(row).isnan().any()) is dead


def test_dead_looks_at_the_norm_and_not_at_the_largest_entry() -> None:
    assert not is_dead(torch.full((97,), 0.2e-20, dtype=torch.float64))  # norm 1.97e-20
    assert is_dead(torch.full((4,), 0.2e-20, dtype=torch.float64))  # norm 0.4e-20


def test_a_dead_row_leaves_its_neighbours_alone() -> None:
    weights = torch.stack([cosine(7, 2), torch.zeros(7).double(), torch.full((7,), math.nan)])
    assert is_dead(weights).tolist() == [False, True, True]
    mode = dominant_mode(weights)
    assert mode.frequency.tolist() == [2, -1, -1]
    assert mode.phase.isnan().tolist() == [False, True, True]
    assert mode.share.isnan().tolist() == [False, True, True]


@given(
    p=st.integers(3, 40),
    k_from=st.floats(0, 1, exclude_max=True),
    phase=st.floats(-3.14, 3.14),
    log_amplitude=st.floats(-15, 15),
)
def test_mode_of_a_cosine(p: int, k_from: float, phase: float, log_amplitude: float) -> None:
    k = 1 + int(k_from * ((p - 1) // 2))  # neither 0 nor p / 2, where a phase is not defined
    mode = dominant_mode(10**log_amplitude * cosine(p, k, phase))
    assert mode.frequency.item() == k
    assert mode.phase.item() == pytest.approx(phase, abs=1e-9)
    assert mode.share.item() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("p", [2, 6, 96])
@pytest.mark.parametrize(("sign", "phase"), [(1.0, 0.0), (-1.0, math.pi)])
def test_mode_of_constant_and_alternating_rows(p: int, sign: float, phase: float) -> None:
    weights = sign * torch.stack([cosine(p, 0), cosine(p, p // 2)])
    mode = dominant_mode(weights)
    assert mode.frequency.tolist() == [0, p // 2]
    torch.testing.assert_close(mode.phase.abs(), torch.tensor([phase, phase], dtype=torch.float64))


def test_mode_is_the_strongest_of_several() -> None:
    row = 0.3 * cosine(97, 5) + 0.6 * cosine(97, 40, -1.25)
    mode = dominant_mode(row)
    assert mode.frequency.item() == 40
    assert mode.phase.item() == pytest.approx(-1.25, abs=1e-12)
    assert mode.share.item() == pytest.approx(0.8, abs=1e-12)
    assert dominant_mode(row + 1.0).frequency.item() == 0  # the zero frequency takes part


@pytest.mark.parametrize("p", [7, 12, 97])
@pytest.mark.parametrize("unit", [5, -1])
def test_relabelling_residues_moves_the_frequency(p: int, unit: int) -> None:
    inverse = pow(unit, -1, p)
    k, phase = 2, 0.7
    row = cosine(p, k, phase)
    relabelled = torch.empty_like(row)
    relabelled[torch.arange(p) * unit % p] = row  # residue t is called unit * t now
    mode = dominant_mode(relabelled)
    moved = k * inverse % p
    folded = moved > p / 2  # k and p - k are one frequency, read with opposite phases
    assert mode.frequency.item() == min(moved, p - moved)
    assert mode.phase.item() == pytest.approx(-phase if folded else phase, abs=1e-12)


@pytest.mark.parametrize("probe", [power_spectrum, power_shares, is_dead, dominant_mode])
def test_inputs_are_only_read(probe: Callable[..., Any]) -> None:
    weights = random_rows(4, 9)
    weights[1] = 0
    kept = weights.clone()
    probe(weights)
    assert torch.equal(weights, kept)
