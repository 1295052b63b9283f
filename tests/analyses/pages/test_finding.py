"""What a command found: one HTML file, the numbers behind it, and rows in words."""

import math
import re
from pathlib import Path

import plotly.graph_objects as go
import pytest
import xarray as xr

from analyses.pages.finding import Finding, in_words, write_finding

DATA = xr.Dataset({"value": ("step", [1.0, 2.0])})
FIGURES = [go.Figure(go.Scatter(y=[i])) for i in range(3)]


def test_figures_share_one_copy_of_the_library(tmp_path: Path) -> None:
    three, one = tmp_path / "new" / "three.html", tmp_path / "one.html"
    write_finding(Finding(data=DATA, figures=FIGURES), three)
    write_finding(Finding(data=DATA, figures=FIGURES[:1]), one)
    html = three.read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert html.count("Plotly.newPlot(") >= 3
    assert not re.search(r"<script[^>]*\ssrc\s*=|<link[^>]*\shref\s*=", html)
    assert len(html) > 1_000_000  # the drawing library is inside
    assert three.stat().st_size < one.stat().st_size + 50_000
    with xr.open_dataset(three.with_suffix(".nc"), engine="h5netcdf") as stored:
        xr.testing.assert_identical(stored.load(), DATA)


def test_a_page_named_like_the_numbers_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "figures.nc"
    with pytest.raises(ValueError, match=r"must end in \.html"):
        write_finding(Finding(data=DATA, figures=FIGURES), out)
    assert not out.exists()


@pytest.mark.parametrize(("count", "below"), [(12, False), (13, True)])
def test_many_rows_stand_below_the_figures(count: int, below: bool, tmp_path: Path) -> None:
    rows = [{"size": f"{i} pairs", "steps": i} for i in range(count)]
    write_finding(Finding(data=DATA, figures=FIGURES, rows=rows), tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text(encoding="utf-8").split("</head>")[1]
    assert html.count(" pairs</th>") == count
    assert (html.index(">0 pairs</th>") > html.index("Plotly.newPlot(")) is below
    write_finding(Finding(data=DATA, figures=[], rows=rows), tmp_path / "table.html")
    assert ">0 pairs</th>" in (tmp_path / "table.html").read_text(encoding="utf-8")


def test_rows_in_words() -> None:
    row = {"n": 12345678, "share": 0.123456, "gone": math.nan, "none": None, "name": "mlp"}
    assert in_words(row) == "n 12345678  share 0.1235  gone -  none -  name mlp"
    assert in_words("a sentence") == "a sentence"
