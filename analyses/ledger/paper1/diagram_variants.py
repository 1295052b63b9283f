"""Figs. 26-31: diagrams of other losses, activations, widths and tasks, against those of Fig. 3.

Settings, seeds and cells are as in ``phase_diagrams``. A count of zero also holds for networks that
learn nothing, so next to each there is an entry that fails for these.
"""

from analyses.ledger.comparisons import Order, Region
from analyses.ledger.entry import Entry, Source, read
from analyses.ledger.label_noise import label_noise
from analyses.ledger.paper1.phase_diagrams import DECAYS, DROPOUTS, diagrams, trained

BAND = label_noise("inversion_band", "published", 3, 40)
RELU_CELLS = (trained("fig27", 60),)
CROSS_ENTROPY = diagrams(
    "fig26",
    {
        "fig3a": DECAYS,
        "fig26-weight-decay": (trained("fig26-weight-decay", 75),),
        "fig26-dropout": (trained("fig26-dropout", 50),),
    },
)
RELU = diagrams("fig27", {"fig3a": DECAYS, "fig27": RELU_CELLS})
RELU_DROPOUT = diagrams("fig28", {"fig3b": DROPOUTS, "fig28": (trained("fig28", 50),)})
MULTIPLICATION = diagrams("fig31", {"fig3a": DECAYS, "fig31": (trained("fig31", 50),)})
# 5000 neurons: a run takes 1 to 3 minutes of two cores, and half a second of an H200.
WIDE = diagrams(
    "fig29",
    {"fig3a": DECAYS, "fig29": (trained("fig29", 15, tier="gpu", adaptive=True),)},
    tier="gpu",
    adaptive=["fig29"],
)
WIDE_RELU = diagrams(
    "fig30",
    {"fig27": RELU_CELLS, "fig30": (trained("fig30", 15, tier="gpu", adaptive=True),)},
    tier="gpu",
    adaptive=["fig30"],
)
ACTIVATIONS = Source(
    name="least_decay",
    compute="analyses.ledger.measures.small_diagrams:least_decay",
    settings={
        "decays": [0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0],
        "train_fraction": 0.5,
        "corruption": 0.35,
        "precision": "bfloat16",
    },
    seeds=3,
    tier="cpu",
    minutes=12,
)
_SIGN = "the panels are lost; the text gives the order alone"

