"""Figs. 1-3 and sections 3.1, 3.2: three networks on three amounts of data.

Numbers are compared with runs of the published size, one for each network and fraction (three of
the MLP, which is quick); orders, which do not depend on the size, with small runs (p 43).
"""

from typing import Any

from analyses.ledger.comparisons import Bound, Comparison, Curve, Order, Region, Value
from analyses.ledger.entry import Entry, Read, Source, read

_COMPUTE = "analyses.ledger.measures.experiments:grokking"
_MODULES = {"transformer": "transformer", "lstm": "lstm", "mlp": "embedding_mlp"}
_NETWORKS = tuple(_MODULES.values())


def _source(
    name: str, seeds: int, tier: str, minutes: float, networks: tuple[str, ...], **settings: Any
) -> Source:
    return Source(
        name=f"grokking_{name}",
        compute=_COMPUTE,
        experiment="grokking_across",
        settings=settings,
        seeds=seeds,
        tier=tier,
        minutes=minutes,
        networks=networks,
    )


def _published(network: str, fraction: float, seeds: int, tier: str, minutes: float) -> Source:
    name = f"published_{network}_{100 * fraction:.0f}"
    at = {"network": network, "fraction": fraction}
    networks = (_MODULES[network],)
    return _source(name, seeds, tier, minutes, networks, size="published", **at)


PUBLISHED = {  # 1e5 steps: 22 ms each of the transformer on two cores, 19 of the LSTM, 8 of the MLP
    (network, fraction): _published(network, fraction, seeds, tier, minutes)
    for network, fraction, seeds, tier, minutes in (
        ("transformer", 0.25, 1, "cpu", 40),  # of Fig. 9
        ("transformer", 0.3, 1, "cpu", 40),
        ("transformer", 0.5, 1, "cpu", 40),
        ("transformer", 0.7, 3, "gpu", 5),
        ("lstm", 0.3, 3, "gpu", 4),
        ("lstm", 0.5, 1, "cpu", 35),
        ("lstm", 0.7, 1, "cpu", 35),
        ("mlp", 0.5, 3, "cpu", 40),
    )
}
SMALL = _source("small", 3, "cpu", 45, _NETWORKS, size="small")
MATCHED = Source(
    name="size_matched",
    compute="analyses.ledger.measures.controls:size_matched",
    settings={"size": "small"},
    seeds=3,
    tier="cpu",
    minutes=5,
    networks=_NETWORKS,
)

LONGER = Source(
    name="lstm_longer",
    compute="analyses.ledger.measures.controls:five_times_longer",
    settings={"size": "small", "network": "lstm", "fraction": 0.3},
    seeds=3,
    tier="cpu",
    minutes=5,
    networks=("lstm",),
)

_RUNS = {  # beginning of the ids -> figure, network, fraction
    "p2.fig1.transformer-50": ("Fig. 1 left", "transformer", 0.5),
    "p2.fig1.lstm-50": ("Fig. 1 middle", "lstm", 0.5),
    "p2.fig1.mlp-50": ("Fig. 1 right", "mlp", 0.5),
    "p2.fig2.transformer-30": ("Fig. 2", "transformer", 0.3),
    "p2.fig2.transformer-70": ("Fig. 2", "transformer", 0.7),
    "p2.fig3.lstm-30": ("Fig. 3", "lstm", 0.3),
    "p2.fig3.lstm-70": ("Fig. 3", "lstm", 0.7),
}
_SPLITS = {"train": "train", "val": "test"}
_NEVER = "p2.fig3.lstm-30"  # whose published validation accuracy stays near chance
_SEEDS = "one published run whose seed and weight decay are not stated"


