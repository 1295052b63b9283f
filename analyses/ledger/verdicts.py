"""The rows of the ledger: every published value next to ours, with a verdict."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import xarray as xr

from analyses.ledger.entry import Entry, Read
from analyses.ledger.results import Result, ResultError, load
from analyses.ledger.targets import target
from grokinterp.short_text import short_repr


class Verdict(StrEnum):
    """How one of our values stands to the published one."""

    PASS = "PASS"  # within the tolerance
    FAIL = "FAIL"  # outside
    DIFFERS = "DIFFERS"  # reproduced, and what is published found wrong or confounded
    OPEN = "OPEN"  # no valid result


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
    entry: str = ""
    published: str = ""  # id of the published value; "" if the paper prints none


def rows(entries: Iterable[Entry], folder: Path) -> Iterator[Row]:
    """The rows of some entries, from the results in a folder."""
    found: dict[str, Result | ResultError | None] = {}
    for entry in entries:
        name = entry.source.name
        if name not in found:
            try:
                found[name] = load(folder, entry.source)
            except ResultError as error:
                found[name] = error
        yield from rows_of(entry, found[name])


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
        }
        if isinstance(result, Result):
            yield Row(**about, **_judged(entry, part, result, published))
            continue
        why, seen = "", {}
        if isinstance(result, ResultError):
            why = f"{result.reason}; "
            if result.result is not None:
                seen = _judged(entry, part, result.result, published)
                why = f"{result.reason}, was {seen['verdict']}; "
        yield Row(**about | seen | {"verdict": Verdict.OPEN, "note": why + entry.source.needs})


def _judged(
    entry: Entry, part: Read, result: Result, published: dict[str, Any] | None
) -> dict[str, Any]:
    """Ours, its seeds, the verdict and a note, for one part of a result."""
    ours = select(result.data, part)
    judged = entry.comparison.judge(ours, published["value"] if published else None)
    told = judged.ours
    if (ends := interval(result.data, part)) is not None:
        told += f" [{ends[0]:.4g}, {ends[1]:.4g}]"
    verdict, note = Verdict.FAIL, judged.note
    if judged.agrees:
        verdict = Verdict.DIFFERS if entry.differs else Verdict.PASS
        note = " ".join(filter(None, (entry.differs, judged.note)))
    seeds = ours.sizes.get("seed", part.seeds or result.about["seeds"])
    return {"ours": told, "seeds": seeds, "verdict": verdict, "note": note}


def is_published(name: str) -> bool:
    """Whether a name is the id of a published value, and not one of ours."""
    return name.startswith(("p1.", "p2."))


def select(data: xr.Dataset, part: Read) -> xr.DataArray:
    """A part of a result."""
    return _select(data, part.variable, part)


def interval(data: xr.Dataset, part: Read) -> tuple[float, float] | None:
    """The ends of the interval of a value that is made of all seeds; None if none is stored."""
    if not (part.low and part.high):
        return None
    low, high = (_select(data, name, part) for name in (part.low, part.high))
    return float(low), float(high)


def _select(data: xr.Dataset, variable: str, part: Read) -> xr.DataArray:
    if variable not in data:
        raise ValueError(
            f"the result has no {variable}, only {', '.join(map(str, data.data_vars))}"
        )
    chosen = data[variable].sel({axis: _plain(value) for axis, value in part.at.items()})
    return chosen if part.times == 1 else chosen * part.times


def counts(found: Sequence[Row]) -> dict[str, int]:
    """How many rows have each verdict."""
    return {str(verdict): sum(row.verdict == verdict for row in found) for verdict in Verdict}


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
