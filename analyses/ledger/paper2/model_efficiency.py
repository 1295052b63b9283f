"""Fig. 6: the norm that circuits need, and what is left of its trend with controls."""

from typing import Any

from analyses.ledger.comparisons import Bound, Curve, Order, Value
from analyses.ledger.entry import Entry, Source, read

_MEASURES = "analyses.ledger.measures.experiments"
_SINGLE = [0.5, 0.7, 0.9]  # fractions of single runs at the published size


def _source(
    experiment: str,
    size: str,
    seeds: int,
    tier: str,
    minutes: float,
    single: str = "",
    **more: list[float],
) -> Source:
    return Source(
        name=f"{experiment}_{size}{single}",
        compute=f"{_MEASURES}:{experiment}",
        experiment=experiment,
        settings={"size": size, **more},
        seeds=seeds,
        tier=tier,
        minutes=minutes,
        networks=("embedding_mlp",),
        runs=f"model_efficiency_{size}{single}",  # the times are those of the same runs
    )


PUBLISHED = _source("model_efficiency", "published", 3, "gpu", 20)
SINGLE = _source(  # six runs of 1e5 steps, 5 to 9 ms each
    "model_efficiency", "published", 1, "cpu", 80, single="_single", fraction=_SINGLE
)
SINGLE_TIMES = _source(
    "training_efficiency", "published", 1, "cpu", 1, single="_single", fraction=_SINGLE
)
SMALL = _source("model_efficiency", "small", 3, "cpu", 6)
SMALL_INIT = Source(
    name="small_init",
    compute=f"{_MEASURES}:model_efficiency",
    experiment="model_efficiency",
    settings={"size": "small", "initial_scale": 0.5},
    seeds=3,
    tier="cpu",
    minutes=5,
    networks=("embedding_mlp",),
)
TIMES = _source("training_efficiency", "small", 3, "cpu", 1)
_KINDS = {"mem": "C_mem", "gen": "C_gen"}
_PERCENTS = (30, 40, 50, 60, 70, 80, 90)
_ALL = [percent / 100 for percent in _PERCENTS]
RANDOM: dict[str, Any] = {"circuit": "random labels, equal step", "measure": "least"}
_LOGITS = (("mem", "C_mem", 3.0), ("gen", "C_gen", 1.5))  # with tolerances
_AS_PUBLISHED: dict[str, Any] = {"circuit": "C_mem", "measure": "all parameters"}
ENDS: dict[str, Any] = {"low": "trend_low", "high": "trend_high"}
VALIDATED: dict[str, Any] = {"circuit": "C_gen, validation high", "measure": "least"}


def _norm(short: str, published: float, relative: float) -> Entry:
    """A circuit's norm at half of the pairs, of a single run."""
    kind = _KINDS[short]
    return Entry(
        id=f"2/fig6-{short}-point",
        figure="Fig. 6",
        claim=f"norm of {kind} at 50 % of the pairs",
        source=SINGLE,
        reads={f"norm of {kind}, one run at 50 %": read("norm", circuit=kind, fraction=0.5)},
        comparison=Value(equals=published, relative=relative),
        reason="as for the curve",
        says=f"{published:g}",
    )


