"""A network that is not ours, with names on its parts, is read as our own with its weights."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import xarray as xr
from torch import Tensor, nn

import grokinterp as gi
import probes
from analyses import hypothesis, pruning
from grokinterp.models import WrappedModule
from probes.needed_norm import matched_norm
from probes.parameter_norms import parameter_norm
from tests.fuzz.readings import PROBES, numbers
from tests.grokinterp.models.other_networks import MLP, Functional, P, relu_mlp, seeded
from tests.networks import far_from_zero, half_periodic_mlp, native_transformer

WIDTH = 30
DATA = gi.make_dataset(gi.DataConfig(p=P, corruption=0.2))


class Square(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x**2


def twins(*, has_norm: bool = False) -> tuple[WrappedModule, gi.HookedMLP]:
    """A Sequential on one-hots, wrapped, and a HookedMLP with the same weights."""
    ours = half_periodic_mlp(P, WIDTH, has_norm=has_norm)
    layers = [nn.Linear(2 * P, WIDTH, bias=False), Square(), nn.Linear(WIDTH, P, bias=False)]
    if has_norm:
        layers.insert(2, nn.LayerNorm(WIDTH))
    net: Any = nn.Sequential(*layers).double().eval()
    with torch.no_grad():
        net[0].weight.copy_(ours.W_E.flatten(0, 1).T)
        net[-1].weight.copy_(ours.W_U.T)
        if has_norm:
            net[2].weight.copy_(ours.get_parameter("layers.0.norm.gamma"))
            net[2].bias.copy_(ours.get_parameter("layers.0.norm.beta"))
    last = str(len(layers) - 1)
    wrapped = gi.wrap(net, p=P, first="0", neurons="1", readout=last, inputs="one-hot")
    wrapped.operation = "addition"
    return wrapped, ours


NEEDS_A_NORM = {"model_gamma_ipr"}
REFUSES_A_NORM = {"least_norm", "model_neuron_attribution", "pruning_curve", "halves"}
# Two tables have no symmetricity, and no frequency stands out of so much noise.
NOTHING = {"gradient_symmetricity", "model_key_frequencies"}
# Of the neurons alone: a HookedMLP's embedding also has frequencies as units.
UNIT = "neurons.0"
OF_NEURONS: dict[str, Callable[[Any], Any]] = {
    "exact_effects": lambda m: probes.exact_effects(m, DATA, UNIT),
    "linear_effects": lambda m: probes.linear_effects(m, DATA)[UNIT],
    "path_patching": lambda m: probes.path_patching(
        m, (UNIT, 3), None, DATA.tokens, DATA.tokens.flip(1)
    ),
    "pruning_curve": lambda m: probes.pruning_curve(m, DATA, torch.arange(WIDTH)),
    "unit_pruning_curve": lambda m: probes.unit_pruning_curve(
        m, DATA, torch.arange(WIDTH), unit=UNIT, removals=3
    ),
    "halves": lambda m: [half(DATA.tokens) for half in probes.halves(m, 0.5).values()],
    # By name of the parameters, which are others here.
    "weight_norms": lambda m: sum(norm**2 for norm in probes.weight_norms(m).values()),
    "norms_by_layer": lambda m: sum(norm**2 for norm in probes.norms_by_layer(m).values()),
}


def read(name: str, model: Any) -> list[Tensor]:
    found = OF_NEURONS[name](model) if name in OF_NEURONS else PROBES[name](model, DATA, "addition")
    return [torch.as_tensor(part).double().flatten() for part in numbers(found)]


@pytest.mark.parametrize("has_norm", [False, True])
@pytest.mark.parametrize("name", sorted(PROBES))
def test_every_probe_reads_it_as_our_own(name: str, has_norm: bool) -> None:
    wrapped, ours = twins(has_norm=has_norm)
    if name in (REFUSES_A_NORM if has_norm else NEEDS_A_NORM):
        for model in (wrapped, ours):
            with pytest.raises((TypeError, ValueError), match="norm"):
                read(name, model)
        return
    found, expected = read(name, wrapped), read(name, ours)
    assert any(map(len, expected)) == (name not in NOTHING)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("has_norm", [False, True])
def test_hypothesis_and_pruning_read_it_as_our_own(has_norm: bool) -> None:
    found = []
    for model in twins(has_norm=has_norm):
        pairs, labels = DATA.tokens[DATA.is_train], DATA.labels[DATA.is_train]
        run = gi.as_run(model, pairs, labels, operation="addition", loss="mse")
        pruned = pruning.compute(run, random_seeds=1, removals=4)
        judged = hypothesis.compute_model(model, "addition", dataset=run.dataset, random_draws=2)
        found.append((pruned, judged.drop_vars(["architecture", "hook"])))
    for own, theirs in zip(*found, strict=True):
        xr.testing.assert_allclose(own, theirs, rtol=1e-9)


class Raw(nn.Module):
    """Parameters without submodules, one of them with residues as columns."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.out = (
            nn.Parameter(torch.empty(shape)) for shape in ((P, 12), (12, P), (12, P))
        )
        self.act = nn.ReLU()

    def forward(self, tokens: Tensor) -> Tensor:
        a, b = tokens.unbind(dim=1)
        return self.act(self.left[a] + self.right.T[b]) @ self.out


