"""What a stack needs of an architecture: weights it can name, and runs it can repeat."""

import torch
from torch import nn

from grokinterp.config import RunConfig, build_model
from grokinterp.models.base import HookedModel


def check_trainable(config: RunConfig) -> None:
    """Refuse a model that a stack would train to something else, or each time to something else."""
    model: HookedModel = build_model(config)
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    if tied := set(names) - {name for name, _ in model.named_parameters()}:
        raise ValueError(
            f"{type(model).__name__} holds one parameter under several names: "
            f"{', '.join(sorted(tied))} again. Tie weights by reading the other one in logits()"
        )
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.p:
            raise ValueError(
                f"{name} of {type(model).__name__} drops by the session's own random numbers, so "
                "that no run could be repeated; set its p to 0 and use training.dropout at one "
                "of the model's dropout_points"
            )
    again = build_model(config).state_dict()
    if any(not torch.equal(again[name], tensor) for name, tensor in model.state_dict().items()):
        raise ValueError(
            f"{type(model).__name__} has other weights each time it is built with the same seed, "
            "so that no run could be repeated; draw them from "
            "grokinterp.randomness.generator(seed, 'init')"
        )
