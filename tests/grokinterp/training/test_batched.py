"""The passes of many runs at once, a GPU's and those of small runs, against those of one run.

All on the CPU here.
"""

import functools
import math

import pytest
import torch

import grokinterp as gi
from grokinterp.losses import LOSSES
from grokinterp.team import Team
from grokinterp.training import trainer
from grokinterp.training.passes import Passes, batched, choose_passes, deal, small
from grokinterp.training.passes.batched import BatchedPasses
from grokinterp.training.passes.by_hand import HandWrittenPasses
from grokinterp.training.passes.run_by_run import RunByRunPasses
from grokinterp.training.passes.small import SmallRunsPasses
from grokinterp.training.passes.vectorised import VectorisedPasses
from grokinterp.training.resources import Resources
from grokinterp.training.stack import Stack

CUDA = torch.device("cuda")  # only named, never used
BASE = gi.RunConfig(
    data=gi.DataConfig(p=11, corruption=0.3),
    model=gi.MLPConfig(d_mlp=20),
    training=gi.TrainConfig(steps=30, eval_every=10),
)
VARIED: list[dict[str, object]] = [
    {"data.train_fraction": 0.3},
    {"training.weight_decay": 5.0},
    {"seed": 1, "training.lr": 3e-3},
    {"data.train_fraction": 0.7, "training.weight_noise": 0.01},
    {"data.train_fraction": 0.7, "training.update_noise": 0.1, "training.betas": (0.8, 0.9)},
    {"data.train_fraction": 0.7, "seed": 2},
]
DEEP = {
    "model": gi.MLPConfig(d_mlp=12, n_layers=3, act="relu", init="standard"),
    "training.loss": "cross_entropy",
}


