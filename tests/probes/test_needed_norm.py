"""Norms at matched logits: scaled networks themselves, AM-GM, and a search over real scalings."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import optimize

import grokinterp as gi
from probes.margins import all_logits, model_label_logits, model_label_margins
from probes.needed_norm import can_share_scale, least_norm, matched_norm
from probes.parameter_norms import parameter_norm
from probes.unit_halves import unit_halves

P = 5
RELU = gi.MLPConfig(d_mlp=12, n_layers=3, act="relu", init="standard")
SQUARE = gi.MLPConfig(d_mlp=12)
BIASED = gi.EmbeddingMLPConfig(
    prompt="a + b =", d_vocab=11, d_vocab_out=11, d_embed=6, hidden=(8, 7)
)

TRANSFORMER = gi.TransformerConfig.paper2(d_model=8, n_heads=2, d_mlp=8, d_vocab=11, d_vocab_out=11)


def build(config: Any, seed: int = 0) -> Any:
    data = gi.DataConfig(p=P)
    return (
        gi.build_model(gi.RunConfig(data=data, model=config, seed=seed))
        .double()
        .eval()
        .requires_grad_(False)
    )


@pytest.fixture(scope="module")
def tokens() -> torch.Tensor:
    return gi.make_dataset(gi.DataConfig(p=P)).tokens


def answers(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """The labels it gives itself, so that all margins are positive."""
    return all_logits(model, tokens).argmax(dim=1)


def scaled(model: Any, factors: list[float], logits: float = 1.0) -> Any:
    """Layers multiplied by factors, biases following, the read-out making up for all of it."""
    model = copy.deepcopy(model)
    signal, rest = 1.0, iter(factors)
    with torch.no_grad():
        model.W_E.mul_(own := next(rest))
        signal *= own
        for layer in model.layers:
            if layer.W_in is not None:
                layer.W_in.mul_(own := next(rest))
                signal *= own
            if layer.b_in is not None:
                layer.b_in.mul_(signal)
            signal = signal**2 if model.cfg.act == "square" else signal
        model.W_U.mul_(logits / signal)
        if hasattr(model, "unembed"):
            model.unembed.b_U.mul_(logits)
    return model


@pytest.mark.parametrize("quantity", ["logit", "margin"])
@pytest.mark.parametrize("config", [BIASED, RELU, TRANSFORMER, gi.LSTMConfig(d_hidden=4)])
def test_the_read_out_is_scaled_to_the_target(
    config: Any, quantity: str, tokens: torch.Tensor
) -> None:
    model = build(config)
    labels = answers(model, tokens)
    measure = model_label_logits if quantity == "logit" else model_label_margins
    median = float(measure(model, tokens, labels).median())
    again = copy.deepcopy(model)
    with torch.no_grad():
        for name, weight in again.named_parameters():
            if name.rpartition(".")[2] in ("W_U", "b_U"):
                weight.mul_(3.0 / median)
    assert float(measure(again, tokens, labels).median()) == pytest.approx(3.0)
    found = matched_norm(model, tokens, labels, 3.0, quantity=quantity)
    assert found == pytest.approx(parameter_norm(again, used_only=True))
    # It is the same network, so it needs the same norm.
    assert matched_norm(again, tokens, labels, 3.0, quantity=quantity) == pytest.approx(found)


@pytest.mark.parametrize(
    ("config", "factors"),
    [(RELU, [0.3, 4.0, 2.5]), (SQUARE, [0.4]), (BIASED, [0.2, 4.0, 5.0])],
)
def test_scaling_layers_changes_the_plain_norm_only(
    config: Any, factors: list[float], tokens: torch.Tensor
) -> None:
    model = build(config)
    other = scaled(model, factors)
    torch.testing.assert_close(other(tokens), model(tokens))
    labels = answers(model, tokens)
    plain = [matched_norm(net, tokens, labels, 2.0) for net in (model, other)]
    least = [least_norm(net, tokens, labels, 2.0) for net in (model, other)]
    assert abs(math.log(plain[1] / plain[0])) > 0.1
    assert least[1] == pytest.approx(least[0])
    assert least[0] <= min(plain)


@pytest.mark.parametrize(("config", "degrees"), [(RELU, [1, 1, 1, 1]), (SQUARE, [2, 1])])
def test_the_least_norm_is_that_of_weighted_means(
    config: Any, degrees: list[int], tokens: torch.Tensor
) -> None:
    """Lagrange: |W_i|^2 proportional to d_i, under a given product of |W_i|^d_i."""
    model = build(config)
    labels = answers(model, tokens)
    matrices = [model.W_E, *(la.W_in for la in model.layers if la.W_in is not None), model.W_U]
    k = sum(degrees)
    pairs = list(zip(matrices, degrees, strict=True))
    product = math.prod((float(W.norm()) / d**0.5) ** (2 * d) for W, d in pairs)
    least = math.sqrt(k * product ** (1 / k))
    median = float(model_label_margins(model, tokens, labels).median())
    assert least_norm(model, tokens, labels, median) == pytest.approx(least)
    # With all weights times c the margins grow by c^k.
    for target in (0.1, 7.0):
        want = least * (target / median) ** (1 / k)
        assert least_norm(model, tokens, labels, target) == pytest.approx(want)


def test_biases_follow_the_factors(tokens: torch.Tensor) -> None:
    """Nelder and Mead over networks that are really scaled."""
    model = build(BIASED)
    labels = answers(model, tokens)
    logits = 4.0 / float(model_label_margins(model, tokens, labels).median())

    def norm(u: np.ndarray) -> float:
        return parameter_norm(scaled(model, np.exp(u).tolist(), logits))

    options = {"xatol": 1e-5, "fatol": 1e-8, "maxiter": 400}
    search = optimize.minimize(norm, np.zeros(3), method="Nelder-Mead", options=options)
    assert least_norm(model, tokens, labels, 4.0) == pytest.approx(search.fun, rel=1e-5)


def test_unused_rows_do_not_count(tokens: torch.Tensor) -> None:
    model = build(BIASED)
    labels = answers(model, tokens)
    before = [norm(model, tokens, labels, 1.0) for norm in (matched_norm, least_norm)]
    with torch.no_grad():
        model.W_E[P + 2 :] = 50.0  # after the residues come "+" and "="
    assert [norm(model, tokens, labels, 1.0) for norm in (matched_norm, least_norm)] == before


def test_wrong_answers_have_no_scale(tokens: torch.Tensor) -> None:
    model = build(SQUARE)
    wrong = all_logits(model, tokens).argmin(dim=1)
    assert np.isnan(matched_norm(model, tokens, wrong, 1.0))
    assert np.isnan(least_norm(model, tokens, wrong, 1.0))


def test_networks_without_such_scalings_are_refused(tokens: torch.Tensor) -> None:
    labels = tokens.sum(dim=1) % P
    for config in (gi.LSTMConfig(d_embed=4, d_hidden=4), gi.MLPConfig(d_mlp=4, act="gelu")):
        with pytest.raises(TypeError, match="relu or square"):
            least_norm(build(config), tokens, labels, 1.0)
    tied = gi.TransformerConfig.paper1(d_model=8, n_heads=2, tie_embedding=True)
    with pytest.raises(ValueError, match="tie_embedding=False"):
        matched_norm(build(tied), tokens, labels, 1.0)
    with pytest.raises(ValueError, match="target"):
        matched_norm(build(SQUARE), tokens, labels, 0.0)
    with pytest.raises(ValueError, match="quantity"):
        matched_norm(build(SQUARE), tokens, labels, 1.0, quantity="margins")


def test_layers_under_hooks_are_not_scaled(tokens: torch.Tensor) -> None:
    """Of a half by the mean, whose mean would stay."""
    model, mask = build(RELU), torch.arange(12) < 6
    half = unit_halves(model, mask, unit="neurons.0", mode="mean").parts["generalising"]
    assert not can_share_scale(half)
    with pytest.raises(ValueError, match=r"carries hooks.* take halves by mode='zero'"):
        least_norm(half, tokens, tokens[:, 0], 1.0)
    by_zero = unit_halves(model, mask, unit="neurons.0").parts["generalising"]
    assert can_share_scale(by_zero)
