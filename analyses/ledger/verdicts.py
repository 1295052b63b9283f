"""The rows of the ledger: every published value next to ours, with a verdict."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import xarray as xr

from analyses.ledger import over_seeds
from analyses.ledger.comparisons import undecided
from analyses.ledger.entry import Entry, Read, sources_of
from analyses.ledger.results import Result, ResultError, load
from analyses.ledger.targets import target
from grokinterp.short_text import short_repr


class Verdict(StrEnum):
    """How one of our values stands to the published one."""

    PASS = "PASS"  # within the tolerance
    FAIL = "FAIL"  # outside
    DIFFERS = "DIFFERS"  # reproduced, and what is published found wrong or confounded
    OPEN = "OPEN"  # no valid result, or one that cannot tell


class ReadError(ValueError):
    """A result lacks what an entry reads, or has it on other axes."""


@short_repr
@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table."""

    paper: int
    figure: str
    quantity: str
    theirs: str
    tolerance: str
    ours: str = ""
    seeds: int = 0
    verdict: Verdict
    note: str = ""  # for OPEN, what it needs; for DIFFERS, the sentence on what is published
    of_publication: bool = False  # sets what is published against itself; nothing of ours was run
    entry: str = ""
    published: str = ""  # id of the published value; "" if the paper prints none


def rows(entries: Iterable[Entry], folder: Path) -> Iterator[Row]:
    """The rows of some entries, from the results in a folder."""
    listed = list(entries)
    found = loaded(listed, folder)
    for entry in listed:
        yield from rows_of(entry, found[entry.source.name])


def loaded(entries: Iterable[Entry], folder: Path) -> dict[str, Result | ResultError | None]:
    """The stored results of the entries' sources, by name; why one is not valid, None if absent."""
    found: dict[str, Result | ResultError | None] = {}
    for source in sources_of(entries):
        try:
            found[source.name] = load(folder, source)
        except ResultError as error:
            found[source.name] = error
    return found


def rows_of(entry: Entry, result: Result | ResultError | None) -> Iterator[Row]:
    """The rows of one entry, given the result of its source."""
    for name, part in entry.reads.items():
        published = target(name) if is_published(name) else None
        about: dict[str, Any] = {
            "paper": entry.paper,
            "figure": entry.figure,
            "quantity": published["quantity"] if published else name,
            "theirs": in_words(published) if published else entry.says,
            "tolerance": str(entry.comparison),
            "entry": entry.id,
            "published": name if published else "",
            "of_publication": entry.of_publication,
        }
        if isinstance(result, Result):
            try:
                yield Row(**about, **_judged(entry, part, result, published))
            except ReadError as error:
                note = f"{error}; correct the entry or its source"
                yield Row(**about, verdict=Verdict.OPEN, note=note)
            continue
        why, seen = "", {}
        if isinstance(result, ResultError):
            why = f"{result.reason}; "
            if result.result is not None:
                try:
                    seen = _judged(entry, part, result.result, published)
                    why = f"{result.reason}, was {seen['verdict']}; "
                except ReadError as error:
                    why = f"{result.reason}, {error}; "
        yield Row(**about | seen | {"verdict": Verdict.OPEN, "note": why + entry.source.needs})


def unread(entry: Entry, result: Result) -> Iterator[str]:
    """What a result lacks of what an entry reads, a sentence for each part."""
    for name, part in entry.reads.items():
        try:
            _judged(entry, part, result, target(name) if is_published(name) else None)
        except ReadError as error:
            yield f"{entry.id}: {error}"


def _judged(
    entry: Entry, part: Read, result: Result, published: dict[str, Any] | None
) -> dict[str, Any]:
    """Ours, its seeds, the verdict and a note, for one part of a result.

    Raises:
        ReadError: the result does not have it.
    """
    ours = select(result.data, part)
    theirs = published["value"] if published else None
    try:
        judged = entry.comparison.judge(ours, theirs)
    except ValueError as error:  # an axis too many or too few
        raise ReadError(f"cannot be compared: {error}") from error
    told, agrees, found = judged.ours, judged.agrees, judged.note
    if (ends := interval(result.data, part)) is not None:
        told += f" [{', '.join(over_seeds.number(end, missing='unknown') for end in ends)}]"
        if undecided(entry.comparison, *ends):
            agrees, found = None, "the bound lies inside the interval"
    verdict, said = _verdict(entry, agrees, ours, theirs)
    if agrees is None:
        found = f"cannot tell: {found}"
    sentence = result.about.get("sentence", "")
    own = "Reads the publication only." if entry.of_publication else ""
    return {
        "ours": told,
        "seeds": ours.sizes.get("seed", part.seeds or result.about.get("seeds", 1)),
        "verdict": verdict,
        "note": " ".join(filter(None, (said, found, sentence, own))),
    }


