"""The whole pruning curve (500 removals, all subsets, accuracy and loss) in forward passes."""

from collections.abc import Callable

import torch

import grokinterp as gi
from probes import pruning_curve


def test_pruning_curve(compare: Callable[..., None]) -> None:
    data = gi.make_dataset(gi.DataConfig(corruption=0.35))
    model = gi.build_model(gi.RunConfig())
    assert isinstance(model, gi.HookedMLP)
    order = torch.randperm(500, generator=torch.Generator().manual_seed(0))
    W_E, W_U = model.W_E.detach(), model.W_U.detach()
    first, second = data.tokens.T

    def hooked_forward() -> None:
        with torch.no_grad():
            model(data.tokens)

    def bare_forward() -> None:
        _ = ((W_E[0][first] + W_E[1][second]) ** 2) @ W_U

    compare(
        lambda: pruning_curve(model, data, order),
        {"hooked forward pass": hooked_forward, "bare forward pass": bare_forward},
        burst=2,
    )
