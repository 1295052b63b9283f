"""One training step of a transformer (p 97, alpha 0.5), on 4704 pairs and on 512.

What ``gi.train`` does in a step, optimiser included. Baselines, timed in turn with the subject: the
same step by autograd; TransformerLens' network of this size (``boot_native``; with norms in front
of its layers for the second paper's, which has them behind) and ``nn.TransformerEncoderLayer`` with
the same loss and torch's AdamW, always on the same pairs. And, for a loop of one's own, the hooked
network through autograd, with and without its hook points.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint
from transformer_lens.model_bridge import TransformerBridge

import grokinterp as gi
from grokinterp.models.transformer import HookedTransformer, TransformerConfig
from grokinterp.team import Team
from grokinterp.training.passes.run_by_run import RunByRunPasses
from grokinterp.training.resources import Resources
from grokinterp.training.stack import Stack

boot_native: Any = getattr(TransformerBridge, "boot_native")  # noqa: B009 (set at run time)
DATA = gi.make_dataset(gi.DataConfig(p=97, train_fraction=0.5))
PAIRS, LABELS = DATA.tokens[DATA.is_train], DATA.labels[DATA.is_train]
CONFIGS = {
    "three tokens": TransformerConfig(),
    "paper 1": TransformerConfig.paper1(),
    "paper 2": TransformerConfig.paper2(d_vocab=None, d_vocab_out=None),
}


def training(
    model: nn.Module, logits: Callable[[], Tensor], pairs: int = len(PAIRS)
) -> Callable[[], object]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(logits(), LABELS[:pairs]).backward()
        optimizer.step()

    return step


def sequences(config: TransformerConfig, pairs: int) -> Tensor:
    prompt = HookedTransformer(config, p=97).prompt
    assert prompt is not None
    return prompt.tokens(PAIRS[:pairs])


def native(config: TransformerConfig, pairs: int) -> Callable[[], object]:
    """TransformerLens' own network, which reads whole sequences."""
    tokens = sequences(config, pairs)
    fields: dict[str, Any] = {
        "n_layers": config.n_layers, "d_model": 128, "n_heads": 4, "d_head": 32, "d_mlp": 512,
        "act_fn": "relu", "d_vocab": 100, "d_vocab_out": 97, "n_ctx": tokens.shape[1],
        "normalization_type": config.normalization_type,
        "attention_dir": config.attention_dir, "seed": 0,
    }  # fmt: skip
    model = boot_native(fields)
    return training(model, lambda: model(tokens)[:, -1], pairs)


class Plain(nn.Module):
    """The second paper's network as everyone writes it."""

    def __init__(self, config: TransformerConfig, n_ctx: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(100, 128)
        layer = nn.TransformerEncoderLayer(128, 4, 512, dropout=0.0, batch_first=True, bias=False)
        self.layers = nn.TransformerEncoder(layer, config.n_layers, enable_nested_tensor=False)
        self.unembed = nn.Linear(128, 97, bias=False)
        self.register_buffer("pos", torch.randn(n_ctx, 128))
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(n_ctx))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.layers(self.embed(tokens) + self.pos, mask=self.mask, is_causal=True)
        return self.unembed(x[:, -1])


def plain(config: TransformerConfig, pairs: int) -> Callable[[], object]:
    tokens = sequences(config, pairs)
    model = Plain(config, tokens.shape[1])
    return training(model, lambda: model(tokens), pairs)


def training_run(name: str, batch_size: int | None) -> gi.RunConfig:
    steps = gi.TrainConfig(loss="cross_entropy", batch_size=batch_size)
    data = gi.DataConfig(p=97, train_fraction=0.5)
    return gi.RunConfig(data=data, model=CONFIGS[name], training=steps)


@pytest.mark.parametrize("threads", [2, 1], indirect=True)
@pytest.mark.parametrize("batch_size", [None, 512])
@pytest.mark.parametrize("name", CONFIGS)
def test_training_step(
    name: str, batch_size: int | None, threads: int, compare: Callable[..., None]
) -> None:
    model, pairs, run = CONFIGS[name], batch_size or len(PAIRS), training_run(name, batch_size)
    with Team(threads) as team, torch.no_grad():
        subject, autograd = (
            Stack([run], Resources(device="cpu"), team, passes=passes)
            for passes in (None, RunByRunPasses)
        )

        def with_gradients(step: Callable[[], object]) -> Callable[[], object]:
            return torch.enable_grad()(step)

        baselines = {
            "autograd": autograd.step,
            "boot_native": with_gradients(native(model, pairs)),
        }
        if name == "paper 2":
            baselines["nn.TransformerEncoderLayer"] = with_gradients(plain(model, pairs))
        compare(subject.step, baselines, burst=3 if batch_size else 1)


@pytest.mark.parametrize("batch_size", [None, 512])
@pytest.mark.parametrize("name", CONFIGS)
def test_bfloat16_products(
    name: str, batch_size: int | None, threads: int, compare: Callable[..., None]
) -> None:
    run = training_run(name, batch_size)
    with Team(threads) as team:
        low, plain = (
            Stack([run], Resources(device="cpu", precision=precision), team)
            for precision in ("bfloat16", "float32")
        )
        compare(low.step, {"float32": plain.step}, burst=3 if batch_size else 1)


def without_hook_points(config: TransformerConfig) -> Callable[[], object]:
    model = HookedTransformer(config, p=97)
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, HookPoint):
                delattr(module, name)
                setattr(module, name, lambda x: x)
    model.setup()  # or the missing hook points would count as an altered network
    return training(model, lambda: model.logits(PAIRS))


@pytest.mark.parametrize("name", CONFIGS)
def test_step_of_ones_own(name: str, compare: Callable[..., None]) -> None:
    model = HookedTransformer(CONFIGS[name], p=97)
    baselines = {
        "boot_native": native(CONFIGS[name], len(PAIRS)),
        "without hook points": without_hook_points(CONFIGS[name]),
    }
    compare(training(model, lambda: model.logits(PAIRS)), baselines, rounds=20)
