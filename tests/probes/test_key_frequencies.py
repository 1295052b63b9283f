"""Key frequencies: chosen from known logits, projected as NumPy's least squares does."""

import numpy as np
import pytest
import torch
from torch import Tensor

import grokinterp as gi
from grokinterp.models import MLPConfig
from probes import (
    accuracy,
    excluded_logits,
    frequency_scores,
    key_frequencies,
    logit_spectrum,
    loss,
    network_on_pairs,
    restricted_logits,
    task_basis,
)

ADDITION = task_basis("addition", 11)
LABELS = gi.operation_table("addition", 11).flatten()


def answers(amplitudes: dict[int, float], p: int = 11) -> Tensor:
    """Logits sum_k A cos(2 pi k (a + b - c) / p)."""
    a = torch.arange(p, dtype=torch.float64)
    angle = 2 * torch.pi * (a[:, None, None] + a[:, None] - a) / p
    waves = [size * torch.cos(k * angle) for k, size in amplitudes.items()]
    return torch.stack(waves).sum(dim=0).reshape(p * p, p)


def random_logits(p: int, seed: int = 0) -> Tensor:
    return torch.randn(p * p, p, generator=torch.Generator().manual_seed(seed)).double() + 1


def test_chosen_by_share_of_the_logits_strongest_first() -> None:
    logits = answers({3: 1.0, 1: 2.0, 5: 0.15, 2: 0.05})
    spectrum = logit_spectrum(logits, ADDITION)
    # Squares 1, 4, 0.0225, 0.0025 against a hundredth of 4, and twenty times chance (3 %).
    assert key_frequencies(spectrum) == [1, 3]
    assert key_frequencies(spectrum, above_chance=0.1, relative=0.005) == [1, 3, 5]
    assert key_frequencies(spectrum, above_chance=0.1, relative=0.0001) == [1, 3, 5, 2]
    assert key_frequencies(spectrum, above_chance=2.9) == [1, 3]
    assert key_frequencies(spectrum, relative=0.3) == [1]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("act", ["square", "relu"])
def test_an_untrained_network_has_none_and_the_closed_form_all(act: str, seed: int) -> None:
    untrained = gi.HookedMLP(MLPConfig(d_mlp=100, act=act), p=23, seed=seed)
    basis = task_basis("addition", 23)
    assert key_frequencies(logit_spectrum(network_on_pairs(untrained).logits(), basis)) == []
    solved = gi.closed_form_mlp(p=23, d_mlp=500, seed=seed)
    found = key_frequencies(logit_spectrum(network_on_pairs(solved).logits(), basis))
    assert sorted(found) == list(range(1, 12))


def test_logits_without_a_spectrum_are_refused() -> None:
    with pytest.raises(ValueError, match="no spectrum: they are the same for every class"):
        key_frequencies(logit_spectrum(torch.zeros(121, 11), ADDITION))
    with pytest.raises(ValueError, match="relative must lie in"):
        key_frequencies(logit_spectrum(answers({1: 1.0}), ADDITION), relative=-0.1)


@pytest.mark.parametrize("p", [7, 8])
@pytest.mark.parametrize("operation", ["addition", "subtraction", "multiplication"])
@pytest.mark.parametrize("frequencies", [[], [2], [3, 1]])
def test_projection_is_least_squares(p: int, operation: str, frequencies: list[int]) -> None:
    if operation == "multiplication" and p == 8:
        pytest.skip("8 is not prime")
    basis, logits = task_basis(operation, p), random_logits(p)
    kept = logits.clone()
    n = basis.period
    total = np.add.outer(np.arange(n), np.arange(n)).ravel()
    waves = [np.ones(n * n)]
    for k in frequencies:
        waves += [np.cos(2 * np.pi * k * total / n), np.sin(2 * np.pi * k * total / n)]
    design = np.stack(waves, axis=1)
    on_grid = logits.numpy()[basis.pairs.flatten().numpy()]
    coefficients = np.linalg.lstsq(design, on_grid, rcond=None)[0]
    restricted = restricted_logits(logits, basis, frequencies)
    excluded = excluded_logits(logits, basis, frequencies)
    at = basis.pairs.flatten()
    np.testing.assert_allclose(restricted[at].numpy(), design @ coefficients, atol=1e-12)
    coefficients[0] = 0  # the constant stays
    np.testing.assert_allclose(
        excluded[at].numpy(), on_grid - design @ coefficients, rtol=0, atol=1e-12
    )
    assert torch.equal(logits, kept)
    without = torch.ones(p * p, dtype=torch.bool)
    without[at] = False
    assert int(without.sum()) == (2 * p - 1 if operation == "multiplication" else 0)
    assert restricted[without].isnan().all()
    assert excluded[without].isnan().all()


