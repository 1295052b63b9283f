"""The settings of Nanda et al. and Zhong et al. 2023, trained beside their training loop."""

import json
import random
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, optim

import grokinterp as gi


def loop(config: gi.RunConfig, train: Tensor, *, decay: float, steps: int) -> gi.HookedModel:
    """AdamW with a warm-up of 10 steps and cross-entropy in float64, as in both projects' code."""
    model = gi.build_model(config)
    optimizer = optim.AdamW(model.parameters(), lr=1e-3, weight_decay=decay, betas=(0.9, 0.98))
    schedule = optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(step / 10, 1))
    labels = train.sum(dim=1) % config.data.p
    for _ in range(steps):
        log_probabilities = F.log_softmax(model(train).to(torch.float64), dim=-1)
        loss = -log_probabilities.gather(1, labels[:, None]).mean()
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return model


def assert_trained_alike(config: gi.RunConfig, train: Tensor, decay: float) -> None:
    steps = 15
    short = config.replace({"training.steps": steps, "model.d_model": 16})
    ours = gi.train(short, progress=False).model
    theirs = loop(short, train, decay=decay, steps=steps).state_dict()
    start = gi.build_model(short).state_dict()
    for name, weight in ours.state_dict().items():
        moved = (theirs[name] - start[name]).norm().item()
        # AdamW divides by the root of squared gradients: where they are near 0, rounding grows.
        assert (weight - theirs[name]).norm().item() <= 1e-3 * moved, name


def test_nanda_et_al() -> None:
    config = gi.RunConfig.nanda2023(p=11, seed=4)
    pairs = [(a, b) for a in range(11) for b in range(11)]
    random.Random(4).shuffle(pairs)
    train = torch.tensor(sorted(pairs[: int(0.3 * 121)]))
    assert_trained_alike(config, train, decay=1.0)
    network = gi.build_model(gi.RunConfig.nanda2023())
    assert {name: tuple(w.shape) for name, w in network.state_dict().items()} == {
        "embed.W_E": (114, 128),
        "pos_embed.W_pos": (3, 128),
        "blocks.0.attn.W_Q": (4, 128, 32),
        "blocks.0.attn.W_K": (4, 128, 32),
        "blocks.0.attn.W_V": (4, 128, 32),
        "blocks.0.attn.W_O": (4, 32, 128),
        "blocks.0.mlp.W_in": (128, 512),
        "blocks.0.mlp.b_in": (512,),
        "blocks.0.mlp.W_out": (512, 128),
        "blocks.0.mlp.b_out": (128,),
        "unembed.W_U": (128, 114),
    }


def test_zhong_et_al() -> None:
    config = gi.RunConfig.zhong2023(p=11, attn_rate=0.5, seed=4)
    data = gi.make_dataset(config.data)
    assert int(data.is_train.sum()) == int(0.8 * 121)
    assert_trained_alike(config, data.tokens[data.is_train], decay=2.0)
    model = gi.RunConfig.zhong2023().model
    assert (model.attn_rate, model.attention_dir, model.prompt) == (1.0, "bidirectional", "a b")


@pytest.mark.parametrize("preset", [gi.RunConfig.nanda2023, gi.RunConfig.zhong2023])
def test_a_preset_is_a_config_like_any_other(preset: Callable[..., gi.RunConfig]) -> None:
    config = preset(seed=2)
    assert gi.RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert (config.seed, config.data.seed) == (2, 2)
    assert config.training.loss == "cross_entropy_float64"
    assert config.training.warmup_steps == 10
