"""Pruning of any units, against hooks and weights edited by hand."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformer_lens.hook_points import HookPoint

import grokinterp as gi
import probes
from grokinterp.data import SUBSETS
from probes.pruning_curve import is_additive, pruning_curve
from probes.unit_pruning import refined_curve, unit_pruning_curve
from tests.networks import native_transformer

P = 7
DATA = gi.make_dataset(gi.DataConfig(p=P, corruption=0.3, train_fraction=0.7, seed=1))
CONFIGS: dict[str, Any] = {
    "mlp": gi.MLPConfig(d_mlp=8, init="standard"),
    "deep": gi.MLPConfig(d_mlp=8, init="standard", n_layers=2),
    "normed": gi.MLPConfig(d_mlp=8, init="standard", norm="layer"),
    "embedding": gi.EmbeddingMLPConfig(d_embed=6, hidden=(9, 8)),
    "transformer": gi.TransformerConfig(d_model=12, n_heads=3, d_mlp=8, init="paper1", mup=1.0),
    "two layers": gi.TransformerConfig(
        d_model=8, n_heads=2, d_mlp=6, n_layers=2, init="paper1", normalization_type="LN"
    ),
    "norms behind": gi.TransformerConfig(
        d_model=8,
        n_heads=2,
        d_mlp=6,
        init="paper1",
        mup=1.0,
        normalization_type="LN",
        norm_position="post",
    ),
    "lstm": gi.LSTMConfig(d_embed=6, d_hidden=5),
}
ADDITIVE = [
    ("mlp", "neurons.0"),
    ("deep", "neurons.1"),
    ("embedding", "neurons.1"),
    ("transformer", "neurons.0"),
]


def built(name: str) -> Any:
    run = gi.RunConfig(data=gi.DataConfig(p=P), model=CONFIGS[name], seed=2)
    model = gi.build_model(run).double()
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():  # biases are not zero
            weight += 0.1 * torch.randn(weight.shape, generator=rng, dtype=torch.float64)
    return model.eval().requires_grad_(False)


def scores(logits: Tensor, loss: str) -> tuple[list[float], list[float]]:
    right = (logits.argmax(dim=1) == DATA.labels).double()
    if loss == "mse":
        losses = (logits - F.one_hot(DATA.labels, P)).square().mean(dim=1)
    else:
        losses = F.cross_entropy(logits, DATA.labels, reduction="none")
    masks = [DATA.masks[name] for name in SUBSETS]
    return [right[m].mean().item() for m in masks], [losses[m].mean().item() for m in masks]


def clean(model: Any, units: Any) -> dict[str, Tensor]:
    cache = model.run_with_cache(DATA.tokens)[1]
    return {hook: cache[hook] for hook in units.hooks}


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("mode", ["zero", "mean", "resample"])
@pytest.mark.parametrize(("name", "unit"), ADDITIVE)
def test_the_fast_path_is_what_hooked_passes_give(
    name: str, unit: str, mode: str, loss: str
) -> None:
    model = built(name)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(3))
    accuracies, losses = pruning_curve(model, DATA, order, unit=unit, mode=mode, loss=loss, seed=4)
    for removed in range(9):
        hooks = gi.ablate(order[:removed], mode, unit=unit, seed=4)
        accuracy, value = scores(model.run_with_hooks(DATA.tokens, fwd_hooks=hooks)[:, :P], loss)
        assert accuracies[removed].tolist() == accuracy, removed
        # Sums of float64 numbers of size 10 over 49 pairs and 7 classes
        torch.testing.assert_close(losses[removed].tolist(), value, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_unit_of_every_network_is_pruned(name: str) -> None:
    model = built(name)
    for units in model.list_units().values():
        order = torch.randperm(units.count, generator=torch.Generator().manual_seed(1))
        assert is_additive(probes.network_on_pairs(model), units.name) == (
            (name, units.name) in ADDITIVE
        )
        for mode in ("zero", "mean", "resample"):
            curve = unit_pruning_curve(model, DATA, order, unit=units.name, mode=mode, seed=5)
            assert curve.removed.tolist() == list(range(units.count + 1))
            # Means and samples are those of the whole network, at every step of an LSTM.
            reference = None if units.name == "frequencies" else clean(model, units)
            half = units.count // 2
            hooks = gi.ablate(order[:half], mode, unit=units.name, reference=reference, seed=5)
            logits = model.run_with_hooks(DATA.tokens, fwd_hooks=hooks)
            accuracy, value = scores(logits[:, :P], "mse")
            assert curve.accuracy[half].tolist() == accuracy
            torch.testing.assert_close(curve.loss[half].tolist(), value, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    ("name", "unit", "passes"),
    [
        ("transformer", "neurons.0", 2),
        ("norms behind", "neurons.0", 1),
        ("two layers", "neurons.1", 1),
        ("two layers", "neurons.0", 6),
        ("lstm", "hidden.0", 6),
    ],
)
def test_passes_of_a_pruning_curve(
    name: str, unit: str, passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for each removal and one for the whole; one or two in all for the last neurons."""
    network, count = probes.network_on_pairs(built(name)), []
    width, logits = network.units[unit].count, type(network.model).logits
    monkeypatch.setattr(
        type(network.model), "logits", lambda self, tokens: count.append(1) or logits(self, tokens)
    )
    unit_pruning_curve(network, DATA, torch.arange(width), unit=unit, removals=5)
    assert len(count) == passes


