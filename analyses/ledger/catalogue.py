"""All entries of the ledger, and the published values that have none, each with its reason."""

import difflib
import importlib
import pkgutil
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache

from analyses.ledger.entry import TIERS, Entry, sources_of
from analyses.ledger.targets import target, targets
from analyses.ledger.verdicts import is_published
from analyses.registry import EXPERIMENTS
from grokinterp.checks import check_choice

# Published values that nothing of ours can be compared with.
NOT_COMPARED = {
    "p1.fig3.cost": "the time on the authors' machine",
    "p1.fig7.cost": "the time on the authors' machine",
    "p1.appB.exploration_cost": "the time on the authors' machine",
    "p1.fig32.seeds": "a setting, not a result",
    "p2.fig1.transformer-50.collapse_after_grokking": "passing; no seed need repeat it",
}


@cache
def entries() -> tuple[Entry, ...]:
    """Every entry, in the order of the papers."""
    found: list[Entry] = []
    for paper in ("paper1", "paper2"):
        package = importlib.import_module(f"analyses.ledger.{paper}")
        for part in package.PARTS:
            found += importlib.import_module(f"{package.__name__}.{part}").ENTRIES
    check(found)
    return tuple(found)


def parts(paper: str) -> Iterator[str]:
    """The modules of a paper's folder, listed in its ``PARTS`` or not."""
    package = importlib.import_module(f"analyses.ledger.{paper}")
    return (module.name for module in pkgutil.iter_modules(package.__path__))


def check(found: Sequence[Entry]) -> None:
    """Raise ValueError if entries contradict each other, the targets or the registry."""
    for name, count in Counter(entry.id for entry in found).items():
        if count > 1:
            raise ValueError(f"{count} entries are called {name!r}; give each a name of its own")
    sources = {source.name: source for source in sources_of(found)}
    used: dict[str, str] = {}
    for entry in found:
        source = entry.source
        for one in source.with_parts:
            if sources[one.name] != one:
                raise ValueError(f"two sources are called {one.name!r}; give each its own name")
        if source.experiment is not None and source.experiment not in EXPERIMENTS:
            near = difflib.get_close_matches(source.experiment, EXPERIMENTS)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there is {[*EXPERIMENTS]}"
            raise ValueError(
                f"entry {entry.id!r}: {source.experiment!r} is not an experiment; {hint}"
            )
        for name in entry.reads:
            if not is_published(name):
                if not entry.says:
                    raise ValueError(f"entry {entry.id!r}: {name!r} needs says, the paper's words")
                continue
            try:
                target(name)
            except ValueError as error:
                raise ValueError(f"entry {entry.id!r}: {error}") from None
            if name in used:
                raise ValueError(f"{name} is compared in {used[name]!r} and in {entry.id!r}")
            used[name] = entry.id


def without_entry(found: Sequence[Entry]) -> list[str]:
    """Published values that no entry compares and that are not set aside with a reason."""
    used = {name for entry in found for name in entry.reads}
    return [name for name in targets() if name not in used and name not in NOT_COMPARED]


def choose(
    found: Sequence[Entry],
    *,
    paper: int | None = None,
    figure: str | None = None,
    tier: str | None = None,
) -> list[Entry]:
    """The entries of a paper, a figure and a tier.

    Raises:
        ValueError: none is left; the message lists the figures.
    """
    if tier is not None:
        check_choice("tier", tier, TIERS)
    chosen = [
        entry
        for entry in found
        if (paper is None or entry.paper == paper)
        and (figure is None or short(figure) in (short(entry.figure), short(entry.id)))
        and (tier is None or entry.source.tier == tier)
    ]
    if not chosen:
        figures = {short(entry.figure): None for entry in found if paper in (None, entry.paper)}
        near = difflib.get_close_matches(short(figure or ""), figures)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there is {', '.join(figures)}"
        raise ValueError(f"no entry has paper={paper}, figure={figure!r}, tier={tier!r}; {hint}")
    return chosen


def short(figure: str) -> str:
    """A figure's name as it is typed: "fig1a" for "Fig. 1a"."""
    return "".join(letter for letter in figure.lower() if letter.isalnum())
