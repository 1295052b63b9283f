"""D_crit of one task from three kinds of runs: that each estimator is given its own numbers."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import grokinterp as gi
from analyses.efficiency import d_crit, semi_grokking, settings, ungrokking
from analyses.efficiency.model_efficiency import runs as efficiency_runs
from analyses.efficiency.ungrokking.runs import START_FROM
from analyses.statistics.critical_size import ungrokking_midpoint
from grokinterp.sweeps.collect import Named, collect

SEEDS = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("d_crit")


@pytest.fixture(scope="module")
def runs(folder: Path) -> tuple[list[gi.Run], ...]:
    """A toy that learns nothing, as the command would train it."""
    costs = efficiency_runs.collect_runs(folder, "tiny", 1)
    starts, reduced = ungrokking.collect_runs(
        folder, "tiny", 1, networks=["mlp"], controls=False, level=0.0
    )
    times = collect(folder, semi_grokking.wanted("tiny", 1, "mlp"))
    return costs, starts, reduced, times


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
    assert shown == [f"{name}: {why}" for name, why in zip(names, data.reason.values, strict=True)]


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
    slow = [ended(run, 1.0, crossing) for run, crossing in zip(times, (600, 300), strict=True)]
    data = d_crit.compute(costs, starts, reduced, slow)
    sizes = [int(f * 169) for f in fractions]
    want = ungrokking_midpoint(np.array(sizes), np.array([ends]))
    assert data.value.sel(estimator="ungrokking midpoint") == want.value
    assert sizes[1] < want.value < sizes[2]
    assert data.reduced_size.values.tolist() == sizes
    assert data.time.values.tolist() == [[600, 300]]
    assert data.reason.sel(estimator="ungrokking midpoint") == "one seed: no interval"
    rising = dataclasses.replace(reduced[-1], history=reduced[-1].history.copy())
    rising.history["test_accuracy"] = ("step", np.linspace(0.9, 1, 101))
    unfinished = d_crit.compute(costs, starts, [*reduced[:-1], rising], slow)
    assert "; 1 of 4 runs have no plateau" in unfinished.reason.values[1]
    never = [ended(slow[0], 0.0), slow[1]]
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
    assert data.budget.isnull().values.tolist() == [[True, False]]


def test_the_command(
    folder: Path,
    runs: tuple[list[gi.Run], ...],
    command: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert runs  # it finds them
    monkeypatch.setitem(START_FROM, "tiny", 0.0)
    monkeypatch.setattr(settings, "NETWORKS", ("mlp",))
    result = command("run", "d_crit", folder, "--size", "tiny", "--seeds", 1)
    assert result.exit_code == 0, result.output
    assert result.output.count("not detected") >= 3
    assert {"d_crit.html", "d_crit.nc"} <= {file.name for file in folder.iterdir()}
