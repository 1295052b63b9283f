"""Gains of norms against periodicity: networks of known gains and periods, and SciPy."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from scipy import stats

import grokinterp as gi
from analyses.one_run import norm_gain
from probes import model_neuron_ipr

P, WIDTH = 13, 40


def make_run(norm: str | None = "batch", n_layers: int = 1) -> gi.Run:
    """A step of training, then gains that are known: 0.5 and up, with both signs."""
    config = gi.RunConfig(
        data=gi.DataConfig(p=P),
        model=gi.MLPConfig(d_mlp=WIDTH, norm=norm, n_layers=n_layers),
        training=gi.TrainConfig(steps=1),
    )
    run = gi.train(config, device="cpu", progress=False)
    if norm is not None:
        rng = torch.Generator().manual_seed(1)
        for layer in run.model.layers:
            sign = torch.randint(0, 2, (WIDTH,), generator=rng) * 2 - 1
            layer.norm.gamma.data = sign * (0.5 + torch.rand(WIDTH, generator=rng))
    return run


@pytest.fixture(scope="module")
def run() -> gi.Run:
    return make_run()


@pytest.fixture(scope="module")
def deep_run() -> gi.Run:
    return make_run("layer", 3)


def with_model(run: gi.Run, model: Any) -> gi.Run:
    return dataclasses.replace(run, model=model)


def test_one_hidden_layer_has_the_ipr_of_its_neurons(run: gi.Run) -> None:
    found = norm_gain.compute(run, n_bootstrap=50)
    assert found.measured.values.tolist() == ["input and output weights"]
    ipr = model_neuron_ipr(run.model).ipr.numpy()
    gain = np.abs(run.model.layers[0].norm.gamma.detach().double().numpy())
    np.testing.assert_allclose(found.periodicity[0], ipr)
    np.testing.assert_array_equal(found.gain[0], gain)
    for name, reference in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr)):
        here = found.sel(layer=0, coefficient=name)
        assert here.correlation.item() == pytest.approx(reference(ipr, gain)[0])
        assert here.low < here.correlation < here.high
    assert found.attrs["norm"] == "batch"


def test_layers_of_a_deep_network_are_measured_where_they_meet_the_residues(
    deep_run: gi.Run,
) -> None:
    found = norm_gain.compute(deep_run, n_bootstrap=50)
    assert found.measured.values.tolist() == ["input weights", "activations", "output weights"]
    model = deep_run.model

    def ipr(rows: torch.Tensor) -> np.ndarray:
        power = np.abs(np.fft.rfft(rows.detach().double().numpy())) ** 2
        return (power**2).sum(axis=1) / power.sum(axis=1) ** 2

    inputs = (ipr(model.W_E[0].T) + ipr(model.W_E[1].T)) / 2
    np.testing.assert_allclose(found.periodicity[0], inputs)
    np.testing.assert_allclose(found.periodicity[2], ipr(model.W_U))
    for i, layer in enumerate(model.layers):
        np.testing.assert_allclose(found.gain[i], np.abs(layer.norm.gamma.detach().numpy()))


def test_a_middle_layer_is_explained_by_one_frequency(deep_run: gi.Run) -> None:
    """The share against least squares on the cosines and sines of each frequency."""
    a, b = (x.double() * 2 * torch.pi / P for x in deep_run.dataset.tokens.T)
    with torch.no_grad():
        _, cache = deep_run.model.run_with_cache(deep_run.dataset.tokens)
    y = cache["layers.1.hook_post"].double()
    y = y - y.mean(dim=0)
    explained = []
    for k in range(1, P // 2 + 1):
        of_a, of_b = ([(k * x).cos(), (k * x).sin()] for x in (a, b))
        columns = [*of_a, *of_b, *(u * v for u in of_a for v in of_b)]
        design = torch.stack(columns, dim=1)
        residue = y - design @ torch.linalg.lstsq(design, y).solution
        explained.append(1 - residue.square().sum(dim=0) / y.square().sum(dim=0))
    found = norm_gain.compute(deep_run, n_bootstrap=20)
    best = torch.stack(explained).max(dim=0).values
    np.testing.assert_allclose(found.periodicity[1], best, rtol=1e-6)


def test_a_gain_that_follows_the_ipr_is_found(run: gi.Run) -> None:
    model = copy.deepcopy(run.model)
    ipr = model_neuron_ipr(model).ipr
    model.layers[0].norm.gamma.data = -2.0 * ipr.float()  # the sign is a matter of convention
    found = norm_gain.compute(with_model(run, model), n_bootstrap=50).isel(layer=0)
    np.testing.assert_allclose(found.correlation, 1, atol=1e-6)
    np.testing.assert_allclose([found.low, found.high], 1, atol=1e-6)
    for b, centre in enumerate(found.bin.values):
        inside = (ipr >= centre - 0.05) & (ipr < centre + 0.05)
        assert found.n_in_bin[b] == inside.sum()
        if inside.any():
            assert found.mean_gain[b].item() == pytest.approx(2 * ipr[inside].mean().item())
        else:
            assert np.isnan(found.mean_gain[b])
        if inside.sum() > 1:
            error = 2 * stats.sem(ipr[inside].numpy())
            assert found.gain_error[b].item() == pytest.approx(error, rel=1e-5)
    assert found.n_in_bin.sum() == WIDTH


def test_the_interval_is_that_of_scipy(run: gi.Run) -> None:
    """Gains that follow the IPR but for one neuron, which ranks hardly see."""
    model = copy.deepcopy(run.model)
    ipr = model_neuron_ipr(model).ipr.float()
    gain = ipr.clone()
    gain[ipr.argmin()] = 20.0
    model.layers[0].norm.gamma.data = gain
    found = norm_gain.compute(with_model(run, model), n_bootstrap=4000).isel(layer=0)
    pearson, spearman = (found.sel(coefficient=name) for name in ("pearson", "spearman"))
    assert pearson.low < 0 < 0.5 < spearman.low
    pairs = (found.periodicity.values, found.gain.values)
    how: dict[str, Any] = {"n_resamples": 500, "method": "percentile"}
    for name, statistic in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr)):
        again = stats.bootstrap(
            pairs,
            lambda x, y, s=statistic: s(x, y)[0],
            paired=True,
            vectorized=False,
            rng=np.random.default_rng(3),
            **how,
        ).confidence_interval
        here = found.sel(coefficient=name)
        assert here.low.item() == pytest.approx(again.low, abs=0.05)
        assert here.high.item() == pytest.approx(again.high, abs=0.05)


def test_the_seed_draws_the_interval(run: gi.Run) -> None:
    first, again, other = (norm_gain.compute(run, n_bootstrap=20, seed=s) for s in (0, 0, 1))
    assert first.identical(again)
    assert not np.array_equal(first.low, other.low)


def test_dead_and_switched_off_neurons_are_counted(run: gi.Run) -> None:
    model = copy.deepcopy(run.model)
    model.W_E.data[:, :, [3, 4]] = 0  # no input at all
    model.W_U.data[5] = 0
    model.layers[0].norm.gamma.data[[5, 7, 8]] = 1e-3
    found = norm_gain.compute(with_model(run, model), n_bootstrap=20).isel(layer=0)
    assert np.isnan(found.periodicity).values.nonzero()[0].tolist() == [3, 4, 5]
    assert found.n_dead == 3
    assert found.n_off == 2
    assert found.n_in_bin.sum() == WIDTH - 3
    figure: Any = norm_gain.plot_gain(found.expand_dims("layer"))
    assert "3 dead, 2 switched off" in figure.layout.annotations[0].text


def test_an_untrained_norm_has_no_correlation(run: gi.Run) -> None:
    untrained = with_model(run, gi.build_model(run.config).eval())
    found = norm_gain.compute(untrained, n_bootstrap=20)
    for name in ("correlation", "low", "high"):
        assert np.isnan(found[name]).all()
    figure: Any = norm_gain.plot_gain(found)
    assert "no correlation is defined" in figure.layout.annotations[0].text


def test_plot_has_neurons_and_means_for_every_norm(
    deep_run: gi.Run, axis_titles: Callable[[go.Figure], set[str]]
) -> None:
    found = norm_gain.compute(deep_run, n_bootstrap=20)
    figure: Any = norm_gain.plot_gain(found)
    assert len(figure.data) == 6
    for i in range(3):
        neurons, means = figure.data[2 * i : 2 * i + 2]
        np.testing.assert_array_equal(neurons.x, found.periodicity[i])
        np.testing.assert_array_equal(neurons.y, found.gain[i])
        np.testing.assert_array_equal(means.y, found.mean_gain[i])
        inside, of_bin = found.n_in_bin[i] > 0, np.asarray(means.x)
        assert (abs(of_bin - found.bin)[inside] <= 0.05 + 1e-9).all()
        weighted = (of_bin * found.n_in_bin[i])[inside].sum() / found.n_in_bin[i].sum()
        assert weighted == pytest.approx(found.periodicity[i].mean())
    shown = {"IPR of input weights", "IPR of output weights", "share of variance at one frequency"}
    assert shown <= axis_titles(figure)
    rank = found.sel(layer=1, coefficient="spearman")
    heading = figure.layout.annotations[1].text.replace("<br>", " ")
    assert f"{rank.correlation:z.2f} [{rank.low:z.2f}, {rank.high:z.2f}]" in heading
    assert "LayerNorm" in figure.layout.title.text


def test_networks_without_norms_are_refused() -> None:
    with pytest.raises(ValueError, match="norm=None"):
        norm_gain.compute(make_run(None))
