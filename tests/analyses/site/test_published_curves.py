"""Published curves over ours: every point and every seed is drawn, where it belongs."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from analyses.ledger.catalogue import entries
from analyses.ledger.comparisons import Curve
from analyses.ledger.entry import Entry
from analyses.ledger.targets import target
from analyses.ledger.verdicts import select
from analyses.site.published_curves import compares_curves, plot_curves

BY_ID = {entry.id: entry for entry in entries()}
SEEDS = 2


def result(entry: Entry, axis: str) -> xr.Dataset:
    """What the entry reads: each seed's curve has the published values plus the seed's number."""
    data = xr.Dataset()
    for name, part in entry.reads.items():
        published = target(name)["value"]
        y = np.array(published["y"]) / part.times
        seeds = xr.DataArray(y + np.arange(SEEDS)[:, None], dims=("seed", axis))
        seeds = seeds.assign_coords({axis: published["x"]})
        place = {key: [value] for key, value in part.at.items()}
        data = data.combine_first(seeds.expand_dims(place).to_dataset(name=part.variable))
    return data


def traces(figure: Any, mode: str) -> list[Any]:
    return [trace for trace in figure.data if trace.mode == mode]


@pytest.mark.parametrize(
    ("name", "axis", "panels", "labels"),
    [
        ("2/fig1-mlp-50-curves", "step", [""], ["train", "test"]),
        ("1/fig5-loss-curves", "step", ["bn", "nonorm"], ["train", "test"]),
        ("1/fig2a-ipr", "step", [""], [""]),
    ],
)
def test_every_point_and_seed(name: str, axis: str, panels: list[str], labels: list[str]) -> None:
    entry = BY_ID[name]
    data = result(entry, axis)
    figure: Any = plot_curves([(entry, data)])
    headings = [note.text for note in figure.layout.annotations]
    assert headings == [panel for panel in panels if panel]
    drawn = {trace.name for trace in figure.data}
    assert drawn == {
        f"{label}, {whose}".removeprefix(", ")
        for label in labels
        for whose in ("ours", "published")
    }
    for published, of_name in zip(traces(figure, "markers"), entry.reads, strict=True):
        np.testing.assert_array_equal(published.x, target(of_name)["value"]["x"])
        np.testing.assert_array_equal(published.y, target(of_name)["value"]["y"])
    ours = [curve for part in entry.reads.values() for curve in select(data, part).values]
    assert len(traces(figure, "lines")) == SEEDS * len(entry.reads)
    for line, curve in zip(traces(figure, "lines"), ours, strict=True):
        np.testing.assert_array_equal(line.y, curve[~np.isnan(curve)])


def test_a_figure_of_several_entries_names_them() -> None:
    names = ["2/fig1-mlp-50-curves", "2/fig2-transformer-30-curves"]
    compared = [(BY_ID[name], result(BY_ID[name], "step")) for name in names]
    figure: Any = plot_curves(compared, title="Both")
    headings = [note.text.replace("<br>", " ") for note in figure.layout.annotations]
    claims = [f"<b>{BY_ID[name].figure}</b> {BY_ID[name].claim}" for name in names]
    assert headings == claims
    assert figure.layout.title.text.startswith("Both")
    shown = [trace.name for trace in figure.data if trace.showlegend]
    assert len(shown) == len(set(shown)) == 4


@pytest.mark.parametrize(("panels", "columns"), [(2, 2), (3, 3), (4, 2), (5, 3)])
def test_no_panel_is_left_empty(panels: int, columns: int) -> None:
    entry = BY_ID["2/fig1-mlp-50-curves"]
    figure: Any = plot_curves([(entry, result(entry, "step"))] * panels)
    assert len({trace.xaxis for trace in figure.data}) == panels
    assert len(list(figure.select_xaxes())) == panels
    assert len(list(figure.select_xaxes(row=1))) == columns
    assert not [note for note in figure.layout.annotations if note.text == "no data"]


def test_what_ours_does_not_reach_is_left_out() -> None:
    """A logarithmic axis has no step 0, and a seed may have ended."""
    entry = BY_ID["2/fig1-mlp-50-curves"]
    data = result(entry, "step").assign_coords(step=lambda data: data.step - data.step.min())
    data = data.where((data.step < 20_000) | (data.seed == 0))
    for line in traces(plot_curves([(entry, data)]), "lines"):
        assert min(line.x) > 0
        assert not np.isnan(line.y).any()


def test_two_points_are_no_curve() -> None:
    curves = {entry.id for entry in entries() if isinstance(entry.comparison, Curve)}
    left = {name for name in curves if not compares_curves(BY_ID[name])}
    assert left == {"2/fig1-mlp-creep"}
