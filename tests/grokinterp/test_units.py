"""Units of every architecture, against edited weights, filtered tables and hooks made by hand."""

from typing import Any

import pytest
import torch
from torch import Tensor

import grokinterp as gi
from grokinterp.basis import task_basis
from grokinterp.models.registry import model_class
from tests.networks import all_pairs

P = 7
PAIRS = all_pairs(P)
CONFIGS: dict[str, Any] = {
    "mlp": gi.MLPConfig(d_mlp=10, init="standard"),
    "embedding": gi.EmbeddingMLPConfig(d_embed=6, hidden=(10, 8)),
    "summed": gi.EmbeddingMLPConfig(d_embed=6, hidden=(10,), combine="sum"),
    "transformer": gi.TransformerConfig(d_model=12, n_heads=3, n_layers=2),
    "lstm": gi.LSTMConfig(d_embed=6, d_hidden=8),
}


def network(kind: str, operation: str = "addition") -> Any:
    build: Any = model_class(CONFIGS[kind])
    model = build(CONFIGS[kind], p=P, seed=2)
    model.operation = operation
    return model.double().requires_grad_(False)


def logits(model: Any, fwd_hooks: Any) -> Tensor:
    return model.run_with_hooks(PAIRS, fwd_hooks=fwd_hooks)


def test_a_network_lists_its_units() -> None:
    gates = [f"gate_{letter}" for letter in "ifgo"]
    expected = {
        "mlp": {"frequencies": 3, "neurons.0": 10},
        "embedding": {"frequencies": 3, "neurons.0": 10, "neurons.1": 8},
        "summed": {"frequencies": 3, "neurons.0": 10},
        "transformer": {"frequencies": 3}
        | {f"{kind}.{layer}": n for layer in (0, 1) for kind, n in (("heads", 3), ("neurons", 48))},
        "lstm": {"frequencies": 3}
        | {f"{kind}.{layer}": 8 for layer in (0, 1) for kind in (*gates, "hidden")},
    }
    for kind, counts in expected.items():
        units = network(kind).list_units()
        assert {name: unit.count for name, unit in units.items()} == counts, kind
        assert list(units) == list(counts), kind
        for name, unit in units.items():
            assert unit.axis == (-2 if name.startswith("heads") else -1)


def test_a_task_without_frequencies_has_none_to_take_out() -> None:
    model = network("mlp", "a^2 + b")
    assert list(model.list_units()) == ["neurons.0"]
    with pytest.raises(ValueError, match=r"unit='frequencies', but HookedMLP has neurons.0"):
        logits(model, gi.ablate([0], unit="frequencies"))


def test_two_residues_have_no_frequencies() -> None:
    model = gi.build_model(gi.RunConfig(data=gi.DataConfig(p=2), model=gi.MLPConfig(d_mlp=4)))
    assert list(model.list_units()) == ["neurons.0"]


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_unit_can_be_taken_out_by_rank(kind: str) -> None:
    model = network(kind)
    plain = model(PAIRS)
    for name, unit in model.list_units().items():
        score = torch.linspace(1, 0, unit.count)
        for mode in ("zero", "mean", "resample"):
            changed = logits(model, gi.ablate(gi.lowest(score, 0.5), mode, unit=name))
            assert not torch.allclose(changed, plain), (name, mode)
            same = logits(model, gi.ablate(gi.lowest(score, 0.0), mode, unit=name))
            assert torch.equal(same, logits(model, gi.ablate([], hook=unit.hooks[-1]))), name
        scaled, removed = gi.scale([0], 0.0, unit=name), gi.ablate([0], unit=name)
        assert torch.allclose(logits(model, scaled), logits(model, removed), atol=1e-12)


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("operation", ["addition", "division"])
def test_frequencies_without_their_part_are_a_filtered_embedding(kind: str, operation: str) -> None:
    model = network(kind, operation)
    basis = task_basis(operation, P)
    with gi.filtered_embedding(model, [1, 3], keep=False, order=basis.order):
        expected = model(PAIRS)
    found = logits(model, gi.ablate([0, 2], unit="frequencies"))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    # One after the other is both at once: each hook takes away its own part.
    twice = gi.ablate([0], unit="frequencies") + gi.ablate([2], unit="frequencies")
    torch.testing.assert_close(logits(model, twice), expected, rtol=0, atol=1e-12)
    factors = torch.tensor([0.0, 1.0, 0.0])
    scaled = logits(model, gi.scale([0, 1, 2], factors, unit="frequencies"))
    torch.testing.assert_close(scaled, expected, rtol=0, atol=1e-12)


def test_over_all_pairs_the_mean_part_of_a_frequency_is_zero() -> None:
    model = network("transformer")
    zero, mean = (
        logits(model, gi.ablate([1], mode, unit="frequencies")) for mode in ("zero", "mean")
    )
    torch.testing.assert_close(zero, mean, rtol=0, atol=1e-12)


def test_a_gate_at_zero_keeps_what_the_cell_then_keeps() -> None:
    model = network("lstm")
    zeroed = gi.ablate(torch.ones(8, dtype=torch.bool), unit="gate_i.0")
    with model.hooks(fwd_hooks=zeroed):
        _, cache = model.run_with_cache(PAIRS)
    # Nothing is ever written to the cell, so that its state stays 0.
    assert not cache["layers.0.steps.2.hook_c"].any()
    assert cache["layers.1.steps.2.hook_c"].any()


