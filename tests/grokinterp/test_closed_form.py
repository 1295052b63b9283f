"""The analytic solution for modular addition, against its own formulae."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from grokinterp import DataConfig, HookedMLP, MLPConfig, closed_form_mlp, make_dataset


def logits_and_labels(model: HookedMLP) -> tuple[Tensor, Tensor]:
    data = make_dataset(DataConfig(p=model.p))
    with torch.no_grad():
        return model(data.tokens), data.clean_labels


def accuracy(model: HookedMLP) -> float:
    logits, labels = logits_and_labels(model)
    return (logits.argmax(dim=1) == labels).double().mean().item()


@pytest.mark.parametrize("seed", range(3))
def test_answers_every_pair_at_the_papers_width(seed: int) -> None:
    assert accuracy(closed_form_mlp(seed=seed)) == 1.0


def test_accuracy_falls_with_the_width_as_published() -> None:
    """P neurons answer .998 of the pairs; p // 2, one per frequency, .81 to .88 by the draw."""
    assert accuracy(closed_form_mlp(97, 97)) == pytest.approx(0.998, abs=0.004)
    mean = np.mean([accuracy(closed_form_mlp(97, 48, seed=seed)) for seed in range(4)])
    assert 0.78 < mean < 0.91


@pytest.mark.parametrize(("d_mlp", "error"), [(500, 0.008), (1000, 0.004)])
def test_mean_squared_error_is_four_over_n(d_mlp: int, error: float) -> None:
    """The terms with random phases have variance 3/2 + 2 + 1/2 = 4 over N, eq. (6)."""
    logits, labels = logits_and_labels(closed_form_mlp(97, d_mlp))
    target = torch.nn.functional.one_hot(labels, 97)
    assert (logits - target).square().mean().item() == pytest.approx(error, rel=0.05)


def phase_and_frequency(row: np.ndarray) -> tuple[int, float, float]:
    """Frequency 0..p//2, phase and amplitude of the one cosine in ``row``; asserts it is one."""
    p = len(row)
    spectrum = np.fft.rfft(row)
    frequency = int(np.abs(spectrum).argmax())
    rest = np.delete(np.abs(spectrum), frequency)
    assert rest.max() < 1e-5 * np.abs(spectrum[frequency])
    share = 1 if frequency == 0 else 2
    return frequency, float(np.angle(spectrum[frequency])), share * abs(spectrum[frequency]) / p


@pytest.mark.parametrize(("p", "d_mlp", "seed"), [(11, 40, 0), (13, 13, 1), (97, 200, 2)])
def test_weights_are_the_published_cosines(p: int, d_mlp: int, seed: int) -> None:
    """Eq. (2): amplitude (2/N)^(1/3), one frequency per neuron, output phase phi_u + phi_v."""
    state = closed_form_mlp(p, d_mlp, seed=seed).state_dict()
    U, V, W = (w.double().numpy() for w in (state["W_E"][0].T, state["W_E"][1].T, state["W_U"]))
    seen = []
    for u, v, w in zip(U, V, W, strict=True):
        if np.ptp(u) < 1e-6:  # frequency 0: three constants, whose phases cannot be told apart
            seen.append(0)
            continue
        found = [phase_and_frequency(row) for row in (u, v, w)]
        (frequency, phase_u, _), (_, phase_v, _), (_, phase_w, _) = found
        assert {f for f, _, _ in found} == {frequency}
        for _, _, amplitude in found:
            assert amplitude == pytest.approx((2 / d_mlp) ** (1 / 3), rel=1e-5)
        assert math.cos(phase_u + phase_v - phase_w) == pytest.approx(1, abs=1e-6)
        seen.append(frequency)
    # sigma is a permutation of 0..N-1, taken mod p; cos cannot tell f from p - f
    assert sorted(seen) == sorted(min(k % p, p - k % p) for k in range(d_mlp))


def test_phases_are_uniform_and_independent() -> None:
    state = closed_form_mlp(97, 2000, seed=1).state_dict()
    rows = [row for row in state["W_E"].double().numpy().transpose(0, 2, 1) for row in row]
    half = len(rows) // 2
    keep = [k for k in range(half) if np.ptp(rows[k]) > 1e-6]
    phase_u, phase_v = (
        np.array([phase_and_frequency(rows[k + offset])[1] for k in keep]) for offset in (0, half)
    )
    for angle in (phase_u, phase_v, phase_u - phase_v, phase_u + phase_v):
        turn = np.mod(angle, 2 * np.pi) / (2 * np.pi)
        assert stats.kstest(turn, "uniform").pvalue > 1e-3


def eq_6(frequency: np.ndarray, u: np.ndarray, v: np.ndarray, p: int) -> np.ndarray:
    """Logits [m, n, q] as the sum of cosines that the square expands into."""
    m, n, q = np.ogrid[:p, :p, :p]
    total = np.zeros((p, p, p))
    for theta, a, b in zip(2 * np.pi * frequency / p, u, v, strict=True):
        total += (
            np.cos(theta * (m + n - q))
            + np.cos(theta * (m + n + q) + 2 * a + 2 * b)
            + np.cos(theta * (m - n - q) - 2 * b)
            + np.cos(theta * (m - n + q) + 2 * a)
            + 2 * np.cos(theta * q + a + b)
            + 0.5 * np.cos(theta * (2 * m - q) + a - b)
            + 0.5 * np.cos(theta * (2 * m + q) + 3 * a + b)
            + 0.5 * np.cos(theta * (2 * n - q) - a + b)
            + 0.5 * np.cos(theta * (2 * n + q) + a + 3 * b)
        )
    return total / len(frequency)


