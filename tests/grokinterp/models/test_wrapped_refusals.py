"""What cannot be wrapped, or is not named, is said by name."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import grokinterp as gi
from tests.fuzz.readings import PROBES
from tests.grokinterp.models.other_networks import MLP, Functional, P, relu_mlp, seeded

DATA = gi.make_dataset(gi.DataConfig(p=P, corruption=0.2))
NEEDED = {
    "first": ["model_neuron_ipr", "model_circularity", "model_gamma_ipr", "neuron_weights"],
    "neurons": ["model_neuron_spectra", "logit_attribution", "linear_effects", "direct_effects"],
    "readout": ["matched_norm", "logit_attribution"],
}


@pytest.mark.parametrize("part", NEEDED)
def test_a_part_that_is_not_named_is_asked_for(part: str) -> None:
    named: dict[str, Any] = {name: value for name, value in MLP.items() if name != part}
    model = gi.wrap(relu_mlp(), p=P, **named)
    for name in NEEDED[part]:
        with pytest.raises((TypeError, ValueError), match=rf"names no {part}; pass {part}=\.\.\."):
            PROBES[name](model, DATA, "addition")


def test_a_network_that_is_not_wrapped_is_told_how() -> None:
    with pytest.raises(
        TypeError, match=r"model = gi.wrap\(network, p=..., first=..., readout=...\)"
    ):
        PROBES["model_neuron_ipr"](relu_mlp(), DATA, "addition")


def test_neurons_may_be_the_embedding() -> None:
    """Its hook point has another name, as in other networks."""
    net = seeded(nn.Embedding(P, 12), nn.Flatten(), nn.Linear(24, P))
    model = gi.wrap(net, p=P, first="0", neurons="0", readout="2", inputs="tokens")
    assert model.neuron_hooks == [["hook_embed"]]


class Reads(nn.Module):
    """Reads its input through a map that is not linear in one-hots."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(2 * P, 12), nn.Linear(12, P)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.first(0.5 * x)))


class Product(nn.Module):
    """Multiplies the operands' vectors, where an MLP adds them."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Embedding(P, 12), nn.Embedding(P, 12)
        self.out = nn.Linear(12, P)

    def forward(self, pairs: Tensor) -> Tensor:
        return self.out(torch.relu(self.left(pairs[:, 0]) * self.right(pairs[:, 1])))


def wrong_rows(pairs: Tensor) -> Tensor:
    return torch.zeros(3, 2 * P, dtype=torch.float64)


DEEP = [nn.Linear(2 * P, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, P)]
BAD: dict[str, tuple[Callable[[], nn.Module], dict[str, Any], str]] = {
    "no submodule": (relu_mlp, {"first": "O"}, r"first='O' names no .* submodules: 0, 1, 2"),
    "near name": (
        Functional,
        {"first": "embd", "inputs": "a b ="},
        r"first='embd' names no .*Nearest: embed",
    ),
    "another's module": (relu_mlp, {"readout": nn.Linear(12, P)}, "this Linear is no submodule"),
    "another's tensor": (relu_mlp, {"first": torch.zeros(P, 12)}, "neither a parameter of"),
    "a number": (relu_mlp, {"first": 0}, "first must be the name of a submodule or parameter"),
    "wrong p": (relu_mlp, {"p": 7}, r"reads 22; correct p"),
    "wrong p, given": (
        relu_mlp,
        {"p": 7, "inputs": lambda ab: torch.zeros(len(ab), 22).double()},
        "first='0' has 22 rows, and the row",
    ),
    "no table": (relu_mlp, {"first": "1"}, "first='1' is a ReLU, which is no table"),
    "not linear": (
        Reads,
        {"first": "first", "readout": "out", "neurons": "out.hook_in"},
        r"first='first' reads 0\.5, .*not linear in the one-hots",
    ),
    "several in one": (
        lambda: nn.Sequential(nn.Sequential(nn.Linear(2 * P, 12), nn.ReLU()), nn.Linear(12, P)),
        {"first": "0", "readout": "1", "neurons": "0"},
        r"name the nn.Linear in it: 0\.0",
    ),
    "not the read-out": (
        lambda: nn.Sequential(*relu_mlp(), nn.LogSoftmax(dim=1)).eval(),
        {},
        "readout='2' does not give the network's logits: .* softmax",
    ),
    "no read-out": (relu_mlp, {"readout": "1"}, "readout='1' is a ReLU; it must be an nn.Linear"),
    "two layers as one": (
        lambda: seeded(*copy.deepcopy(DEEP)),
        {"readout": "4"},
        "'1.hook_out' do not lie between first and readout alone: what the read-out reads",
    ),
    "second layer as first": (
        lambda: seeded(*copy.deepcopy(DEEP)),
        {"neurons": "3", "readout": "4"},
        "they are not, one by one, functions of the sum",
    ),
    "a product": (
        Product,
        {"first": ("left", "right"), "neurons": "out.hook_in", "readout": "out"},
        "they are not, one by one, functions of the sum",
    ),
    "dropout": (
        lambda: nn.Sequential(nn.Linear(2 * P, 12), nn.Dropout(0.1), nn.Linear(12, P)),
        {},
        r"drops activations at '1', .*net\.eval",
    ),
    "no numbers": (lambda: relu_mlp().to("meta"), {}, "0.weight on the device 'meta'"),
    "rows": (
        relu_mlp,
        {"inputs": wrong_rows},
        r"inputs must give a row for each pair, .*\[3, 22\]",
    ),
    "inputs": (relu_mlp, {"inputs": "onehot"}, "inputs='onehot' must be 'tokens', 'one-hot'"),
    "fewer classes": (
        lambda: seeded(nn.Linear(2 * P, 12), nn.ReLU(), nn.Linear(12, P - 1)),
        {},
        f"has {P - 1} classes, fewer than p={P}",
    ),
    "ours": (lambda: gi.HookedMLP(gi.MLPConfig(d_mlp=4), p=P), {}, "leave gi.wrap out"),
    "not called": (
        Functional,
        {"first": "embed", "neurons": "fc1.bias", "inputs": "a b ="},
        "neurons='fc1.bias' is a parameter",
    ),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.usefixtures("no_type_checker")
def test_what_is_wrong_is_refused_by_name(case: str) -> None:
    make, changes, message = BAD[case]
    with_p: dict[str, Any] = {"p": P}
    defaults: dict[str, Any] = MLP if case not in ("near name", "not called", "a product") else {}
    with pytest.raises((TypeError, ValueError), match=message):
        gi.wrap(make(), **(with_p | defaults | changes))
