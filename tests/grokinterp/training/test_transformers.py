"""Hand-written passes of transformers, against autograd through the hooked network."""

from typing import Any

import pytest
import torch
from torch import Tensor

import grokinterp as gi
from grokinterp.losses import LOSSES
from grokinterp.models.prompt import Prompt
from grokinterp.models.transformer import HookedTransformer
from grokinterp.team import Team
from grokinterp.training.evaluation import METRICS
from grokinterp.training.minibatches import Minibatches
from grokinterp.training.passes import choose_passes, transformer_kernel, transformers
from grokinterp.training.passes.prefixes import Prefixes
from grokinterp.training.passes.run_by_run import RunByRunPasses
from grokinterp.training.passes.transformers import TransformerPasses
from grokinterp.training.resources import Resources
from grokinterp.training.stack import Stack
from tests.transformer_variants import VARIANTS

CPU = torch.device("cpu")


def config(model: gi.TransformerConfig, p: int = 5, **training: Any) -> gi.RunConfig:
    training = {"loss": "cross_entropy", "steps": 3} | training
    data = gi.DataConfig(p=p, train_fraction=0.8, corruption=0.3)
    return gi.RunConfig(data=data, model=model, training=gi.TrainConfig(**training))


def stack(
    configs: list[gi.RunConfig], team: Team, *, precision: str = "float64", passes: Any = None
) -> Stack:
    """With every parameter far from zero, biases and norms too."""
    made = Stack(configs, Resources(device="cpu", precision=precision), team, passes=passes)
    rng = torch.Generator().manual_seed(0)
    made.state.weights.copy_(torch.randn(made.state.weights.shape, generator=rng) / 2)
    return made


def hooked(run: gi.RunConfig, weights: dict[str, Tensor]) -> tuple[HookedTransformer, Tensor]:
    """The network, and its logits of all pairs with everything computed at every position."""
    model = gi.build_model(run).double()
    assert isinstance(model, HookedTransformer)
    model.load_state_dict(weights)
    tokens = gi.make_dataset(run.data).tokens
    return model, model.run_with_hooks(tokens, fwd_hooks=[("hook_embed", lambda x, hook: x)])


def assert_hooked_gradients(run: gi.RunConfig) -> None:
    with Team(1) as team, torch.no_grad():
        made = stack([run], team)
        assert isinstance(made.passes, TransformerPasses)
        for _ in range(2):  # the second time overwrites
            made.passes.gradients(0)
        scores = dict(zip(METRICS, made.evaluate()[0].tolist(), strict=True))
    model, logits = hooked(run, made.state.named(made.state.weights[0]))
    data, of_loss = gi.make_dataset(run.data), LOSSES[run.training.loss].per_example
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


@pytest.mark.parametrize("batch_size", [None, 3])
@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_and_scores_are_the_hooked_networks(variant: str, batch_size: int | None) -> None:
    """Of more pairs than residues, which share prefixes, and of fewer."""
    assert_hooked_gradients(config(VARIANTS[variant], batch_size=batch_size))


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss(loss: str) -> None:
    assert_hooked_gradients(config(VARIANTS["paper 2"], loss=loss))


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize(
    ("variant", "loss"),
    [
        ("default", "cross_entropy"),
        ("paper 1", "mse_softmax"),
        ("paper 2", "cross_entropy_float64"),
    ],
)
def test_pieces_and_shares_add_up(
    variant: str, loss: str, runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformer_kernel, "_BLOCK_BYTES", 1)
    monkeypatch.setattr(transformers, "_WORTH_SHARING", 1)
    several = [
        config(VARIANTS[variant], p=17, weight_noise=0.1, loss=loss).replace({"seed": seed})
        for seed in range(runs)
    ]
    with Team(2) as team, torch.no_grad():
        stacks = [stack(several, team, passes=p) for p in (TransformerPasses, RunByRunPasses)]
        for one in stacks:
            one.step()
        assert len(stacks[0].state.grads) == 2
        grads = [one.state.grads.sum(dim=0) for one in stacks]
        scale = float(grads[1].abs().max())
        torch.testing.assert_close(*grads, rtol=1e-10, atol=1e-12 * scale)
        torch.testing.assert_close(*(one.state.losses.sum(dim=0) for one in stacks))
        torch.testing.assert_close(*(one.evaluate() for one in stacks))


@pytest.mark.parametrize("variant", ["default", "paper 2"])
def test_bfloat16_is_float64_up_to_rounding(variant: str) -> None:
    run = config(VARIANTS[variant], p=11, batch_size=40)
    with Team(1) as team, torch.no_grad():
        grads = []
        for precision in ("float64", "bfloat16"):
            made = stack([run], team, precision=precision)
            made.passes.gradients(0)
            grads.append(made.state.grads[0, 0].double())
    error = (grads[1] - grads[0]).norm() / grads[0].norm()
    assert 0 < error < 16 * 2**-8  # some sixteen products in a row, each with operands rounded so


def test_prefixes_are_computed_once() -> None:
    """In front of the second operand there is a row per first operand, and not one per pair."""
    words, heads = Prompt("eos a + b =", 5), 3
    prefixes = Prefixes(words, 5, causal=True, n_layers=2, heads=heads)
    pairs = torch.arange(60).view(30, 2) % 5
    first, last = prefixes.edges(pairs)
    assert len(first.firsts) == heads * (1 + 5 + 5 + 30 + 30)
    assert len(last.firsts) == heads * 30
    few, _ = prefixes.edges(pairs[:4])
    assert len(few.firsts) == heads * (1 + 4 * 4)


def test_who_is_trained_this_way() -> None:
    run = config(VARIANTS["default"])
    assert choose_passes([run], CPU) is TransformerPasses
    assert choose_passes([run], torch.device("cuda")) is not TransformerPasses
    dropping = run.replace({"training.dropout": 0.1, "training.dropout_at": "post"})
    assert choose_passes([run, dropping], CPU) is RunByRunPasses
    assert choose_passes([run.replace({"model": gi.LSTMConfig()})], CPU) is RunByRunPasses
