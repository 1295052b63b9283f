"""Hooks on networks that know nothing of hooks."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from grokinterp.models.embedding_mlp import EmbeddingMLPConfig, HookedEmbeddingMLP
from grokinterp.models.hooked_module import HookedModule
from tests.networks import all_pairs

P = 5
PAIRS = all_pairs(P)


def seeded(make: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make()


class Mean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=1)


def sequential() -> Any:
    return seeded(
        lambda: nn.Sequential(
            nn.Embedding(P + 1, 8), Mean(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, P)
        )
    ).double()


class Recurrent(nn.Module):
    """A tuple of outputs, a layer of several layers, an unused one, and positions."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(P + 1, 8)
        self.lstm = nn.LSTM(8, 6, batch_first=True)
        self.name = "mine"  # an attribute that TransformerLens' setup would overwrite
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, P))
        self.unused = nn.Linear(1, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.lstm(self.embed(tokens))[0])


def test_logits_are_the_networks_on_the_prompts_tokens() -> None:
    net, pairs = sequential(), PAIRS
    model = HookedModule(net, p=P, prompt="a b =")
    sequences = torch.cat([pairs, torch.full((25, 1), P)], dim=1)
    assert torch.equal(model(pairs), net(sequences))
    positions = seeded(Recurrent).eval()
    model = HookedModule(positions, p=P, prompt="a b =")
    assert torch.equal(model(pairs), positions(sequences)[:, -1])


def test_hook_points_are_the_submodules_that_are_called() -> None:
    model = HookedModule(sequential(), p=P, prompt="a b =")
    _, cache = model.run_with_cache(PAIRS)
    assert {name: list(value.shape) for name, value in cache.items()} == {
        "0.hook_out": [25, 3, 8],
        "1.hook_out": [25, 8],
        "2.hook_out": [25, 6],
        "3.hook_out": [25, 6],
        "4.hook_out": [25, P],
        "hook_logits": [25, P],
    }
    model = HookedModule(seeded(Recurrent), p=P)
    names = ["embed", "lstm", "head.0", "head.1", "head"]  # in the order of their calls
    assert list(model.hook_dict) == [*(f"{name}.hook_out" for name in names), "hook_logits"]
    assert model.net.get_submodule("embed").weight.shape == (P + 1, 8)


def test_hooked_activations_are_those_of_torchs_own_hooks() -> None:
    net, pairs = sequential(), PAIRS
    seen: dict[str, Any] = {}
    for name, module in net.named_children():
        module.register_forward_hook(
            lambda module, inputs, out, name=name: seen.__setitem__(f"{name}.hook_out", out)
        )
    model = HookedModule(net, p=P)
    _, cache = model.run_with_cache(pairs)
    assert all(torch.equal(cache[name], value) for name, value in seen.items())


def test_hooks_intervene_and_leave() -> None:
    net, pairs = sequential(), PAIRS
    model = HookedModule(net, p=P)
    before = model(pairs)

    def ablate(out: Tensor, hook: Any) -> Tensor:
        return out * torch.tensor([0.0, 1, 1, 1, 1, 1])

    assert not model.is_hooked
    with model.hooks(fwd_hooks=[("3.hook_out", ablate)]):
        assert model.is_hooked
        changed = model(pairs)
    smaller = sequential()
    smaller[4].weight.data[:, 0] = 0  # what the ablated neuron writes
    torch.testing.assert_close(changed, smaller(pairs), rtol=1e-12, atol=1e-13)
    assert not torch.allclose(changed, before)
    assert torch.equal(model(pairs), before)
    with pytest.raises(ValueError, match=r"'5\.hook_out' is no hook point of HookedModule\. Near"):
        model.add_hook("5.hook_out", ablate)


def test_backward_hooks_see_gradients() -> None:
    model, got = HookedModule(sequential(), p=P), {}
    hook = ("2.hook_out", lambda grad, hook: got.update(grad=grad.clone()))
    with model.hooks(bwd_hooks=[hook]):
        model(PAIRS).sum().backward()
    _, cache = model.run_with_cache(PAIRS)
    readout = model.net.get_parameter("4.weight").sum(dim=0)
    torch.testing.assert_close(got["grad"], readout * (cache["2.hook_out"] > 0))


def test_the_network_stays_as_it_was() -> None:
    net = seeded(Recurrent)
    net.head[0].eval()
    modules, modes = dict(net.named_modules()), [module.training for module in net.modules()]
    state, rng = {k: v.clone() for k, v in net.state_dict().items()}, torch.get_rng_state()
    model = HookedModule(net, p=P)
    assert torch.equal(torch.get_rng_state(), rng)
    assert dict(net.named_modules()) == modules
    assert [module.training for module in net.modules()] == modes
    assert net.name == "mine"
    assert net.state_dict().keys() == state.keys()
    assert [f"net.{name}" for name in state] == list(model.state_dict())
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


