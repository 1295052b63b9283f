"""Data efficiency: SciPy on known accuracies, settings that change one thing, and a toy sweep."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from scipy import stats

import grokinterp as gi
from analyses.efficiency import data_efficiency as de
from analyses.efficiency.data_efficiency import figures
from analyses.efficiency.data_efficiency.computation import first_fraction
from analyses.efficiency.data_efficiency.grids import (
    BASELINE,
    FACTORS,
    GRIDS,
    PANELS,
    cell,
    get,
    label,
)
from analyses.efficiency.data_efficiency.runs import grok_step
from grokinterp.sweeps import estimate
from grokinterp.sweeps.grid import Grid

SMALL = get("small")
SETTINGS, FRACTIONS = list(SMALL.axes["setting"]), list(SMALL.fractions)
RUN_DIMS = ("setting", "data.train_fraction", "seed")


def make_sweep(accuracy: np.ndarray, done: np.ndarray | None = None) -> xr.Dataset:
    """What ``gi.sweep`` returns, from test accuracies [setting, fraction, seed]."""
    done = np.ones(accuracy.shape, dtype=bool) if done is None else done
    rates = [SMALL.axes["setting"][name]["training.lr"] for name in SETTINGS]
    subsets = np.stack([1 - accuracy, accuracy], axis=-1)  # of which "test" must be read
    numbers = {
        "final_accuracy": ((*RUN_DIMS, "subset"), subsets),
        "best_accuracy": ((*RUN_DIMS, "subset"), np.minimum(1, subsets + 0.05)),
        "grok_step": (RUN_DIMS, np.where(accuracy > 0.99, 100.0, np.nan)),
        "learning_rate": (RUN_DIMS, np.ones(accuracy.shape) * np.array(rates)[:, None, None]),
    }
    coords = dict(zip(RUN_DIMS, (SETTINGS, FRACTIONS, range(accuracy.shape[2])), strict=True))
    sweep = xr.Dataset(numbers, coords=coords | {"subset": ["train", "test"]})
    return sweep.where(xr.DataArray(done, dims=RUN_DIMS)).assign(done=(RUN_DIMS, done))


@pytest.fixture
def accuracy() -> np.ndarray:
    rng = np.random.default_rng(3)
    return rng.uniform(0.2, 0.8, size=(len(SETTINGS), len(FRACTIONS), 4))


def at(data: xr.Dataset, factor: str, rate: str) -> xr.Dataset:
    return data.sel(factor=factor, rate=rate, reading="final")


def test_a_folder_may_be_a_string(tmp_path: Path) -> None:
    found, expected = (de.job(out, "tiny", 1).store for out in (str(tmp_path), tmp_path))
    assert found == expected


def test_intervals_are_students(accuracy: np.ndarray) -> None:
    data = de.compute(make_sweep(accuracy))
    for i, name in enumerate(SETTINGS):
        here = at(data, *cell(name))
        np.testing.assert_array_equal(here.accuracy, accuracy[i])
        for j in range(len(FRACTIONS)):
            want = stats.ttest_1samp(accuracy[i, j], 0).confidence_interval(0.95)
            np.testing.assert_allclose(here["mean"][j], accuracy[i, j].mean())
            np.testing.assert_allclose(here.low[j], max(0, want.low))
            np.testing.assert_allclose(here.high[j], min(1, want.high))
        assert here.learning_rate == SMALL.axes["setting"][name]["training.lr"]
    assert data.reading.values.tolist() == ["final", "best"]
    assert (data.accuracy.sel(reading="best") >= data.accuracy.sel(reading="final")).sum() > 100


def test_gain_is_paired_and_at_the_same_rate(accuracy: np.ndarray) -> None:
    data = de.compute(make_sweep(accuracy))
    of = {cell(name): accuracy[i].mean(axis=0) for i, name in enumerate(SETTINGS)}  # per seed
    for (factor, rate), per_seed in of.items():
        here = at(data, factor, rate)
        np.testing.assert_allclose(here.overall, per_seed.mean())
        against = (BASELINE, "baseline" if factor == BASELINE else rate)
        if against == (factor, rate):
            assert np.isnan(here.gain)
            assert np.isnan(here.gain_low)
            continue
        test = stats.ttest_rel(per_seed, of[against])
        want = test.confidence_interval(0.95)
        np.testing.assert_allclose(here.gain, (per_seed - of[against]).mean())
        np.testing.assert_allclose([here.gain_low, here.gain_high], [want.low, want.high])
        np.testing.assert_allclose(here.gain_p, test.pvalue)
    assert np.isnan(at(data, "dropout", "low").overall)  # not in the sweep


def test_which_change_helps_is_corrected_for_the_number_of_changes(accuracy: np.ndarray) -> None:
    """All cells alike but three, of which one differs too little for the 14 comparisons."""
    accuracy[:] = 0.5
    exactly = np.array([0.1, 0.1001, 0.0999, 0.1])
    for name, gain in (("dropout", exactly), ("decay to zero", -exactly)):
        accuracy[SETTINGS.index(label(name, "high"))] += gain
    vague = np.array([0.10, 0.16, 0.04, 0.10])  # p .017 alone
    accuracy[SETTINGS.index(label("weight noise", "baseline"))] += vague
    data = de.compute(make_sweep(accuracy))
    noise = at(data, "weight noise", "baseline")
    _, alone = stats.ttest_rel(0.5 + vague, np.full(4, 0.5))
    assert noise.gain_p == pytest.approx(alone)
    assert noise.gain_p < 0.05
    n = len(SETTINGS) - 1  # each but the reference
    assert noise.gain_p_holm == pytest.approx((n - 2) * float(noise.gain_p))  # two come before it
    told = {(row["setting"], row["rate"]): row["change"] for row in de.table(data)}
    assert told.pop((BASELINE, "baseline")) == ""
    assert np.isnan(at(data, "dropout", "low").helps)  # not in the sweep
    assert told.pop(("dropout", "high")) == "helps"
    assert told.pop(("decay to zero", "high")) == "hurts"
    assert set(told.values()) == {"cannot tell"}


def test_first_fraction_and_its_censoring(accuracy: np.ndarray) -> None:
    step = np.linspace(0.1, 0.2, accuracy.shape[2])[::-1] * 0.1  # spread over seeds
    accuracy[:] = 0.1 + step
    i, j, k = (SETTINGS.index(label(BASELINE, rate)) for rate in ("low", "baseline", "high"))
    accuracy[i, 5:] = 0.97 + step  # from 0.6 on, without doubt
    accuracy[j, 3] = [1.0, 1.0, 1.0, 0.4]  # a mean of 0.85, perhaps above 0.9
    accuracy[j, 7:] = 0.95
    accuracy[k, 8] = [1.0, 1.0, 1.0, 0.7]  # a mean of 0.925, perhaps below
    data = de.compute(make_sweep(accuracy))
    low, baseline, high = (at(data, BASELINE, rate) for rate in ("low", "baseline", "high"))
    ends = ("first_fraction", "first_low", "first_high")
    assert [low[name].item() for name in ends] == [0.6, 0.6, 0.6]
    assert [baseline[name].item() for name in ends] == [0.8, 0.4, 0.8]
    assert [high[name].item() for name in ends[:2]] == [0.9, 0.9]
    assert np.isnan(high.first_high)
    assert np.isnan(at(data, "dropout", "high").first_fraction)
    at_half = first_fraction(data, 0.5).value.sel(reading="final")
    assert at_half.sel(factor=BASELINE, rate="baseline") == 0.4
    for level in (0.0, 1.5):
        with pytest.raises(ValueError, match="level"):
            first_fraction(data, level)


def test_one_seed_has_no_intervals(accuracy: np.ndarray) -> None:
    data = de.compute(make_sweep(accuracy[:, :, :1]))
    assert data["mean"].notnull().any()
    for name in ("low", "high", "overall_low", "gain_high", "first_low"):
        assert data[name].isnull().all()
    figures.plot_ranking(data)


def test_runs_that_are_not_done_are_left_out(accuracy: np.ndarray) -> None:
    done = np.ones(accuracy.shape, dtype=bool)
    done[0, 2, 1:] = done[3] = False
    data = de.compute(make_sweep(accuracy, done))
    first, fourth = at(data, *cell(SETTINGS[0])), at(data, *cell(SETTINGS[3]))
    assert first.n_done.values.tolist() == [4, 4, 1, 4, 4, 4, 4, 4, 4]
    assert first["mean"][2] == accuracy[0, 2, 0]
    assert np.isnan(first.low[2])
    assert first.overall == pytest.approx(accuracy[0, :, 0].mean())  # one seed is complete
    assert fourth.n_done.sum() == 0
    assert fourth["mean"].isnull().all()
    with pytest.raises(ValueError, match="no run of the sweep is done"):
        de.compute(make_sweep(accuracy, np.zeros_like(done)))
    with pytest.raises(ValueError, match=r"takes a sweep of data_efficiency\.job"):
        de.compute(make_sweep(accuracy).drop_vars("grok_step"))


def test_the_order_of_settings_does_not_matter(accuracy: np.ndarray) -> None:
    sweep = make_sweep(accuracy)
    backwards = sweep.isel(setting=slice(None, None, -1))
    xr.testing.assert_identical(de.compute(backwards), de.compute(sweep))


@pytest.mark.parametrize("size", GRIDS)
def test_every_setting_changes_one_thing(size: str) -> None:
    settings = get(size)
    grid = Grid(settings.base, settings.axes, (0, 1))  # every run is valid, and no two are the same
    assert len(grid.dimensions[0].changes) == 15
    assert {factor for factor, _ in PANELS.values()} == set(FACTORS)
    assert len(PANELS) == 9
    owned = {
        BASELINE: set(),
        "small batches": {"batch_size"},
        "update noise": {"update_noise"},
        "dropout": {"dropout", "dropout_at"},
        "decay to zero": {"weight_decay"},
        "decay to initialisation": {"weight_decay", "decay"},
        "weight noise": {"weight_noise"},
    }
    plain = settings.base.training
    assert (plain.weight_decay, plain.batch_size, plain.optimizer) == (0, None, "adamw")
    for name, config in zip(settings.axes["setting"], grid.configs[:, 0, 0], strict=True):
        factor, rate = cell(name)
        assert config.training.lr == settings.rates[rate]
        different = {
            field for field, value in vars(config.training).items() if value != vars(plain)[field]
        }
        assert different - {"lr"} == owned[factor]
        assert config.model == settings.base.model


def test_adam_is_adamw_without_decay() -> None:
    base = get("tiny").base.replace({"training.steps": 5})
    one, other = (
        gi.train(base.replace({"training.optimizer": name}), device="cpu", progress=False)
        for name in ("adamw", "adam")
    )
    for name, weight in one.model.state_dict().items():
        assert torch.equal(weight, other.model.state_dict()[name])


def test_grok_step_is_sustained(tiny_run: gi.Run) -> None:
    def step(accuracies: list[float]) -> float:
        history = xr.Dataset(
            {"test_accuracy": ("step", accuracies)}, {"step": 10 * np.arange(len(accuracies))}
        )
        return grok_step(dataclasses.replace(tiny_run, history=history))

    assert step([0.0, 1.0, 1.0, 0.2, *[0.99] * 5, 0.1]) == 40
    assert np.isnan(step([0.0, *[1.0] * 4, 0.2, 1.0]))
    assert np.isnan(step([1.0]))  # diverged at once


def test_figures_draw_the_numbers(accuracy: np.ndarray) -> None:
    data = de.compute(make_sweep(accuracy))
    published = {panel: ([0.1, 0.9], [0.0, i / 10]) for i, panel in enumerate(PANELS)}
    figure: Any = figures.plot_curves(data, published=published)
    headings = [text.text.replace("<br>", " ") for text in figure.layout.annotations[:9]]
    assert headings == [f"<b>{panel}</b>" for panel in PANELS]
    assert len(figure.data) == 27
    for i, (factor, rate) in enumerate(PANELS.values()):
        theirs, control, own = figure.data[3 * i : 3 * i + 3]
        assert theirs.y.tolist() == [0.0, 10.0 * i]
        assert own.legendgroup == rate
        assert control.legendgroup == ("high" if (factor, rate) in OWN_BASELINE else "baseline")
        here = at(data, factor, rate)
        np.testing.assert_allclose(own.y, 100 * here["mean"])
        np.testing.assert_allclose(own.y + own.error_y.array, 100 * here.high)
        np.testing.assert_allclose(own.y - own.error_y.arrayminus, 100 * here.low)
    plain: Any = figures.plot_curves(data)
    assert len(plain.data) == 18
    ranking: Any = figures.plot_ranking(data)
    order = [name.replace("<br>", " ") for name in ranking.layout.yaxis.ticktext]
    ranked = [float(at(data, factor, "baseline").overall) for factor in order]
    assert ranked == sorted(ranked, reverse=True)
    low = next(trace for trace in ranking.data if trace.legendgroup == "low")
    assert low.x == pytest.approx(100 * float(at(data, BASELINE, "low").overall))


OWN_BASELINE = [panel for panel in PANELS.values() if panel[1] == "baseline"]


def test_published_curves_are_read(tmp_path: Path) -> None:
    def entry(name: str, kind: str, y: float) -> dict[str, Any]:
        return {"id": f"p2.fig4.{name}", "kind": kind, "value": {"x": [0.1], "y": [y]}}

    file = tmp_path / "targets.json"
    curves = [entry(f"{i}.curve", "curve", 10.0 * i) for i in range(9)]
    others = [entry("0.threshold90", "number", 1.0), {"id": "p2.fig5.x", "kind": "curve"}]
    file.write_text(json.dumps([*others, *curves]))
    assert de.read_published(file)["dropout"] == ([0.1], [pytest.approx(0.3)])
    file.write_text(json.dumps(curves[1:]))
    with pytest.raises(ValueError, match=r"holds 8 curves of Fig\. 4"):
        de.read_published(file)


@pytest.mark.slow
def test_the_command_trains_and_resumes(
    tmp_path: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = dataclasses.replace(
        get("tiny"), base=get("tiny").base.replace({"training.steps": 2}), fractions=(0.5,)
    )
    monkeypatch.setitem(GRIDS, "tiny", short)
    monkeypatch.setattr(estimate, "_BUDGET_S", 0.01)
    words = ["run", "data_efficiency", tmp_path, "--size", "tiny", "--seeds", 1]
    first = command(*words)
    assert first.exit_code == 0, first.output
    assert "15 of 15 runs to train, 30 steps" in first.output
    assert "setting full-batch Adam  rate low  learning_rate 0.005" in first.output
    assert (tmp_path / "data_efficiency.html").stat().st_size > 10_000
    stored = gi.open_sweep(tmp_path / "data_efficiency.zarr")
    assert stored.setting.values.tolist() == SETTINGS
    assert stored.done.all()
    again = command(*words)
    assert "nothing is left to train" in again.output
    assert again.exit_code == 0
