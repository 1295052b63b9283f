from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

import grokinterp as gi
from analyses.one_run import row_ipr
from analyses.phase_diagrams import presets
from analyses.phase_diagrams.diagram_page import describe
from analyses.phase_diagrams.measures import MEASURES, PER_NEURON
from analyses.phase_diagrams.presets import PRESETS, SIZES
from analyses.phase_diagrams.sweep_job import SweepJob, settle
from grokinterp.sweeps.grid import Grid

TENTHS = tuple(float(f"0.{i}") for i in range(1, 10))
PAPER = gi.RunConfig(  # appendix A, written out once more
    data=gi.DataConfig(operation="addition", p=97, protocol="independent"),
    model=gi.MLPConfig(d_mlp=500, n_layers=1, act="square", init="paper"),
    training=gi.TrainConfig(
        steps=2000, lr=0.01, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.0, dropout=0.0, loss="mse"
    ),
)


def batches(size: int, steps: int, lr: float, every: int) -> dict[str, object]:
    """Appendix A: rate 0.01 sqrt(B / 256), as many examples as in 2000 steps of 256."""
    changes = {"batch_size": size, "steps": steps, "lr": lr, "eval_every": every}
    return {f"training.{name}": value for name, value in changes.items()}


WD, DECAYS = "training.weight_decay", (0, 5, 15, 20)


@pytest.mark.parametrize(
    ("name", "changes", "panel", "values"),
    [
        ("fig3a", {}, WD, DECAYS),
        ("fig3b", {}, "training.dropout", (0, 0.3, 0.6, 0.9)),
        ("fig29", {"model.d_mlp": 5000}, WD, DECAYS),
        ("fig31", {"data.operation": "multiplication"}, WD, DECAYS),
        ("fig9-b8", {"model.norm": "batch"} | batches(8, 64000, 0.01 * 32**-0.5, 320), WD, (0,)),
        ("fig9-b64", {"model.norm": "batch"} | batches(64, 8000, 0.005, 40), WD, (0,)),
        ("fig10-b256", batches(256, 2000, 0.01, 10), WD, (0,)),
        ("fig10-full", {}, WD, (0,)),
        ("fig11-b64", {"model.norm": "layer"} | batches(64, 8000, 0.005, 40), WD, (0,)),
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


TRANSFORMER = gi.RunConfig(  # section 2.2 and the authors' code, written out once more
    data=gi.DataConfig(operation="addition", p=97),
    model=gi.TransformerConfig(
        n_layers=1,
        d_model=128,
        n_heads=4,
        d_mlp=None,
        act_fn="relu",
        normalization_type=None,
        attention_dir="bidirectional",
        biases=False,
        mup=1.0,
        prompt="a b",
        init="paper1",
    ),
    training=gi.TrainConfig(steps=3000, lr=1e-3, betas=(0.9, 0.98), loss="mse"),
)
RELU3 = gi.RunConfig(
    data=gi.DataConfig(operation="addition", p=97),
    model=gi.MLPConfig(d_mlp=500, n_layers=2, act="relu", init="standard"),
    training=gi.TrainConfig(steps=5000, lr=1e-3, betas=(0.9, 0.98), loss="mse"),
)
SCAN = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)


@pytest.mark.parametrize(
    ("name", "base", "changes", "panel", "values"),
    [
        ("fig7a", TRANSFORMER, {}, WD, SCAN),
        ("fig7b", RELU3, {}, WD, SCAN),
        ("fig12-depth", TRANSFORMER, {WD: 1.0}, "model.n_layers", None),
        ("fig12-heads", TRANSFORMER, {WD: 1.0}, "model.n_heads", None),
        ("fig12-tied", TRANSFORMER, {WD: 1.0}, "model.tie_embedding", (False, True)),
        ("fig13", TRANSFORMER, {"training.dropout_at": "residual"}, "training.dropout", None),
        ("fig14", RELU3, {WD: 1.0}, "model.init", ("standard", "lazy")),
        ("fig15", RELU3, {"model.norm": "batch"} | batches(64, 20000, 0.0005, 40), WD, (0,)),
    ],
)
def test_other_architectures_and_what_is_ours(
    name: str,
    base: gi.RunConfig,
    changes: dict[str, object],
    panel: str,
    values: tuple[object, ...] | None,
) -> None:
    preset = presets.get(name)
    assert preset.config("full") == preset.config("small") == base.replace(changes)
    assert preset.panel == panel
    assert values is None or preset.values == values
    assert any(word in preset.description for word in ("not known", "not state"))
    if "12" in name:
        assert preset.axes("full")["data.train_fraction"] == (0.8,)
        assert preset.axes("tiny")["data.corruption"] == (0.2,)
        assert preset.axes("full")[panel] == preset.values


@pytest.mark.parametrize(
    ("name", "width"),
    [("fig3a", {"d_mlp": 100}), ("fig7a", {"d_model": 32}), ("fig9-b8", {"d_mlp": 100})],
)
def test_toys_are_small(name: str, width: dict[str, int]) -> None:
    toy, base = presets.get(name).config("tiny"), presets.get(name).base
    assert toy == base.replace(
        {"data.p": 29, "training.steps": 300, "training.eval_every": 10}
        | {f"model.{field}": value for field, value in width.items()}
    )


@pytest.mark.parametrize("name", ["fig9-b8", "fig12-heads", "fig12-tied", "fig13", "fig14"])
def test_toys_train(name: str) -> None:
    preset = presets.get(name)
    changes = {"data.p": 7, "training.steps": 2}
    base, axes = settle(preset, "tiny", changes=changes, values=None)
    for run in gi.train_many(list(Grid(base, axes, (0,)).configs.flat)[-2:], progress=False):
        assert run.history.sizes["step"] == 2
        for name, measure in row_ipr.ROW_MEASURES.items():
            assert 0 < measure(run) <= 1, name


def test_grids() -> None:
    preset = presets.get("fig3a")
    sizes = ("full", "small", "coarse", "tiny")
    full, small, coarse, tiny = (preset.axes(size) for size in sizes)
    alpha, xi = "data.train_fraction", "data.corruption"
    assert [len(values) for values in full.values()] == [4, 17, 19]
    np.testing.assert_allclose(full[alpha], np.linspace(0.1, 0.9, 17), rtol=0, atol=1e-12)
    np.testing.assert_allclose(full[xi], np.linspace(0.0, 0.9, 19), rtol=0, atol=1e-12)
    assert small[alpha] == TENTHS
    assert small[xi] == (0.0, *TENTHS)
    assert [len(values) for values in tiny.values()] == [2, 3, 3]
    assert set(small[alpha]) < set(full[alpha])  # so small cells are cells of the full diagram
    assert set(small[xi]) < set(full[xi])
    assert [len(values) for values in coarse.values()] == [4, 5, 5]
    assert set(coarse[alpha]) < set(small[alpha])
    assert set(coarse[xi]) < set(small[xi])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PRESETS)