def test_both_are_projections() -> None:
    logits = random_logits(11)
    restricted = restricted_logits(logits, ADDITION, [2, 4])
    torch.testing.assert_close(restricted_logits(restricted, ADDITION, [4, 2]), restricted)
    excluded = excluded_logits(logits, ADDITION, [2, 4])
    torch.testing.assert_close(excluded_logits(excluded, ADDITION, [2, 4]), excluded)
    mean = logits.mean(dim=0).expand(121, 11)
    torch.testing.assert_close(restricted_logits(excluded, ADDITION, [2, 4]), mean)


def test_a_network_that_is_its_key_frequencies() -> None:
    clean = answers({1: 3.0, 4: 3.0})
    noise = 0.1 * random_logits(11)
    found = frequency_scores(clean + noise, LABELS, ADDITION, [1, 4])
    assert found.accuracy["full"] == found.accuracy["restricted"] == 1.0
    assert found.accuracy["excluded"] < 0.3
    clean_loss = loss(clean, LABELS, kind="cross_entropy")
    assert found.loss["restricted"] == pytest.approx(clean_loss, rel=0.1)
    assert found.loss["excluded"] == pytest.approx(np.log(11), rel=0.1)
    assert found.n_pairs == 121
    # Frequencies that are not the network's: nothing is kept, nothing is lost.
    other = frequency_scores(clean, LABELS, ADDITION, [2, 3, 5])
    assert other.loss["restricted"] == pytest.approx(np.log(11), abs=1e-12)
    assert other.loss["excluded"] == pytest.approx(other.loss["full"], abs=1e-12)


@pytest.mark.parametrize("kind", ["mse", "cross_entropy"])
def test_scores_are_of_the_mask_and_the_projection_of_all_pairs(kind: str) -> None:
    logits, mask = random_logits(11), torch.arange(121) % 3 == 0
    found = frequency_scores(logits, LABELS, ADDITION, [2], mask=mask, kind=kind)
    variants = {
        "full": logits,
        "restricted": restricted_logits(logits, ADDITION, [2]),
        "excluded": excluded_logits(logits, ADDITION, [2]),
    }
    assert found.accuracy == {n: accuracy(v, LABELS, mask) for n, v in variants.items()}
    assert found.loss == {n: loss(v[mask], LABELS[mask], kind=kind) for n, v in variants.items()}
    assert found.n_pairs == 41


def test_pairs_without_a_place_are_not_scored() -> None:
    basis = task_basis("multiplication", 11)
    labels = gi.operation_table("multiplication", 11).flatten()
    found = frequency_scores(random_logits(11), labels, basis, [2])
    assert found.n_pairs == 100
    assert all(0 <= value <= 1 for value in found.accuracy.values())
    only_zero = torch.arange(121) < 11
    nothing = frequency_scores(random_logits(11), labels, basis, [2], mask=only_zero)
    assert nothing.n_pairs == 0
    assert np.isnan(list(nothing.accuracy.values())).all()


@pytest.mark.parametrize("bad", [0, 6, -2, 11])
def test_strange_frequencies_are_refused_by_name(bad: int) -> None:
    for probe in (restricted_logits, excluded_logits):
        with pytest.raises(ValueError, match=rf"frequencies=\[{bad}\] must lie in 1\.\.5"):
            probe(random_logits(11), ADDITION, [1, bad])
    with pytest.raises(ValueError, match=rf"frequencies=\[{bad}\] must lie in 1\.\.5"):
        frequency_scores(random_logits(11), LABELS, ADDITION, [bad])
