"""Fig. 9: training near the critical amount of data."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from analyses.ledger.comparisons import Bound, Comparison, Curve, Value
from analyses.ledger.entry import Entry, Read, Source, read
from analyses.ledger.paper2.grokking import PUBLISHED as SINGLE

FIGURE = Source(
    name="published_fig9",
    compute="analyses.ledger.measures.published_curves:figure_9",
    tier="quick",
    minutes=0.02,
)


def _source(size: str, network: str, seeds: int, tier: str, minutes: float) -> Source:
    return Source(
        name=f"semi_grokking_{size}_{network}",
        compute="analyses.ledger.measures.experiments:semi_grokking",
        experiment="semi_grokking",
        settings={"size": size, "network": network},
        seeds=seeds,
        tier=tier,
        minutes=minutes,
        networks=("transformer" if network == "transformer" else "embedding_mlp",),
    )


PUBLISHED = _source("published", "transformer", 3, "gpu", 90)  # 33 runs of 3e5 steps
SMALL = {  # 48 runs of 36,000 steps, 1.5 to 2 ms a step on one core; then half-way runs taken apart
    "MLP": _source("small", "mlp", 8, "cpu", 45),
    "transformer": _source("small", "transformer", 8, "cpu", 45),
}
_STEPS = 36_000  # of the small runs
_FIRST = 100_000  # the paper's number of steps


def _published(percents: Iterable[int]) -> Iterator[tuple[int, Source, dict[str, Any]]]:
    """Where runs with these percentages of the pairs are: one source with three seeds and three
    times the steps, or a single run of its own.
    """
    for percent in percents:
        single = SINGLE.get(("transformer", percent / 100))
        at: dict[str, Any] = {"fraction": percent / 100}
        if single is None:
            yield percent, PUBLISHED, at
        else:
            yield percent, single, at | {"network": "transformer"}


def _of_percents(
    name: str,
    claim: str,
    percents: Iterable[int],
    make: Callable[[int, Source, dict[str, Any]], tuple[str, Read]],
    comparison: Comparison,
    reason: str,
) -> Iterator[Entry]:
    """An entry for the runs of three seeds, and one for each single run."""
    by_source: dict[str, tuple[Source, dict[str, Read]]] = {}
    for percent, source, at in _published(percents):
        published, part = make(percent, source, at)
        by_source.setdefault(source.name, (source, {}))[1][published] = part
    for source, reads in by_source.values():
        single = source is not PUBLISHED
        percent = f"{100 * source.settings['fraction']:.0f}" if single else ""
        yield Entry(
            id=f"2/fig9-{name}" + (f"-{percent}" if single else ""),
            figure="Fig. 9",
            claim=claim + (f" ({percent} %)" if single else ""),
            source=source,
            reads=reads,
            comparison=comparison,
            reason=reason,
        )


def _curve(percent: int, source: Source, at: dict[str, Any]) -> tuple[str, Read]:
    split: dict[str, Any] = {} if source is PUBLISHED else {"split": "test"}
    return f"p2.fig9.pct{percent}.curve", read("accuracy", 100, **at, **split)


def _final(percent: int, source: Source, at: dict[str, Any]) -> tuple[str, Read]:
    more: dict[str, Any] = {"budget": _FIRST} if source is PUBLISHED else {"split": "test"}
    return f"p2.fig9.pct{percent}.final", read("final", 100, **at, **more)


def _late(percent: int, source: Source, at: dict[str, Any]) -> tuple[str, Read]:
    del source
    return f"p2.fig9.pct{percent}.censored_90", read("late", **at)


def _crossing(percent: int, source: Source, at: dict[str, Any]) -> tuple[str, Read]:
    split: dict[str, Any] = {} if source is PUBLISHED else {"split": "test"}
    return f"p2.fig9.pct{percent}.step_ge_90", read("first_step", level=0.9, **at, **split)


def _small(network: str) -> Iterator[Entry]:
    """Whether runs end semi-grokked at all, and how many can be judged."""
    at: dict[str, Any] = {"budget": _STEPS}
    yield Entry(
        id=f"2/fig9-small-{network.lower()}",
        figure="Fig. 9",
        claim=f"semi-grokking near the critical amount of data, {network}",
        source=SMALL[network],
        reads={
            f"share of runs that end flat and half-way, of those long enough, {network}": read(
                "semi_grokked", low="semi_grokked_low", high="semi_grokked_high", **at
            ),
        },
        comparison=Bound(low=0.05),
        reason="one run of twenty; it can be told if Wilson's interval does not hold it",
        says="at 23-27 %",
    )
    yield Entry(
        id=f"2/fig9-long-enough-{network.lower()}",
        figure="Fig. 9",
        claim=f"runs are long enough to tell where they end, {network}",
        source=SMALL[network],
        reads={
            f"share of runs that still rise, or are shorter than three times what the next larger "
            f"fraction needs, {network}": read("unfinished", **at)
        },
        comparison=Bound(high=0.25),
        reason="three quarters of the runs can be judged",
        says="all of 1e5 steps",
    )


def _mixed(network: str) -> Entry:
    """Whether semi-grokked runs hold both circuits: see ``semi_grokking.both_circuits``."""
    return Entry(
        id=f"2/fig9-circuits-{network.lower()}",
        figure="Fig. 9",
        claim=f"a semi-grokked network holds both circuits, {network}",
        source=SMALL[network],
        reads={
            f"share of semi-grokked runs that come apart into both, {network}": read(
                "both_circuits", low="both_circuits_low", high="both_circuits_high"
            )
        },
        comparison=Bound(low=0.5),
        reason="at least half of the runs that end semi-grokked at 15 to 90 %; NaN without any",
        says="inferred from accuracy",
    )


ENTRIES = (
    *_of_percents(
        "curves",
        "validation accuracy against steps, below 27 %",
        range(20, 27),
        _curve,
        Curve(absolute=5, stretch=0.5, share=0.8),
        "one run per fraction: a factor of 1.5 in steps and five points, less than most of these "
        "curves are above chance; spikes are no target",
    ),
    *_of_percents(
        "curves-above",
        "validation accuracy against steps, from 27 % on",
        range(27, 31),
        _curve,
        Curve(absolute=10, stretch=0.5, share=0.8),
        "one run per fraction: a factor of 1.5 in steps and ten points; spikes are no target",
    ),
    *_of_percents(
        "final",
        "validation accuracy at 1e5 steps, below 27 %",
        range(20, 27),
        _final,
        Value(absolute=5, spread=True),
        "five points, or the spread of our runs",
    ),
    *_of_percents(
        "final-above",
        "validation accuracy at 1e5 steps, from 27 % on",
        range(27, 31),
        _final,
        Value(absolute=5, spread=True),
        "these hang on the timing near the end of the budget, so on the spread of our runs",
    ),
    *_of_percents(
        "censored",
        "90 % is not reached within 1e5 steps up to 27 %",
        range(20, 28),
        _late,
        Bound(low=0.5),
        "in most seeds; the published value is a time of censoring",
    ),
    *_of_percents(
        "crossings",
        "first step at 90 % from 28 % on",
        range(28, 31),
        _crossing,
        Value(factor=1.5, median=True),
        "one run per fraction: a factor of 1.5",
    ),
    Entry(
        id="2/fig9-above",
        figure="Fig. 9",
        claim="above 27 % grokking comes after 6e4 steps",
        source=PUBLISHED,
        reads={"p2.fig9.grokking_above_27": read("first_step", level=0.5, fraction=0.28)},
        comparison=Bound(low=60_000),
        reason="the published bound, at 28 %",
    ),
    Entry(
        id="2/F9-middling",
        figure="Fig. 9",
        claim="at 23 to 27 % the runs have stopped half-way: semi-grokking",
        source=FIGURE,
        of_publication=True,
        reads={"p2.fig9.middling_23_27": read("count")},
        comparison=Bound(high=0.5),
        reason="a count of runs that are flat and long enough; none may be",
        differs="No published run may be counted: each ends before three times the steps that the "
        "next larger fraction needs, and the 27 % run still rises, from 17 to 59 % over its last "
        "fifth. They are unfinished, not stuck.",
    ),
    *(entry for network in SMALL for entry in _small(network)),
    *(_mixed(network) for network in SMALL),
)