def test_runs_at_the_ends_of_all_axes_are_valid_and_no_number_has_noise(
    name: str, size: str
) -> None:
    preset, ends = presets.get(name), {}
    assert preset.description.endswith(".")
    assert preset.figure.removeprefix("Fig. ") in name.replace("fig", "")
    for axis, values in preset.axes(size).items():
        assert not isinstance(values, Mapping)
        ends[axis] = list(dict.fromkeys((values[0], values[-1])))
        if not isinstance(values[0], str):
            assert all(-Decimal(repr(+v)).as_tuple().exponent <= 2 for v in values)  # pyright: ignore[reportOperatorIssue]
            assert list(values) == sorted(values)
    Grid(preset.config(size), ends, (0,))


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"'fig3'.*Did you mean 'fig3[ab]'.*Known: .*fig31"):
        presets.get("fig3")
    with pytest.raises(ValueError, match=r"'smal'.*Did you mean 'small'"):
        presets.get("fig3a").axes("smal")
    with pytest.raises(ValueError, match=r"'huge'.*Known: coarse, full, small, tiny"):
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


def test_a_sweep_of_transformers_measures_tables_and_is_described(tmp_path: Path) -> None:
    base, axes = settle(
        presets.get("fig12-tied"), "tiny", changes={"data.p": 7, "training.steps": 2}, values=None
    )
    job = SweepJob(base=base, axes=axes, store=tmp_path / "sweep.zarr")
    job.run(progress=False)
    stored = gi.open_sweep(job.store)
    for name in row_ipr.ROW_MEASURES:
        assert np.isfinite(stored[name]).all()
    assert "Transformer 1x32 relu, mse, 2 steps" in describe(stored)
    one_layer = SweepJob(base=presets.get("fig3a").base, axes={}, store=tmp_path / "other.zarr")
    assert one_layer.measure == MEASURES
    strange = base.replace({"data.operation": "a**2 + b"})
    assert SweepJob(base=strange, axes={}, store=tmp_path / "strange.zarr").measure == {}
