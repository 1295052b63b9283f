"""Gradients by hand and by finite differences, and a minimum found by another optimiser."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import grokinterp as gi
from probes.parameter_norms import parameter_norm
from probes.stationarity import Stationarity, stationarity
from tests.networks import all_pairs, far_from_zero

P, DECAY = 3, 0.05
PAIRS = all_pairs(P)
LABELS = PAIRS.sum(dim=1) % P


def network(config: Any = None) -> Any:
    config = config or gi.EmbeddingMLPConfig(d_embed=3, hidden=(4,), d_vocab=7)
    model = gi.build_model(gi.RunConfig(data=gi.DataConfig(p=P), model=config))
    return far_from_zero(model, seed=1)


def data_loss(model: Any) -> Tensor:
    return torch.nn.functional.cross_entropy(model(PAIRS), LABELS)


def asked(model: Any, weight_decay: float = DECAY, loss: str = "cross_entropy") -> Stationarity:
    return stationarity(model, PAIRS, LABELS, weight_decay=weight_decay, loss=loss)


def test_without_a_read_out_the_gradient_is_known_and_at_a_right_angle_to_the_weights() -> None:
    model = network()
    with torch.no_grad():
        model.W_U.zero_()
        model.b_U.zero_()
    _, cache = model.run_with_cache(PAIRS)
    hidden = cache["layers.0.hook_post"]
    error = torch.full((P * P, P), 1 / P) - torch.eye(P)[LABELS]  # softmax(0) - one-hot
    error = error.double() / P**2
    push = math.hypot(float((hidden.T @ error).norm()), float(error.sum(dim=0).norm()))
    push /= DECAY * parameter_norm(model)
    found = asked(model)
    assert found.push == pytest.approx(push, rel=1e-6)  # error is in float32
    assert found.alignment == pytest.approx(0, abs=1e-12)
    assert found.distance == pytest.approx(math.hypot(1, push), rel=1e-6)
    assert found.least_distance == 1


@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "mse_softmax"])
def test_the_slope_along_the_weights_is_that_of_finite_differences(loss: str) -> None:
    model, small = network(), 1e-5

    def at(factor: float) -> float:
        other = network()
        for weight in other.parameters():
            weight.data *= factor
        logits = other(PAIRS)
        one_hot = torch.eye(P, dtype=torch.float64)[LABELS]
        values = {
            "cross_entropy": -(logits.log_softmax(dim=1) * one_hot).sum(dim=1),
            "mse": (logits - one_hot).square().mean(dim=1),
            "mse_softmax": (logits.softmax(dim=1) - one_hot).square().mean(dim=1),
        }
        return values[loss].mean().item()

    slope = (at(1 + small) - at(1 - small)) / (2 * small)  # grad . w
    found = asked(model, loss=loss)
    # Error of central differences: small^2, and rounding / small.
    assert -found.alignment * found.push * DECAY * found.norm**2 == pytest.approx(slope, rel=1e-6)
    assert found.distance**2 == pytest.approx(
        1 + found.push**2 - 2 * found.push * found.alignment, rel=1e-9
    )


def test_a_minimum_is_stationary_and_no_other_point() -> None:
    model = network(gi.EmbeddingMLPConfig(d_embed=2, hidden=(3,), act="square"))
    decay = 1e-3  # under a larger one the minimum is a network of zeros
    ends = {"tolerance_grad": 1e-12, "tolerance_change": 1e-15, "max_iter": 300}
    search = torch.optim.LBFGS(
        model.parameters(), history_size=60, line_search_fn="strong_wolfe", **ends
    )
    assert asked(model, decay).distance > 0.1

    def closure() -> Tensor:
        search.zero_grad()
        penalty = sum(weight.square().sum() for weight in model.parameters())
        total = data_loss(model) + decay / 2 * penalty
        total.backward()
        return total

    search.step(closure)
    found = asked(model, decay)
    assert found.norm > 0.1  # not the trivial minimum
    assert found.distance < 1e-5
    assert found.least_distance < 1e-5
    assert found.push == pytest.approx(1, abs=1e-5)
    other = asked(model, 2 * decay)
    assert other.distance == pytest.approx(0.5, abs=1e-5)  # half of the pull is balanced
    assert other.least_distance == found.least_distance


def test_rows_that_no_prompt_uses_are_left_out_and_nothing_is_changed() -> None:
    model = network()
    before, found = {n: w.clone() for n, w in model.state_dict().items()}, asked(model)
    with torch.no_grad():
        model.W_E[P:] += 100.0
    assert asked(model) == found
    model.requires_grad_(False)
    assert asked(model) == found
    with torch.no_grad():
        model.W_E[P:] -= 100.0
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(weight, before[name])
    assert all(weight.grad is None for weight in model.parameters())


def test_without_decay_only_the_angle_is_known() -> None:
    found = asked(network(), weight_decay=0.0)
    assert math.isnan(found.distance)
    assert math.isnan(found.push)
    assert found.alignment == asked(network()).alignment


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"loss": "hinge"}, "loss.*hinge"),
        ({"tokens": PAIRS[:0], "labels": LABELS[:0]}, "tokens has no example"),
        ({"labels": LABELS + P}, "labels must lie in 0..2"),
    ],
)
def test_bad_arguments_are_refused(changes: dict[str, Any], message: str) -> None:
    arguments = {"tokens": PAIRS, "labels": LABELS, "weight_decay": DECAY} | changes
    with pytest.raises(ValueError, match=message):
        stationarity(network(), **arguments)
