"""What the analysis of pruning measures, and its figures."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
import xarray as xr
from torch import Tensor

import grokinterp as gi
from analyses.one_run import pruning
from probes import subset_scores
from tests.analyses.one_run.pruned_networks import PATH, WIDTH, scores, with_zeroed_weights
from tests.tolerance import rounding

SUBSETS = ["train", "test", "changed", "unchanged", "selected"]


def numpy_ipr(rows: Tensor) -> np.ndarray:
    power = np.abs(np.fft.rfft(rows.numpy().astype(np.float64))) ** 2
    return (power**2).sum(axis=1) / power.sum(axis=1) ** 2


@pytest.fixture(scope="module")
def pruned(corrupted_run: gi.Run) -> xr.Dataset:
    return pruning.compute(corrupted_run)


def test_dataset_is_labelled_as_documented(pruned: xr.Dataset) -> None:
    columns = (pruned[name].values.tolist() for name in ("order", "direction", "seed"))
    curves = list(zip(*columns, strict=True))
    by_score = [(o, d, -1) for o in ("ipr", "norm", "attribution") for d in ("low", "high")]
    assert curves == by_score + [("random", "random", seed) for seed in range(5)]
    per_subset = {"curve": 11, "removed": WIDTH + 1, "subset": 5}
    assert dict(pruned.accuracy.sizes) == dict(pruned["loss"].sizes) == per_subset
    assert dict(pruned.area.sizes) == {"curve": 11, "subset": 5}
    assert dict(pruned.neuron.sizes) == {"curve": 11, "place": WIDTH}
    assert pruned.subset.values.tolist() == SUBSETS
    assert pruned.removed.values.tolist() == list(range(WIDTH + 1))
    np.testing.assert_allclose(pruned.fraction, np.arange(WIDTH + 1) / WIDTH)
    assert pruned.attrs == {"loss": "mse", "unit": "neurons.0", "mode": "zero", "iterative": 0}
    assert pruned.is_measured.all()


def test_curves_start_at_the_end_of_training(corrupted_run: gi.Run, pruned: xr.Dataset) -> None:
    last = corrupted_run.history.isel(step=-1)
    for subset in SUBSETS:
        start = pruned.accuracy.sel(subset=subset).isel(removed=0)
        np.testing.assert_allclose(start, float(last[f"{subset}_accuracy"]), rtol=1e-6)
    for split in ("train", "test"):
        start = pruned["loss"].sel(subset=split).isel(removed=0)
        want = float(last[f"{split}_loss"])
        # 1 is added and taken away where the sum of squares is made from overlaps
        gap = rounding(torch.float32, PATH, max(1.0, want))
        np.testing.assert_allclose(start, want, rtol=0, atol=gap)


@pytest.mark.parametrize("removed", [1, 7, 20])
def test_every_curve_follows_its_own_queue(
    corrupted_run: gi.Run, pruned: xr.Dataset, removed: int
) -> None:
    for curve in range(pruned.sizes["curve"]):
        shown = pruned.isel(curve=curve)
        gone = torch.tensor(shown.neuron.values[:removed])
        with torch.no_grad():
            logits = with_zeroed_weights(corrupted_run.model, gone)(corrupted_run.dataset.tokens)
        accuracy, loss = scores(logits, corrupted_run.dataset, "mse")
        assert shown.accuracy.isel(removed=removed).values.tolist() == accuracy
        gap = rounding(torch.float32, PATH, max(1.0, *loss))
        np.testing.assert_allclose(shown["loss"].isel(removed=removed), loss, rtol=0, atol=gap)


def test_queues_follow_the_scores(corrupted_run: gi.Run, pruned: xr.Dataset) -> None:
    state, data = corrupted_run.model.state_dict(), corrupted_run.dataset
    first, second, W = state["W_E"][0].T, state["W_E"][1].T, state["W_U"]
    tokens, true = data.tokens[data.is_train], data.clean_labels[data.is_train]
    post = (first[:, tokens[:, 0]] + second[:, tokens[:, 1]]).square().numpy().astype(np.float64)
    rise = (W - W.mean(dim=1, keepdim=True)).numpy()[:, true]  # at the true labels
    expected = {
        "ipr": np.mean([numpy_ipr(rows) for rows in (first, second, W)], axis=0),
        "norm": np.linalg.norm(torch.cat([first, second, W], dim=1).numpy(), axis=1),
        "attribution": (post * rise).mean(axis=1),
    }
    for order, score in expected.items():
        low, high = pruned.neuron.values[pruned.order.values == order]
        assert sorted(low) == list(range(WIDTH))
        assert bool((np.diff(score[low]) > -1e-7 * np.abs(score).max()).all()), order
        assert high.tolist() == low[::-1].tolist()


def test_random_orders_depend_on_their_seed_alone(corrupted_run: gi.Run) -> None:
    before = torch.random.get_rng_state()
    three = pruning.compute(corrupted_run, orders=["random"], random_seeds=3)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(99)
    two = pruning.compute(corrupted_run, orders=["ipr", "random"], random_seeds=2)
    torch.random.set_rng_state(before)
    assert three.seed.values.tolist() == [0, 1, 2]
    assert three.neuron.isel(curve=slice(2)).equals(two.neuron.isel(curve=slice(2, 4)))
    queues = {tuple(queue) for queue in three.neuron.values}
    assert len(queues) == 3
    assert all(sorted(queue) == list(range(WIDTH)) for queue in queues)


def test_area_is_the_trapezoid_under_the_curve(pruned: xr.Dataset) -> None:
    accuracy = pruned.accuracy.values
    trapezoids = (accuracy[:, 1:] + accuracy[:, :-1]) / 2 / WIDTH
    np.testing.assert_allclose(pruned.area, trapezoids.sum(axis=1), rtol=1e-12)
    assert bool(((pruned.area >= 0) & (pruned.area <= 1)).all())


def test_a_dead_neuron_goes_first_and_changes_nothing(corrupted_run: gi.Run) -> None:
    model = with_zeroed_weights(corrupted_run.model, torch.tensor([5]))
    found = pruning.compute(dataclasses.replace(corrupted_run, model=model), random_seeds=1)
    assert not bool(found.accuracy.isnull().any())
    assert not bool(found["loss"].isnull().any())
    low, high = found.neuron.values[found.order.values == "ipr"]
    assert low[0] == high[-1] == 5
    curve = found.isel(curve=0)
    whole, next_one = (curve.accuracy.isel(removed=i).values for i in (0, 1))
    np.testing.assert_array_equal(whole, next_one)


def test_without_corrupted_labels_their_subsets_alone_have_no_score(clean_run: gi.Run) -> None:
    found = pruning.compute(clean_run, random_seeds=1)
    for name in ("accuracy", "loss", "area"):
        missing = found[name].isnull()
        assert bool(missing.sel(subset=["changed", "selected"]).all())
        assert not bool(missing.drop_sel(subset=["changed", "selected"]).any())


def test_pruning_by_ipr_takes_the_noise_and_leaves_the_solution(half_solved_run: gi.Run) -> None:
    found = pruning.compute(half_solved_run, orders=["ipr", "random"])
    test = found.accuracy.sel(subset="test")
    low, high = test[0], test[1]
    noise = set(range(130, 160))
    assert set(found.neuron.values[0, :30]) == noise
    assert set(found.neuron.values[1, -30:]) == noise
    assert low[0] < 0.9
    assert low[30] == 1.0  # the analytic solution, alone
    assert high[30] <= low[0] + 0.05
    assert float(found.area.sel(subset="test")[0]) > float(found.area.sel(subset="test")[1:].max())
    assert bool((test[2:, 30] < 1).all())  # a random order does not do it


def test_bad_arguments_are_named(corrupted_run: gi.Run) -> None:
    with pytest.raises(ValueError, match=r"orders='irp' is unknown\. Did you mean 'ipr'"):
        pruning.compute(corrupted_run, orders=["irp"])
    with pytest.raises(ValueError, match="random_seeds must be at least 1, got 0"):
        pruning.compute(corrupted_run, random_seeds=0)


def test_the_network_is_only_read(corrupted_run: gi.Run, pruned: xr.Dataset) -> None:
    scored = subset_scores(corrupted_run.model, corrupted_run.dataset)
    last = corrupted_run.history.isel(step=-1)
    gap = rounding(torch.float32, PATH)
    assert scored["train"]["loss"] == pytest.approx(float(last.train_loss), rel=0, abs=gap)
    assert not any(point.fwd_hooks for point in corrupted_run.model.hook_dict.values())


@pytest.mark.parametrize("quantity", ["accuracy", "loss"])
@pytest.mark.parametrize(("order", "curves"), [("ipr", [0, 1]), ("norm", [2, 3]), ("random", [6])])
def test_plot_pruning_draws_the_curves_of_one_order(
    pruned: xr.Dataset,
    order: str,
    curves: list[int],
    quantity: str,
    axis_titles: Callable[[go.Figure], set[str]],
) -> None:
    figure: Any = pruning.plot_pruning(pruned, order=order, quantity=quantity)
    assert len(figure.data) == 4 * len(curves)
    for column, curve in enumerate(curves):
        for trace, subset in zip(figure.data[4 * column :], SUBSETS[:4], strict=False):
            np.testing.assert_array_equal(trace.x, pruned.fraction)
            np.testing.assert_array_equal(
                trace.y, pruned[quantity].isel(curve=curve).sel(subset=subset)
            )
    shown = {"accuracy": "accuracy", "loss": "mean squared error"}[quantity]
    assert {"fraction of neurons removed", shown} <= axis_titles(figure)


def test_plot_pruning_names_the_loss_of_the_run(
    clean_run: gi.Run, axis_titles: Callable[[go.Figure], set[str]]
) -> None:
    config = clean_run.config.replace({"training.loss": "cross_entropy"})
    run = dataclasses.replace(clean_run, config=config)
    figure: Any = pruning.plot_pruning(pruning.compute(run, orders=["ipr"]), quantity="loss")
    assert "cross-entropy (nats)" in axis_titles(figure)


def test_plot_controls_draws_every_order(
    pruned: xr.Dataset, axis_titles: Callable[[go.Figure], set[str]]
) -> None:
    figure: Any = pruning.plot_controls(pruned)
    assert len(figure.data) == 2 * (1 + 6)
    for column, subset in enumerate(["test", "changed"]):
        accuracy = pruned.accuracy.sel(subset=subset).values
        band, *lines = figure.data[7 * column : 7 * column + 7]
        for line, values in zip(lines, accuracy[:6], strict=True):
            np.testing.assert_array_equal(line.y, values)
        chance = accuracy[6:]  # the band goes out along its top and back along its bottom
        np.testing.assert_array_equal(band.y[: WIDTH + 1], chance.max(axis=0))
        np.testing.assert_array_equal(band.y[:WIDTH:-1], chance.min(axis=0))
        np.testing.assert_array_equal(band.x[:WIDTH:-1], pruned.fraction)
    assert {"fraction of neurons removed", "accuracy"} <= axis_titles(figure)


def test_plot_controls_without_a_random_order(corrupted_run: gi.Run) -> None:
    data = pruning.compute(corrupted_run, orders=["norm"])
    figure: Any = pruning.plot_controls(data)
    assert len(figure.data) == 4


def test_the_page_shows_random_orders_beside_its_own(corrupted_run: gi.Run) -> None:
    found = pruning.analysis(corrupted_run, random_seeds=3)
    names = [row["removed first"] for row in found.rows if isinstance(row, Mapping)]
    assert names == ["low IPR", "high IPR", "random"]
    areas = found.data["area"].isel(curve=found.data.order.values == "random")
    assert areas.sizes["curve"] == 3
    random = next(
        row for row in found.rows if isinstance(row, Mapping) and "random" in row.values()
    )
    assert random["area, test"] == pytest.approx(float(areas.sel(subset="test").mean()))
    figure: Any = found.figures[1]
    assert [trace.name for trace in figure.data[:1]] == ["random (3 orders)"]
