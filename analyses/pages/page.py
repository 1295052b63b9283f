"""One self-contained HTML page: a heading, a table of numbers, and figures with captions."""

import html
import os
from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from grokinterp.files import replacing
from grokinterp.short_text import one_line


class Section(NamedTuple):
    """A figure and its caption."""

    figure: go.Figure
    sentence: str

    def __repr__(self) -> str:
        return one_line(self)


def write_page(
    path: str | os.PathLike[str],
    *,
    heading: str,
    intro: str,
    rows: Sequence[tuple[str, ...]],
    sections: Sequence[Section],
    width: int = 980,
) -> None:
    """Write the page. An interrupt leaves no partial file, and texts are escaped, not read as HTML.

    Args:
        path: the HTML file; missing folders are created.
        heading: title of the page.
        intro: a paragraph below the heading.
        rows: of a table; the first entry of a row names the others.
        sections: the figures with their captions, in order.
        width: largest width of the page, in pixels.
    """
    from plotly.offline import get_plotlyjs

    table = "".join(
        f"<tr><th>{html.escape(name)}</th>"
        + "".join(f"<td>{html.escape(value)}</td>" for value in values)
        + "</tr>"
        for name, *values in rows
    )
    figures = "".join(
        f"<section>{part.figure.to_html(full_html=False, include_plotlyjs=False, config=_BUTTONS)}"
        f"<p>{html.escape(part.sentence)}</p></section>"
        for part in sections
    )
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(heading)}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: {width}px; margin: 2rem auto;
        padding: 0 1rem; color: #222; }}
table {{ border-collapse: collapse; }}
th, td {{ text-align: left; font-weight: normal; padding: 0.15rem 1.5rem 0.15rem 0;
          border-bottom: 1px solid #ddd; }}
td {{ font-variant-numeric: tabular-nums; }}
section {{ margin-top: 2.5rem; }}
section p {{ margin: 0 70px; }}
</style>
<script>{get_plotlyjs()}</script></head>
<body><h1>{html.escape(heading)}</h1>
<p>{html.escape(intro)}</p>
<table>{table}</table>{figures}</body></html>
"""
    with replacing(path) as file:
        file.write_text(page, encoding="utf-8")


_BUTTONS = {"displaylogo": False}
