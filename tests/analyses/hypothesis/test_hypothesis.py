"""Hypothesis 2.2 on networks whose verdict is known, and its numbers against other ways to them."""

import copy
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
import xarray as xr
from torch import Tensor

import grokinterp as gi
from analyses import hypothesis
from analyses.hypothesis.evidence import noise_row_ipr, noise_total_ipr
from tests.networks import all_pairs

P = 11
DRAWS = 3
RUNS = ("grokked", "grokked too", "memorised", "random labels", "untrained", "corrupted")


def verdict_on(model: Any, operation: str = "addition", **options: Any) -> xr.Dataset:
    options = {"random_draws": DRAWS} | options
    return hypothesis.compute_model(model, operation, **options).isel(run=0)


def failed(data: xr.Dataset) -> set[str]:
    return set(data.ingredient.values[data.passed.values == 0].tolist())


def accuracy(data: xr.Dataset, condition: str, subset: str = "all") -> float:
    return data.accuracy.sel(condition=condition, subset=subset).item()


@pytest.fixture(scope="module")
def runs() -> dict[str, gi.Run]:
    """Small quadratic MLPs in every state that the hypothesis speaks of, or does not."""
    base = gi.RunConfig(
        data=gi.DataConfig(p=13, train_fraction=0.8),
        model=gi.MLPConfig(d_mlp=96),
        training=gi.TrainConfig(steps=300, weight_decay=5.0, eval_every=300),
    )
    few = {"data.train_fraction": 0.4, "training.weight_decay": 0.0}
    random = {"data.corruption": 1.0, "training.weight_decay": 0.0}
    changes = ({}, {"seed": 1}, few, random, {"training.steps": 1}, {"data.corruption": 0.2})
    configs = [base.replace(change) for change in changes]
    return dict(zip(RUNS, gi.train_many(configs, device="cpu", progress=False), strict=True))


@pytest.fixture(scope="module")
def found(runs: dict[str, gi.Run]) -> xr.Dataset:
    return hypothesis.compute(list(runs.values()), random_draws=DRAWS)


def lookup_table(decoys: int = 0) -> gi.HookedMLP:
    """A right answer for every pair from a neuron of its own; decoys are periodic and not read."""
    model = gi.HookedMLP(gi.MLPConfig(d_mlp=P * P + decoys, act="relu"), p=P)
    pairs = all_pairs(P)
    wave = gi.closed_form_mlp(p=P, d_mlp=max(decoys, 1)).W_E
    with torch.no_grad():
        model.W_U.zero_()
        model.W_U[: P * P] = ((pairs.sum(dim=1) % P)[:, None] == torch.arange(P)).float()
        for operand in range(2):
            is_mine = torch.arange(P)[:, None] == pairs[:, operand]
            model.W_E[operand, :, : P * P] = is_mine.float() - 0.5  # their sum is positive for both
            model.W_E[operand, :, P * P :] = wave[operand, :, :decoys]
    return model


def logarithmic_mlp() -> gi.HookedMLP:
    """The closed-form network of addition mod 10, its residue x called 2^x mod 11."""
    solved, called = gi.closed_form_mlp(p=10, d_mlp=400, seed=2), [pow(2, x, 11) for x in range(10)]
    model = gi.HookedMLP(gi.MLPConfig(d_mlp=400), p=11)
    with torch.no_grad():
        model.W_E.zero_()
        model.W_U.zero_()
        model.W_E[:, called] = solved.W_E
        model.W_U[:, called] = solved.W_U
    return model


def test_the_closed_form_network_supports_it() -> None:
    data = verdict_on(gi.closed_form_mlp(p=P, d_mlp=150))
    assert data.verdict.item() == "supported"
    assert failed(data) == set()
    row_ipr, total_ipr, feature_ipr, _ = data.periodicity.sel(of="network").values
    assert row_ipr == pytest.approx(1.0, abs=1e-3)  # of a few neurons the frequency is 0
    assert feature_ipr == pytest.approx(
        1.0, abs=1e-3
    )  # (cos + c)^2: of twice the frequency, purely
    # All five frequencies, about equally often: only neuron by neuron is the network periodic.
    assert total_ipr == pytest.approx(0.2, abs=0.01)
    assert data.n_kept.item() == pytest.approx(1.0, abs=0.15)
    assert data.neuron_share.sel(of="network").item() == pytest.approx(0.8, abs=1e-3)
    assert (accuracy(data, "only_key"), accuracy(data, "without_random")) == (1.0, 1.0)
    assert accuracy(data, "without_key") < 0.2
    assert data.logit_chance.item() == pytest.approx(1 / P**2)


