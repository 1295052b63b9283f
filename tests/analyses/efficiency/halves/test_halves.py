"""Halves of a network whose neurons were put there: an analytic solution, and a fitted memory."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
import torch.nn.functional as F
import xarray as xr

import grokinterp as gi
import probes
from analyses.efficiency import halves
from analyses.efficiency.circuits.circuits import CircuitError, check_compatible
from analyses.efficiency.halves.figures import plot_cuts, plot_halves, table
from analyses.efficiency.mixing.runs import halves_tables
from probes import model_neuron_ipr
from probes.halves import best_cut
from probes.margins import model_label_margins
from probes.needed_norm import least_scaled_norm
from probes.parameter_norms import parameter_norm

P, N_PERIODIC, N_NOISE = 13, 200, 250
CONFIG = gi.RunConfig(
    data=gi.DataConfig(p=P, train_fraction=0.7, corruption=0.1, corruption_kind="derangement"),
    model=gi.MLPConfig(d_mlp=N_PERIODIC + N_NOISE),
    training=gi.TrainConfig(steps=1),
)


@pytest.fixture(scope="module")
def run() -> gi.Run:
    """Random neurons first, whose read-out is the least-squares memory of the changed labels.

    On unchanged examples they speak against the label: logits of 0 would leave the answer to
    rounding.
    """
    run = gi.train(CONFIG, device="cpu", progress=False)
    data, model, solution = run.dataset, run.model.double(), gi.closed_form_mlp(P, N_PERIODIC)
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        model.W_E.normal_(0.0, 0.5, generator=rng)
        model.W_E[..., N_NOISE:] = solution.W_E
        model.W_U[:N_NOISE] = 0.0
        model.W_U[N_NOISE:] = solution.W_U
        given, true = (F.one_hot(x, P).double() for x in (data.labels, data.clean_labels))
        _, cache = model.run_with_cache(data.tokens)
        post = cache["layers.0.hook_post"][data.is_train, :N_NOISE]
        memory = torch.where(data.is_changed[:, None], given - true, -0.1 * true)[data.is_train]
        model.W_U[:N_NOISE] = torch.linalg.lstsq(post, memory, driver="gelsd").solution
        answers = model(data.tokens).argmax(dim=1) == data.labels
    history = run.history.copy(deep=True)
    for name, mask in data.masks.items():
        history[f"{name}_accuracy"][-1] = answers[mask].double().mean().item()
    return dataclasses.replace(run, history=history)


@pytest.fixture(scope="module")
def data(run: gi.Run) -> xr.Dataset:
    return halves.compute(run)


@pytest.mark.parametrize("act", ["square", "relu", "gelu"])
def test_logits_add_up_to_those_of_the_whole(act: str) -> None:
    model = gi.HookedMLP(gi.MLPConfig(d_mlp=60, act=act), p=11, seed=3).double().eval()
    tokens = gi.make_dataset(gi.DataConfig(p=11)).tokens
    for threshold in model_neuron_ipr(model).ipr.quantile(torch.tensor([0.1, 0.5, 0.9]).double()):
        parts = probes.halves(model, float(threshold))
        assert sum(part.cfg.d_mlp for part in parts.values()) == 60
        with torch.no_grad():
            both = parts["memorising"](tokens) + parts["generalising"](tokens)
            torch.testing.assert_close(both, model(tokens), rtol=0, atol=1e-13)


def test_the_halves_that_were_put_there_are_found(run: gi.Run) -> None:
    found = halves.split(run)
    solution = gi.closed_form_mlp(P, N_PERIODIC)
    for name in ("W_E", "W_U"):
        part = getattr(found["generalising"].model, name)
        torch.testing.assert_close(part, getattr(solution, name).double(), rtol=0, atol=0)
    memory, rule = found["memorising"], found["generalising"]
    logits = memory.logits() + rule.logits()
    with torch.no_grad():
        torch.testing.assert_close(logits, run.model(run.dataset.tokens), rtol=0, atol=1e-11)
    check_compatible(memory, rule)
    for circuit in found.values():
        assert torch.equal(circuit.seen, run.dataset.is_train)
        assert not circuit.model.training
    assert memory.accuracy(run.dataset.is_changed) == 1.0
    assert rule.accuracy(run.dataset.is_test) == 1.0
    assert "IPR > " in rule.source
    assert "IPR <= " in memory.source


def test_a_half_is_the_network_without_the_other_neurons(run: gi.Run, data: xr.Dataset) -> None:
    tokens, labels = run.dataset.tokens, run.dataset.labels
    changed = run.dataset.is_changed
    neurons = torch.arange(N_PERIODIC + N_NOISE)
    without = {"memorising": neurons[N_NOISE:], "generalising": neurons[:N_NOISE]}
    for part, others in without.items():
        with torch.no_grad():
            logits = run.model.run_with_hooks(tokens, fwd_hooks=gi.ablate(others.tolist()))
        here = data.isel(run=0).sel(part=part)
        at_given = logits.gather(1, labels[:, None])[changed, 0]
        assert here.mean_logit.sel(subset="changed", label="given").item() == pytest.approx(
            at_given.mean().item()
        )
        for subset, mask in run.dataset.masks.items():
            right = (logits.argmax(dim=1) == labels)[mask].double().mean()
            assert here.accuracy.sel(subset=subset, label="given") == pytest.approx(right.item())


def test_numbers_of_the_parts(run: gi.Run, data: xr.Dataset) -> None:
    here = data.isel(run=0)
    assert here.n_neurons.values.tolist() == [N_PERIODIC + N_NOISE, N_NOISE, N_PERIODIC]
    whole, memory, rule = here.norm.values
    assert np.hypot(memory, rule) == pytest.approx(whole)
    weights = torch.cat([w.detach().flatten() for w in run.model.parameters()])
    assert whole == pytest.approx(weights.norm().item())
    true_on_changed = here.accuracy.sel(subset="changed", label="true")
    assert true_on_changed.values.tolist() == [0.0, 0.0, 1.0]
    given_on_changed = here.accuracy.sel(subset="changed", label="given")
    assert given_on_changed.values.tolist() == [1.0, 1.0, 0.0]


def test_other_thresholds(run: gi.Run, data: xr.Dataset) -> None:
    accuracy = data.cut_accuracy.isel(run=0)
    noisiest = float(model_neuron_ipr(run.model).ipr[:N_NOISE].max())
    same = accuracy.cut.values > noisiest  # as good as the one that is taken
    for kind in ("memorising", "generalising"):
        chosen = data.accuracy.isel(run=0).sel(part=kind)
        assert (accuracy.sel(kind=kind)[same] == chosen).all()
    quietest = float(model_neuron_ipr(run.model).ipr.min())
    impossible = accuracy.cut.values < quietest
    assert impossible.any()
    assert np.isnan(accuracy[impossible]).all()
    other = halves.compute(run, threshold=0.97)
    assert other.threshold == 0.97
    np.testing.assert_array_equal(other.accuracy, data.accuracy)


def test_several_runs_side_by_side(run: gi.Run, data: xr.Dataset) -> None:
    other = dataclasses.replace(run, config=CONFIG.replace({"seed": 4}))
    both = halves.compute([run, other])
    assert both.run.values.tolist() == ["seed 0", "seed 4"]
    np.testing.assert_array_equal(both.norm[1], data.norm[0])


def test_the_cut_leaves_the_least_variance_within() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.uniform(0.05, 0.3, 40), rng.uniform(0.5, 1.0, 15)])
    rng.shuffle(values)
    cut = best_cut(torch.tensor([*values, np.nan]))

    def within(threshold: float) -> float:
        sides = values[values <= threshold], values[values > threshold]
        return sum(len(side) * side.var() for side in sides)

    assert within(cut) == pytest.approx(min(within(v) for v in np.sort(values)[:-1]))
    assert 0.3 < cut < 0.5
    assert best_cut(torch.tensor([0.1, 0.1, 0.9])) == pytest.approx(0.5)


@pytest.mark.parametrize("values", [[0.2, 0.2], [0.4, float("nan")], []])
def test_neurons_that_are_alike_have_no_cut(values: list[float]) -> None:
    with pytest.raises(ValueError, match="give threshold"):
        best_cut(torch.tensor(values))


def test_dead_neurons_do_not_generalise(run: gi.Run) -> None:
    model = gi.closed_form_mlp(P, 50)
    with torch.no_grad():
        model.W_E[0, :, 7] = 0.0
        model.W_E[:, 0, 3] = 9.0
    parts = probes.halves(model, 0.9)
    assert parts["memorising"].cfg.d_mlp == 2
    torch.testing.assert_close(parts["memorising"].W_U, model.W_U[[3, 7]])


def test_halves_that_are_no_circuits_are_refused(run: gi.Run) -> None:
    lowest = model_neuron_ipr(run.model).ipr.kthvalue(3).values.item()
    with pytest.raises(CircuitError, match=r"C_mem \(neurons with IPR <= .*changed-label 0\."):
        halves.split(run, threshold=lowest)


def test_dead_neurons_have_no_halves() -> None:
    model = gi.closed_form_mlp(P, 50)
    with torch.no_grad():
        model.W_U.zero_()
    with pytest.raises(ValueError, match="all neurons are dead"):
        probes.halves(model, 0.5)


@pytest.mark.parametrize("threshold", [0.0, 2.0])
def test_a_half_needs_neurons(run: gi.Run, threshold: float) -> None:
    with pytest.raises(
        ValueError, match=r"one half without neurons; IPR of .* in 0\.\d+\.\.1\.000"
    ):
        probes.halves(run.model, threshold)


def test_networks_without_two_halves_are_refused(run: gi.Run) -> None:
    untrained = gi.train(CONFIG, device="cpu", progress=False)
    with pytest.raises(ValueError, match=r"in 'confusion': validation accuracy 0\.\d+, 0\.\d+ on"):
        halves.compute(untrained)
    lstm = gi.HookedLSTM(gi.LSTMConfig(d_embed=6, d_hidden=5), p=P)
    with pytest.raises(ValueError, match=r"unit='neurons\.0', but HookedLSTM has"):
        halves.compute(dataclasses.replace(run, model=lstm))
    with pytest.raises(ValueError, match="runs is empty"):
        halves.compute([])
    with pytest.raises(ValueError, match="threshold must lie in"):
        halves.compute(run, threshold=1.5)


@pytest.fixture(scope="module")
def embedded(run: gi.Run) -> gi.Run:
    """The same network as an MLP on embeddings, which are one-hot: it cannot be narrowed."""
    width = N_PERIODIC + N_NOISE
    config = gi.EmbeddingMLPConfig(
        d_embed=P, hidden=(width,), act="square", biases=False, unembed_bias=False
    )
    model = gi.HookedEmbeddingMLP(config, p=P).double()
    model.operation = "addition"
    with torch.no_grad():
        model.W_E.copy_(torch.eye(P))
        model.layers[0].get_parameter("W_in").copy_(run.model.W_E.flatten(0, 1))
        model.W_U.copy_(run.model.W_U)
    return dataclasses.replace(run, model=model.eval())


def test_halves_of_another_network_are_circuits_as_well(
    run: gi.Run, embedded: gi.Run, data: xr.Dataset
) -> None:
    expected, found = halves.split(run), halves.split(embedded)
    for kind, circuit in found.items():
        assert isinstance(circuit.model, gi.HookedEmbeddingMLP)
        torch.testing.assert_close(
            circuit.logits(), expected[kind].logits(), rtol=1e-11, atol=1e-11
        )
        # The embedding belongs to both.
        assert circuit.norm**2 == pytest.approx(expected[kind].norm ** 2 + P)
        assert circuit.source == expected[kind].source
    numbers = halves.compute(embedded)
    assert numbers.remainder.item() < 1e-10
    norms = ["norm", "cost", "remainder", "run"]
    xr.testing.assert_allclose(numbers.drop_vars(norms), data.drop_vars(norms))
    some = ["all parameters", "used parameters", "matched logit", "matched margin"]
    costs = (of.cost.sel(measure=some).values for of in (numbers, data))
    np.testing.assert_allclose(next(costs) ** 2, next(costs) ** 2 + P)
    tables = [halves_tables(r) for r in (run, embedded)]
    for split in ("train", "test"):
        for one, other in zip(*(t.on(split, mixed="logits") for t in tables), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)
    assert tables[1].norms == (found["memorising"].norm, found["generalising"].norm)


def test_what_the_logits_of_halves_cost(run: gi.Run, embedded: gi.Run) -> None:
    tokens, labels, masks = run.dataset.tokens, run.dataset.labels, run.dataset.masks

    def median(model: gi.HookedModel, subset: str) -> float:
        return float(np.median(model_label_margins(model, tokens, labels)[masks[subset]]))

    costs = halves.compute(embedded).cost.isel(run=0)
    for kind, subset in {"memorising": "changed", "generalising": "unchanged"}.items():
        half = halves.split(embedded)[kind].model
        scale = median(run.model, "train") / median(half, subset)
        with torch.no_grad():
            half.get_parameter("unembed.W_U").mul_(scale)
        found = costs.sel(part=kind)
        assert found.sel(measure="matched margin").item() == pytest.approx(parameter_norm(half))
        least = least_scaled_norm(half, 1.0)
        assert found.sel(measure="least").item() == pytest.approx(least)
        assert least < parameter_norm(half)
    # The mean that a half carries would not be scaled with its layers.
    by_mean = halves.compute(embedded, mode="mean").cost.isel(run=0)
    assert by_mean.sel(measure="least").isnull().values.tolist() == [False, True, True]
    assert by_mean.sel(measure="matched margin").notnull().all()


def test_a_transformer_is_taken_apart_with_its_remainder(run: gi.Run) -> None:
    config = gi.TransformerConfig(d_model=8, n_heads=2, d_mlp=20, init="paper1")
    for norm, remains in {None: False, "LN": True}.items():
        changed = dataclasses.replace(config, normalization_type=norm)
        model = gi.HookedTransformer(changed, p=P).double()
        model.operation = "addition"
        found = halves.compute(dataclasses.replace(run, model=model), mode="mean")
        assert found.attrs == {"unit": "neurons.0", "definition": "output_ipr", "mode": "mean"}
        assert (found.remainder.item() > 1e-10) == remains
        assert found.n_neurons.values[0].tolist()[0] == 20
        assert found.n_neurons[0, 1:].sum() == 20
        figure: Any = plot_cuts(found)
        assert figure.layout.xaxis.title.text == "threshold (IPR of<br>output weights)"
        assert table(found)[0]["neurons"] == 20
        costs = found.cost.isel(run=0)
        assert costs.sel(measure="least").isnull().all()
        norms = found.norm.isel(run=0)
        np.testing.assert_allclose(costs.sel(measure="used parameters"), norms)


def test_figures_draw_the_numbers(
    data: xr.Dataset, axis_titles: Callable[[go.Figure], set[str]]
) -> None:
    figure: Any = plot_halves(data)
    assert "one network" in figure.layout.title.text
    assert len(figure.data) == 6
    memory = figure.data[2]
    assert memory.x[0] == "changed,<br>given<br>label"
    assert memory.y[0] == data.accuracy.sel(part="memorising", subset="changed", label="given")
    assert {"accuracy", "median logit at the label"} <= axis_titles(figure)
    cuts: Any = plot_cuts(data)
    assert len(cuts.data) == 8 + 1  # and a legend entry for the threshold
    np.testing.assert_array_equal(
        cuts.data[3].y,
        data.cut_accuracy.isel(run=0).sel(kind="memorising", subset="test", label="given"),
    )
    assert cuts.data[3].name == "test"
    assert cuts.layout.shapes[0].x0 == data.threshold
    assert "threshold (IPR)" in axis_titles(cuts)


@pytest.mark.slow
def test_the_command_makes_networks_that_can_be_split(
    tmp_path: Path, command: Callable[..., Any]
) -> None:
    said = command("run", "halves", tmp_path, "--size", "tiny", "--seeds", 1).output
    assert (tmp_path / "halves.html").is_file()
    rows = table(xr.load_dataset(tmp_path / "halves.nc", engine="h5netcdf"))
    assert [row["part"] for row in rows] == ["whole", "memorising", "generalising"]
    assert f"neurons {rows[1]['neurons']}" in said
    found = halves.split(gi.Run.load(tmp_path / "coexistence-tiny-seed-0"))
    assert found["generalising"].norm == pytest.approx(rows[2]["norm"])
    assert found["memorising"].accuracy(found["memorising"].seen) < rows[0]["unchanged"]
