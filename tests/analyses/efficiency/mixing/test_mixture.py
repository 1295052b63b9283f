"""Training the four scalars: against torch's optimisers, and the published Fig. 5."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import grokinterp as gi
from analyses.efficiency.mixing import mixture
from analyses.efficiency.mixing.tables import Tables

P, CLASSES, NORMS = 5, 6, (7.0, 3.0)
FULL = replace(mixture.PUBLISHED_TRAINING, steps=40, batch_size=None, lr=0.02)


def make_tables(p: int = P, classes: int = CLASSES, norms: tuple[float, float] = NORMS) -> Tables:
    """Two noisy tables: one knows the training pairs, the other all."""
    dataset = gi.make_dataset(gi.DataConfig(p=p, train_fraction=0.4))
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(2, p * p, classes, generator=rng, dtype=torch.float64)
    right = 4.0 * F.one_hot(dataset.labels, classes)
    memorising = noise[0] + right * dataset.is_train[:, None]
    return Tables(
        memorising, noise[1] + right, dataset.labels, dataset.is_train, dataset.is_test, norms
    )


def ideal(p: int, classes: int = 239) -> Tables:
    """Two flawless circuits, C_mem uniform where it was not trained, on a fifth of the pairs."""
    dataset = gi.make_dataset(gi.DataConfig(p=p, train_fraction=0.2))
    right = 60.0 * F.one_hot(dataset.labels, classes).double()
    memorising = torch.where(dataset.is_train[:, None], right, 0.0)
    return Tables(memorising, right, dataset.labels, dataset.is_train, dataset.is_test)


def by_torch(
    tables: Tables,
    start: tuple[float, ...],
    training: gi.TrainConfig,
    mixed: str,
    cost: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Scalars after every step of a torch optimiser, the loss and its slope by autograd."""
    s = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    decay: dict[str, Any] = {"lr": training.lr, "weight_decay": training.weight_decay}
    if any(cost):
        decay["weight_decay"] = 0.0
    if training.optimizer == "sgd":
        optimizer: Any = torch.optim.SGD([s], momentum=training.momentum, **decay)
    else:
        which = torch.optim.AdamW if training.optimizer == "adamw" else torch.optim.Adam
        optimizer = which([s], betas=training.betas, eps=training.eps, **decay)
    memorising, generalising, labels = tables.on("train", mixed=mixed)
    found = [s.detach().clone()]
    for step in range(training.steps):
        optimizer.param_groups[0]["lr"] = training.lr * min(1.0, step / training.warmup_steps)
        optimizer.zero_grad()
        mix = s[0] * s[1] * memorising + s[2] * s[3] * generalising
        if training.loss == "cross_entropy":
            loss = F.cross_entropy(mix, labels)
        else:
            loss = F.mse_loss(mix, F.one_hot(labels, CLASSES).double())
        penalty = cost[0] * (s[0] * s[1]) ** 2 / 2 + cost[1] * (s[2] * s[3]) ** 2 / 2
        (loss + penalty).backward()
        optimizer.step()
        found.append(s.detach().clone())
    return torch.stack(found).numpy()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"weight_decay": 0.5},
        {"optimizer": "adam", "weight_decay": 0.01},
        {"optimizer": "sgd", "lr": 0.3},
        {"optimizer": "sgd", "lr": 0.3, "momentum": 0.7, "weight_decay": 0.1},
    ],
)
def test_every_optimiser_is_torchs(changes: dict[str, Any]) -> None:
    tables, training = make_tables(), replace(FULL, **changes)
    starts = {"a": (10.0, 1.0), "b": (0.2, -0.5, 0.1, 2.0)}  # trained together
    found = mixture.compute(tables, starts, mixture.MixtureConfig(training=training))
    for name, start in (("a", (0.0, 10.0, 0.0, 1.0)), ("b", starts["b"])):
        expected = by_torch(tables, start, training, "probabilities")
        np.testing.assert_allclose(found.scalars.sel(start=name), expected, rtol=1e-9, atol=1e-11)
    assert float(abs(found.scalars.diff("step")).max()) > 1e-3


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_decay_of_circuits_is_the_norm_that_they_would_cost(optimizer: str) -> None:
    training = replace(FULL, optimizer=optimizer, weight_decay=1e-3, loss="cross_entropy")
    training = replace(training, decay="l2")
    config = mixture.MixtureConfig(mixed="logits", training=training, decay_of="circuits")
    tables = make_tables()
    found = mixture.compute(tables, {"a": (3.0, 1.0)}, config)
    cost = (1e-3 * NORMS[0] ** 2, 1e-3 * NORMS[1] ** 2)
    expected = by_torch(tables, (0.0, 3.0, 0.0, 1.0), training, "logits", cost)
    np.testing.assert_allclose(found.scalars.isel(start=0), expected, rtol=1e-9, atol=1e-11)
    without = by_torch(tables, (0.0, 3.0, 0.0, 1.0), replace(training, weight_decay=0.0), "logits")
    assert abs(without - expected).max() > 1e-3


