"""Hooks on a network that ``torch.compile`` has compiled, which sees none that are added later."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from grokinterp import (
    EmbeddingMLPConfig,
    HookedEmbeddingMLP,
    HookedLSTM,
    HookedMLP,
    HookedModel,
    HookedModule,
    HookedTransformer,
    LSTMConfig,
    MLPConfig,
    TransformerConfig,
    ablate,
    closed_form_mlp,
)
from tests.networks import all_pairs

pytestmark = pytest.mark.slow
P = 5
PAIRS = all_pairs(P)
TINY: dict[str, Any] = {"d_model": 4, "n_heads": 2, "d_mlp": 6, "init": "paper1"}


def linear_net() -> nn.Module:
    return nn.Sequential(nn.Embedding(P, 4), nn.Flatten(), nn.Linear(8, 6), nn.Linear(6, P))


NETWORKS: dict[str, tuple[Callable[[], HookedModel], str]] = {
    "MLP": (lambda: HookedMLP(MLPConfig(d_mlp=6), p=P), "layers.0.hook_post"),
    "closed form": (lambda: closed_form_mlp(P, 6), "layers.0.hook_post"),
    "embedding MLP": (
        lambda: HookedEmbeddingMLP(EmbeddingMLPConfig(d_embed=4, hidden=(6,)), p=P),
        "layers.0.hook_post",
    ),
    "transformer": (
        lambda: HookedTransformer(TransformerConfig(**TINY), p=P),
        "blocks.0.mlp.hook_post",
    ),
    "transformer of sequences": (
        lambda: HookedTransformer(TransformerConfig(d_vocab=P, n_ctx=2, **TINY)),
        "blocks.0.mlp.hook_post",
    ),
    "LSTM": (
        lambda: HookedLSTM(LSTMConfig(d_embed=4, d_hidden=6, n_layers=1), p=P),
        "layers.0.steps.2.hook_h",
    ),
    "any module": (lambda: HookedModule(linear_net(), p=P), "2.hook_out"),
}


class Backend:
    """Takes the graphs that it gets as they are, and counts how often they run."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, graph: torch.fx.GraphModule, _: list[Tensor]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            self.runs += 1
            return graph.forward(*args)

        return run


@pytest.fixture(autouse=True)
def fresh(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No compiled code from elsewhere, and no record of the compiler's thousand messages."""
    caplog.set_level(logging.ERROR, "torch.__trace")
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize("name", NETWORKS)
def test_hooks_come_and_go_after_the_compilation(name: str) -> None:
    make, point = NETWORKS[name]
    model, backend = make().requires_grad_(False), Backend()
    compiled = torch.compile(model, backend=backend)
    clean = model(PAIRS)
    torch.testing.assert_close(compiled(PAIRS), clean)
    assert backend.runs  # it is compiled
    for neurons in ([1, 4], range(6)):
        hooks = ablate(neurons, hook=point)
        expected = model.run_with_hooks(PAIRS, fwd_hooks=hooks)
        assert not torch.allclose(expected, clean)
        with model.hooks(fwd_hooks=hooks):
            torch.testing.assert_close(compiled(PAIRS), expected)
        torch.testing.assert_close(compiled(PAIRS), clean)
    handle = model.hook_dict[point].register_forward_hook(lambda *given: given[2] * 0)
    torch.testing.assert_close(compiled(PAIRS), expected)  # one of torch's own, on all neurons
    handle.remove()
    torch.testing.assert_close(compiled(PAIRS), clean)


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize("name", ["MLP", "transformer"])
def test_compiled_in_other_ways(name: str) -> None:
    make, point = NETWORKS[name]
    model = make().requires_grad_(False)
    clean, hooks = model(PAIRS), ablate(range(6), hook=point)
    expected = model.run_with_hooks(PAIRS, fwd_hooks=hooks)
    step = torch.compile(lambda pairs: model(pairs).softmax(dim=1), backend="eager")
    method = torch.compile(model.forward, backend="eager")
    with model.hooks(fwd_hooks=hooks):  # compiled while a hook is there, which then goes
        torch.testing.assert_close(step(PAIRS), expected.softmax(dim=1))
        torch.testing.assert_close(method(PAIRS), expected)
    torch.testing.assert_close(step(PAIRS), clean.softmax(dim=1))
    torch.testing.assert_close(method(PAIRS), clean)
    model.compile(backend="eager")
    torch.testing.assert_close(model(PAIRS), clean)
    with model.hooks(fwd_hooks=hooks):
        torch.testing.assert_close(model(PAIRS), expected)
        assert torch.equal(model.run_with_cache(PAIRS)[0], expected)
