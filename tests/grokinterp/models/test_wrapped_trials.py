"""Networks whose parts are not what their names suggest: refused, or read as they are."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import grokinterp as gi
import probes

P = 7
DATA = gi.make_dataset(gi.DataConfig(p=P, train_fraction=0.7, corruption=0.1))
PAIRS = DATA.tokens


class Net(nn.Module):
    """An embedding, some parts, and how they answer."""

    def __init__(self, answer: Any, **parts: nn.Module) -> None:
        super().__init__()
        self.embed = nn.Embedding(P, 12)
        self.answer = answer
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.answer(self, tokens)


def net(answer: Any, **parts: nn.Module) -> Net:
    torch.manual_seed(0)
    return Net(answer, **parts).eval()


def wrapped(made: nn.Module, **parts: Any) -> Any:
    return gi.wrap(made, p=P, operation="addition", **{"first": "embed", **parts})


def gru_cell(self: Any, tokens: Tensor) -> Tensor:
    h = torch.zeros(len(tokens), 16)
    for x in self.embed(tokens).unbind(1):
        h = self.cell(x, h)
    return self.fc(h)


def act_twice(self: Any, tokens: Tensor) -> Tensor:
    return self.fc(self.act(self.second(self.act(self.first(self.embed(tokens).flatten(1))))))


def siamese(self: Any, tokens: Tensor) -> Tensor:
    a, b = (self.act(self.first(x)) for x in self.embed(tokens).unbind(1))
    return self.fc(a * b)


CALLED_TWICE: dict[str, Any] = {
    "cell": lambda: (
        net(gru_cell, cell=nn.GRUCell(12, 16), fc=nn.Linear(16, P)),
        {"neurons": "cell", "readout": "fc"},
    ),
    "activation": lambda: (
        net(
            act_twice,
            first=nn.Linear(24, 16),
            second=nn.Linear(16, 16),
            act=nn.ReLU(),
            fc=nn.Linear(16, P),
        ),
        {"neurons": "act", "readout": "fc"},
    ),
    "siamese": lambda: (
        net(siamese, first=nn.Linear(12, 16), act=nn.Tanh(), fc=nn.Linear(16, P)),
        {"neurons": "act", "readout": "fc"},
    ),
}


@pytest.mark.parametrize("name", CALLED_TWICE)
def test_effects_of_neurons_that_are_called_twice_are_those_of_their_hooks(name: str) -> None:
    made, parts = CALLED_TWICE[name]()
    model = wrapped(made, **parts)
    hook = model.neuron_hooks[0][0]

    def loss(hooks: Any = ()) -> float:
        logits = model.run_with_hooks(PAIRS, fwd_hooks=list(hooks)).detach()
        return float(probes.loss(logits, DATA.labels, DATA.is_test))

    exact = probes.exact_effects(model, DATA).loss["test"]
    for j in (0, 5):
        assert exact[j] == pytest.approx(loss(gi.ablate([j])) - loss(), abs=1e-6)
    with pytest.raises(ValueError, match="takes the logits for a sum over neurons"):
        probes.pruning_curve(model, DATA, torch.arange(16))

    # To first order: a small part of every call's activation is taken away.
    def less(activation: Tensor, hook: Any) -> Tensor:
        factor = torch.ones(16)
        factor[3] -= 1e-3
        return activation * factor

    linear = probes.linear_effects(model, DATA)["neurons.0"]["test"][3]
    assert (loss([(hook, less)]) - loss()) / 1e-3 == pytest.approx(float(linear), rel=0.05)


def lstm_state(self: Any, tokens: Tensor) -> Tensor:
    return self.fc(self.rnn(self.embed(tokens))[1][0][-1])


def positions_first(self: Any, tokens: Tensor) -> Tensor:
    return self.fc(self.rnn(self.embed(tokens).transpose(0, 1))[0][-1])


def drops(self: Any, tokens: Tensor) -> Tensor:
    return self.fc(F.dropout(self.embed(tokens).flatten(1), 0.5))


def mixes_the_batch(self: Any, tokens: Tensor) -> Tensor:
    x = self.embed(tokens).flatten(1)
    return self.fc(x - x.mean(dim=0))


def plain(self: Any, tokens: Tensor) -> Tensor:
    return self.fc(self.act(self.first(self.embed(tokens).flatten(1))))


class Normalized(nn.Embedding):
    """An embedding whose vectors are not its weight's rows."""

    def forward(self, input: Tensor) -> Tensor:
        return F.normalize(self.weight, dim=1)[input]


