"""D_crit of one task from three kinds of runs: that each estimator is given its own numbers."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import grokinterp as gi
from analyses.efficiency import d_crit, ungrokking
from analyses.efficiency.d_crit import computation
from analyses.efficiency.d_crit import runs as d_crit_runs
from analyses.efficiency.ungrokking.runs import START_FROM
from analyses.statistics import agreement, joint_power
from analyses.statistics.critical_size import ungrokking_midpoint
from analyses.statistics.joint import ESTIMATORS
from grokinterp.sweeps.collect import Named, collect


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("d_crit")


@pytest.fixture(scope="module")
def runs(folder: Path) -> tuple[list[gi.Run], ...]:
    """A toy that learns nothing, as the command would train it."""
    return d_crit_runs.collect_runs(str(folder), "tiny", 1, level=0.0)


def test_nothing_is_detected_where_nothing_was_learned(
    runs: tuple[list[gi.Run], ...],
) -> None:
    data = d_crit.compute(*runs)
    names = ["efficiency crossing", "ungrokking midpoint", "divergence of time"]
    assert data.estimator.values.tolist() == names
    assert data.value.isnull().all()
    assert all("not detected" in reason for reason in data.reason.values)
    assert data.attrs["task"] == "MLP, addition, p = 13, weight decay 1"
    assert data.attrs["n_pairs"] == 169
    figure: Any = d_crit.plot_curves(data)
    shown = [note.text.replace("<br>", " ") for note in figure.layout.annotations]
    why = [f"{name}: {why}" for name, why in zip(names, data.reason.values, strict=True)]
    assert shown == [*why, "no data"]  # of the first panel


def ended(run: gi.Run, accuracy: float, crossing: int | None = None) -> gi.Run:
    """The run with made-up curves: a last validation accuracy, and when it got to it."""
    steps = np.arange(0, 1001, 10)
    test = np.full(len(steps), accuracy)
    if crossing is not None:
        test[steps < crossing] = 0.0
    curves = {"train_accuracy": ("step", np.ones(len(steps))), "test_accuracy": ("step", test)}
    return dataclasses.replace(run, history=xr.Dataset(curves, coords={"step": steps}))


def test_each_estimator_reads_its_own_runs(runs: tuple[list[gi.Run], ...]) -> None:
    """Made-up ends and crossings against the estimators on the same numbers."""
    costs, starts, _, times = runs
    fractions, ends = (0.1, 0.15, 0.2, 0.3), (0.02, 0.05, 0.9, 1.0)
    reduced = []
    for fraction, end in zip(fractions, ends, strict=True):
        named = ungrokking.continued(starts[0], fraction, 1.0, 20, level=0.0)
        assert named.start is not None
        begun = {"start": {"sha256": named.start.digest}}
        dataset = gi.make_dataset(named.config.data)
        made = dataclasses.replace(
            starts[0], config=named.config, dataset=dataset, provenance=begun
        )
        reduced.append(ended(made, end))
    steps = (600, 500, 400, 300)
    slow = [ended(run, 1.0, crossing) for run, crossing in zip(times, steps, strict=True)]
    data = d_crit.compute(costs, starts, reduced, slow)
    sizes = [int(f * 169) for f in fractions]
    want = ungrokking_midpoint(np.array(sizes), np.array([ends]))
    assert data.value.sel(estimator="ungrokking midpoint") == want.value
    assert sizes[1] < want.value < sizes[2]
    assert data.reduced_size.values.tolist() == sizes
    assert data.time.transpose("seed", ...).values.tolist() == [[600, 500, 400, 300]]
    assert data.reason.sel(estimator="ungrokking midpoint") == "one seed: no interval"
    rising = dataclasses.replace(reduced[-1], history=reduced[-1].history.copy())
    rising.history["test_accuracy"] = ("step", np.linspace(0.9, 1, 101))
    unfinished = d_crit.compute(costs, starts, [*reduced[:-1], rising], slow)
    assert "; 1 of 4 runs have no plateau" in unfinished.reason.values[1]
    never = [ended(slow[0], 0.0), *slow[1:]]
    assert np.isnan(d_crit.compute(costs, starts, reduced, never).time.values[0, 0])


def test_runs_of_different_tasks_are_refused(
    runs: tuple[list[gi.Run], ...], tmp_path: Path
) -> None:
    costs, starts, reduced, times = runs
    other = times[0].config.replace({"training.weight_decay": 0.3})
    strange = collect(tmp_path, [Named("other", other)], progress=False)
    with pytest.raises(ValueError, match=r"different tasks: .*weight decay 0\.3; .*decay 1"):
        d_crit.compute(costs, starts, reduced, strange)
    times = [
        dataclasses.replace(run, config=run.config.replace({"data.operation": "subtraction"}))
        for run in times
    ]
    with pytest.raises(ValueError, match=r"different tasks: MLP, addition, .*MLP, subtraction"):
        d_crit.compute(costs, starts, reduced, times)


def test_a_run_that_diverged_at_once_says_nothing(runs: tuple[list[gi.Run], ...]) -> None:
    costs, starts, reduced, times = runs
    gone = dataclasses.replace(
        times[0], history=times[0].history.isel(step=slice(0, 1)), diverged_at=1
    )
    data = d_crit.compute(costs, starts, reduced, [gone, *times[1:]])
    assert data.budget.isnull().transpose("seed", ...).values.tolist() == [
        [True, False, False, False]
    ]


def test_a_seed_whose_start_did_not_grok_has_no_part_in_the_midpoint() -> None:
    def curves(seeds: list[int], axis: str, **values: float) -> xr.Dataset:
        shape = len(seeds), 2
        return xr.Dataset(
            {name: (("seed", axis), np.full(shape, value)) for name, value in values.items()}
            | {"n_train": (axis, [100, 200])},
            coords={"seed": seeds, axis: [0.1, 0.2]},
        )

    costs = curves([0, 1], "size", memorising=1.0, generalising=2.0).drop_vars("n_train")
    timed = curves([0, 1], "fraction", crossing=50.0, last_step=60.0)
    costs["extended"] = costs.memorising < 0
    found = computation._by_seed(costs, curves([1], "fraction", final=0.5), timed)
    assert found.seed.values.tolist() == [0, 1]
    assert found.final.transpose("seed", ...).isnull().values.tolist() == [[True] * 2, [False] * 2]
    assert not found.drop_vars("final").isnull().to_dataarray().any()
    assert found.reduced_size.values.tolist() == found.time_size.values.tolist() == [100, 200]


@pytest.mark.slow
def test_the_estimates_of_settings_stand_side_by_side() -> None:
    """Of simulated experiments, as :func:`d_crit.compute` would give them."""
    rng, every = np.random.default_rng(0), {}
    for factor in (1.0, 2.0):
        truth = dict.fromkeys(ESTIMATORS, 1000.0) | {ESTIMATORS[1]: 1000.0 * factor}
        made = joint_power.simulated(rng, 5, truth)
        axes = {"memorising": "size", "generalising": "size", "final": "reduced_size"}
        axes |= {"time": "time_size", "budget": "time_size"}
        late = np.where(made.finished, made.times, np.nan)
        values = made.memorising, made.generalising, made.accuracy, late, made.budget
        curves = {
            name: (("seed", axis), one)
            for (name, axis), one in zip(axes.items(), values, strict=True)
        }
        sizes = made.cost_sizes, made.reduced_sizes, made.time_sizes
        places = dict(zip(("size", "reduced_size", "time_size"), sizes, strict=True))
        measured = xr.Dataset(curves, coords=places)
        estimates, joint = computation._estimates(measured, n_boot=20)
        table = agreement.compute(estimates).assign_attrs(joint.attrs)
        every[f"factor {factor:g}"] = table.merge(joint.drop_dims("pair")).merge(measured)
    assert every["factor 2"].attrs["verdict"] == "differ"
    assert "ungrokking midpoint over" in every["factor 2"].attrs["sentence"]
    data = d_crit.side_by_side(every)
    assert data.setting.values.tolist() == ["factor 1", "factor 2"]
    figure: Any = d_crit.plot_settings(data)
    for trace, name in zip(figure.data, ESTIMATORS, strict=True):
        assert trace.name == name
        np.testing.assert_array_equal(trace.x, data.value.sel(estimator=name))
    said = [note.text.replace("<br>", " ") for note in figure.layout.annotations]
    assert said == data.sentence.values.tolist()


@pytest.mark.slow
def test_the_command(
    folder: Path,
    runs: tuple[list[gi.Run], ...],
    command: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert runs  # it finds them
    monkeypatch.setitem(START_FROM, "tiny", 0.0)
    result = command("run", "d_crit", folder, "--size", "tiny", "--seeds", 1)
    assert result.exit_code == 0, result.output
    assert result.output.count("not detected") >= 3
    assert "Cannot tell: one seed has no interval." in result.output
    names = {"d_crit.html", "d_crit.nc", "d_crit_mlp_1.html", "d_crit_mlp_1.nc"}
    assert names <= {file.name for file in folder.iterdir()}