def test_decoupled_decay_of_circuits_is_a_step_of_its_own() -> None:
    """Where the loss has no slope for a circuit (its product's partner is 0), only decay acts."""
    training = replace(FULL, optimizer="sgd", decay="decoupled_zero", weight_decay=1e-3)
    training = replace(training, warmup_steps=0)
    tables = make_tables()
    flat = replace(tables, memorising=torch.zeros_like(tables.memorising), norms=(30.0, 3.0))
    training = replace(training, loss="mse")
    config = mixture.MixtureConfig(mixed="logits", training=training, decay_of="circuits")
    found = mixture.compute(flat, {"a": (1.0, 2.0, 0.0, 0.0)}, config).scalars.isel(start=0)
    w1, w2 = 1.0, 2.0
    for row in found[1:]:
        pull = training.lr * 1e-3 * 30.0**2 * w1 * w2
        w1, w2 = w1 - pull * w2, w2 - pull * w1
        np.testing.assert_allclose(row, [w1, w2, 0, 0], rtol=1e-12)
    assert w1 < 0.9


def test_losses_and_accuracies_are_those_of_the_mixture() -> None:
    tables = make_tables()
    training = replace(FULL, loss="cross_entropy", eval_every=10, weight_decay=0.3)
    found = mixture.compute(tables, config=mixture.MixtureConfig(mixed="logits", training=training))
    assert found.step.values.tolist() == [0, 10, 20, 30, 40]
    for start in ("10:1", "1:1"):
        for step in (10, 40):
            here = found.sel(start=start, step=step)
            w = here.scalars.values
            np.testing.assert_allclose(here.weights, [w[0] * w[1], w[2] * w[3]])
            mix = w[0] * w[1] * tables.memorising + w[2] * w[3] * tables.generalising
            for split, mask in (("train", tables.is_train), ("test", tables.is_test)):
                there = here.sel(split=split)
                loss = F.cross_entropy(mix[mask], tables.labels[mask])
                assert there.loss.item() == pytest.approx(loss.item())
                right = (mix.argmax(dim=1) == tables.labels)[mask].double().mean()
                assert there.accuracy.item() == pytest.approx(right.item())
    assert found.loss.isel(step=0).values == pytest.approx(math.log(CLASSES))
    for circuit in ("memorising", "generalising"):
        for split, mask in (("train", tables.is_train), ("test", tables.is_test)):
            alone = F.cross_entropy(getattr(tables, circuit)[mask], tables.labels[mask])
            assert found.alone.sel(circuit=circuit, split=split) == pytest.approx(alone.item())
    assert found.attrs["n_train"] + found.attrs["n_test"] == P * P


def test_batches_are_parts_of_reshuffled_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []
    real = mixture.surface_of

    def spied(tables: Tables, split: str, config: mixture.MixtureConfig) -> Any:
        surface: Any = real(tables, split, config)
        slope: Callable[..., Tensor] = surface.gradient
        if split == "train":
            surface.gradient = lambda w, rows: (seen.append(rows), slope(w, rows))[1]
        return surface

    monkeypatch.setattr(mixture, "surface_of", spied)
    tables = make_tables()
    n = int(tables.is_train.sum())
    assert n == 10
    config = mixture.MixtureConfig(training=replace(FULL, steps=7, batch_size=3))
    mixture.compute(tables, config=config)
    assert [len(rows) for rows in seen] == [3] * 7
    epochs = [torch.cat(seen[i : i + 3]) for i in (0, 3)]
    assert all(len(epoch.unique()) == 9 for epoch in epochs)
    assert not torch.equal(*epochs)
    first = [rows.tolist() for rows in seen]
    seen.clear()
    mixture.compute(tables, config=config)
    assert [rows.tolist() for rows in seen] == first  # the same for the same seed
    seen.clear()
    mixture.compute(tables, config=replace(config, seed=1))
    assert [rows.tolist() for rows in seen] != first


