"""A transformer, the same for pairs, and TransformerLens' own, with inputs for all three."""

import functools
from typing import Any

import pytest
import torch
from torch import Tensor

from grokinterp.models.transformer import HookedTransformer
from grokinterp.models.transformer_config import TransformerConfig
from tests.grokinterp.models.twins import native_twin
from tests.networks import far_from_zero

P = 7
PAIRS = torch.tensor([[1, 2], [3, 4], [5, 0], [6, 6]])
OTHERS = torch.tensor([[2, 5], [4, 0], [6, 3], [0, 2]])
LABELS = PAIRS.sum(dim=1) % P
CLEAN = torch.cat([PAIRS, torch.full((4, 1), P)], dim=1)
CORRUPT = torch.cat([OTHERS, torch.full((4, 1), P)], dim=1)


def network(p: int | None = None, **fields: Any) -> HookedTransformer:
    """Two layers, every weight far from zero, biases and norms too."""
    sizes: dict[str, Any] = {"n_layers": 2, "d_model": 12, "n_heads": 3, "d_mlp": 20}
    sizes |= {"n_ctx": 3, "d_vocab": P + 1, "d_vocab_out": P + 1}
    model = HookedTransformer(TransformerConfig(**sizes | fields), p=p).eval()
    return far_from_zero(model, seed=11)


@functools.cache
def twins(norm: str | None) -> tuple[HookedTransformer, HookedTransformer, Any]:
    """Without p, with p, and TransformerLens' own, all with the same weights."""
    model, pairs = network(normalization_type=norm), network(P, normalization_type=norm)
    native = native_twin(model)
    pairs.load_state_dict(model.state_dict())
    return model, pairs, native


def close(ours: Any, theirs: Any) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def cached(model: Any, tokens: Tensor) -> Any:
    _, cache = model.run_with_cache(tokens)
    return cache


both_norms = pytest.mark.parametrize("norm", [None, "LN"])