def _verdict(
    entry: Entry, agrees: bool | None, ours: xr.DataArray, theirs: Any
) -> tuple[Verdict, str]:
    """The verdict of an entry's comparison, and what its note begins with."""
    if agrees is None:
        return Verdict.OPEN, ""
    if not entry.differs:
        return (Verdict.PASS if agrees else Verdict.FAIL), ""
    if agrees:
        return Verdict.DIFFERS, entry.differs
    claimed = entry.claimed is not None and entry.claimed.judge(ours, theirs).agrees
    told = "A correction of what is published that does not hold here"
    if claimed:
        return Verdict.PASS, f"As published. {told}: {entry.differs}"
    return Verdict.OPEN, f"{told}: {entry.differs}"


def is_published(name: str) -> bool:
    """Whether a name is the id of a published value, and not one of ours."""
    return name.startswith(("p1.", "p2."))


def select(data: xr.Dataset, part: Read) -> xr.DataArray:
    """A part of a result.

    Raises:
        ReadError: it has no such variable, axis or place on an axis.
    """
    return _select(data, part.variable, part)


def interval(data: xr.Dataset, part: Read) -> tuple[float, float] | None:
    """The ends of the interval of a value that is made of all seeds; None if none is stored."""
    if not (part.low and part.high):
        return None
    low, high = (_select(data, name, part) for name in (part.low, part.high))
    if low.size != 1 or high.size != 1:
        raise ReadError(f"{part.low} and {part.high} are not one interval, but of {low.dims}")
    return float(low), float(high)


def _select(data: xr.Dataset, variable: str, part: Read) -> xr.DataArray:
    if variable not in data:
        raise ReadError(f"the result has no {variable}")
    try:
        chosen = data[variable].sel({axis: _plain(value) for axis, value in part.at.items()})
    except (KeyError, ValueError) as error:
        place = ", ".join(f"{axis} {value}" for axis, value in part.at.items())
        raise ReadError(f"the result's {variable} has no place {place}") from error
    return chosen if part.times == 1 else chosen * part.times


def counts(found: Sequence[Row]) -> dict[str, int]:
    """How many rows have each verdict."""
    return {str(verdict): sum(row.verdict == verdict for row in found) for verdict in Verdict}


def worse(before: Iterable[Row], after: Iterable[Row]) -> Iterator[tuple[Row, Row]]:
    """Rows whose verdict has become worse, from PASS or DIFFERS to OPEN to FAIL; before and now."""
    rank = {Verdict.FAIL: 0, Verdict.OPEN: 1, Verdict.DIFFERS: 2, Verdict.PASS: 2}
    earlier = {(row.entry, row.quantity, row.published): row for row in before}
    for row in after:
        old = earlier.get((row.entry, row.quantity, row.published))
        if old is not None and rank[row.verdict] < rank[old.verdict]:
            yield old, row


def in_words(published: dict[str, Any]) -> str:
    """A published value as short text."""
    value = published["value"]
    if not isinstance(value, dict):
        return f"{value:.6g}" if isinstance(value, float) else str(value)
    if "x" in value and "y" in value:
        return f"{len(value['x'])} points"
    said = value.get("paper_says") or value.get("published")
    if said is not None:
        return said if isinstance(said, str) else json.dumps(said)
    for name, sign in (("order_asc", " < "), ("order_desc", " > ")):
        if name in value:
            return sign.join(map(str, value[name]))
    sides = [str(value[name]) for name in ("lhs", "op", "rhs") if name in value]
    return " ".join(sides) if len(sides) == 3 else "as stated"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
