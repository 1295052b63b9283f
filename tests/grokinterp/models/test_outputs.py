"""Hook points on submodules that return tuples, dicts and dataclasses."""

from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from grokinterp import HookedModule, ablate
from grokinterp.models.outputs import first_tensor, with_first_tensor
from tests.networks import all_pairs

P = 5
PAIRS = all_pairs(P)
Pair = namedtuple("Pair", ["note", "value"])


@dataclass(frozen=True)
class Answer:
    note: str
    value: Tensor


def whole(x: Tensor) -> list[Any]:
    """Outputs of all kinds whose first tensor is ``x``."""
    other = torch.ones(1)
    nested = [(x, other), (x, (other, other)), [None, x, other], ((None, "text"), [x])]
    named = [{"note": "text", "value": x, "other": other}, Pair("text", x), Answer("text", x)]
    theirs = BaseModelOutput(last_hidden_state=x, hidden_states=(other,))  # pyright: ignore[reportArgumentType]
    return [x, *nested, *named, theirs, torch.return_types.max((x, other))]


@pytest.mark.parametrize("kind", range(10))
def test_first_tensor_of_any_output(kind: int) -> None:
    x, y = torch.zeros(2), torch.ones(2)
    output = whole(x)[kind]
    assert first_tensor(output) is x
    changed = with_first_tensor(output, y)
    assert type(changed) is type(output)
    assert first_tensor(changed) is y
    assert first_tensor(output) is x
    assert repr(changed) == repr(whole(y)[kind])


@pytest.mark.parametrize("output", [None, "text", 3, (), {}, [None, ("text",)], Answer])
def test_outputs_without_a_tensor(output: object) -> None:
    assert first_tensor(output) is None


class Whole(nn.Module):
    def __init__(self, kind: int) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Any:
        return whole(x)[self.kind]


class Network(nn.Module):
    def __init__(self, kind: int) -> None:
        super().__init__()
        self.embed, self.part, self.head = nn.Embedding(P, 4), Whole(kind), nn.Linear(4, P)

    def forward(self, tokens: Tensor) -> Tensor:
        first = first_tensor(self.part(self.embed(tokens).sum(dim=1)))
        assert first is not None
        return self.head(first)


@pytest.mark.parametrize("kind", range(10))
def test_interventions_reach_the_first_tensor(kind: int) -> None:
    model = HookedModule(Network(kind), p=P).requires_grad_(False)
    logits = model.run_with_hooks(PAIRS, fwd_hooks=ablate(range(4), hook="part.hook_out"))
    bias = model.net.get_parameter("head.bias")
    torch.testing.assert_close(logits, bias.expand(25, P))
    assert not torch.allclose(model(PAIRS), logits)


class Recurrent(nn.Module):
    def __init__(self, cell: type[nn.Module]) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(P + 1, 8), nn.Linear(6, P)
        self.rnn = cell(8, 6, batch_first=True)  # pyright: ignore[reportCallIssue]

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.rnn(self.embed(tokens))[0])


@pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU])
def test_recurrent_layers_have_a_hook_point(cell: type[nn.Module]) -> None:
    net = Recurrent(cell)
    model = HookedModule(net, p=P, prompt="a b =").requires_grad_(False)
    logits, cache = model.run_with_cache(PAIRS)
    sequences = torch.cat([PAIRS, torch.full((25, 1), P)], dim=1)
    states, _ = net.rnn(net.embed(sequences))
    torch.testing.assert_close(cache["rnn.hook_out"], states)  # [pair, position, unit]
    torch.testing.assert_close(logits, net.head(states)[:, -1])
    changed = model.run_with_hooks(PAIRS, fwd_hooks=ablate([0, 3], hook="rnn.hook_out"))
    states[..., [0, 3]] = 0
    torch.testing.assert_close(changed, net.head(states)[:, -1])


def test_attention_has_a_hook_point() -> None:
    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = nn.Embedding(P, 4), nn.Linear(4, P)
            self.attend = nn.MultiheadAttention(4, 2, batch_first=True)

        def forward(self, tokens: Tensor) -> Tensor:
            x = self.embed(tokens)
            return self.head(self.attend(x, x, x, need_weights=False)[0])

    model = HookedModule(Attends(), p=P).requires_grad_(False)
    hooks = ablate(range(4), hook="attend.hook_out")
    bias = model.net.get_parameter("head.bias")
    torch.testing.assert_close(model.run_with_hooks(PAIRS, fwd_hooks=hooks), bias.expand(25, P))


def test_a_submodule_without_a_hook_point_says_why() -> None:
    net = Recurrent(nn.LSTM)
    net.unused = nn.Linear(1, 1)
    model = HookedModule(net, p=P)
    with pytest.raises(ValueError, match=r"unused is a submodule, but a forward pass does"):
        model.add_hook("unused.hook_out", lambda tensor, hook: None)
    with pytest.raises(ValueError, match=r"'rn\.hook_out' is no hook point of \w+\. Nearest"):
        model.add_hook("rn.hook_out", lambda tensor, hook: None)