def test_a_table_of_answers_does_not_support_it_though_its_logits_are_trigonometric() -> None:
    data = verdict_on(lookup_table())
    assert data.verdict.item() == "not supported"
    assert data.logit_explained.item() == pytest.approx(1.0)
    assert (accuracy(data, "full"), accuracy(data, "restricted")) == (1.0, 1.0)
    assert {"periodic first map", "periodic neurons", "embedding: only key"} <= failed(data)
    assert "periodic first map: 0.000, 0.000, 0.000 of the gap" in data.reason.item()


def test_periodic_neurons_that_are_not_used_do_not_help_a_table() -> None:
    data = verdict_on(lookup_table(decoys=3 * P * P))
    assert data.verdict.item() == "not supported"
    assert failed(data) == {"embedding: only key", "embedding: no key"}
    assert accuracy(data, "without_key") == 1.0


@pytest.mark.parametrize("solved", [True, False])
def test_what_an_embedding_leaves_open_the_first_neurons_decide(solved: bool) -> None:
    source = gi.closed_form_mlp(p=P, d_mlp=150) if solved else lookup_table()
    config = gi.EmbeddingMLPConfig(
        d_embed=P, hidden=(source.cfg.d_mlp,), act=source.cfg.act, biases=False, unembed_bias=False
    )
    model = gi.HookedEmbeddingMLP(config, p=P)
    read_in, read_out = source.W_E.flatten(0, 1).detach(), source.W_U.detach()
    model.load_state_dict(
        {"embed.W_E": torch.eye(P), "layers.0.W_in": read_in, "unembed.W_U": read_out}
    )
    data = verdict_on(model)
    row_ipr, total_ipr, feature_ipr, _ = data.periodicity.sel(of="network").values
    assert (row_ipr, total_ipr) == pytest.approx((1 / 6, 1 / 5))  # one-hot: all frequencies alike
    assert feature_ipr == pytest.approx(1.0 if solved else 0.2, abs=1e-3)
    assert data.verdict.item() == ("supported" if solved else "not supported")
    assert data.n_kept.item() == 5.0
    if solved:
        assert "5 of 5 frequencies kept" in data.reason.item()
    else:
        assert failed(data) == {"periodic first map", "periodic neurons"}


@pytest.mark.parametrize("unit", [2, 7])
def test_other_names_for_the_residues_change_no_verdict(unit: int) -> None:
    model, called = gi.closed_form_mlp(p=P, d_mlp=70, seed=4), torch.arange(P) * unit % P
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.W_E[:, called] = model.W_E
        other.W_U[:, called] = model.W_U
    before, after = verdict_on(model), verdict_on(other)
    assert after.verdict.item() == before.verdict.item() == "supported"
    assert after.passed.equals(before.passed)
    to = [min(k := f * pow(unit, -1, P) % P, P - k) for f in range(1, 6)]
    for name in ("embedding_share", "logit_share", "kept_share"):
        np.testing.assert_allclose(after[name].sel(frequency=to), before[name], atol=1e-6)
    assert accuracy(after, "only_key") == accuracy(before, "only_key")
    assert accuracy(after, "without_key") == pytest.approx(accuracy(before, "without_key"))


def test_other_tasks_are_judged_in_their_own_basis() -> None:
    model = logarithmic_mlp()
    right = verdict_on(model, "multiplication")
    assert right.verdict.item() == "supported"
    assert right.sizes["frequency"] == 5
    assert verdict_on(model, "addition").verdict.item() == "not applicable"
    turned = gi.closed_form_mlp(p=P, d_mlp=150)
    with torch.no_grad():
        turned.W_E[1] = turned.W_E[1][-torch.arange(P) % P].clone()
    assert verdict_on(turned, "subtraction").verdict.item() == "supported"


def right(run: gi.Run, mask: Tensor) -> float:
    """Share of some pairs that the network answers with their true labels."""
    answers = run.model(run.dataset.tokens).argmax(dim=1)
    return float((answers == run.dataset.clean_labels)[mask].double().mean())


