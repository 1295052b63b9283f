"""Hypothesis 2.1, with controls, Sec. 3.2 and the conclusion: periodic neurons generalise."""

from analyses.ledger.comparisons import Bound, Holds, Order
from analyses.ledger.entry import Entry, Source, read
from analyses.ledger.paper1.label_corruption import CLEAN, DECAYS

CONTROLS = Source(
    name="pruning_controls",
    compute="analyses.ledger.measures.memory_controls:pruning_controls",
    settings={"steps": 1000, "corruption": 0.35},
    seeds=5,
    tier="cpu",
    minutes=2,
)

ENTRIES = (
    Entry(
        id="1/hyp2.1",
        figure="Hypothesis 2.1",
        claim="high-IPR neurons generalise, low-IPR neurons memorise",
        source=DECAYS,
        reads={"p1.hyp2.1": read("hypothesis", weight_decay=0.0)},
        comparison=Holds(),
        reason="a claim about every network; its four bounds are those of the published value",
    ),
    Entry(
        id="1/hyp2.1-control",
        figure="Hypothesis 2.1",
        claim="removal by IPR keeps more of the test set than as many neurons at random",
        source=DECAYS,
        reads={
            "test accuracy after 60 %, by IPR minus at random": read(
                "beats_random", weight_decay=0.0
            )
        },
        comparison=Bound(low=0.1, every=True),
        reason="the paper has no control; a tenth is far above the spread",
        says="no control",
    ),
    Entry(
        id="1/hyp2.1-norm",
        figure="Hypothesis 2.1",
        claim="removal by weight norm does nearly as well",
        source=DECAYS,
        reads={
            "test accuracy after removing the 60 % of smallest norm": read(
                "pruned_accuracy",
                weight_decay=0.0,
                order="norm",
                end="low",
                subset="test",
                fraction=0.6,
            )
        },
        comparison=Bound(low=0.95),
        reason="95 % is what removal by IPR must keep in Fig. 17",
        says="no control",
        differs="In these networks neurons of low IPR are also small, and pruning by norm gives "
        "nearly the same curves, so that pruning curves alone do not show that periodicity is "
        "what matters.",
    ),
    Entry(
        id="1/hyp2.1-effect",
        figure="Hypothesis 2.1",
        claim="the order of IPR is no worse than that of the effect on the true label's logit",
        source=CONTROLS,
        reads={
            "test accuracy after 60 %, by IPR minus by weights times activation": read(
                "over_attribution"
            )
        },
        comparison=Bound(low=-0.05),
        reason="five points: the effect uses the labels, which the IPR does not",
        says="no control",
    ),
    Entry(
        id="1/hyp2.1-mean",
        figure="Hypothesis 2.1",
        claim="it holds, too, where neurons are replaced by their mean",
        source=CONTROLS,
        reads={"the four bounds of the hypothesis, mean ablation": read("hypothesis", mode="mean")},
        comparison=Holds(),
        reason="zeros are far from what a square activation gives; the bounds are those of the "
        "published value",
        says="zeros only",
    ),
    Entry(
        id="1/conclusion",
        figure="Conclusion",
        claim="memorising neurons can be pruned for perfect generalisation",
        source=DECAYS,
        reads={
            "test accuracy with 65 % pruned": read(
                "pruned_accuracy",
                weight_decay=0.0,
                order="ipr",
                end="low",
                subset="test",
                fraction=0.65,
            )
        },
        comparison=Bound(low=0.99),
        reason="read as 100 % from the figure, to half a point",
        says="100 %",
    ),
    Entry(
        id="1/sec3.2-frequencies",
        figure="Sec. 3.2",
        claim="frequencies among periodic neurons",
        source=CLEAN,
        reads={"p1.sec3.2.frequencies_used": read("n_frequencies", weight_decay=5.0)},
        comparison=Bound(high=48, every=True),
        reason="a report of the count: there are only 48 non-zero frequencies mod 97, so the row "
        "cannot fail",
    ),
    Entry(
        id="1/sec3.2-dropout",
        figure="Sec. 3.2",
        claim="generalisation tolerates the loss of random neurons, memory does not",
        source=DECAYS,
        reads={
            "p1.sec3.2.dropout_robustness": read(
                "kept_at_random", weight_decay=0.0, subset=["test", "changed"]
            )
        },
        comparison=Order(ascending=False),
        reason="the sign of the difference of the means, 30 % removed",
    ),
)
