"""Runs that differ in one setting: each finds its place, and figures show all of them."""

import numpy as np
import pytest
import xarray as xr

import grokinterp as gi
from analyses.label_noise import deep_batchnorm, dropout_curves, grids, table_ipr
from analyses.label_noise.curves import plot_curves
from analyses.label_noise.words import counted, interval_in_words
from analyses.one_run import norm_gain, row_ipr
from analyses.phase_diagrams import presets
from grokinterp.sweeps.collect import Named

SHORT = {"training.steps": 12, "training.eval_every": 6, "data.p": 7}


def train(wanted: list[Named], **changes: object) -> list[gi.Run]:
    configs = [named.config.replace(SHORT | changes) for named in wanted]
    return gi.train_many(configs, device="cpu", progress=False)


@pytest.fixture(scope="module")
def with_dropout() -> list[gi.Run]:
    return train(dropout_curves.wanted("tiny", 2), **{"model.d_mlp": 10})


def test_each_run_has_its_place(with_dropout: list[gi.Run]) -> None:
    data = dropout_curves.compute(with_dropout[::-1])  # in any order
    assert data.dropout.values.tolist() == [0.9, 0.6, 0.3, 0.0]
    for run in with_dropout:
        here = data.sel(dropout=run.config.training.dropout, seed=run.config.seed)
        assert np.array_equal(here.accuracy.sel(subset="test"), run.history.test_accuracy)
        assert here.mean_ipr == pytest.approx(float(here.ipr.mean()))
        changed = int(run.dataset.is_changed.sum())
        assert float(here.share_uncorrupted) == 1 - changed / run.config.data.n_train
    with pytest.raises(
        ValueError, match=r"each training\.dropout with each seed once, got \[\(0.0"
    ):
        dropout_curves.compute(with_dropout[:-1])
    with pytest.raises(ValueError, match=r"each training\.dropout with each seed once"):
        dropout_curves.compute([*with_dropout, with_dropout[0]])


def test_the_curves_of_every_dropout(with_dropout: list[gi.Run]) -> None:
    data = dropout_curves.compute(with_dropout)
    figure = plot_curves(data, "dropout", title="curves")
    thick = [t for t in figure.data if t.name == "test" and t.line.width > 1]  # pyright: ignore[reportAttributeAccessIssue]
    assert len(thick) == 4
    mean = data.accuracy.sel(subset="test").mean("seed")
    for trace, curve in zip(thick, mean, strict=True):
        assert trace.y == pytest.approx(curve.values)  # pyright: ignore[reportAttributeAccessIssue]
    histograms = dropout_curves.plot_ipr(data)
    bars = [t for t in histograms.data if t.type == "histogram"]  # pyright: ignore[reportAttributeAccessIssue]
    assert [len(t.x) for t in bars] == [20] * 4  # pyright: ignore[reportAttributeAccessIssue]
    rows = dropout_curves.table(data)
    assert [row["dropout"] for row in rows] == [0.0, 0.3, 0.6, 0.9]
    assert rows[2]["test"] == pytest.approx(float(mean[2, -1]))


def test_settings_of_the_figures_the_paper_states() -> None:
    configs = [named.config for named in dropout_curves.wanted("published", 1)]
    assert [c.training.dropout for c in configs] == [0.0, 0.3, 0.6, 0.9]
    assert {(c.data.train_fraction, c.data.corruption) for c in configs} == {(0.5, 0.35)}
    fig13 = [named.config for named in table_ipr.wanted("fig13", "published", 1)]
    assert {(c.data.train_fraction, c.data.corruption) for c in fig13} == {(0.9, 0.1)}
    fig14 = [named.config for named in table_ipr.wanted("fig14", "published", 3)]
    assert {(c.data.train_fraction, c.data.corruption) for c in fig14} == {(0.8, 0.2)}
    assert [c.seed for c in fig14] == [0, 1, 2] * 2
    fig15 = [named.config for named in deep_batchnorm.wanted("published", 1)]
    assert {(c.data.train_fraction, c.data.corruption) for c in fig15} == {(0.8, 0.1)}
    assert {(c.training.batch_size, c.model.norm, c.model.n_layers) for c in fig15} == {
        (64, "batch", 2)
    }