@pytest.fixture(params=["large groups", "small groups"])
def groups(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups of all runs with equally large training sets, or of one run; scored in pieces."""
    monkeypatch.setattr(small, "_SCORED_BYTES", 2 * 8 * BASE.data.p**3)  # two runs
    if request.param == "small groups":
        monkeypatch.setattr(batched, "_GROUP_BYTES", 1)
        monkeypatch.setattr(small, "_GROUP_BYTES", 1)
        monkeypatch.setattr(small, "_SCORED_BYTES", 8 * BASE.data.p * 50)  # of 121 pairs


@pytest.fixture(params=[BatchedPasses, SmallRunsPasses])
def passes(request: pytest.FixtureRequest) -> type[Passes]:
    return request.param


def stacks(
    passes: type[Passes], changes: dict[str, object], precision: str, team: Team
) -> tuple[Stack, Stack]:
    configs = [BASE.replace(changes | own) for own in VARIED]
    resources = Resources(device="cpu", precision=precision)
    by_hand = Stack(configs, resources, team, passes=HandWrittenPasses)
    return by_hand, Stack(configs, resources, team, passes=passes)


@pytest.mark.usefixtures("groups")
@pytest.mark.parametrize(
    ("precision", "tolerance"), [("float32", 1e-5), ("float64", 1e-12), ("bfloat16", 5e-2)]
)
@pytest.mark.parametrize(
    "changes", [{}, DEEP, {"model.act": "gelu"}], ids=["square", "deep relu", "gelu"]
)
def test_gradients_are_those_of_the_hand_written_passes(
    passes: type[Passes], changes: dict[str, object], precision: str, tolerance: float
) -> None:
    """In bfloat16 also the first layer's sums are of rounded weights: some relus change side."""
    with torch.no_grad(), Team(1) as team:
        both = stacks(passes, changes, precision, team)
        for stack in both:
            stack.state.grads.fill_(torch.nan)  # what is not overwritten shows
            stack.step()
        one, other = (stack.state for stack in both)
        for ours, theirs in zip(other.grads[0], one.grads.sum(0), strict=True):
            assert (ours - theirs).norm() <= tolerance * theirs.norm()
        torch.testing.assert_close(
            other.losses[0], one.losses.sum(0), rtol=tolerance, atol=tolerance
        )


@pytest.mark.usefixtures("groups")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("changes", [{}, DEEP], ids=["square", "deep relu"])
def test_gradients_are_autograds(
    passes: type[Passes], changes: dict[str, object], threads: int
) -> None:
    configs = [BASE.replace(changes | own) for own in VARIED]
    clean = [config.replace({"training.weight_noise": 0.0}) for config in configs]
    with Team(threads) as team:
        stack = Stack(clean, Resources(device="cpu", precision="float64"), team, passes=passes)
        with torch.no_grad():
            stack.passes.gradients(0)
    for run, (config, data) in enumerate(zip(clean, stack.state.datasets, strict=True)):
        model = gi.build_model(config).double()
        train, per_example = data.is_train, LOSSES[config.training.loss].per_example
        loss = per_example(model(data.tokens[train]), data.labels[train]).mean()
        loss.backward()
        assert stack.state.losses[0, run].item() == pytest.approx(loss.item(), rel=1e-10)
        grads = stack.state.named(stack.state.grads[0, run])
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None
            gap = (grads[name] - parameter.grad).norm()
            assert gap <= 1e-10 * parameter.grad.norm(), (run, name)


@pytest.mark.usefixtures("groups")
@pytest.mark.parametrize("changes", [{}, DEEP], ids=["square", "deep relu"])
def test_scores_are_those_of_the_hand_written_passes(
    passes: type[Passes], changes: dict[str, object]
) -> None:
    with torch.no_grad(), Team(1) as team:
        one, other = stacks(passes, changes, "float64", team)
        torch.testing.assert_close(
            one.evaluate(), other.evaluate(), rtol=1e-12, atol=1e-14, equal_nan=True
        )


@pytest.mark.usefixtures("groups")
def test_scores_in_bfloat16_are_those_of_the_hand_written_passes(passes: type[Passes]) -> None:
    """Up to the rounding of three layers; the losses are not those of logits of zero."""
    losses = []
    with torch.no_grad(), Team(1) as team:
        for stack in stacks(passes, DEEP, "bfloat16", team):
            stack.state.weights.mul_(2.0)
            losses.append(stack.evaluate()[:, :5])
    torch.testing.assert_close(*losses, rtol=2e-2, atol=0, equal_nan=True)
    assert (losses[0][:, 0] / math.log(BASE.data.p) - 1).abs().min() > 0.1


def test_a_run_may_be_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deal, "_WORTH_SHARING", 1)
    config = [BASE.replace({"training.steps": 1})]
    resources = Resources(device="cpu", precision="float64")
    with torch.no_grad(), Team(3) as team:
        shared = Stack(config, resources, team)
        assert isinstance(shared.passes, SmallRunsPasses)
        assert len(shared.state.grads) == 3
        whole = Stack(config, resources, team, passes=RunByRunPasses)
        for _ in range(2):
            rows = [stack.evaluate() for stack in (shared, whole)]
            torch.testing.assert_close(*rows, rtol=1e-12, atol=1e-14, equal_nan=True)
            for stack in (shared, whole):
                stack.step()
        torch.testing.assert_close(shared.state.losses.sum(0), whole.state.losses.sum(0))
        torch.testing.assert_close(shared.state.weights, whole.state.weights)


@pytest.mark.parametrize("changes", [{}, DEEP], ids=["square", "deep relu"])
def test_training_is_the_same(
    passes: type[Passes], changes: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = [BASE.replace(changes | own) for own in VARIED]
    monkeypatch.setattr(trainer, "Stack", functools.partial(Stack, passes=HandWrittenPasses))
    want = gi.train_many(configs, precision="float64", device="cpu", progress=False)
    monkeypatch.setattr(trainer, "Stack", functools.partial(Stack, passes=passes))
    got = gi.train_many(configs, precision="float64", device="cpu", progress=False)
    for one, other in zip(want, got, strict=True):
        assert one.config == other.config
        for (name, ours), theirs in zip(
            other.model.named_parameters(), one.model.parameters(), strict=True
        ):
            torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-10, msg=name)


