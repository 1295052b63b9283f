"""Effects of single units against edited weights, torch.autograd, and ablation by hand."""

from typing import Any

import pytest
import torch
from torch import Tensor

import grokinterp as gi
import probes
from grokinterp.data import SUBSETS
from grokinterp.losses import LOSSES
from grokinterp.models.registry import model_class
from tests.networks import native_transformer

P = 7
DATA = gi.make_dataset(gi.DataConfig(p=P, train_fraction=0.6, corruption=0.3, seed=1))
CONFIGS: dict[str, Any] = {
    "mlp": gi.MLPConfig(d_mlp=10, init="standard"),
    "normed": gi.MLPConfig(d_mlp=10, n_layers=2, norm="layer", act="relu", init="standard"),
    "embedding": gi.EmbeddingMLPConfig(d_embed=6, hidden=(10, 8)),
    "transformer": gi.TransformerConfig(d_model=12, n_heads=3, d_mlp=9, n_layers=2, biases=True),
    "LN": gi.TransformerConfig(d_model=12, n_heads=3, d_mlp=9, normalization_type="LN"),
    "lstm": gi.LSTMConfig(d_embed=6, d_hidden=8),
}
MODES = ["zero", "mean", "resample"]


def network(kind: str) -> Any:
    build: Any = model_class(CONFIGS[kind])
    model = build(CONFIGS[kind], p=P, seed=2)
    model.operation = "addition"
    model.double().requires_grad_(False)
    if isinstance(model, gi.HookedTransformer):  # larger weights than at first, to have effects
        for name, weight in model.named_parameters():
            weight.mul_(1 if "ln" in name else 3)
    return model


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return {kind: network(kind) for kind in CONFIGS}


def change(logits: Tensor, before: Tensor, subset: str, loss: str) -> tuple[float, float]:
    mask = DATA.masks[subset]
    gained, lost = (
        (
            probes.loss(scores, DATA.labels, mask, kind=loss),
            probes.accuracy(scores, DATA.labels, mask),
        )
        for scores in (logits, before)
    )
    return gained[0] - lost[0], gained[1] - lost[1]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", CONFIGS)
def test_exact_effects_are_those_of_ablation(models: dict[str, Any], kind: str, mode: str) -> None:
    """Through hooks, also where the logits are a sum over the units and no hook is used."""
    model = models[kind]
    before, loss = model(DATA.tokens), "cross_entropy"
    _, cache = model.run_with_cache(DATA.tokens)
    for name, units in model.list_units().items():
        if name.startswith("gate") and name != "gate_f.0":
            continue
        reference = {} if name == "frequencies" else {"reference": cache}
        found = probes.exact_effects(model, DATA, name, mode=mode, loss=loss, seed=4)
        assert found.unit == name
        for i in (0, units.count - 1):
            hooks = gi.ablate([i], mode, unit=name, seed=4, **reference)
            without = model.run_with_hooks(DATA.tokens, fwd_hooks=hooks)
            for subset in SUBSETS:
                expected = change(without, before, subset, loss)
                assert found.loss[subset][i].item() == pytest.approx(expected[0], abs=1e-10)
                assert found.accuracy[subset][i].item() == pytest.approx(expected[1], abs=1e-12)


def test_removing_a_neuron_is_removing_its_output_weights() -> None:
    model = network("mlp")
    before = model(DATA.tokens)
    found = probes.exact_effects(model, DATA)
    for i in range(10):
        edited = network("mlp")
        edited.W_U[i] = 0
        expected = change(edited(DATA.tokens), before, "changed", "mse")
        assert found.loss["changed"][i].item() == pytest.approx(expected[0], abs=1e-12)
    assert found.loss["changed"].abs().min() > 1e-6


