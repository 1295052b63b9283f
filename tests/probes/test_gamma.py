"""Gamma against IPR: coefficients and intervals as SciPy's, networks of known periodicity."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

import grokinterp as gi
from grokinterp.models.embedding_mlp import EmbeddingMLPConfig, HookedEmbeddingMLP
from grokinterp.models.mlp import HookedMLP, MLPConfig
from grokinterp.models.transformer import HookedTransformer
from grokinterp.models.transformer_config import TransformerConfig
from probes import model_neuron_ipr
from probes.gamma import gamma_ipr, model_gamma_ipr

NAN = float("nan")


def test_against_scipy() -> None:
    rng = np.random.default_rng(0)
    ipr = rng.random(80)
    gamma = ipr**3 + rng.normal(0, 0.3, 80)
    found = gamma_ipr(torch.tensor(gamma), torch.tensor(ipr), confidence=0.9)
    pearson = stats.pearsonr(np.abs(gamma), ipr)
    interval = pearson.confidence_interval(0.9)  # pyright: ignore[reportAttributeAccessIssue]
    assert found.pearson.value == pytest.approx(pearson[0], abs=1e-12)
    assert found.pearson.low == pytest.approx(interval.low, abs=1e-12)
    assert found.pearson.high == pytest.approx(interval.high, abs=1e-12)
    assert found.spearman.value == pytest.approx(stats.spearmanr(np.abs(gamma), ipr)[0], abs=1e-12)
    how: dict[str, Any] = {"paired": True, "vectorized": False, "n_resamples": 999, "rng": rng}
    sample, spearman = (np.abs(gamma), ipr), lambda x, y: stats.spearmanr(x, y)[0]
    again = stats.bootstrap(sample, spearman, confidence_level=0.9, **how).confidence_interval
    assert found.spearman.low == pytest.approx(again.low, abs=0.05)
    assert found.spearman.high == pytest.approx(again.high, abs=0.05)


def test_the_sign_of_gamma_and_dead_neurons_do_not_count() -> None:
    gamma = torch.tensor([1.0, -2.0, 3.0, -4.0, 50.0, 5.0])
    ipr = torch.tensor([0.1, 0.2, 0.3, 0.4, NAN, 0.5])
    found = gamma_ipr(gamma, ipr)
    assert found.n_dead == 1
    assert found.pearson.value == pytest.approx(1.0, abs=1e-6)
    assert found.spearman.value == pytest.approx(1.0, abs=1e-12)
    assert found.pearson.low <= found.pearson.value <= found.pearson.high <= 1.0
    assert gamma[1] == -2.0


@pytest.mark.parametrize(
    ("gamma", "ipr"),
    [
        ([1.0] * 6, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]),  # as a norm starts
        ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [0.5] * 6),
        ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [0.1, 0.2, 0.3, NAN, NAN, NAN]),  # too few
    ],
)
def test_undefined_correlations(gamma: list[float], ipr: list[float]) -> None:
    found = gamma_ipr(torch.tensor(gamma), torch.tensor(ipr))
    for correlation in (found.pearson, found.spearman):
        assert all(map(math.isnan, (correlation.value, correlation.low, correlation.high)))


def test_one_layer_has_the_papers_ipr() -> None:
    model = HookedMLP(MLPConfig(d_mlp=20, norm="batch"), p=11, seed=1)
    expected = model_neuron_ipr(model).ipr
    with torch.no_grad():
        model.get_parameter("layers.0.norm.gamma").copy_(-2 * expected)
        model.W_U[3] = 0.0  # a dead neuron
        model.W_E[:, :, 4] = -1.0  # one whose activation never changes
    (found,) = model_gamma_ipr(model, "addition").values()
    assert found.ipr.isnan().nonzero().flatten().tolist() == [3, 4]
    alive = ~found.ipr.isnan()
    torch.testing.assert_close(found.ipr[alive], expected[alive], rtol=0, atol=1e-12)
    assert found.n_dead == 2
    assert found.pearson.value == pytest.approx(1.0, abs=1e-10)


def test_the_outer_layers_of_a_deep_mlp() -> None:
    model = HookedMLP(MLPConfig(d_mlp=20, n_layers=3, act="relu", norm="layer"), p=11, seed=2)
    solved = gi.closed_form_mlp(p=11, d_mlp=20).state_dict()
    with torch.no_grad():
        model.W_E.copy_(solved["W_E"])
    found = model_gamma_ipr(model, "addition")
    assert list(found) == ["layers.0.norm.gamma", "layers.2.norm.gamma"]
    first = found["layers.0.norm.gamma"]
    assert first.n_dead == 2  # of frequency 0: ReLUs that are the same at all pairs
    alive = first.ipr[~first.ipr.isnan()]
    torch.testing.assert_close(alive, torch.ones(18).double(), rtol=0, atol=1e-6)
    assert found["layers.2.norm.gamma"].ipr.nanmean() < 0.6


def test_the_basis_is_that_of_the_task() -> None:
    model = HookedMLP(MLPConfig(d_mlp=20, n_layers=2, norm="batch"), p=11, seed=2)
    powers = [pow(2, e, 11) for e in range(10)]  # 2 generates the residues mod 11
    with torch.no_grad():
        model.W_E[:, powers] = gi.closed_form_mlp(p=10, d_mlp=20).W_E
    found = model_gamma_ipr(model, "multiplication")["layers.0.norm.gamma"].ipr
    torch.testing.assert_close(found, torch.ones(20).double(), rtol=0, atol=1e-6)
    assert model_gamma_ipr(model, "addition")["layers.0.norm.gamma"].ipr.mean() < 0.7


@pytest.mark.parametrize("combine", ["sum", "concat"])
def test_embeddings_are_part_of_the_input_weights(combine: str) -> None:
    """One-hot embeddings make the network one on one-hot pairs."""
    p = 7
    config = EmbeddingMLPConfig(
        d_embed=p + 2, hidden=(16, 16), norm="batch", combine=combine, prompt="a + b ="
    )
    model = HookedEmbeddingMLP(config, p=p, seed=3).double()
    with torch.no_grad():
        model.W_E.copy_(torch.eye(p + 2))
    tables = model.layers[0].get_parameter("W_in").view(-1, p + 2, 16)
    W_E = torch.stack([tables[0, :p], tables[2 if combine == "concat" else 0, :p]])
    twin = HookedMLP(MLPConfig(d_mlp=16, n_layers=2, act="relu", norm="batch"), p=p).double()
    with torch.no_grad():
        twin.W_E.copy_(W_E)
        twin.W_U.copy_(model.W_U)
    for name, expected in model_gamma_ipr(twin, "subtraction").items():
        found = model_gamma_ipr(model, "subtraction")[name]
        both = ~(found.ipr.isnan() | expected.ipr.isnan())  # biases decide which ReLUs are dead
        assert both.sum() >= 8
        torch.testing.assert_close(found.ipr[both], expected.ipr[both], rtol=0, atol=1e-10)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="norm=None: this MLP has no gamma"):
        model_gamma_ipr(HookedMLP(MLPConfig(d_mlp=4), p=5), "addition")
    transformer = HookedTransformer(TransformerConfig(d_model=8, n_heads=2), p=5)
    with pytest.raises(TypeError, match="HookedTransformer has no norm between neurons"):
        model_gamma_ipr(transformer, "addition")
    with pytest.raises(ValueError, match="confidence must lie in"):
        gamma_ipr(torch.ones(5), torch.ones(5), confidence=1.0)
