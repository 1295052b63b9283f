"""Random initial weights, drawn from a run's own generator.

Dtype and device are fixed: a run must not depend on the session's default dtype or device.
"""

import torch
from torch import nn


def normal(shape: tuple[int, ...], std: float, rng: torch.Generator) -> nn.Parameter:
    """Normal with zero mean, in float32 on the CPU."""
    return nn.Parameter(_empty(shape).normal_(0.0, std, generator=rng))


def uniform(shape: tuple[int, ...], fan_in: int, rng: torch.Generator) -> nn.Parameter:
    """Uniform within +-fan_in^(-1/2), in float32 on the CPU."""
    bound = fan_in**-0.5
    return nn.Parameter(_empty(shape).uniform_(-bound, bound, generator=rng))


def constant(shape: tuple[int, ...], value: float) -> nn.Parameter:
    """The same number everywhere, in float32 on the CPU."""
    return nn.Parameter(_empty(shape).fill_(value))


def _empty(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.empty(shape, dtype=torch.float32, device="cpu")
