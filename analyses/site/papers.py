"""Pages of the papers' figures, from the ledger and its stored results."""

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import plotly.graph_objects as go
import xarray as xr

from analyses.ledger import catalogue
from analyses.ledger.entry import sources_of
from analyses.ledger.results import FOLDER, ResultError, load
from analyses.ledger.verdicts import Row, rows
from analyses.site import paper_figures
from analyses.site.content import Content
from analyses.site.paper_figures import PAPER, Page
from analyses.site.pictures import DRAWN, KEPT
from analyses.site.published_curves import compares_curves, plot_curves

SCRIPT = "assets/plotly.min.js"
_BUTTONS = {"displaylogo": False, "responsive": True}


def made() -> dict[str, Content]:
    """Address -> what makes the page, of every figure, and the list of each paper."""
    listed = paper_figures.pages(catalogue.entries())
    found: dict[str, Content] = {page.address: partial(_page, page) for page in listed}
    for paper in PAPER:
        found[index_of(paper)] = partial(_index, paper, listed)
    found[SCRIPT] = _script
    return found


def index_of(paper: int) -> str:
    """Address of the list of a paper's pages."""
    return f"papers/{PAPER[paper].replace(' ', '-')}/index.md"


def nav() -> list[Any]:
    """The menu: for each paper its list and its pages."""
    listed = paper_figures.pages(catalogue.entries())
    return [
        {
            PAPER[paper].capitalize(): [
                index_of(paper),
                *({page.title: page.address} for page in listed if page.paper == paper),
            ]
        }
        for paper in PAPER
    ]


def _page(page: Page) -> str:
    place = (page.paper, page.title)
    figures: list[go.Figure] = []
    for names, drawing in DRAWN.get(place, {}).items():
        data = [_result(name) for name in names]
        if all(one is not None for one in data):
            figures += drawing(*data)
    for entry in filter(compares_curves, page.entries):
        if (data := _result(entry.source.name)) is not None:
            figures.append(plot_curves([(entry, data)]))
    shown = _embedded(figures)
    if place in KEPT:
        picture, words = KEPT[place]
        shown += [f"![{words}](../../{picture})", f"*{words}*"]
    return paper_figures.markdown(page, _rows(), shown)


def _index(paper: int, listed: Sequence[Page]) -> str:
    return paper_figures.index(paper, listed, _rows())


@cache
def _rows() -> dict[str, list[Row]]:
    """The rows of every entry."""
    found: dict[str, list[Row]] = {}
    for row in rows(catalogue.entries(), FOLDER):
        found.setdefault(row.entry, []).append(row)
    return found


@cache
def _result(name: str) -> xr.Dataset | None:
    """The stored result of a source, of older code if there is no other; None if there is none."""
    source = next(one for one in sources_of(catalogue.entries()) if one.name == name)
    try:
        found = load(FOLDER, source)
    except ResultError as error:
        found = error.result
    return None if found is None else found.data


def _embedded(figures: Sequence[go.Figure]) -> list[str]:
    """Figures as HTML that needs plotly.js, which is loaded once in front of them."""
    drawn = [
        figure.to_html(
            full_html=False, include_plotlyjs=False, config=_BUTTONS, div_id=f"figure-{i}"
        )
        for i, figure in enumerate(figures, 1)
    ]
    return [f'<script src="../../{SCRIPT}"></script>', *drawn] if drawn else []


def _script() -> str:
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()
