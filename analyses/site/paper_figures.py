"""A page for each figure of both papers, and one for what is claimed elsewhere, from the ledger."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from analyses.ledger.catalogue import short
from analyses.ledger.entry import Entry, Source
from analyses.ledger.table import in_words, section
from analyses.ledger.verdicts import Row, Verdict
from analyses.registry import ANALYSES, EXPERIMENTS
from grokinterp.short_text import short_repr

PAPER = {1: "first paper", 2: "second paper"}
ELSEWHERE = "Equations, tables and claims"
_FIGURES = re.compile(r"Figs?\. ((?:\d+[a-z]?(?:-\d+)?(?:, )?)+)")
_RANGE = re.compile(r"(\d+)[a-z]?(?:-(\d+))?")


@short_repr
@dataclass(frozen=True, kw_only=True)
class Page:
    """A page: the entries of one figure."""

    paper: int
    title: str  # "Fig. 6", or ``ELSEWHERE``
    entries: Sequence[Entry]

    @property
    def address(self) -> str:
        """Where it is on the site."""
        name = self.title.lower().replace(". ", "-").replace(",", "").replace(" ", "-")
        return f"papers/{PAPER[self.paper].replace(' ', '-')}/{name}.md"


def numbers(figure: str) -> list[int]:
    """The figures that are named: 9, 10 and 11 for "Figs. 9-11, code"; none for "Sec. 2"."""
    found = _FIGURES.match(figure)
    named = _RANGE.findall(found[1]) if found else []
    return [n for first, last in named for n in range(int(first), int(last or first) + 1)]


def pages(entries: Sequence[Entry]) -> list[Page]:
    """The pages of both papers, in the order of the figures. An entry may be on several."""
    made: list[Page] = []
    for paper in PAPER:
        groups: dict[int, list[Entry]] = {}
        for entry in entries:
            for number in numbers(entry.figure) or [0] if entry.paper == paper else []:
                groups.setdefault(number, []).append(entry)
        rest = groups.pop(0, [])
        for number in sorted(groups):
            made.append(Page(paper=paper, title=f"Fig. {number}", entries=groups[number]))
        made.append(Page(paper=paper, title=ELSEWHERE, entries=rest))
    return made


def markdown(page: Page, rows: Mapping[str, Sequence[Row]], drawn: Sequence[str] = ()) -> str:
    """A page.

    Args:
        page: which one.
        rows: id of an entry -> its rows of the ledger.
        drawn: its pictures, as HTML or Markdown.
    """
    listed = [row for entry in page.entries for row in rows[entry.id]]
    parts = [f"# {page.title} of the {PAPER[page.paper]}", f"{in_words(listed)}.", *drawn]
    for figure in dict.fromkeys(entry.figure for entry in page.entries):
        own = [entry for entry in page.entries if entry.figure == figure]
        table = "\n".join(section([row for entry in own for row in rows[entry.id]]))
        reasons = "\n".join(f"- {entry.claim}: {entry.reason}." for entry in own)
        parts += [f"## {figure}", table, f"What is compared, and why the tolerance:\n\n{reasons}"]
    parts += ["## Where it is from", _sources(page, rows)]
    if commands := list(_commands(page)):
        parts += ["## Draw it", "\n".join(commands)]
    return "\n\n".join(parts) + "\n"


def index(paper: int, made: Sequence[Page], rows: Mapping[str, Sequence[Row]]) -> str:
    """The list of a paper's pages, with the counts of their verdicts."""
    own = [page for page in made if page.paper == paper]
    every = {entry.id: rows[entry.id] for page in own for entry in page.entries}
    lines = [
        f"# The {PAPER[paper]}, figure by figure",
        "Every number, figure and claim next to ours, from [the ledger](../../ledger.md), which "
        "says what the verdicts mean. A row that concerns several figures is on the page of each.",
        f"{in_words([row for of_entry in every.values() for row in of_entry])}.",
        "\n".join(
            [
                "| | " + " | ".join(Verdict) + " |",
                "|---|" + "---|" * len(Verdict),
                *(_line(page, rows) for page in own),
            ]
        ),
    ]
    return "\n\n".join(lines) + "\n"


def _line(page: Page, rows: Mapping[str, Sequence[Row]]) -> str:
    verdicts = [row.verdict for entry in page.entries for row in rows[entry.id]]
    counts = [str(verdicts.count(verdict) or "") for verdict in Verdict]
    claims = list(dict.fromkeys(entry.claim for entry in page.entries))
    told = "; ".join(claims[:3]) + (f"; {len(claims) - 3} more" if len(claims) > 3 else "")
    link = f"[{page.title}]({page.address.rpartition('/')[2]}): {told}"
    return "| " + " | ".join([link.replace("|", "\\|"), *counts]) + " |"


def _sources(page: Page, rows: Mapping[str, Sequence[Row]]) -> str:
    """What computes our side, on what machine and for how long, and whether that was done."""
    is_open = {
        entry.source.name
        for entry in page.entries
        if any(row.verdict is Verdict.OPEN for row in rows[entry.id])
    }
    sources = {entry.source.name: entry.source for entry in page.entries}
    lines = ["| computation | seeds | needs | result |", "|---|---|---|---|"]
    for name, source in sources.items():
        told = "open" if name in is_open else "stored"
        lines.append(f"| `{name}`: {_what(source)} | {source.seeds} | {source.needs} | {told} |")
    ready = [e.figure for e in page.entries if e.source.name in is_open and e.source.compute]
    if ready:
        paper = f"grokinterp ledger run --paper {page.paper}"
        commands = [f"    {paper} --figure {short(figure)}" for figure in dict.fromkeys(ready)]
        lines += ["", "What is open is computed by", "", *commands]
    return "\n".join(lines)


def _what(source: Source) -> str:
    if source.compute is None:
        return "to be written"
    if source.experiment is not None:
        return f"`grokinterp run {source.experiment}`"
    return f"`{source.compute}`"


def _commands(page: Page) -> Iterator[str]:
    """Commands that draw the figure, by what the registry says that they show."""
    for verb, table in (("run", EXPERIMENTS), ("analyse RUN", ANALYSES)):
        for name, entry in table.items():
            paper, _, figures = entry.figures.partition(", ")
            number = page.title.removeprefix("Fig. ")
            if paper == PAPER[page.paper] and number in map(str, numbers(figures)):
                out = " OUT" if verb == "run" else ""
                yield f"- `grokinterp {verb} {name}{out}`: {entry.shows}"
