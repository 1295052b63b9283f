"""Panels and curves of figures: each name once in the legend, bars and times where they belong."""

from typing import Any

import numpy as np
import xarray as xr

from analyses.pages.palette import Look
from analyses.pages.panels import draw, draw_times, error_bars, finished, panels


def test_the_legend_has_each_name_once() -> None:
    figure = panels(["left", "right"])
    for column in (1, 2):
        for name in ("a", "b", ""):
            draw(figure, (1, column), [0, 1], [2, 3], name, Look("red"))
    draw(figure, (1, 1), [0], [0], "hidden", Look("red"), showlegend=False)
    drawn: Any = finished(figure, "title", height=300)
    assert [trace.name for trace in drawn.data if trace.showlegend] == ["a", "b"]
    assert {trace.xaxis for trace in drawn.data} == {"x", "x2"}


def test_bars_end_at_both_ends() -> None:
    bars = error_bars(np.array([2.0]), np.array([0.5]), np.array([2.25]), width=3)
    assert (bars["array"], bars["arrayminus"], bars["width"]) == ([0.25], [1.5], 3)


def test_times_are_drawn_as_known_bounded_or_not_at_all() -> None:
    times = xr.DataArray([[5.0, np.nan]], dims=("seed", "size"), coords={"seed": [0]})
    bounds = [(xr.DataArray([[np.nan, 9.0]], dims=times.dims, coords=times.coords), "x", "after ")]
    figure, median = panels(), xr.DataArray([5.0, np.inf], dims="size")
    draw_times(figure, 1, [10, 20], times, bounds, median, "name", Look("red", "dot", "square"))
    known, bounded, line = figure.data
    np.testing.assert_array_equal(known.y, [5, np.nan])
    np.testing.assert_array_equal(bounded.y, [np.nan, 9])
    np.testing.assert_array_equal(line.y, [5, np.nan])  # infinite: not reached
    assert [trace.marker.symbol for trace in figure.data] == ["square", "x", "square"]
