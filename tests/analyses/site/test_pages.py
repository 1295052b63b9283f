"""The menu has every page, and the site has the colours of the figures."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analyses.pages import palette
from analyses.site.pages import contents, made, relinked

ROOT = Path(__file__).parents[3]


def addresses(menu: Any) -> Iterator[str]:
    if isinstance(menu, str):
        yield menu
    for item in menu.values() if isinstance(menu, dict) else menu if isinstance(menu, list) else ():
        yield from addresses(item)


def test_the_menu_has_every_page_once() -> None:
    docs = ROOT / "docs"
    written = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    pages = written | {address for address in made(ROOT) if address.endswith(".md")}
    listed = list(addresses(contents(ROOT)))
    assert set(listed) == pages
    assert len(listed) == len(pages) > 80


def test_colours_are_those_of_the_figures() -> None:
    known = {look.color for look in palette.SUBSET_LOOK.values()}
    known |= {palette.INK, palette.PAPER, palette.GUIDE, palette.FAINT}
    used = re.findall(r"#[0-9a-f]{6}\b", (ROOT / "docs/assets/site.css").read_text())
    assert {colour.upper() for colour in used} <= known
    assert used


@pytest.mark.parametrize(
    ("address", "link", "expected"),
    [
        ("explorer.md", "../tutorials/02_hooks.ipynb", "tutorials/02_hooks.md"),
        ("how_to/cluster.md", "../../README.md", "../index.md"),
        ("how_to/cluster.md", "../ledger.md#eq-2", "../ledger.md#eq-2"),
        ("tutorials/02_hooks.md", "../docs/explorer.md", "../explorer.md"),
        ("tutorials/02_hooks.md", "03_phase_diagram.ipynb", "03_phase_diagram.md"),
        ("tutorials/02_hooks.md", "02_hooks-01.png", "02_hooks-01.png"),
        ("explorer.md", "https://a.org/docs/x.md", "https://a.org/docs/x.md"),
    ],
)
def test_links_of_the_repository(address: str, link: str, expected: str) -> None:
    assert relinked(f"[text]({link})", address) == f"[text]({expected})"
