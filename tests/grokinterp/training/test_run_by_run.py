"""Autograd passes of any architecture, against the hand-written and the vectorised ones."""

import functools
from typing import Any

import pytest
import torch
from torch import nn

import grokinterp as gi
from grokinterp.losses import LOSSES
from grokinterp.team import Team
from grokinterp.training import trainer
from grokinterp.training.minibatches import Minibatches
from grokinterp.training.passes import deal, run_by_run
from grokinterp.training.passes.by_hand import HandWrittenPasses
from grokinterp.training.passes.run_by_run import RunByRunPasses
from grokinterp.training.passes.vectorised import VectorisedPasses
from grokinterp.training.resources import Resources
from grokinterp.training.stack import Stack

RESOURCES = Resources(device="cpu", precision="float64")
BASE = gi.RunConfig(
    data=gi.DataConfig(p=11, train_fraction=0.8, corruption=0.3),
    model=gi.MLPConfig(d_mlp=12),
    training=gi.TrainConfig(steps=12, eval_every=4),
)
VARIED: list[dict[str, object]] = [
    {},
    {"data.train_fraction": 0.79, "training.dropout": 0.5, "training.dropout_at": "post"},
    {"seed": 1, "training.dropout": 0.3},
    {"seed": 2, "training.weight_noise": 0.01, "training.weight_decay": 3.0},
]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make 96 training pairs take two blocks, and be shared out."""
    monkeypatch.setattr(run_by_run, "_BLOCK_BYTES", 1)
    monkeypatch.setattr(deal, "_WORTH_SHARING", 1)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("runs", [1, 4])
@pytest.mark.parametrize("change", [{}, {"model.n_layers": 2, "model.act": "relu"}])
def test_gradients_and_scores_are_those_of_the_hand_written_passes(
    runs: int, change: dict[str, object]
) -> None:
    configs = [BASE.replace(change | own) for own in VARIED[:runs]]
    with torch.no_grad(), Team(2) as team:
        by_hand = Stack(configs, RESOURCES, team, passes=HandWrittenPasses)
        autograd = Stack(configs, RESOURCES, team, passes=RunByRunPasses)
        for one in (by_hand, autograd):
            one.step()
            assert len(one.state.grads) == (2 if runs == 1 else 1)  # shared out
        torch.testing.assert_close(autograd.state.grads.sum(0), by_hand.state.grads.sum(0))
        torch.testing.assert_close(autograd.state.losses.sum(0), by_hand.state.losses.sum(0))
        torch.testing.assert_close(autograd.evaluate(), by_hand.evaluate(), equal_nan=True)


@pytest.mark.parametrize("norm", [None, "batch", "layer"])
@pytest.mark.parametrize("batch_size", [None, 16])
def test_both_ways_of_training_give_the_same_runs(
    norm: str | None, batch_size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = {"model.norm": norm, "training.batch_size": batch_size, "training.loss": "mse_softmax"}
    configs = [BASE.replace(change | own) for own in VARIED]
    want = gi.train_many(configs, precision="float64", progress=False)
    monkeypatch.setattr(trainer, "Stack", functools.partial(Stack, passes=VectorisedPasses))
    got = gi.train_many(configs, precision="float64", progress=False)
    for one, other in zip(want, got, strict=True):
        for name, value in one.model.state_dict().items():
            torch.testing.assert_close(other.model.state_dict()[name], value, rtol=1e-7, atol=1e-9)
        assert not one.model.training


@pytest.mark.parametrize("norm", [None, "batch"])
def test_a_mini_batch_run_is_a_plain_loop(norm: str | None) -> None:
    """Torch's own norm, optimiser and autograd on the batches that the run draws."""
    config = BASE.replace(
        {
            "model.norm": norm,
            "model.act": "relu",
            "training.batch_size": 32,
            "training.optimizer": "sgd",
            "training.lr": 0.1,
            "training.momentum": 0.9,
        }
    )
    run = gi.train(config, precision="float64", progress=False)
    start = gi.build_model(config).double()
    assert isinstance(start, gi.HookedMLP)
    W_E, W_U = (nn.Parameter(w.detach().clone()) for w in (start.W_E, start.W_U))
    layer = nn.BatchNorm1d(12).double() if norm else nn.Identity()
    optimizer = torch.optim.SGD([W_E, W_U, *layer.parameters()], lr=0.1, momentum=0.9)
    batches = Minibatches(config)
    data = run.dataset
    tokens, labels = data.tokens[data.is_train], data.labels[data.is_train]
    for step in range(config.training.steps):
        rows = batches.at(step)
        a, b = tokens[rows].T
        logits = layer((W_E[0][a] + W_E[1][b]).relu()) @ W_U
        optimizer.zero_grad()
        LOSSES["mse"].per_example(logits, labels[rows]).mean().backward()
        optimizer.step()
    torch.testing.assert_close(run.model.W_U, W_U)
    torch.testing.assert_close(run.model.W_E, W_E)
    if isinstance(layer, nn.BatchNorm1d):
        ours: Any = run.model.layers[0].norm
        torch.testing.assert_close(ours.running_var, layer.running_var)
        torch.testing.assert_close(ours.gamma, layer.weight)


def test_batches_go_through_every_example_once_an_epoch_and_drop_the_rest() -> None:
    config = BASE.replace({"training.batch_size": 25})
    batches, n = Minibatches(config), config.data.n_train
    epochs = [torch.cat([batches.at(3 * e + i) for i in range(n // 25)]) for e in range(3)]
    for seen in epochs:
        assert len(seen) == 75  # of 96
        assert len(seen.unique()) == 75
    assert not torch.equal(epochs[0], epochs[1])
    assert torch.equal(Minibatches(config).at(4), epochs[1][25:50])  # from any step on
    other = Minibatches(config.replace({"seed": 1}))
    assert not torch.equal(other.at(0), epochs[0][:25])
    assert Minibatches(config.replace({"training.batch_size": 1000})).size == n


def test_a_run_alone_is_the_run_in_a_stack() -> None:
    change: dict[str, object] = {"model.norm": "batch", "training.batch_size": 16}
    configs = [BASE.replace(change | own) for own in VARIED]
    together = gi.train_many(configs, precision="float64", progress=False)
    alone = gi.train(configs[1], precision="float64", progress=False)
    torch.testing.assert_close(alone.model.W_U, together[1].model.W_U, rtol=1e-7, atol=1e-10)
    assert float(alone.history.test_loss[-1]) == pytest.approx(
        float(together[1].history.test_loss[-1]), rel=1e-7
    )


def test_saved_with_its_running_statistics(tmp_path: Any) -> None:
    run = gi.train(BASE.replace({"model.norm": "batch"}), progress=False)
    again = gi.Run.load(run.save(tmp_path / "run"))
    tokens = run.dataset.tokens
    assert torch.equal(again.model(tokens), run.model(tokens))
    assert float(again.model.layers[0].norm.running_mean.abs().sum()) > 0