def test_flawless_circuits_follow_the_published_training_loss() -> None:
    """The first hundred steps of Fig. 5, 10:1, read off the vector figure."""
    training = replace(mixture.PUBLISHED_TRAINING, steps=100)
    found = mixture.compute(ideal(p=23), config=mixture.MixtureConfig(training=training))
    # A published point is the mean over the four batches of the epoch that ends with its step.
    loss = found.loss.sel(split="train").rolling(step=4).mean()
    published = [0.004177, 0.004073, 0.003178, 0.002078, 0.001268, 0.000712]
    ours = loss.sel(start="10:1", step=[3, 7, 19, 35, 51, 67])
    np.testing.assert_allclose(ours, published, rtol=0.07)
    for step, value in {3: 0.004183, 27: 0.003855, 79: 0.003001}.items():
        assert loss.sel(start="1:1", step=step).item() == pytest.approx(value, rel=0.07)
    memorised = found.weights.sel(start="10:1", circuit="memorising")
    for step in (20, 35):  # Adam moves w_m1 by its rate per step; the warm-up costs five steps
        assert memorised.sel(step=step).item() == pytest.approx(10e-3 * (step - 5), rel=0.1)
    start = found.loss.isel(step=0).values
    np.testing.assert_allclose(start, 0.0041841004184100415, rtol=1e-10)  # 1 / 239


def test_without_training_errors_validation_loss_does_not_come_down() -> None:
    """On pairs that both circuits know, nothing tells them apart; Fig. 5's C_mem had errors."""
    training = replace(mixture.PUBLISHED_TRAINING, steps=600, eval_every=100, batch_size=None)
    small = ideal(p=13, classes=13)
    config = mixture.MixtureConfig(training=training)
    loss = mixture.compute(small, {"10:1": (10.0, 1.0)}, config).loss.isel(start=0)
    assert loss.sel(split="train", step=600) < 1e-8
    late = loss.sel(split="test")[2:]
    np.testing.assert_allclose(late, late[0], rtol=0.02)
    assert late[0] > 0.5 * loss[0, 1]


def test_a_start_that_diverges_is_nan_and_the_others_are_not() -> None:
    training = replace(FULL, optimizer="sgd", lr=2.0, warmup_steps=0, steps=30)
    config = mixture.MixtureConfig(training=training)
    found = mixture.compute(make_tables(), {"wild": (30.0, 30.0), "calm": (0.01, 0.01)}, config)
    assert np.isnan(found.loss.sel(start="wild").isel(step=-1)).all()
    assert np.isnan(found.accuracy.sel(start="wild").isel(step=-1)).all()
    assert np.isfinite(found.loss.sel(start="calm")).all()


def test_bad_settings_and_starts_are_refused() -> None:
    config = mixture.MixtureConfig
    with pytest.raises(ValueError, match=r"training\.dropout=0\.1 has no meaning for a mixture"):
        config(training=replace(FULL, dropout=0.1))
    with pytest.raises(ValueError, match=r"loss='mse' with mixed='probabilities' is unknown"):
        config(training=replace(FULL, loss="mse"))
    with pytest.raises(ValueError, match="decay_of='networks' is unknown"):
        config(decay_of="networks")
    with pytest.raises(ValueError, match="'decoupled_zero' or 'l2'"):
        config(training=replace(FULL, decay="decoupled_init"), decay_of="circuits")
    with pytest.raises(ValueError, match="'jiggle' is noise per weight tensor"):
        config(training=replace(FULL, decay="jiggle"))
    tables = make_tables()
    with pytest.raises(ValueError, match="starts is empty"):
        mixture.compute(tables, {})
    with pytest.raises(ValueError, match=r"starts\['x'\] has 3 numbers"):
        mixture.compute(tables, {"x": (1.0, 2.0, 3.0)})
    decayed = config(training=replace(FULL, weight_decay=0.1), decay_of="circuits")
    with pytest.raises(ValueError, match=r"needs tables\.norms"):
        mixture.compute(make_tables(norms=(math.nan, 1.0)), config=decayed)
    with pytest.raises(ValueError, match=r"overshoot zero at lr=0\.02.*at most 0\.0102"):
        mixture.compute(tables, config=decayed)