ENTRIES = (
    Entry(
        id="1/fig26-band",
        figure="Fig. 26",
        claim="with cross-entropy only a band of weight decay inverts",
        source=BAND,
        reads={"p1.fig26.narrow_band": read("closed", loss="cross_entropy")},
        comparison=Region(low=1),
        reason="a decay that inverts lies between two that do not",
    ),
    Entry(
        id="1/fig26-narrow",
        figure="Fig. 26",
        claim="which is narrow",
        source=BAND,
        reads={"ratio of the band's edges": read("ends")},
        comparison=Order(ascending=True),
        reason="no published number: narrower than with squared error, whose band may go on beyond "
        "the scan",
        says="narrow",
    ),
    Entry(
        id="1/fig26-forgetting",
        figure="Fig. 26",
        claim="no Forgetting with cross-entropy",
        source=CROSS_ENTROPY,
        reads={
            "p1.fig26.no_forgetting": read(
                "cells", preset="fig26-weight-decay", panel=[0, 1, 2, 3], phase="forgetting"
            )
        },
        comparison=Region(high=0),
        reason="a count; the paper's decays are lost, ours surround its band",
    ),
    Entry(
        id="1/fig26-valid",
        figure="Fig. 26",
        claim="where networks do generalise",
        source=CROSS_ENTROPY,
        reads={
            "cells that generalise with cross-entropy, all decays": read(
                "generalising_anywhere", preset="fig26-weight-decay"
            )
        },
        comparison=Region(low=1),
        reason="what never generalises cannot forget",
        says="not stated",
    ),
    Entry(
        id="1/fig26-robust",
        figure="Fig. 26",
        claim="cross-entropy is less robust than the squared error",
        source=CROSS_ENTROPY,
        reads={"p1.fig26.less_robust": read("most_xi", preset=["fig26-weight-decay", "fig3a"])},
        comparison=Order(ascending=True),
        reason=_SIGN,
    ),
    Entry(
        id="1/fig26-dropout",
        figure="Fig. 26",
        claim="very high dropout is needed to invert",
        source=CROSS_ENTROPY,
        reads={
            "p1.fig26.high_dropout": read("first_inverting", preset="fig26-dropout"),
        },
        comparison=Region(low=0.6),
        reason="the smallest of the dropouts 0, .3, .6 and .9 that inverts; the paper's are lost",
    ),
    Entry(
        id="1/fig27-forgetting",
        figure="Fig. 27",
        claim="no Forgetting with ReLU",
        source=RELU,
        reads={
            "p1.fig27.relu.no_forgetting": read(
                "cells", preset="fig27", panel=[0, 1, 2], phase="forgetting"
            ),
            "p1.fig8.degree": read("cells", preset="fig27", panel=3, phase="forgetting"),
        },
        comparison=Region(high=0),
        reason="a count; the decays of Fig. 3, as the paper's are not stated",
    ),
    Entry(
        id="1/fig27-valid",
        figure="Fig. 27",
        claim="where networks do generalise",
        source=RELU,
        reads={
            "cells that generalise with ReLU, all decays": read(
                "generalising_anywhere", preset="fig27"
            )
        },
        comparison=Region(low=1),
        reason="what never generalises cannot forget",
        says="not stated",
    ),
    Entry(
        id="1/fig27-regularisation",
        figure="Fig. 27",
        claim="ReLU needs more regularisation to generalise",
        source=ACTIVATIONS,
        reads={"p1.fig27.relu.needs_more_reg": read("least", activation=["square", "relu"])},
        comparison=Order(ascending=True),
        reason=_SIGN + "; the smallest decay that generalises at alpha .5, xi .35",
    ),
    Entry(
        id="1/fig28-confusion",
        figure="Fig. 28",
        claim="with ReLU, Confusion already at moderate dropout",
        source=RELU_DROPOUT,
        reads={
            "p1.fig28.relu.dropout_confusion": read(
                "cells", preset=["fig3b", "fig28"], panel=1, phase="confusion"
            )
        },
        comparison=Order(ascending=True),
        reason=_SIGN,
    ),
    Entry(
        id="1/fig29-partial",
        figure="Fig. 29",
        claim="no Partial Inversion with 5000 neurons and no decay",
        source=WIDE,
        reads={
            "p1.fig29.no_partial_inversion": read(
                "cells", preset="fig29", panel=0, phase="partial inversion"
            )
        },
        comparison=Region(high=0),
        reason="a count, over 25 cells; one of them stands for thirteen of the full grid",
    ),
    Entry(
        id="1/fig29-coexistence",
        figure="Fig. 29",
        claim="less Coexistence with 5000 neurons and no decay",
        source=WIDE,
        reads={
            "p1.fig29.smaller_coexistence": read(
                "cells", preset=["fig29", "fig3a"], panel=0, phase="coexistence"
            )
        },
        comparison=Order(ascending=True),
        reason=_SIGN,
    ),
    Entry(
        id="1/fig29-worse",
        figure="Fig. 29",
        claim="generalisation is marginally worse than with 500 neurons",
        source=WIDE,
        reads={"p1.fig29.marginally_worse": read("generalising_share", preset="fig29")},
        comparison=Region(low=0.85, high=1.0),
        reason="'marginally': the cells that generalise are fewer by less than 15 %, if at all",
    ),
    Entry(
        id="1/fig30",
        figure="Fig. 30",
        claim="with 5000 ReLU neurons Confusion is largely gone",
        source=WIDE_RELU,
        reads={"p1.fig30.relu_wide_better": read("confusion_share", preset="fig30")},
        comparison=Region(high=0.5),
        reason="'largely': at most half of the cells are left",
    ),
    Entry(
        id="1/fig31",
        figure="Fig. 31",
        claim="the diagram of multiplication is that of addition",
        source=MULTIPLICATION,
        reads={"p1.fig31.multiplication_same": read("same_share", preset="fig31")},
        comparison=Region(low=0.9),
        reason="seeds alone change a few per cent of the cells, at the boundaries; of all panels",
    ),
)
