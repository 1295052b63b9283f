"""Two phase diagrams below each other."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from analyses.phase_diagrams import sweep_phases
from analyses.phase_diagrams.comparison import alike, plot_comparison
from grokinterp.files import write_netcdf
from tests.analyses.phase_diagrams.test_phase_diagram import make_sweep

WD, X, Y = "training.weight_decay", "data.train_fraction", "data.corruption"


@pytest.fixture(scope="module")
def phases() -> xr.Dataset:
    return sweep_phases.compute(make_sweep())


@pytest.fixture(scope="module")
def other(phases: xr.Dataset) -> xr.Dataset:
    """One cell of the first panel has another phase, one of the second is not trained."""
    majority = phases.majority.copy()
    majority.loc[{WD: 0.0, X: 0.8, Y: 0.3}] = "confusion"
    majority.loc[{WD: 5.0, X: 0.2, Y: 0.0}] = ""
    return phases.assign(majority=majority)


def test_the_share_of_cells_alike(phases: xr.Dataset, other: xr.Dataset) -> None:
    """Of six cells per panel; one of the second panel was not trained in the first sweep either."""
    assert list(alike(phases, phases).values()) == [1.0, 1.0]
    first, second = alike(phases, other).items()
    assert first[0].startswith("weight decay 0 ")
    assert first[1] == pytest.approx(5 / 6)
    assert second[1] == 1.0
    assert alike(other, phases) == alike(phases, other)
    nothing = phases.assign(majority=xr.full_like(phases.majority, ""))
    assert np.isnan(list(alike(phases, nothing).values())).all()


def test_both_diagrams_are_drawn(phases: xr.Dataset, other: xr.Dataset) -> None:
    figure: Any = plot_comparison(phases, other, ["addition", "multiplication"])
    titles = [note.text.replace("<br>", " ") for note in figure.layout.annotations]
    assert titles[0].endswith(" 83% of the cells alike")
    assert len(titles) == 2
    bars = [t for t in figure.data if t.type == "bar"]
    axes = ["x", "x2", "x3", "x4"]
    by_axis = {axis: sum(len(t.x) for t in bars if t.xaxis == axis) for axis in axes}
    assert by_axis == {"x": 6, "x2": 6, "x3": 6, "x4": 6}
    (confused,) = [t for t in bars if t.name == "confusion"]
    assert (confused.xaxis, list(confused.x), list(confused.base)) == ("x3", [2], [0.5])
    shown = [t.name for t in figure.data if t.showlegend]
    assert len(shown) == len(set(shown))
    assert "addition" in figure.layout.yaxis.title.text
    assert "multiplication" in figure.layout.yaxis3.title.text


def test_diagrams_of_other_grids_are_refused(phases: xr.Dataset) -> None:
    with pytest.raises(ValueError, match=r"have 2 and 1 panels; compare sweeps with the same axes"):
        alike(phases, phases.isel({WD: [0]}))
    smaller = phases.isel({X: [0, 1]})
    with pytest.raises(
        ValueError, match=r"values of data\.train_fraction: \[0\.2, 0\.5, 0\.8\] and"
    ):
        plot_comparison(phases, smaller, ["a", "b"])


def test_the_command_compares(
    phases: xr.Dataset, tmp_path: Path, command: Callable[..., Any]
) -> None:
    write_netcdf(make_sweep(), tmp_path / "a.nc")
    write_netcdf(make_sweep(), tmp_path / "b.nc")
    words = ["diagram", tmp_path / "a.nc", "--against", tmp_path / "b.nc"]
    result = command(*words, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["alike"] == alike(phases, phases)
    assert "that of b." in (tmp_path / "a.html").read_text()