def test_runs_that_do_not_generalise_are_outside_of_it(
    runs: dict[str, gi.Run], found: xr.Dataset
) -> None:
    of_test = {name: right(run, run.dataset.is_test) for name, run in runs.items()}
    generalise = {name for name, value in of_test.items() if value >= 0.9}
    assert generalise == {"grokked", "grokked too"}
    verdicts = dict(zip(RUNS, found.verdict.values.tolist(), strict=True))
    assert verdicts == {
        name: "supported" if name in generalise else "not applicable" for name in RUNS
    }
    memorised = found.isel(run=RUNS.index("memorised"))
    assert accuracy(memorised, "full", "train") == 1.0
    test = of_test["memorised"]
    assert memorised.reason.item() == (
        f"does not generalise: test accuracy is {test:.3f}, below 0.9"
    )
    assert found.memorised.sel(condition="full")[RUNS.index("random labels")].item() == 1.0
    untrained = found.periodicity.isel(run=RUNS.index("grokked")).sel(of="untrained")
    network = gi.build_model(gi.RunConfig().replace({"data.p": 13, "model.d_mlp": 96}))
    step_0 = verdict_on(network).periodicity.sel(of="network")
    np.testing.assert_allclose(untrained[:2], step_0[:2])


def test_accuracy_is_against_true_labels_and_changed_pairs_are_apart(
    runs: dict[str, gi.Run], found: xr.Dataset
) -> None:
    run, data = runs["corrupted"], found.isel(run=RUNS.index("corrupted"))
    answers, given = run.model(run.dataset.tokens).argmax(dim=1), run.dataset.labels
    train, changed = run.dataset.is_train, run.dataset.is_changed
    masks = {"train": train & ~changed, "test": ~train, "all": ~changed, "changed": changed}
    assert changed.any()
    for subset, mask in masks.items():
        assert accuracy(data, "full", subset) == pytest.approx(right(run, mask))
    want = float((answers == given)[changed].double().mean())
    assert data.memorised.sel(condition="full").item() == pytest.approx(want)
    assert data.memorised.sel(condition="full").item() > accuracy(data, "full", "changed")


def test_a_higher_threshold_takes_a_network_out_of_the_hypothesis() -> None:
    model = gi.closed_form_mlp(p=P, d_mlp=30, seed=0)
    full = accuracy(verdict_on(model), "full")
    assert 0.5 < full < 1.0
    assert verdict_on(model, threshold=full + 0.01).verdict.item() == "not applicable"
    assert verdict_on(model, threshold=full - 0.01).verdict.item() != "not applicable"


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_a_collapsed_or_diverged_network_gets_a_verdict_too(value: float) -> None:
    model = gi.closed_form_mlp(p=P, d_mlp=20)
    torch.nn.init.constant_(model.W_E, value)
    data = verdict_on(model)
    assert data.verdict.item() == "not applicable"
    assert np.isnan(data.periodicity.sel(of="network", measure="total_ipr").item())
    assert int(data.n_dead_neurons.item()) == 20