def normalized_rows() -> Net:
    made = net(lambda self, tokens: self.fc(self.embed(tokens).flatten(1)), fc=nn.Linear(24, P))
    made.embed = Normalized(P, 12)
    return made


def two_layers() -> Net:
    parts = {"first": nn.Linear(24, 16), "second": nn.Linear(16, 16), "fc": nn.Linear(16, P)}
    acts = {"act1": nn.ReLU(), "act2": nn.Tanh()}
    return net(
        lambda s, t: s.fc(s.act2(s.second(s.act1(s.first(s.embed(t).flatten(1)))))), **parts, **acts
    )


REFUSED: dict[str, Any] = {
    "another output": (
        lambda: net(lstm_state, rnn=nn.LSTM(12, 16, batch_first=True), fc=nn.Linear(16, P)),
        {"neurons": "rnn"},
        "no logit depends on them",
    ),
    "positions first": (
        lambda: net(positions_first, rnn=nn.LSTM(12, 16), fc=nn.Linear(16, P)),
        {"neurons": "rnn"},
        "the batch must be their first axis",
    ),
    "logits of positions": (
        lambda: net(
            lambda s, t: s.fc(s.rnn(s.embed(t).transpose(0, 1))[0]),
            rnn=nn.GRU(12, 8),
            fc=nn.Linear(8, P),
        ),
        {},
        r"must give logits \[batch, classes\] or \[batch, pos, classes\]; 7 sequences",
    ),
    "random": (lambda: net(drops, fc=nn.Linear(24, P)), {}, "differently each time"),
    "batch": (lambda: net(mixes_the_batch, fc=nn.Linear(24, P)), {}, "when it stands alone"),
    "rows": (normalized_rows, {}, "something else than its weight's rows"),
    "order": (two_layers, {"neurons": ("act2", "act1")}, "in the order of the forward pass"),
    "twice": (two_layers, {"neurons": ("act1", "act1")}, "each layer once"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_what_it_is_called_is_refused(name: str) -> None:
    make, parts, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        wrapped(make(), **parts)


def test_dead_neurons_and_a_read_out_of_zeros_are_no_reason_to_refuse() -> None:
    first, out = nn.Linear(24, 16), nn.Linear(16, P)
    made = net(plain, first=first, act=nn.ReLU(), fc=out)
    nn.init.constant_(first.bias, -100.0)
    assert wrapped(made, neurons="act", readout="fc").direct_path
    nn.init.zeros_(out.weight)
    nn.init.zeros_(out.bias)
    model = wrapped(made, neurons="act", readout="fc")
    assert not model.operands_share_input  # all logits are equal, which says nothing


def test_operations_in_place_change_nothing_that_was_kept() -> None:
    def add(self: Any, tokens: Tensor, in_place: bool) -> Tensor:
        x, place = self.embed(tokens), self.place.weight
        x = x.add_(place) if in_place else x + place
        return self.fc(x.flatten(1).relu())

    made = net(lambda s, t: add(s, t, True), place=nn.Embedding(2, 12), fc=nn.Linear(24, P))
    twin = copy.deepcopy(made)
    twin.answer = lambda s, t: add(s, t, False)
    one, other = wrapped(made), wrapped(twin)
    cache = one.run_with_cache(PAIRS)[1]
    assert torch.equal(cache["hook_embed"], made.embed.weight[PAIRS])
    found, expected = (probes.linear_effects(m, DATA)["frequencies"]["test"] for m in (one, other))
    torch.testing.assert_close(found, expected)
    probes.gradient_symmetricity(one)  # a leaf of autograd is not changed in place


def test_half_precision_tells_a_norm_from_none() -> None:
    torch.manual_seed(0)
    layers = (nn.Embedding(P, 12), nn.Flatten(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, P))
    norm = nn.LayerNorm(P)
    nn.init.normal_(norm.weight)
    made = nn.Sequential(*layers, norm)
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        with pytest.raises(ValueError, match="does not give the network's logits"):
            wrapped(copy.deepcopy(made).to(dtype), first="0", neurons="3", readout="4")
        model = wrapped(copy.deepcopy(made[:5]).to(dtype), first="0", neurons="3", readout="4")
        assert model.direct_path
        assert not model.operands_share_input


@pytest.mark.parametrize(
    ("act", "degree"),
    [
        (nn.ReLU(), 1),
        (nn.Identity(), 1),
        (nn.Hardtanh(), None),
        (nn.ReLU6(), None),
        (nn.Hardshrink(), None),
        (nn.GELU(), None),
    ],
)
def test_neurons_that_saturate_or_threshold_are_not_homogeneous(
    act: nn.Module, degree: int | None
) -> None:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(2 * P, 16, bias=False), act, nn.Linear(16, P, bias=False))
    powers = wrapped(made, first="0", neurons="1", readout="2", inputs="one-hot").scale_powers
    expected = {"net.0.weight": (1,), "net.2.weight": (-1,)} if degree else None
    assert powers == expected


def test_a_second_wrapper_is_no_hook() -> None:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(2 * P, 16), nn.ReLU(), nn.Linear(16, P))
    first, second = (
        wrapped(made, first="0", neurons="1", readout="2", inputs="one-hot") for _ in range(2)
    )
    assert not first.is_hooked
    assert not second.is_hooked
    with second.hooks(fwd_hooks=gi.ablate([0])):  # the network that both read
        assert first.is_hooked
    handle = made[1].register_forward_hook(lambda *_: None)
    assert first.is_hooked
    handle.remove()
    assert not first.is_hooked


