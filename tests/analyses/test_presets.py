from decimal import Decimal

import numpy as np
import pytest

import grokinterp as gi
from analyses import presets
from analyses.measures import MEASURES, PER_NEURON
from analyses.presets import PRESETS, SIZES
from grokinterp.sweeps.grid import Grid

TENTHS = tuple(float(f"0.{i}") for i in range(1, 10))
PAPER = gi.RunConfig(  # appendix A, written out once more
    data=gi.DataConfig(operation="addition", p=97, protocol="independent"),
    model=gi.MLPConfig(d_mlp=500, n_layers=1, act="square", init="paper"),
    training=gi.TrainConfig(
        steps=2000, lr=0.01, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.0, dropout=0.0, loss="mse"
    ),
)


@pytest.mark.parametrize(
    ("name", "changes", "panel", "values"),
    [
        ("fig3a", {}, "training.weight_decay", (0, 5, 15, 20)),
        ("fig3b", {}, "training.dropout", (0, 0.3, 0.6, 0.9)),
        ("fig29", {"model.d_mlp": 5000}, "training.weight_decay", (0, 5, 15, 20)),
        ("fig31", {"data.operation": "multiplication"}, "training.weight_decay", (0, 5, 15, 20)),
    ],
)
def test_settings_the_paper_states(
    name: str, changes: dict[str, object], panel: str, values: tuple[float, ...]
) -> None:
    preset = presets.get(name)
    assert preset.config("full") == preset.config("small") == PAPER.replace(changes)
    assert preset.axes("full")[panel] == values


@pytest.mark.parametrize(
    ("name", "changes", "panel"),
    [
        ("fig26-weight-decay", {"training.loss": "cross_entropy"}, "training.weight_decay"),
        ("fig26-dropout", {"training.loss": "cross_entropy"}, "training.dropout"),
        ("fig27", {"model.act": "relu"}, "training.weight_decay"),
        ("fig28", {"model.act": "relu"}, "training.dropout"),
        ("fig30", {"model.act": "relu", "model.d_mlp": 5000}, "training.weight_decay"),
    ],
)
def test_a_guessed_panel_is_called_a_guess(
    name: str, changes: dict[str, object], panel: str
) -> None:
    preset = presets.get(name)
    assert preset.config("full") == PAPER.replace(changes)
    assert preset.panel == panel
    assert preset.axes("full")[panel] == preset.values
    assert "not known" in preset.description or "not state" in preset.description


def test_grids() -> None:
    preset = presets.get("fig3a")
    full, small, tiny = (preset.axes(size) for size in ("full", "small", "tiny"))
    alpha, xi = "data.train_fraction", "data.corruption"
    assert [len(values) for values in full.values()] == [4, 17, 19]
    np.testing.assert_allclose(full[alpha], np.linspace(0.1, 0.9, 17), rtol=0, atol=1e-12)
    np.testing.assert_allclose(full[xi], np.linspace(0.0, 0.9, 19), rtol=0, atol=1e-12)
    assert small[alpha] == TENTHS
    assert small[xi] == (0.0, *TENTHS)
    assert [len(values) for values in tiny.values()] == [2, 3, 3]
    assert set(small[alpha]) < set(full[alpha])  # so small cells are cells of the full diagram
    assert set(small[xi]) < set(full[xi])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PRESETS)
def test_every_run_is_valid_and_no_number_has_noise(name: str, size: str) -> None:
    preset = presets.get(name)
    grid = Grid(preset.config(size), preset.axes(size), (0,))
    assert preset.description.endswith(".")
    assert preset.figure.removeprefix("Fig. ") in name.replace("fig", "")
    for values in grid.axes.values():
        assert all(-Decimal(str(v)).as_tuple().exponent <= 2 for v in values)  # pyright: ignore[reportOperatorIssue]
        assert list(values) == sorted(values)


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"'fig3'.*Did you mean 'fig3[ab]'.*Known: .*fig31"):
        presets.get("fig3")
    with pytest.raises(ValueError, match=r"'smal'.*Did you mean 'small'"):
        presets.get("fig3a").axes("smal")
    with pytest.raises(ValueError, match=r"'huge'.*Known: full, small, tiny"):
        presets.get("fig3a").config("huge")


def test_measures_count_dead_neurons(half_solved_run: gi.Run) -> None:
    """The analytic solution's 130 neurons, 30 of noise; ten of these die."""
    import copy
    import dataclasses

    model = copy.deepcopy(half_solved_run.model)
    for weight in (model.W_E.data[..., -10:], model.W_U.data[-10:]):
        weight.zero_()
    run = dataclasses.replace(half_solved_run, model=model)
    assert MEASURES["dead_share"](run) == pytest.approx(10 / 160)
    assert MEASURES["dead_share"](half_solved_run) == 0.0
    ipr = np.asarray(PER_NEURON["ipr"](run))
    assert ipr.shape == (160,)
    assert np.isnan(ipr).sum() == 10
    np.testing.assert_allclose(ipr[:130], 1.0, atol=1e-6)
    assert MEASURES["mean_ipr"](run) == pytest.approx(np.nanmean(ipr))
