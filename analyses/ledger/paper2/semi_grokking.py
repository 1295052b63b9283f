"""Fig. 9: training near the critical amount of data."""

from analyses.ledger.comparisons import Bound, Curve, Value
from analyses.ledger.entry import Entry, Source, read

FIGURE = Source(
    name="published_fig9",
    compute="analyses.ledger.measures.published_curves:figure_9",
    tier="quick",
    minutes=0.1,
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


PUBLISHED = _source("published", "transformer", 3, "gpu", 1500)
SMALL = {  # 48 runs of 18,000 and 36,000 steps, 1.5 to 2 ms a step on one core
    "MLP": _source("small", "mlp", 8, "cpu", 20),
    "transformer": _source("small", "transformer", 8, "cpu", 30),
}
_STEPS = {"MLP": 18_000, "transformer": 36_000}  # of the small runs
_PERCENTS = range(20, 31)
_FIRST = {"budget": 100_000}  # the paper's number of steps


def _small(network: str) -> Entry:
    """Whether runs end semi-grokked at all, judged after six times the usual number of steps."""
    at = {"budget": _STEPS[network]}
    return Entry(
        id=f"2/fig9-small-{network.lower()}",
        figure="Fig. 9",
        claim=f"semi-grokking near the critical amount of data, {network}",
        source=SMALL[network],
        reads={
            f"share of runs that end flat and half-way, {network}": read("semi_grokked", **at),
            f"lower end of its 95 % interval, {network}": read("semi_grokked_low", **at),
        },
        comparison=Bound(low=0.05),
        reason="one run of twenty; surely so if the lower end of Wilson's interval is there, too",
        says="at 23-27 %",
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
                "both_circuits"
            )
        },
        comparison=Bound(low=0.5),
        reason="at least half of the runs that end semi-grokked at 15 to 90 %; NaN without any",
        says="inferred from accuracy",
    )


ENTRIES = (
    Entry(
        id="2/fig9-curves",
        figure="Fig. 9",
        claim="validation accuracy against steps",
        source=PUBLISHED,
        reads={
            f"p2.fig9.pct{percent}.curve": read("accuracy", 100, fraction=percent / 100)
            for percent in _PERCENTS
        },
        comparison=Curve(absolute=10, stretch=0.5, share=0.8),
        reason="one run per fraction: a factor of 1.5 in steps and ten points; spikes are no "
        "target",
    ),
    Entry(
        id="2/fig9-final",
        figure="Fig. 9",
        claim="validation accuracy at 1e5 steps, below 27 %",
        source=PUBLISHED,
        reads={
            f"p2.fig9.pct{percent}.final": read("final", 100, fraction=percent / 100, **_FIRST)
            for percent in range(20, 27)
        },
        comparison=Value(absolute=5, spread=True),
        reason="five points, or the spread of our runs",
    ),
    Entry(
        id="2/fig9-final-above",
        figure="Fig. 9",
        claim="validation accuracy at 1e5 steps, from 27 % on",
        source=PUBLISHED,
        reads={
            f"p2.fig9.pct{percent}.final": read("final", 100, fraction=percent / 100, **_FIRST)
            for percent in range(27, 31)
        },
        comparison=Value(absolute=5, spread=True),
        reason="these hang on the timing near the end of the budget, so on the spread of our runs",
    ),
    Entry(
        id="2/fig9-censored",
        figure="Fig. 9",
        claim="90 % is not reached within 1e5 steps up to 27 %",
        source=PUBLISHED,
        reads={
            f"p2.fig9.pct{percent}.censored_90": read("late", fraction=percent / 100)
            for percent in range(20, 28)
        },
        comparison=Bound(low=0.5),
        reason="in most seeds; the published value is a time of censoring",
    ),
    Entry(
        id="2/fig9-crossings",
        figure="Fig. 9",
        claim="first step at 90 % from 28 % on",
        source=PUBLISHED,
        reads={
            f"p2.fig9.pct{percent}.step_ge_90": read(
                "first_step", level=0.9, fraction=percent / 100
            )
            for percent in (28, 29, 30)
        },
        comparison=Value(factor=1.5, median=True),
        reason="one run per fraction: a factor of 1.5",
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
        reads={"p2.fig9.middling_23_27": read("count")},
        comparison=Bound(high=0.5),
        reason="a count of runs that are flat and long enough; none may be",
        differs="No published run may be counted: each ends before three times the steps that the "
        "next larger fraction needs, and the 27 % run still rises, from 17 to 59 % over its last "
        "fifth. They are unfinished, not stuck.",
    ),
    *(_small(network) for network in SMALL),
    *(_mixed(network) for network in SMALL),
)
