"""Progress measures of networks whose logits are known in closed form."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

import grokinterp as gi
from analyses.one_run import progress_measures
from analyses.one_run.stored_networks import checkpoints_at
from analyses.pages.palette import SUBSET_LABEL
from tests.analyses.one_run.clocks import P, clock_model, one_operand, run_of
from tests.tolerance import rounding

WIDTH = 60
GAP = rounding(torch.float32, 4 * WIDTH, 4.0)


@pytest.fixture(scope="module")
def clocks() -> gi.Run:
    """Frequencies 1 and 2 at step 20; 3 at step 30, with a part that sees one operand alone.

    At the end 3 and 5 alone.
    """
    middle = clock_model({3: 1.0}, WIDTH)
    one_operand(middle, 2, 0.7)
    early = clock_model({1: 1.0, 2: 1.0}, WIDTH)
    return run_of({30: middle, 20: early}, clock_model({3: 1.0, 5: 1.0}, WIDTH))


def waves(*frequencies: int) -> np.ndarray:
    """The logits sum_k cos(w (a + b - c)) of all pairs, by NumPy."""
    a, b, c = np.meshgrid(*(np.arange(P),) * 3, indexing="ij")
    angle = 2 * np.pi * (a + b - c) / P
    return sum((np.cos(k * angle) for k in frequencies), np.zeros((P,) * 3)).reshape(P * P, P)


def mse(logits: np.ndarray, run: gi.Run, subset: str) -> float:
    mask = run.dataset.masks[subset].numpy()
    target = np.eye(P)[run.dataset.labels.numpy()]
    return float(((logits - target) ** 2)[mask].mean())


def test_steps_are_in_order_and_of_every_stored_network(clocks: gi.Run) -> None:
    data = progress_measures.compute(clocks)
    assert data.step.values.tolist() == [0, 20, 30, 50]
    initial = gi.build_model(clocks.config)
    assert isinstance(initial, gi.HookedMLP)
    expected = np.array([float(w.detach().norm()) for w in (initial.W_E, initial.W_U)])
    np.testing.assert_allclose(data.norm.sel(step=0), expected, rtol=1e-5)
    np.testing.assert_allclose(data.total_norm.sel(step=0), np.linalg.norm(expected), rtol=1e-5)


@pytest.mark.parametrize("subset", ["train", "test", "changed"])
def test_restricted_and_excluded_loss_with_final_key_frequencies(
    clocks: gi.Run, subset: str
) -> None:
    data = progress_measures.compute(clocks)
    nothing = np.zeros((P * P, P))
    a = np.repeat(np.arange(P), P)
    alone = nothing.copy()
    alone[:, 0] = 0.7 * np.cos(2 * np.pi * 4 * a / P)  # of frequency 2, squared
    alone[:, 1] = -alone[:, 0]
    # Logits in the order full, restricted to 3 and 5, without 3 and 5.
    expected = {
        20: (waves(1, 2), nothing, waves(1, 2)),
        30: (waves(3) + alone, waves(3), alone),
        50: (waves(3, 5), waves(3, 5), nothing),
    }
    for step, logits in expected.items():
        found = data["loss"].sel(step=step, subset=subset).values
        np.testing.assert_allclose(found, [mse(x, clocks, subset) for x in logits], rtol=GAP)


def test_shares_and_counts_of_frequencies(clocks: gi.Run) -> None:
    data = progress_measures.compute(clocks)
    shares = data.share.values[[1, 3]]
    np.testing.assert_allclose(shares, [[0.5, 0.5, 0, 0, 0], [0, 0, 0.5, 0, 0.5]], atol=GAP)
    # Variance over pairs and classes: 1/2 of the wave; 0.7^2 / 2 * 2 / P of the other part.
    wave = 0.5 / (0.5 + 0.49 / P)
    assert data.explained.sel(step=30).item() == pytest.approx(wave, abs=GAP)
    assert data.explained.values[[1, 3]].tolist() == pytest.approx([1, 1], abs=GAP)
    assert data.explained_by_key.values[1:].tolist() == pytest.approx([0, wave, 1], abs=GAP)
    assert data.n_key.values[1:].tolist() == [2, 1, 2]
    assert (data.is_key == [False, False, True, False, True]).all()
    assert data.attrs["key_frequencies"] == "final"


def test_key_frequencies_may_be_followed_or_given(clocks: gi.Run) -> None:
    followed = progress_measures.compute(clocks, follow=True)
    keys = [followed.frequency.values[used].tolist() for used in followed.is_key.values]
    assert keys[1:] == [[1, 2], [3], [3, 5]]
    early = followed["loss"].sel(step=20, subset="test")
    assert early.sel(variant="restricted").item() == pytest.approx(
        early.sel(variant="full").item(), rel=GAP
    )
    assert early.sel(variant="excluded").item() == pytest.approx(1 / P, rel=GAP)
    given = progress_measures.compute(clocks, frequencies=[2])
    assert (given.is_key == [False, True, False, False, False]).all()
    restricted = given["loss"].sel(step=20, subset="test", variant="restricted").item()
    assert restricted == pytest.approx(mse(waves(2), clocks, "test"), rel=GAP)


def test_periodicity_and_tables_of_a_clock(clocks: gi.Run) -> None:
    data = progress_measures.compute(clocks).sel(step=50)
    names = ["IPR of U, V, W", "share, layers.0.hook_post"]
    assert data.neurons.values.tolist() == names
    # A pure neuron's activation has 4/5 of its variance at its frequency (1/5 is at twice it).
    np.testing.assert_allclose(data.periodicity, [1, 0.8], atol=GAP)
    np.testing.assert_allclose(data.periodicity_quantile.sel(neurons=names[0]), 1, atol=GAP)
    assert data.n_dead.values.tolist() == [WIDTH - 50] * 2
    # Two of five frequencies, alike: (5 - 2) / 5.
    assert data.table.values.tolist() == ["W_E[0]", "W_E[1]", "W_U"]
    np.testing.assert_allclose(data.gini, 0.6, atol=GAP)
    np.testing.assert_allclose(data.total_ipr, 0.5, atol=GAP)


def test_gini_is_that_of_amplitudes(clocks: gi.Run) -> None:
    """Amplitudes 0, 0, 0, 1 and 2: Gini (2 * 1 + 4 * 2) / (5 * 3) = 2/3; of powers it is 0.72."""
    model = clock_model({3: 1.0, 5: 1.0}, WIDTH)
    with torch.no_grad():
        model.W_E[:, :, 25:50] *= 2
    data = progress_measures.of_networks([(0, model)], clocks.dataset).sel(table=["W_E[0]"])
    np.testing.assert_allclose(data.gini, 2 / 3, atol=GAP)
    np.testing.assert_allclose(data.total_ipr, 0.8**2 + 0.2**2, atol=GAP)


def test_further_measures_are_asked_at_every_step(clocks: gi.Run) -> None:
    asked: dict[str, progress_measures.Measure] = {
        "pairs": lambda _, data: len(data.tokens),
        "W_U": lambda model, _: float(model.W_U.detach().norm()),
    }
    data = progress_measures.compute(clocks, measures=asked)
    assert data.measure.sel(name="pairs").values.tolist() == [P * P] * 4
    norms = data.norm.sel(layer="W_U")
    np.testing.assert_allclose(data.measure.sel(name="W_U"), norms, rtol=1e-6)
    figure: Any = progress_measures.plot_progress(data)
    assert len({trace.yaxis for trace in figure.data}) == 7
    assert {"pairs", "W_U"} <= {trace.name for trace in figure.data}


ARCHITECTURES = {
    "deep MLP": gi.MLPConfig(d_mlp=8, n_layers=2, act="relu"),
    "embedding MLP": gi.EmbeddingMLPConfig(d_embed=6, hidden=(8,), norm="batch"),
    "transformer": gi.TransformerConfig(d_model=8, n_heads=2, d_mlp=8, init="paper1"),
    "attention alone": gi.TransformerConfig(
        d_model=8, n_heads=2, d_mlp=8, init="paper1", attn_only=True
    ),
    "LSTM": gi.LSTMConfig(d_embed=6, d_hidden=8),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("operation", ["addition", "multiplication"])
def test_every_architecture_has_them(name: str, operation: str) -> None:
    config = gi.RunConfig(
        data=gi.DataConfig(p=7, train_fraction=0.6, operation=operation),
        model=ARCHITECTURES[name],
        training=gi.TrainConfig(steps=6, eval_every=2),
    )
    run = gi.train(config, device="cpu", progress=False, checkpoints=checkpoints_at([2, 4]))
    data = progress_measures.compute(run)
    assert data.step.values.tolist() == [0, 2, 4, 6]
    assert bool(data.periodicity.notnull().all())
    assert bool((data.periodicity_quantile.diff("quantile") >= 0).all())
    assert data.gini.notnull().all()
    if operation == "addition":  # else the history scores pairs with a 0, too
        for subset in ("train", "test"):
            found = data.accuracy.sel(variant="full", subset=subset)
            stored = run.history[f"{subset}_accuracy"].sel(step=[0, 2, 4, 6])
            np.testing.assert_allclose(found, stored, rtol=1e-6)
    figure: Any = progress_measures.plot_progress(data)
    assert bool(data.sizes["neurons"]) is (name != "attention alone")
    panels = 6 if data.sizes["neurons"] else 5
    assert len({trace.yaxis for trace in figure.data}) == panels
    np.testing.assert_array_equal(figure.data[0].x, data.step)


def test_a_network_of_equal_logits_has_no_key_frequencies(clocks: gi.Run) -> None:
    silent = clock_model({}, WIDTH)
    data = progress_measures.compute(dataclasses.replace(clocks, model=silent))
    assert data.n_key.values[-1] == 0
    assert not data.is_key.any()
    assert np.isnan(data.periodicity.values[-1]).all()


def test_networks_made_elsewhere_have_them_too(clocks: gi.Run) -> None:
    """The same networks in a list, without a run; their loss and task are asked for or known."""
    ours = progress_measures.compute(clocks)
    networks = [(30, clocks.model_at("at_30")), (50, clocks.model)]
    data = progress_measures.of_networks(networks, clocks.dataset, loss="mse")
    for name in ("loss", "share", "periodicity", "norm"):
        np.testing.assert_array_equal(data[name], ours[name].sel(step=[30, 50]))
    entropy = progress_measures.of_networks(networks, clocks.dataset)
    logits = torch.as_tensor(waves(3, 5))[clocks.dataset.is_test]
    labels = clocks.dataset.labels[clocks.dataset.is_test]
    expected = torch.nn.functional.cross_entropy(logits, labels).item()
    found = entropy["loss"].sel(step=50, variant="restricted", subset="test").item()
    assert found == pytest.approx(expected, rel=GAP)
    with pytest.raises(ValueError, match=r"at increasing steps, got \[50, 30\]"):
        progress_measures.of_networks(networks[::-1], clocks.dataset)
    other = gi.make_dataset(gi.DataConfig(p=7))
    with pytest.raises(ValueError, match="the networks have p=11, but the data set has p=7"):
        progress_measures.of_networks(networks, other)


@pytest.mark.usefixtures("no_type_checker")
def test_what_cannot_be_asked_is_refused(clocks: gi.Run) -> None:
    with pytest.raises(ValueError, match="follow=True has no effect"):
        progress_measures.compute(clocks, frequencies=[1], follow=True)
    with pytest.raises(ValueError, match=r"frequencies=\[6\] must lie in 1\.\.5"):
        progress_measures.compute(clocks, frequencies=[6])
    with pytest.raises(TypeError, match=r"measures\['S_mem'\] must be a function"):
        progress_measures.compute(clocks, measures={"S_mem": 3})  # pyright: ignore[reportArgumentType]
    nothing = dataclasses.replace(
        clocks, diverged_at=1, checkpoints={}, provenance={"start": {"step": 1}}
    )
    with pytest.raises(ValueError, match="networks must hold at least one network"):
        progress_measures.compute(nothing)


def test_a_subset_without_examples_is_not_in_the_figure(clocks: gi.Run) -> None:
    data = progress_measures.compute(clocks)
    everything: Any = progress_measures.plot_progress(data).data
    data.accuracy.loc[{"subset": "changed"}] = np.nan
    without: Any = progress_measures.plot_progress(data).data
    shown, left = ({trace.name for trace in traces} for traces in (everything, without))
    assert shown - left == {SUBSET_LABEL["changed"]}


def test_the_page_says_how_many_steps(clocks: gi.Run) -> None:
    finding = progress_measures.analysis(clocks)
    first, second = finding.rows
    assert str(first).startswith("4 stored steps, 0 to 50")
    assert second == "key frequencies at the end: 3, 5"
