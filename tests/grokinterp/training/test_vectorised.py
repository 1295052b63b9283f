"""The vectorised passes (a GPU's) against the hand-written ones (a CPU's), both on the CPU here."""

import functools

import pytest
import torch
from torch import Tensor

import grokinterp as gi
from grokinterp.team import Team
from grokinterp.training import trainer
from grokinterp.training.passes import vectorised
from grokinterp.training.passes.vectorised import VectorisedPasses
from grokinterp.training.resources import Resources
from grokinterp.training.stack import Stack

RESOURCES = Resources(device="cpu")
BASE = gi.RunConfig(
    data=gi.DataConfig(p=11, corruption=0.3),
    model=gi.MLPConfig(d_mlp=20),
    training=gi.TrainConfig(steps=30, eval_every=10),
)
VARIED: list[dict[str, object]] = [
    {"data.train_fraction": 0.3},
    {"data.train_fraction": 0.31, "training.dropout": 0.5, "training.dropout_at": "post"},
    {"training.weight_decay": 5.0},
    {"seed": 1, "training.dropout": 0.3, "training.lr": 3e-3},
    {"data.train_fraction": 0.7, "training.weight_noise": 0.01},
    {"data.train_fraction": 0.7, "training.update_noise": 0.1, "training.betas": (0.8, 0.9)},
]


def stacks(changes: dict[str, object], precision: str, team: Team) -> tuple[Stack, Stack]:
    configs = [BASE.replace(changes | own) for own in VARIED]
    resources = Resources(device="cpu", precision=precision)
    at_once = Stack(configs, resources, team, passes=VectorisedPasses)
    return Stack(configs, resources, team), at_once


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("float32", 1e-5), ("float64", 1e-10), ("bfloat16", 5e-2)]
)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "model": gi.MLPConfig(d_mlp=12, n_layers=2, act="relu", init="standard"),
            "training.loss": "cross_entropy",
        },
        {"model.act": "gelu"},
        {"model.act": "relu", "training.loss": "cross_entropy_float64"},
    ],
    ids=["square", "deep relu, cross-entropy", "gelu", "cross-entropy in float64"],
)
def test_both_paths_give_the_same_gradients(
    changes: dict[str, object], precision: str, tolerance: float
) -> None:
    """In bfloat16 the hand-written pass rounds weights before adding: some relus change side."""
    with torch.no_grad(), Team(2) as team:
        dealt, together = stacks(changes, precision, team)
        for stack in (dealt, together):
            stack.step()
        apart, at_once = dealt.state, together.state
        for one, other in zip(apart.grads.sum(0), at_once.grads.sum(0), strict=True):
            assert (one - other).norm() <= tolerance * one.norm()
        torch.testing.assert_close(
            apart.losses.sum(0), at_once.losses.sum(0), rtol=tolerance, atol=tolerance
        )


def test_both_paths_score_alike() -> None:
    with torch.no_grad(), Team(2) as team:
        dealt, together = stacks({}, "float64", team)
        torch.testing.assert_close(
            dealt.evaluate(), together.evaluate(), rtol=1e-12, atol=1e-14, equal_nan=True
        )


def test_training_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    configs = [BASE.replace(own) for own in VARIED]
    want = gi.train_many(configs, precision="float64", progress=False)
    monkeypatch.setattr(trainer, "Stack", functools.partial(Stack, passes=VectorisedPasses))
    got = gi.train_many(configs, precision="float64", progress=False)
    for one, other in zip(want, got, strict=True):
        assert one.config == other.config
        torch.testing.assert_close(one.model.W_E, other.model.W_E, rtol=1e-7, atol=1e-10)
        torch.testing.assert_close(one.model.W_U, other.model.W_U, rtol=1e-7, atol=1e-10)


def test_a_diverging_run_spares_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = gi.train(BASE, precision="float64", progress=False)
    monkeypatch.setattr(trainer, "Stack", functools.partial(Stack, passes=VectorisedPasses))
    with pytest.warns(gi.DivergenceWarning, match="run 0"):
        wild, tame = gi.train_many(
            [BASE.replace({"training.lr": 1e38, "training.weight_decay": 1e30}), BASE],
            precision="float64",
            progress=False,
        )
    assert wild.diverged_at is not None
    torch.testing.assert_close(tame.model.W_U, alone.model.W_U, rtol=1e-7, atol=1e-10)


def test_no_run_pays_for_the_largest() -> None:
    with torch.no_grad(), Team(1) as team:
        sizes = [0.05, 0.5, 0.52, 0.9]
        configs = [BASE.replace({"data.train_fraction": size}) for size in sizes]
        stack = Stack(configs, RESOURCES, team, passes=VectorisedPasses)
        passes = stack.passes
        assert isinstance(passes, VectorisedPasses)
        padded = sum(bucket.batch()[1].numel() for bucket in passes._buckets)
    real = sum(config.data.n_train for config in configs)
    assert padded <= 1.1 * real


def test_every_run_is_in_exactly_one_bucket() -> None:
    sizes = [3, 3, 10, 11, 11, 50, 54, 56, 100]
    buckets = vectorised._similar(sizes, 0.1)
    assert [i for rows in buckets for i in range(rows.start, rows.stop)] == list(range(len(sizes)))
    for rows in buckets:
        assert min(sizes[rows]) >= 0.9 * max(sizes[rows])


def test_products_of_a_stack_are_batched() -> None:
    """One product of all runs, not one per run: what makes a stack fast on a GPU."""
    from torch.profiler import profile

    def products(runs: int) -> int:
        with torch.no_grad(), Team(1) as team:
            configs = [BASE.replace({"seed": seed}) for seed in range(runs)]
            stack = Stack(configs, RESOURCES, team, passes=VectorisedPasses)
            with profile() as traced:
                stack.step()
        names: list[Tensor | str] = [event.name for event in traced.events() or []]
        return sum(name in ("aten::bmm", "aten::mm") for name in names)

    assert products(8) == products(2) > 0