def test_biases_are_part_of_what_is_named() -> None:
    net = relu_mlp()
    model = gi.wrap(net, p=P, **MLP)
    net_logits = net(torch.eye(P).double()[DATA.tokens].flatten(start_dim=1))
    torch.testing.assert_close(model(DATA.tokens), net_logits)
    parts = probes.logit_parts(model, DATA.tokens, low=0.2, high=0.3)
    torch.testing.assert_close(parts.logits.sum(dim=0), net_logits)
    U, V, W = probes.neuron_weights(model)
    assert torch.equal(torch.cat([U, V], dim=1), net[0].weight)
    assert torch.equal(W.T, net[2].weight)
    # relu: the first map and its bias times c, the read-out divided by c
    assert model.scale_powers == {
        "net.0.bias": (1,),
        "net.0.weight": (1,),
        "net.2.weight": (-1,),
        "net.2.bias": (0,),
    }
    assert model.only_neurons(torch.ones(12, dtype=torch.bool)) is None  # two biases are no sum


def test_the_network_is_shared_and_not_changed() -> None:
    net = relu_mlp()
    before = copy.deepcopy(net.state_dict())
    model = gi.wrap(net, p=P, **MLP)
    assert all(torch.equal(weight, before[name]) for name, weight in net.state_dict().items())
    assert list(net.state_dict()) == list(before)
    with torch.no_grad():
        net[0].weight.mul_(2)
    assert torch.equal(model.input_tables["W_E[1]"], net[0].weight[:, P:].T)
    model.float()  # tables are looked up again, not kept from before
    assert model.input_tables["W_E[0]"].dtype == torch.float32
    with gi.filtered_embedding(model, []), torch.no_grad():
        constant = net[0].weight[:, :P]
        torch.testing.assert_close(constant, constant.mean(dim=1, keepdim=True).expand(-1, P))


def test_summed_one_hots_share_a_table() -> None:
    net = seeded(nn.Linear(P, 12), nn.ReLU(), nn.Linear(12, P))
    model = gi.wrap(net, p=P, **MLP)
    assert torch.equal(model.input_tables["W_E"], net[0].weight.T)
    assert model.operands_share_input
    assert len(model.input_weights) == 1


def test_an_embedding_is_hooked_and_filtered_as_ours() -> None:
    ours: Any = far_from_zero(
        gi.HookedEmbeddingMLP(gi.EmbeddingMLPConfig(d_embed=8, hidden=(12,)), p=P), seed=3
    ).eval()
    net = seeded(nn.Embedding(P, 8), nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, P))
    weights = [ours.W_E, *(layer.T for layer in (ours.layers[0].W_in,)), ours.layers[0].b_in]
    for weight, own in zip(net.parameters(), [*weights, ours.W_U.T, ours.b_U], strict=True):
        weight.data.copy_(own)
    model = gi.wrap(net, p=P, first="0", neurons="3", readout="4", operation="addition")
    ours.operation = "addition"
    assert list(model.list_units()) == ["frequencies", "neurons.0"] == list(ours.list_units())
    for name in ("exact_effects", "model_circularity", "model_clock_or_pizza", "logit_attribution"):
        found, expected = (
            [torch.as_tensor(x).double() for x in numbers(PROBES[name](m, DATA, "addition"))]
            for m in (model, ours)
        )
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12, equal_nan=True)


