"""Colours differ for every kind of colour vision, and are named in one place only."""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path

import pytest
from coloraide import Color
from coloraide.css.color_names import name2val_map

from analyses.pages import palette
from analyses.pages.palette import (
    GENERALISING,
    INK,
    MEMORISING,
    PAPER,
    PHASE_COLOR,
    SERIES,
    SUBSET_LOOK,
)

ROOT = Path(palette.__file__).parents[2]
LEAST = 14.5  # CIEDE2000; 1 is just visible side by side

SUBSETS = {name: look.color for name, look in SUBSET_LOOK.items()}
CIRCUITS = {"C_mem": MEMORISING.color, "C_gen": GENERALISING.color, "whole": INK}
TOGETHER: dict[str, Mapping[str, str]] = {
    "halves of a network, and subsets": SUBSETS | CIRCUITS,
    "phases, over a band of subsets": PHASE_COLOR | SUBSETS,
    "series, and subsets": {look.color: look.color for look in SERIES} | SUBSETS,
}


@cache
def as_seen(color: str, deficiency: str) -> Color:
    """The colour as it looks without one kind of cone (Machado et al. 2009)."""
    seen = (
        Color(color) if deficiency == "none" else Color(color).filter(deficiency, method="machado")
    )
    return seen.convert("srgb").clip()


def difference(one: str, other: str, deficiency: str) -> float:
    return as_seen(one, deficiency).delta_e(as_seen(other, deficiency), method="2000")


@pytest.mark.parametrize("deficiency", ["none", "protan", "deutan", "tritan"])
@pytest.mark.parametrize("colors", TOGETHER.values(), ids=TOGETHER)
def test_meanings_that_share_a_figure_differ(colors: Mapping[str, str], deficiency: str) -> None:
    close = {
        (one, other): round(difference(colors[one], colors[other], deficiency), 1)
        for one, other in combinations(colors, 2)
        if difference(colors[one], colors[other], deficiency) < LEAST
    }
    assert not close


def test_the_simulation_sees_what_people_do_not_see() -> None:
    """Okabe and Ito's grey and reddish purple, which were Confusion and Forgetting."""
    assert difference("#999999", "#CC79A7", "none") > 20
    assert difference("#999999", "#CC79A7", "deutan") < 8


def lightness(color: str) -> float:
    """CIELAB L*: what is left of a colour in grey print."""
    return Color(color).convert("lab-d65")["lightness"]


def test_subsets_keep_their_order_in_grey_print() -> None:
    grey = [lightness(SUBSETS[name]) for name in ("train", "changed", "unchanged", "test")]
    assert min(b - a for a, b in pairwise(grey)) > 10
    assert abs(lightness(MEMORISING.color) - lightness(GENERALISING.color)) > 15


def test_phases_differ_in_grey_print() -> None:
    grey = sorted(map(lightness, PHASE_COLOR.values()))
    assert min(b - a for a, b in pairwise(grey)) > 4


def test_curves_are_seen_on_white_and_without_colour() -> None:
    for look in (*SUBSET_LOOK.values(), MEMORISING, GENERALISING, *SERIES):
        assert Color(PAPER).contrast(look.color) > 2.4
    for looks in (SUBSET_LOOK.values(), SERIES, (MEMORISING, GENERALISING)):
        assert len({look.dash for look in looks}) == len({look.symbol for look in looks})
        assert len({look.dash for look in looks}) == len(list(looks))


COLOR = re.compile(r"#[0-9a-fA-F]{3,8}\b|\b(rgb|hsl)a?\(")
NAMES = set(name2val_map)


def texts(source: str) -> Iterator[tuple[int, str]]:
    """The lines and values of a module's texts."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def test_colours_are_named_only_in_the_palette() -> None:
    own = Path(palette.__file__)
    files = {*ROOT.glob("analyses/**/*.py"), ROOT / "docs" / "figures.py"} - {own}
    sources = {file: file.read_text(encoding="utf-8") for file in files}
    drawing = {file: source for file, source in sources.items() if "plotly" in source}
    found = [
        f"{file.relative_to(ROOT)}:{line} {text[:40]!r}"
        for file, source in drawing.items()
        for line, text in texts(source)
        if COLOR.search(text) or text in NAMES
    ]
    assert len(drawing) > 40
    assert not found
