"""A network whose answer is known by construction is taken apart."""

from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import grokinterp as gi
from analyses import dissociation
from analyses.dissociation import examples, over_training
from analyses.dissociation.computation import units_of
from analyses.dissociation.figures import over_seeds, primary
from analyses.one_run import progress_measures
from probes import network_on_pairs
from tests.networks import adding_and_remembering

P, PERIODIC = 13, 500
CONFIG = gi.RunConfig(
    data=gi.DataConfig(p=P, train_fraction=0.8, corruption=0.1, corruption_kind="derangement"),
    model=gi.MLPConfig(),
    training=gi.TrainConfig(steps=1),
)


@pytest.fixture(scope="module")
def run() -> gi.Run:
    """Analytic weights that add, and for each wrong label a neuron that sees its pair most.

    Written to the wrong label with weight 1.6, its square beats the right logit, about 1, only at
    the pair.
    """
    data = gi.make_dataset(CONFIG.data)
    wrong = data.is_changed.nonzero()[:, 0]
    model = adding_and_remembering(data, wrong, periodic=PERIODIC, writes=1.6)
    nothing = xr.Dataset(coords={"step": []})
    return gi.Run(config=CONFIG, dataset=data, model=model.eval(), history=nothing)


@pytest.fixture(scope="module")
def data(run: gi.Run) -> xr.Dataset:
    return dissociation.compute({"planted": [run]}, modes=["zero", "mean"], random_seeds=12)


def test_planted_circuits_are_separable(run: gi.Run, data: xr.Dataset) -> None:
    memorising = int(run.dataset.is_changed.sum())
    assert set(data.score.values) == {"share", "ipr", "input_ipr", "output_ipr"}
    zero = data.isel(row=(data["mode"].values == "zero") & (data.score.values == "ipr"))
    assert zero.verdict.item() == "separable"
    assert zero.S_mem.item() == 1.0
    assert zero.removed_mem.item() <= memorising / (PERIODIC + memorising)
    assert zero.S_gen.item() > 0.9
    # The cut that parts the two kinds of neurons scores best.
    assert zero.at_cut.item() == pytest.approx(2.0, abs=0.1)
    assert zero.cut.item() == pytest.approx(memorising / (PERIODIC + memorising), abs=0.02)
    assert (zero.control_mem < 0.3).all()


def test_selectivity_is_a_progress_measure(run: gi.Run, data: xr.Dataset) -> None:
    """Of a network that knows nothing it is NaN."""
    networks = [(0, gi.build_model(CONFIG)), (1, run.model)]
    found = progress_measures.of_networks(
        networks, run.dataset, measures=over_training.measures("neurons.0")
    )
    of_network = primary(data)
    for name in ("S_mem", "S_gen"):
        first, last = found.measure.sel(name=f"{name}, neurons.0").values
        assert np.isnan(first)
        assert last == of_network[name].item() > 0.9


def test_units_of_progress_measures_are_named() -> None:
    with pytest.raises(ValueError, match="units are missing; name at least one"):
        over_training.measures()


def test_ranked_the_wrong_way_nothing_dissociates(run: gi.Run, data: xr.Dataset) -> None:
    """What is lost when the most periodic go first is the rule, not the wrong labels."""
    from analyses.dissociation.selectivity import selectivity
    from analyses.one_run import pruning

    curves = pruning.compute(run, orders=["ipr"])
    high = curves.isel(curve=curves.direction.values == "high").accuracy[0]
    changed, test = (high.sel(subset=name).values for name in ("changed", "test"))
    assert selectivity(curves.removed.values, changed, test, chance=1 / P).score < 0.1


def test_what_survives_is_what_its_own_neurons_hold(run: gi.Run) -> None:
    own = torch.arange(PERIODIC + int(run.dataset.is_changed.sum())) >= PERIODIC
    found = examples.compute(run, own)
    assert found.sizes["example"] == int(run.dataset.is_changed.sum())
    assert found.survives.all()
    # Each wrong label gets 2 of its own neuron, less the mean over the p logits of all neurons.
    assert (found.supporters >= 1).all()
    half = own & (torch.arange(len(own)) % 2 == 0)
    found = examples.compute(run, half)
    assert 0 < found.survives.mean() < 1
    told = examples.separation(found)
    assert told["support"] > 0.9
    lost = found.isel(example=~found.survives.values)
    assert np.isnan(list(examples.separation(lost).values())).all()


