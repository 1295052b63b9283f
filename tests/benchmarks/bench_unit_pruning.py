"""Pruning a transformer (512 neurons, 60 removals, one order) in forward passes over all pairs."""

from collections.abc import Callable

import pytest
import torch

import grokinterp as gi
from probes import unit_pruning_curve


# In the last layer no removal takes a pass, in the first of two each does.
@pytest.mark.parametrize(("norm", "layers"), [(None, 1), ("LN", 1), ("LN", 2)])
def test_unit_pruning(compare: Callable[..., None], norm: str | None, layers: int) -> None:
    data = gi.make_dataset(gi.DataConfig(corruption=0.35))
    model = gi.HookedTransformer(
        gi.TransformerConfig(n_layers=layers, d_mlp=512, init="paper1", normalization_type=norm),
        p=97,
    )
    order = torch.randperm(512, generator=torch.Generator().manual_seed(0))
    hooks = gi.ablate(order[:256])

    def hooked_forward() -> None:
        with torch.no_grad():
            model.run_with_hooks(data.tokens, fwd_hooks=hooks)

    compare(
        lambda: unit_pruning_curve(model, data, order),
        {"hooked forward pass": hooked_forward},
        rounds=3,
    )
