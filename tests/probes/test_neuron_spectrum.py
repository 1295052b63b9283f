"""Neuron spectra: neurons made of known terms, and a regression by NumPy."""

import numpy as np
import pytest
import torch
from torch import Tensor

import grokinterp as gi
from probes import network_on_pairs, neuron_spectrum, task_basis


def plane(p: int) -> tuple[Tensor, Tensor]:
    a = torch.arange(p, dtype=torch.float64)
    return a[:, None], a[None, :]


def explained_by_regression(values: np.ndarray, k: int) -> float:
    """R^2 of a plane on the constant and the eight terms of frequency k."""
    p = len(values)
    angle = 2 * np.pi * k * np.arange(p) / p
    ones, waves = np.ones(p), [np.cos(angle), np.sin(angle)]
    terms = [np.outer(ones, ones)]
    terms += [np.outer(w, ones) for w in waves] + [np.outer(ones, w) for w in waves]
    terms += [np.outer(v, w) for v in waves for w in waves]
    design = np.stack([term.ravel() for term in terms], axis=1)
    fitted = design @ np.linalg.lstsq(design, values.ravel(), rcond=None)[0]
    return float(1 - np.var(values.ravel() - fitted) / np.var(values))


@pytest.mark.parametrize("p", [7, 8])
def test_shares_are_a_regressions(p: int) -> None:
    drawn = torch.randn(p, p, 5, generator=torch.Generator().manual_seed(1)).double() + 3
    found = neuron_spectrum(drawn, task_basis("addition", p))
    assert found.frequencies.tolist() == list(range(1, p // 2 + 1))
    expected = [
        [explained_by_regression(drawn[..., i].numpy(), k) for k in found.frequencies.tolist()]
        for i in range(5)
    ]
    np.testing.assert_allclose(found.shares.numpy(), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.share.numpy(), np.max(expected, axis=1), atol=1e-12)
    assert found.frequency.tolist() == (np.argmax(expected, axis=1) + 1).tolist()
    variance = np.var(drawn.numpy(), axis=(0, 1))
    np.testing.assert_allclose(found.variance.numpy(), variance, rtol=1e-12)
    whole = np.average(expected, axis=0, weights=variance)
    np.testing.assert_allclose(found.layer_shares.numpy(), whole, atol=1e-12)


def test_neurons_made_of_known_terms() -> None:
    a, b = plane(13)
    w = 2 * torch.pi / 13
    neurons = {
        "first operand": (torch.cos(3 * w * a + 0.3) + 0 * b, 3, 1.0),
        "both operands": (torch.cos(2 * w * a) + 4 * torch.sin(2 * w * b), 2, 1.0),
        "product": (9 + torch.cos(5 * w * (a + b) + 1) - torch.sin(5 * w * (a - b)), 5, 1.0),
        "two": (2 * torch.cos(w * a) + torch.cos(4 * w * (a + b)), 1, 0.8),
        "mixed": (2 * torch.cos(w * a + 0 * b) + torch.cos(2 * w * a + 3 * w * b), 1, 0.8),
        "square": ((torch.cos(3 * w * a + 0.2) + torch.cos(3 * w * b + 0.9)) ** 2, 3, 0.8),
        "square of one operand": ((torch.cos(3 * w * a + 0.2) + 0 * b) ** 2, 6, 1.0),
        "constant": (torch.full((13, 13), 0.1).double(), -1, float("nan")),
    }
    activations = torch.stack([values.expand(13, 13) for values, _, _ in neurons.values()], dim=-1)
    kept = activations.clone()
    found = neuron_spectrum(activations, task_basis("addition", 13))
    assert found.frequency.tolist() == [k for _, k, _ in neurons.values()]
    want = torch.tensor([share for _, _, share in neurons.values()]).double()
    torch.testing.assert_close(found.share, want, rtol=0, atol=1e-7, equal_nan=True)
    torch.testing.assert_close(found.shares[5, 5], torch.tensor(0.2).double())  # 2k of the square
    torch.testing.assert_close(found.shares[4].sum(), torch.tensor(0.8).double())
    assert found.n_dead == 1
    assert found.is_dead.tolist() == [False] * 7 + [True]
    assert found.mean_share == pytest.approx((4 * 1.0 + 3 * 0.8) / 7)
    # Variances 1/2 at 3; 1/2 + 8 at 2; and a dead neuron that no mean may see.
    three = neuron_spectrum(activations[..., [0, 1, 7]], task_basis("addition", 13))
    whole = torch.tensor([0, 8.5 / 9, 0.5 / 9, 0, 0, 0], dtype=torch.float64)
    torch.testing.assert_close(three.layer_shares, whole, rtol=0, atol=1e-12)
    assert torch.equal(activations, kept)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_scale_and_offset_do_not_matter(scale: float) -> None:
    drawn = torch.randn(7, 7, 3, generator=torch.Generator().manual_seed(2)).double()
    basis = task_basis("addition", 7)
    expected = neuron_spectrum(drawn, basis).shares
    torch.testing.assert_close(neuron_spectrum(drawn * scale, basis).shares, expected)
    far_off = neuron_spectrum(drawn + 1e6, basis).shares
    torch.testing.assert_close(far_off, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("operation", ["subtraction", "multiplication", "division"])
def test_a_neuron_is_seen_in_its_tasks_basis(operation: str) -> None:
    basis, addition = task_basis(operation, 11), task_basis("addition", 11)
    x, y = plane(basis.period)
    waves = torch.cos(2 * torch.pi * 3 * (x + y) / basis.period + 0.5)
    values = torch.full((121, 1), 1e3).double()  # what has no place must not be looked at
    values[basis.pairs, 0] = waves
    found = neuron_spectrum(values.view(11, 11, 1), basis)
    assert found.frequency.tolist() == [3]
    assert found.share.item() == pytest.approx(1.0, abs=1e-12)
    if operation != "subtraction":  # whose terms are the same eight
        assert neuron_spectrum(values.view(11, 11, 1), addition).share < 0.5


def test_closed_form_network_has_four_fifths_at_each_neurons_frequency() -> None:
    model = gi.closed_form_mlp(p=11, d_mlp=30, seed=1).double()
    activations = network_on_pairs(model).neurons("layers.0.hook_post")
    found = neuron_spectrum(activations, task_basis("addition", 11))
    used = torch.fft.rfft(model.W_U.detach()).abs().argmax(dim=1)
    live = used > 0
    assert torch.equal(found.is_dead, ~live)
    assert torch.equal(found.frequency[live], used[live])
    share = found.share[live]
    torch.testing.assert_close(share, torch.full_like(share, 0.8), rtol=0, atol=1e-5)  # float32


def test_many_neurons_are_those_of_few() -> None:
    drawn = torch.randn(5, 5, 600, generator=torch.Generator().manual_seed(3)).double()
    basis = task_basis("addition", 5)
    found = neuron_spectrum(drawn, basis).shares
    assert found.shape == (600, 2)
    torch.testing.assert_close(found[550:], neuron_spectrum(drawn[..., 550:], basis).shares)


@pytest.mark.usefixtures("no_type_checker")
def test_activations_of_other_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[p, p, neuron\] with p=5, got \[4, 5, 2\]"):
        neuron_spectrum(torch.ones(4, 5, 2), task_basis("addition", 5))