def _of_run(begin: str, figure: str, network: str, fraction: float) -> list[Entry]:
    here: dict[str, Any] = {"network": network, "fraction": fraction}
    name = "2/" + begin.removeprefix("p2.").replace(".", "-")

    def entry(
        what: str, claim: str, reads: dict[str, Read], comparison: Comparison, reason: str
    ) -> Entry:
        return Entry(
            id=f"{name}-{what}",
            figure=figure,
            claim=f"{claim} ({network}, {fraction:.0%})",
            source=PUBLISHED[network, fraction],
            reads=reads,
            comparison=comparison,
            reason=reason,
        )

    def steps(short: str) -> dict[str, Read]:
        return {
            f"{begin}.{short}.step_ge_{100 * level:g}": read(
                "first_step", split=_SPLITS[short], level=level, **here
            )
            for level in (0.5, 0.9, 0.99)
        }

    found = [
        entry(
            "train-steps",
            "first step at 50, 90 and 99 % in training",
            steps("train"),
            Value(factor=1.5, median=True),
            _SEEDS + ": a factor of 1.5",
        ),
        entry(
            "curves",
            "accuracies while training",
            {
                f"{begin}.curve.{short}_acc": read("accuracy", 100, split=split, **here)
                for short, split in _SPLITS.items()
            },
            Curve(absolute=10, stretch=1.0, share=0.9),
            _SEEDS + ": a factor of two in steps, and short collapses differ",
        ),
        entry(
            "final",
            "accuracies at the end",
            {
                f"{begin}.final.{short}_acc": read("final", 100, split=split, **here)
                for short, split in _SPLITS.items()
            },
            Value(absolute=2 if begin == _NEVER else 1, median=True),
            "one point above 99 %; the run can be inside a collapse, so the median of the seeds",
        ),
        entry(
            "learned",
            "validation accuracy when training first reaches 99 %",
            {f"{begin}.val_at_train99": read("test_at_learned", 100, **here)},
            Value(absolute=10),
            "interpolated between plotted points",
        ),
    ]
    if network == "transformer":
        name_of_plateau = begin.replace("fig1", "fig2")
        found.append(
            entry(
                "plateau",
                "the plateau on its way",
                {f"{name_of_plateau}.plateau_median": read("plateau", 100, **here)},
                Value(absolute=5, spread=True),
                "half of the range of the published plateaus; the spread of our runs",
            )
        )
    if begin == _NEVER:
        found.append(
            entry(
                "never",
                "validation accuracy stays near chance",
                {
                    f"{begin}.val.never_ge_{level}": read("best", 100, split="test", **here)
                    for level in (50, 90, 99)
                },
                Bound(high=49.9, every=True),
                "the lowest of the three levels, in every seed",
            )
        )
        return found
    return [
        *found,
        entry(
            "val-steps",
            "first step at 50, 90 and 99 % in validation",
            steps("val"),
            Value(factor=2, median=True),
            _SEEDS + ": a factor of 2",
        ),
        entry(
            "delay",
            "validation's step to 99 % over training's",
            {f"{begin}.delay_ratio": read("delay", **here)},
            Value(factor=2, median=True),
            _SEEDS + ": a factor of 2",
        ),
    ]


