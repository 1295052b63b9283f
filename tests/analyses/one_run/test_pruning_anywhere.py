"""The pruning dataset of networks whose logits are no sum over the units."""

import copy
import dataclasses
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
import xarray as xr

import grokinterp as gi
import probes
from analyses.one_run import pruning
from analyses.one_run.pruning_orders import scores
from probes.unit_pruning import Removals

P, WIDTH = 7, 40
CONFIG = gi.RunConfig(
    data=gi.DataConfig(p=P, train_fraction=0.7, corruption=0.3, seed=1),
    model=gi.TransformerConfig(
        d_model=8, n_heads=2, d_mlp=WIDTH, init="paper1", normalization_type="LN"
    ),
    training=gi.TrainConfig(steps=1, loss="cross_entropy"),
)


@pytest.fixture(scope="module")
def run() -> gi.Run:
    made = gi.train(CONFIG, device="cpu", progress=False)
    return dataclasses.replace(made, model=copy.deepcopy(made.model).double())


@pytest.fixture(scope="module")
def pruned(run: gi.Run) -> xr.Dataset:
    return pruning.compute(run, random_seeds=2, removals=12)


def test_every_network_has_a_dataset_of_the_same_shape(pruned: xr.Dataset) -> None:
    columns = (pruned[name].values.tolist() for name in ("order", "direction", "seed"))
    curves = list(zip(*columns, strict=True))
    orders = ("output_ipr", "activation", "attribution")
    by_score = [(order, end, -1) for order in orders for end in ("low", "high")]
    assert curves == by_score + [("random", "random", seed) for seed in range(2)]
    assert dict(pruned.accuracy.sizes) == {"curve": 8, "removed": len(pruned.removed), "subset": 5}
    assert dict(pruned.neuron.sizes) == {"curve": 8, "place": WIDTH}
    how = {"loss": "cross_entropy", "unit": "neurons.0", "mode": "zero", "iterative": 0}
    assert pruned.attrs == how
    assert pruned.is_measured.sum("removed").values.tolist() == [13] * 8
    assert pruned.is_measured.any("curve").all()
    np.testing.assert_allclose(pruned.fraction, pruned.removed / WIDTH)
    assert (pruned.removed[0], pruned.removed[-1]) == (0, WIDTH)


def test_scores_are_those_of_hooked_passes_and_straight_lines_between(
    run: gi.Run, pruned: xr.Dataset
) -> None:
    for curve in range(8):
        shown = pruned.isel(curve=curve)
        measured = shown.is_measured.values
        for at in np.flatnonzero(measured)[1::5]:
            gone = shown.neuron.values[: int(shown.removed[at])]
            with run.model.hooks(fwd_hooks=gi.ablate(gone)):
                found = probes.subset_scores(run.model, run.dataset, kind="cross_entropy")
            for i, subset in enumerate(shown.subset.values.tolist()):
                assert shown.accuracy.values[at, i] == found[subset]["accuracy"]
                assert shown["loss"].values[at, i] == pytest.approx(found[subset]["loss"])
        for name in ("accuracy", "loss"):
            lines = np.interp(
                shown.removed, shown.removed[measured], shown[name].values[measured, 0]
            )
            np.testing.assert_allclose(shown[name].values[:, 0], lines)


@pytest.mark.parametrize("mode", ["mean", "resample"])
def test_the_mode_of_removal_is_followed(run: gi.Run, mode: str) -> None:
    found = pruning.compute(run, orders=["activation"], mode=mode, removals=4, seed=3)
    middle = 2 + int(np.flatnonzero(found.is_measured[0].values[2:])[0])
    gone = found.neuron.values[0, : int(found.removed[middle])]
    with run.model.hooks(fwd_hooks=gi.ablate(gone, mode, seed=3)):
        expected = probes.subset_scores(run.model, run.dataset, kind="cross_entropy")
    assert float(found["loss"][0, middle, 0]) == pytest.approx(expected["train"]["loss"])


@pytest.mark.parametrize("unit", ["heads.0", "frequencies", "neurons.0"])
def test_a_linear_effect_is_the_slope_of_the_removal(run: gi.Run, unit: str) -> None:
    data, small = run.dataset, 1e-4
    tokens, labels = data.tokens[data.is_train], data.clean_labels[data.is_train]

    def margin(hooks: Any) -> float:
        logits = run.model.run_with_hooks(tokens, fwd_hooks=hooks)[:, :P].double()
        return (logits.gather(1, labels[:, None])[:, 0] - logits.mean(dim=1)).mean().item()

    taken_out = Removals(probes.network_on_pairs(run.model), unit, "zero")
    found = scores(taken_out, data, "effect")
    for i in range(len(found))[:4]:
        up, down = (margin(gi.scale([i], 1 + s * small, unit=unit)) for s in (1, -1))
        assert float(found[i]) == pytest.approx((up - down) / (2 * small), rel=1e-5, abs=1e-9)