def test_trying_the_network_moves_no_running_statistics() -> None:
    norm = nn.BatchNorm1d(4)
    HookedModule(nn.Sequential(nn.Embedding(P, 4), Mean(), norm, nn.Linear(4, P)), p=P)
    assert torch.equal(norm.get_buffer("running_mean"), torch.zeros(4))


def test_a_copy_has_hook_points_of_its_own() -> None:
    model, pairs = HookedModule(sequential(), p=P), PAIRS
    twin = copy.deepcopy(model)
    zero = ("3.hook_out", lambda out, hook: torch.zeros_like(out))
    with model.hooks(fwd_hooks=[zero]):
        assert torch.equal(twin(pairs), sequential()(pairs))
        assert not torch.equal(model(pairs), twin(pairs))
    with twin.hooks(fwd_hooks=[zero]):
        assert not torch.equal(model(pairs), twin(pairs))


def test_vectorised_over_runs() -> None:
    nets = [sequential().requires_grad_() for _ in range(2)]
    nets[1][2].weight.data.mul_(2)
    params = {
        f"net.{name}": torch.stack([net.get_parameter(name).detach() for net in nets])
        for name, _ in nets[0].named_parameters()
    }
    pairs = PAIRS
    template = HookedModule(sequential(), p=P)
    template.forward = template.logits  # type: ignore[method-assign]  # the check reads values

    def loss(params: dict[str, Tensor]) -> Tensor:
        return functional_call(template, params, (pairs,)).square().mean()

    grads, losses = vmap(grad_and_value(loss))(params)
    for run, net in enumerate(nets):
        expected = net(pairs).square().mean()
        expected.backward()
        torch.testing.assert_close(losses[run], expected.detach())
        for name, weight in net.named_parameters():
            torch.testing.assert_close(grads[f"net.{name}"][run], weight.grad)


def test_a_hooked_network_may_be_wrapped_again() -> None:
    inner = HookedEmbeddingMLP(EmbeddingMLPConfig(d_embed=4, hidden=(6,)), p=P).double()

    class Read(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, tokens: Tensor) -> Tensor:
            return self.inner.logits(tokens)

    model = HookedModule(Read(), p=P)
    _, cache = model.run_with_cache(PAIRS)
    _, expected = inner.run_with_cache(PAIRS)
    got = cache["inner.layers.0.hook_post.hook_out"]
    assert torch.equal(got, expected["layers.0.hook_post"])


def test_transformer_encoder_layers_are_seen_in_evaluation() -> None:
    """Torch has a fused path there that calls no submodule; hooks switch it off."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    net = nn.Sequential(nn.Embedding(P, 8), layer, nn.Linear(8, P)).eval()
    with torch.no_grad():
        model = HookedModule(net, p=P)
        _, cache = model.run_with_cache(PAIRS)
    assert cache["1.linear1.hook_out"].shape == (25, 2, 16)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Sequential(nn.Embedding(4, 8), Mean(), nn.Linear(8, 9)), r"tokens 0\.\.4\): IndexErr"),
        (nn.Sequential(nn.Embedding(5, 8), Mean(), nn.Linear(8, 4)), "4 classes, fewer than p=5"),
        (nn.LSTM(1, 1), r"LSTM failed on prompt='a b' at p=5"),
        (nn.Sequential(nn.Embedding(5, 8), nn.LSTM(8, 5)), r"must give logits .* gave tuple"),
        (nn.Sequential(nn.Embedding(5, 8), nn.Flatten(0)), r"must give logits .* gave \[112\]"),
    ],
)
def test_networks_that_do_not_fit_are_refused(net: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HookedModule(net, p=P)
    assert all(not module._forward_hooks for module in net.modules())


@pytest.mark.usefixtures("no_type_checker")
def test_bad_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match=r"net must be a torch\.nn\.Module, got function"):
        HookedModule(lambda tokens: tokens, p=P)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="p must be at least 2"):
        HookedModule(sequential(), p=1)
    with pytest.raises(ValueError, match="prompt='a' must have"):
        HookedModule(sequential(), p=P, prompt="a")
    with pytest.raises(ValueError, match="tokens must lie in 0"):
        HookedModule(sequential(), p=P)(torch.tensor([[0, 5]]))


def test_saving_says_what_to_do_instead(tmp_path: Path) -> None:
    with pytest.raises(NotImplementedError, match=r"cannot rebuild a Sequential.*save_model"):
        HookedModule(sequential(), p=P).save_pretrained(tmp_path / "model")
    with pytest.raises(NotImplementedError, match="load your network, then HookedModule"):
        HookedModule.from_pretrained(tmp_path)
