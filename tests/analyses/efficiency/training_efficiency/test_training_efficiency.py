"""Times that are written into histories, and medians of censored ones by hand."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr

import grokinterp as gi
from analyses.efficiency import training_efficiency
from analyses.efficiency.model_efficiency import runs as efficiency_runs

ROWS = np.arange(0, 201, 10)


@pytest.fixture(scope="module")
def trained() -> gi.Run:
    config = gi.RunConfig(
        data=gi.DataConfig(p=5, train_fraction=0.4),
        model=gi.MLPConfig(d_mlp=4),
        training=gi.TrainConfig(steps=1),
    )
    return gi.train(config, device="cpu", progress=False)


@pytest.fixture(scope="module")
def make(trained: gi.Run) -> Callable[..., gi.Run]:
    def run(train: float, test: float, *, last: int = 200, **where: Any) -> gi.Run:
        """Accuracies that jump to 1 at a step; later than ``last`` they have not."""
        rows = ROWS[last >= ROWS]
        history = xr.Dataset(
            {
                "train_accuracy": ("step", np.where(rows >= train, 1.0, 0.3)),
                "test_accuracy": ("step", np.where(rows >= test, 1.0, 0.1)),
            },
            coords={"step": rows},
        )
        where = {"seed": 0, "fraction": 0.4, "random": False} | where
        changes = {"seed": where["seed"], "data.train_fraction": where["fraction"]}
        changes["data.corruption"] = float(where["random"])
        return dataclasses.replace(trained, config=trained.config.replace(changes), history=history)

    return run


@pytest.fixture(scope="module")
def data(make: Callable[..., gi.Run]) -> Any:
    runs = [
        *(make(20, test, seed=s) for s, test in enumerate((100, 120, 999))),
        *(make(40, 999, random=True, seed=s) for s in (0, 1)),
        make(999, 999, random=True, seed=2),
        *(make(30, 999, seed=s, fraction=0.2) for s in (0, 1, 2)),
        make(10, 999, random=True, seed=0, fraction=0.2),
        *(make(10, 999, random=True, seed=s, fraction=0.05) for s in (0, 1, 2)),
    ]
    return training_efficiency.compute(runs)


def test_times_are_those_of_the_histories(data: Any) -> None:
    name = data.network.item()
    here = data.sel(network=name, fraction=0.4)
    np.testing.assert_array_equal(here.time.sel(event="memorised"), [40, 40, np.nan])
    np.testing.assert_array_equal(here.time.sel(event="fitted"), [20, 20, 20])
    np.testing.assert_array_equal(here.time.sel(event="generalised"), [100, 120, np.nan])
    np.testing.assert_array_equal(here.budget, 200)
    np.testing.assert_array_equal(here.ratio.sel(over="gap"), [2.5, 3.0, np.nan])
    np.testing.assert_array_equal(here.ratio.sel(over="delay"), [5.0, 6.0, np.nan])
    # Censored above only if the time that it is divided by is known.
    np.testing.assert_array_equal(here.ratio_above.sel(over="gap"), np.nan)
    np.testing.assert_array_equal(here.ratio_above.sel(over="delay"), [np.nan, np.nan, 10.0])
    np.testing.assert_array_equal(data.n_train, [int(f * 25) for f in (0.05, 0.2, 0.4)])


def test_medians_know_of_the_censored(data: Any) -> None:
    """Of 3 runs, the middle one; if fewer than half have crossed, it is not reached."""
    here = data.isel(network=0).time_median
    assert here.sel(fraction=0.4, event="generalised") == 120
    assert here.sel(fraction=0.4, event="memorised") == 40
    assert here.sel(fraction=0.2, event="generalised") == np.inf
    assert here.sel(fraction=0.2, event="memorised") == 10
    assert np.isnan(here.sel(fraction=0.05, event="generalised"))  # no such run
    ratio = data.isel(network=0).ratio_median
    assert ratio.sel(fraction=0.4, over="delay") == 6.0
    assert ratio.sel(fraction=0.4, over="gap") == 2.5  # half of two runs
    assert ratio.sel(fraction=0.2, over="delay") == np.inf


def test_ratios_of_slow_memorisers_are_not_left_out(make: Callable[..., gi.Run]) -> None:
    """Of 3 seeds that generalise, two memorise too late: most ratios are small, not the known 2."""
    runs = [make(20, 80, seed=s) for s in (0, 1, 2)]
    runs += [make(first, 999, random=True, seed=s) for s, first in enumerate((40, 999, 999))]
    data = training_efficiency.compute(runs)
    here = data.squeeze()
    np.testing.assert_array_equal(here.ratio.sel(over="gap"), [2.0, np.nan, np.nan])
    np.testing.assert_array_equal(here.ratio_below.sel(over="gap"), [np.nan, 0.4, 0.4])
    for end in ("median", "low", "high"):
        assert np.isnan(here[f"ratio_{end}"].sel(over="gap"))
    assert here.ratio_median.sel(over="delay") == 4.0
    figure: Any = training_efficiency.plot_ratios(data)
    marks = [t for t in figure.data if t.marker.symbol == "triangle-down-open"]
    assert [y for t in marks for y in t.y if np.isfinite(y)] == [0.4, 0.4]


def test_a_crossing_has_to_last(make: Callable[..., gi.Run]) -> None:
    runs = [make(20, 170), make(20, 30, random=True)]
    time = training_efficiency.compute(runs).time.squeeze()
    assert np.isnan(time.sel(event="generalised"))  # four rows at the end
    diverged = [make(20, 100, last=0), make(20, 30, random=True)]
    assert np.isnan(training_efficiency.compute(diverged).time.sel(event="fitted")).all()


def test_both_kinds_of_labels_are_needed(make: Callable[..., gi.Run]) -> None:
    with pytest.raises(ValueError, match=r"none with data\.corruption=1\.0"):
        training_efficiency.compute([make(10, 20)])
    with pytest.raises(ValueError, match=r"none with data\.corruption=0\.0"):
        training_efficiency.compute([make(10, 20, random=True)])
    some = make(10, 20)
    some = dataclasses.replace(some, config=some.config.replace({"data.corruption": 0.3}))
    with pytest.raises(ValueError, match=r"corruption=0\.3"):
        training_efficiency.compute([some])


def test_figures_mark_the_censored(data: Any, axis_titles: Callable[[go.Figure], set[str]]) -> None:
    figure: Any = training_efficiency.plot_times(data)
    assert "seeds" in figure.layout.title.text
    marks = [t for t in figure.data if t.marker.symbol == "triangle-up-open"]
    drawn = sum(int(np.isfinite(np.array(t.y, dtype=float)).sum()) for t in marks)
    assert drawn == int((data.budget.notnull() & data.time.isnull()).sum())
    medians = {t.name: t for t in figure.data if t.mode == "lines+markers"}
    expected = data.isel(network=0).time_median.sel(event="generalised").values
    np.testing.assert_array_equal(
        medians["generalised (test)"].y, np.where(np.isinf(expected), np.nan, expected)
    )
    assert {"training pairs", "steps to accuracy 99%"} <= axis_titles(figure)
    ratios: Any = training_efficiency.plot_ratios(data)
    marks = [t for t in ratios.data if t.marker.symbol == "triangle-up-open"]
    assert sorted(y for t in marks for y in t.y if np.isfinite(y)) == sorted(
        y for y in data.ratio_above.values.ravel() if np.isfinite(y)
    )


@pytest.mark.slow
def test_it_runs_from_the_shell(
    tmp_path: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so does model efficiency, on the same runs, which are not trained again."""
    monkeypatch.setattr(efficiency_runs, "FRACTIONS", (0.5,))
    monkeypatch.setattr(efficiency_runs, "SMALL_FRACTIONS", ())
    options = [tmp_path, "--size", "tiny", "--seeds", 1]
    said = command("run", "training_efficiency", *options).output
    assert (tmp_path / "training_efficiency.html").is_file()
    assert "2 of 2 runs to train" in said
    said = command("run", "model_efficiency", *options).output
    assert "runs to train" not in said
    assert "not detected" in said
    assert (tmp_path / "model_efficiency_mlp.html").is_file()
