"""Flows of the four scalars: a closed form, what they conserve, the optimisers they predict."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import optimize

import grokinterp as gi
from analyses.efficiency.mixing import mixture
from analyses.efficiency.mixing.gradient_flow import predict
from analyses.efficiency.mixing.tables import Tables

P = 7
SGD = gi.TrainConfig(
    steps=400, lr=0.02, optimizer="sgd", loss="mse_softmax", eval_every=20, warmup_steps=10
)


def make_tables(noise: float = 1.0) -> Tables:
    dataset = gi.make_dataset(gi.DataConfig(p=P, train_fraction=0.5))
    rng = torch.Generator().manual_seed(0)
    drawn = noise * torch.randn(2, P * P, P, generator=rng, dtype=torch.float64)
    right = (40.0 if noise == 0 else 4.0) * F.one_hot(dataset.labels, P)
    memorising = drawn[0] + right * dataset.is_train[:, None]
    return Tables(
        memorising, drawn[1] + right, dataset.labels, dataset.is_train, dataset.is_test, (5.0, 2.0)
    )


def config(training: gi.TrainConfig = SGD, **changes: Any) -> mixture.MixtureConfig:
    return mixture.MixtureConfig(training=training, **changes)


def test_a_balanced_flawless_circuit_grows_as_a_logistic_function() -> None:
    """w1 = w2 turns the loss (1 - w)^2 / p into dw/dt = 4 w (1 - w) / p; the other stays at 0."""
    training = replace(SGD, lr=0.1)
    found = predict(make_tables(noise=0.0), {"a": (0.1, 0.1, 0.0, 0.0)}, config(training))
    lr = training.lr * np.minimum(1, np.arange(training.steps) / 10)
    time = np.concatenate([[0], np.cumsum(lr)])[found.step]
    np.testing.assert_allclose(found.time, time)
    expected = 1 / (1 + 99 * np.exp(-4 * time / P))
    assert expected[-1] > 0.9
    grown = found.weights.isel(start=0)
    np.testing.assert_allclose(grown.sel(circuit="memorising"), expected, rtol=1e-5)
    np.testing.assert_array_equal(grown.sel(circuit="generalising"), 0)
    assert found.attrs["flow"] == "gradient"


@pytest.mark.parametrize("decay_of", ["scalars", "circuits"])
def test_gradient_flow_keeps_the_difference_of_squares(decay_of: str) -> None:
    """Decay of circuits is a function of the products and keeps it too; of scalars, it decays."""
    decay = 0.05
    training = replace(SGD, weight_decay=decay)
    found = predict(make_tables(), mixture.STARTS, config(training, decay_of=decay_of))
    squares = found.scalars**2
    for letter in "mg":
        gap = squares.sel(scalar=f"w_{letter}2") - squares.sel(scalar=f"w_{letter}1")
        rate = 2 * decay if decay_of == "scalars" else 0.0
        left = gap.isel(step=0) * np.exp(-rate * found.time)
        np.testing.assert_allclose(gap, left.transpose(*gap.dims), rtol=1e-6)
    assert float(found.weights.max()) > 0.3


@pytest.mark.parametrize("mixed", ["probabilities", "logits"])
@pytest.mark.parametrize("kind", ["l2", "decoupled_zero"])
@pytest.mark.parametrize("decay_of", ["scalars", "circuits"])
def test_sgd_follows_gradient_flow_the_closer_the_smaller_its_rate(
    mixed: str, kind: str, decay_of: str
) -> None:
    tables, gaps = make_tables(), []
    for finer in (1, 10):
        training = replace(SGD, warmup_steps=0, weight_decay=0.02, decay=kind)
        times = {"lr": 0.1 / finer, "steps": 40 * finer, "eval_every": 10 * finer}
        training = replace(training, **times)
        how = config(training, mixed=mixed, decay_of=decay_of)
        trained = mixture.compute(tables, {"a": (3.0, 1.0)}, how)
        gaps.append(
            float(abs(trained.scalars - predict(tables, {"a": (3.0, 1.0)}, how).scalars).max())
        )
    assert gaps[1] < 0.2 * gaps[0]
    assert gaps[1] < 2e-3


def test_sign_flow_is_a_straight_line_until_a_gradient_turns() -> None:
    training = replace(mixture.PUBLISHED_TRAINING, steps=60, batch_size=None, eval_every=4)
    found = predict(make_tables(), config=config(training))
    assert found.attrs["flow"] == "sign"
    for start, speeds in mixture.STARTS.items():
        for circuit, speed in zip(("memorising", "generalising"), speeds, strict=True):
            straight = found.time * (speed + found.time)
            here = found.weights.sel(start=start, circuit=circuit)
            np.testing.assert_allclose(here, straight, rtol=1e-3, atol=1e-6)


def test_adam_begins_as_sign_flow_and_ends_where_it_ends() -> None:
    """Decay of circuits makes the end unique: where the loss with its penalty is least."""
    training = gi.TrainConfig(steps=300, lr=1e-2, warmup_steps=10, eval_every=10)
    training = replace(training, optimizer="adam", weight_decay=2e-3, loss="mse_softmax")
    how = config(training, decay_of="circuits")
    trained = mixture.compute(make_tables(), config=how)
    flow = predict(make_tables(), config=how)
    begin = [run.weights.sel(start="1:1", step=slice(10, 40)) for run in (trained, flow)]
    np.testing.assert_allclose(*begin, rtol=0.1)
    memorising, generalising, labels = make_tables().on("train", mixed="probabilities")
    asked = F.one_hot(labels, P)

    def least(w: np.ndarray) -> float:
        loss = F.mse_loss(w[0] * memorising + w[1] * generalising, asked.double())
        return float(loss) + 2e-3 / 2 * ((5.0 * w[0]) ** 2 + (2.0 * w[1]) ** 2)

    end = optimize.minimize(least, [0.5, 0.5]).x
    for start in (0, 1):
        np.testing.assert_allclose(trained.weights[start, -1], end, atol=0.005)
        np.testing.assert_allclose(flow.weights[start, -1], end, atol=0.04)  # a piece is 0.01 long


def test_what_has_no_flow_is_refused() -> None:
    with pytest.raises(ValueError, match=r"momentum=0\.9.*no memory"):
        predict(make_tables(), config=config(replace(SGD, momentum=0.9)))
    with pytest.raises(ValueError, match="'decoupled_init': a flow has no memory"):
        predict(make_tables(), config=config(replace(SGD, decay="decoupled_init")))
