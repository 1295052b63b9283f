"""Logit spectra: hand-made logits, a regression by NumPy, and closed forms."""

import numpy as np
import pytest
import torch
from torch import Tensor

import grokinterp as gi
from probes import logit_spectrum, network_on_pairs, task_basis


def by_hand(operation: str, p: int, terms: dict[int, tuple[float, float]]) -> Tensor:
    """Logits sum_k A cos(w (x + y - z)) + B sin(w (x + y - z)); -50 where there is no place."""
    basis = task_basis(operation, p)
    n, place = basis.period, torch.arange(basis.period, dtype=torch.float64)
    offset = place[:, None, None] + place[None, :, None] - place
    angle = 2 * torch.pi * offset / n
    waves = torch.zeros(n, n, n).double()
    for k, (even, odd) in terms.items():
        waves += even * torch.cos(k * angle) + odd * torch.sin(k * angle)
    logits = torch.full((p * p, p), -50.0).double()
    logits[basis.pairs[..., None], basis.order] = waves
    return logits


@pytest.mark.parametrize("operation", ["addition", "subtraction", "multiplication", "division"])
def test_shares_split_as_the_squared_amplitudes(operation: str) -> None:
    logits = by_hand(operation, 11, {2: (3.0, 0.0), 4: (0.0, 1.0), 1: (1.0, 1.0)})
    kept = logits.clone()
    found = logit_spectrum(logits, task_basis(operation, 11))
    cos = torch.tensor([1, 9, 0, 0, 0], dtype=torch.float64) / 12
    sin = torch.tensor([1, 0, 0, 1, 0], dtype=torch.float64) / 12
    torch.testing.assert_close(found.cos, cos, rtol=0, atol=1e-13)
    torch.testing.assert_close(found.sin, sin, rtol=0, atol=1e-13)
    assert found.explained == pytest.approx(1.0, abs=1e-13)
    assert torch.equal(logits, kept)
    others = {"addition", "subtraction", "multiplication", "division"} - {operation}
    for other in others:
        assert logit_spectrum(logits, task_basis(other, 11)).explained < 0.2


def test_half_of_an_even_period() -> None:
    logits = by_hand("addition", 6, {3: (1.0, 0.0), 1: (1.0, 0.0)})
    found = logit_spectrum(logits, task_basis("addition", 6))
    expected = torch.tensor([1 / 3, 0, 2 / 3], dtype=torch.float64)  # variances 1/2 and 1
    torch.testing.assert_close(found.shares, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("p", [5, 6])
def test_shares_are_a_regressions(p: int) -> None:
    drawn = torch.randn(p * p, p, generator=torch.Generator().manual_seed(0)).double() + 2
    found = logit_spectrum(drawn, task_basis("addition", p))
    values = drawn.numpy() - drawn.numpy().mean(axis=1, keepdims=True)
    a, b, c = np.indices((p, p, p))
    for i, k in enumerate(found.frequencies.tolist()):
        angle = 2 * np.pi * k * (a + b - c) / p
        for wave, share in ((np.cos(angle), found.cos[i]), (np.sin(angle), found.sin[i])):
            if np.abs(wave).max() < 1e-9:  # the sine at half an even period
                assert share == pytest.approx(0.0, abs=1e-12)
                continue
            size = (wave.ravel() @ values.ravel()) ** 2 / (wave**2).sum()
            assert share == pytest.approx(size / (values**2).sum(), abs=1e-12)


def test_random_logits_are_at_chance() -> None:
    p, draws = 7, 400
    basis, rng = task_basis("addition", p), torch.Generator().manual_seed(5)
    drawn = torch.randn(draws, p * p, p, generator=rng, dtype=torch.float64)
    shares = torch.stack([logit_spectrum(logits, basis).shares for logits in drawn])
    # Two of the p^2 (p - 1) dimensions that centring leaves, each with 1 / that on average.
    chance = 2 / (p**2 * (p - 1))
    assert logit_spectrum(torch.randn(49, 7), basis).chance == chance
    error = 4 * chance / (draws * 3) ** 0.5  # a squared 2-vector has the deviation of its mean
    assert shares.mean().item() == pytest.approx(chance, abs=error)
    assert shares.sum(dim=1).mean().item() == pytest.approx(1 / p**2, abs=3 * error)


@pytest.mark.parametrize("n", [20, 200])
def test_closed_form_network_is_trigonometric_up_to_its_known_noise(n: int) -> None:
    """Of every frequency there are n = 2 d_mlp / p neurons with independent random phases.

    Their signals cos(w (a + b - c)) / 2 add up to n / 2, a variance of n^2 / 8. All that each
    neuron says beside it has random phases, and variances 1/2 (no a or b), 2 / 16 (2a or 2b),
    1/8 (a + b + c) and 1/4 (a - b), 1 together. So the share is n / (n + 8).
    """
    p, seeds, shares = 23, 6, []
    for seed in range(seeds):
        network = network_on_pairs(gi.closed_form_mlp(p=p, d_mlp=n * p // 2, seed=seed))
        shares.append(logit_spectrum(network.logits(), task_basis("addition", p)).explained)
    expected = n / (n + 8)
    # Each sum of random phases has a variance as large as its mean; 11 frequencies, 6 seeds.
    parts = np.array([1 / 2, 1 / 16, 1 / 16, 1 / 8, 1 / 4])
    error = expected * (1 - expected) * np.sqrt((parts**2).sum() / (p // 2 * seeds))
    assert np.mean(shares) == pytest.approx(expected, abs=4 * error)


@pytest.mark.parametrize("unit", [2, 7, 10])
def test_relabelling_moves_frequencies_and_keeps_shares(unit: int) -> None:
    p = 11
    drawn = torch.randn(p, p, p, generator=torch.Generator().manual_seed(1)).double()
    called = torch.arange(p) * unit % p
    renamed = torch.empty_like(drawn)
    renamed[called[:, None, None], called[:, None], called] = drawn
    basis = task_basis("addition", p)
    before, after = (logit_spectrum(v.view(p * p, p), basis).shares for v in (drawn, renamed))
    moved = basis.frequencies * pow(unit, -1, p) % p
    torch.testing.assert_close(
        after[torch.minimum(moved, p - moved) - 1], before, rtol=0, atol=1e-13
    )


def test_what_softmax_does_not_see_is_not_counted() -> None:
    basis, rng = task_basis("addition", 7), torch.Generator().manual_seed(2)
    drawn = torch.randn(49, 7, generator=rng).double()
    shifted = 3 * drawn + 100 * torch.randn(49, 1, generator=rng)
    found, expected = (logit_spectrum(logits, basis).shares for logits in (shifted, drawn))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    blind = logit_spectrum(torch.randn(49, 1, generator=rng).double().expand(49, 7) / 3, basis)
    assert blind.shares.isnan().all()
    assert blind.explained != blind.explained


@pytest.mark.parametrize("shape", [(49, 8), (48, 7), (7, 7)])
def test_other_shapes_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"\[p \* p, p\], every pair and class of p=7, got"):
        logit_spectrum(torch.ones(shape), task_basis("addition", 7))
