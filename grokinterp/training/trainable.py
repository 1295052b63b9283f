"""Check that an architecture can be trained in a stack: named weights and reproducible runs."""

import torch
from torch import nn

from grokinterp.config import RunConfig, build_model
from grokinterp.models.base import HookedModel


def check_trainable(config: RunConfig) -> None:
    """Raise if a stack would train this model wrongly (tied parameters) or not reproducibly."""
    model: HookedModel = build_model(config)
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    if tied := set(names) - {name for name, _ in model.named_parameters()}:
        raise ValueError(
            f"{type(model).__name__} holds one parameter under several names: "
            f"{', '.join(sorted(tied))}. Keep one of them, and use it in logits() for the others"
        )
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.p:
            raise ValueError(
                f"{name} of {type(model).__name__} uses torch's global random numbers, so runs "
                "would not be reproducible; set its p to 0 and use training.dropout at one of the "
                "model's dropout_points"
            )
    again = build_model(config).state_dict()
    if any(not torch.equal(again[name], tensor) for name, tensor in model.state_dict().items()):
        raise ValueError(
            f"{type(model).__name__} has different weights each time it is built with the same "
            "seed, so runs would not be reproducible; draw the weights from "
            "grokinterp.randomness.generator(seed, 'init')"
        )
