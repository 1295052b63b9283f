"""What goes into the explorer: weights with their norms, scores, and what there is room for."""

import dataclasses

import numpy as np
import pytest
import torch

import grokinterp as gi
from analyses.explorer import sizes
from analyses.explorer.layers import has_plain_weights, plain_weights
from analyses.explorer.payload import gather, subset_codes
from analyses.explorer.removals import stored_removals
from analyses.explorer.room import Room
from analyses.explorer.scores import periodic_order, unit_scores
from analyses.explorer.words import DISJOINT
from grokinterp.data import Dataset, make_dataset
from probes import (
    direct_effects,
    model_neuron_ipr,
    model_neuron_norms,
    network_on_pairs,
    unit_periodicity,
    unit_pruning_curve,
)

P = 11


ADDITION = gi.DataConfig(p=P)


def network(task: gi.DataConfig = ADDITION, **model: object) -> gi.HookedMLP:
    config = gi.RunConfig(data=task, model=gi.MLPConfig(d_mlp=12, **model))  # pyright: ignore[reportArgumentType]
    built = gi.build_model(config)
    assert isinstance(built, gi.HookedMLP)
    return built.eval()


def scores(model: gi.HookedMLP, data: Dataset, unit: str = "neurons.0") -> dict[str, np.ndarray]:
    """The values of the scores by key, float32."""
    found = unit_scores(network_on_pairs(model), data, unit, periodic_order(gi.DataConfig(p=P)))
    return {score.key: values.float().numpy() for score, values in found.items()}


def test_norms_are_multiplied_into_the_matrices() -> None:
    model = network(n_layers=3, norm="batch", act="relu")
    rng = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if "norm" in name:
            tensor.uniform_(0.5, 2.0, generator=rng)
    weights = {name: torch.from_numpy(w).double() for name, w in plain_weights(model).items()}
    tokens = make_dataset(gi.DataConfig(p=P)).tokens
    a, b = tokens.T
    hidden = torch.relu(weights["W_E"][0][a] + weights["W_E"][1][b])
    assert not weights["b_E"].any()
    for i in (1, 2):
        hidden = torch.relu(hidden @ weights[f"W_in{i}"] + weights[f"b_in{i}"])
    logits = hidden @ weights["W_U"] + weights["b_U"]
    with torch.no_grad():
        expected = model(tokens).double()
    assert weights["b_U"].abs().max() > 0.01
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-6)


def test_scores_are_those_of_the_probes(tiny_run: gi.Run) -> None:
    model, data = tiny_run.model, tiny_run.dataset
    found = scores(model, data)
    effects = direct_effects(model, data)
    expected = {
        "periodicity": model_neuron_ipr(model).ipr,
        "norm": model_neuron_norms(model),
        "frequency": found["frequency"],
        **{f"writes_{subset}": effects[subset] for subset in DISJOINT},
    }
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], values, rtol=1e-6, err_msg=key)


def test_scores_of_a_deep_network() -> None:
    model, data = network(n_layers=2), make_dataset(gi.DataConfig(p=P, corruption=0.3))
    found = scores(model, data, "neurons.1")
    output = unit_periodicity(model, "neurons.1", "output_ipr").scores["output_ipr"]
    np.testing.assert_allclose(found["periodicity"], output, rtol=1e-6)
    norm = model.W_U.detach().double().norm(dim=1)
    np.testing.assert_allclose(found["norm"], norm, rtol=1e-6)


def test_the_frequency_of_a_unit() -> None:
    model, angle = network(), 2 * torch.pi * torch.arange(P) / P
    for unit in range(12):
        wave = torch.cos((unit % 5 + 1) * angle + unit)
        model.W_E.data[:, :, unit] = wave
        model.W_U.data[unit] = wave
    model.W_E.data[..., 3] = 0.0
    with torch.no_grad():
        found = scores(model, make_dataset(gi.DataConfig(p=P)))
    expected = [float(unit % 5 + 1) for unit in range(12)]
    expected[3] = np.nan  # a dead unit has none
    np.testing.assert_array_equal(found["frequency"], expected)


def test_multiplication_is_periodic_in_the_powers_of_a_root() -> None:
    task = gi.DataConfig(operation="multiplication", p=P)
    model, data = network(task), make_dataset(task)
    order = periodic_order(task)
    found = unit_scores(network_on_pairs(model), data, "neurons.0", order)
    values = {score.key: value for score, value in found.items()}
    expected = unit_periodicity(model, "neurons.0", "ipr").scores["ipr"]
    np.testing.assert_allclose(values["periodicity"], expected, rtol=1e-6)
    assert order.tolist() == [1, 2, 4, 8, 5, 10, 9, 7, 3, 6]  # the powers of 2 mod 11
    assert periodic_order(gi.DataConfig(operation="a**2 + b", p=P)).tolist() == list(range(P))


def test_codes_name_each_pairs_subset(tiny_run: gi.Run) -> None:
    codes = subset_codes(tiny_run.dataset)
    for code, subset in enumerate(DISJOINT):
        np.testing.assert_array_equal(codes == code, tiny_run.dataset.masks[subset].numpy())