ENTRIES = (
    *(entry for begin, where in _RUNS.items() for entry in _of_run(begin, *where)),
    Entry(
        id="2/fig1-mlp-creep",
        figure="Fig. 1 right",
        claim="the MLP's train accuracy rises slowly, without a plateau",
        source=PUBLISHED["mlp", 0.5],
        reads={
            "p2.fig1.mlp-50.train_creep": read(
                "accuracy", 100, network="mlp", fraction=0.5, split="train"
            )
        },
        comparison=Curve(absolute=5, stretch=0.2),
        reason="five points at the two steps that are read, 20 % in steps",
    ),
    Entry(
        id="2/F7-controlled",
        figure="Fig. 1 right",
        claim="the MLP's validation is at chance until training is perfect",
        source=PUBLISHED["mlp", 0.5],
        reads={
            "p2.fig1.mlp-50.val_rise_at_train": read(
                "train_at_leaving", 100, network="mlp", fraction=0.5
            )
        },
        comparison=Bound(high=99.0),
        reason="perfect is 99 % or more",
        claimed=Bound(low=99.0),
        differs="Validation leaves chance while training is still short of 99 % (92.5 % in the "
        "published curve), so the MLP's delay is not one after perfect training.",
    ),
    Entry(
        id="2/fig1-lstm-chance",
        figure="Fig. 1 middle",
        claim="the LSTM's validation is near chance until training is perfect",
        source=PUBLISHED["lstm", 0.5],
        reads={
            "p2.fig1.lstm-50.val_chance_until_perfect": read(
                "test_at_learned", 100, network="lstm", fraction=0.5
            )
        },
        comparison=Bound(high=3.0),
        reason="three times chance",
    ),
    Entry(
        id="2/fig2-order-time",
        figure="Fig. 2",
        claim="the transformer needs fewer steps with more data",
        source=SMALL,
        reads={
            "p2.fig2.order.val_time": read("time", network="transformer", split="test"),
        },
        comparison=Order(ascending=False),
        reason="the medians over seeds are in strict order",
    ),
    Entry(
        id="2/fig2-order-plateau",
        figure="Fig. 2",
        claim="and its plateau is higher",
        source=SMALL,
        reads={"p2.fig2.order.plateau": read("typical_waiting", network="transformer")},
        comparison=Order(ascending=True, least=0.05),
        reason="the medians over seeds rise by five points each, a quarter of what the published "
        "ones do, which networks at chance do not; the small transformer has no step 600 "
        "on its plateau, so between learning and half-way, in log time, to generalising",
    ),
    Entry(
        id="2/fig3-order-train",
        figure="Fig. 3",
        claim="the LSTM needs a few more steps to fit more data",
        source=SMALL,
        reads={"p2.fig3.order.train_time": read("time", network="lstm", split="train")},
        comparison=Order(ascending=True),
        reason="the medians over seeds are in strict order; the published ones are not",
    ),
    Entry(
        id="2/fig3-order-val",
        figure="Fig. 3",
        claim="the LSTM generalises much sooner with more data",
        source=SMALL,
        reads={"p2.fig3.order.val_time": read("time", network="lstm", split="test")},
        comparison=Order(ascending=False),
        reason="the medians over seeds are in strict order, infinite where not reached",
    ),
    Entry(
        id="2/sec3.1-universal",
        figure="Sec. 3.1",
        claim="all three networks grok at half of the data",
        source=SMALL,
        reads={
            "p2.sec3.1.universality": read(
                "typical_delay", fraction=0.5, network=["transformer", "lstm", "mlp"]
            )
        },
        comparison=Region(low=1.2, high=1e6),
        reason="the least published ratio, that of the MLP, which hardly groks; finite, or it has "
        "not grokked",
    ),
    Entry(
        id="2/F8-controlled",
        figure="Fig. 3",
        claim="the LSTM groks on 30 % of the pairs if it is trained five times as long",
        source=LONGER,
        reads={"best validation accuracy within 15,000 steps, in %": read("best", 100)},
        comparison=Bound(low=99, every=True),
        reason="the usual level of C_gen, in every seed; a seed below it is censored",
        says="grokking",
    ),
    Entry(
        id="2/F15-controlled",
        figure="Figs. 1, 2",
        claim="a transformer stays grokked",
        source=SMALL,
        reads={
            "lowest validation accuracy after the first 99 %, 70 % of the pairs, in %": read(
                "lowest_after", 100, network="transformer", fraction=0.7
            )
        },
        comparison=Bound(low=50, every=True),
        reason="half of the accuracy lost is a collapse; in every seed. The small transformer's "
        "settings are from a search for one that stays grokked on half of the pairs: norms, rates "
        "and decays that were tried, with all outcomes, are in docs/results.md",
        says="stays grokked",
    ),
    Entry(
        id="2/F3-controlled",
        figure="Sec. 3.1",
        claim="with as many parameters, too",
        source=MATCHED,
        reads={
            "median delay with as many parameters: transformer, LSTM, MLP": read(
                "delay", network=["transformer", "lstm", "mlp"]
            )
        },
        comparison=Region(low=1.2, high=1e6),
        reason="as for the networks of unequal size",
        says="3e5 to 4e5 parameters",
    ),
    Entry(
        id="2/sec3.2-fraction",
        figure="Sec. 3.2",
        claim="more data, less grokking",
        source=SMALL,
        reads={
            "p2.sec3.2.fraction": read("typical_delay", network="transformer"),
            "delay of the LSTM at 30, 50 and 70 %": read("typical_delay", network="lstm"),
        },
        comparison=Order(ascending=False),
        reason="the median delays are in strict order, infinite where not reached",
        says="falling",
    ),
)
