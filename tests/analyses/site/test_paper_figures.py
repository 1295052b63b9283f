"""Pages of the papers' figures: which there are, and what is on them."""

import re
from typing import Any

import pytest

from analyses.ledger.catalogue import entries
from analyses.ledger.entry import sources_of
from analyses.ledger.verdicts import Row, rows_of
from analyses.phase_diagrams import presets
from analyses.phase_diagrams.presets import WEIGHT_DECAY, X, Y
from analyses.site.paper_figures import ELSEWHERE, Page, index, markdown, numbers, pages
from analyses.site.pictures import DRAWN, accuracies_of_cells, diagram
from tests.analyses.end_points import end, fake_sweep

FIGURES = {1: 32, 2: 9}  # figures of each paper


@pytest.fixture(scope="module")
def made() -> list[Page]:
    return pages(entries())


@pytest.fixture(scope="module")
def open_rows() -> dict[str, list[Row]]:
    """Every entry as it is without a stored result."""
    return {entry.id: list(rows_of(entry, None)) for entry in entries()}


@pytest.mark.parametrize(
    ("figure", "expected"),
    [
        ("Fig. 1a", [1]),
        ("Figs. 9-11", [9, 10, 11]),
        ("Figs. 24, 25", [24, 25]),
        ("Figs. 4b, 19", [4, 19]),
        ("Fig. 10, code", [10]),
        ("Fig. 6, for every architecture", [6]),
        ("Fig. 1 left", [1]),
        ("Tables 1, 2", []),
        ("Sec. 4.2", []),
    ],
)
def test_figures_that_are_named(figure: str, expected: list[int]) -> None:
    assert numbers(figure) == expected


def test_every_figure_of_both_papers_has_a_page(made: list[Page]) -> None:
    titles = {(page.paper, page.title) for page in made}
    for paper, count in FIGURES.items():
        wanted = {(paper, f"Fig. {number}") for number in range(1, count + 1)}
        assert {title for title in titles if title[0] == paper} == wanted | {(paper, ELSEWHERE)}
    assert len({page.address for page in made}) == len(made) == len(titles)


def test_every_entry_is_on_a_page(made: list[Page]) -> None:
    shown = {entry.id for page in made for entry in page.entries}
    assert shown == {entry.id for entry in entries()}


def test_a_page_has_every_row_and_says_what_is_open(
    made: list[Page], open_rows: dict[str, list[Row]]
) -> None:
    page = next(page for page in made if page.title == "Fig. 6" and page.paper == 1)
    text = markdown(page, open_rows, ["a picture"])
    listed = [row for entry in page.entries for row in open_rows[entry.id]]
    assert text.startswith(f"# Fig. 6 of the first paper\n\n{len(listed)} rows: 0 PASS")
    assert text.count("| OPEN") == len(listed) > 5
    assert "grokinterp ledger run --paper 1 --figure fig6" in text
    assert "`grokinterp analyse RUN pruning`" in text
    assert "a picture" in text
    assert all(f"{entry.claim}: {entry.reason}." in text for entry in page.entries)


def test_the_list_of_a_paper(made: list[Page], open_rows: dict[str, list[Row]]) -> None:
    text = index(2, made, open_rows)
    own = {entry.id for page in made if page.paper == 2 for entry in page.entries}
    linked = re.findall(r"^\| \[(.+?)\]\((.+?)\)", text, re.MULTILINE)
    assert linked == [
        (page.title, page.address.rpartition("/")[2]) for page in made if page.paper == 2
    ]
    count = sum(len(open_rows[name]) for name in own)
    assert f"{count} rows: 0 PASS, 0 FAIL, 0 DIFFERS, {count} OPEN." in text


def test_pictures_belong_to_pages_and_sources(made: list[Page]) -> None:
    used = {
        (page.paper, page.title): {source.name for source in sources_of(page.entries)}
        for page in made
    }
    for place, drawn in DRAWN.items():
        assert {name for names in drawn for name in names} <= used[place], place


def test_a_phase_diagram_is_drawn_from_its_panels() -> None:
    """One row of panels, a colour for each phase; cells that were not trained are inferred."""
    alphas, xis, decays = [0.1, 0.5, 0.9], [0.1, 0.3], presets.get("fig31").values
    panels = [
        fake_sweep(
            [end(corruption=xi, test=float(alpha > 0.3)) for alpha in alphas for xi in xis],
            {WEIGHT_DECAY: [decay], X: alphas, Y: xis},
        )
        for decay in decays
    ]
    figure: Any
    (figure,) = diagram("fig31")(*panels)
    drawn = figure.data
    assert {trace.name for trace in drawn if trace.name} >= {"memorization", "coexistence"}
    assert figure.layout.title.text.startswith("Fig. 31: the phase of most seeds")
    assert len([note for note in figure.layout.annotations if "decay" in note.text]) == len(decays)
    assert len(accuracies_of_cells("fig31")(*panels)) == 1
    panels[0] = panels[0].assign(done=panels[0].done & (panels[0][X] != 0.9))
    (inferred,) = diagram("fig31")(*panels)
    again: Any = inferred.data
    assert len(again) > len(drawn)