@pytest.mark.parametrize("period", [7, 10, 97])
def test_noise_has_the_expected_ipr(period: int) -> None:
    rng, d, tables = np.random.default_rng(0), 4, 3000
    power = np.abs(np.fft.rfft(rng.normal(size=(tables, d, period)))) ** 2
    rows = ((power**2).sum(axis=-1) / power.sum(axis=-1) ** 2).ravel()
    assert noise_row_ipr(period) == pytest.approx(
        rows.mean(), abs=5 * rows.std() / len(rows) ** 0.5
    )
    both = np.abs(np.fft.fft(rng.normal(size=(tables, d, period)))) ** 2
    half = both.sum(axis=1)[:, 1:]
    half = half + half[:, ::-1]
    half = half[:, : period // 2]
    if period % 2 == 0:
        half[:, -1] /= 2
    total = ((half / half.sum(axis=1, keepdims=True)) ** 2).sum(axis=1)
    want = pytest.approx(total.mean(), abs=5 * total.std() / tables**0.5)
    assert noise_total_ipr(period, d) == want


def test_noise_is_what_the_paper_and_an_untrained_network_have(found: xr.Dataset) -> None:
    assert noise_row_ipr(97) == pytest.approx(0.0403, abs=1e-4)
    untrained = found.periodicity.isel(run=RUNS.index("untrained"))
    noise = untrained.sel(of="noise")
    np.testing.assert_allclose(untrained.sel(of="shuffled")[:2], noise[:2], rtol=0.1)
    np.testing.assert_allclose(untrained.sel(of="untrained")[:2], noise[:2], rtol=0.1)


def test_results_are_stored_and_joined(found: xr.Dataset, tmp_path: Path) -> None:
    table = hypothesis.compute_model(lookup_table(), "addition", random_draws=2, name="table")
    deep = gi.HookedMLP(gi.MLPConfig(d_mlp=6, n_layers=3), p=17)
    joined = hypothesis.join(
        [found, table, hypothesis.compute_model(deep, "addition", random_draws=2)]
    )
    joined.to_netcdf(tmp_path / "found.nc", engine="h5netcdf")
    again = xr.load_dataset(tmp_path / "found.nc", engine="h5netcdf")
    xr.testing.assert_identical(again, joined)
    assert dict(joined.sizes)["run"] == len(RUNS) + 2
    assert (joined.sizes["frequency"], joined.sizes["layer"]) == (8, 3)
    assert np.isnan(joined.embedding_share.values[-2, 5:]).all()
    assert joined.embedding_share.values[-2, :5].sum() == pytest.approx(1)
    shallow, deep = joined.hook.values[-2:].tolist()
    assert shallow == ["layers.0.hook_post", "", ""]
    assert deep == [f"layers.{i}.hook_post" for i in range(3)]
    assert joined.architecture.values[-2:].tolist() == ["table", "MLP 3x6 square"]
    for name in ("accuracy", "passed", "periodicity", "is_key"):
        np.testing.assert_array_equal(
            joined[name].values[: len(RUNS)][..., : found[name].shape[-1]], found[name]
        )
    with pytest.raises(ValueError, match="share one threshold"):
        hypothesis.join([found, table.assign_attrs(threshold=0.5)])


def test_the_table_has_every_run_and_a_summary_of_seeds(found: xr.Dataset) -> None:
    rows = hypothesis.table(found)
    assert [row["seed"] for row in rows[:5]] == [0.0, 1.0, "mean", "least", "largest"]
    assert len(rows) == len(RUNS) + 3
    first, second, mean, least, largest = (row["row-wise IPR"] for row in rows[:5])
    assert mean == pytest.approx((first + second) / 2)
    assert (least, largest) == (min(first, second), max(first, second))
    assert rows[0]["only key"] == accuracy(found.isel(run=0), "only_key", "test")
    assert rows[2]["verdict"] == "2 supported"
    figure: Any = hypothesis.plot_table(rows)
    cells = figure.data[0].cells["values"]
    assert len(cells[0]) == len(rows)
    assert f"{first:.2f} ({rows[0]['row-wise IPR, shuffled']:.2f})" in cells[4]


def test_plots_show_the_numbers(
    found: xr.Dataset, axis_titles: Callable[[go.Figure], set[str]]
) -> None:
    figure: Any = hypothesis.plot_verdicts(found)
    traces = {trace.name: trace for trace in figure.data}
    order = [0, 1]  # those to which the hypothesis applies
    without = found.accuracy.sel(condition="without_key", subset="test").values
    np.testing.assert_allclose(
        traces["without key frequencies"].x[: len(order)], without[order], rtol=1e-12
    )
    random = traces["without random others"]
    draws = found.random_accuracy.sel(subset="test")[0]
    assert random.x[0] + random.error_x.array[0] == pytest.approx(draws.max().item())
    assert random.x[0] - random.error_x.arrayminus[0] == pytest.approx(draws.min().item())
    np.testing.assert_allclose(traces["chance"].x, 1 / 13)
    notes = [note.text.replace("<br>", " ") for note in figure.layout.annotations]
    assert sum("not applicable" in note for note in notes) >= 3
    assert "accuracy on test pairs" in axis_titles(figure)
    spectra: Any = hypothesis.plot_spectra(found)
    bars = [trace for trace in spectra.data if trace.type == "bar" and trace.x[0] is not None]
    assert len(bars) == 2 * len(RUNS)
    np.testing.assert_array_equal(bars[0].y, found.embedding_share[0])
    np.testing.assert_array_equal(bars[1].y, found.logit_share[0])


def test_what_cannot_be_asked_is_refused(runs: dict[str, gi.Run]) -> None:
    model, run = gi.closed_form_mlp(p=P, d_mlp=20), runs["grokked"]
    with pytest.raises(ValueError, match="has no known periodic basis"):
        verdict_on(model, "a**2 + b")
    with pytest.raises(ValueError, match=r"frequencies=\[6\] must lie in 1..5"):
        verdict_on(model, frequencies=[6])
    with pytest.raises(ValueError, match="other true labels than subtraction mod 13"):
        verdict_on(run.model, "subtraction", dataset=run.dataset)
    with pytest.raises(ValueError, match="runs is empty"):
        hypothesis.compute([])
    with pytest.raises(ValueError, match="random_draws must be at least 1"):
        verdict_on(model, random_draws=0)
    wrapped = gi.HookedModule(torch.nn.Sequential(torch.nn.Embedding(P, P)), p=P)
    with pytest.raises(TypeError, match="has no tensor W_E"):
        verdict_on(wrapped)


def test_named_frequencies_are_used_for_logits_and_embedding(runs: dict[str, gi.Run]) -> None:
    data = hypothesis.compute(runs["grokked"], frequencies=[3, 4], random_draws=2).isel(run=0)
    wanted = [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]
    assert data.is_key.values.tolist() == data.kept_share.values.tolist() == wanted
    assert data.n_kept.item() == 2.0


@pytest.mark.slow
def test_it_runs_from_the_shell(
    runs: dict[str, gi.Run], tmp_path: Path, command: Callable[..., Any]
) -> None:
    folders = [runs[name].save(tmp_path / name) for name in ("grokked", "untrained")]
    out = tmp_path / "page.html"
    result = command("analyse", *folders, "hypothesis", "--out", out)
    assert result.exit_code == 0, result.output
    with xr.open_dataset(out.with_suffix(".nc"), engine="h5netcdf") as stored:
        assert stored.verdict.values.tolist() == ["supported", "not applicable"]
    supported, untrained = result.output.splitlines()[-2:]
    assert "MLP 1x96 square" in supported
    assert "supported, borderline: it has all ingredients" in supported
    assert "not applicable: does not generalise: test accuracy is 0." in untrained


def test_it_shows_how_far_it_is(
    runs: dict[str, gi.Run], terminal: Callable[[], io.StringIO]
) -> None:
    """With bars over the shuffles of embedding and neurons, and over random frequencies."""
    stderr = terminal()
    hypothesis.compute(runs["grokked"], random_draws=2)
    assert stderr.getvalue() == ""
    hypothesis.compute(runs["grokked"], random_draws=2, progress=True)
    for what in ("embedding, res", "layers.0.hook_post, res", "random frequencies"):
        assert what in stderr.getvalue()


@pytest.mark.skipif(
    "GROKINTERP_ZHONG2023" not in os.environ,
    reason="GROKINTERP_ZHONG2023 names no folder with the checkpoints of Zhong et al.",
)
@pytest.mark.parametrize(
    ("name", "verdict", "kept"),
    [
        ("p99zdpze5l", "supported", [3, 6, 15, 17, 25, 29]),
        ("l8k1hzciux", "supported", [13, 16, 17, 21]),
        ("p71frej8t7", "supported", [14, 17, 24, 29]),
        ("n9n7h3p965", "not applicable", [29]),
    ],
)
def test_networks_of_other_people(name: str, verdict: str, kept: list[int]) -> None:
    path = Path(os.environ["GROKINTERP_ZHONG2023"]) / f"pizza_{name}.safetensors"
    data = verdict_on(gi.load_zhong2023(path), random_draws=1)
    assert data.verdict.item() == verdict
    assert data.frequency.values[data.kept_share.values == 1].tolist() == kept
    if name == "p99zdpze5l":
        assert accuracy(data, "only_key") == 1.0
        assert accuracy(data, "without_key") == pytest.approx(0.014, abs=5e-4)


def test_how_a_network_from_elsewhere_was_trained_is_not_known() -> None:
    data = gi.make_dataset(gi.DataConfig(p=7, train_fraction=0.6))
    pairs, labels = data.tokens[data.is_train], data.labels[data.is_train]
    model = gi.closed_form_mlp(p=7, d_mlp=24)
    found = hypothesis.compute(
        gi.as_run(model, pairs, labels, operation="addition"), random_draws=2
    )
    for name in ("weight_decay", "steps", "seed", "data_seed"):
        assert np.isnan(found[name].values).all(), name
    assert found.train_fraction.item() == pytest.approx(len(pairs) / 49, abs=0.02)