def test_contributions_of_neurons_are_their_direct_attribution(run: gi.Run) -> None:
    from probes import model_neuron_attribution

    found = examples.contributions(run, "neurons.0").mean(dim=0)
    wanted = model_neuron_attribution(run.model, run.dataset.tokens, run.dataset.labels)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


def test_networks_that_do_not_do_both_are_not_judged(run: gi.Run) -> None:
    clean = gi.closed_form_mlp(P, PERIODIC, seed=1).eval()
    alone = gi.Run(config=CONFIG, dataset=run.dataset, model=clean, history=run.history)
    runs = {"clean": [alone], "both": [run]}
    found = dissociation.compute(runs, scores=["ipr"], modes=["zero"], random_seeds=8)
    assert found.verdict.values[:, 0].tolist() == ["not applicable", "separable"]
    named = found.assign_coords(score=("row", ["share"] * 2), mode=("row", ["mean"] * 2))
    line = dissociation.table(named)[0]
    assert (line["test"], line["verdict"]) == (1.0, "not applicable 1 of 1")
    assert line["S_mem"] == "nan"
    assert len(dissociation.plot_map(named).data) == 3  # pyright: ignore[reportArgumentType]
    alone = [line["verdict"] for line in dissociation.table(found)]  # its only score and mode
    assert alone == [line["verdict"] for line in dissociation.table(named)]
    both = xr.concat([found, found.assign_coords(mode=("row", ["resample"] * 2))], "row")
    with pytest.raises(ValueError, match="several scores or modes, but not score='share' and"):
        dissociation.table(both)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"networks": {}}, "networks is empty"),
        ({"networks": 3}, "networks must map names to runs, got 3"),
        ({"networks": {"a": []}}, "runs is empty"),
        ({"scores": ["iprr"]}, "scores='iprr' is unknown. Did you mean 'ipr'"),
        ({"scores": "ipr"}, r"scores must be a list of strings, got 'ipr'; pass \['ipr'\]"),
        ({"scores": ["normalized_share"]}, "no units of these networks have such a score"),
        ({"modes": []}, "scores and modes must not be empty"),
        ({"modes": ["ones"]}, "modes='ones' is unknown"),
        ({"random_seeds": 2}, "random_seeds must be at least 3, got 2"),
    ],
)
@pytest.mark.usefixtures("no_type_checker")
def test_bad_arguments_are_named(run: gi.Run, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        dissociation.compute(**{"networks": {"a": run}, "random_seeds": 3} | arguments)


def test_a_table_names_each_network_once(data: xr.Dataset) -> None:
    (line,) = dissociation.table(data)
    assert line["network"] == "planted"
    assert line["verdict"] == "separable 1 of 1"
    assert primary(data).sizes["row"] == 1
    figure = dissociation.plot_map(data)
    assert [trace.name for trace in figure.data] == ["as many units at random", "planted"]  # pyright: ignore[reportAttributeAccessIssue]
    assert len(dissociation.plot_dependence(data).data) == 2  # pyright: ignore[reportArgumentType]


def test_intervals_are_students_over_seeds() -> None:
    values = xr.DataArray([[0.5, 0.7, 0.9], [0.2, np.nan, np.nan]], dims=("row", "seed"))
    mean, half = over_seeds(values)
    assert mean == pytest.approx([0.7, 0.2])
    assert half[0] == pytest.approx(4.302653 * 0.2 / 3**0.5, abs=1e-6)
    assert np.isnan(half[1])


def test_gates_and_frequencies_are_not_taken_for_circuits() -> None:
    model = gi.HookedLSTM(gi.LSTMConfig(d_embed=4, d_hidden=4), p=P)
    model.operation = "addition"
    assert units_of(network_on_pairs(model)) == ["hidden.0", "hidden.1"]