def test_where_all_paths_are_direct_the_linear_effect_is_the_attribution() -> None:
    config = CONFIG.replace({"model.normalization_type": None, "training.loss": "mse"})
    run = gi.train(config, device="cpu", progress=False)
    run = dataclasses.replace(run, model=copy.deepcopy(run.model).double())
    taken_out = Removals(probes.network_on_pairs(run.model), "neurons.0", "zero")
    effect, attribution = (
        scores(taken_out, run.dataset, order) for order in ("effect", "attribution")
    )
    torch.testing.assert_close(effect, attribution)
    # From the mean: a neuron that always answers the same has no effect.
    from_mean = Removals(taken_out.network, "neurons.0", "mean")
    with torch.no_grad():
        run.model.blocks[0].mlp.W_in[:, 3] = 0.0
        run.model.blocks[0].mlp.b_in[3] = 2.0
    taken_out, from_mean = (
        Removals(taken_out.network, "neurons.0", mode) for mode in ("zero", "mean")
    )
    assert abs(float(scores(taken_out, run.dataset, "effect")[3])) > 1e-3
    assert abs(float(scores(from_mean, run.dataset, "effect")[3])) < 1e-12
    found = pruning.compute(run, random_seeds=1)  # the exact path
    assert found.removed.values.tolist() == list(range(WIDTH + 1))


def test_units_are_ranked_again_after_each_step(run: gi.Run) -> None:
    found = pruning.compute(run, orders=["effect"], unit="neurons.0", removals=4, iterative=True)
    assert found.attrs["iterative"] == 1
    taken_out = Removals(probes.network_on_pairs(run.model), "neurons.0", "zero")
    low = found.neuron.values[0]
    assert sorted(low) == list(range(WIDTH))
    for start in range(0, WIDTH, 10):
        with run.model.hooks(fwd_hooks=gi.ablate(low[:start])):
            score = scores(taken_out, run.dataset, "effect").numpy()
        left = np.setdiff1d(np.arange(WIDTH), low[:start])
        assert (
            low[start : start + 10].tolist()
            == left[score[left].argsort(kind="stable")][:10].tolist()
        )
    once = pruning.compute(run, orders=["effect"], unit="neurons.0", removals=4)
    assert once.neuron.values[0, :10].tolist() == low[:10].tolist()
    assert once.neuron.values[0].tolist() != low.tolist()


def test_sizes_of_units() -> None:
    run = gi.train(CONFIG.replace({"training.steps": 1}), device="cpu", progress=False)
    network = probes.network_on_pairs(run.model)
    _, cache = run.model.run_with_cache(run.dataset.tokens)
    z = cache["blocks.0.attn.hook_z"][:, -1].double()
    found = scores(Removals(network, "heads.0", "zero"), run.dataset, "activation")
    torch.testing.assert_close(found, z.square().mean(dim=(0, 2)).sqrt())
    table = run.model.W_E[:P].detach().double()
    angle = 2 * np.pi * torch.arange(P).double() / P
    waves = [torch.stack([(k * angle).cos(), (k * angle).sin()]) for k in (1, 2, 3)]
    sizes = torch.stack([(wave @ table).norm() for wave in waves])
    found = scores(Removals(network, "frequencies", "zero"), run.dataset, "activation")
    torch.testing.assert_close(found, sizes)


def test_units_of_any_network_are_ranked_by_their_norm(run: gi.Run) -> None:
    found = pruning.compute(run, unit="heads.0", orders=["norm"])
    rising = probes.unit_norms(run.model, "heads.0").argsort().tolist()
    assert found.neuron.values.tolist() == [rising, rising[::-1]]


def test_frequencies_of_a_network_with_one_layer_have_orders(corrupted_run: gi.Run) -> None:
    found = pruning.compute(corrupted_run, unit="frequencies", random_seeds=1, removals=4)
    assert dict.fromkeys(found.order.values.tolist()) == dict.fromkeys(
        ["activation", "effect", "random"]
    )


def test_figures_name_the_units(run: gi.Run) -> None:
    data = pruning.compute(run, unit="heads.0", random_seeds=1)
    assert data.order.values.tolist()[:6:2] == ["share", "activation", "attribution"]
    for figure in (pruning.plot_pruning(data), pruning.plot_controls(data)):
        assert isinstance(figure, go.Figure)
        assert "fraction of heads<br>removed" in str(figure.to_dict())


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize(
    ("model", "unit"),
    [
        (gi.MLPConfig(d_mlp=8, n_layers=2), "neurons.0"),
        (gi.TransformerConfig(d_model=8, n_heads=2, d_mlp=8), "neurons.0"),
        (gi.LSTMConfig(d_embed=6, d_hidden=5), "hidden.0"),
        (gi.EmbeddingMLPConfig(d_embed=6, hidden=(8,)), "neurons.0"),
    ],
)
def test_the_first_layer_is_pruned_by_default(model: Any, unit: str) -> None:
    made = gi.train(CONFIG.replace({"model": model}), device="cpu", progress=False)
    data = pruning.compute(made, random_seeds=1, removals=4)
    assert data.attrs["unit"] == unit
    page = pruning.analysis(made, random_seeds=1)
    assert page.data.attrs["unit"] == unit


def test_what_a_network_lacks_is_refused(run: gi.Run) -> None:
    with pytest.raises(
        ValueError, match=r"unit='hidden\.0', but HookedTransformer has frequencies"
    ):
        pruning.compute(run, unit="hidden.0")
    with pytest.raises(ValueError, match=r"neurons\.0 of .* no periodicity by definition='ipr'"):
        pruning.compute(run, orders=["ipr"])
    with pytest.raises(ValueError, match=r"'attribution': frequencies of .* take 'effect'"):
        pruning.compute(run, unit="frequencies", orders=["attribution"])
    with pytest.raises(ValueError, match="'frequencies' have no parameters of their own"):
        pruning.compute(run, unit="frequencies", orders=["norm"])
    with pytest.raises(ValueError, match="mode='none' is unknown"):
        pruning.compute(run, mode="none")
    with pytest.raises(ValueError, match="removals must be at least 2"):
        pruning.compute(run, removals=1)
