"""The mixture experiment from networks to figures, with networks that are quick to make."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import xarray as xr

import grokinterp as gi
from analyses.efficiency import mixing
from analyses.efficiency.circuits.circuits import DEFINITIONS, Circuit, Definition
from analyses.efficiency.mixing import mixture, runs
from analyses.efficiency.mixing.tables import Tables
from analyses.efficiency.mixing.variants import (
    OF_HALVES,
    PUBLISHED,
    VARIANTS,
    Variant,
    compute,
)

P = 13
real_landscape = mixing.compute_landscape


def make_run(fraction: float, model: gi.HookedModel, config: gi.RunConfig) -> gi.Run:
    """A run whose network, and every checkpoint, is ``model``."""
    config = config.replace({"data.train_fraction": fraction})
    run = gi.train(config, device="cpu", progress=False)
    kept = gi.Checkpoint(1, {}, model.state_dict())
    names = ("memorising", runs.SETTLED)
    return dataclasses.replace(run, model=model, checkpoints=dict.fromkeys(names, kept))


def memoriser(dataset: gi.Dataset) -> gi.HookedMLP:
    """A neuron per pair: the labels that training gave, and an answer one too large elsewhere."""
    model = gi.HookedMLP(gi.MLPConfig(d_mlp=P * P, act="relu"), p=P)
    a, b = dataset.tokens.T
    answers = torch.where(dataset.is_train, dataset.labels, (dataset.clean_labels + 1) % P)
    with torch.no_grad():  # a neuron is on for one pair: 2 - 2 (a != a') - 2 (b != b') - ...
        first, second = torch.nn.functional.one_hot(a, P), torch.nn.functional.one_hot(b, P)
        model.W_E.copy_(torch.stack([2.0 * first.T - 1, 2.0 * second.T - 1]))
        model.W_U.copy_(6.0 * torch.nn.functional.one_hot(answers, P))
    return model.eval()


def solution() -> gi.HookedMLP:
    """The rule in closed form, with logits 12 times as large."""
    model = gi.closed_form_mlp(P, 500)
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 12 ** (1 / 3)
    return model.eval()


@pytest.fixture(scope="module")
def pair() -> dict[str, gi.Run]:
    """C_gen in closed form, and C_mem with a neuron per pair, right where it was trained."""
    config = gi.RunConfig(
        data=gi.DataConfig(p=P, train_fraction=0.2),
        model=gi.MLPConfig(d_mlp=P * P, act="relu"),
        training=gi.TrainConfig(steps=1),
    )
    quadratic = config.replace({"model.act": "square", "model.d_mlp": 500})
    return {
        "memorising": make_run(0.2, memoriser(gi.make_dataset(config.data)), config),
        "generalising": make_run(0.9, solution(), quadratic),
    }


@pytest.mark.usefixtures("no_type_checker")  # names stand for runs
def test_circuits_of_a_seed_have_nested_splits_and_their_weight_decays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {}

    def recorded(out: Path, wanted: list, **options: object) -> list[str]:
        asked.update({named.folder: named.config for named in wanted}, **options)
        return [named.folder for named in wanted]

    monkeypatch.setattr(runs, "collect", recorded)
    found = runs.collect_runs(str(tmp_path), "small", 2)
    assert found[1] == {
        "memorising": "mixture-small-memorising-seed-1",
        "generalising": "mixture-small-generalising-seed-1",
    }
    for seed in (0, 1):
        few, many = (asked[f"mixture-small-{k}-seed-{seed}"] for k in runs.FRACTIONS)
        assert few.training.weight_decay == 0 < many.training.weight_decay
        assert many.training.steps == 2 * few.training.steps
        masks = [gi.make_dataset(config.data).is_train for config in (few, many)]
        assert (masks[1] | ~masks[0]).all()
        assert few.data.seed == few.seed == seed
        assert few.training.loss == many.training.loss == "mse_softmax"
    settled = asked["checkpoints"][runs.SETTLED]
    half = asked["mixture-small-generalising-seed-0"].training.steps // 2
    good = {"unchanged_accuracy": 1.0, "test_accuracy": 1.0}
    assert settled([{"step": half, **good}])
    assert not settled([{"step": half - 1, **good}])
    assert not settled([{"step": half, **good, "test_accuracy": 0.99}])


def test_protocols_differ_in_what_validation_may_have_seen(pair: dict[str, gi.Run]) -> None:
    found = runs.protocols(pair)
    trained = {kind: run.dataset.is_train for kind, run in pair.items()}
    leaky, clean = found["as published"], found["leak-free"]
    assert torch.equal(leaky.is_test, ~trained["memorising"])
    assert leaky.overlap == int((trained["generalising"] & ~trained["memorising"]).sum()) > 100
    assert torch.equal(clean.is_test, ~trained["generalising"])
    assert clean.overlap == clean.errors == 0


def test_controls_change_one_thing_each(
    pair: dict[str, gi.Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = pair["memorising"]
    wrong = run.dataset.is_train.nonzero()[3]  # C_mem's own neuron for this pair says another class
    state = {name: weight.clone() for name, weight in run.model.state_dict().items()}
    state["W_U"][wrong] = state["W_U"][wrong].roll(1, dims=-1)
    checkpoints = {**run.checkpoints, "memorising": gi.Checkpoint(1, {}, state)}
    early = pair | {"memorising": dataclasses.replace(run, checkpoints=checkpoints)}
    few = Definition(at_least={"train": 0.9})  # one of 33 is wrong
    monkeypatch.setitem(cast(dict, DEFINITIONS["published"]), "memorising", few)
    found = runs.protocols(early)
    published, clean = found["as published"], found["leak-free"]
    unseen, right = (found[name] for name in runs.CONTROLS)
    assert torch.equal(unseen.is_test, clean.is_test)
    assert torch.equal(unseen.is_train, published.is_train)
    assert torch.equal(right.is_test, published.is_test)
    assert (published.is_train & ~right.is_train).nonzero().tolist() == [wrong.tolist()]
    assert (published.errors, unseen.errors, right.errors, clean.errors) == (1, 1, 0, 0)
    for control in (unseen, right):  # the same circuits
        assert torch.equal(control.memorising, published.memorising)
        assert torch.equal(control.generalising, published.generalising)


def test_decay_of_circuits_costs_a_tenth_of_the_first_loss(pair: dict[str, gi.Run]) -> None:
    tables = runs.protocols(pair)["leak-free"]
    for loss, first in {"cross_entropy": math.log(P), "mse_softmax": 1 / P}.items():
        config = Variant(loss=loss, decay="circuits").config(tables)
        penalty = config.training.weight_decay * tables.norms[0] ** 2 / 2
        assert penalty == pytest.approx(0.1 * first)
        assert (config.training.optimizer, config.training.decay_kind) == ("adam", "l2")
    assert Variant(sgd=True, decay="circuits").config(tables).training.optimizer == "sgd"
    assert Variant(decay="scalars").config(tables).training.decay_kind == "decoupled_zero"


def test_curves_have_an_axis_for_variants_and_seeds(pair: dict[str, gi.Run]) -> None:
    tables = runs.protocols(pair)["leak-free"]
    some = {name: VARIANTS[name] for name in list(VARIANTS)[:2]}
    found = compute([tables, tables], some, steps=10)
    assert dict(found.sizes) | {"variant": 2, "seed": 2, "step": 3} == dict(found.sizes)
    alone = mixture.compute(tables, config=VARIANTS[PUBLISHED].config(tables, steps=10))
    xr.testing.assert_allclose(found.loss.sel(variant=PUBLISHED, seed=1, drop=True), alone.loss)


@pytest.mark.slow
def test_the_command_mixes_what_is_a_circuit_and_names_what_is_not(
    pair: dict[str, gi.Run],
    tmp_path: Path,
    command: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bad = pair | {"memorising": dataclasses.replace(pair["memorising"], checkpoints={})}
    tables = runs.protocols(pair)["leak-free"]
    monkeypatch.setattr(mixing, "collect_runs", lambda out, size, seeds: [bad, pair][:seeds])
    clean = runs.protocols
    name = "as published"
    monkeypatch.setattr(mixing, "protocols", lambda runs: {name: clean(runs)["leak-free"]})
    monkeypatch.setattr(mixing, "collect", lambda out, wanted: [pair])
    monkeypatch.setattr(mixing, "halves_tables", lambda run: tables)

    def small_landscape(tables: Tables, config: mixture.MixtureConfig) -> xr.Dataset:
        return real_landscape(tables, [1.0, 10.0], [1.0], config)

    monkeypatch.setattr(mixing, "compute_landscape", small_landscape)
    few = {name: VARIANTS[name] for name in (mixing.EFFICIENT, mixing.SGD)}
    monkeypatch.setattr(mixing, "VARIANTS", few)
    monkeypatch.setattr(mixing, "OF_HALVES", dict(list(OF_HALVES.items())[:1]))
    words = ["run", "mixture", tmp_path, "--steps", 50, "--seeds"]
    result = command(*words, 2)
    assert result.exit_code == 0, result.output
    assert (
        "seed 0 is left out, its networks are not C_mem and C_gen: the run has no" in result.output
    )
    assert "time in all: " in result.output
    for group in ("as-published", "factors", "halves-of-one-network"):
        assert "Plotly.newPlot" in (tmp_path / f"mixture-{group}.html").read_text()
        with xr.open_dataset(tmp_path / f"mixture-{group}.nc", engine="h5netcdf") as data:
            assert {"loss", "fall_step", "verdict"} <= data.keys()
            assert data.sizes["seed"] == 1
            if group == "factors":
                assert data.start.values.tolist() == ["1:1", "3:1", "10:1", "30:1", "1000:1"]
                assert data.step.values.tolist() == list(range(51))
    start = f"circuits {name}  "
    lines = [line for line in result.output.splitlines() if line.startswith(start)]
    assert len(lines) == 4
    none = command(*words, 1)
    assert none.exit_code == 2
    assert "has no checkpoint 'memorising'" in none.output


def test_halves_are_asked_for_the_labels_that_were_given(
    pair: dict[str, gi.Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong ones included, each half in its own place."""
    dataset = gi.make_dataset(gi.DataConfig(p=P, train_fraction=0.6, corruption=0.3))
    parts = {"memorising": memoriser(dataset), "generalising": solution()}
    given = {"source": "a half", "dataset": dataset, "seen": dataset.is_train, "definition": "half"}
    split = {kind: Circuit(kind=kind, model=model, **given) for kind, model in parts.items()}
    monkeypatch.setattr(runs.halves, "split", lambda run, **_: split)
    found: Tables = runs.halves_tables(pair["generalising"])
    assert int(dataset.is_changed.sum()) > 10
    assert torch.equal(found.labels, dataset.labels)
    assert torch.equal(found.is_train, dataset.is_train)
    assert torch.equal(found.is_test, ~dataset.is_train)
    for kind, model in parts.items():
        want = model.double()(dataset.tokens).detach()  # up to 12, found in float32
        torch.testing.assert_close(getattr(found, kind), want, rtol=0, atol=1e-4)
    answers = found.memorising.argmax(dim=1), found.generalising.argmax(dim=1)
    assert torch.equal(answers[0][found.is_train], dataset.labels[found.is_train])
    assert torch.equal(answers[1], dataset.tokens.sum(dim=1) % P)


def test_halves_that_are_none_do_not_stop_the_mixtures() -> None:
    def refused(network: int) -> int:
        if network < 2:
            raise ValueError("no halves")
        return network

    assert mixing._usable([0, 2], refused, "halves") == {1: 2}
    assert mixing._usable([0, 1], refused, "halves", needed=False) == {}
    with pytest.raises(ValueError, match="no halves"):
        mixing._usable([0, 1], refused, "halves")
