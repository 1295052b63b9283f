"""What networks under test are given: all pairs, and weights of which every one matters."""

from typing import TypeVar

import torch
from torch import Tensor

from grokinterp.models import HookedModel

Network = TypeVar("Network", bound=HookedModel)


def all_pairs(p: int) -> Tensor:
    """Every (a, b), in the order of a data set: int64 [p * p, 2]."""
    return torch.cartesian_prod(torch.arange(p), torch.arange(p))


def sentences(prompt: str, pairs: Tensor, p: int) -> Tensor:
    """The prompt's tokens of every pair, as one would write them down: [pair, position]."""
    words = prompt.split()
    symbols = [word for word in dict.fromkeys(words) if word not in ("a", "b")]
    tokens = {word: torch.full((len(pairs),), p + i) for i, word in enumerate(symbols)}
    tokens |= {"a": pairs[:, 0], "b": pairs[:, 1]}
    return torch.stack([tokens[word] for word in words], dim=1)


def far_from_zero(model: Network, *, seed: int) -> Network:
    """In float64, with every parameter drawn from N(0, 1/4): biases and norms too."""
    rng = torch.Generator().manual_seed(seed)
    for weight in model.double().parameters():
        weight.data.normal_(0.0, 0.5, generator=rng)
    return model
