"""What an entry of the ledger declares, before anything is run.

A :class:`Source` is a computation: a function, or an experiment of the registry, with its settings
and seeds. Its result is a dataset. It may be computed from the results of other sources, its parts,
so that a day's computation is stored hour by hour, and what several need is computed once. An
:class:`Entry` names the published values that are compared with parts of a result, how, and how
closely they must agree.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from analyses.ledger.comparisons import Comparison
from grokinterp.short_text import short_repr

TIERS = ("quick", "cpu", "gpu")
MACHINE = {"quick": "two cores", "cpu": "two cores", "gpu": "one GPU"}
_PASSES = "grokinterp.training.passes"
NETWORKS = {  # modules that only an architecture needs, by the beginning of their names
    "mlp": ("grokinterp.models.mlp",),
    "transformer": (
        "grokinterp.models.transformer",
        "grokinterp.models.attention",
        f"{_PASSES}.transformer",
        f"{_PASSES}.prefixes",
    ),
    "lstm": ("grokinterp.models.lstm",),
    "embedding_mlp": ("grokinterp.models.embedding_mlp", f"{_PASSES}.embedding_mlp"),
}


@short_repr
@dataclass(frozen=True, kw_only=True)
class Source:
    """A computation whose result entries read."""

    name: str  # of the files that hold the result
    tier: str  # one of ``TIERS``: minutes and two cores, hours and two cores, or a GPU
    minutes: float  # expected, on two idle cores or one GPU
    compute: str | None = None  # "module:function"; None if it is still to be written
    experiment: str | None = None  # its name in the registry, if ``compute`` runs one
    settings: Mapping[str, Any] = field(default_factory=dict)  # arguments of the function
    seeds: int = 1
    networks: tuple[str, ...] = ("mlp",)  # architectures of its runs, from ``NETWORKS``
    runs: str | None = None  # folder of its runs, if sources share one; None for one of its own
    parts: "tuple[Source, ...]" = ()  # sources whose results it is computed from
    missing: str = ""  # what has to be written or provided before it can run

    def __post_init__(self) -> None:
        if self.tier not in TIERS:
            raise ValueError(f"tier must be one of {', '.join(TIERS)}, got {self.tier!r}")
        if unknown := set(self.networks) - set(NETWORKS):
            raise ValueError(f"networks must be of {', '.join(NETWORKS)}, got {sorted(unknown)}")
        if (self.compute is None) != bool(self.missing):
            raise ValueError(f"source {self.name!r}: give either compute, or what is missing")

    @property
    def with_parts(self) -> "tuple[Source, ...]":
        """All that it is computed from, and then itself."""
        return (*(one for part in self.parts for one in part.with_parts), self)

    @property
    def needs(self) -> str:
        """Time and machine, in words, its parts included."""
        minutes = dict.fromkeys(MACHINE.values(), 0.0)
        for one in self.with_parts:
            minutes[MACHINE[one.tier]] += one.minutes
        told = " and ".join(
            f"{time_in_words(time)} on {on}" for on, time in minutes.items() if time
        )
        return f"{told}; {self.missing}" if self.missing else told


@short_repr
@dataclass(frozen=True, kw_only=True)
class Read:
    """A part of a source's result: a variable, and the place on its axes."""

    variable: str
    at: Mapping[str, Any] = field(default_factory=dict)  # axis -> value, or -> list of values
    times: float = 1.0  # such as 100 where the paper has percent
    low: str = ""  # the variables that hold the ends of its interval, for a value that is made of
    high: str = ""  # all seeds at once; "" where there is none
    seeds: int | None = None  # how many such a value is made of; None for all of the source


def read(
    variable: str,
    times: float = 1.0,
    /,
    *,
    low: str = "",
    high: str = "",
    seeds: int | None = None,
    **at: Any,
) -> Read:
    """Short for :class:`Read`."""
    return Read(variable=variable, at=at, times=times, low=low, high=high, seeds=seeds)


@short_repr
@dataclass(frozen=True, kw_only=True)
class Entry:
    """Published values of one figure, table or claim, and how ours are compared with them.

    Attributes:
        id: the paper and a name, such as "1/fig1a-accuracy"; unique in the ledger.
        figure: where in the paper, such as "Fig. 1a".
        claim: what is compared, in a few words.
        source: what computes our side.
        reads: by the id of a published value, or, where the paper prints none, by a name of ours:
            which part of the result is compared with it.
        comparison: how, and the tolerance.
        reason: for the tolerance, in one sentence.
        says: what the paper says, for values that have no id.
        differs: set where the comparison tests a correction of what is published: the sentence that
            says what is wrong or confounded there, valid if the comparison holds.
        claimed: with ``differs``, the comparison of the claim as published. Where the correction
            does not hold the entry is PASS if this does, and else OPEN: nothing is settled.
        of_publication: True where nothing of ours is run: the paper, its figures or its code are
            set against themselves.
    """

    id: str
    figure: str
    claim: str
    source: Source
    reads: Mapping[str, Read]
    comparison: Comparison
    reason: str
    says: str = ""
    differs: str = ""
    claimed: Comparison | None = None
    of_publication: bool = False

    def __post_init__(self) -> None:
        if self.claimed is not None and not self.differs:
            raise ValueError(f"entry {self.id!r} has claimed without differs; use comparison alone")

    @property
    def paper(self) -> int:
        """1 or 2."""
        return int(self.id.partition("/")[0])


def time_in_words(minutes: float) -> str:
    """Rounded, such as "20 min" or "4 h"."""
    if minutes < 1:
        return "under a minute"
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.0f} h"


def sources_of(entries: Iterable[Entry]) -> tuple[Source, ...]:
    """The sources of entries, each once, after its parts."""
    found = (one for entry in entries for one in entry.source.with_parts)
    return tuple({source.name: source for source in found}.values())