@pytest.mark.parametrize(
    ("kind", "unit", "passes"),
    [
        ("transformer", "neurons.1", 2),
        ("transformer", "neurons.0", 10),
        ("transformer", "heads.1", 4),
        ("mlp", "neurons.0", 2),
        ("normed", "neurons.1", 11),
        ("LN", "neurons.0", 1),
        ("LN", "heads.0", 4),
        ("lstm", "hidden.1", 9),
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_passes_of_exact_effects(
    models: dict[str, Any],
    kind: str,
    unit: str,
    passes: int,
    mode: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One for each unit and one for the whole network; one or two for the last neurons."""
    model, count = models[kind], []
    logits = type(model).logits
    monkeypatch.setattr(
        type(model), "logits", lambda self, tokens: count.append(1) or logits(self, tokens)
    )
    listing = probes.network_on_pairs(model)
    _ = listing.units
    count.clear()
    probes.exact_effects(listing, DATA, unit, mode=mode)
    activations = kind == "LN" and unit == "neurons.0" and mode != "zero"
    assert len(count) == passes + activations
    count.clear()
    probes.linear_effects(listing, DATA)
    assert len(count) == 1


def test_a_network_under_hooks_is_measured_under_hooks() -> None:
    """Behind the neurons a hook takes the cube, so that logits are no longer a sum over them."""
    model = network("mlp")
    with model.hooks(fwd_hooks=[("hook_logits", lambda logits, hook: logits**3)]):
        found = probes.exact_effects(model, DATA)
        before = model(DATA.tokens)
        for i in (0, 4):
            edited = network("mlp")
            edited.W_U[i] = 0
            expected = change(edited(DATA.tokens) ** 3, before, "test", "mse")
            assert found.loss["test"][i].item() == pytest.approx(expected[0], abs=1e-12)


def test_a_dead_unit_has_no_effect_and_an_empty_subset_no_number() -> None:
    model = network("mlp")
    model.W_E[..., 3] = 0
    data = gi.make_dataset(gi.DataConfig(p=P, train_fraction=0.6, corruption=0.0))
    found, linear = probes.exact_effects(model, data), probes.linear_effects(model, data)
    for effect in (found.loss, found.accuracy, linear["neurons.0"]):
        assert effect["test"][3] == 0
        assert not effect["test"].isnan().any()
        assert effect["changed"].isnan().all()


@pytest.mark.parametrize("kind", CONFIGS)
def test_linear_effects_are_gradients_of_a_factor(models: dict[str, Any], kind: str) -> None:
    """Towards zero, the effect is minus the derivative by a factor in front of the unit."""
    model = models[kind]
    found = probes.linear_effects(model, DATA, loss="cross_entropy")
    units = model.list_units()
    assert list(found) == list(units)
    for name, at in units.items():
        factors = torch.ones(at.count, dtype=torch.float64, requires_grad=True)
        hooks = gi.scale(range(at.count), factors, unit=name)
        logits = model.run_with_hooks(DATA.tokens, fwd_hooks=hooks)
        losses = LOSSES["cross_entropy"].per_example(logits, DATA.labels)
        for subset in ("test", "changed"):
            (gradient,) = torch.autograd.grad(
                losses[DATA.masks[subset]].mean(), factors, retain_graph=True
            )
            torch.testing.assert_close(found[name][subset], -gradient, rtol=0, atol=1e-12)
        assert found[name]["test"].abs().max() > 1e-6, name


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("transformer", "heads.0"),
        ("lstm", "hidden.0"),
        ("normed", "neurons.0"),
        ("embedding", "neurons.1"),
    ],
)
def test_a_millionth_of_the_way_to_removal(
    models: dict[str, Any], kind: str, name: str, mode: str
) -> None:
    model, small, i = models[kind], 1e-6, 2
    units = model.list_units()[name]
    _, cache = model.run_with_cache(DATA.tokens)
    with model.hooks(fwd_hooks=gi.ablate([i], mode, unit=name, seed=3, reference=cache)):
        _, removed = model.run_with_cache(DATA.tokens)

    def step(activation: Tensor, hook: Any) -> Tensor:
        moved = activation.clone()
        way = (removed[hook.name] - cache[hook.name]).select(units.axis, i)
        moved.select(units.axis, i).add_(small * way)
        return moved

    moved = model.run_with_hooks(DATA.tokens, fwd_hooks=[(hook, step) for hook in units.hooks])
    expected = change(moved, model(DATA.tokens), "train", "mse")[0] / small
    found = probes.linear_effects(model, DATA, mode=mode, seed=3)[name]["train"][i].item()
    assert found == pytest.approx(expected, rel=1e-3)


def test_a_model_of_transformer_lens() -> None:
    sizes = {"n_layers": 2, "d_model": 12, "n_heads": 3, "d_mlp": 9}
    bridge = native_transformer(P, **sizes, normalization_type="LN").double()
    bridge.requires_grad_(False)
    model = probes.network_on_pairs(bridge, p=P, prompt="a b =")
    before = model.logits()
    linear = probes.linear_effects(model, DATA)
    for name in ("heads.0", "neurons.0", "heads.1", "neurons.1"):
        exact = probes.exact_effects(model, DATA, name)
        count = model.units[name].count
        factors = torch.ones(count, dtype=torch.float64, requires_grad=True)
        scaled = model.run(DATA.tokens, gi.scale(range(count), factors, unit=name))
        losses = LOSSES["mse"].per_example(scaled, DATA.labels)[DATA.masks["test"]]
        (gradient,) = torch.autograd.grad(losses.mean(), factors)
        torch.testing.assert_close(linear[name]["test"], -gradient, rtol=0, atol=1e-12)
        without = model.run(DATA.tokens, gi.ablate([1], unit=name))
        expected = change(without, before, "test", "mse")[0]
        assert exact.loss["test"][1].item() == pytest.approx(expected, abs=1e-12)
        assert expected != 0


def test_the_gradients_leave_no_trace() -> None:
    model = network("transformer").requires_grad_()
    with torch.no_grad():
        probes.linear_effects(model, DATA)
    assert all(weight.grad is None for weight in model.parameters())
    assert not model.is_hooked
    frozen = probes.linear_effects(network("transformer"), DATA)
    for name, effects in probes.linear_effects(model, DATA).items():
        torch.testing.assert_close(effects["test"], frozen[name]["test"], rtol=0, atol=1e-14)


def test_linear_and_exact_effects_agree_where_the_loss_is_nearly_linear() -> None:
    """Of a last layer with tiny activations: the loss hardly bends between them and zero."""
    model = network("mlp")
    model.W_E.mul_(0.1)
    linear = probes.linear_effects(model, DATA, loss="cross_entropy")["neurons.0"]["test"]
    exact = probes.exact_effects(model, DATA, loss="cross_entropy").loss["test"]
    found = probes.effect_agreement(linear, exact)
    assert found.pearson > 0.999
    assert found.n == 10
    ranks = linear.argsort().argsort().double() - exact.argsort().argsort().double()
    assert found.spearman == pytest.approx(1 - 6 * float(ranks.square().sum()) / (10 * 99))


def test_agreement_of_known_values() -> None:
    x = torch.tensor([1.0, 2.0, 3.0, float("nan")])
    found = probes.effect_agreement(x, torch.tensor([1.0, 4.0, 9.0, 0.0]))
    assert found.spearman == pytest.approx(1.0)
    assert found.pearson == pytest.approx(8 / (2 * 32.666666666) ** 0.5)
    assert found.n == 3
    assert torch.tensor(probes.effect_agreement(x, torch.ones(4))[:2]).isnan().all()
    needs = torch.arange(4.0).requires_grad_()
    assert probes.effect_agreement(needs, needs).pearson == pytest.approx(1.0)


def test_direct_effects_of_the_last_neurons() -> None:
    model = network("mlp")
    _, cache = model.run_with_cache(DATA.tokens)
    found = probes.direct_effects(model, DATA)
    for subset, mask in DATA.masks.items():
        for i in range(10):
            written = cache["layers.0.hook_post"][mask][:, i, None] * model.W_U[i]
            label = written[torch.arange(int(mask.sum())), DATA.labels[mask]]
            expected = (label - written.mean(dim=1)).mean()
            torch.testing.assert_close(found[subset][i], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["LN", "transformer", "normed", "lstm"])
def test_direct_effects_of_other_networks(models: dict[str, Any], kind: str) -> None:
    model = models[kind]
    test = DATA.masks["test"]
    pairs, labels = DATA.tokens[test], DATA.labels[test]
    if kind == "lstm":
        _, cache = model.run_with_cache(pairs)
        post = cache["layers.1.steps.2.hook_h"]
        expected = {"hidden.1": probes.neuron_attribution(post, model.W_U, labels)}
    else:
        parts = probes.logit_attribution(model, pairs, labels).parts
        hooks = {
            "blocks.0.attn.hook_z": "heads.0",
            "blocks.0.mlp.hook_post": "neurons.0",
            "layers.1.norm.hook_normalized": "neurons.1",
        }
        expected = {hooks[hook]: part.mean(dim=0) for hook, part in parts.items() if hook in hooks}
    assert expected
    for name, values in expected.items():
        found = probes.direct_effects(model, DATA, name)["test"]
        torch.testing.assert_close(found, values, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("no_type_checker")
def test_what_does_not_fit_is_refused(models: dict[str, Any]) -> None:
    other = gi.make_dataset(gi.DataConfig(p=5))
    effects: list[Any] = [probes.exact_effects, probes.linear_effects, probes.direct_effects]
    for effect in effects:
        with pytest.raises(ValueError, match="the model has p=7 but the dataset p=5"):
            effect(models["mlp"], other)
    for effect in (probes.exact_effects, probes.direct_effects):
        with pytest.raises(ValueError, match=r"unit='heads.0', but HookedMLP has frequencies, neu"):
            effect(models["mlp"], DATA, "heads.0")
    with pytest.raises(ValueError, match=r"unit='neurons.0' of HookedMLP write .* by way of later"):
        probes.direct_effects(models["normed"], DATA, "neurons.0")
    for unit in ("hidden.0", "gate_o.1", "frequencies"):  # hidden.1 has direct effects
        with pytest.raises(ValueError, match=rf"unit='{unit}' of HookedLSTM write .* by way of"):
            probes.direct_effects(models["lstm"], DATA, unit)
    with pytest.raises(ValueError, match=r"unit='frequencies' of HookedTransformer write .* by wa"):
        probes.direct_effects(models["transformer"], DATA, "frequencies")
    with pytest.raises(ValueError, match="mode='ones' is unknown"):
        probes.linear_effects(models["mlp"], DATA, mode="ones")
    with pytest.raises(ValueError, match="loss='l1' is unknown"):
        probes.exact_effects(models["mlp"], DATA, loss="l1")
