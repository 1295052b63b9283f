"""IPR of vectors whose spectrum is known in closed form, and against numpy's DFT."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

import grokinterp as gi
from probes import (
    ipr,
    mean_ipr,
    model_neuron_ipr,
    neuron_ipr,
    task_basis,
    unit_periodicity,
)

VECTORS = hnp.arrays(np.float64, st.integers(2, 30), elements=st.floats(-1e3, 1e3))


def cosine(p: int, k: int, phase: float = 0.0) -> Tensor:
    return torch.cos(2 * math.pi * k * torch.arange(p, dtype=torch.float64) / p + phase)


def gaussian(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("p", [7, 12, 97])
@pytest.mark.parametrize(
    ("amplitudes", "expected"),
    [
        ((1.0,), 1.0),
        ((2.0, 1.0), 0.68),  # power shares .8 and .2: .8**2 + .2**2
        ((1.0, 1.0), 0.5),
        ((3.0, 1.0, 1.0), 83 / 121),  # powers 9, 1, 1: (81 + 1 + 1) / 11**2
    ],
)
def test_ipr_of_known_cosines(p: int, amplitudes: tuple[float, ...], expected: float) -> None:
    row = torch.stack([a * cosine(p, k, 0.4) for k, a in enumerate(amplitudes, 1)]).sum(dim=0)
    assert ipr(row).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("constant", "expected"), [(0.0, 1.0), (0.5, 0.5), (1.0, 0.68)])
def test_the_zero_frequency_counts(constant: float, expected: float) -> None:
    # cos has |DFT|**2 = p**2 / 4, a constant c has p**2 c**2: shares 1 : 4 c**2.
    assert ipr(cosine(97, 8) + constant).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("half", [4, 32, 500])
def test_ipr_of_a_square_wave(half: int) -> None:
    # A wave of length 2 m, m even, has the odd harmonics n with shares 2 / (m sin(pi n / 2 m))**2;
    # the sum over them of 1 / sin**4 is (m**4 + 2 m**2) / 6.
    wave = torch.cat([torch.ones(half), -torch.ones(half)]).double()
    assert ipr(wave).item() == pytest.approx(2 / 3 * (1 + 2 / half**2), abs=1e-12)


@pytest.mark.parametrize("k", [1, 17, 48])
def test_ipr_of_a_square_wave_at_the_papers_modulus(k: int) -> None:
    assert ipr(cosine(97, k).sign()).item() == pytest.approx(0.667, abs=5e-4)


@pytest.mark.parametrize(("p", "frequencies"), [(97, 49), (7, 4), (12, 7), (2, 2)])
def test_a_spike_is_spread_over_all_frequencies(p: int, frequencies: int) -> None:
    spike = torch.zeros(p)
    spike[p // 2] = -3.0
    assert ipr(spike).item() == pytest.approx(1 / frequencies, rel=1e-12)


def test_ipr_of_gaussian_rows_is_the_published_one() -> None:
    rows = ipr(gaussian(20_000, 97))
    error = rows.std().item() / math.sqrt(len(rows))
    assert error < 5e-5
    assert rows.mean().item() == pytest.approx(0.0403, abs=5e-5 + 3 * error)  # printed to 1e-4


@pytest.mark.parametrize("r", [1.5, 2.0, 3.0, 4.5])
@pytest.mark.parametrize("p", [2, 11, 97, 98])
def test_ipr_is_its_definition_in_norms(p: int, r: float) -> None:
    weights = gaussian(2, 5, p)
    spectrum = np.abs(np.fft.rfft(weights.numpy()))
    ratio = np.linalg.norm(spectrum, 2 * r, axis=-1) / np.linalg.norm(spectrum, 2, axis=-1)
    np.testing.assert_allclose(ipr(weights, r=r).numpy(), ratio ** (2 * r), rtol=1e-10)


@given(row=VECTORS, r=st.floats(1.01, 5))
def test_ipr_lies_between_flat_and_single(row: np.ndarray, r: float) -> None:
    assume(np.linalg.norm(row) > 1e-19)
    flat = (len(row) // 2 + 1) ** (1 - r)
    assert flat * (1 - 1e-9) <= ipr(torch.from_numpy(row), r=r).item() <= 1 + 1e-12


@given(
    row=VECTORS,
    factor=st.floats(1e-6, 1e6),
    negative=st.booleans(),
    shift=st.integers(0, 29),
)
def test_ipr_ignores_scale_sign_shift_and_reflection(
    row: np.ndarray, factor: float, negative: bool, shift: int
) -> None:
    assume(np.linalg.norm(row) > 1e-12)
    before = torch.from_numpy(row)
    after = before.roll(shift).flip(0) * (-factor if negative else factor)
    assert ipr(after).item() == pytest.approx(ipr(before).item(), rel=1e-9)


@pytest.mark.parametrize(("p", "unit"), [(97, 5), (97, 96), (12, 7)])
def test_relabelling_residues_leaves_ipr(p: int, unit: int) -> None:
    weights = gaussian(50, p)
    relabelled = torch.empty_like(weights)
    relabelled[:, torch.arange(p) * unit % p] = weights
    torch.testing.assert_close(ipr(relabelled), ipr(weights), rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tiny_rows_have_an_ipr_and_dead_ones_do_not(dtype: torch.dtype) -> None:
    # In float32 the square of 1e-25 is 0; the square of 1e-18 is still a number.
    sizes = torch.tensor([1.0, 1e-18, 1e-25, 0.0, math.nan], dtype=torch.float64)
    rows = (sizes[:, None] * cosine(97, 3)).to(dtype)
    found = ipr(rows)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found[:2], torch.ones(2).double(), rtol=0, atol=1e-9)
    assert found.isnan().tolist() == [False, False, True, True, True]


def test_huge_rows_do_not_overflow() -> None:
    assert ipr(1e200 * cosine(97, 3)).item() == pytest.approx(1.0)


@pytest.mark.parametrize("r", [1.0, 0.5, 0.0, -2.0, math.nan])
def test_exponents_that_measure_nothing_are_refused(r: float) -> None:
    with pytest.raises(ValueError, match=f"r must be above 1, got {r}"):
        ipr(cosine(7, 1), r=r)
    with pytest.raises(ValueError, match=f"r must be above 1, got {r}"):
        neuron_ipr(*gaussian(3, 4, 7), r=r)


def test_ipr_of_a_neuron_is_the_mean_of_its_three_vectors() -> None:
    p, frequencies = 97, 49
    pure, mixed = cosine(p, 4, 1.0), 2 * cosine(p, 4) + cosine(p, 9)
    spike = torch.zeros(p, dtype=torch.float64)
    spike[0] = 1.0
    U, V, W = (torch.stack(rows) for rows in ([pure, spike], [mixed, spike], [spike, pure]))
    found = neuron_ipr(U, V, W)
    parts = torch.tensor(
        [[1.0, 1 / frequencies], [0.68, 1 / frequencies], [1 / frequencies, 1.0]],
        dtype=torch.float64,
    )
    torch.testing.assert_close(found.parts, parts)
    torch.testing.assert_close(found.ipr, parts.sum(dim=0) / 3)
    assert found.mean == pytest.approx(parts.mean().item())
    assert found.modes.frequency[:2, 0].tolist() == [4, 4]
    assert found.modes.phase[0, 0].item() == pytest.approx(1.0)
    assert found.modes.frequency[2, 1].item() == 4


def test_exponent_reaches_every_part() -> None:
    rows = (2 * cosine(97, 4) + cosine(97, 9))[None]
    found = neuron_ipr(rows, rows, rows, r=3.0)
    assert found.ipr.item() == pytest.approx(0.8**3 + 0.2**3)


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize("size", [0.0, 1e-25, math.nan])
def test_a_neuron_with_one_dead_vector_is_dead_and_left_out(part: int, size: float) -> None:
    vectors = torch.stack([cosine(97, k) for k in (1, 2, 3)]).repeat(3, 1, 1)
    vectors[:, 2] += cosine(97, 30)  # so that the third neuron's IPR is .5
    vectors[part, 0] *= size
    found = neuron_ipr(*vectors)
    assert found.is_dead.tolist() == [True, False, False]
    assert found.n_dead == 1
    assert found.ipr.isnan().tolist() == [True, False, False]
    assert found.parts.isnan().sum().item() == 1  # its other two vectors keep theirs
    assert found.mean == pytest.approx(0.75)


def test_a_network_without_living_neurons_has_no_mean() -> None:
    zeros = torch.zeros(4, 7)
    found = neuron_ipr(zeros, zeros, zeros)
    assert found.n_dead == 4
    assert math.isnan(found.mean)


def test_inputs_are_only_read() -> None:
    vectors = gaussian(3, 4, 7)
    vectors[0, 0] = 0
    kept = vectors.clone()
    neuron_ipr(*vectors)
    ipr(vectors)
    assert torch.equal(vectors, kept)


def multiplying(p: int) -> tuple[gi.HookedMLP, gi.HookedMLP]:
    """The analytic solution of addition mod p - 1, and the same of multiplication mod p.

    A product's discrete logarithm is the sum of the factors' logarithms.
    """
    adds = gi.closed_form_mlp(p=p - 1, d_mlp=60)
    order = task_basis("multiplication", p).order
    multiplies = gi.HookedMLP(adds.cfg, p=p)
    with torch.no_grad():
        for weight in (multiplies.W_E, multiplies.W_U):
            weight.zero_()
        multiplies.W_E[:, order] = adds.W_E
        multiplies.W_U[:, order] = adds.W_U
    return adds, multiplies


def test_a_network_that_multiplies_is_read_in_discrete_logarithms() -> None:
    adds, multiplies = multiplying(13)
    wanted = model_neuron_ipr(adds)
    assert multiplies.operation is None
    asked = model_neuron_ipr(multiplies, "multiplication")
    torch.testing.assert_close(asked.ipr, wanted.ipr, rtol=0, atol=1e-12)
    assert torch.equal(asked.modes.frequency, wanted.modes.frequency)
    assert mean_ipr(multiplies) < 0.5 < mean_ipr(multiplies, "multiplication")

    multiplies.operation = "multiplication"  # as of a network that gi.train made
    assert torch.equal(model_neuron_ipr(multiplies).ipr, asked.ipr)
    assert mean_ipr(multiplies) == pytest.approx(wanted.mean, abs=1e-12)
    agreeing = unit_periodicity(multiplies).scores["ipr"]
    torch.testing.assert_close(agreeing, asked.ipr, rtol=0, atol=1e-12)


def test_where_no_order_is_periodic_residues_keep_theirs() -> None:
    adds, _ = multiplying(13)
    natural = model_neuron_ipr(adds, "addition").ipr
    adds.operation = "multiplication"  # mod 12, where some residues have no logarithm
    assert torch.equal(model_neuron_ipr(adds).ipr, natural)
