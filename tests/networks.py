"""Networks of others, and what any network is given: pairs, prompts, weights that all matter."""

from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformer_lens.model_bridge import TransformerBridge

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


def native_transformer(p: int, **changes: Any) -> Any:
    """TransformerLens' own (``boot_native``): 3 positions, tokens 0 .. p-1 and "=", p classes."""
    config: dict[str, Any] = {"n_layers": 1, "d_model": 8, "n_heads": 2, "d_head": 4, "d_mlp": 16}
    config |= {"d_vocab": p + 1, "d_vocab_out": p, "n_ctx": 3, "normalization_type": None}
    config |= {"act_fn": "relu", "attention_dir": "causal", "seed": 0}
    boot: Any = getattr(TransformerBridge, "boot_native")  # noqa: B009 (set at run time)
    return boot(config | changes)


class Logits(nn.Module):
    """A network whose forward pass does not look at the tokens' values, as vmap needs."""

    def __init__(self, model: HookedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, pairs: Tensor) -> Tensor:
        return self.model.logits(pairs)
