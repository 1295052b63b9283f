"""Costs of look-up tables, networks whose logits and norms are written into their weights."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

import grokinterp as gi
from analyses.efficiency import model_efficiency
from analyses.efficiency.model_efficiency import figures
from analyses.efficiency.model_efficiency.runs import collect_runs, wanted
from grokinterp.sweeps.collect import collect
from probes.parameter_norms import parameter_norm

P, UNUSED = 5, 4
STEPS = 8


def make_config(fraction: float, seed: int = 0, random: bool = False) -> gi.RunConfig:
    return gi.RunConfig(
        data=gi.DataConfig(
            p=P, train_fraction=fraction, seed=seed, corruption=1.0 if random else 0.0
        ),
        model=gi.EmbeddingMLPConfig(d_embed=P, hidden=(P * P,), d_vocab=P + UNUSED),
        training=gi.TrainConfig(steps=STEPS, eval_every=STEPS),
        seed=seed,
    )


def look_up(run: gi.Run, *, logit: float, stored: torch.Tensor, unused: float = 0.0) -> Any:
    """A neuron per pair, relu(1[a] + 1[b] - 1), that writes the label's logit if it is stored.

    Its squared norm is P (embedding) + 3 P^2 (weights and biases) + logit^2 per stored pair.
    """
    model = gi.build_model(run.config)
    assert isinstance(model, gi.HookedEmbeddingMLP)
    data = run.dataset
    pairs = torch.arange(P * P)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        model.W_E[:P] = torch.eye(P)
        model.W_E[P:, 0] = unused / UNUSED**0.5
        W_in = model.layers[0].get_parameter("W_in")
        W_in[data.tokens[:, 0], pairs] = 1.0
        W_in[P + data.tokens[:, 1], pairs] = 1.0
        model.layers[0].get_parameter("b_in").fill_(-1.0)
        model.W_U[pairs[stored], data.labels[stored]] = logit
    return model.eval()


def rest() -> float:
    """The squared norm of everything before the read-out."""
    return P + 3 * P**2


def make_run(
    fraction: float,
    seed: int = 0,
    *,
    random: bool = False,
    logit: float = 3.0,
    unused: float = 0.0,
    late: float = 6.0,
) -> gi.Run:
    """Kept as it memorises at step 2, again at step 4, and at the end knowing everything."""
    run = gi.train(make_config(fraction, seed, random), device="cpu", progress=False)
    train = run.dataset.is_train
    memorised = look_up(run, logit=logit, stored=train, unused=unused)
    knowing = train if random else torch.ones_like(train)
    kept = {
        name: gi.Checkpoint(step, {"train_accuracy": 1.0}, memorised.state_dict())
        for name, step in (("memorising", 2), ("step-4", 4))
    }
    kept["step-1"] = gi.Checkpoint(1, {"train_accuracy": 0.2}, memorised.state_dict())
    end = look_up(run, logit=late, stored=knowing, unused=unused / 2)
    return dataclasses.replace(run, model=end, checkpoints=kept)


@pytest.fixture(scope="module")
def runs() -> list[gi.Run]:
    """Of larger sets the unused rows are larger, as if they had decayed for less time."""
    return [
        make_run(fraction, seed, random=random, unused=20 * fraction, logit=3.0 + seed)
        for random in (False, True)
        for fraction in (0.3, 0.5, 0.7, 0.9)
        for seed in (0, 1)
        if not (random and fraction == 0.9 and seed == 1)
    ]


@pytest.fixture(scope="module")
def data(runs: list[gi.Run]) -> Any:
    return model_efficiency.compute(runs, target_logit=4.0, target_margin=2.0)


def test_norms_as_published_and_controlled(data: Any) -> None:
    here = data.sel(circuit="C_mem", seed=1)
    n = here.n_train.values
    used = rest() + 4.0**2 * n
    everything = np.sqrt(used + (20 * here.fraction.values) ** 2)
    expected = {
        "all parameters": everything,
        "per logit": everything / 4.0,
        "used parameters": np.sqrt(used),
        "matched logit": np.sqrt(rest() + 4.0**2 * n),
        "matched margin": np.sqrt(rest() + 2.0**2 * n),
    }
    for measure, values in expected.items():
        np.testing.assert_allclose(here.cost.sel(measure=measure), values, rtol=1e-6)
    assert (here.cost.sel(measure="least") < here.cost.sel(measure="matched margin")).all()
    layers = here.layer_norm.sel(layer=["embed", "layers.0", "unembed"]).values
    np.testing.assert_allclose(layers[:, 0], P**0.5, rtol=1e-6)
    np.testing.assert_allclose(layers[:, 1], (3 * P**2) ** 0.5, rtol=1e-6)
    np.testing.assert_allclose(layers[:, 2], 4.0 * n**0.5, rtol=1e-6)


def test_every_circuit_is_its_network(data: Any) -> None:
    """The same look-up table costs the same; those at the end have other logits and rows."""
    known = {"C_mem": (2, 3.0), "C_mem, equal step": (4, 3.0), "random labels": (2, 3.0)}
    at_end = ("random labels, equal step", "C_gen", "C_gen, validation high")
    known |= dict.fromkeys(at_end, (STEPS, 6.0))
    for circuit, (step, logit) in known.items():
        here = data.sel(circuit=circuit, seed=0)
        assert (here.step == step).all(), circuit
        np.testing.assert_allclose(here.median_logit, logit, rtol=1e-5)
        np.testing.assert_allclose(here.median_margin, logit, rtol=1e-5)
        np.testing.assert_allclose(here.least_margin, logit, rtol=1e-5)
        np.testing.assert_allclose(here.logits, logit, rtol=1e-5)
        assert (here.train_accuracy == 1).all()
        assert (here.missing == "").all()
    stored = data.n_train.where(~data.circuit.str.startswith("C_gen"), P**2)
    end = data.sel(seed=0, circuit=["random labels, equal step", "C_gen"])
    expected = np.sqrt(rest() + 6.0**2 * stored + (10 * data.fraction) ** 2)
    cost = end.cost.sel(measure="all parameters")
    want = expected.sel(circuit=end.circuit).transpose(*cost.dims)
    np.testing.assert_allclose(cost, want, rtol=1e-5)
    assert data.attrs["equal_step"] == 4  # at step 1 they had not memorised


def test_a_circuit_that_fails_its_definition_has_no_cost_but_a_reason(data: Any) -> None:
    low = data.sel(circuit="C_mem, validation low", seed=0)
    fails = low.test_accuracy.values > 0.05
    assert fails.any()
    np.testing.assert_array_equal(np.isnan(low.cost.sel(measure="all parameters")), fails)
    reason = str(low.missing.values[fails][0])
    assert "validation accuracy <= 0.05" in reason
    assert f"validation {low.test_accuracy.values[fails][0]:.3f}" in reason
    gone = data.sel(circuit="random labels", fraction=0.9, seed=1)
    assert gone.missing == "there is no such run"
    assert np.isnan(gone.cost).all()


def test_the_sample_of_logits_is_the_published_one() -> None:
    """Ranks from the least to the 95th percentile, of pairs that are answered correctly."""
    run = make_run(0.9)
    model = run.model
    train = run.dataset.is_train.nonzero()[:, 0]
    sizes = torch.linspace(1, 2, len(train))
    with torch.no_grad():
        model.W_U[train, run.dataset.labels[train]] = sizes
        model.W_U[train[:2], run.dataset.labels[train[:2]]] *= -1  # wrong answers
    data = model_efficiency.compute([run])
    found = data.logits.sel(circuit="C_gen").values.ravel()
    right = np.sort(sizes[2:].numpy())
    assert found[0] == pytest.approx(right[0])
    assert found[-1] == pytest.approx(
        np.percentile(right, 95), abs=0.51 * float(np.diff(right).max())
    )
    assert np.abs(found[:, None] - right).min(axis=1).max() < 1e-5  # float32; they are .05 apart
    assert (np.diff(found) >= 0).all()
    assert data.median_logit.sel(circuit="C_gen").item() == pytest.approx(np.median(right))
    assert data.least_margin.sel(circuit="C_gen").item() < 0
    assert "train accuracy >= 0.99" in data.missing.sel(circuit="C_gen").item()


def test_targets_are_the_medians_over_the_circuits(runs: list[gi.Run]) -> None:
    data = model_efficiency.compute(runs)
    there = data.median_margin.where(data.missing == "").values
    assert data.attrs["target_margin"] == pytest.approx(np.nanmedian(there))


def test_unused_rows_of_the_published_network_only_decay() -> None:
    """133.9 of the 175.6 that its parameters have at first, times exp(-1e-4 t)."""
    config = gi.RunConfig(
        data=gi.DataConfig(train_fraction=0.01),
        model=gi.EmbeddingMLPConfig.paper2(),
        training=gi.TrainConfig(
            lr=1e-3, weight_decay=0.1, steps=30, eval_every=30, batch_size=16, loss="mse_softmax"
        ),
    )

    def norms(model: gi.HookedModel) -> tuple[float, float]:
        everything = parameter_norm(model, used_only=False)
        return everything, (everything**2 - parameter_norm(model) ** 2) ** 0.5

    everything, unused = norms(gi.build_model(config))
    assert everything == pytest.approx(175.6, abs=1.0)
    assert unused == pytest.approx(133.9, abs=1.5)
    after = norms(gi.train(config, device="cpu", progress=False).model)
    assert after[1] == pytest.approx(unused * np.exp(-1e-4 * 30), rel=1e-6)


def test_runs_that_cannot_be_compared_are_refused(runs: list[gi.Run]) -> None:
    with pytest.raises(ValueError, match="runs is empty"):
        model_efficiency.compute([])
    with pytest.raises(ValueError, match=r"two with train_fraction=0\.3, seed=0"):
        model_efficiency.compute([runs[0], runs[0]])
    other = runs[0].config.replace({"training.weight_decay": 1.0, "seed": 7})
    with pytest.raises(ValueError, match="only"):
        model_efficiency.compute([runs[0], dataclasses.replace(runs[1], config=other)])
    other = runs[0].config.replace({"data.corruption": 0.5})
    with pytest.raises(ValueError, match=r"corruption=0\.5"):
        model_efficiency.compute([dataclasses.replace(runs[1], config=other)])


def test_no_common_step_and_no_memorising_are_said(runs: list[gi.Run]) -> None:
    bare = dataclasses.replace(runs[0], checkpoints={})
    data = model_efficiency.compute([bare])
    never = str(data.missing.sel(circuit="C_mem").item())
    best = float(bare.history.train_accuracy.max())
    assert f"the best was {best:.3f}" in never
    assert "no step" in str(data.missing.sel(circuit="C_mem, equal step").item())
    assert data.attrs["equal_step"] == -1


def test_transformers_have_no_least_norm() -> None:
    config = make_config(0.5).replace(
        {"model": gi.TransformerConfig.paper2(d_model=8, n_heads=2, d_mlp=8, d_vocab=11)}
    )
    run = gi.train(config, device="cpu", progress=False)
    data = model_efficiency.compute([run])
    assert "layers cannot" in data.attrs["no_least"]


def test_figures_draw_what_they_are_given(
    data: Any, axis_titles: Callable[[go.Figure], set[str]]
) -> None:
    figure: Any = figures.plot_efficiency(data)
    counts = (data.missing == "").sum("seed").values
    assert counts[counts > 0].min() == 1  # some seeds never became some circuit
    assert "1 to 2 of 2 seeds" in figure.layout.title.text
    named = {trace.name: trace for trace in figure.data if trace.name and trace.mode != "lines"}
    published = data.cost.sel(circuit="C_mem", measure="all parameters")
    mean = (published.sel(seed=0) * published.sel(seed=1)) ** 0.5
    np.testing.assert_allclose(named["C_mem as published"].y, mean)
    assert len(named["correct logits (right axis)"].y) == published.size * 20
    assert {"train fraction", "norm of all parameters", "correct logit"} <= axis_titles(figure)
    layers: Any = figures.plot_layers(data)
    first = data.layer_norm.sel(circuit="C_mem", layer="embed").mean("seed")
    np.testing.assert_allclose(layers.data[0].y, first)


def test_runs_are_those_of_the_task_and_of_random_labels(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def note(out: Any, wanted: Any, *, checkpoints: Any) -> list[Any]:
        asked.update(wanted=wanted, checkpoints=checkpoints)
        return []

    monkeypatch.setattr("analyses.efficiency.model_efficiency.runs.collect", note)
    collect_runs(str(tmp_path), "published", 2)
    configs = [named.config for named in asked["wanted"]]
    assert len({named.folder for named in asked["wanted"]}) == 2 * (7 + 10)
    assert sum(config.data.corruption == 1 for config in configs) == 20
    assert {config.model.d_vocab for config in configs} == {239}
    steps = {f"step-{n}" for n in (6250, 12500, 25000, 50000)}
    assert set(asked["checkpoints"]) == {"memorising"} | steps
    half = next(c for c in configs if c.data.train_fraction == 0.5)
    assert half.training.batch_size == 512
    assert json.dumps(half.to_dict())  # plain numbers only


@pytest.mark.parametrize("network", ["mlp", "transformer"])
def test_networks_begin_at_scaled_weights(network: str, tmp_path: Path) -> None:
    usual, small = (
        [
            named
            for named in wanted("tiny", 1, network, initial_scale=scale)
            if "0.5" in named.folder
        ]
        for scale in (1.0, 0.1)
    )
    assert {named.folder for named in usual}.isdisjoint(named.folder for named in small)
    assert [named.config for named in small] == [named.config for named in usual]
    for named in small:  # on the task's labels and on random ones
        begun = collect(tmp_path, [named], progress=False)[0].history.norm.isel(step=0)
        weights = gi.build_model(named.config).parameters()
        norms = [0.1 * float(w.detach().norm()) for w in weights if w.ndim > 1]  # no biases
        np.testing.assert_allclose(begun, norms, rtol=1e-5)  # of float32
