"""The HTML page: texts are shown, not read, and a file is there whole or not at all."""

import errno
import os
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest
import xarray as xr
from plotly.subplots import make_subplots

from analyses.pages.explorer_link import link_to
from analyses.pages.finding import Finding, write_finding
from analyses.pages.page import Link, Section, write_page

NASTY = "1 < 2 & <b>bold</b> \"quoted\" <script>alert('x')</script>"


class Texts(HTMLParser):
    """What stands in the elements of a page, and how many elements of each kind there are."""

    def __init__(self) -> None:
        super().__init__()
        self.inside: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.tags: dict[str, int] = {}

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.inside.append(tag)
        self.tags[tag] = self.tags.get(tag, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self.inside and data.strip():
            self.texts.setdefault(self.inside[-1], []).append(data)


def page(path: Path, text: str) -> Texts:
    rows = [(f"name {text}", f"value {text}")]
    sections = [Section(go.Figure(), f"sentence {text}")]
    write_page(path, heading=f"heading {text}", intro=f"intro {text}", rows=rows, sections=sections)
    parser = Texts()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser


def test_texts_are_shown_as_they_are(tmp_path: Path) -> None:
    shown = page(tmp_path / "page.html", NASTY)
    for tag in ("title", "h1"):
        assert "".join(shown.texts[tag]) == f"heading {NASTY}"
    assert shown.texts["p"] == [f"intro {NASTY}", f"sentence {NASTY}"]
    assert shown.texts["th"] == [f"name {NASTY}"]
    assert shown.texts["td"] == [f"value {NASTY}"]
    assert shown.tags == page(tmp_path / "plain.html", "plain").tags


def test_the_title_of_figures_is_shown_as_it_is(tmp_path: Path) -> None:
    nasty = NASTY.replace("/", "")  # a file's name
    write_finding(Finding(data=xr.Dataset(), figures=[]), tmp_path / f"{nasty}.html")
    shown = Texts()
    shown.feed((tmp_path / f"{nasty}.html").read_text(encoding="utf-8"))
    assert "".join(shown.texts["title"]) == nasty


def test_a_full_disk_leaves_no_part_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page(tmp_path / "page.html", "before")
    old = Finding(data=xr.Dataset({"a": 1}), figures=[go.Figure()])
    new = Finding(data=xr.Dataset({"a": 2}), figures=[])
    write_finding(old, tmp_path / "x.html")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert sorted(before) == ["page.html", "x.html", "x.nc"]

    def half(self: Path, text: str, **_: object) -> None:
        self.write_bytes(text[: len(text) // 2].encode())
        raise OSError(errno.ENOSPC, "No space left on device")

    def half_of_numbers(self: Path, data: bytes) -> None:
        with self.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", half_of_numbers)
        with pytest.raises(OSError, match="No space left"):
            write_finding(new, tmp_path / "new.html")
    (tmp_path / "new.html").unlink()  # the figures were whole
    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(OSError, match="No space left"):
        page(tmp_path / "page.html", "after")
    with pytest.raises(OSError, match="No space left"):
        write_finding(new, tmp_path / "x.html")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.html").symlink_to(tmp_path / "target.html")
    page(tmp_path / "link.html", "text")
    assert (tmp_path / "link.html").is_symlink()
    assert "intro text" in (tmp_path / "target.html").read_text(encoding="utf-8")


def test_panels_and_words_beside_each_other_are_scrolled_on_a_narrow_screen(tmp_path: Path) -> None:
    below = make_subplots(rows=2, cols=1)
    beside = make_subplots(rows=1, cols=2)
    side_legend = go.Figure(layout={"margin": {"r": 250}})
    at_points = go.Figure(go.Scatter(x=[0], y=[1], mode="markers+text", text=["word"]))
    in_cells = go.Figure(go.Heatmap(z=[[1.0]], text=[["word"]], texttemplate="%{text}"))
    below.add_scatter(x=[0], y=[1], mode="markers", text=["when hovered"])
    figures = {
        "narrow": [go.Figure(), below],
        "wide": [beside, side_legend, at_points, in_cells],
    }
    for kind, same in figures.items():
        sections = [Section(figure) for figure in same]
        path = tmp_path / f"{kind}.html"
        write_page(path, heading="heading", intro="", rows=[], sections=sections)
        text = path.read_text(encoding="utf-8")
        assert [text.count(f'<div class="{other}">') for other in figures] == [
            len(same) * (other == kind) for other in figures
        ]


def test_a_page_of_one_run_links_to_its_explorer_or_says_how_to_write_it(tmp_path: Path) -> None:
    run, page = tmp_path / "a run", tmp_path / "a run" / "figures" / "page.html"
    assert link_to(run, page) == ("grokinterp explore RUN writes an explorer of this run.", "")
    run.mkdir()
    (run / "explorer.html").touch()
    link = link_to(run, page)
    assert (page.parent / link.address).resolve() == run / "explorer.html"
    assert link_to(run, tmp_path / "page.html").address == "a%20run/explorer.html"
    (run / "run.json").touch()
    os.utime(run / "explorer.html", (0, 0))  # of a run that was replaced
    assert link_to(run, page) == (f"grokinterp explore {run} writes an explorer of this run.", "")
    write_page(page, heading="", intro="", rows=[], sections=[], link=Link(NASTY, '"<b>'))
    parser = Texts()
    parser.feed(page.read_text(encoding="utf-8"))
    assert "".join(parser.texts["a"]) == NASTY
    assert "b" not in parser.tags