def test_means_of_every_step_come_from_a_cache() -> None:
    model = network("lstm")
    _, cache = model.run_with_cache(PAIRS)
    given = logits(model, gi.ablate([1, 5], "mean", unit="hidden.0", reference=cache))

    def to_mean(activation: Tensor, hook: Any) -> Tensor:
        changed = activation.clone()
        changed[:, [1, 5]] = cache[hook.name][:, [1, 5]].mean(dim=0)
        return changed

    by_hand = logits(model, [(f"layers.0.steps.{t}.hook_h", to_mean) for t in range(3)])
    torch.testing.assert_close(given, by_hand, rtol=0, atol=1e-12)
    hooks = gi.ablate([1, 5], "mean", unit="hidden.0", reference=cache)
    one = model.run_with_hooks(PAIRS[3:4], fwd_hooks=hooks)
    assert not torch.allclose(one, model(PAIRS[3:4]))
    with pytest.raises(ValueError, match="have a hook point for each step; give a mapping"):
        logits(model, gi.ablate([1], "mean", unit="hidden.0", reference=torch.zeros(3, 8)))
    part = {"layers.0.steps.0.hook_h": cache["layers.0.steps.0.hook_h"]}
    hooks = gi.ablate([1], "mean", unit="hidden.1", reference=part)
    with pytest.raises(ValueError, match=r"reference='layers.1.steps.0.hook_h' is unknown"):
        logits(model, hooks)


def test_ranks_by_share_and_by_number() -> None:
    score = torch.tensor([0.3, float("nan"), 0.1, 0.1, 0.9])
    lowest = [(0, []), (1, [1]), (0.2, [1]), (2, [1, 2]), (0.6, [1, 2, 3]), (1.0, [*range(5)])]
    for share, places in lowest:
        assert gi.lowest(score, share).nonzero()[:, 0].tolist() == places
    highest = [(0, []), (1, [4]), (2, [0, 4]), (0.8, [0, 2, 3, 4]), (1.0, [*range(5)])]
    for share, places in highest:
        assert gi.highest(score, share).nonzero()[:, 0].tolist() == places
    for share in (-0.1, 1.5, 6, -1):
        with pytest.raises(ValueError, match="share"):
            gi.lowest(score, share)


@pytest.mark.usefixtures("no_type_checker")
def test_units_that_a_network_lacks_are_refused() -> None:
    model = network("transformer")
    for unit, told in {
        "neurons.2": "unit='neurons.2', but HookedTransformer has frequencies, heads.0",
        "hidden.0": "unit='hidden.0', but HookedTransformer has",
    }.items():
        with pytest.raises(ValueError, match=told):
            logits(model, gi.ablate([0], unit=unit))
    for unit in ("neuron", "neurons", "heads.x", "frequencies.0", ""):
        with pytest.raises(
            ValueError, match=r"is not a name of units. They are called 'neurons.0'"
        ):
            gi.ablate([0], unit=unit)
    with pytest.raises(TypeError, match=r"unit must be a name as 'heads.0', got 3"):
        gi.ablate([0], unit=3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"layer=1 and unit='heads.0' exclude each other"):
        gi.ablate([0], layer=1, unit="heads.0")
    with pytest.raises(IndexError, match=r"heads contains \[3\], but blocks.0.attn.hook_z has 3"):
        logits(model, gi.ablate([3], unit="heads.0"))
    with pytest.raises(IndexError, match=r"frequencies is a mask of shape .2.* one value per freq"):
        logits(model, gi.ablate(torch.tensor([True, False]), unit="frequencies"))


def test_what_would_change_nothing_is_refused() -> None:
    model = network("transformer")
    for unit, remedy in {"heads.0": "reference=", "frequencies": "more examples"}.items():
        for mode in ("mean", "resample"):
            with pytest.raises(ValueError, match=f"has only one example; pass {remedy}"):
                model.run_with_hooks(PAIRS[:1], fwd_hooks=gi.ablate([0], mode, unit=unit))
    with pytest.raises(ValueError, match="reference is not for frequencies"):
        gi.ablate([0], "mean", unit="frequencies", reference=torch.zeros(3, 2, 6))


def without_half(model: gi.HookedModel) -> float:
    """Mean square of the logits without the neurons that write least."""
    sizes = model.get_parameter("W_U").detach().norm(dim=1)
    taken_out = gi.ablate(gi.lowest(sizes, 0.5), "mean")
    with torch.no_grad():
        return float(model.run_with_hooks(PAIRS, fwd_hooks=taken_out).square().mean())


def of_run(run: gi.Run) -> float:
    return without_half(run.model)


def test_ranks_are_taken_out_while_training_and_in_a_sweep() -> None:
    config = gi.RunConfig(
        data=gi.DataConfig(p=P),
        model=gi.MLPConfig(d_mlp=6),
        training=gi.TrainConfig(steps=4, eval_every=2),
    )
    run = gi.train(config, probes={"without_half": without_half}, progress=False, device="cpu")
    assert run.history.without_half.dims == ("step",)
    assert run.history.without_half[-1] == pytest.approx(without_half(run.model))
    start = gi.build_model(config)
    assert run.history.without_half[0] == pytest.approx(without_half(start))
    assert len(set(run.history.without_half.values.tolist())) == 3
    axes = {"training.weight_decay": [0.0, 5.0]}
    swept = gi.sweep(config, axes, seeds=1, measure={"without_half": of_run}, progress=False)
    assert swept.without_half.values.flatten()[0] == pytest.approx(without_half(run.model))
    assert len(set(swept.without_half.values.flatten().tolist())) == 2
    assert not run.model.is_hooked