@pytest.mark.usefixtures("groups")
@pytest.mark.parametrize("precision", ["float64", "bfloat16"])
def test_a_diverging_run_spares_its_neighbours(
    passes: type[Passes], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where they use memory that it has used: NaN in the padding would spread."""
    monkeypatch.setattr(trainer, "Stack", functools.partial(Stack, passes=HandWrittenPasses))
    alone = gi.train(BASE, precision=precision, device="cpu", progress=False)
    monkeypatch.setattr(trainer, "Stack", functools.partial(Stack, passes=passes))
    with pytest.warns(gi.DivergenceWarning, match="run 0"):
        wild, tame = gi.train_many(
            [BASE.replace({"training.lr": 1e38, "training.weight_decay": 1e30}), BASE],
            precision=precision,
            device="cpu",
            progress=False,
        )
    assert wild.diverged_at is not None
    gap = (tame.model.W_U - alone.model.W_U).norm() / alone.model.W_U.norm()
    assert gap < {"float64": 1e-9, "bfloat16": 2e-2}[precision]


def test_groups_hold_every_run_once_and_runs_of_one_size() -> None:
    sizes = [3, 3, 10, 11, 11, 11, 50]
    groups = batched._equal(sizes, most=2)
    assert groups == [slice(0, 2), slice(2, 3), slice(3, 4), slice(4, 6), slice(6, 7)]


@pytest.mark.parametrize(
    ("changes", "passes"),
    [
        ({}, BatchedPasses),
        (DEEP, BatchedPasses),
        ({"training.weight_noise": 0.1}, BatchedPasses),
        ({"training.dropout": 0.1}, VectorisedPasses),
        ({"training.batch_size": 8}, VectorisedPasses),
        ({"training.loss": "mse_softmax"}, VectorisedPasses),
        ({"model.norm": "batch"}, VectorisedPasses),
        ({"model": gi.LSTMConfig(d_embed=6, d_hidden=7)}, VectorisedPasses),
    ],
)
def test_what_trains_on_a_gpu(changes: dict[str, object], passes: type) -> None:
    config = BASE.replace(changes)
    assert choose_passes([config], CUDA) is passes
    assert choose_passes([BASE, config], CUDA) is passes


@pytest.mark.parametrize(
    ("changes", "passes"),
    [
        ({}, SmallRunsPasses),
        (DEEP, SmallRunsPasses),
        ({"data.p": 31, "model.d_mlp": 500}, SmallRunsPasses),
        ({"data.p": 59, "model.d_mlp": 256}, HandWrittenPasses),
        ({"data.p": 97, "model.d_mlp": 500}, HandWrittenPasses),
        ({"training.dropout": 0.1}, HandWrittenPasses),
        ({"training.batch_size": 8}, RunByRunPasses),
        ({"model.norm": "batch"}, RunByRunPasses),
    ],
)
def test_what_trains_on_a_cpu(changes: dict[str, object], passes: type) -> None:
    assert choose_passes([BASE.replace(changes)], torch.device("cpu")) is passes


def test_a_stack_of_runs_is_a_few_products(passes: type[Passes]) -> None:
    from torch.profiler import profile

    def products(runs: int) -> list[str]:
        with torch.no_grad(), Team(1) as team:
            configs = [BASE.replace({"seed": seed}) for seed in range(runs)]
            stack = Stack(configs, Resources(device="cpu"), team, passes=passes)
            with profile() as traced:
                stack.step()
        names = [event.name for event in traced.events() or []]
        return [name for name in names if name in ("aten::bmm", "aten::mm")]

    # forward, to the read-out's gradient, and to the activations
    assert products(8) == products(2) == ["aten::bmm"] * 3