def test_functions_as_activations_and_classes_behind_the_residues() -> None:
    net = Functional()
    model = gi.wrap(net, p=P, first="embed", neurons="fc2.hook_in", readout="fc2", inputs="a b =")
    sequences = torch.cat([DATA.tokens, torch.full((P * P, 1), P)], dim=1)
    torch.testing.assert_close(model(DATA.tokens), net(sequences)[:, :P])
    assert probes.unit_periodicity(model, operation="addition").scores
    own = gi.wrap(
        net,
        p=P,
        first=net.embed,
        neurons="fc2.hook_in",
        readout=net.fc2,
        inputs=lambda ab: torch.cat([ab, torch.full_like(ab[:, :1], P)], dim=1),
    )
    assert own.template == "a b ="
    assert torch.equal(own(DATA.tokens), model(DATA.tokens))


def test_parameters_are_named_like_submodules() -> None:
    net, rng = Raw(), torch.Generator().manual_seed(0)
    for weight in net.parameters():
        weight.data.normal_(generator=rng)
    model = gi.wrap(net, p=P, first=(net.left, net.right.T), neurons="act", readout="out")
    U, V, W = probes.neuron_weights(model)
    assert torch.equal(U.T, net.left)
    assert torch.equal(V, net.right)
    assert torch.equal(W, net.out)


def test_transformer_lens_own_network_reads_as_without_wrapping() -> None:
    native = native_transformer(P)
    block = "blocks.0._original_component.mlp"
    model = gi.wrap(
        native,
        p=P,
        first="embed._original_component",
        neurons=f"{block}._original_component.fc_out.hook_in",
        readout="unembed._original_component",
        inputs="a b =",
        operation="addition",
    )
    plain = probes.network_on_pairs(native, p=P, prompt="a b =")
    torch.testing.assert_close(probes.network_on_pairs(model).logits(), plain.logits())
    found, expected = (
        [torch.as_tensor(x) for x in numbers(probes.model_table_spectra(m, "addition"))]
        for m in (model, plain)
    )
    torch.testing.assert_close(found, expected, equal_nan=True)
    assert model.list_units()["neurons.0"].count == 16
    # TransformerLens renames the parameters of the whole network.
    read_out = model.read_out
    assert read_out is not None
    assert list(read_out.parameters) == ["net.unembed._original_component.weight"]
    (W_U,) = read_out.parameters.values()
    pairs = gi.make_dataset(gi.DataConfig(p=P)).tokens
    best = model(pairs).detach().topk(2, dim=1)
    margins = best.values[:, 0] - best.values[:, 1]
    half = matched_norm(model, pairs, best.indices[:, 0], float(margins.quantile(0.5)) / 2)
    shrunk = 0.75 * float(W_U.detach().double().square().sum())
    assert half**2 == pytest.approx(parameter_norm(model) ** 2 - shrunk, rel=1e-6)


def test_wrapped_networks_are_not_built_from_configs() -> None:
    model = gi.wrap(relu_mlp(), p=P, **MLP)
    with pytest.raises(TypeError, match="initial weights of a wrapped Sequential are unknown"):
        WrappedModule(model.cfg, p=P)


@pytest.mark.parametrize("bias", [-100.0, 0.0])
def test_dead_and_collapsed_networks_are_wrapped(bias: float) -> None:
    """No neuron responds to anything; that the one-hots' map is a sum needs no response."""
    net = relu_mlp()
    net[0].bias.data.fill_(bias)
    if bias == 0.0:
        net[0].weight.data.zero_()
    model = gi.wrap(net, p=P, **MLP)
    assert len(model.input_weights) == 2
    assert probes.model_neuron_ipr(model).ipr.shape == (12,)
    assert model.scale_powers is None  # of neurons that are all zero no power is known