@pytest.mark.parametrize("between", [nn.BatchNorm1d(16), nn.PReLU(16)])
def test_layers_with_an_entry_for_each_neuron_are_not_narrowed(between: nn.Module) -> None:
    torch.manual_seed(0)
    made = nn.Sequential(
        nn.Linear(2 * P, 16, bias=False), between, nn.ReLU(), nn.Linear(16, P, bias=False)
    ).eval()
    model = wrapped(made, first="0", neurons="2", readout="3", inputs="one-hot")
    assert model.only_neurons(torch.arange(16) < 8) is None


def test_own_inputs_follow_the_weights() -> None:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(2 * P, 16), nn.ReLU(), nn.Linear(16, P))
    given = {"first": "0", "neurons": "1", "readout": "2"}
    own = wrapped(made, inputs=lambda pairs: F.one_hot(pairs, P).flatten(1).float(), **given)
    logits = own(PAIRS)
    torch.testing.assert_close(own.double()(PAIRS).float(), logits)


def test_an_embedding_that_is_called_for_each_operand_has_no_frequencies() -> None:
    answers = lambda s, t: s.fc(s.embed(t[:, 0]) + s.embed(t[:, 1]))  # noqa: E731
    model = wrapped(net(answers, fc=nn.Linear(12, P)))
    assert list(model.list_units()) == []
    assert "embed.hook_out" in model.hook_dict
    assert model.input_tables["W_E"].shape == (P, 12)


def test_a_run_of_another_task_than_the_models_is_refused() -> None:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(2 * P, 16), nn.ReLU(), nn.Linear(16, P))
    model = gi.wrap(made, p=P, first="0", neurons="1", readout="2", inputs="one-hot")
    pairs, labels = PAIRS[DATA.is_train], DATA.labels[DATA.is_train]
    gi.as_run(model, pairs, labels, operation="addition")
    with pytest.raises(ValueError, match="operation='multiplication', but the model's is 'addit"):
        gi.as_run(model, pairs, labels, operation="multiplication")
    gi.as_run(model, pairs, labels, operation="a + b")
