"""Sections 4.1, 4.2: circuits exist, C_gen is more efficient and slower, C_mem's cost rises."""

from analyses.ledger.comparisons import Bound, Holds
from analyses.ledger.entry import Entry, read
from analyses.ledger.paper2.model_efficiency import (
    ENDS,
    SINGLE_TIMES,
    SMALL,
    TIMES,
    VALIDATED,
)

ENTRIES = (
    Entry(
        id="2/sec4.1-slower-point",
        figure="Sec. 4.1",
        claim="C_gen is learned more slowly, at the published size",
        source=SINGLE_TIMES,
        reads={
            "time to generalise over time to memorise random labels, one run at 50 %": read(
                "ratio_told", network="mlp", over="gap", fraction=0.5
            )
        },
        comparison=Bound(low=1.0, every=True),
        reason="as for the small size",
        says="slower",
    ),
    Entry(
        id="2/sec4.1-existence",
        figure="Sec. 4.1",
        claim="both circuits exist and are reached",
        source=SMALL,
        reads={"p2.sec4.1.condition_existence": read("both_exist", fraction=0.5)},
        comparison=Holds(),
        reason="in every seed, at half of the pairs: random labels reach 99 % in training with a "
        "validation accuracy of at most 5 %, the task's labels 99 % in both",
    ),
    Entry(
        id="2/sec4.1-efficient",
        figure="Sec. 4.1",
        claim="C_gen is more efficient than C_mem",
        source=SMALL,
        reads={
            "p2.sec4.1.condition_model_efficiency": read(
                "saving", measure="matched logit", fraction=0.7
            ),
            "the same of the least norm at a common margin": read(
                "saving", measure="least", fraction=0.7
            ),
        },
        comparison=Bound(low=1.0, every=True),
        reason="random labels need more norm than C_gen, in every seed; at 70 %, the largest "
        "fraction at which three earlier seeds memorised random labels within the usual steps",
        says="larger margin or smaller norm",
    ),
    Entry(
        id="2/sec4.1-slower",
        figure="Sec. 4.1",
        claim="C_gen is learned more slowly",
        source=TIMES,
        reads={
            "p2.sec4.1.condition_training_efficiency": read(
                "ratio_told", network="mlp", over="gap", fraction=0.5
            )
        },
        comparison=Bound(low=1.0, every=True),
        reason="longer than memorising random labels, in every seed, at half of the data",
    ),
    Entry(
        id="2/sec4.1-slower-everywhere",
        figure="Sec. 4.1",
        claim="C_gen is learned more slowly, at every amount of data",
        source=TIMES,
        reads={
            "time to generalise over time to memorise, at 70 %": read(
                "ratio_told", network="mlp", over="gap", fraction=0.7
            )
        },
        comparison=Bound(high=1.0, every=True),
        reason="below 1 in every seed",
        says="slower",
        claimed=Bound(low=1.0, every=True),
        differs="Which circuit is slower depends on the amount of data: at 70 % of the pairs "
        "finding the rule is quicker than memorising as many random labels.",
    ),
    Entry(
        id="2/sec4.2-falls",
        figure="Sec. 4.2",
        claim="the efficiency of C_mem falls with the data, that of C_gen does not",
        source=SMALL,
        reads={"p2.sec4.2.mem_efficiency_falls": read("falls_and_flat")},
        comparison=Holds(),
        reason="the 95 % interval of the slope of the norm that random labels need lies above 0, "
        "and that of C_gen contains 0",
    ),
    Entry(
        id="2/sec4.2-steeper",
        figure="Sec. 4.2",
        claim="C_mem's cost grows more steeply than C_gen's",
        source=SMALL,
        reads={
            "slope of log norm in log data of random labels, less that of C_gen": read("steeper")
        },
        comparison=Bound(low=0.05, every=True),
        reason="in every seed; a difference of .05 is 6 % from 30 to 90 %",
        says="falls, flat",
    ),
    Entry(
        id="2/sec4.2-flat",
        figure="Sec. 4.2",
        claim="the efficiency of C_gen does not fall",
        source=SMALL,
        reads={"slope of log norm of C_gen in log data": read("trend_slope", **ENDS, **VALIDATED)},
        comparison=Bound(low=-0.1, high=0.1),
        reason="a third of the slope that random labels have",
        says="flat",
    ),
    Entry(
        id="2/F6-controlled",
        figure="Sec. 4.1",
        claim="there is a C_mem with limited validation accuracy: one trained on random labels",
        source=SMALL,
        reads={
            "validation accuracy of networks that memorised random labels": read(
                "test_accuracy", circuit="random labels", fraction=0.5
            )
        },
        comparison=Bound(high=0.05, every=True),
        reason="the bound of a validated C_mem, in every seed",
        says="limited",
    ),
)
