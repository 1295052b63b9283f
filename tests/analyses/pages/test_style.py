"""The common layout: lines of text, ticks, titles of axes, and panels without data."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from plotly.subplots import make_subplots

from analyses.pages.axes import log_ticks
from analyses.pages.style import explain, finish
from analyses.pages.wrapping import count_lines, wrapped


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("one two three", 7, "one two<br>three"),
        ("<b>one two</b> three", 7, "<b>one two</b><br>three"),
        ("<b>one two three</b>", 7, "<b>one two<br>three</b>"),
        ("rank 1 [0.1, 0.2]", 8, "rank 1<br>[0.1, 0.2]"),
        ("w<sub>m2</sub> is the speed", 6, "w<sub>m2</sub> is<br>the<br>speed"),
        ("a<br>b", 7, "a<br>b"),
        ("modulo p = 43", 10, "modulo<br>p = 43"),
        ("unbreakable", 4, "unbreakable"),
        ("", 4, ""),
    ],
)
def test_text_is_broken_between_words(text: str, width: int, expected: str) -> None:
    assert wrapped(text, width) == expected
    assert count_lines(expected) == (expected.count("<br>") + 1 if expected else 0)


@pytest.mark.parametrize("most", [3, 4, 7])
@pytest.mark.parametrize(
    ("low", "high"),
    [(40.0, 60.0), (1.0, 9.0), (90.0, 1.6e3), (1e-7, 0.9), (1.0, 4e4), (3.0, 3.0), (180.0, 210.0)],
)
def test_logarithmic_axes_have_more_than_one_label(low: float, high: float, most: int) -> None:
    ticks, labels = log_ticks(low, high, most)
    assert 2 <= len(ticks) <= most
    assert len(ticks) == len(labels) == len(set(labels))
    assert all(low / 2 <= tick <= high * 2 for tick in ticks)


def test_ticks_are_written_as_numbers() -> None:
    assert log_ticks(1.0, 100.0)[1] == ["1", "2", "5", "10", "20", "50", "100"]
    assert log_ticks(1e-6, 1.0, 4)[1] == ["10<sup>-6</sup>", "10<sup>-4</sup>", "0.01", "1"]


def three(titles: tuple[str, ...]) -> go.Figure:
    figure = make_subplots(cols=3, shared_yaxes=True, subplot_titles=["first panel of all", "", ""])
    for column, title in enumerate(titles, 1):
        figure.add_scatter(x=[1, 2], y=[1, 2], row=1, col=column)
        figure.update_xaxes(title=title, col=column)
    return figure


def x_titles(figure: Any) -> list[str | None]:
    layout = figure.layout
    return [axis.title.text for axis in (layout.xaxis, layout.xaxis2, layout.xaxis3)]


def test_equal_titles_become_one_and_others_are_broken() -> None:
    assert x_titles(finish(three(("step",) * 3), title="")) == [None, "step", None]
    different = finish(three(("step", "share of the pairs", "x")), title="")
    assert x_titles(different) == ["step", "share of the<br>pairs", "x"]


def test_the_title_makes_room_for_itself_and_for_headings() -> None:
    short: Any = finish(three(("step",) * 3), title="Short")
    long: Any = finish(three(("step",) * 3), title="A title " * 8, note="3 seeds")
    assert "<br>" in long.layout.title.text
    assert long.layout.title.text.endswith("3 seeds</span>")
    lines = count_lines(long.layout.title.text) - 1
    assert long.layout.margin.t - short.layout.margin.t > 16 * lines
    assert short.layout.annotations[0].text == "first panel of<br>all"
    legend = short.layout.template.layout.legend
    assert (legend.orientation, legend.yref, legend.y) == ("h", "container", 0)


def test_headings_of_several_lines_have_room_below_the_panels_above_them() -> None:
    def gaps(heading: str) -> tuple[list[float], list[float], float]:
        """Pixels of panels and of the gaps between them, and of the last heading above its own."""
        figure = make_subplots(rows=3, vertical_spacing=0.1, subplot_titles=["one", "two", heading])
        finish(figure, title="title", height=700)
        layout: Any = figure.layout
        inner = layout.height - layout.margin.t - 50
        ends = [layout[f"yaxis{n}"].domain for n in ("", 2, 3)]
        panels = [inner * (top - bottom) for bottom, top in ends]
        between = [inner * (ends[i][0] - ends[i + 1][1]) for i in (0, 1)]
        return panels, between, inner * (layout.annotations[2].y - ends[2][1])

    short, long = gaps("three"), gaps("words " * 21)  # three lines of 42 letters
    np.testing.assert_allclose(long[0], short[0])
    np.testing.assert_allclose(long[1], [short[1][0], short[1][1] + 2 * 16])
    assert abs(long[2]) < 1e-6


def test_a_panel_without_a_number_says_so() -> None:
    figure = make_subplots(cols=3)
    figure.add_scatter(x=[1.0], y=[np.nan], row=1, col=1)
    figure.add_histogram(x=[1.0], row=1, col=2)
    figure.add_heatmap(x=["a"], y=["b"], z=[[1.0]], row=1, col=3)
    shown: Any = finish(figure, title="")
    (note,) = shown.layout.annotations
    assert note.text == "no data"
    assert note.x == pytest.approx(np.mean(shown.layout.xaxis.domain))


def test_labels_reach_to_the_ends_of_intervals() -> None:
    figure = go.Figure(go.Scatter(x=[10.0], y=[1], error_x={"array": [30], "arrayminus": [8]}))
    shown: Any = finish(figure.update_xaxes(type="log"), title="")
    ticks = shown.layout.xaxis.tickvals
    assert (min(ticks), max(ticks)) == (2, 30)


def test_an_explanation_stands_only_in_the_legend() -> None:
    figure = go.Figure()
    explain(figure, "not by the end", symbol="circle-open")
    (entry,) = figure.data
    assert entry.name == "not by the end"  # pyright: ignore[reportAttributeAccessIssue]
    assert np.isnan(entry.y[0])  # pyright: ignore[reportAttributeAccessIssue]
