"""Gradients and scores of hand-written passes, against autograd through the hooked network."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

import grokinterp as gi
from grokinterp.losses import LOSSES
from grokinterp.team import Team
from grokinterp.training.evaluation import METRICS
from grokinterp.training.minibatches import Minibatches
from grokinterp.training.passes import Passes
from grokinterp.training.passes.run_by_run import RunByRunPasses
from grokinterp.training.resources import Resources
from grokinterp.training.stack import Stack


def config(model: Any, p: int = 5, **training: Any) -> gi.RunConfig:
    training = {"loss": "cross_entropy", "steps": 3} | training
    data = gi.DataConfig(p=p, train_fraction=0.8, corruption=0.3)
    return gi.RunConfig(data=data, model=model, training=gi.TrainConfig(**training))


def stack(
    configs: Sequence[gi.RunConfig],
    team: Team,
    *,
    precision: str = "float64",
    passes: type[Passes] | None = None,
) -> Stack:
    """With every parameter far from zero, biases and norms too."""
    made = Stack(configs, Resources(device="cpu", precision=precision), team, passes=passes)
    rng = torch.Generator().manual_seed(0)
    made.state.weights.copy_(torch.randn(made.state.weights.shape, generator=rng) / 2)
    return made


def assert_hooked_gradients(run: gi.RunConfig, passes: type[Passes]) -> None:
    """Of a run that is trained by ``passes``; the network computes everything at every position."""
    with Team(1) as team, torch.no_grad():
        made = stack([run], team)
        assert type(made.passes) is passes
        for _ in range(2):  # the second time overwrites
            made.passes.gradients(0)
        scores = dict(zip(METRICS, made.evaluate()[0].tolist(), strict=True))
    data, of_loss = gi.make_dataset(run.data), LOSSES[run.training.loss].per_example
    model = gi.build_model(run).double()
    model.load_state_dict(made.state.named(made.state.weights[0]))
    logits = model.run_with_hooks(data.tokens, fwd_hooks=[("hook_embed", lambda x, hook: x)])
    losses = of_loss(logits, data.labels)
    loss = losses[data.is_train][Minibatches(run).at(0)].mean()
    loss.backward()
    close: Any = {"rtol": 1e-12, "atol": 1e-12 * max(1.0, float(losses.detach().max()))}
    torch.testing.assert_close(made.state.losses[0, 0], loss.detach(), **close)
    assert scores["train_loss"] == pytest.approx(
        float(losses[data.is_train].mean().detach()), rel=1e-12
    )
    scale = max(float(w.grad.abs().max()) for w in model.parameters() if w.grad is not None)
    for name, grad in made.state.named(made.state.grads[0, 0]).items():
        want = model.get_parameter(name).grad
        want = torch.zeros_like(grad) if want is None else want
        torch.testing.assert_close(grad, want, rtol=1e-10, atol=1e-12 * scale, msg=name)


def assert_run_by_run(configs: Sequence[gi.RunConfig], passes: type[Passes], shares: int) -> None:
    """After a step, several runs on two threads have what they have one by one."""
    with Team(2) as team, torch.no_grad():
        stacks = [stack(configs, team, passes=each) for each in (passes, RunByRunPasses)]
        for one in stacks:
            one.step()
        assert len(stacks[0].state.grads) == shares
        grads = [one.state.grads.sum(dim=0) for one in stacks]
        scale = float(grads[1].abs().max())
        torch.testing.assert_close(*grads, rtol=1e-10, atol=1e-12 * scale)
        torch.testing.assert_close(*(one.state.losses.sum(dim=0) for one in stacks))
        torch.testing.assert_close(*(one.evaluate() for one in stacks))


def rounding(run: gi.RunConfig) -> float:
    """Relative distance of the gradient with bfloat16 products from that in float64."""
    with Team(1) as team, torch.no_grad():
        grads = []
        for precision in ("float64", "bfloat16"):
            made = stack([run], team, precision=precision)
            made.passes.gradients(0)
            grads.append(made.state.grads[0, 0].double())
    return float((grads[1] - grads[0]).norm() / grads[0].norm())
