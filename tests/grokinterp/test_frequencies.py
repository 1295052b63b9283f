"""Embeddings with frequencies taken out, against NumPy's FFT and the closed-form network."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from grokinterp import HookedMLP, MLPConfig, closed_form_mlp
from grokinterp.frequencies import filter_frequencies, filtered_embedding
from grokinterp.models.lstm import HookedLSTM, LSTMConfig
from tests.networks import all_pairs

P = 11
POWERS = torch.tensor([1, 2, 4, 8, 5, 10, 9, 7, 3, 6])  # of the primitive root 2 mod 11


def table(n: int = P, width: int = 3) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.randn(n, width, generator=rng, dtype=torch.float64) + 2.0


def by_numpy(values: np.ndarray, frequencies: list[int], *, keep: bool) -> np.ndarray:
    """Two-sided: k and n - k leave together."""
    n = len(values)
    modes = np.fft.fft(values, axis=0)
    for k in range(1, n):
        if (min(k, n - k) in frequencies) != keep:
            modes[k] = 0
    return np.fft.ifft(modes, axis=0).real


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("n", [11, 10])  # of 10, frequency 5 is its own mirror image
@pytest.mark.parametrize("frequencies", [[], [1], [2, 5], [1, 2, 3, 4, 5]])
def test_filter_is_numpys(n: int, frequencies: list[int], keep: bool) -> None:
    values = table(n)
    kept = values.clone()
    filtered = filter_frequencies(values, frequencies, keep=keep)
    expected = by_numpy(values.numpy(), frequencies, keep=keep)
    np.testing.assert_allclose(filtered.numpy(), expected, rtol=0, atol=1e-13)
    np.testing.assert_allclose(filtered.mean(dim=0), values.mean(dim=0), rtol=0, atol=1e-13)
    assert torch.equal(values, kept)
    operands = filter_frequencies(torch.stack([values, -values]), frequencies, keep=keep)
    torch.testing.assert_close(operands, torch.stack([filtered, -filtered]), rtol=0, atol=1e-14)


@pytest.mark.usefixtures("no_type_checker")  # which knows Python's integers only
def test_filter_of_known_cosines() -> None:
    x = torch.arange(P, dtype=torch.float64)[:, None]
    low, high = (torch.cos(2 * torch.pi * k * x / P + k) for k in (2, 5))
    both = 3 + low + high
    kept = filter_frequencies(both, [2], keep=True)
    torch.testing.assert_close(kept, 3 + low, rtol=0, atol=1e-13)
    for two in (torch.tensor([2]), np.array([2])):  # as from argmax or a random choice
        removed = filter_frequencies(both.float(), two, keep=False)
        torch.testing.assert_close(removed, (3 + high).float())


def filtered_weights(model: Any, *args: Any, **kwargs: Any) -> Tensor:
    before = model.W_E.detach().clone()
    with filtered_embedding(model, *args, **kwargs):
        during = model.W_E.detach().clone()
    assert torch.equal(model.W_E, before)
    return during


@pytest.mark.parametrize("keep", [True, False])
def test_rows_of_residues_are_filtered_and_symbols_stay(keep: bool) -> None:
    model = HookedLSTM(LSTMConfig(d_embed=6, d_hidden=4), p=P).double()
    pairs = all_pairs(P)
    during = filtered_weights(model, [1, 4], keep=keep)
    weights = model.state_dict()["embed.W_E"].numpy().copy()
    np.testing.assert_allclose(
        during[:P], by_numpy(weights[:P], [1, 4], keep=keep), rtol=0, atol=1e-13
    )
    np.testing.assert_array_equal(during[P:], weights[P:])
    before = model(pairs)
    with filtered_embedding(model, [1, 4], keep=keep):
        assert not torch.allclose(model(pairs), before)
    assert torch.equal(model(pairs), before)


def test_both_operands_of_the_mlp_are_filtered() -> None:
    model = HookedMLP(MLPConfig(d_mlp=6), p=P).double()
    during = filtered_weights(model, [3])
    for operand in range(2):
        expected = by_numpy(model.W_E[operand].detach().numpy(), [3], keep=True)
        np.testing.assert_allclose(during[operand], expected, rtol=0, atol=1e-13)


def test_order_of_multiplication() -> None:
    """Along the powers of a primitive root; 0 is none of them and keeps its vector."""
    model = HookedMLP(MLPConfig(d_mlp=6), p=P).double()
    during = filtered_weights(model, [5], keep=False, order=POWERS)
    weights = model.W_E.detach().numpy()
    for operand in range(2):
        expected = by_numpy(weights[operand][POWERS], [5], keep=False)
        np.testing.assert_allclose(during[operand][POWERS], expected, rtol=0, atol=1e-13)
        np.testing.assert_array_equal(during[operand][0], weights[operand][0])


def test_the_closed_form_network_lives_on_its_frequencies() -> None:
    """Each neuron has one frequency: without it the neuron is silent, with it alone unmoved."""
    model = closed_form_mlp(P, 40).double()
    pairs = all_pairs(P)
    own = torch.fft.rfft(model.W_E.detach()[0], dim=0).abs().argmax(dim=0)  # of each neuron
    with filtered_embedding(model, [2]):
        _, kept = model.run_with_cache(pairs)
    with filtered_embedding(model, [2], keep=False):
        _, removed = model.run_with_cache(pairs)
    _, full = model.run_with_cache(pairs)
    pre = "layers.0.hook_pre"
    varying = own == 2
    assert 0 < int(varying.sum()) < int((own > 0).sum())
    constant = own == 0
    # 1e-6: the closed form's weights are rounded to float32
    torch.testing.assert_close(kept[pre][:, varying], full[pre][:, varying], rtol=0, atol=1e-6)
    assert kept[pre][:, ~varying & ~constant].abs().max() < 1e-6
    assert removed[pre][:, varying].abs().max() < 1e-6


def test_weights_come_back_after_an_error_and_from_within() -> None:
    model = HookedMLP(MLPConfig(d_mlp=6), p=P)
    before = model.W_E.detach().clone()
    with pytest.raises(RuntimeError, match="my own mistake"), filtered_embedding(model, [1]):
        raise RuntimeError("my own mistake")
    assert torch.equal(model.W_E, before)
    with filtered_embedding(model, [1, 2]):
        outer = model.W_E.detach().clone()
        with filtered_embedding(model, [2], keep=False):
            only_1 = model.W_E.detach().clone()
        assert torch.equal(model.W_E, outer)
    assert torch.equal(model.W_E, before)
    torch.testing.assert_close(only_1, filter_frequencies(before, [1], keep=True))


class Copied(nn.Module):
    """Its W_E is made anew from the weight, as in networks that store the transpose twice."""

    p = P

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, P))

    @property
    def W_E(self) -> Tensor:
        return self.weight.T + 0


class Loose(nn.Module):
    def __init__(self, W_E: Tensor | None = None, p: int | None = None) -> None:
        super().__init__()
        self.W_E, self.p = W_E, p


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize(
    ("model", "frequencies", "order", "error", "message"),
    [
        (None, [0], None, ValueError, r"contains \[0\], but 11 residues"),
        (None, [2, 6], None, ValueError, r"contains \[6\], but 11 residues have .* 1\.\.5; k and"),
        (None, [6], POWERS, ValueError, r"contains \[6\], but 10 residues have .* 1\.\.5"),
        (None, [1.0], None, TypeError, "frequencies must be integers, got 1.0"),
        (None, [1], torch.tensor([1, 1]), ValueError, r"order must hold .* 0\.\.10, .*\[1, 1\]"),
        (None, [1], torch.tensor([1, 11]), ValueError, r"order must hold .* 0\.\.10"),
        (None, [1], torch.tensor([0.5]), TypeError, "order must be a list of residues, got"),
        (Copied, [1], None, TypeError, "Copied.W_E is a new tensor at each access"),
        (Loose, [1], None, TypeError, "Loose has no modulus p; build it with p="),
        (lambda: Loose(p=P), [1], None, TypeError, "Loose has no embedding tensor W_E"),
        (lambda: Loose(torch.ones(9, 2), P), [1], None, ValueError, r"at least p=11 .*\[9, 2\]"),
    ],
)
def test_bad_input_is_refused(
    model: Callable[[], Any] | None,
    frequencies: Any,
    order: Tensor | None,
    error: type[Exception],
    message: str,
) -> None:
    network = HookedMLP(MLPConfig(d_mlp=6), p=P) if model is None else model()
    with pytest.raises(error, match=message), filtered_embedding(network, frequencies, order=order):
        pass