@pytest.mark.parametrize(("p", "d_mlp"), [(5, 12), (7, 7), (11, 30)])
def test_network_with_the_analytic_weights_is_the_expanded_sum(p: int, d_mlp: int) -> None:
    rng = np.random.default_rng(0)
    frequency = rng.permutation(d_mlp) % p
    u, v = rng.uniform(-np.pi, np.pi, (2, d_mlp))
    angle = 2 * np.pi / p * frequency[:, None] * np.arange(p)  # [neuron, residue]
    U, V, W = (
        torch.from_numpy((2 / d_mlp) ** (1 / 3) * np.cos(angle + phase[:, None]))
        for phase in (u, v, u + v)
    )
    model = HookedMLP(MLPConfig(d_mlp=d_mlp), p=p).double()
    model.load_state_dict({"W_E": torch.stack([U.T, V.T]), "W_U": W})
    logits, _ = logits_and_labels(model)
    expected = eq_6(frequency, u, v, p).reshape(p * p, p)
    np.testing.assert_allclose(logits.numpy(), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("p", "d_mlp", "seed"), [(5, 12, 0), (11, 30, 1)])
def test_closed_form_output_is_the_expanded_sum(p: int, d_mlp: int, seed: int) -> None:
    """The same with frequencies and phases read off the weights, up to float32 rounding."""
    model = closed_form_mlp(p, d_mlp, seed=seed).double()
    logits, _ = logits_and_labels(model)
    scale = (2 / d_mlp) ** (1 / 3)
    read = []
    first, second = model.state_dict()["W_E"].numpy().swapaxes(1, 2)
    for u, v, w in zip(first, second, model.state_dict()["W_U"].numpy(), strict=True):
        if np.ptp(u) < 1e-6:  # cosines of phases only: their signs are free but for the product
            a, b = np.arccos(np.clip([u[0] / scale, v[0] / scale], -1, 1))
            if abs(np.cos(a + b) - w[0] / scale) > abs(np.cos(a - b) - w[0] / scale):
                b = -b
            read.append((0, a, b))
        else:
            frequency, a, _ = phase_and_frequency(u)
            read.append((frequency, a, phase_and_frequency(v)[1]))
    frequency, a, b = np.array(read).T
    expected = eq_6(frequency, a, b, p).reshape(p * p, p)
    np.testing.assert_allclose(logits.numpy(), expected, rtol=0, atol=2e-6)


def test_shifting_an_operand_shifts_the_answer() -> None:
    """Relabelling a as a + s and q as q + s only moves phases: the same family of solutions."""
    model = closed_form_mlp(97, 500, seed=3)
    weights = model.state_dict()
    shifted = closed_form_mlp(97, 500)
    tables = torch.stack([weights["W_E"][0].roll(5, dims=0), weights["W_E"][1]])
    shifted.load_state_dict({"W_E": tables, "W_U": weights["W_U"].roll(5, dims=1)})
    assert accuracy(shifted) == 1.0
    shifted.load_state_dict({"W_E": tables, "W_U": weights["W_U"]})  # the answer not shifted
    assert accuracy(shifted) == 0.0


def test_signal_is_the_same_for_every_draw_and_the_noise_is_not() -> None:
    """Averaged over seeds the logits approach delta(a + b - q), eqs. (7) and (8)."""
    p, d_mlp, draws = 11, 110, 40
    logits = [logits_and_labels(closed_form_mlp(p, d_mlp, seed=seed))[0] for seed in range(draws)]
    _, labels = logits_and_labels(closed_form_mlp(p, d_mlp))
    target = torch.nn.functional.one_hot(labels, p)
    mean_error = (torch.stack(logits).mean(dim=0) - target).square().mean().item()
    assert mean_error == pytest.approx(4 / d_mlp / draws, rel=0.25)


def test_seed_decides_the_draw() -> None:
    first, again, other = (closed_form_mlp(11, 20, seed=seed).state_dict() for seed in (0, 0, 1))
    for name, weight in first.items():
        assert torch.equal(weight, again[name])
        assert not torch.equal(weight, other[name])


def test_is_an_ordinary_quadratic_hooked_mlp() -> None:
    model = closed_form_mlp(11, 20)
    assert model.cfg == MLPConfig(d_mlp=20, n_layers=1, act="square")
    assert model.p == 11
    _, cache = model.run_with_cache(torch.tensor([[1, 2]]))
    assert cache["layers.0.hook_post"].shape == (1, 20)


@pytest.mark.usefixtures("no_type_checker")
def test_bad_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="p must be at least 2, got 1"):
        closed_form_mlp(1, 20)
    with pytest.raises(ValueError, match="d_mlp must be at least 1, got 0"):
        closed_form_mlp(11, 0)
