"""One self-contained HTML page: a heading, a table of numbers, and figures with captions.

Examples:
    >>> from pathlib import Path
    >>> import plotly.graph_objects as go
    >>> from analyses.pages.page import Section, write_page
    >>> figure = go.Figure(go.Scatter(x=[0, 1, 2], y=[0, 1, 4]))
    >>> sections = [Section(figure, sentence="It bends upwards.", title="A curve")]
    >>> rows = [("points", "3")]
    >>> write_page("page.html", heading="Curves", intro="One.", rows=rows, sections=sections)
    >>> "It bends upwards." in Path("page.html").read_text()
    True
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import plotly.graph_objects as go

from grokinterp.files import replacing
from grokinterp.short_text import one_line

Rows = Sequence[tuple[str, ...]]  # of a table; the first entry of a row names the others


class Section(NamedTuple):
    """A figure or a table, and a sentence that says what is seen."""

    figure: go.Figure | None
    sentence: str = ""
    title: str = ""  # of a table; a figure has its own
    head: Sequence[str] = ()  # names of the table's columns
    rows: Rows = ()

    def __repr__(self) -> str:
        return one_line(self)


class Link(NamedTuple):
    """A button that leads to another page; without an address only its words are shown."""

    words: str
    address: str = ""  # relative to this page

    def __repr__(self) -> str:
        return one_line(self)


def write_page(
    path: str | os.PathLike[str],
    *,
    heading: str,
    intro: str | Sequence[str],
    rows: Rows,
    sections: Sequence[Section],
    head: Sequence[str] = (),
    link: Link | None = None,
    width: int = 980,
) -> None:
    """Write the page. An interrupt leaves no partial file, and texts are escaped, not read as HTML.

    Args:
        path: the HTML file; missing folders are created.
        heading: title of the page.
        intro: a paragraph below the heading, or several.
        rows: of the table below them.
        sections: the figures and tables with their sentences, in order.
        head: names of the table's columns.
        link: below the introduction.
        width: largest width of the page, in pixels.
    """
    from jinja2 import Environment, StrictUndefined
    from plotly.offline import get_plotlyjs

    environment = Environment(autoescape=True, undefined=StrictUndefined)
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    page = template.render(
        heading=heading,
        intro=[intro] if isinstance(intro, str) else intro,
        rows=rows,
        head=head,
        link=link,
        sections=[part._asdict() | _drawn(part.figure) for part in sections],
        plotly=get_plotlyjs(),
        width=width,
    )
    with replacing(path) as file:
        file.write_text(page, encoding="utf-8")


def _drawn(figure: go.Figure | None) -> dict[str, Any]:
    """A figure as HTML, and whether it needs width for panels, a legend or words beside another."""
    if figure is None:
        return {"figure": None, "is_wide": False}
    layout = figure.to_dict()["layout"]
    axes = [axis for name, axis in layout.items() if name.startswith("xaxis")]
    starts = {float(axis.get("domain", [0.0])[0]) for axis in axes}
    has_words = any(map(_has_words, figure.data))
    is_wide = len(starts) > 1 or layout.get("margin", {}).get("r", 0) > _BESIDE or has_words
    html = figure.to_html(full_html=False, include_plotlyjs=False, config=_BUTTONS)
    return {"figure": html, "is_wide": is_wide}


def _has_words(trace: Any) -> bool:
    """Whether words stand at points or in cells, which overlap if the figure is squeezed."""
    in_cells = trace.type == "heatmap" and trace.texttemplate
    return bool(in_cells or (trace.type == "scatter" and "text" in (trace.mode or "")))


_BESIDE = 120  # pixels right of the panels that hold a legend
_BUTTONS = {"displaylogo": False, "responsive": True}
_TEMPLATE = Path(__file__).with_name("page.html.jinja")