def test_neurons_behind_other_layers_are_taken_out_of_the_weights() -> None:
    model, order = built("embedding"), torch.tensor([4, 0, 8, 1, 5, 7, 2, 3, 6])
    curve = unit_pruning_curve(model, DATA, order, unit="neurons.0")
    for removed in range(10):
        edited = copy.deepcopy(model)
        edited.layers[1].W_in[order[:removed]] = 0.0
        accuracy, value = scores(edited(DATA.tokens), "mse")
        assert curve.accuracy[removed].tolist() == accuracy
        torch.testing.assert_close(curve.loss[removed].tolist(), value, rtol=1e-11, atol=1e-11)


def test_heads_are_taken_out_of_the_weights() -> None:
    model, order = built("two layers"), torch.tensor([1, 0])
    curve = unit_pruning_curve(model, DATA, order, unit="heads.0")
    edited = copy.deepcopy(model)
    edited.blocks[0].attn.W_O[1] = 0.0
    assert curve.accuracy[1].tolist() == scores(edited(DATA.tokens), "mse")[0]


def test_another_makers_network_is_pruned() -> None:
    model = native_transformer(P, d_mlp=6)
    network = probes.network_on_pairs(model, p=P, prompt="a b =")
    name = next(name for name in network.units if name.startswith("neurons"))
    curve = unit_pruning_curve(network, DATA, torch.arange(6), unit=name)
    whole = scores(network.logits(), "mse")[0]
    assert curve.accuracy[0].tolist() == whole


def test_removals_are_scored_where_the_curve_bends() -> None:
    """Accuracy falls from 1 to 0 when unit 701 of 1000 is removed, and nowhere else."""
    asked: list[int] = []

    def score(removed: int) -> Tensor:
        asked.append(removed)
        fallen = float(removed > 700)
        return torch.tensor([[1 - fallen] * 4 + [torch.nan], [fallen] * 5], dtype=torch.float64)

    curve = refined_curve(score, 1000, removals=40)
    assert len(asked) == len(set(asked)) == 41
    assert asked[0] == 0
    assert curve.removed.tolist() == sorted(asked)
    assert {0, 700, 701, 1000} <= set(asked)
    assert curve.accuracy[:, 0].tolist() == [float(k <= 700) for k in curve.removed.tolist()]
    assert max(curve.removed.diff()) <= 1000 / 13 + 1  # an even grid of a third of them
    assert refined_curve(score, 5, removals=40).removed.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.usefixtures("no_type_checker")
def test_bad_arguments_are_named() -> None:
    model = built("deep")
    with pytest.raises(ValueError, match=r"unit='neurons.2', but HookedMLP has frequencies, neuro"):
        unit_pruning_curve(model, DATA, torch.arange(8), unit="neurons.2")
    with pytest.raises(ValueError, match=r"order must be a permutation of 0\.\.7.*got 7 entries"):
        unit_pruning_curve(model, DATA, torch.arange(7))
    with pytest.raises(ValueError, match="mode='nil' is unknown"):
        unit_pruning_curve(model, DATA, torch.arange(8), mode="nil")
    with pytest.raises(
        ValueError, match=r"pruning_curve takes the logits for a sum over neurons\.0"
    ):
        pruning_curve(model, DATA, torch.arange(8))
    other = gi.make_dataset(gi.DataConfig(p=11))
    for unit in ("neurons.0", "neurons.1"):
        with pytest.raises(ValueError, match=r"p=11|11 classes"):
            unit_pruning_curve(model, other, torch.arange(8), unit=unit)


def hook_of_torch(model: Any) -> Any:
    return model.hook_logits.register_forward_hook(lambda module, args, out: out.roll(1, dims=1))


def another_module(model: Any) -> Any:
    class Rolled(HookPoint):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.roll(1, dims=1))

    model.hook_logits = Rolled()


@pytest.mark.parametrize("change", [hook_of_torch, another_module])
def test_what_is_changed_behind_the_units_is_seen(change: Any) -> None:
    """The shortcut that adds up what units write to the logits would pass it by."""
    model, order = built("mlp"), torch.randperm(8, generator=torch.Generator().manual_seed(3))
    whole = unit_pruning_curve(model, DATA, order)
    change(model)
    assert not is_additive(probes.network_on_pairs(model), "neurons.0")
    curve = unit_pruning_curve(model, DATA, order)
    effects = probes.exact_effects(model, DATA)
    for removed in (0, 3, 8):
        logits = model.run_with_hooks(DATA.tokens, fwd_hooks=gi.ablate(order[:removed]))
        accuracy, value = scores(logits, "mse")
        assert curve.accuracy[removed].tolist() == accuracy
        torch.testing.assert_close(curve.loss[removed].tolist(), value, rtol=1e-11, atol=1e-11)
    assert not torch.equal(curve.accuracy[0], whole.accuracy[0])
    alone = scores(model.run_with_hooks(DATA.tokens, fwd_hooks=gi.ablate([2])), "mse")[1][1]
    before = scores(model(DATA.tokens), "mse")[1][1]
    assert effects.loss["test"][2].item() == pytest.approx(alone - before, abs=1e-11)
    with pytest.raises(ValueError, match=r"has hooks or a module in another's place"):
        pruning_curve(model, DATA, order)