ENTRIES = (
    Entry(
        id="2/fig6-mem",
        figure="Fig. 6 left",
        claim="norm of C_mem",
        source=PUBLISHED,
        reads={"p2.fig6.mem.curve.norm": read("norm_by_percent", circuit="C_mem")},
        comparison=Curve(relative=0.15, share=0.85),
        reason="it follows the step at which training is stopped, which varies by seed",
    ),
    Entry(
        id="2/fig6-gen",
        figure="Fig. 6 right",
        claim="norm of C_gen",
        source=PUBLISHED,
        reads={"p2.fig6.gen.curve.norm": read("norm_by_percent", circuit="C_gen")},
        comparison=Curve(relative=0.10, share=0.85),
        reason="10 %; published values vary by 7 % themselves",
    ),
    *(
        Entry(
            id=f"2/fig6-{short}-logits",
            figure="Fig. 6",
            claim=f"correct logits of {kind}: their median, and 20 ranks of them",
            source=PUBLISHED,
            reads={f"p2.fig6.{short}.curve.median_logit": read("logit_by_percent", circuit=kind)}
            | {
                f"p2.fig6.{short}.pct{percent}.logits": read(
                    "logits", circuit=kind, fraction=percent / 100
                )
                for percent in _PERCENTS
                if percent / 100 not in _SINGLE
            },
            comparison=Curve(absolute=tolerance, share=0.85),
            reason=f"{tolerance} per point, as published fractions differ among themselves",
        )
        for short, kind, tolerance in _LOGITS
    ),
    *(
        Entry(
            id=f"2/fig6-{short}-logits-single",
            figure="Fig. 6",
            claim=f"20 ranks of the correct logits of {kind}, one run for each fraction",
            source=SINGLE,
            reads={
                f"p2.fig6.{short}.pct{100 * fraction:.0f}.logits": read(
                    "logits", circuit=kind, fraction=fraction
                )
                for fraction in _SINGLE
            },
            comparison=Curve(absolute=tolerance, share=0.85),
            reason=f"{tolerance} per point, as published fractions differ among themselves",
        )
        for short, kind, tolerance in _LOGITS
    ),
    _norm("mem", 68.52, 0.15),
    _norm("gen", 33.5, 0.10),
    Entry(
        id="2/F13-unused",
        figure="Fig. 6 left",
        claim="the norm of C_mem is what the circuit needs",
        source=SINGLE,
        reads={
            f"share of C_mem's squared norm in rows that never occur, {fraction:.0%}": read(
                "unused_share", circuit="C_mem", fraction=fraction
            )
            for fraction in _SINGLE[1:]
        },
        comparison=Bound(low=0.5),
        reason="more than half",
        says="140 and 168",
        claimed=Bound(high=0.1),
        differs="At 70 and 90 % of the pairs most of the squared norm of C_mem as published is in "
        "embedding rows of tokens that never occur, which only decay.",
    ),
    *(
        Entry(
            id=f"2/fig6-{short}-ratio",
            figure="Fig. 6",
            claim=f"median logit of {kind} over its norm",
            source=PUBLISHED,
            reads={f"p2.fig6.{short}.curve.logit_per_norm": read("ratio_by_percent", circuit=kind)},
            comparison=Curve(relative=0.25, share=0.85),
            reason="the tolerances of its two parts together",
        )
        for short, kind in _KINDS.items()
    ),
    Entry(
        id="2/fig6-mem-grows",
        figure="Fig. 6 left",
        claim="C_mem needs a larger norm with more data, as published",
        source=SMALL,
        reads={"p2.fig6.mem_norm_grows": read("norm", circuit="C_mem", fraction=_ALL)},
        comparison=Order(ascending=True),
        reason="the means over seeds are in strict order",
    ),
    Entry(
        id="2/F13-controlled",
        figure="Fig. 6 left",
        claim="memorising three times the data takes nearly three times the norm",
        source=SMALL,
        reads={
            "slope of log norm in log data, random labels, least norm at equal steps": read(
                "trend_slope", **ENDS, **RANDOM
            )
        },
        comparison=Bound(low=0.05, high=0.5),
        reason="it grows, by more than 6 % from 30 to 90 %, and as at most half of the published "
        "power, .96",
        says="rises from 58 to 168",
        claimed=Bound(low=0.75),
        differs="With random labels, equal steps, a common margin and no dead rows the norm of a "
        "memorising circuit grows with the data, but as at most half of the published power: a "
        "part of the published trend is that of initial weights that have decayed.",
    ),
    Entry(
        id="2/fig6-gen-flat",
        figure="Fig. 6 right",
        claim="the norm of C_gen does not depend on the data",
        source=SMALL,
        reads={
            "p2.fig6.gen_norm_flat": read("norm_range"),
            "the same of a C_gen that generalises, from 50 to 90 %": read("norm_range_validated"),
        },
        comparison=Bound(high=1.1),
        reason="the published range is 1.075; of our mean over seeds. By the published rule C_gen "
        "is the end of training, where small networks with 30 % of the pairs have not generalised",
        says="at most 1.1",
    ),
    Entry(
        id="2/fig6-kept",
        figure="Fig. 6",
        claim="all seeds have circuits at three fractions or more",
        source=SMALL,
        reads={
            f"seeds with {words}": read("trend_n_seeds", **at)
            for words, at in (
                ("C_mem as published", _AS_PUBLISHED),
                ("memorised random labels at equal steps", RANDOM),
                ("a C_gen that generalises", VALIDATED),
            )
        },
        comparison=Value(equals=3),
        reason="none is left out of the slopes",
        says="one run",
    ),
    Entry(
        id="2/fig6-more-efficient",
        figure="Fig. 6",
        claim="C_gen gives more logit per norm than C_mem, at every fraction",
        source=SMALL,
        reads={
            "p2.fig6.gen_more_efficient": read("least_efficiency_ratio"),
        },
        comparison=Bound(low=1.0, every=True),
        reason="larger than 1 in every seed, at the fraction where it is least",
    ),
    Entry(
        id="2/fig6-more-efficient-controlled",
        figure="Fig. 6",
        claim="C_gen needs less norm than C_mem for the same logit, controlled",
        source=SMALL,
        reads={
            f"norm of random labels over that of C_gen, at a common logit, {fraction:.0%}": read(
                "saving", measure="matched logit", fraction=fraction
            )
            for fraction in (0.5, 0.6)
        },
        comparison=Bound(low=1.0, every=True),
        reason="in every seed; where both circuits exist and the next entry does not look",
        says="2.5 to 9.5",
    ),
    Entry(
        id="2/F13-sign",
        figure="Fig. 6 left",
        claim="the norm as published rises with the data",
        source=SMALL,
        reads={
            "slope of log norm in log data, C_mem, all parameters": read(
                "trend_slope", **ENDS, circuit="C_mem", measure="all parameters"
            )
        },
        comparison=Bound(high=0.0),
        reason="a sign; written after a look at the four smallest of the seven fractions",
        says="rises from 58 to 168",
        claimed=Bound(low=0.0),
        differs="Here larger sets are fitted later, not earlier as in the paper, and the norm as "
        "published falls with the data where the paper's rises: its trend is that of the step at "
        "which training is stopped, through weights that only decay.",
    ),
    Entry(
        id="2/F13-each",
        figure="Fig. 6 left",
        claim="C_mem's norm grows with the data, also with each control alone",
        source=SMALL,
        reads={
            f"slope of log norm in log data, {words}": read(
                "trend_slope", **ENDS, circuit=circuit, measure=measure
            )
            for words, circuit, measure in (
                ("without rows that never occur", "C_mem", "used parameters"),
                ("at equal steps", "C_mem, equal step", "all parameters"),
                ("at equal margin", "C_mem", "matched margin"),
                ("of random labels", "random labels", "all parameters"),
            )
        },
        comparison=Bound(low=0.05),
        reason="as for all controls together; a slope of .05 is a growth of 6 % from 30 to 90 %",
        says="rises from 58 to 168",
    ),
    Entry(
        id="2/F13-small-init",
        figure="Fig. 6 left",
        claim="C_mem's norm grows with the data from small initial weights, too",
        source=SMALL_INIT,
        reads={
            "slope of log norm in log data, all weights begun at half": read(
                "trend_slope", **ENDS, circuit="C_mem", measure="all parameters"
            ),
            "the same of random labels, least norm at equal steps": read(
                "trend_slope", **ENDS, **RANDOM
            ),
        },
        comparison=Bound(low=0.05),
        reason="as for all controls together; with a quarter or a tenth of the initial weights "
        "seed 0 does not fit 90 % of the pairs in the usual steps",
        says="rises from 58 to 168",
    ),
    Entry(
        id="2/F17-controlled",
        figure="Fig. 6",
        claim="C_mem needs more norm for the same logit or margin with more data",
        source=SMALL,
        reads={
            f"slope of log norm in log data, random labels, {words}": read(
                "trend_slope", **ENDS, circuit="random labels, equal step", measure=measure
            )
            for words, measure in (
                ("read-out scaled to a common logit", "matched logit"),
                ("read-out scaled to a common margin", "matched margin"),
            )
        },
        comparison=Bound(low=0.05),
        reason="as for the least norm",
        says="more norm",
    ),
)
