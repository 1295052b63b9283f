"""One full-batch training step of a transformer (p 97, alpha 0.5, 4704 pairs, two threads).

Baselines, timed in turn with the subject: the same network made by TransformerLens
(``boot_native``), with the same loss and optimiser; and ours with its hook points taken out.
"""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

import grokinterp as gi
from grokinterp.models.transformer import HookedTransformer, TransformerConfig
from tests.networks import native_transformer

DATA = gi.make_dataset(gi.DataConfig(p=97, train_fraction=0.5))
PAIRS, LABELS = DATA.tokens[DATA.is_train], DATA.labels[DATA.is_train]
CONFIGS = {"three tokens": TransformerConfig(), "paper 1": TransformerConfig.paper1()}


def training(model: nn.Module, logits: Callable[[], Tensor]) -> Callable[[], object]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(logits(), LABELS).backward()
        optimizer.step()

    return step


def native(config: TransformerConfig) -> Callable[[], object]:
    """TransformerLens' own network, which reads whole sequences."""
    n_ctx = len(config.prompt.split())
    sizes = {"d_model": 128, "n_heads": 4, "d_head": 32, "d_mlp": 512, "n_ctx": n_ctx}
    model = native_transformer(97, **sizes, attention_dir=config.attention_dir)
    equals = torch.full((len(PAIRS), n_ctx - 2), 97)
    tokens = torch.cat([PAIRS, equals], dim=1)
    return training(model, lambda: model(tokens)[:, -1])


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
def test_step(name: str, compare: Callable[..., None]) -> None:
    model = HookedTransformer(CONFIGS[name], p=97)
    baselines = {
        "boot_native": native(CONFIGS[name]),
        "without hook points": without_hook_points(CONFIGS[name]),
    }
    compare(training(model, lambda: model.logits(PAIRS)), baselines, rounds=20)