def test_behind_a_layer_norm_removals_are_stored(tiny_run: gi.Run) -> None:
    config = tiny_run.config.replace({"model.norm": "layer", "training.steps": 1})
    run = gi.train(config, progress=False, device="cpu")
    kinds = {kind["name"]: kind for kind in gather(run, name="run").about["units"]}
    assert kinds["neurons.0"]["source"] == "stored"
    assert kinds["neurons.0"]["by"][0] == "periodicity"


def test_what_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "MOST_EARLIER_WEIGHTS", 1000)
    steps = list(range(0, 110, 10))

    def parts(weights: int) -> sizes.Parts:
        return sizes.parts(weights, steps, products=1, logits=1)

    assert parts(100) == sizes.Parts(list(range(11)), True, True, [])
    chosen = parts(250)
    assert (chosen.networks, chosen.runs) == ([0, 2, 5, 8, 10], True)
    assert chosen.notes[0].startswith("Of 11 stored networks 5 are here")
    with pytest.raises(ValueError, match="has 1,001 weights, and a page holds at most 1,000"):
        parts(1001)
    chosen = sizes.parts(1, [0, 7], products=10**10, logits=1)
    assert (chosen.networks, chosen.runs, chosen.removes) == ([0, 1], False, True)
    products = "10,000,000,000 products in a pass through all pairs, 8,000,000,000 at most"
    assert products in chosen.notes[0]
    chosen = sizes.parts(1, [70], products=1, logits=1)
    assert (chosen.networks, chosen.runs) == ([0], True)
    assert "--checkpoints 30" in chosen.notes[0]


def test_the_frequency_of_a_head_is_that_of_what_it_writes() -> None:
    config = gi.RunConfig(
        data=ADDITION, model=gi.TransformerConfig(d_model=8, n_heads=2, d_mlp=4, biases=False)
    )
    model = gi.build_model(config).eval()
    wave = torch.cos(2 * torch.pi * 3 * torch.arange(P) / P)
    weights = dict(model.named_parameters())
    with torch.no_grad():
        weights["embed.W_E"].zero_()[:P, 0] = wave
        weights["pos_embed.W_pos"].zero_()
        weights["blocks.0.attn.W_Q"].zero_()  # it looks at all positions alike
        weights["blocks.0.attn.W_O"][1] = 0.0  # a dead head
    found = unit_scores(network_on_pairs(model), make_dataset(ADDITION), "heads.0", torch.arange(P))
    values = {score.key: value for score, value in found.items()}
    assert values["frequency"][0] == 3
    assert values["frequency"][1].isnan()
    assert values["periodicity"][0] == pytest.approx(1.0, abs=1e-6)


class Doubled(gi.HookedMLP):
    """Computes otherwise than its weights tell."""

    factor = 2.0

    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.factor * super().logits(tokens)


def test_only_a_known_mlp_runs_from_its_weights() -> None:
    assert has_plain_weights(network())
    assert not has_plain_weights(Doubled(gi.MLPConfig(d_mlp=4), p=P))
    assert not has_plain_weights(network(norm="layer"))
    with pytest.raises(TypeError, match="batch norms"):
        plain_weights(network(norm="layer"))


def test_a_network_of_ones_own_runs_only_if_its_logits_are_the_sum(tiny_run: gi.Run) -> None:
    for factor, expected in ((1.0, "activations"), (2.0, "stored")):
        model = Doubled(gi.MLPConfig(d_mlp=16), p=P).eval()
        model.factor = factor
        run = dataclasses.replace(tiny_run, model=model, provenance={"start": {"step": 5}})
        (neurons, *_) = gather(run, name="own").about["units"][::-1]
        assert (neurons["name"], neurons["source"]) == ("neurons.0", expected)


def test_what_does_not_fit_is_rounded_or_left_out() -> None:
    noise = torch.randn(1000, generator=torch.Generator().manual_seed(0)).numpy()
    room = Room(left=9_000)
    assert room.put("exact", noise, "noise")  # about 3.7 kB, less than half
    assert room.put("rounded", noise, "more noise")
    assert not room.put("out", np.tile(noise, 50) + np.arange(50_000) % 999, "too much")
    assert room.exact.keys() == {"exact"}
    assert room.rounded.keys() == {"rounded"}
    values = room.rounded_values("rounded")
    assert values is not None
    np.testing.assert_allclose(values, noise, rtol=0, atol=np.abs(noise).max() / 65_534 * 1.01)
    assert room.rounded_values("exact") is None
    assert room.notes[0] == "Rounded to 16 bits, to keep the page small: more noise."
    assert room.notes[1].startswith("Left out: too much, ")


def test_removals_are_those_of_pruning() -> None:
    model, data = network(norm="layer"), make_dataset(gi.DataConfig(p=P, corruption=0.3))
    score = torch.randn(12, generator=torch.Generator().manual_seed(1)).numpy()
    score[4] = np.nan  # of the lowest rank
    found = stored_removals(network_on_pairs(model), "neurons.0", {"norm": score})
    order = torch.from_numpy(np.nan_to_num(score, nan=-np.inf).argsort())
    for end, by in enumerate((order, order.flip(0))):
        expected = unit_pruning_curve(model, data, by)
        right = torch.from_numpy(found.answers[0, end]) == data.labels
        shown = torch.stack([right[:, data.masks[s]].double().mean(dim=1) for s in DISJOINT], dim=1)
        torch.testing.assert_close(shown, expected.accuracy[found.points][:, [1, 2, 3]])