@pytest.mark.parametrize("figure", table_ipr.CELLS)
def test_every_figure_is_its_preset(figure: str) -> None:
    preset = presets.get(figure)
    values = {named.folder for named in table_ipr.wanted(figure, "published", 1)}
    assert len(values) == len(preset.values)
    small = [named.config for named in table_ipr.wanted(figure, "small", 1)]
    assert [grids.field_value(c, preset.panel) for c in small] == list(preset.values)
    if preset.panel != "training.weight_decay":
        decays = {c.training.weight_decay for c in small}
        assert decays == {"fig13": {0.0}, "fig14": {10.0}}.get(figure, {3.0})


def test_rows_of_all_seeds_are_pooled() -> None:
    wanted = table_ipr.wanted("fig12-tied", "tiny", 2)
    runs = train(wanted, **{"model.d_model": 8})
    data = table_ipr.compute(runs, "model.tie_embedding")
    assert data.value.values.tolist() == ["no", "yes"]
    for run in runs:
        value = "yes" if run.config.model.tie_embedding else "no"
        here, alone = data.sel(value=value, seed=run.config.seed), row_ipr.compute(run)
        assert np.array_equal(here.ipr, alone.ipr[0], equal_nan=True)
    three = data.mean_ipr.sel(value="no", table="input").values
    assert float(data["mean"].sel(value="no", table="input")) == pytest.approx(three.mean())
    figure = table_ipr.plot_tables(data, title="tables")
    bars = [t for t in figure.data if t.type == "histogram"]  # pyright: ignore[reportAttributeAccessIssue]
    assert [len(t.x) for t in bars] == [16] * 4  # pyright: ignore[reportAttributeAccessIssue]
    pooled = data.ipr.sel(value="yes", table="output").values.ravel()
    assert np.array_equal(np.sort(bars[3].x), np.sort(pooled))  # pyright: ignore[reportAttributeAccessIssue]
    headings = [a.text.replace("<br>", " ") for a in figure.layout.annotations]  # pyright: ignore[reportAttributeAccessIssue]
    assert headings[0].startswith("<b>tied embedding no</b>, input 16 rows")
    row = table_ipr.table(data, "fig12-tied")[1]
    assert (row["figure"], row["tied embedding"]) == ("fig12-tied", "yes")


@pytest.fixture(scope="module")
def with_batchnorm() -> list[gi.Run]:
    changes = {"model.d_mlp": 8, "training.batch_size": 10}
    return train(deep_batchnorm.wanted("tiny", 2), **changes)


def test_gains_of_the_first_and_the_last_norm(with_batchnorm: list[gi.Run]) -> None:
    data = deep_batchnorm.compute(with_batchnorm)
    assert data.weight_decay.values.tolist() == list(deep_batchnorm.DECAYS)
    run = with_batchnorm[3]
    here = data.sel(weight_decay=run.config.training.weight_decay, seed=run.config.seed)
    alone = norm_gain.compute(run).correlation.sel(coefficient="spearman").values
    assert here.correlation.sel(norm=["first", "last"]).values == pytest.approx(alone[[0, -1]])
    assert here.ipr.sel(table="input") == pytest.approx(row_ipr.input_ipr(run))
    rows = deep_batchnorm.table(data)
    assert rows[-1] == "no weight decay of 0, 1, 3, 10 makes most seeds generalise"
    assert deep_batchnorm.chosen(data) is None
    assert len(rows) == 5


def test_the_first_decay_at_which_most_seeds_generalise() -> None:
    test = [[0.2, 0.95, 0.3], [0.95, 0.2, 0.91], [1.0, 1.0, 1.0]]
    accuracy = xr.DataArray(
        [[[[a] for a in seeds]] for seeds in test],
        dims=("weight_decay", "step", "seed", "subset"),
        coords={"weight_decay": [0.0, 1.0, 3.0], "subset": ["test"]},
    )
    assert deep_batchnorm.chosen(accuracy.to_dataset(name="accuracy")) == 1.0


def test_results_in_words() -> None:
    names = np.array(["coexistence", "", "memorization", "coexistence"])
    assert counted(names) == "2 coexistence, 1 memorization"
    assert interval_in_words(0.414, 0.38, 0.448) == "0.41 [0.38, 0.45]"
    assert interval_in_words(0.414, np.nan, np.nan) == "0.41"
